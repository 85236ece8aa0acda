/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shim.cc - google-benchmark behind an interface for C; with the peers in peers/ that are C++ templates, all C++ there is
 *
 * google-benchmark selects, repeats, prints and writes files; it measures nothing. A case makes its own rounds and
 * statistics, because what it compares has to take turns, which separate benchmarks do not. So each case runs once per
 * repetition: a minimal time of 0 says that one iteration is enough. (Asking for one iteration, or for manual time,
 * would add "/iterations:1/manual_time" to the names, which a filter would have to match.)
 *
 * Hence the time that google-benchmark itself took of a case is that of the whole comparison. The reporters below put
 * the case's own in its place, which travels as a counter so that it has its mean and deviation over repetitions too.
 * No processor time is measured for a case: that column is 0.
 */
#include "bench/shim.h"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace
{

const char *const OUR_TIME = "seconds";

class Silent : public benchmark::BenchmarkReporter
{
public:
	bool ReportContext(const Context &) override
	{
		return true;
	}
	void ReportRuns(const std::vector<Run> &) override
	{
	}
};

/* Another reporter, that is told the case's own time. */
class OurTime : public benchmark::BenchmarkReporter
{
public:
	explicit OurTime(benchmark::BenchmarkReporter *reporter) : reporter_(reporter)
	{
	}

	bool ReportContext(const Context &context) override
	{
		reporter_->SetOutputStream(&GetOutputStream());
		reporter_->SetErrorStream(&GetErrorStream());
		return reporter_->ReportContext(context);
	}

	void ReportRuns(const std::vector<Run> &report) override
	{
		std::vector<Run> ours = report;

		for (Run &run : ours) {
			auto time = run.counters.find(OUR_TIME);
			double per_iteration = time == run.counters.end() ? 0 : time->second.value;

			/* Percentages are no times to be divided by iterations. */
			run.real_accumulated_time =
				run.aggregate_unit == benchmark::kTime ? per_iteration * run.iterations : per_iteration;
			run.cpu_accumulated_time = 0;
			if (time != run.counters.end())
				run.counters.erase(time);
		}
		reporter_->ReportRuns(ours);
	}

	void Finalize() override
	{
		reporter_->Finalize();
	}

private:
	benchmark::BenchmarkReporter *reporter_;
};

/* What was asked for; the library keeps its flags to itself. */
struct Output {
	std::string display = "console";
	std::string file;
	std::string file_format = "json";
};

Output output;

void Note(std::string *value, const char *argument, const char *flag)
{
	if (std::strncmp(argument, flag, std::strlen(flag)) == 0)
		*value = argument + std::strlen(flag);
}

std::unique_ptr<benchmark::BenchmarkReporter> FileReporter()
{
	if (output.file_format == "console")
		return std::make_unique<benchmark::ConsoleReporter>(benchmark::ConsoleReporter::OO_None);
	if (output.file_format == "csv") {
		BENCHMARK_DISABLE_DEPRECATED_WARNING
		return std::make_unique<benchmark::CSVReporter>();
		BENCHMARK_RESTORE_DEPRECATED_WARNING
	}
	return std::make_unique<benchmark::JSONReporter>();
}

void RunCase(benchmark::State &state, bench_case *each)
{
	for (auto _ : state) {
		each->state = &state;
		if (each->setup != nullptr)
			each->setup(each);
		each->run(each);
		if (each->teardown != nullptr)
			each->teardown(each);
		each->state = nullptr;
	}
	each->repetition++;
}

} // namespace

bool bench_shim_begin(int argc, char **argv)
{
	static char once[] = "--benchmark_min_time=0";
	static std::vector<char *> arguments(argv, argv + argc);
	const char *file = std::getenv("BENCHMARK_OUT");

	output.file = file == nullptr ? "" : file;
	for (char *argument : arguments) {
		Note(&output.display, argument, "--benchmark_format=");
		Note(&output.file, argument, "--benchmark_out=");
		Note(&output.file_format, argument, "--benchmark_out_format=");
	}
	/* The last one counts. */
	arguments.push_back(once);
	argc++;
	arguments.push_back(nullptr);
	benchmark::Initialize(&argc, arguments.data());
	return !benchmark::ReportUnrecognizedArguments(argc, arguments.data());
}

void bench_shim_context(const char *name, const char *value)
{
	benchmark::AddCustomContext(name, value);
}

void bench_shim_register(bench_case *each)
{
	benchmark::RegisterBenchmark(each->name, RunCase, each);
}

size_t bench_shim_run(bool silent)
{
	std::unique_ptr<benchmark::BenchmarkReporter> file = FileReporter();
	OurTime display(benchmark::CreateDefaultDisplayReporter()), to_file(file.get());
	Silent none;
	benchmark::BenchmarkReporter *shown = &display;

	if (silent)
		shown = &none;
	return output.file.empty() ? benchmark::RunSpecifiedBenchmarks(shown)
	                           : benchmark::RunSpecifiedBenchmarks(shown, &to_file);
}

bool bench_shim_prints_text()
{
	return output.display == "console";
}

void bench_shim_seconds(void *state, double seconds)
{
	static_cast<benchmark::State *>(state)->counters[OUR_TIME] = seconds;
}

void bench_shim_counter(void *state, const char *name, double value)
{
	static_cast<benchmark::State *>(state)->counters[name] = value;
}

void bench_shim_error(void *state, const char *message)
{
	static_cast<benchmark::State *>(state)->SkipWithError(message);
}

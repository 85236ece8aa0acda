/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/summary.h"

#include <inttypes.h>
#include <stdio.h>

#include <sqlite3.h>

#include "tool/json.h"
#include "tool/tally.h"

uint64_t summary_failures(const struct summary *summary)
{
	const penstock_counters *counters = &summary->counters;

	return counters->failed + counters->unknown + counters->shutdown + summary->faults;
}

static uint64_t statements(const struct summary *summary)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < summary->input_count; i++)
		sum += tally_at(i)->statements;
	return sum;
}

static double rate(const struct summary *summary)
{
	return summary->seconds > 0 ? (double)statements(summary) / summary->seconds : 0.0;
}

static double mean_batch(const struct summary *summary)
{
	const penstock_histogram *size = &summary->counters.batch_size;

	return size->count > 0 ? (double)size->sum / (double)size->count : 0.0;
}

static double latency_usec(const struct summary *summary, double fraction)
{
	return (double)penstock_histogram_quantile(&summary->counters.outcome_nsec, fraction) / 1e3;
}

static bool written(FILE *out)
{
	return fflush(out) == 0 && !ferror(out);
}

static void print_usec(FILE *out, const char *name, double usec)
{
	if (usec < 1e3)
		fprintf(out, "%-16s%13.0f us\n", name, usec);
	else if (usec < 1e6)
		fprintf(out, "%-16s%13.2f ms\n", name, usec / 1e3);
	else
		fprintf(out, "%-16s%13.2f s\n", name, usec / 1e6);
}

static uint64_t changes(const struct summary *summary)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < summary->input_count; i++)
		sum += tally_at(i)->changes;
	return sum;
}

static void print_inputs(const struct summary *summary, FILE *out)
{
	size_t i;

	fprintf(out, "\n%13s %13s %9s  %s\n", "statements", "rows changed", "failures", "file");
	for (i = 0; i < summary->input_count; i++) {
		const struct tally *tally = tally_at(i);

		fprintf(out, "%13" PRIu64 " ", (uint64_t)tally->statements);
		if (summary->told)
			fprintf(out, "%13" PRIu64, (uint64_t)tally->changes);
		else
			fprintf(out, "%13s", "-");
		fprintf(out, " %9" PRIu64 "  %s\n", (uint64_t)tally->failures, summary->sources[i].name);
	}
}

static void print_inputs_json(const struct summary *summary, FILE *out)
{
	size_t i;

	fprintf(out, "  \"files\": [");
	for (i = 0; i < summary->input_count; i++) {
		const struct tally *tally = tally_at(i);

		fprintf(out, "%s\n    {\"file\": ", i > 0 ? "," : "");
		json_string(out, summary->sources[i].name);
		fprintf(out, ", \"statements\": %" PRIu64 ", \"failures\": %" PRIu64, (uint64_t)tally->statements,
		        (uint64_t)tally->failures);
		if (summary->told)
			fprintf(out, ", \"changes\": %" PRIu64, (uint64_t)tally->changes);
		fprintf(out, "}");
	}
	fprintf(out, "\n  ],\n");
}

bool summary_table(const struct summary *summary, FILE *out)
{
	fprintf(out, "%-16s%13" PRIu64 "%s\n", "statements", statements(summary), summary->interrupted ? " (interrupted)" : "");
	fprintf(out, "%-16s%13" PRIu64 "\n", "failures", summary_failures(summary));
	if (summary->told)
		fprintf(out, "%-16s%13" PRIu64 "\n", "rows changed", changes(summary));
	if (tally_transactions() > 0)
		fprintf(out, "%-16s%13" PRIu64 " BEGIN and COMMIT: each statement commits by itself\n", "passed over",
		        tally_transactions());
	fprintf(out, "%-16s%13.3f s\n", "time", summary->seconds);
	fprintf(out, "%-16s%13.0f /s\n", "rate", rate(summary));
	fprintf(out, "%-16s%13" PRIu64 "\n", "batches", summary->counters.batches);
	fprintf(out, "%-16s%13.1f\n", "mean batch", mean_batch(summary));
	print_usec(out, "outcome p50", latency_usec(summary, 0.5));
	print_usec(out, "outcome p99", latency_usec(summary, 0.99));
	print_usec(out, "outcome max", (double)summary->counters.outcome_nsec.max / 1e3);
	if (summary->input_count > 1)
		print_inputs(summary, out);
	return written(out);
}

static void print_count(FILE *out, const char *name, uint64_t count)
{
	fprintf(out, "  \"%s\": %" PRIu64 ",\n", name, count);
}

bool summary_json(const struct summary *summary, FILE *out)
{
	const penstock_counters *counters = &summary->counters;

	fprintf(out, "{\n");
	print_count(out, "statements", statements(summary));
	print_count(out, "failures", summary_failures(summary));
	if (summary->told)
		print_count(out, "changes", changes(summary));
	print_count(out, "passed_over", tally_transactions());
	fprintf(out, "  \"seconds\": %.6f,\n", summary->seconds);
	fprintf(out, "  \"rate\": %.1f,\n", rate(summary));
	print_count(out, "batches", counters->batches);
	fprintf(out, "  \"mean_batch\": %.3f,\n", mean_batch(summary));
	fprintf(out, "  \"p50_usec\": %.3f,\n", latency_usec(summary, 0.5));
	fprintf(out, "  \"p99_usec\": %.3f,\n", latency_usec(summary, 0.99));
	fprintf(out, "  \"max_usec\": %.3f,\n", (double)counters->outcome_nsec.max / 1e3);
	print_count(out, "accepted", counters->accepted);
	print_count(out, "committed", counters->committed);
	print_count(out, "failed", counters->failed);
	print_count(out, "unknown", counters->unknown);
	print_count(out, "replayed_batches", counters->replayed_batches);
	print_count(out, "busy_retries", counters->busy_retries);
	print_count(out, "wal_bytes_peak", counters->wal_bytes_peak);
	print_count(out, "checkpoints", counters->checkpoints);
	print_inputs_json(summary, out);
	fprintf(out, "  \"interrupted\": %s,\n", summary->interrupted ? "true" : "false");
	fprintf(out, "  \"failure\": ");
	if (summary->failure[0] != '\0')
		json_string(out, summary->failure);
	else
		fprintf(out, "null");
	fprintf(out, ",\n  \"sqlite\": ");
	json_string(out, sqlite3_libversion());
	fprintf(out, ",\n  \"penstock\": ");
	json_string(out, penstock_version());
	fprintf(out, "\n}\n");
	return written(out);
}

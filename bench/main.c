/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - penstock-bench: which cases there are, and what is printed
 *
 * Every argument of google-benchmark's works; ours are taken out before it sees the rest. A build that was not
 * optimized, that asserts, or that runs under a sanitizer measures something nobody will ever run, so it refuses.
 *
 * The exit code says whether everything that was asked for ran and was written; never how fast it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/context.h"
#include "bench/drives.h"
#include "bench/page.h"
#include "bench/shim.h"

#define CASES_MAX 640

static struct bench_case cases[CASES_MAX];
static size_t case_count;

static const char help[] =
	"usage: penstock-bench [--report DIR] [--against DRIVER] [--targets] [--quick] [google-benchmark's arguments]\n"
	"\n"
	"  --report DIR          write a page with plots besides, DIR/index.html, and its pictures\n"
	"  --against DRIVER      the penstock-drive of another build takes turns with this one's (report.sh makes it)\n"
	"  --targets             run only what has a target, print where and how, each target, and each line of them\n"
	"  --quick               fewer rounds, smaller ones (or PENSTOCK_BENCH_QUICK=1); for looking whether it works\n"
	"  --benchmark_filter=R  only cases whose name matches the regular expression; -R: only those that do not\n"
	"                        (of some families only a part is run without a filter)\n"
	"  --benchmark_list_tests, --benchmark_format=json, --benchmark_out=FILE, --benchmark_repetitions=N, ...\n"
	"\n"
	"Databases are made in a folder under $TMPDIR (or /tmp) and removed.\n";

void bench_add(const struct bench_case *each)
{
	if (case_count == CASES_MAX) {
		fprintf(stderr, "penstock-bench: raise CASES_MAX\n");
		exit(1);
	}
	cases[case_count++] = *each;
}

static const char *bench_refusal(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	return "it runs under a sanitizer";
#elif !defined(__OPTIMIZE__)
	return "it is not optimized";
#elif !defined(NDEBUG)
	return "its assertions are on";
#else
	return NULL;
#endif
}

static bool bench_take_flag(int *argc, char **argv, const char *flag)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], flag) != 0)
			continue;
		memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
		--*argc;
		return true;
	}
	return false;
}

/* `flag VALUE` or `flag=VALUE`, where the value is a `what`; false: it is missing. */
static bool bench_take_value(int *argc, char **argv, const char *flag, const char *what, const char **value)
{
	size_t length = strlen(flag);
	int words;

	for (int i = 1; i < *argc; i++) {
		if (strncmp(argv[i], flag, length) != 0 || (argv[i][length] != '\0' && argv[i][length] != '='))
			continue;
		words = argv[i][length] == '=' ? 1 : 2;
		*value = words == 1 ? argv[i] + length + 1 : argv[i + 1];
		if (*value == NULL || **value == '\0' || (words == 2 && **value == '-')) {
			fprintf(stderr, "penstock-bench: %s needs a %s\n", flag, what);
			return false;
		}
		memmove(&argv[i], &argv[i + words], (size_t)(*argc - i - words + 1) * sizeof *argv);
		*argc -= words;
		return true;
	}
	return true;
}

/* Whether the cases that are not run otherwise have been asked for. */
static bool bench_wants_extra(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--benchmark_filter", strlen("--benchmark_filter")) == 0 ||
		    strncmp(argv[i], "--benchmark_list_tests", strlen("--benchmark_list_tests")) == 0)
			return true;
	}
	return getenv("BENCHMARK_FILTER") != NULL;
}

/* Not so when their names alone were asked for. */
static bool bench_any_has_run(void)
{
	for (size_t i = 0; i < case_count; i++) {
		if (cases[i].repetition > 0)
			return true;
	}
	return false;
}

static void (*bench_runs[CASES_MAX])(struct bench_case *);

/* The table comes last; meanwhile somebody may wonder whether anything happens. */
static void bench_run_case_aloud(struct bench_case *self)
{
	fprintf(stderr, "%s\n", self->name);
	bench_runs[self - cases](self);
}

int main(int argc, char **argv)
{
	const char *quick = getenv("PENSTOCK_BENCH_QUICK"), *folder = NULL;
	bool extra, whole;
	FILE *text;

	if (argc == 2 && strncmp(argv[1], "--child=", strlen("--child=")) == 0)
		return bench_idle_child(argv[1] + strlen("--child="));
	if (bench_refusal() != NULL) {
		fprintf(stderr,
		        "penstock-bench: this build measures nothing of interest: %s; use meson setup "
		        "--buildtype=release\n",
		        bench_refusal());
		return 1;
	}
	if (bench_take_flag(&argc, argv, "--help") || bench_take_flag(&argc, argv, "-h")) {
		fputs(help, stdout);
		return 0;
	}
	bench_context_command(argc, argv);
	bench_quick = bench_take_flag(&argc, argv, "--quick") || (quick != NULL && quick[0] != '\0' && quick[0] != '0');
	bench_only_targets = bench_take_flag(&argc, argv, "--targets");
	extra = bench_wants_extra(argc, argv);
	if (!bench_take_value(&argc, argv, "--report", "folder", &folder) ||
	    !bench_take_value(&argc, argv, "--against", "program", &bench_against) || !bench_shim_begin(argc, argv))
		return 2;
	if (folder != NULL && !bench_page_prepare(folder))
		return 1;
	bench_context_find();
	if (bench_only_targets)
		bench_context_print(stdout);
	bench_add_ring();
	bench_add_think();
	bench_add_stalled();
	bench_add_submit();
	bench_add_rows();
	bench_add_pingpong();
	bench_add_inflight();
	bench_add_together();
	bench_add_latency();
	bench_add_processes();
	bench_add_turns();
	bench_add_instead();
	bench_add_burst();
	bench_add_full();
	bench_add_verbs();
	bench_add_idle();
	for (size_t i = 0; i < case_count; i++) {
		if ((bench_only_targets && !cases[i].has_target) || (cases[i].extra && !extra))
			continue;
		if (bench_only_targets) {
			bench_runs[i] = cases[i].run;
			cases[i].run = bench_run_case_aloud;
		}
		bench_shim_register(&cases[i]);
	}
	whole = bench_shim_run(bench_only_targets) > 0;
	text = bench_only_targets || bench_shim_prints_text() ? stdout : stderr;
	bench_print_targets(text);
	if (bench_only_targets)
		bench_print_verdicts(text);
	if (bench_any_has_run())
		fprintf(text, "\nthe longest fsync seen in this run: %.1f ms\n", (double)bench_longest_sync() / 1e6);
	if (folder != NULL && whole)
		whole = bench_page_write(folder);
	return !whole || bench_failures() > 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tune.c - `penstock tune`
 *
 *     command line -> workload read -> signals taken -> --out and scratch folder made -> configuration checked
 *     \__ until here a signal just ends us __/            |
 *                                  search (search.h) -> scratch removed -> --out written -> table or JSON
 *
 * Whatever goes wrong, it is said in one place, nothing that we made is left, and the status is 2: either there is a
 * configuration or there is none.
 */
#include "tool/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/report.h"
#include "tool/source.h"
#include "tool/tune/arguments.h"
#include "tool/tune/base.h"
#include "tool/tune/files.h"
#include "tool/tune/result.h"
#include "tool/tune/search.h"
#include "tool/tune/space.h"
#include "tool/tune/trial.h"
#include "tool/tune/workload.h"

struct tune {
	struct tune_arguments arguments;
	struct workload workload;
	struct tune_bench bench;
	struct tune_base base;
	struct space space;
	struct tune_search search;
};

static bool read_workload(struct tune *tune)
{
	struct workload *workload = &tune->workload;

	if (!workload_read(workload, &tune->arguments.files))
		return false;
	if (workload->cut && !tune->arguments.common.quiet)
		report_say("warning: '%s' is larger than %zu MiB: only what fits is used", workload->name,
		           WORKLOAD_BYTES_MAX >> 20);
	return true;
}

static bool take_signals(struct tune *tune)
{
	struct tune_bench *bench = &tune->bench;

	bench->workload = &tune->workload;
	bench->ack = tune->arguments.common.ack;
	bench->wait = tune->arguments.wait;
	bench->quiet = tune->arguments.common.quiet;
	if (tune_bench_init(bench))
		return true;
	report_say("cannot watch for signals: %s; nothing was measured", strerror(errno));
	return false;
}

static enum tune_end search(struct tune *tune)
{
	struct tune_search *search = &tune->search;

	space_init(&tune->space, tune->base.values, tune->workload.statement != NULL, tune->arguments.cluster);
	search->bench = &tune->bench;
	search->space = &tune->space;
	search->base = &tune->base.config;
	search->goal = tune->arguments.goal;
	search->bound_usec = tune->arguments.bound_usec;
	search->budget = tune->arguments.budget;
	search->seed = tune->arguments.seed;
	search->drawing = !tune->arguments.common.quiet && isatty(STDERR_FILENO);
	return tune_search(search);
}

static enum tool_exit publish(const struct tune *tune)
{
	const struct tune_result result = {
		.arguments = &tune->arguments,
		.workload = &tune->workload,
		.base = &tune->base,
		.search = &tune->search,
		.interrupted = tune->bench.interrupted,
	};
	bool printed = true;
	size_t bytes;
	char *text;

	/* --out may be on the disk of the scratch database. */
	tune_files_remove_scratch();
	text = tune_result_file(&result, &bytes);
	if (text == NULL) {
		report_say("out of memory");
		return TOOL_CANNOT;
	}
	if (!tune_files_publish(text, bytes)) {
		free(text);
		return TOOL_CANNOT;
	}
	free(text);
	if (tune->arguments.common.json)
		printed = tune_result_json(&result);
	else if (!tune->arguments.common.quiet)
		printed = tune_result_table(&result);
	if (!printed)
		report_say("'%s' is written, but the figures cannot be: %s", tune->arguments.out, strerror(errno));
	return printed ? TOOL_FINE : TOOL_CANNOT;
}

static enum tool_exit tune_all(struct tune *tune)
{
	bool good;

	if (!read_workload(tune) || !take_signals(tune) || !tune_files_begin_out(tune->arguments.out))
		return TOOL_CANNOT;
	if (tune->arguments.cluster)
		tune_files_begin_cluster(tune->arguments.folder);
	else if (!tune_files_begin_scratch(tune->arguments.folder))
		return TOOL_CANNOT;
	good = tune_base_read(&tune->base, &tune->arguments.common, &tune->bench) && search(tune) != TUNE_FAILED;
	tune_bench_drop_table(&tune->bench, &tune->arguments.common.config);
	return good ? publish(tune) : TOOL_CANNOT;
}

int tool_tune(int argc, char **argv)
{
	struct tune *tune = calloc(1, sizeof *tune);
	enum tool_exit result = TOOL_CANNOT;

	if (tune == NULL) {
		report_say("out of memory");
		return TOOL_CANNOT;
	}
	signal(SIGPIPE, SIG_IGN);
	/* A file that may not become larger is an error like others, after which the files are removed. */
	signal(SIGXFSZ, SIG_IGN);
	switch (tune_arguments_parse(&tune->arguments, argc, argv)) {
	case OPTIONS_GOOD:
		result = tune_all(tune);
		break;
	case OPTIONS_HELPED:
		result = TOOL_FINE;
		break;
	case OPTIONS_WRONG:
		break;
	}
	tune_files_remove();
	tune_search_free(&tune->search);
	tune_base_free(&tune->base);
	workload_free(&tune->workload);
	tune_arguments_free(&tune->arguments);
	free(tune);
	return (int)result;
}

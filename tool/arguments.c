/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/report.h"

static const char usage[] = "Usage: penstock run [OPTION]... DB FILE...\n"
			    "       penstock run [OPTION]... --csv FILE... --sql STATEMENT DB\n"
			    "\n"
			    "Executes the statements of each SQL FILE, or STATEMENT for each record of each CSV\n"
			    "file, on the database DB, which is created when missing. Files run in the order\n"
			    "given; '-' is standard input, and a FIFO will do.\n"
			    "\n"
			    "  --parallel          read all files at the same time; what they hold mixes\n"
			    "  --csv FILE          read records from FILE; may be repeated\n"
			    "  --sql STATEMENT     what to do with each record; its fields are bound, as text, to\n"
			    "                      the parameters: 'INSERT INTO t VALUES(?,?)'\n"
			    "  --threads N         threads that share each CSV file, 1 to 1024 (default 1)\n"
			    "  --ack LEVEL         what a statement's success means: none, committed (visible to\n"
			    "                      others) or durable (survives power loss); default committed\n"
			    "  --config FILE       read configuration keys from FILE; see `penstock config`\n"
			    "  --set KEY=VALUE     set a configuration key, or a pragma as pragmas.NAME=VALUE; wins\n"
			    "                      over the file; may be repeated\n"
			    "  --json              print the summary as a JSON object\n"
			    "  --quiet             no progress line, no table, no warnings; failures are still\n"
			    "                      reported\n"
			    "  --help              print this\n"
			    "\n"
			    "A failing statement is reported on standard error as FILE:LINE: NAME: message, and the\n"
			    "others go on. The first SIGINT, SIGTERM or SIGHUP ends the reading; what was read is\n"
			    "finished. Exit status: 0 all went well, 1 some statement failed, 2 nothing could begin.\n";

static enum options_parsed parse_operands(struct arguments *arguments, int count, char **operands)
{
	struct options *common = &arguments->common;
	size_t standard = 0;
	size_t i;

	if (count == 0)
		return options_wrong(common, "no database: name a file, which is created when missing");
	arguments->database = operands[0];
	if (strcmp(operands[0], "-") == 0)
		return options_wrong(common, "the database cannot be standard input: name a file before the first '-'");
	if (arguments->input_count > 0 && arguments->sql == NULL)
		return options_wrong(common, "--csv %s: without --sql there is nothing to do with the records",
		                     arguments->inputs[0]);
	if (arguments->input_count == 0 && arguments->sql != NULL)
		return options_wrong(common,
		                     "--sql: without --csv there are no records; SQL text is read from a FILE or from '-'");
	if (arguments->input_count == 0 && common->threads > 0)
		return options_wrong(common, "--threads: only for --csv; an SQL file is read by one thread");
	if (arguments->sql != NULL && count > 1)
		return options_wrong(common, "'%s': either --csv or SQL files, not both; use two runs", operands[1]);
	for (i = 1; i < (size_t)count; i++)
		arguments->inputs[arguments->input_count++] = operands[i];
	if (arguments->input_count == 0)
		return options_wrong(common, "nothing to do for '%s': name SQL files, or '-' for standard input", operands[0]);
	if (arguments->input_count > REPORT_INPUTS_MAX)
		return options_wrong(common, "%zu files: at most %d at a time", arguments->input_count, REPORT_INPUTS_MAX);
	for (i = 0; i < arguments->input_count; i++)
		standard += strcmp(arguments->inputs[i], "-") == 0;
	if (standard > 1)
		return options_wrong(common, "'-' %zu times: there is only one standard input", standard);
	if (common->threads == 0)
		common->threads = 1;
	return OPTIONS_GOOD;
}

enum options_parsed arguments_parse(struct arguments *arguments, int argc, char **argv)
{
	enum { PARALLEL = 1, CSV, SQL, HELP };
	static const struct option options[] = {
		{ "parallel", no_argument, NULL, PARALLEL }, { "csv", required_argument, NULL, CSV },
		{ "sql", required_argument, NULL, SQL },     OPTIONS_COMMON,
		{ "help", no_argument, NULL, HELP },         { 0 },
	};
	struct options *common = &arguments->common;
	enum options_parsed parsed;
	int option;

	memset(arguments, 0, sizeof *arguments);
	parsed = options_init(common, argc, argv);
	/* No list can be longer than the command line. */
	arguments->inputs = calloc((size_t)argc + 1, sizeof *arguments->inputs);
	if (parsed == OPTIONS_GOOD && arguments->inputs == NULL)
		parsed = options_wrong(common, "out of memory");
	while (parsed == OPTIONS_GOOD && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case PARALLEL:
			arguments->parallel = true;
			break;
		case CSV:
			arguments->inputs[arguments->input_count++] = optarg;
			break;
		case SQL:
			arguments->sql = optarg;
			break;
		case HELP:
			fputs(usage, stdout);
			return OPTIONS_HELPED;
		default:
			parsed = options_take(common, option, optarg);
			break;
		}
	}
	if (parsed != OPTIONS_GOOD)
		return parsed;
	return parse_operands(arguments, argc - optind, argv + optind);
}

void arguments_free(struct arguments *arguments)
{
	free(arguments->inputs);
	options_free(&arguments->common);
}

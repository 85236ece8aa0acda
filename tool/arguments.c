/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/place.h"

static const char usage[] = "Usage: penstock run [OPTION]... DB FILE...\n"
			    "       penstock run [OPTION]... --csv FILE... --sql STATEMENT DB\n"
			    "       penstock run [OPTION]... --csv FILE... --table NAME DB\n"
			    "\n"
			    "Executes the statements of each SQL FILE, or one statement for each record of each\n"
			    "CSV FILE, on the database DB, which is created when missing. Files run in the order\n"
			    "given; '-' is standard input, and a FIFO will do.\n"
			    "\n"
			    "  --setup FILE        run the SQL of FILE first; if it fails, nothing else is run\n"
			    "  --parallel          read all files at the same time; what they hold mixes\n"
			    "  --max-errors N      stop reading after N failures; what was read is finished\n"
			    "  --bail              run nothing behind the first failure; waits for each outcome\n"
			    "  --output FORMAT     print the rows of SELECT and RETURNING: csv, json (one object a\n"
			    "                      line) or table; the summary then goes to standard error\n"
			    "  --rejects FILE      write what failed to FILE, so that it can be run again\n"
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
			    "CSV:\n"
			    "  --csv FILE          read records from FILE; may be repeated\n"
			    "  --sql STATEMENT     what to do with each record; its fields are bound, as text, to\n"
			    "                      the parameters: 'INSERT INTO t VALUES(?,?)'\n"
			    "  --table NAME        insert each record into the table NAME\n"
			    "  --create[=TYPES]    make that table if it is missing; all columns are TEXT, or with\n"
			    "                      --create=guess what the first records look like\n"
			    "  --header            the first record names the columns: they are no record, and named\n"
			    "                      parameters (:name) and --table get the field of that name\n"
			    "  --skip N            pass over the first N lines\n"
			    "  --delimiter C       the byte between fields, instead of a comma; or 'tab'\n"
			    "  --tsv               fields between tabs, and no quotes\n"
			    "  --null TEXT         a field that is TEXT is NULL; '' for an empty one\n"
			    "  --lax               what a short record lacks is NULL, and extra fields are left out\n"
			    "  --threads N         threads that share each CSV file, 1 to 1024 (default 1)\n"
			    "\n"
			    "A failing statement is reported on standard error as FILE:LINE: NAME: message, and the\n"
			    "others go on. The first SIGINT, SIGTERM or SIGHUP ends the reading; what was read is\n"
			    "finished. Exit status: 0 all went well, 1 some statement failed, 2 nothing could begin.\n";

/* What makes no sense together, of the options for CSV. */
static enum options_parsed check_csv(const struct arguments *arguments)
{
	const struct options *common = &arguments->common;

	if (arguments->sql != NULL && arguments->table != NULL)
		return options_wrong(common, "--sql and --table: either what to do with a record, or where to put it");
	if (arguments->csv && arguments->sql == NULL && arguments->table == NULL)
		return options_wrong(common, "--csv %s: without --sql or --table there is nothing to do with the records",
		                     arguments->inputs[0]);
	if (!arguments->csv && arguments->sql != NULL)
		return options_wrong(common,
		                     "--sql: without --csv there are no records; SQL text is read from a FILE or from '-'");
	if (!arguments->csv && arguments->table != NULL)
		return options_wrong(common, "--table: without --csv there are no records");
	if (!arguments->csv && common->threads > 0)
		return options_wrong(common, "--threads: only for --csv; an SQL file is read by one thread");
	if (!arguments->csv && (arguments->records.header || arguments->records.skip > 0 || arguments->records.delimiter != 0 ||
	                        arguments->null_text != NULL || arguments->lax))
		return options_wrong(common, "--header, --skip, --delimiter, --tsv, --null and --lax: only for --csv");
	if (arguments->create != CREATE_NOT && arguments->table == NULL)
		return options_wrong(common, "--create: makes the table of --table, which is not given");
	return OPTIONS_GOOD;
}

/* What needs outcomes. */
static enum options_parsed check_ack(const struct arguments *arguments)
{
	if (arguments->common.ack == PENSTOCK_ACK_NONE &&
	    (arguments->bail || arguments->output != OUTPUT_NONE || arguments->rejects != NULL))
		return options_wrong(&arguments->common,
		                     "--ack none: --bail, --output and --rejects need outcomes; use --ack committed");
	return OPTIONS_GOOD;
}

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
	if (check_csv(arguments) != OPTIONS_GOOD || check_ack(arguments) != OPTIONS_GOOD)
		return OPTIONS_WRONG;
	if (arguments->csv && count > 1)
		return options_wrong(common, "'%s': either --csv or SQL files, not both; use two runs, or --setup",
		                     operands[1]);
	for (i = 1; i < (size_t)count; i++)
		arguments->inputs[arguments->input_count++] = operands[i];
	if (arguments->input_count == 0)
		return options_wrong(common, "nothing to do for '%s': name SQL files, or '-' for standard input", operands[0]);
	if (arguments->input_count + arguments->setup_count > PLACE_INPUTS_MAX)
		return options_wrong(common, "%zu files: at most %d at a time", arguments->input_count, PLACE_INPUTS_MAX);
	for (i = 0; i < arguments->input_count; i++)
		standard += strcmp(arguments->inputs[i], "-") == 0;
	for (i = 0; i < arguments->setup_count; i++)
		standard += strcmp(arguments->setups[i], "-") == 0;
	if (standard > 1)
		return options_wrong(common, "'-' %zu times: there is only one standard input", standard);
	if (common->threads == 0)
		common->threads = 1;
	return OPTIONS_GOOD;
}

static enum options_parsed take_number(const struct options *options, const char *name, const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || *number == 0)
		return options_wrong(options, "--%s %s: not a number above 0", name, text);
	return OPTIONS_GOOD;
}

static enum options_parsed take_delimiter(struct arguments *arguments, const char *text)
{
	if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0)
		text = "\t";
	if (strlen(text) != 1 || strchr("\"\r\n", text[0]) != NULL)
		return options_wrong(&arguments->common,
		                     "--delimiter %s: not one byte that may stand between fields, nor 'tab'", text);
	arguments->records.delimiter = text[0];
	return OPTIONS_GOOD;
}

/* One of the words; sets *number to its place. */
static enum options_parsed take_word(const struct options *options, const char *name, const char *text,
                                     const char *const *words, int *number)
{
	for (*number = 0; words[*number] != NULL; *number += 1)
		if (strcmp(text, words[*number]) == 0)
			return OPTIONS_GOOD;
	return options_wrong(options, "--%s %s: there is no such one; see --help", name, text);
}

enum own {
	PARALLEL = 1,
	CSV,
	SQL,
	SETUP,
	MAX_ERRORS,
	BAIL,
	OUTPUT,
	REJECTS,
	TABLE,
	CREATE,
	HEADER,
	SKIP,
	DELIMITER,
	TSV,
	NULL_TEXT,
	LAX,
	HELP
};

static enum options_parsed take_csv(struct arguments *arguments, int option, char *text)
{
	static const char *const types[] = { "text", "guess", NULL };
	enum options_parsed parsed = OPTIONS_GOOD;
	int number = 0;

	switch (option) {
	case CSV:
		arguments->csv = true;
		arguments->inputs[arguments->input_count++] = text;
		break;
	case SQL:
		arguments->sql = text;
		break;
	case TABLE:
		arguments->table = text;
		break;
	case CREATE:
		if (text != NULL)
			parsed = take_word(&arguments->common, "create", text, types, &number);
		arguments->create = number == 0 ? CREATE_TEXT : CREATE_GUESS;
		break;
	case HEADER:
		arguments->records.header = true;
		break;
	case SKIP:
		parsed = take_number(&arguments->common, "skip", text, &arguments->records.skip);
		break;
	case DELIMITER:
		parsed = take_delimiter(arguments, text);
		break;
	case TSV:
		arguments->records.delimiter = '\t';
		arguments->records.unquoted = true;
		break;
	case NULL_TEXT:
		arguments->null_text = text;
		break;
	case LAX:
		arguments->lax = true;
		break;
	default:
		return options_take(&arguments->common, option, text);
	}
	return parsed;
}

static enum options_parsed take(struct arguments *arguments, int option, char *text)
{
	static const char *const formats[] = { "csv", "json", "table", NULL };
	enum options_parsed parsed = OPTIONS_GOOD;
	int number = 0;

	switch (option) {
	case PARALLEL:
		arguments->parallel = true;
		break;
	case SETUP:
		arguments->setups[arguments->setup_count++] = text;
		break;
	case MAX_ERRORS:
		parsed = take_number(&arguments->common, "max-errors", text, &arguments->max_errors);
		break;
	case BAIL:
		arguments->bail = true;
		break;
	case OUTPUT:
		parsed = take_word(&arguments->common, "output", text, formats, &number);
		arguments->output = (enum output_format)(OUTPUT_CSV + number);
		break;
	case REJECTS:
		arguments->rejects = text;
		break;
	case HELP:
		fputs(usage, stdout);
		return OPTIONS_HELPED;
	default:
		return take_csv(arguments, option, text);
	}
	return parsed;
}

enum options_parsed arguments_parse(struct arguments *arguments, int argc, char **argv)
{
	static const struct option options[] = {
		{ "parallel", no_argument, NULL, PARALLEL },
		{ "csv", required_argument, NULL, CSV },
		{ "sql", required_argument, NULL, SQL },
		{ "setup", required_argument, NULL, SETUP },
		{ "max-errors", required_argument, NULL, MAX_ERRORS },
		{ "bail", no_argument, NULL, BAIL },
		{ "output", required_argument, NULL, OUTPUT },
		{ "rejects", required_argument, NULL, REJECTS },
		{ "table", required_argument, NULL, TABLE },
		{ "create", optional_argument, NULL, CREATE },
		{ "header", no_argument, NULL, HEADER },
		{ "skip", required_argument, NULL, SKIP },
		{ "delimiter", required_argument, NULL, DELIMITER },
		{ "tsv", no_argument, NULL, TSV },
		{ "null", required_argument, NULL, NULL_TEXT },
		{ "lax", no_argument, NULL, LAX },
		OPTIONS_COMMON,
		{ "help", no_argument, NULL, HELP },
		{ 0 },
	};
	struct options *common = &arguments->common;
	enum options_parsed parsed;
	int option;

	memset(arguments, 0, sizeof *arguments);
	parsed = options_init(common, argc, argv);
	/* No list can be longer than the command line. */
	arguments->inputs = calloc((size_t)argc + 1, sizeof *arguments->inputs);
	arguments->setups = calloc((size_t)argc + 1, sizeof *arguments->setups);
	if (parsed == OPTIONS_GOOD && (arguments->inputs == NULL || arguments->setups == NULL))
		parsed = options_wrong(common, "out of memory");
	while (parsed == OPTIONS_GOOD && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		parsed = take(arguments, option, optarg);
	if (parsed != OPTIONS_GOOD)
		return parsed;
	return parse_operands(arguments, argc - optind, argv + optind);
}

void arguments_free(struct arguments *arguments)
{
	free(arguments->inputs);
	free(arguments->setups);
	options_free(&arguments->common);
}

#include "tool/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/report.h"

#define THREADS_MAX 1024
#define PRAGMA_PREFIX "pragmas."

static const char usage[] =
	"Usage: penstock run [OPTION]... DB FILE...\n"
	"       penstock run [OPTION]... --csv FILE... --sql STATEMENT DB\n"
	"\n"
	"Executes the statements of each SQL FILE, or STATEMENT for each record of each CSV\n"
	"file, on the database DB, which is created when missing. All files are read at the\n"
	"same time; '-' is standard input, and a FIFO will do.\n"
	"\n"
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

static enum arguments_parsed __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list list;

	fputs("penstock run: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("\nTry 'penstock run --help'.\n", stderr);
	return ARGUMENTS_WRONG;
}

static enum arguments_parsed parse_ack(struct arguments *arguments, const char *text)
{
	static const struct {
		const char *name;
		penstock_ack ack;
	} levels[] = {
		{ "none", PENSTOCK_ACK_NONE },
		{ "committed", PENSTOCK_ACK_COMMITTED },
		{ "durable", PENSTOCK_ACK_DURABLE },
	};
	size_t i;

	for (i = 0; i < sizeof levels / sizeof *levels; i++)
		if (strcmp(text, levels[i].name) == 0) {
			arguments->ack = levels[i].ack;
			return ARGUMENTS_GOOD;
		}
	return wrong("--ack %s: no such level; it is none, committed or durable", text);
}

static enum arguments_parsed parse_threads(struct arguments *arguments, const char *text)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < 1 || number > THREADS_MAX)
		return wrong("--threads %s: not a number from 1 to %d", text, THREADS_MAX);
	arguments->threads = number;
	return ARGUMENTS_GOOD;
}

/* Cuts the text at its '='. */
static enum arguments_parsed parse_set(struct arguments *arguments, char *text)
{
	char *equals = strchr(text, '=');

	if (equals == NULL || equals == text)
		return wrong("--set %s: not of the form key=value", text);
	*equals = '\0';
	if (strncmp(text, PRAGMA_PREFIX, strlen(PRAGMA_PREFIX)) == 0) {
		penstock_pragma *pragma = &arguments->pragmas[arguments->config.pragma_count++];

		pragma->name = text + strlen(PRAGMA_PREFIX);
		pragma->value = equals + 1;
		return ARGUMENTS_GOOD;
	}
	if (penstock_config_set(&arguments->config, text, equals + 1) != PENSTOCK_OK)
		return wrong("--set %s=%s: %s", text, equals + 1, penstock_error_message());
	return ARGUMENTS_GOOD;
}

static enum arguments_parsed parse_operands(struct arguments *arguments, int count, char **operands)
{
	size_t standard = 0;
	size_t i;

	if (count == 0)
		return wrong("no database: name a file, which is created when missing");
	arguments->database = operands[0];
	if (strcmp(operands[0], "-") == 0)
		return wrong("the database cannot be standard input: name a file before the first '-'");
	if (arguments->input_count > 0 && arguments->sql == NULL)
		return wrong("--csv %s: without --sql there is nothing to do with the records", arguments->inputs[0]);
	if (arguments->input_count == 0 && arguments->sql != NULL)
		return wrong("--sql: without --csv there are no records; SQL text is read from a FILE or from '-'");
	if (arguments->input_count == 0 && arguments->threads > 0)
		return wrong("--threads: only for --csv; each SQL file is read by one thread");
	if (arguments->sql != NULL && count > 1)
		return wrong("'%s': either --csv or SQL files, not both; use two runs", operands[1]);
	for (i = 1; i < (size_t)count; i++)
		arguments->inputs[arguments->input_count++] = operands[i];
	if (arguments->input_count == 0)
		return wrong("nothing to do for '%s': name SQL files, or '-' for standard input", operands[0]);
	if (arguments->input_count > REPORT_INPUTS_MAX)
		return wrong("%zu files: at most %d at a time", arguments->input_count, REPORT_INPUTS_MAX);
	for (i = 0; i < arguments->input_count; i++)
		standard += strcmp(arguments->inputs[i], "-") == 0;
	if (standard > 1)
		return wrong("'-' %zu times: there is only one standard input", standard);
	if (arguments->threads == 0)
		arguments->threads = 1;
	return ARGUMENTS_GOOD;
}

enum arguments_parsed arguments_parse(struct arguments *arguments, int argc, char **argv)
{
	enum { CSV = 1, SQL, THREADS, ACK, CONFIG, SET, JSON, QUIET, HELP };
	static const struct option options[] = {
		{ "csv", required_argument, NULL, CSV },
		{ "sql", required_argument, NULL, SQL },
		{ "threads", required_argument, NULL, THREADS },
		{ "ack", required_argument, NULL, ACK },
		{ "config", required_argument, NULL, CONFIG },
		{ "set", required_argument, NULL, SET },
		{ "json", no_argument, NULL, JSON },
		{ "quiet", no_argument, NULL, QUIET },
		{ "help", no_argument, NULL, HELP },
		{ 0 },
	};
	enum arguments_parsed parsed = ARGUMENTS_GOOD;
	int option;

	memset(arguments, 0, sizeof *arguments);
	arguments->ack = PENSTOCK_ACK_COMMITTED;
	penstock_config_init(&arguments->config);
	/* No list can be longer than the command line. */
	arguments->inputs = calloc((size_t)argc + 1, sizeof *arguments->inputs);
	arguments->pragmas = calloc((size_t)argc + 1, sizeof *arguments->pragmas);
	if (arguments->inputs == NULL || arguments->pragmas == NULL)
		return wrong("out of memory");
	arguments->config.pragmas = arguments->pragmas;
	while (parsed == ARGUMENTS_GOOD && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case CSV:
			arguments->inputs[arguments->input_count++] = optarg;
			break;
		case SQL:
			arguments->sql = optarg;
			break;
		case THREADS:
			parsed = parse_threads(arguments, optarg);
			break;
		case ACK:
			parsed = parse_ack(arguments, optarg);
			break;
		case CONFIG:
			arguments->config.config_file = optarg;
			break;
		case SET:
			parsed = parse_set(arguments, optarg);
			break;
		case JSON:
			arguments->json = true;
			break;
		case QUIET:
			arguments->quiet = true;
			break;
		case HELP:
			fputs(usage, stdout);
			return ARGUMENTS_HELPED;
		default:
			fputs("Try 'penstock run --help'.\n", stderr);
			return ARGUMENTS_WRONG;
		}
	}
	if (parsed != ARGUMENTS_GOOD)
		return parsed;
	return parse_operands(arguments, argc - optind, argv + optind);
}

void arguments_free(struct arguments *arguments)
{
	free(arguments->inputs);
	free(arguments->pragmas);
}

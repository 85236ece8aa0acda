/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/report.h"

#define THREADS_DEFAULT 4
#define BUDGET_DEFAULT 60.0
#define BUDGET_MIN 1.0
#define BUDGET_MAX 86400.0
#define BOUND_MIN 1e-6
#define BOUND_MAX 3600.0
/* What the path of a cluster begins with. */
#define CLUSTER "rqlite://"

static const char usage[] = "Usage: penstock tune [OPTION]... --out FILE DIR\n"
			    "       penstock tune [OPTION]... --workload FILE... --out FILE DIR\n"
			    "       penstock tune [OPTION]... --csv FILE --sql STATEMENT --out FILE DIR\n"
			    "\n"
			    "Finds a configuration for the disk of the folder DIR and a workload: it measures many\n"
			    "in a scratch database there, which is removed, and writes the best to FILE, which\n"
			    "`penstock run --config` and the library read. The durability stays as it is.\n"
			    "DIR may be a cluster, rqlite://HOST:PORT,.../: rows are measured there, in the table\n"
			    "penstock_tune, which is dropped.\n"
			    "\n"
			    "  --out FILE          where the configuration goes\n"
			    "  --workload FILE     SQL statements; may be repeated, each FILE is one producer.\n"
			    "                      Without a workload: rows of 32 bytes\n"
			    "  --csv FILE          the workload: records for --sql\n"
			    "  --sql STATEMENT     what to do with each record: 'INSERT INTO t VALUES(?,?)'\n"
			    "  --setup FILE        SQL statements to run before each trial, unmeasured: the schema\n"
			    "  --threads N         producers of records or rows, 1 to 1024 (default 4)\n"
			    "  --wait              each producer waits for an outcome before its next statement\n"
			    "  --ack LEVEL         as in `penstock run`\n"
			    "  --goal GOAL         throughput (most rows/s, the default), latency (lowest p99) or\n"
			    "                      balanced (most rows/s per p99)\n"
			    "  --p99 TIME          the p99 of the time between submitting and outcome must not\n"
			    "                      exceed this: 2ms\n"
			    "  --budget TIME       how long the whole may take, from 1s to 24h (default 60s)\n"
			    "  --seed N            which configurations are tried (default 1)\n"
			    "  --config FILE       begin with this configuration instead of the defaults\n"
			    "  --set KEY=VALUE     begin with this key or pragmas.NAME; wins over the file\n"
			    "  --json              print all figures as a JSON object\n"
			    "  --quiet             no progress line, no table\n"
			    "  --help              print this\n"
			    "\n"
			    "TIME has a unit: us, ms, s, m or h. The first SIGINT, SIGTERM or SIGHUP ends the\n"
			    "search, and the best so far is written. Exit status: 0 a configuration was written,\n"
			    "2 none was.\n";

static const char *const goals[] = {
	[TUNE_THROUGHPUT] = "throughput",
	[TUNE_LATENCY] = "latency",
	[TUNE_BALANCED] = "balanced",
};

const char *tune_goal_name(enum tune_goal goal)
{
	return goals[goal];
}

static enum options_parsed parse_goal(struct tune_arguments *arguments, const char *text)
{
	size_t i;

	for (i = 0; i < sizeof goals / sizeof *goals; i++)
		if (strcmp(text, goals[i]) == 0) {
			arguments->goal = (enum tune_goal)i;
			return OPTIONS_GOOD;
		}
	return options_wrong(&arguments->common, "--goal %s: no such goal; it is throughput, latency or balanced", text);
}

static enum options_parsed parse_time(const struct options *common, const char *option, const char *text, double min,
                                      double max, const char *range, double *seconds)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = { { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
	char *end = NULL;
	double number = strtod(text, &end);
	size_t i;

	/* strtod also takes signs, blanks, exponents, hexadecimal numbers and words. */
	if (end == text || end != text + strspn(text, "0123456789."))
		return options_wrong(common, "%s %s: not a time; a number and a unit: %s", option, text, range);
	if (*end == '\0')
		return options_wrong(common, "%s %s: without a unit; add us, ms, s, m or h: %sms", option, text, text);
	for (i = 0; i < sizeof units / sizeof *units; i++)
		if (strcmp(end, units[i].name) == 0) {
			*seconds = number * units[i].seconds;
			if (*seconds >= min && *seconds <= max)
				return OPTIONS_GOOD;
			return options_wrong(common, "%s %s: out of range; it is %s", option, text, range);
		}
	return options_wrong(common, "%s %s: there is no unit '%s'; it is us, ms, s, m or h", option, text, end);
}

static enum options_parsed parse_bound(struct tune_arguments *arguments, const char *text)
{
	enum options_parsed parsed =
		parse_time(&arguments->common, "--p99", text, BOUND_MIN, BOUND_MAX, "1us to 1h", &arguments->bound_usec);

	arguments->bound_usec *= 1e6;
	return parsed;
}

static enum options_parsed parse_seed(struct tune_arguments *arguments, const char *text)
{
	char *end;

	errno = 0;
	arguments->seed = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0)
		return OPTIONS_GOOD;
	return options_wrong(&arguments->common, "--seed %s: not a whole number from 0 to 2^64 - 1", text);
}

static bool is_standard(const char *path)
{
	return path != NULL && strcmp(path, "-") == 0;
}

static enum options_parsed check_workload(struct tune_arguments *arguments)
{
	struct workload_files *files = &arguments->files;
	const struct options *common = &arguments->common;
	size_t standard = is_standard(files->csv) + is_standard(files->setup);
	size_t i;

	if (files->csv != NULL && files->sql_file_count > 0)
		return options_wrong(common, "--csv %s: either --csv or --workload, not both", files->csv);
	if (files->csv != NULL && files->statement == NULL)
		return options_wrong(common, "--csv %s: without --sql there is nothing to do with the records", files->csv);
	if (files->csv == NULL && files->statement != NULL)
		return options_wrong(common, "--sql: without --csv there are no records; SQL text is read with --workload");
	if (files->sql_file_count > 0 && common->threads > 0)
		return options_wrong(common, "--threads: not for --workload; each FILE is one producer");
	if (files->sql_file_count >= PLACE_INPUTS_MAX)
		return options_wrong(common, "%zu files: at most %d", files->sql_file_count, PLACE_INPUTS_MAX - 1);
	for (i = 0; i < files->sql_file_count; i++)
		standard += is_standard(files->sql_files[i]);
	if (standard > 1)
		return options_wrong(common, "'-' %zu times: there is only one standard input", standard);
	if (arguments->wait && common->ack == PENSTOCK_ACK_NONE)
		return options_wrong(common, "--wait: with --ack none there is no outcome to wait for");
	files->threads = common->threads > 0 ? common->threads : THREADS_DEFAULT;
	return OPTIONS_GOOD;
}

/* A trial of statements wants a database of its own, which a cluster does not have to spare. */
static enum options_parsed check_cluster(struct tune_arguments *arguments)
{
	const struct workload_files *files = &arguments->files;

	arguments->cluster = strncmp(arguments->folder, CLUSTER, strlen(CLUSTER)) == 0;
	arguments->files.cluster = arguments->cluster;
	if (!arguments->cluster || (files->csv == NULL && files->sql_file_count == 0 && files->setup == NULL))
		return OPTIONS_GOOD;
	return options_wrong(&arguments->common,
	                     "%s: for a cluster there is no --workload, --csv or --setup, which would run on "
	                     "your tables: rows in a table of its own are measured there",
	                     arguments->folder);
}

static enum options_parsed check_operands(struct tune_arguments *arguments, int count, char **operands)
{
	const struct options *common = &arguments->common;

	if (count == 0)
		return options_wrong(common, "no folder: name one on the disk that the database will be on");
	if (count > 1)
		return options_wrong(common, "'%s': there is one folder only; a workload is given with --workload",
		                     operands[1]);
	if (arguments->out == NULL)
		return options_wrong(common, "no --out: name a file for the configuration");
	if (operands[0][0] == '\0')
		return options_wrong(common, "'': an empty name; the folder that you are in is '.'");
	if (arguments->out[0] == '\0')
		return options_wrong(common, "--out '': an empty name; name a file for the configuration");
	if (is_standard(arguments->out))
		return options_wrong(common, "--out -: standard output is for the figures; name a file, this one as ./-");
	arguments->folder = operands[0];
	if (check_cluster(arguments) != OPTIONS_GOOD)
		return OPTIONS_WRONG;
	return check_workload(arguments);
}

enum options_parsed tune_arguments_parse(struct tune_arguments *arguments, int argc, char **argv)
{
	enum { WORKLOAD = 1, CSV, SQL, SETUP, WAIT, GOAL, P99, BUDGET, SEED, OUT, HELP };
	static const struct option options[] = {
		{ "workload", required_argument, NULL, WORKLOAD },
		{ "csv", required_argument, NULL, CSV },
		{ "sql", required_argument, NULL, SQL },
		{ "setup", required_argument, NULL, SETUP },
		{ "wait", no_argument, NULL, WAIT },
		{ "goal", required_argument, NULL, GOAL },
		{ "p99", required_argument, NULL, P99 },
		{ "budget", required_argument, NULL, BUDGET },
		{ "seed", required_argument, NULL, SEED },
		{ "out", required_argument, NULL, OUT },
		OPTIONS_COMMON,
		{ "help", no_argument, NULL, HELP },
		{ 0 },
	};
	struct options *common = &arguments->common;
	struct workload_files *files = &arguments->files;
	enum options_parsed parsed;
	int option;

	memset(arguments, 0, sizeof *arguments);
	arguments->budget = BUDGET_DEFAULT;
	arguments->seed = 1;
	parsed = options_init(common, argc, argv);
	arguments->workloads = calloc((size_t)argc + 1, sizeof *arguments->workloads);
	files->sql_files = arguments->workloads;
	if (parsed == OPTIONS_GOOD && arguments->workloads == NULL)
		parsed = options_wrong(common, "out of memory");
	while (parsed == OPTIONS_GOOD && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case WORKLOAD:
			arguments->workloads[files->sql_file_count++] = optarg;
			break;
		case CSV:
			if (files->csv != NULL)
				parsed = options_wrong(common, "--csv %s: there is '%s' already; one will do", optarg,
				                       files->csv);
			files->csv = optarg;
			break;
		case SQL:
			files->statement = optarg;
			break;
		case SETUP:
			files->setup = optarg;
			break;
		case WAIT:
			arguments->wait = true;
			break;
		case GOAL:
			parsed = parse_goal(arguments, optarg);
			break;
		case P99:
			parsed = parse_bound(arguments, optarg);
			break;
		case BUDGET:
			parsed =
				parse_time(common, "--budget", optarg, BUDGET_MIN, BUDGET_MAX, "1s to 24h", &arguments->budget);
			break;
		case SEED:
			parsed = parse_seed(arguments, optarg);
			break;
		case OUT:
			arguments->out = optarg;
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
	return check_operands(arguments, argc - optind, argv + optind);
}

void tune_arguments_free(struct tune_arguments *arguments)
{
	free(arguments->workloads);
	options_free(&arguments->common);
}

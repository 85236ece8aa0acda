/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tool.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "core/penstock.h"

static const char usage[] = "Usage: penstock run [OPTION]... DB FILE...\n"
			    "       penstock run [OPTION]... --csv FILE... --sql STATEMENT DB\n"
			    "       penstock tune [OPTION]... --out FILE DIR\n"
			    "       penstock config\n"
			    "       penstock --help | --version\n"
			    "\n"
			    "run     executes SQL files, or one statement per CSV record, on an SQLite database:\n"
			    "        one input after the other, or all at once; whatever is there in one transaction\n"
			    "tune    finds a configuration for the disk of a folder and a workload, and writes it\n"
			    "config  prints every configuration key with its default and range, as a file\n"
			    "        that --config takes\n"
			    "\n"
			    "`penstock run --help` and `penstock tune --help` list the options;\n"
			    "`man penstock` tells the rest.\n";

static int finish(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return TOOL_FINE;
	perror("penstock: cannot write to standard output");
	return TOOL_CANNOT;
}

static int print_version(void)
{
	int status;

	printf("penstock %s, SQLite %s\n", penstock_version(), sqlite3_libversion());
	status = finish();
	if (penstock_wal_reset_bug())
		fprintf(stderr,
		        "penstock: warning: SQLite %s has the WAL-reset bug (sqlite.org/wal.html#walresetbug).\n"
		        "Penstock's own connections do not run into it, however many processes have one, but\n"
		        "let no other program checkpoint a database while Penstock writes it (PRAGMA\n"
		        "wal_autocheckpoint=0). SQLite 3.51.3 has it mended.\n",
		        sqlite3_libversion());
	return status;
}

/* Wraps a help text at 76 columns behind "# ". */
static void print_comment(const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (column > 0 && column + 1 + word > 76) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%s%.*s", column == 0 ? "# " : " ", (int)word, text);
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

int tool_config(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	const penstock_config_key *key;
	size_t i;

	switch (getopt_long(argc, argv, "", options, NULL)) {
	case -1:
		break;
	case 'h':
		fputs(usage, stdout);
		return finish();
	default:
		fprintf(stderr, "Try 'penstock --help'.\n");
		return TOOL_CANNOT;
	}
	if (optind < argc) {
		fprintf(stderr, "penstock config: takes no argument, but there is '%s'. Try 'penstock --help'.\n",
		        argv[optind]);
		return TOOL_CANNOT;
	}
	for (i = 0; (key = penstock_config_key_at(i)) != NULL; i++) {
		print_comment(key->help);
		printf("# %s%s\n%s = %s\n\n", key->range_text, key->live ? "; can be changed while running" : "", key->name,
		       key->default_text);
	}
	return finish();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	static struct {
		const char *name;
		char title[16];
		int (*main)(int argc, char **argv);
	} commands[] = {
		{ "run", "penstock run", tool_run },
		{ "tune", "penstock tune", tool_tune },
		{ "config", "penstock config", tool_config },
	};
	const char *name;
	size_t i;

	/* '+': what comes behind the subcommand's name is the subcommand's. */
	switch (getopt_long(argc, argv, "+", options, NULL)) {
	case -1:
		break;
	case 'h':
		fputs(usage, stdout);
		return finish();
	case 'v':
		return print_version();
	default:
		fprintf(stderr, "Try 'penstock --help'.\n");
		return TOOL_CANNOT;
	}
	if (optind == argc) {
		fprintf(stderr, "penstock: no command: 'run', 'tune' or 'config'. Try 'penstock --help'.\n");
		return TOOL_CANNOT;
	}
	name = argv[optind];
	for (i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(name, commands[i].name) == 0) {
			argc -= optind;
			argv += optind;
			argv[0] = commands[i].title;
			optind = 0; /* makes getopt begin anew */
			return commands[i].main(argc, argv);
		}
	fprintf(stderr, "penstock: no command '%s': 'run', 'tune' or 'config'. Try 'penstock --help'.\n", name);
	return TOOL_CANNOT;
}

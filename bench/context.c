/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/context.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/instead.h"
#include "bench/instructions.h"
#include "bench/queue.h"
#include "bench/revision.h"
#include "bench/rows.h"
#include "bench/shim.h"
#include "core/penstock.h"

#define FACTS_MAX 24
#define SYNCS 40
#define CLOCK_READINGS 1000

static struct bench_fact facts[FACTS_MAX];
static size_t fact_count;

static void bench_fact(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void bench_fact(const char *name, const char *format, ...)
{
	va_list arguments;

	if (fact_count == FACTS_MAX) {
		fprintf(stderr, "penstock-bench: raise FACTS_MAX\n");
		exit(1);
	}
	facts[fact_count].name = name;
	va_start(arguments, format);
	vsnprintf(facts[fact_count].value, sizeof facts[fact_count].value, format, arguments);
	va_end(arguments);
	bench_shim_context(name, facts[fact_count++].value);
}

size_t bench_context_count(void)
{
	return fact_count;
}

const struct bench_fact *bench_context_at(size_t index)
{
	return &facts[index];
}

const char *bench_context_value(const char *name)
{
	for (size_t i = 0; i < fact_count; i++) {
		if (strcmp(facts[i].name, name) == 0)
			return facts[i].value;
	}
	return "";
}

void bench_context_print(FILE *file)
{
	for (size_t i = 0; i < fact_count; i++)
		fprintf(file, "%-16s %s\n", facts[i].name, facts[i].value);
}

/* What stands behind `key` and the colon in a file of such lines; false: nothing does. */
static bool bench_line_of(const char *path, const char *key, char *value, size_t bytes)
{
	FILE *file = fopen(path, "r");
	char line[4096];
	bool found = false;

	while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
		const char *colon = strchr(line, ':');

		if (colon == NULL || strncmp(line, key, strlen(key)) != 0)
			continue;
		found = true;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(value, bytes, "%.*s", (int)strcspn(colon, "\n"), colon);
	}
	if (file != NULL)
		fclose(file);
	return found;
}

static void bench_find_machine(void)
{
	char model[200], flags[4096];
	struct utsname system;

	if (!bench_line_of("/proc/cpuinfo", "model name", model, sizeof model))
		snprintf(model, sizeof model, "unknown processor");
	bench_fact("machine", "%ld x %s%s", sysconf(_SC_NPROCESSORS_ONLN), model,
	           bench_line_of("/proc/cpuinfo", "flags", flags, sizeof flags) && strstr(flags, "hypervisor") != NULL
	                   ? ", virtual"
	                   : "");
	if (uname(&system) == 0)
		bench_fact("kernel", "%s %s %s", system.sysname, system.release, system.machine);
}

static void bench_find_pinning(void)
{
	char allowed[200];

	if (bench_line_of("/proc/self/status", "Cpus_allowed_list", allowed, sizeof allowed))
		bench_fact("pinning", "none; the process may run on processors %s of %ld", allowed,
		           sysconf(_SC_NPROCESSORS_CONF));
	else
		bench_fact("pinning", "none");
}

/* ---- the folder for databases ---- */

static const char *bench_parent_folder(void)
{
	const char *parent = getenv("TMPDIR");

	return parent != NULL && parent[0] != '\0' ? parent : "/tmp";
}

static void bench_find_file_system(void)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	char line[4096];
	struct stat status;

	if (mounts == NULL || stat(bench_parent_folder(), &status) != 0) {
		bench_fact("file_system", "unknown: %s", strerror(errno));
		if (mounts != NULL)
			fclose(mounts);
		return;
	}
	while (fgets(line, sizeof line, mounts) != NULL) {
		char point[400], type[100], source[400];
		unsigned most, least;
		const char *behind = strstr(line, " - ");

		if (behind == NULL || sscanf(line, "%*d %*d %u:%u %*s %399s", &most, &least, point) != 3 ||
		    sscanf(behind, " - %99s %399s", type, source) != 2 || makedev(most, least) != status.st_dev)
			continue;
		bench_fact("file_system", "%s, %s mounted at %s; databases are made in %s", type, source, point,
		           bench_parent_folder());
		fclose(mounts);
		return;
	}
	bench_fact("file_system", "unknown: %s is on no mount that can be seen", bench_parent_folder());
	fclose(mounts);
}

static void bench_find_sync(void)
{
	double usec[SYNCS];
	struct bench_spread spread;
	char path[500], block[4096] = { 1 };
	size_t synced = 0;
	int fd;

	snprintf(path, sizeof path, "%s/penstock-bench-sync-XXXXXX", bench_parent_folder());
	fd = mkstemp(path);
	if (fd < 0) {
		bench_fact("fsync", "unknown: %s: %s", path, strerror(errno));
		return;
	}
	unlink(path);
	while (synced < SYNCS) {
		uint64_t before;

		if (write(fd, block, sizeof block) != (ssize_t)sizeof block)
			break;
		before = bench_nsec();
		if (fsync(fd) != 0)
			break;
		usec[synced++] = (double)(bench_nsec() - before) / 1e3;
	}
	if (synced < SYNCS)
		bench_fact("fsync", "unknown: %s", strerror(errno));
	close(fd);
	if (synced < SYNCS)
		return;
	spread = bench_spread_of(usec, synced);
	bench_fact("fsync", "%.0f us (median of %d 4096-byte appends, %.0f to %.0f)", spread.median, SYNCS, spread.min,
	           spread.max);
}

/* ---- the rest ---- */

static void bench_find_clock(void)
{
	uint64_t before = bench_nsec(), after = before;

	for (unsigned i = 0; i < CLOCK_READINGS; i++)
		after = bench_nsec();
	bench_fact("clock", "CLOCK_MONOTONIC, %.0f ns a reading", (double)(after - before) / CLOCK_READINGS);
}

static void bench_find_start(void)
{
	char date[40];
	double load[3];
	time_t now = time(NULL);
	struct tm utc;

	strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
	bench_fact("begun", "%s", date);
	if (getloadavg(load, 3) == 3)
		bench_fact("load_before", "%.2f, %.2f, %.2f over 1, 5 and 15 minutes", load[0], load[1], load[2]);
}

/* ---- the command ---- */

static char command[1000];

/* As one would type it: quoted when the shell would see more in it. */
static void bench_add_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
	bool quoted = word[0] == '\0' || word[strspn(word, plain)] != '\0';
	size_t length = strlen(command);

	snprintf(command + length, sizeof command - length, "%s%s", length > 0 ? " " : "", quoted ? "'" : "");
	for (; *word != '\0'; word++) {
		length = strlen(command);
		snprintf(command + length, sizeof command - length, *word == '\'' ? "'\\''" : "%c", *word);
	}
	length = strlen(command);
	snprintf(command + length, sizeof command - length, "%s", quoted ? "'" : "");
}

void bench_context_command(int argc, char **argv)
{
	static const char *const variables[] = { "TMPDIR", "PENSTOCK_BENCH_QUICK" };
	char setting[300];

	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
		if (getenv(variables[i]) == NULL)
			continue;
		snprintf(setting, sizeof setting, "%s=%s", variables[i], getenv(variables[i]));
		bench_add_word(setting);
	}
	for (int i = 0; i < argc; i++)
		bench_add_word(argv[i]);
}

void bench_context_find(void)
{
	bench_find_start();
	bench_fact("penstock", "%s (%s)", penstock_version(), BENCH_REVISION);
	bench_fact("build", "%s", BENCH_BUILD);
	bench_fact("rounds", bench_quick ? "QUICK: this shows that everything works, not how fast it is" : "full");
	bench_find_machine();
	bench_find_pinning();
	bench_find_file_system();
	bench_find_sync();
	bench_fact("sqlite", "%s, %.19s", sqlite3_libversion(), sqlite3_sourceid());
	bench_fact("c_library", "glibc %s", gnu_get_libc_version());
	bench_fact("compiler", "%s", __VERSION__);
	bench_find_clock();
	bench_fact("instructions", "%s", bench_instructions_how());
	bench_fact("queues", "%s", bench_queues_measured());
	bench_fact("queues_left_out", "%s", bench_queues_left_out());
	bench_fact("writers_left_out", "%s", bench_writers_left_out());
	bench_fact("instead_left_out", "%s", bench_instead_left_out());
	bench_fact("command", "%s", command);
}

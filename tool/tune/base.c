/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/base.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tool/report.h"
#include "tool/tune/files.h"

/* inih's lines are at most 200 bytes, with their ends and our " = ". */
#define FILE_LINE_MAX 180

/* ---- the settings ---- */

static int add(struct tune_base *base, bool pragma, const char *name, const char *value)
{
	char *copy = strdup(value);
	size_t i;

	for (i = 0; i < base->setting_count; i++) {
		struct tune_setting *setting = &base->settings[i];

		if (copy != NULL && setting->pragma == pragma && sqlite3_stricmp(setting->name, name) == 0) {
			free(setting->value);
			setting->value = copy;
			return 1;
		}
	}
	if (base->setting_count % 16 == 0) {
		struct tune_setting *settings = reallocarray(base->settings, base->setting_count + 16, sizeof *settings);

		if (settings == NULL) {
			free(copy);
			return 0;
		}
		base->settings = settings;
	}
	base->settings[i] = (struct tune_setting){ pragma, strdup(name), copy };
	if (base->settings[i].name == NULL || copy == NULL) {
		free(base->settings[i].name);
		free(copy);
		return 0;
	}
	base->setting_count++;
	return 1;
}

static int on_setting(void *user, const char *section, const char *name, const char *value)
{
	/* A password is the library's to read, and not to be copied. */
	if (strcmp(section, "cluster") == 0)
		return 1;
	return add(user, strcmp(section, "pragmas") == 0, name, value);
}

/* An ini_reader: left to itself, inih takes an indented line as one more value of the setting above; the library does not. */
static char *next_line(char *buffer, int room, void *stream)
{
	char *line = NULL;
	size_t bytes = 0;
	size_t blanks;

	if (getline(&line, &bytes, stream) < 0) {
		free(line);
		return NULL;
	}
	blanks = strspn(line, " \t\r");
	snprintf(buffer, (size_t)room, "%s", line + blanks);
	free(line);
	return buffer;
}

static bool read_file(struct tune_base *base, const char *path)
{
	FILE *file = fopen(path, "re");
	int fault;

	if (file == NULL) {
		report_say("cannot open the configuration file %s: %s", path, strerror(errno));
		return false;
	}
	fault = ini_parse_stream(next_line, file, on_setting, base);
	fclose(file);
	if (fault != 0)
		report_say("out of memory for the configuration file %s", path);
	return fault == 0;
}

static bool read_settings(struct tune_base *base, const struct options *options)
{
	bool good = options->config.config_file == NULL || read_file(base, options->config.config_file);
	size_t i;

	for (i = 0; good && i < options->setting_count; i++)
		good = add(base, false, options->settings[i].name, options->settings[i].value);
	for (i = 0; good && i < options->config.pragma_count; i++)
		good = add(base, true, options->pragmas[i].name, options->pragmas[i].value);
	base->pragmas = calloc(base->setting_count + 1, sizeof *base->pragmas);
	return good && base->pragmas != NULL;
}

bool tune_base_is_tuned(const struct tune_setting *setting)
{
	size_t key;

	for (key = 0; key < SPACE_KEYS; key++)
		if (space_is_pragma(key) == setting->pragma && sqlite3_stricmp(space_name(key), setting->name) == 0)
			return true;
	return false;
}

/* What a file says comes back from one; of --set that has to be seen. */
static bool fits_a_file(const struct tune_setting *setting)
{
	const char *value = setting->value;
	size_t bytes = strlen(value);
	size_t i;

	for (i = 0; i < bytes; i++)
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f || (value[i] == ';' && i > 0 && value[i - 1] == ' '))
			return false;
	return bytes > 0 && value[0] != ' ' && value[0] != ';' && value[bytes - 1] != ' ' &&
	       strlen(setting->name) + bytes < FILE_LINE_MAX;
}

/* The struct that the settings make. */
static bool apply_settings(struct tune_base *base)
{
	size_t i;

	penstock_config_init(&base->config);
	base->config.pragmas = base->pragmas;
	for (i = 0; i < base->setting_count; i++) {
		const struct tune_setting *setting = &base->settings[i];

		if (!fits_a_file(setting)) {
			report_say("--set %s: this value cannot stand in a configuration file", setting->name);
			return false;
		}
		if (!setting->pragma && penstock_config_set(&base->config, setting->name, setting->value) != PENSTOCK_OK) {
			report_say("%s", penstock_error_message());
			return false;
		}
		if (setting->pragma && !tune_base_is_tuned(setting))
			base->pragmas[base->config.pragma_count++] =
				(penstock_pragma)PENSTOCK_PRAGMA(setting->name, setting->value);
	}
	return true;
}

/* ---- the values of the tuned keys ---- */

static bool ask(sqlite3 *connection, int64_t values[SPACE_KEYS])
{
	static const struct {
		enum space_key key;
		const char *sql;
	} pragmas[] = { { SPACE_PAGE_SIZE, "PRAGMA page_size" }, { SPACE_CACHE_SIZE, "PRAGMA cache_size" } };
	sqlite3_stmt *statement;
	bool good = true;
	size_t i;

	for (i = 0; good && i < sizeof pragmas / sizeof *pragmas; i++) {
		good = sqlite3_prepare_v2(connection, pragmas[i].sql, -1, &statement, NULL) == SQLITE_OK &&
		       sqlite3_step(statement) == SQLITE_ROW;
		if (good)
			values[pragmas[i].key] = sqlite3_column_int64(statement, 0);
		sqlite3_finalize(statement);
	}
	if (!good)
		report_say("cannot ask SQLite for its pragmas: %s", sqlite3_errmsg(connection));
	return good;
}

/* Has the library check the configuration, in earnest. */
static bool ask_engine(struct tune_base *base, const struct options *options, struct tune_bench *bench)
{
	penstock *db = tune_bench_open(&options->config);
	sqlite3 *connection = NULL;
	bool good;

	if (db == NULL)
		return false;
	if (tune_files_are_cluster()) {
		good = tune_bench_make_table(db);
	} else {
		good = penstock_reader_open(db, &connection) == PENSTOCK_OK;
		if (!good)
			report_say("%s", penstock_error_message());
		good = good && ask(connection, base->values);
		sqlite3_close(connection);
	}
	tune_bench_close(bench, db);
	tune_files_clear();
	return good;
}

static bool ask_sqlite(struct tune_base *base)
{
	sqlite3 *connection = NULL;
	bool good = sqlite3_open(":memory:", &connection) == SQLITE_OK && ask(connection, base->defaults);

	sqlite3_close(connection);
	return good;
}

bool tune_base_read(struct tune_base *base, const struct options *options, struct tune_bench *bench)
{
	const char *path = options->config.config_file;
	struct stat facts;
	size_t key;

	memset(base, 0, sizeof *base);
	if (path != NULL && stat(path, &facts) == 0 && !S_ISREG(facts.st_mode)) {
		report_say("--config %s: not a file; it is read twice, so a pipe will not do", path);
		return false;
	}
	if (!ask_engine(base, options, bench) || !ask_sqlite(base))
		return false;
	if (!read_settings(base, options)) {
		report_say("cannot take over the configuration");
		return false;
	}
	if (!apply_settings(base))
		return false;
	/* What is set by itself wins over it: the password alone comes from there. */
	if (tune_files_are_cluster())
		base->config.config_file = path;
	for (key = 0; key < SPACE_KEYS; key++) {
		if (space_is_pragma(key))
			continue;
		base->defaults[key] = space_default(key);
		base->values[key] = space_value(key, &base->config);
		if (base->values[key] == PENSTOCK_UNSET)
			base->values[key] = base->defaults[key];
	}
	return true;
}

void tune_base_free(struct tune_base *base)
{
	size_t i;

	for (i = 0; i < base->setting_count; i++) {
		free(base->settings[i].name);
		free(base->settings[i].value);
	}
	free(base->settings);
	free(base->pragmas);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.c - fuzzes core/config_file.c and core/options.c
 *
 * The input is a configuration file. The second opinion is a reader of its own, which says which line is the first faulty one;
 * that of a key's value it asks penstock_config_set. Besides:
 *
 *   - every setting handed on stands on the line that its origin names;
 *   - the file up to the line of an error is a good one;
 *   - penstock_config_set takes each key's text to the same value, the resolved values resolve to themselves, and overlay
 *     takes the live ones only;
 *   - "PRAGMA name = value" is one statement to SQLite's own parser, if it is one at all.
 */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "core/config_file.h"
#include "core/options.h"
#include "core/penstock.h"

struct text {
	const char *bytes;
	size_t size;
};

static int file = -1;
static char path[64];

static void write_file(struct text text)
{
	if (file < 0) {
		file = memfd_create("config", MFD_CLOEXEC);
		must(file >= 0);
		snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	}
	must(ftruncate(file, 0) == 0);
	must(pwrite(file, text.bytes, text.size, 0) == (ssize_t)text.size);
}

static int resolve(struct ps_options *options)
{
	penstock_config config;

	penstock_config_init(&config);
	config.config_file = path;
	return ps_options_resolve(options, &config);
}

/* The text of a line from 1, without its end; empty behind the last. */
static struct text line_at(struct text text, int number)
{
	struct text line = { text.bytes, 0 };
	const char *end = text.bytes + text.size;

	for (int i = 1; i < number && line.bytes < end; i++) {
		const char *next = memchr(line.bytes, '\n', (size_t)(end - line.bytes));

		line.bytes = next != NULL ? next + 1 : end;
	}
	while (line.bytes + line.size < end && line.bytes[line.size] != '\n')
		line.size++;
	return line;
}

/* The number behind the file's name in the thread's message. */
static int line_of_error(void)
{
	const char *message = penstock_error_message();
	int line = 0;

	must(strncmp(message, path, strlen(path)) == 0, "%s", message);
	must(sscanf(message + strlen(path), ":%d: ", &line) == 1 && line > 0, "%s", message);
	return line;
}

struct seen {
	struct text text;
	int last;
	penstock_config set; /* what penstock_config_set makes of the keys */
};

static int on_setting(void *context, const struct ps_setting *setting)
{
	struct seen *seen = context;
	struct text line = line_at(seen->text, setting->line);
	char origin[96];
	const char *name;

	must(setting->line > seen->last, "line %d comes after line %d", setting->line, seen->last);
	seen->last = setting->line;
	snprintf(origin, sizeof origin, "%s:%d", path, setting->line);
	must(strcmp(setting->origin, origin) == 0, "%s", setting->origin);
	name = line.size > 0 ? memmem(line.bytes, line.size, setting->name, strlen(setting->name)) : NULL;
	must(name != NULL, "line %d has no \"%s\"", setting->line, setting->name);
	for (const char *blank = line.bytes; blank < name; blank++)
		must(*blank == ' ' || *blank == '\t' || *blank == '\r' || (blank < seen->text.bytes + 3), "line %d",
		     setting->line);
	must(memmem(name, (size_t)(line.bytes + line.size - name), setting->value, strlen(setting->value)) != NULL,
	     "line %d has no value \"%s\"", setting->line, setting->value);
	if (!setting->pragma)
		must(penstock_config_set(&seen->set, setting->name, setting->value) == PENSTOCK_OK, "line %d: %s",
		     setting->line, penstock_error_message());
	return PENSTOCK_OK;
}

/* The values in the order of the struct, which both structs share. */
static int64_t *values_of(penstock_config *config)
{
	return &config->ring_slots;
}

static size_t count_keys(void)
{
	size_t count = 0;

	while (penstock_config_key_at(count) != NULL)
		count++;
	must(count * sizeof(int64_t) == sizeof(struct ps_keys));
	return count;
}

static void check_keys(const struct ps_options *options, const struct seen *seen)
{
	penstock_config again;
	struct ps_options same;
	size_t count = count_keys();

	must(ps_options_resolve(&same, &seen->set) == PENSTOCK_OK, "%s", penstock_error_message());
	must(memcmp(&same.keys, &options->keys, sizeof same.keys) == 0, "the file's keys are not those of penstock_config_set");
	ps_options_free(&same);

	penstock_config_init(&again);
	memcpy(values_of(&again), &options->keys, sizeof options->keys);
	must(ps_options_resolve(&same, &again) == PENSTOCK_OK, "%s", penstock_error_message());
	must(memcmp(&same.keys, &options->keys, sizeof same.keys) == 0, "the values do not resolve to themselves");
	for (size_t i = 0; i < count; i++) {
		struct ps_keys target = same.keys;
		penstock_config one;
		int status;

		penstock_config_init(&one);
		values_of(&one)[i] = ((const int64_t *)&options->keys)[i];
		status = ps_options_overlay(&target, &one);
		must(status == (penstock_config_key_at(i)->live ? PENSTOCK_OK : PENSTOCK_CONFIG), "%s",
		     penstock_config_key_at(i)->name);
		must(memcmp(&target, &same.keys, sizeof target) == 0);
	}
	ps_options_free(&same);
}

/* Some pragmas take effect while they are prepared. */
static int ignore_pragmas(void *arg, int action, const char *a, const char *b, const char *c, const char *d)
{
	(void)arg;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return action == SQLITE_PRAGMA ? SQLITE_IGNORE : SQLITE_DENY;
}

static void check_pragma(const struct ps_pragma *pragma)
{
	static sqlite3 *db;
	sqlite3_stmt *statement = NULL;
	const char *tail = NULL;
	char *sql = sqlite3_mprintf("PRAGMA %s = %s", pragma->name, pragma->value);

	must(sql != NULL);
	if (db == NULL) {
		must(sqlite3_open(":memory:", &db) == SQLITE_OK);
		sqlite3_set_authorizer(db, ignore_pragmas, NULL);
	}
	if (sqlite3_prepare_v2(db, sql, -1, &statement, &tail) == SQLITE_OK)
		must(*tail == '\0', "SQLite sees more than one statement in \"%s\"", sql);
	sqlite3_finalize(statement);
	sqlite3_free(sql);
}

static void check_good(struct text text, const struct ps_options *options)
{
	struct seen seen = { .text = text };

	penstock_config_init(&seen.set);
	must(ps_config_file_read(path, on_setting, &seen) == PENSTOCK_OK, "%s", penstock_error_message());
	check_keys(options, &seen);
	for (size_t i = 0; i < options->pragma_count; i++)
		check_pragma(&options->pragmas[i]);
}

static void check_bad(struct text text)
{
	struct text line = line_at(text, line_of_error());
	struct ps_options options;

	write_file((struct text){ text.bytes, (size_t)(line.bytes - text.bytes) });
	must(resolve(&options) == PENSTOCK_OK, "the file before the error: %s", penstock_error_message());
	ps_options_free(&options);
}

/* ---- the second reader ------------------------------------------------------------------------------------------- */

#define LINE_MAX_BYTES 198
#define SETTINGS_MAX 600

enum section { SECTION_KEYS, SECTION_PRAGMAS, SECTION_CLUSTER };

struct reader {
	enum section section;
	size_t count;
	struct {
		enum section section;
		char name[LINE_MAX_BYTES + 1];
	} settings[SETTINGS_MAX];
};

static bool is_word(const char *text)
{
	bool word = *text != '\0';

	for (; *text != '\0'; text++)
		word = word && (*text == '_' || (*text >= '0' && *text <= '9') || ((*text | 32) >= 'a' && (*text | 32) <= 'z'));
	return word;
}

/* A quoted text of SQL's, the quote doubled inside; a word with dots and maybe a sign. */
static bool is_pragma_value(const char *value)
{
	char dotless[LINE_MAX_BYTES + 1];
	size_t length = strlen(value);

	if (*value == '\'' || *value == '"') {
		for (size_t i = 1; i < length; i++) {
			if (value[i] == *value && value[++i] != *value)
				return i == length;
		}
		return false;
	}
	strcpy(dotless, *value == '-' || *value == '+' ? value + 1 : value);
	for (char *dot = dotless; (dot = strchr(dot, '.')) != NULL;)
		*dot = '0';
	return is_word(dotless);
}

static bool is_bare_or_quoted(const char *value, const char *word)
{
	size_t length = strlen(word);
	bool quoted = *value == '\'' || *value == '"';

	return strlen(value) == length + (quoted ? 2 : 0) && sqlite3_strnicmp(value + quoted, word, (int)length) == 0;
}

static bool is_good_pragma(const char *name, const char *value)
{
	static const char *const refused[] = { "synchronous", "busy_timeout", "wal_autocheckpoint", "wal_checkpoint",
		                               "query_only" };

	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		if (sqlite3_stricmp(name, refused[i]) == 0)
			return false;
	}
	if (sqlite3_stricmp(name, "journal_mode") == 0 && !is_bare_or_quoted(value, "wal"))
		return false;
	if (sqlite3_stricmp(name, "locking_mode") == 0 && !is_bare_or_quoted(value, "normal"))
		return false;
	/* The one key that SQLite has a pragma of the same name for. */
	for (size_t i = 0; penstock_config_key_at(i) != NULL; i++) {
		if (strcmp(name, penstock_config_key_at(i)->name) == 0 && strcmp(name, "trusted_schema") != 0)
			return false;
	}
	return is_word(name) && !(*name >= '0' && *name <= '9') && is_pragma_value(value);
}

static bool is_good_setting(struct reader *reader, const char *name, const char *value)
{
	penstock_config config;

	for (size_t i = 0; i < reader->count; i++) {
		if (reader->settings[i].section == reader->section &&
		    (reader->section == SECTION_PRAGMAS ? sqlite3_stricmp(reader->settings[i].name, name)
		                                        : strcmp(reader->settings[i].name, name)) == 0)
			return false;
	}
	must(reader->count < SETTINGS_MAX);
	reader->settings[reader->count].section = reader->section;
	strcpy(reader->settings[reader->count++].name, name);
	if (reader->section == SECTION_PRAGMAS)
		return is_good_pragma(name, value);
	if (reader->section == SECTION_CLUSTER)
		return strcmp(name, "password") == 0;
	penstock_config_init(&config);
	return penstock_config_set(&config, name, value) == PENSTOCK_OK;
}

/* Where a comment behind a blank begins, or the end. */
static size_t without_comment(const char *text, size_t size)
{
	for (size_t i = 1; i < size; i++) {
		if (text[i] == ';' && (text[i - 1] == ' ' || text[i - 1] == '\t'))
			return i;
	}
	return size;
}

/* A part of a line without the blanks around it. */
static void copy_trimmed(char *to, const char *text, size_t size)
{
	while (size > 0 && (*text == ' ' || *text == '\t')) {
		text++;
		size--;
	}
	while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
		size--;
	memcpy(to, text, size);
	to[size] = '\0';
}

static bool is_good_line(struct reader *reader, const char *line, size_t size)
{
	char name[LINE_MAX_BYTES + 1], value[LINE_MAX_BYTES + 1];
	size_t sign, end;

	while (size > 0 && (*line == ' ' || *line == '\t' || *line == '\r')) {
		line++;
		size--;
	}
	while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t' || line[size - 1] == '\r'))
		size--;
	for (size_t i = 0; i < size; i++) {
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return false;
	}
	if (size > LINE_MAX_BYTES)
		return false;
	if (size == 0 || *line == ';' || *line == '#')
		return true;
	if (*line == '[') {
		static const char *const names[] = { "[penstock]", "[pragmas]", "[cluster]" };
		size_t length = 0;

		for (size_t i = 0; i < COUNT_OF(names); i++)
			if (size >= strlen(names[i]) && memcmp(line, names[i], strlen(names[i])) == 0) {
				length = strlen(names[i]);
				reader->section = (enum section)i;
			}
		copy_trimmed(name, line + length, size - length);
		return length > 0 && (*name == '\0' || *name == ';' || *name == '#');
	}
	end = without_comment(line, size);
	for (sign = 0; sign < end && line[sign] != '=' && line[sign] != ':'; sign++)
		;
	if (sign == end)
		return false;
	copy_trimmed(name, line, sign);
	copy_trimmed(value, line + sign + 1, without_comment(line + sign + 1, size - sign - 1));
	return is_good_setting(reader, name, value);
}

/* The number of the first faulty line, or 0. */
static int first_fault(struct text text)
{
	static struct reader reader;
	int line = 0;

	memset(&reader, 0, sizeof reader);
	if (text.size >= 3 && memcmp(text.bytes, "\xEF\xBB\xBF", 3) == 0)
		text = (struct text){ text.bytes + 3, text.size - 3 };
	while (text.size > 0) {
		const char *newline = memchr(text.bytes, '\n', text.size);
		size_t size = newline != NULL ? (size_t)(newline - text.bytes) : text.size;

		line++;
		if (!is_good_line(&reader, text.bytes, size))
			return line;
		size += newline != NULL;
		text = (struct text){ text.bytes + size, text.size - size };
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text text = { (const char *)data, size };
	struct ps_options options;
	int status, fault;

	if (size > 1024)
		return 0;
	fault = first_fault(text);
	write_file(text);
	status = resolve(&options);
	must(status == PENSTOCK_OK || status == PENSTOCK_CONFIG, "%s", penstock_status_name(status));
	if (status == PENSTOCK_OK) {
		must(fault == 0, "line %d is not good", fault);
		check_good(text, &options);
		ps_options_free(&options);
	} else {
		must(line_of_error() == fault, "not line %d: %s", fault, penstock_error_message());
		check_bad(text);
	}
	return 0;
}

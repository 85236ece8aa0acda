/*
 * config.c - fuzzes core/config_file.c and core/options.c
 *
 * The input is a configuration file. There is no second reader of such files, so what is checked follows from the promises:
 *
 *   - every setting handed on stands on the line that its origin names;
 *   - an error names the first faulty line: the file up to there is a good one, and with the line it is not;
 *   - nothing is skipped: a good file with one more line, an unknown key, fails with that line's number;
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

static void write_file(struct text head, const char *tail)
{
	if (file < 0) {
		file = memfd_create("config", MFD_CLOEXEC);
		must(file >= 0);
		snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	}
	must(ftruncate(file, 0) == 0);
	must(pwrite(file, head.bytes, head.size, 0) == (ssize_t)head.size);
	must(pwrite(file, tail, strlen(tail), (off_t)head.size) == (ssize_t)strlen(tail));
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
		must(*blank == ' ' || *blank == '\t' || *blank == '\r' || (blank < seen->text.bytes + 3), "line %d", setting->line);
	must(memmem(name, (size_t)(line.bytes + line.size - name), setting->value, strlen(setting->value)) != NULL,
	     "line %d has no value \"%s\"", setting->line, setting->value);
	if (!setting->pragma)
		must(penstock_config_set(&seen->set, setting->name, setting->value) == PENSTOCK_OK, "line %d: %s", setting->line,
		     penstock_error_message());
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
	struct ps_options other;
	int lines = 1;
	bool ended;

	penstock_config_init(&seen.set);
	must(ps_config_file_read(path, on_setting, &seen) == PENSTOCK_OK, "%s", penstock_error_message());
	check_keys(options, &seen);
	for (size_t i = 0; i < options->pragma_count; i++)
		check_pragma(&options->pragmas[i]);

	for (size_t i = 0; i < text.size; i++)
		lines += text.bytes[i] == '\n';
	ended = text.size == 0 || text.bytes[text.size - 1] == '\n';
	write_file(text, ended ? "[penstock]\nno_such_key = 1\n" : "\n[penstock]\nno_such_key = 1\n");
	must(resolve(&other) == PENSTOCK_CONFIG);
	must(line_of_error() == (ended ? lines + 1 : lines + 2), "%s", penstock_error_message());
}

static void check_bad(struct text text)
{
	int number = line_of_error();
	struct text line = line_at(text, number);
	struct text before = { text.bytes, (size_t)(line.bytes - text.bytes) };
	struct text with = { text.bytes, before.size + line.size };
	struct ps_options options;

	must(number == 1 || before.size < text.size || line.size > 0, "line %d is behind the end", number);
	write_file(before, "");
	must(resolve(&options) == PENSTOCK_OK, "line %d is not the first: %s", number, penstock_error_message());
	ps_options_free(&options);
	write_file(with, "");
	must(resolve(&options) == PENSTOCK_CONFIG, "line %d is not wrong", number);
	must(line_of_error() == number, "%s", penstock_error_message());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text text = { (const char *)data, size };
	struct ps_options options;
	int status;

	write_file(text, "");
	status = resolve(&options);
	must(status == PENSTOCK_OK || status == PENSTOCK_CONFIG, "%s", penstock_status_name(status));
	if (status == PENSTOCK_OK) {
		check_good(text, &options);
		ps_options_free(&options);
	} else {
		check_bad(text);
	}
	return 0;
}

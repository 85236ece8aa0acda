/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.c - from a config and a file to checked values
 *
 * KEYS below is the only place that knows a key. A value is valid when it lies in the key's range or belongs to one of
 * the key's words; struct, file and penstock_config_set all end in the same check.
 *
 *   1. Every value in a struct ps_keys is valid; a failure leaves the target as it was (overlay) or zeroed (resolve).
 *   2. A field that the caller's struct is too old to have counts as not set. A field that this library is too old to
 *      know must be zero, or the caller would believe in a setting that nobody looks at. An array is walked by the size that its
 *      first struct has.
 *   3. A stored pragma has a name that is an identifier and a value that is one token, so that "PRAGMA name = value" is
 *      one statement; and it is none that the engine sets itself.
 *
 * Failures: see options.h. Messages start with the origin, "FILE:LINE" or "config". A pragma's value is not shown: it
 * may be a secret.
 */
#include "core/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_file.h"
#include "core/error.h"
#include "core/hooks.h"

/* "64 MiB" in the table is this number where a number is wanted, and this text where the user sees it. */
#define KiB *(INT64_C(1) << 10)
#define MiB *(INT64_C(1) << 20)
#define TiB *(INT64_C(1) << 40)

/* Likewise the words. */
enum {
	forever = -1,
	any = -1,
	no = 0,
	yes = 1,
	block = PENSTOCK_WHEN_FULL_BLOCK,
	fail = PENSTOCK_WHEN_FULL_FAIL,
	refuse = PENSTOCK_REFUSE,
	hold = PENSTOCK_HOLD,
	off = PENSTOCK_SYNCHRONOUS_OFF,
	normal = PENSTOCK_SYNCHRONOUS_NORMAL,
	full = PENSTOCK_SYNCHRONOUS_FULL,
	extra = PENSTOCK_SYNCHRONOUS_EXTRA
};

/* Unlike isalpha and isdigit these do not ask the locale. */
#define DIGITS "0123456789"
#define LETTERS "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

struct word {
	const char *text;
	int64_t value;
};

static const struct word no_words[] = { { NULL, 0 } };
static const struct word forever_words[] = { { "forever", forever }, { NULL, 0 } };
static const struct word any_words[] = { { "any", any }, { NULL, 0 } };
static const struct word boolean_words[] = { { "yes", yes }, { "no", no },  { "true", yes }, { "false", no },
	                                     { "on", yes },  { "off", no }, { NULL, 0 } };
static const struct word full_words[] = { { "block", block }, { "fail", fail }, { NULL, 0 } };
static const struct word away_words[] = { { "refuse", refuse }, { "hold", hold }, { NULL, 0 } };
static const struct word synchronous_words[] = {
	{ "off", off }, { "normal", normal }, { "full", full }, { "extra", extra }, { NULL, 0 }
};

/*
 * A range, whose unit is only shown; a range in bytes; a range and one word; words only. None may be built on another:
 * a text has to be taken before the macros in it are replaced.
 */
#define RANGE(least, most, unit) .min = least, .max = most, .words = no_words, .shown.range_text = #least " to " #most unit
#define BYTES(least, most) \
	.min = least, .max = most, .words = no_words, .in_bytes = true, .shown.range_text = #least " to " #most
#define RANGE_OR(least, most, unit, word) \
	.min = least, .max = most, .words = word##_words, .shown.range_text = #least " to " #most unit ", or " #word
#define ONE_OF(list, text) .min = 1, .max = 0, .words = list##_words, .shown.range_text = text

#define FIXED 0
#define LIVE 1

#define KEYS(X)                                                                                                                     \
	X(ring_slots, 16384, RANGE(2, 16777216, ""), FIXED, "slots of the ring, rounded up to a power of two")                      \
	X(ring_bytes, 64 MiB, BYTES(4 KiB, 1 TiB), LIVE,                                                                            \
	  "payload outside the slots that may be queued; one larger submission may enter when nothing else is")                     \
	X(batch_max, 1000, RANGE(1, 1048576, ""), LIVE, "most statements in one transaction")                                       \
	X(batch_bytes, 16 MiB, BYTES(1 KiB, 1 TiB), LIVE, "a transaction ends after this much payload")                             \
	X(batch_usec, 10000, RANGE(0, 60000000, " microseconds"), LIVE, "a transaction ends after this time; 0: no limit")          \
	X(linger_usec, 0, RANGE(0, 1000000, " microseconds"), LIVE, "how long an unfilled batch waits for more; 0: never")          \
	X(when_full, block, ONE_OF(full, "block or fail"), LIVE,                                                                    \
	  "what a submit does when the ring is full: wait for room, or answer FULL")                                                \
	X(when_paused, refuse, ONE_OF(away, "refuse or hold"), LIVE,                                                                \
	  "what a submit does while paused: answer PAUSED, or queue for later")                                                     \
	X(when_stopped, refuse, ONE_OF(away, "refuse or hold"), LIVE,                                                               \
	  "what a submit does after a stop: answer STOPPED, or queue for the next start")                                           \
	X(autostart, yes, ONE_OF(boolean, "yes or no"), FIXED, "penstock_open starts the writer")                                   \
	X(results_timeout_ms, forever, RANGE_OR(0, 2147483647, " milliseconds", forever), LIVE,                                     \
	  "how long PENSTOCK_DEFAULT_TIMEOUT waits")                                                                                \
	X(result_bytes_max, 16 MiB, BYTES(0, 1 TiB), LIVE, "most bytes of rows that one statement may return to its caller")        \
	X(synchronous, full, ONE_OF(synchronous, "off, normal, full or extra"), FIXED,                                              \
	  "SQLite's synchronous of the writer's connection")                                                                        \
	X(busy_timeout_ms, 5000, RANGE(0, 3600000, " milliseconds"), FIXED,                                                         \
	  "how long one attempt waits for another process's lock, and how long every reader does")                                  \
	X(busy_limit_ms, 60000, RANGE(0, 2147483647, " milliseconds"), LIVE,                                                        \
	  "how long the writer keeps trying before the statements fail with SQLITE_BUSY, or connecting with CANTOPEN; 0: for ever") \
	X(wal_bytes_max, 16 MiB, BYTES(64 KiB, 1 TiB), LIVE, "the writer keeps the WAL below this as long as readers let it")       \
	X(statement_cache, 128, RANGE(0, 65536, ""), FIXED, "prepared statements kept for submissions by SQL text")                 \
	X(writer_cpu, any, RANGE_OR(0, 1023, "", any), FIXED, "processor that the writer thread is pinned to")                      \
	X(spin_usec, 100, RANGE(0, 1000000, " microseconds"), LIVE,                                                                 \
	  "how long the writer looks for work, and a lone waiter for its outcome, before they sleep, while that pays")              \
	X(fuse_rows, 32, RANGE(1, 256, ""), FIXED,                                                                                  \
	  "most submissions of one plain INSERT that run as one INSERT of many rows; 1: none")                                      \
	X(defensive, yes, ONE_OF(boolean, "yes or no"), FIXED, "SQLITE_DBCONFIG_DEFENSIVE on every connection")                     \
	X(follow_symlinks, no, ONE_OF(boolean, "yes or no"), FIXED,                                                                 \
	  "a database path that is a symbolic link leads to its file, instead of being refused")                                    \
	X(shared_folder, no, ONE_OF(boolean, "yes or no"), FIXED,                                                                   \
	  "the database may lie in a folder that other users can write to, instead of being refused there")                         \
	X(statement_timeout_ms, 0, RANGE(0, 2147483647, " milliseconds"), FIXED,                                                    \
	  "how long one statement may run before it is interrupted and fails; 0: for ever")                                         \
	X(sql_bytes_max, 1000000000, BYTES(1 KiB, 1000000000), FIXED,                                                               \
	  "longest SQL text on every connection, the texts of the schema among them")                                               \
	X(value_bytes_max, 1000000000, BYTES(1 KiB, 1000000000), FIXED, "longest string, blob or row on every connection")          \
	X(checkpoint_wait_ms, 3000, RANGE(0, 3600000, " milliseconds"), LIVE,                                                       \
	  "longest that the writer once waits for readers, when they keep the WAL from beginning anew; 0: never")                   \
	X(trusted_schema, yes, ONE_OF(boolean, "yes or no"), FIXED,                                                                 \
	  "the schema may call functions that are not innocuous; no is safer with a file from strangers")                           \
	X(turns, yes, ONE_OF(boolean, "yes or no"), FIXED, "engines of several processes take turns at the file")                   \
	X(leave_wal, no, ONE_OF(boolean, "yes or no"), FIXED,                                                                       \
	  "pause, stop and close leave the WAL to whoever opens the database next, instead of bringing it into the database")       \
	X(checkpoint_thread, yes, ONE_OF(boolean, "yes or no"), FIXED,                                                              \
	  "a thread of its own brings the WAL into the database beside the writer; no: the writer does it between batches")

struct key {
	penstock_config_key shown;
	size_t in_config;  /* offset of its int64_t in penstock_config */
	size_t in_keys;    /* and in struct ps_keys */
	int64_t otherwise; /* the default */
	int64_t min;       /* above max: only the words are valid */
	int64_t max;
	const struct word *words; /* up to one without text */
	bool in_bytes;
};

static const struct key keys[] = {
#define KEY(name_, default_, range_, live_, help_)       \
	{ .shown.name = #name_,                          \
	  .shown.default_text = #default_,               \
	  .shown.help = help_,                           \
	  .shown.live = live_,                           \
	  .in_config = offsetof(penstock_config, name_), \
	  .in_keys = offsetof(struct ps_keys, name_),    \
	  .otherwise = default_,                         \
	  range_ },
	KEYS(KEY)
#undef KEY
};

#define KEY_COUNT (sizeof keys / sizeof keys[0])

_Static_assert(sizeof(struct ps_keys) == KEY_COUNT * sizeof(int64_t), "struct ps_keys and KEYS name the same keys");

/* The first versions of the structs. */
#define CONFIG_BYTES_MIN (offsetof(penstock_config, config_file) + sizeof(const char *))
#define PRAGMA_BYTES_MIN (offsetof(penstock_pragma, value) + sizeof(const char *))
/* No version of a struct comes near: a larger size is memory that nobody initialized. */
#define STRUCT_BYTES_MAX 65536

#define PRAGMAS_MAX 1000

/* Of a cluster's user, unless the file has it. */
#define PASSWORD "PENSTOCK_CLUSTER_PASSWORD"

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int64_t *at(void *base, size_t offset)
{
	return (int64_t *)((char *)base + offset);
}

static bool is_valid(const struct key *key, int64_t value)
{
	const struct word *word;

	if (value >= key->min && value <= key->max)
		return true;
	for (word = key->words; word->text != NULL; word++) {
		if (word->value == value)
			return true;
	}
	return false;
}

/* "k", "KiB" and so on. "KB" is left out on purpose: it means 1000 to some and 1024 to others. */
static bool read_unit(const char *text, int64_t *unit)
{
	static const struct word units[] = {
		{ "k", INT64_C(1) << 10 }, { "KiB", INT64_C(1) << 10 }, { "M", INT64_C(1) << 20 }, { "MiB", INT64_C(1) << 20 },
		{ "G", INT64_C(1) << 30 }, { "GiB", INT64_C(1) << 30 }, { "T", INT64_C(1) << 40 }, { "TiB", INT64_C(1) << 40 },
	};

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (sqlite3_stricmp(text, units[i].text) == 0) {
			*unit = units[i].value;
			return true;
		}
	}
	return false;
}

static bool read_integer(const char *text, bool in_bytes, int64_t *value)
{
	const char *digits = text + (*text == '-' || *text == '+');
	int64_t unit;
	char *end;

	if (strspn(digits, DIGITS) == 0)
		return false; /* strtoll would also take white space */
	errno = 0;
	*value = strtoll(text, &end, 10);
	if (errno != 0)
		return false;
	if (*end == '\0')
		return true;
	return in_bytes && read_unit(end + strspn(end, " "), &unit) && !__builtin_mul_overflow(*value, unit, value);
}

static int read_value(const struct key *key, const char *origin, const char *text, int64_t *value)
{
	const struct word *word;

	for (word = key->words; word->text != NULL; word++) {
		if (sqlite3_stricmp(word->text, text) == 0) {
			*value = word->value;
			return PENSTOCK_OK;
		}
	}
	if (!read_integer(text, key->in_bytes, value) || !is_valid(key, *value))
		return ps_error(PENSTOCK_CONFIG, "%s: %s must be %s, not '%.100s'", origin, key->shown.name,
		                key->shown.range_text, text);
	return PENSTOCK_OK;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (strcmp(keys[i].shown.name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

#define NAME_MAX_COMPARED 32

/* Levenshtein's distance, letters of either case being the same; no name is longer than NAME_MAX_COMPARED. */
static size_t distance(const char *left, const char *right)
{
	size_t length = strlen(right);
	size_t row[NAME_MAX_COMPARED + 1];

	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 1; left[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t best = diagonal + (sqlite3_strnicmp(&left[i - 1], &right[j - 1], 1) != 0);

			diagonal = row[j];
			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j - 1] + 1)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[length];
}

/* The key that may have been meant, or NULL. */
static const char *nearest(const char *name)
{
	const char *found = NULL;
	size_t least = NAME_MAX_COMPARED;

	if (strlen(name) > NAME_MAX_COMPARED)
		return NULL;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		size_t apart = distance(keys[i].shown.name, name);

		if (apart < least && apart <= strlen(keys[i].shown.name) / 4 + 1) {
			least = apart;
			found = keys[i].shown.name;
		}
	}
	return found;
}

static int unknown_key(const char *origin, const char *name)
{
	const char *near = nearest(name);

	if (near != NULL)
		return ps_error(PENSTOCK_CONFIG, "%s: unknown key '%.100s'; is it %s?", origin, name, near);
	return ps_error(PENSTOCK_CONFIG,
	                "%s: unknown key '%.100s' (`penstock config` lists them; SQLite's pragmas go"
	                " under [pragmas])",
	                origin, name);
}

/* ---- pragmas ----------------------------------------------------------------------------------------------------- */

/*
 * What the engine decides for itself, and the one value, if any, that does no harm. Unlike wal, normal is run: a build
 * of SQLite may have another default.
 */
static const struct managed {
	const char *name;
	const char *harmless;
	const char *why;
} managed_pragmas[] = {
	{ "journal_mode", "wal", "Penstock needs WAL" },
	{ "locking_mode", "normal", "readers need the file too; only normal is possible" },
	{ "query_only", NULL, "the writer has to write, and readers have it on already" },
	{ "synchronous", NULL, "set the key synchronous instead" },
	{ "busy_timeout", NULL, "set the key busy_timeout_ms instead" },
	{ "wal_autocheckpoint", NULL, "the writer checkpoints; set the key wal_bytes_max instead" },
	{ "wal_checkpoint", NULL, "only the writer checkpoints; set the key wal_bytes_max instead" },
};

static bool is_identifier(const char *text)
{
	return strspn(text, LETTERS) > 0 && text[strspn(text, LETTERS DIGITS)] == '\0';
}

static bool is_quoted(const char *text)
{
	char quote = *text;

	if (quote != '\'' && quote != '"')
		return false;
	for (text++; *text != '\0'; text++) {
		if (*text != quote)
			continue;
		if (text[1] != quote)
			return text[1] == '\0';
		text++;
	}
	return false;
}

/* A number, a word or a quoted text: nothing that could end the statement. */
static bool is_token(const char *text)
{
	if (is_quoted(text))
		return true;
	text += *text == '-' || *text == '+';
	return *text != '\0' && text[strspn(text, LETTERS DIGITS ".")] == '\0';
}

/* Compares as SQLite does: quotes or none, either case. */
static bool value_is(const char *value, const char *word)
{
	size_t length = strlen(value);

	if (is_quoted(value)) {
		value++;
		length -= 2;
	}
	return length == strlen(word) && sqlite3_strnicmp(value, word, length) == 0;
}

bool ps_options_is_late_pragma(const char *name)
{
	return sqlite3_stricmp(name, "trusted_schema") == 0;
}

static int check_pragma(const char *origin, const char *name, const char *value)
{
	if (!is_identifier(name))
		return ps_error(PENSTOCK_CONFIG, "%s: '%.100s' is no name of a pragma", origin, name);
	for (size_t i = 0; i < sizeof managed_pragmas / sizeof managed_pragmas[0]; i++) {
		const struct managed *managed = &managed_pragmas[i];

		if (sqlite3_stricmp(managed->name, name) == 0 &&
		    !(managed->harmless != NULL && value_is(value, managed->harmless)))
			return ps_error(PENSTOCK_CONFIG, "%s: pragma %s is refused: %s", origin, name, managed->why);
	}
	/* SQLite ignores a pragma that it does not know, and so the key would do nothing. One it does know. */
	if (find_key(name) != NULL && !ps_options_is_late_pragma(name))
		return ps_error(PENSTOCK_CONFIG,
		                "%s: %s is a key of Penstock and no pragma; in a file it goes to the"
		                " top or under [penstock]",
		                origin, name);
	if (!is_token(value))
		return ps_error(PENSTOCK_CONFIG, "%s: the value of pragma %s must be one number, word or quoted text", origin,
		                name);
	return PENSTOCK_OK;
}

static void free_pragma(struct ps_pragma *pragma)
{
	free(pragma->name);
	free(pragma->value);
	free(pragma->origin);
}

static int add_pragma(struct ps_options *options, const char *origin, const char *name, const char *value)
{
	struct ps_pragma *pragmas;
	struct ps_pragma pragma;

	if (options->pragma_count == PRAGMAS_MAX)
		return ps_error(PENSTOCK_CONFIG, "%s: more than %d pragmas", origin, PRAGMAS_MAX);
	pragma.name = strdup(name);
	pragma.value = strdup(value);
	pragma.origin = strdup(origin);
	pragmas = reallocarray(options->pragmas, options->pragma_count + 1, sizeof *pragmas);
	if (pragmas != NULL)
		options->pragmas = pragmas;
	if (pragma.name == NULL || pragma.value == NULL || pragma.origin == NULL || pragmas == NULL) {
		free_pragma(&pragma);
		return ps_refuse(PENSTOCK_NOMEM);
	}
	pragmas[options->pragma_count++] = pragma;
	return PENSTOCK_OK;
}

static bool is_journal_mode(const char *name)
{
	return sqlite3_stricmp(name, "journal_mode") == 0;
}

/* The first one's size is that of all. */
static int check_pragma_size(const penstock_pragma *pragma, size_t index, size_t size)
{
	char what[40];

	snprintf(what, sizeof what, "pragmas[%zu]", index);
	if (pragma->struct_size != size)
		return ps_error(PENSTOCK_MISUSE,
		                "config: struct_size of %s is %zu, and of the first %zu; set them by PENSTOCK_PRAGMA", what,
		                pragma->struct_size, size);
	if (size < PRAGMA_BYTES_MIN || size > STRUCT_BYTES_MAX || size % _Alignof(penstock_pragma) != 0)
		return ps_error(PENSTOCK_MISUSE,
		                "config: struct_size of %s is %zu, which is no version of penstock_pragma; set it by"
		                " PENSTOCK_PRAGMA",
		                what, size);
	return ps_check_tail("config: ", what, pragma, size, sizeof *pragma);
}

static int add_config_pragmas(struct ps_options *options, const penstock_config *config)
{
	if (config->pragma_count > 0 && config->pragmas == NULL)
		return ps_error(PENSTOCK_MISUSE, "config: pragma_count is %zu, but pragmas is NULL", config->pragma_count);
	for (size_t i = 0; i < config->pragma_count; i++) {
		size_t size = config->pragmas->struct_size;
		const penstock_pragma *pragma = (const void *)((const char *)config->pragmas + i * size);
		int status = check_pragma_size(pragma, i, size);

		if (status != PENSTOCK_OK)
			return status;
		if (pragma->name == NULL || pragma->value == NULL)
			return ps_error(PENSTOCK_MISUSE, "config: pragmas[%zu] has no %s", i,
			                pragma->name == NULL ? "name" : "value");
		status = check_pragma("config", pragma->name, pragma->value);
		if (status == PENSTOCK_OK && !is_journal_mode(pragma->name))
			status = add_pragma(options, "config", pragma->name, pragma->value);
		if (status != PENSTOCK_OK)
			return status;
	}
	return PENSTOCK_OK;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

struct from_file {
	struct ps_options *options;
	int64_t values[KEY_COUNT];
	int lines[KEY_COUNT]; /* 0: not set */
	int journal_mode_line;
	int password_line;
};

static int set_twice(const struct ps_setting *setting, int first)
{
	return ps_error(PENSTOCK_CONFIG, "%s: %s is already set on line %d", setting->origin, setting->name, first);
}

static int pragma_from_file(struct from_file *file, const struct ps_setting *setting)
{
	const struct ps_options *options = file->options;
	int status = check_pragma(setting->origin, setting->name, setting->value);

	if (status != PENSTOCK_OK)
		return status;
	if (is_journal_mode(setting->name)) {
		if (file->journal_mode_line != 0)
			return set_twice(setting, file->journal_mode_line);
		file->journal_mode_line = setting->line;
		return PENSTOCK_OK;
	}
	for (size_t i = 0; i < options->pragma_count; i++) {
		if (sqlite3_stricmp(options->pragmas[i].name, setting->name) == 0)
			return ps_error(PENSTOCK_CONFIG, "%s: pragma %s is already set at %s", setting->origin, setting->name,
			                options->pragmas[i].origin);
	}
	return add_pragma(file->options, setting->origin, setting->name, setting->value);
}

static int password_from_file(struct from_file *file, const struct ps_setting *setting)
{
	if (strcmp(setting->name, "password") != 0)
		return ps_error(PENSTOCK_CONFIG, "%s: unknown key '%.100s'; [cluster] has password alone", setting->origin,
		                setting->name);
	if (file->password_line != 0)
		return set_twice(setting, file->password_line);
	file->password_line = setting->line;
	file->options->cluster_password = strdup(setting->value);
	return file->options->cluster_password != NULL ? PENSTOCK_OK : ps_refuse(PENSTOCK_NOMEM);
}

static int on_setting(void *context, const struct ps_setting *setting)
{
	struct from_file *file = context;
	const struct key *key;
	size_t index;

	if (setting->pragma)
		return pragma_from_file(file, setting);
	if (setting->cluster)
		return password_from_file(file, setting);
	key = find_key(setting->name);
	if (key == NULL)
		return unknown_key(setting->origin, setting->name);
	index = key - keys;
	if (file->lines[index] != 0)
		return set_twice(setting, file->lines[index]);
	file->lines[index] = setting->line;
	return read_value(key, setting->origin, setting->value, &file->values[index]);
}

/* ---- the struct -------------------------------------------------------------------------------------------------- */

void penstock_config_init_size(penstock_config *config, size_t struct_size)
{
	if (config == NULL || struct_size < sizeof config->struct_size)
		return;
	memset(config, 0, struct_size);
	config->struct_size = struct_size;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (keys[i].in_config + sizeof(int64_t) <= struct_size)
			*at(config, keys[i].in_config) = PENSTOCK_UNSET;
	}
}

static int check_struct_size(const penstock_config *config)
{
	if (config->struct_size < CONFIG_BYTES_MIN || config->struct_size > STRUCT_BYTES_MAX ||
	    config->struct_size % _Alignof(penstock_config) != 0)
		return ps_error(PENSTOCK_MISUSE,
		                "config: struct_size is %zu, which is no version of penstock_config;"
		                " call penstock_config_init first",
		                config->struct_size);
	return PENSTOCK_OK;
}

/* Brings a struct of any version to this one, its keys checked. */
static int take_config(penstock_config *own, const penstock_config *config)
{
	size_t known;
	int status;

	penstock_config_init(own);
	if (config == NULL)
		return PENSTOCK_OK;
	status = check_struct_size(config);
	if (status != PENSTOCK_OK)
		return status;
	status = ps_check_tail("config: ", "the struct", config, config->struct_size, sizeof *own);
	if (status != PENSTOCK_OK)
		return status;
	known = config->struct_size < sizeof *own ? config->struct_size : sizeof *own;
	memcpy(own, config, known);
	own->struct_size = sizeof *own;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		int64_t value = *at(own, keys[i].in_config);

		if (value != PENSTOCK_UNSET && !is_valid(&keys[i], value))
			return ps_error(PENSTOCK_CONFIG,
			                "config: %s must be %s, not %" PRId64 " (when it is not to be"
			                " set: PENSTOCK_UNSET, as penstock_config_init leaves it)",
			                keys[i].shown.name, keys[i].shown.range_text, value);
	}
	return PENSTOCK_OK;
}

int penstock_config_set(penstock_config *config, const char *name, const char *value)
{
	const struct key *key;
	int64_t number;
	int status;

	if (config == NULL || name == NULL || value == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_config_set needs a config, a key and a value");
	status = check_struct_size(config);
	if (status != PENSTOCK_OK)
		return status;
	key = find_key(name);
	if (key == NULL)
		return unknown_key("config", name);
	if (key->in_config + sizeof(int64_t) > config->struct_size)
		return ps_error(PENSTOCK_CONFIG, "config: the program's penstock.h is too old to have the key %s", name);
	status = read_value(key, "config", value, &number);
	if (status == PENSTOCK_OK)
		*at(config, key->in_config) = number;
	return status;
}

const penstock_config_key *penstock_config_key_at(size_t index)
{
	return index < KEY_COUNT ? &keys[index].shown : NULL;
}

/* ---- both together ----------------------------------------------------------------------------------------------- */

static int64_t power_of_two(int64_t asked)
{
	int64_t rounded = 1;

	while (rounded < asked)
		rounded *= 2;
	return rounded;
}

int ps_options_resolve(struct ps_options *options, const penstock_config *config)
{
	struct from_file file = { .options = options };
	penstock_config own;
	int status = take_config(&own, config);

	memset(options, 0, sizeof *options);
	if (status == PENSTOCK_OK && own.config_file != NULL)
		status = ps_config_file_read(own.config_file, on_setting, &file);
	if (status == PENSTOCK_OK)
		status = add_config_pragmas(options, &own);
	if (status == PENSTOCK_OK && options->cluster_password == NULL && secure_getenv(PASSWORD) != NULL) {
		options->cluster_password = strdup(secure_getenv(PASSWORD));
		if (options->cluster_password == NULL)
			status = ps_refuse(PENSTOCK_NOMEM);
	}
	if (status == PENSTOCK_OK) {
		options->hooks = ps_hooks_new();
		if (options->hooks == NULL)
			status = ps_error(PENSTOCK_NOMEM, "out of memory reading the configuration");
	}
	if (status != PENSTOCK_OK) {
		ps_options_free(options);
		return status;
	}
	for (size_t i = 0; i < KEY_COUNT; i++) {
		int64_t value = *at(&own, keys[i].in_config);

		if (value == PENSTOCK_UNSET)
			value = file.lines[i] != 0 ? file.values[i] : keys[i].otherwise;
		*at(&options->keys, keys[i].in_keys) = value;
	}
	options->ring_slots_asked = options->keys.ring_slots;
	options->keys.ring_slots = power_of_two(options->ring_slots_asked);
	options->connect_hook = own.connect_hook;
	options->connect_arg = own.connect_arg;
	options->on_error = own.on_error;
	options->on_error_arg = own.on_error_arg;
	options->log = own.log;
	options->log_arg = own.log_arg;
	return PENSTOCK_OK;
}

int ps_options_overlay(struct ps_keys *target, const penstock_config *config)
{
	struct ps_keys changed = *target;
	penstock_config own;
	int status;

	if (config == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_reconfigure needs a config");
	status = take_config(&own, config);
	if (status != PENSTOCK_OK)
		return status;
	if (own.config_file != NULL || own.pragmas != NULL || own.pragma_count != 0 || own.connect_hook != NULL ||
	    own.connect_arg != NULL || own.on_error != NULL || own.on_error_arg != NULL || own.log != NULL ||
	    own.log_arg != NULL)
		return ps_error(PENSTOCK_CONFIG, "config: only keys can change while the engine is open, not the file,"
		                                 " pragmas, hooks or callbacks");
	for (size_t i = 0; i < KEY_COUNT; i++) {
		int64_t value = *at(&own, keys[i].in_config);

		if (value == PENSTOCK_UNSET)
			continue;
		if (!keys[i].shown.live)
			return ps_error(PENSTOCK_CONFIG, "config: %s cannot change while the engine is open",
			                keys[i].shown.name);
		*at(&changed, keys[i].in_keys) = value;
	}
	*target = changed;
	return PENSTOCK_OK;
}

void ps_options_free(struct ps_options *options)
{
	for (size_t i = 0; i < options->pragma_count; i++)
		free_pragma(&options->pragmas[i]);
	free(options->pragmas);
	ps_hooks_free(options->hooks);
	if (options->cluster_password != NULL)
		explicit_bzero(options->cluster_password, strlen(options->cluster_password));
	free(options->cluster_password);
	memset(options, 0, sizeof *options);
}

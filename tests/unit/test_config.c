/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys, the configuration struct and the configuration file. The tables below repeat what users were promised: they are
 * written out on purpose and not taken from the table in core/options.c.
 */
#include "tests/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/options.h"

#define MIB ((int64_t)1 << 20)
#define TIB ((int64_t)1 << 40)
#define INT31 ((int64_t)INT32_MAX)

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct promise {
	const char *name;
	size_t in_config;
	size_t in_keys;
	int64_t standard;
	int64_t min;
	int64_t max;
	int live;
	const char *default_text;
	const char *range_text;
} promises[] = {
#define AT(name) #name, offsetof(penstock_config, name), offsetof(struct ps_keys, name)
	{ AT(ring_slots), 16384, 2, 16777216, 0, "16384", "2 to 16777216" },
	{ AT(ring_bytes), 64 * MIB, 4096, TIB, 1, "64 MiB", "4 KiB to 1 TiB" },
	{ AT(batch_max), 1000, 1, 1048576, 1, "1000", "1 to 1048576" },
	{ AT(batch_bytes), 16 * MIB, 1024, TIB, 1, "16 MiB", "1 KiB to 1 TiB" },
	{ AT(batch_usec), 10000, 0, 60000000, 1, "10000", "0 to 60000000 microseconds" },
	{ AT(linger_usec), 0, 0, 1000000, 1, "0", "0 to 1000000 microseconds" },
	{ AT(when_full), PENSTOCK_WHEN_FULL_BLOCK, 0, 1, 1, "block", "block or fail" },
	{ AT(when_paused), PENSTOCK_REFUSE, 0, 1, 1, "refuse", "refuse or hold" },
	{ AT(when_stopped), PENSTOCK_REFUSE, 0, 1, 1, "refuse", "refuse or hold" },
	{ AT(autostart), 1, 0, 1, 0, "yes", "yes or no" },
	{ AT(results_timeout_ms), -1, -1, INT31, 1, "forever", "0 to 2147483647 milliseconds, or forever" },
	{ AT(result_bytes_max), 16 * MIB, 0, TIB, 1, "16 MiB", "0 to 1 TiB" },
	{ AT(synchronous), PENSTOCK_SYNCHRONOUS_FULL, 0, 3, 0, "full", "off, normal, full or extra" },
	{ AT(busy_timeout_ms), 5000, 0, 3600000, 0, "5000", "0 to 3600000 milliseconds" },
	{ AT(busy_limit_ms), 60000, 0, INT31, 1, "60000", "0 to 2147483647 milliseconds" },
	{ AT(wal_bytes_max), 16 * MIB, 65536, TIB, 1, "16 MiB", "64 KiB to 1 TiB" },
	{ AT(statement_cache), 128, 0, 65536, 0, "128", "0 to 65536" },
	{ AT(writer_cpu), -1, -1, 1023, 0, "any", "0 to 1023, or any" },
	{ AT(spin_usec), 100, 0, 1000000, 1, "100", "0 to 1000000 microseconds" },
	{ AT(fuse_rows), 32, 1, 256, 0, "32", "1 to 256" },
	{ AT(defensive), 1, 0, 1, 0, "yes", "yes or no" },
	{ AT(follow_symlinks), 0, 0, 1, 0, "no", "yes or no" },
	{ AT(shared_folder), 0, 0, 1, 0, "no", "yes or no" },
	{ AT(statement_timeout_ms), 0, 0, INT31, 0, "0", "0 to 2147483647 milliseconds" },
	{ AT(sql_bytes_max), 1000000000, 1024, 1000000000, 0, "1000000000", "1 KiB to 1000000000" },
	{ AT(value_bytes_max), 1000000000, 1024, 1000000000, 0, "1000000000", "1 KiB to 1000000000" },
	{ AT(checkpoint_wait_ms), 3000, 0, 3600000, 1, "3000", "0 to 3600000 milliseconds" },
	{ AT(trusted_schema), 1, 0, 1, 0, "yes", "yes or no" },
	{ AT(turns), 1, 0, 1, 0, "yes", "yes or no" },
	{ AT(leave_wal), 0, 0, 1, 0, "no", "yes or no" },
	{ AT(checkpoint_thread), 1, 0, 1, 0, "yes", "yes or no" },
#undef AT
};

static int64_t *in_config(penstock_config *config, const struct promise *promise)
{
	return (int64_t *)((char *)config + promise->in_config);
}

static int64_t in_keys(const struct ps_keys *keys, const struct promise *promise)
{
	return *(const int64_t *)((const char *)keys + promise->in_keys);
}

static const struct promise *find_promise(const char *name)
{
	for (size_t i = 0; i < COUNT(promises); i++) {
		if (strcmp(promises[i].name, name) == 0)
			return &promises[i];
	}
	cr_assert_fail("no key %s in the test's table", name);
	abort();
}

static void expect_status(int got, int wanted)
{
	cr_assert_eq(got, wanted, "%s, not %s: %s", penstock_status_name(got), penstock_status_name(wanted),
	             penstock_error_message());
}

static void expect_message(const char *part)
{
	cr_assert_not_null(strstr(penstock_error_message(), part), "no \"%s\" in \"%s\"", part, penstock_error_message());
}

static void expect_no_message(const char *part)
{
	cr_assert_null(strstr(penstock_error_message(), part), "\"%s\" in \"%s\"", part, penstock_error_message());
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static const char *path;

static void name_file(void)
{
	path = harness_path("app.ini");
}

TestSuite(config, .init = name_file, .fini = harness_end);

static void write_bytes(const void *bytes, size_t count)
{
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	cr_assert_eq(fwrite(bytes, 1, count, file), count);
	cr_assert_eq(fclose(file), 0);
}

static int resolve_file(struct ps_options *options, const char *text)
{
	penstock_config config;

	write_bytes(text, strlen(text));
	penstock_config_init(&config);
	config.config_file = path;
	return ps_options_resolve(options, &config);
}

static void expect_keys(const char *text, int64_t batch_max, int64_t linger_usec)
{
	struct ps_options options;

	expect_status(resolve_file(&options, text), PENSTOCK_OK);
	cr_assert_eq(options.keys.batch_max, batch_max);
	cr_assert_eq(options.keys.linger_usec, linger_usec);
	ps_options_free(&options);
}

/* line 0: the file is named without one. */
static void expect_file_error(const char *text, int line, const char *part)
{
	struct ps_options options;
	char origin[128];

	expect_status(resolve_file(&options, text), PENSTOCK_CONFIG);
	if (line > 0)
		snprintf(origin, sizeof origin, "%s:%d: ", path, line);
	else
		snprintf(origin, sizeof origin, "%s: ", path);
	expect_message(origin);
	expect_message(part);
	cr_assert_null(options.pragmas);
	cr_assert_eq(options.pragma_count, 0);
}

static void expect_pragma(const struct ps_options *options, size_t index, const char *name, const char *value,
                          const char *origin)
{
	cr_assert_lt(index, options->pragma_count);
	cr_assert_str_eq(options->pragmas[index].name, name);
	cr_assert_str_eq(options->pragmas[index].value, value);
	cr_assert_str_eq(options->pragmas[index].origin, origin);
}

static int resolve_pragma(struct ps_options *options, const char *name, const char *value)
{
	penstock_pragma pragma = PENSTOCK_PRAGMA(name, value);
	penstock_config config;

	penstock_config_init(&config);
	config.pragmas = &pragma;
	config.pragma_count = 1;
	return ps_options_resolve(options, &config);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

Test(config, lists_every_key_once_with_its_texts)
{
	cr_assert_eq(sizeof(struct ps_keys), COUNT(promises) * sizeof(int64_t));
	for (size_t i = 0; i < COUNT(promises); i++) {
		const penstock_config_key *key = penstock_config_key_at(i);

		cr_assert_not_null(key);
		cr_assert_str_eq(key->name, promises[i].name);
		cr_assert_str_eq(key->default_text, promises[i].default_text);
		cr_assert_str_eq(key->range_text, promises[i].range_text);
		cr_assert_eq(key->live, promises[i].live, "%s", key->name);
		cr_assert_gt(strlen(key->help), 10);
		cr_assert_null(strchr(key->help, '\n'));
	}
	cr_assert_null(penstock_config_key_at(COUNT(promises)));
	cr_assert_null(penstock_config_key_at(SIZE_MAX));
}

Test(config, no_config_means_the_defaults)
{
	struct ps_options options;

	memset(&options, 0x5a, sizeof options);
	expect_status(ps_options_resolve(&options, NULL), PENSTOCK_OK);
	for (size_t i = 0; i < COUNT(promises); i++)
		cr_assert_eq(in_keys(&options.keys, &promises[i]), promises[i].standard, "%s", promises[i].name);
	cr_assert_eq(options.ring_slots_asked, 16384);
	cr_assert_eq(options.pragma_count, 0);
	cr_assert_null(options.connect_hook);
	cr_assert_null(options.on_error);
	cr_assert_null(options.log);
	ps_options_free(&options);
}

Test(config, unset_keys_have_the_defaults)
{
	struct ps_options options;
	penstock_config config;

	penstock_config_init(&config);
	for (size_t i = 0; i < COUNT(promises); i++)
		cr_assert_eq(*in_config(&config, &promises[i]), PENSTOCK_UNSET);
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_OK);
	for (size_t i = 0; i < COUNT(promises); i++)
		cr_assert_eq(in_keys(&options.keys, &promises[i]), promises[i].standard, "%s", promises[i].name);
	ps_options_free(&options);
}

Test(config, default_texts_are_the_defaults)
{
	for (size_t i = 0; i < COUNT(promises); i++) {
		penstock_config config;

		penstock_config_init(&config);
		expect_status(penstock_config_set(&config, promises[i].name, promises[i].default_text), PENSTOCK_OK);
		cr_assert_eq(*in_config(&config, &promises[i]), promises[i].standard, "%s", promises[i].name);
	}
}

static int resolve_key(const struct promise *promise, int64_t value, int64_t *resolved)
{
	struct ps_options options;
	penstock_config config;
	int status;

	penstock_config_init(&config);
	*in_config(&config, promise) = value;
	status = ps_options_resolve(&options, &config);
	if (status != PENSTOCK_OK)
		return status;
	*resolved = in_keys(&options.keys, promise);
	ps_options_free(&options);
	return status;
}

Test(config, struct_values_at_the_ends_are_taken)
{
	for (size_t i = 0; i < COUNT(promises); i++) {
		int64_t resolved;

		expect_status(resolve_key(&promises[i], promises[i].min, &resolved), PENSTOCK_OK);
		cr_assert_eq(resolved, promises[i].min, "%s", promises[i].name);
		expect_status(resolve_key(&promises[i], promises[i].max, &resolved), PENSTOCK_OK);
		cr_assert_eq(resolved, promises[i].max, "%s", promises[i].name);
	}
}

static void expect_outside(const struct promise *promise, int64_t value)
{
	int64_t resolved;
	char number[32];

	expect_status(resolve_key(promise, value, &resolved), PENSTOCK_CONFIG);
	snprintf(number, sizeof number, "not %" PRId64 " ", value);
	expect_message(promise->name);
	expect_message(promise->range_text);
	expect_message(number);
}

Test(config, struct_values_outside_name_key_value_and_range)
{
	for (size_t i = 0; i < COUNT(promises); i++) {
		expect_outside(&promises[i], promises[i].min - 1);
		expect_outside(&promises[i], promises[i].max + 1);
		expect_outside(&promises[i], INT64_MAX);
		expect_outside(&promises[i], INT64_MIN + 1);
	}
}

static int set_number(penstock_config *config, const char *name, int64_t value)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRId64, value);
	return penstock_config_set(config, name, text);
}

Test(config, texts_have_the_same_range_as_numbers)
{
	for (size_t i = 0; i < COUNT(promises); i++) {
		const struct promise *promise = &promises[i];
		penstock_config config;

		penstock_config_init(&config);
		expect_status(set_number(&config, promise->name, promise->min), PENSTOCK_OK);
		cr_assert_eq(*in_config(&config, promise), promise->min);
		expect_status(set_number(&config, promise->name, promise->max), PENSTOCK_OK);
		cr_assert_eq(*in_config(&config, promise), promise->max);
		expect_status(set_number(&config, promise->name, promise->min - 1), PENSTOCK_CONFIG);
		expect_message(promise->name);
		expect_message(promise->range_text);
		expect_status(set_number(&config, promise->name, promise->max + 1), PENSTOCK_CONFIG);
		expect_message(promise->range_text);
		cr_assert_eq(*in_config(&config, promise), promise->max, "a refused text changed %s", promise->name);
	}
}

Test(config, ring_slots_are_rounded_up_to_a_power_of_two)
{
	static const struct {
		int64_t asked;
		int64_t rounded;
	} cases[] = { { 2, 2 }, { 3, 4 }, { 5, 8 }, { 1024, 1024 }, { 1025, 2048 }, { 8388609, 16777216 } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ps_options options;
		penstock_config config;

		penstock_config_init(&config);
		config.ring_slots = cases[i].asked;
		expect_status(ps_options_resolve(&options, &config), PENSTOCK_OK);
		cr_assert_eq(options.keys.ring_slots, cases[i].rounded);
		cr_assert_eq(options.ring_slots_asked, cases[i].asked);
		ps_options_free(&options);
	}
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static const struct text {
	const char *name;
	const char *text;
	int64_t value;
} good_texts[] = {
	{ "ring_bytes", "4096", 4096 },
	{ "ring_bytes", "4k", 4096 },
	{ "ring_bytes", "4K", 4096 },
	{ "ring_bytes", "4KiB", 4096 },
	{ "ring_bytes", "4 kib", 4096 },
	{ "ring_bytes", "3M", 3 * MIB },
	{ "ring_bytes", "3m", 3 * MIB },
	{ "ring_bytes", "3 MiB", 3 * MIB },
	{ "ring_bytes", "1024G", TIB },
	{ "ring_bytes", "1024  GiB", TIB },
	{ "ring_bytes", "1T", TIB },
	{ "ring_bytes", "1 TiB", TIB },
	{ "ring_bytes", "+8192", 8192 },
	{ "batch_bytes", "1k", 1024 },
	{ "result_bytes_max", "2M", 2 * MIB },
	{ "wal_bytes_max", "64k", 65536 },
	{ "batch_max", "010", 10 },
	{ "when_full", "block", PENSTOCK_WHEN_FULL_BLOCK },
	{ "when_full", "FAIL", PENSTOCK_WHEN_FULL_FAIL },
	{ "when_full", "1", PENSTOCK_WHEN_FULL_FAIL },
	{ "when_paused", "refuse", PENSTOCK_REFUSE },
	{ "when_paused", "Hold", PENSTOCK_HOLD },
	{ "when_stopped", "hold", PENSTOCK_HOLD },
	{ "when_stopped", "0", PENSTOCK_REFUSE },
	{ "synchronous", "off", PENSTOCK_SYNCHRONOUS_OFF },
	{ "synchronous", "Normal", PENSTOCK_SYNCHRONOUS_NORMAL },
	{ "synchronous", "FULL", PENSTOCK_SYNCHRONOUS_FULL },
	{ "synchronous", "extra", PENSTOCK_SYNCHRONOUS_EXTRA },
	{ "synchronous", "3", PENSTOCK_SYNCHRONOUS_EXTRA },
	{ "autostart", "yes", 1 },
	{ "autostart", "No", 0 },
	{ "autostart", "TRUE", 1 },
	{ "autostart", "false", 0 },
	{ "autostart", "on", 1 },
	{ "autostart", "off", 0 },
	{ "autostart", "1", 1 },
	{ "defensive", "0", 0 },
	{ "results_timeout_ms", "forever", -1 },
	{ "results_timeout_ms", "Forever", -1 },
	{ "results_timeout_ms", "-1", -1 },
	{ "results_timeout_ms", "0", 0 },
	{ "writer_cpu", "any", -1 },
	{ "writer_cpu", "7", 7 },
};

Test(config, texts_give_their_values)
{
	for (size_t i = 0; i < COUNT(good_texts); i++) {
		const struct text *good = &good_texts[i];
		penstock_config config;

		penstock_config_init(&config);
		cr_assert_eq(penstock_config_set(&config, good->name, good->text), PENSTOCK_OK, "%s = %s: %s", good->name,
		             good->text, penstock_error_message());
		cr_assert_eq(*in_config(&config, find_promise(good->name)), good->value, "%s = %s", good->name, good->text);
	}
}

static const struct {
	const char *name;
	const char *text;
} bad_texts[] = {
	{ "batch_max", "" },
	{ "batch_max", " " },
	{ "batch_max", "-" },
	{ "batch_max", "+" },
	{ "batch_max", "x" },
	{ "batch_max", "1x" },
	{ "batch_max", "1 " },
	{ "batch_max", " 1" },
	{ "batch_max", "1.0" },
	{ "batch_max", "1e3" },
	{ "batch_max", "0x10" },
	{ "batch_max", "--1" },
	{ "batch_max", "1k" },
	{ "batch_max", "9223372036854775808" },
	{ "batch_max", "18446744073709551617" },
	{ "batch_max", "-9223372036854775808" },
	{ "batch_max", "forever" },
	{ "linger_usec", "1M" },
	{ "ring_bytes", "" },
	{ "ring_bytes", "k" },
	{ "ring_bytes", "4 " },
	{ "ring_bytes", "64KB" },
	{ "ring_bytes", "64 MB" },
	{ "ring_bytes", "64Mi" },
	{ "ring_bytes", "64MiBs" },
	{ "ring_bytes", "64 M iB" },
	{ "ring_bytes", "1.5M" },
	{ "ring_bytes", "17179869185G" }, /* 2^64 + 2^30: one GiB when multiplied without a look */
	{ "when_full", "" },
	{ "when_full", "blok" },
	{ "when_full", "block " },
	{ "when_full", "blockfail" },
	{ "when_full", "2" },
	{ "when_full", "yes" },
	{ "synchronous", "on" },
	{ "synchronous", "4" },
	{ "autostart", "" },
	{ "autostart", "y" },
	{ "autostart", "2" },
	{ "autostart", "-1" },
	{ "results_timeout_ms", "for ever" },
	{ "results_timeout_ms", "any" },
	{ "results_timeout_ms", "-2" },
	{ "writer_cpu", "forever" },
};

Test(config, malformed_texts_name_key_value_and_range)
{
	for (size_t i = 0; i < COUNT(bad_texts); i++) {
		const struct promise *promise = find_promise(bad_texts[i].name);
		penstock_config config;
		char quoted[64];

		penstock_config_init(&config);
		cr_assert_eq(penstock_config_set(&config, promise->name, bad_texts[i].text), PENSTOCK_CONFIG,
		             "%s = '%s' was taken", promise->name, bad_texts[i].text);
		snprintf(quoted, sizeof quoted, "not '%s'", bad_texts[i].text);
		expect_message(promise->name);
		expect_message(promise->range_text);
		expect_message(quoted);
		cr_assert_eq(*in_config(&config, promise), PENSTOCK_UNSET);
	}
}

Test(config, set_names_the_nearest_key)
{
	static const struct {
		const char *name;
		const char *nearest;
	} cases[] = {
		{ "ring-slots", "ring_slots?" },  { "RING_SLOTS", "ring_slots?" }, { "batchmax", "batch_max?" },
		{ "batch_byte", "batch_bytes?" }, { "when_ful", "when_full?" },    { "busy_timeout", "busy_timeout_ms?" },
		{ "defnesive", "defensive?" },
	};
	penstock_config config;

	penstock_config_init(&config);
	for (size_t i = 0; i < COUNT(cases); i++) {
		expect_status(penstock_config_set(&config, cases[i].name, "1"), PENSTOCK_CONFIG);
		expect_message("unknown key");
		expect_message(cases[i].name);
		expect_message(cases[i].nearest);
	}
}

Test(config, set_names_no_key_that_is_far)
{
	char name[5000];
	penstock_config config;

	penstock_config_init(&config);
	expect_status(penstock_config_set(&config, "cache_size", "1"), PENSTOCK_CONFIG);
	expect_message("unknown key 'cache_size' (");
	expect_message("[pragmas]");
	expect_status(penstock_config_set(&config, "", "1"), PENSTOCK_CONFIG);
	expect_no_message("?");
	memset(name, 'r', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	expect_status(penstock_config_set(&config, name, "1"), PENSTOCK_CONFIG);
	expect_no_message("?");
	expect_status(penstock_config_set(&config, "struct_size", "1"), PENSTOCK_CONFIG);
	expect_status(penstock_config_set(&config, "config_file", "1"), PENSTOCK_CONFIG);
}

Test(config, set_without_arguments_is_misuse)
{
	penstock_config config;

	penstock_config_init(&config);
	expect_status(penstock_config_set(NULL, "batch_max", "1"), PENSTOCK_MISUSE);
	expect_status(penstock_config_set(&config, NULL, "1"), PENSTOCK_MISUSE);
	expect_status(penstock_config_set(&config, "batch_max", NULL), PENSTOCK_MISUSE);
}

/* ---- the struct -------------------------------------------------------------------------------------------------- */

/* Room for a struct of a later version, and bytes behind it that nobody may touch. */
union any_version {
	penstock_config config;
	unsigned char bytes[sizeof(penstock_config) + 64];
};

Test(config, init_sets_keys_unset_and_the_rest_zero)
{
	union any_version later;

	memset(&later, 0xff, sizeof later);
	penstock_config_init_size(&later.config, sizeof later.config + 32);
	cr_assert_eq(later.config.struct_size, sizeof later.config + 32);
	for (size_t i = 0; i < COUNT(promises); i++)
		cr_assert_eq(*in_config(&later.config, &promises[i]), PENSTOCK_UNSET);
	cr_assert_null(later.config.config_file);
	cr_assert_null(later.config.pragmas);
	cr_assert_eq(later.config.pragma_count, 0);
	cr_assert_null(later.config.log_arg);
	for (size_t i = sizeof later.config; i < sizeof later; i++)
		cr_assert_eq(later.bytes[i], i < sizeof later.config + 32 ? 0 : 0xff, "byte %zu", i);
}

Test(config, init_leaves_what_an_older_struct_has_not)
{
	union any_version older;
	size_t size = offsetof(penstock_config, batch_bytes);

	memset(&older, 0xff, sizeof older);
	penstock_config_init_size(&older.config, size);
	cr_assert_eq(older.config.struct_size, size);
	cr_assert_eq(older.config.batch_max, PENSTOCK_UNSET);
	for (size_t i = size; i < sizeof older; i++)
		cr_assert_eq(older.bytes[i], 0xff, "byte %zu", i);
	penstock_config_init_size(&older.config, 0);
	cr_assert_eq(older.config.struct_size, size);
	penstock_config_init_size(NULL, sizeof older.config);
}

Test(config, missing_tail_of_an_older_struct_is_unset)
{
	struct ps_options options;
	union any_version older;

	memset(&older, 0xff, sizeof older);
	penstock_config_init_size(&older.config, offsetof(penstock_config, batch_bytes));
	older.config.batch_max = 7;
	expect_status(ps_options_resolve(&options, &older.config), PENSTOCK_OK);
	cr_assert_eq(options.keys.batch_max, 7);
	cr_assert_eq(options.keys.batch_bytes, 16 * MIB);
	cr_assert_eq(options.keys.defensive, 1);
	cr_assert_eq(options.pragma_count, 0);
	cr_assert_null(options.log);
	ps_options_free(&options);
	expect_status(penstock_config_set(&older.config, "batch_max", "8"), PENSTOCK_OK);
	cr_assert_eq(older.config.batch_max, 8);
	expect_status(penstock_config_set(&older.config, "batch_bytes", "1M"), PENSTOCK_CONFIG);
	expect_message("batch_bytes");
	cr_assert_eq(older.bytes[offsetof(penstock_config, batch_bytes)], 0xff);
}

Test(config, zero_tail_of_a_newer_struct_is_taken)
{
	struct ps_options options;
	union any_version newer;

	penstock_config_init_size(&newer.config, sizeof newer);
	newer.config.batch_max = 7;
	expect_status(ps_options_resolve(&options, &newer.config), PENSTOCK_OK);
	cr_assert_eq(options.keys.batch_max, 7);
	ps_options_free(&options);
}

Test(config, set_tail_of_a_newer_struct_is_misuse)
{
	static const size_t places[] = { sizeof(penstock_config), sizeof(union any_version) - 1 };

	for (size_t i = 0; i < COUNT(places); i++) {
		struct ps_options options;
		struct ps_keys keys = { 0 };
		union any_version newer;

		penstock_config_init_size(&newer.config, sizeof newer);
		newer.bytes[places[i]] = 1;
		expect_status(ps_options_resolve(&options, &newer.config), PENSTOCK_MISUSE);
		expect_message("older than the penstock.h");
		expect_status(ps_options_overlay(&keys, &newer.config), PENSTOCK_MISUSE);
	}
}

Test(config, no_struct_size_is_misuse)
{
	static const size_t sizes[] = {
		0,
		1,
		sizeof(size_t),
		offsetof(penstock_config, config_file) + sizeof(char *) - 1,
		sizeof(penstock_config) - 1,
		SIZE_MAX,
		SIZE_MAX / 16 * 8,
	};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct ps_options options;
		struct ps_keys keys = { 0 };
		penstock_config config;

		penstock_config_init(&config);
		config.struct_size = sizes[i];
		expect_status(ps_options_resolve(&options, &config), PENSTOCK_MISUSE);
		expect_message("call penstock_config_init first");
		expect_status(ps_options_overlay(&keys, &config), PENSTOCK_MISUSE);
		expect_message("call penstock_config_init first");
		expect_status(penstock_config_set(&config, "batch_max", "1"), PENSTOCK_MISUSE);
		expect_message("call penstock_config_init first");
	}
}

Test(config, smallest_struct_is_taken)
{
	struct ps_options options;
	penstock_config config;

	write_bytes("batch_max = 9\n", 14);
	penstock_config_init_size(&config, offsetof(penstock_config, config_file) + sizeof(char *));
	config.config_file = path;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_OK);
	cr_assert_eq(options.keys.batch_max, 9);
	ps_options_free(&options);
}

/* As a program of a later version has them; `size` is what their struct_size says. */
union later_pragma {
	penstock_pragma pragma;
	size_t words[sizeof(penstock_pragma) / sizeof(size_t) + 2];
};

static int resolve_later_pragmas(struct ps_options *options, union later_pragma later[2])
{
	penstock_config config;

	penstock_config_init(&config);
	config.pragmas = &later->pragma;
	config.pragma_count = 2;
	return ps_options_resolve(options, &config);
}

Test(config, pragmas_are_walked_by_the_first_ones_size)
{
	union later_pragma later[2] = { { .pragma = PENSTOCK_PRAGMA("temp_store", "memory") },
		                        { .pragma = PENSTOCK_PRAGMA("cache_size", "-4000") } };
	struct ps_options options;

	later[0].pragma.struct_size = later[1].pragma.struct_size = sizeof later[0];
	expect_status(resolve_later_pragmas(&options, later), PENSTOCK_OK);
	cr_assert_eq(options.pragma_count, 2);
	expect_pragma(&options, 0, "temp_store", "memory", "config");
	expect_pragma(&options, 1, "cache_size", "-4000", "config");
	ps_options_free(&options);
	later[1].words[COUNT(later[1].words) - 1] = 1;
	expect_status(resolve_later_pragmas(&options, later), PENSTOCK_MISUSE);
	expect_message("pragmas[1]");
	expect_message("older than the penstock.h");
	later[1].words[COUNT(later[1].words) - 1] = 0;
	later[1].pragma.struct_size = sizeof later[1].pragma;
	expect_status(resolve_later_pragmas(&options, later), PENSTOCK_MISUSE);
	expect_message("struct_size of pragmas[1]");
}

Test(config, pragma_of_no_version_is_misuse)
{
	static const size_t sizes[] = { 0,        sizeof(char *), sizeof(penstock_pragma) - 1, sizeof(penstock_pragma) + 1,
		                        SIZE_MAX, 1 << 20 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		union later_pragma later[2] = { { .pragma = PENSTOCK_PRAGMA("temp_store", "memory") } };
		struct ps_options options;

		later[0].pragma.struct_size = sizes[i];
		expect_status(resolve_later_pragmas(&options, later), PENSTOCK_MISUSE);
		expect_message("PENSTOCK_PRAGMA");
	}
}

Test(config, zeroed_struct_is_told_of_unset)
{
	struct ps_options options;
	penstock_config config = { .struct_size = sizeof config };

	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CONFIG);
	expect_message("PENSTOCK_UNSET");
}

static int a_hook(sqlite3 *connection, void *arg)
{
	(void)connection;
	(void)arg;
	return SQLITE_OK;
}

static void a_completion(void *arg, const penstock_result *result)
{
	(void)arg;
	(void)result;
}

static void a_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	(void)event;
	(void)message;
}

Test(config, hooks_and_callbacks_are_copied)
{
	struct ps_options options;
	penstock_config config;
	int args[3];

	penstock_config_init(&config);
	config.connect_hook = a_hook;
	config.connect_arg = &args[0];
	config.on_error = a_completion;
	config.on_error_arg = &args[1];
	config.log = a_log;
	config.log_arg = &args[2];
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_OK);
	cr_assert(options.connect_hook == a_hook);
	cr_assert(options.connect_arg == &args[0]);
	cr_assert(options.on_error == a_completion);
	cr_assert(options.on_error_arg == &args[1]);
	cr_assert(options.log == a_log);
	cr_assert(options.log_arg == &args[2]);
	ps_options_free(&options);
}

/* ---- overlay ----------------------------------------------------------------------------------------------------- */

Test(config, overlay_changes_live_keys_only)
{
	for (size_t i = 0; i < COUNT(promises); i++) {
		struct ps_options options;
		struct ps_keys before;
		penstock_config config;
		int status;

		expect_status(ps_options_resolve(&options, NULL), PENSTOCK_OK);
		before = options.keys;
		penstock_config_init(&config);
		*in_config(&config, &promises[i]) = promises[i].max;
		status = ps_options_overlay(&options.keys, &config);
		if (promises[i].live) {
			expect_status(status, PENSTOCK_OK);
			cr_assert_eq(in_keys(&options.keys, &promises[i]), promises[i].max);
			*(int64_t *)((char *)&options.keys + promises[i].in_keys) = promises[i].standard;
		} else {
			expect_status(status, PENSTOCK_CONFIG);
			expect_message(promises[i].name);
		}
		cr_assert_arr_eq(&options.keys, &before, sizeof before, "%s changed another key", promises[i].name);
		ps_options_free(&options);
	}
}

Test(config, overlay_changes_nothing_when_one_key_is_refused)
{
	struct ps_options options;
	penstock_config config;

	expect_status(ps_options_resolve(&options, NULL), PENSTOCK_OK);
	penstock_config_init(&config);
	config.batch_max = 5;
	config.spin_usec = 1000001;
	expect_status(ps_options_overlay(&options.keys, &config), PENSTOCK_CONFIG);
	expect_message("spin_usec");
	cr_assert_eq(options.keys.batch_max, 1000);
	config.spin_usec = PENSTOCK_UNSET;
	config.writer_cpu = -1;
	expect_status(ps_options_overlay(&options.keys, &config), PENSTOCK_CONFIG);
	expect_message("writer_cpu");
	cr_assert_eq(options.keys.batch_max, 1000);
	ps_options_free(&options);
}

Test(config, overlay_of_nothing_is_fine)
{
	struct ps_keys keys = { .batch_max = 3 };
	penstock_config config;

	penstock_config_init(&config);
	expect_status(ps_options_overlay(&keys, &config), PENSTOCK_OK);
	cr_assert_eq(keys.batch_max, 3);
	expect_status(ps_options_overlay(&keys, NULL), PENSTOCK_MISUSE);
}

static void expect_overlay_refused(const penstock_config *config)
{
	struct ps_keys keys = { .batch_max = 3 };

	expect_status(ps_options_overlay(&keys, config), PENSTOCK_CONFIG);
	cr_assert_eq(keys.batch_max, 3);
}

Test(config, overlay_refuses_file_pragmas_hooks_and_callbacks)
{
	penstock_pragma pragma = PENSTOCK_PRAGMA("cache_size", "1");

#define REFUSED(field, value)                    \
	do {                                     \
		penstock_config config;          \
                                                 \
		penstock_config_init(&config);   \
		config.batch_max = 5;            \
		config.field = value;            \
		expect_overlay_refused(&config); \
	} while (0)
	REFUSED(config_file, path);
	REFUSED(pragmas, &pragma);
	REFUSED(pragma_count, 1);
	REFUSED(connect_hook, a_hook);
	REFUSED(connect_arg, &pragma);
	REFUSED(on_error, a_completion);
	REFUSED(on_error_arg, &pragma);
	REFUSED(log, a_log);
	REFUSED(log_arg, &pragma);
#undef REFUSED
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

Test(config, file_wins_over_default_and_struct_over_file)
{
	static const char text[] = "ring_slots = 100\nbatch_max = 5\nlinger_usec = 6\n";
	struct ps_options options;
	penstock_config config;

	write_bytes(text, strlen(text));
	penstock_config_init(&config);
	config.config_file = path;
	config.batch_max = 50;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_OK);
	cr_assert_eq(options.keys.batch_max, 50);
	cr_assert_eq(options.keys.linger_usec, 6);
	cr_assert_eq(options.keys.batch_usec, 10000);
	cr_assert_eq(options.ring_slots_asked, 100);
	cr_assert_eq(options.keys.ring_slots, 128);
	ps_options_free(&options);
}

Test(config, file_value_is_checked_even_when_the_struct_wins)
{
	struct ps_options options;
	penstock_config config;

	write_bytes("batch_max = 0\n", 14);
	penstock_config_init(&config);
	config.config_file = path;
	config.batch_max = 50;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CONFIG);
	expect_message("batch_max");
}

Test(config, file_sets_every_key)
{
	for (size_t i = 0; i < COUNT(promises); i++) {
		struct ps_options options;
		char text[64];

		snprintf(text, sizeof text, "%s = %" PRId64 "\n", promises[i].name, promises[i].max);
		expect_status(resolve_file(&options, text), PENSTOCK_OK);
		cr_assert_eq(in_keys(&options.keys, &promises[i]), promises[i].max, "%s", promises[i].name);
		ps_options_free(&options);
		snprintf(text, sizeof text, "\n%s = %" PRId64 "\n", promises[i].name, promises[i].max + 1);
		expect_file_error(text, 2, promises[i].range_text);
	}
}

Test(config, empty_file_gives_the_defaults)
{
	expect_keys("", 1000, 0);
	expect_keys("\n\n  \n; a comment\n# another\n", 1000, 0);
	expect_keys("[penstock]\n[pragmas]\n", 1000, 0);
}

Test(config, keys_stand_at_the_top_or_under_penstock)
{
	expect_keys("batch_max = 5\n[penstock]\nlinger_usec = 6\n", 5, 6);
	expect_keys("[penstock]\nbatch_max = 5\n[pragmas]\ncache_size = 1\n[penstock]\nlinger_usec = 6", 5, 6);
}

Test(config, blanks_comments_colons_and_line_ends_do_not_matter)
{
	expect_keys("batch_max=5\nlinger_usec:6", 5, 6);
	expect_keys("  batch_max\t =\t5  \n\tlinger_usec = 6\t\n", 5, 6);
	expect_keys("batch_max = 5\r\n\r\nlinger_usec = 6\r\n", 5, 6);
	expect_keys("batch_max = 5 ; five\nlinger_usec = 6\t;six", 5, 6);
	expect_keys("  ; indented\nbatch_max = 5\n  # comments\n  linger_usec = 6\n", 5, 6);
	expect_keys("\xef\xbb\xbf"
	            "batch_max = 5\nlinger_usec = 6\n",
	            5, 6);
	expect_keys("\xef\xbb\xbf[penstock]\nbatch_max = 5\n", 5, 0);
	expect_keys("[pragmas] ; none\n[penstock]# comment\nbatch_max = 5\nlinger_usec = 6\n", 5, 6);
	expect_keys("# gr\xc3\xbc\xc3\x9f\n\nbatch_max = 5\nlinger_usec = 6\n", 5, 6);
}

Test(config, a_byte_order_mark_is_for_the_beginning_of_the_file)
{
	expect_file_error("\t\xef\xbb\xbf\nbatch_max = 5\n", 1, "byte order mark");
	expect_file_error("\xef\xbb\xbf\xef\xbb\xbf\nbatch_max = 5\n", 1, "byte order mark");
	expect_file_error("batch_max = 5\n\xef\xbb\xbf\n", 2, "byte order mark");
}

Test(config, unknown_key_names_file_and_line)
{
	expect_file_error("\n; comment\nbatch_mux = 5\n", 3, "unknown key 'batch_mux'; is it batch_max?");
	expect_file_error("[penstock]\nbatch_max = 5\ncache_size = 6\n", 3, "unknown key 'cache_size' (");
	expect_file_error("= 5\n", 1, "unknown key ''");
}

/* A quarter of the letters and one may be wrong: added, missing, or others. */
Test(config, a_key_that_is_near_is_named)
{
	static const char *const near[] = { "batch_maxabc", "abcbatch_max", "batabcch_max", "tch_max",    "batch_",
		                            "ba_max",       "bxtxh_xax",    "BATCH_MAX",    "xatch_maxyz" };
	static const char *const far[] = { "batch_maxabcd", "abcdbatch_max", "ch_ma", "bxtxx_xax" };
	char text[64], message[64];

	for (size_t i = 0; i < COUNT(near); i++) {
		snprintf(text, sizeof text, "%s = 5\n", near[i]);
		snprintf(message, sizeof message, "unknown key '%s'; is it batch_max?", near[i]);
		expect_file_error(text, 1, message);
	}
	for (size_t i = 0; i < COUNT(far); i++) {
		snprintf(text, sizeof text, "%s = 5\n", far[i]);
		snprintf(message, sizeof message, "unknown key '%s' (", far[i]);
		expect_file_error(text, 1, message);
	}
}

Test(config, malformed_value_names_file_and_line)
{
	expect_file_error("batch_max = 5\nlinger_usec = soon\n", 2, "linger_usec must be 0 to 1000000 microseconds");
	expect_file_error("batch_max =\n", 1, "not ''");
	expect_file_error("batch_max = ; nothing\n", 1, "not ''");
	expect_file_error("batch_max = 5;comment\n", 1, "not '5;comment'");
	expect_file_error("batch_max = 5 # comment\n", 1, "not '5 # comment'");
	expect_file_error("batch_max = \"5\"\n", 1, "not '\"5\"'");
}

Test(config, key_set_twice_names_both_lines)
{
	expect_file_error("batch_max = 5\n\nbatch_max = 5\n", 3, "batch_max is already set on line 1");
	expect_file_error("batch_max = 5\n[penstock]\nbatch_max = 6\n", 3, "batch_max is already set on line 1");
	expect_file_error("[pragmas]\ncache_size = 5\nCache_Size = 5\n", 3, "pragma Cache_Size is already set at");
	expect_file_error("[pragmas]\njournal_mode = wal\njournal_mode = wal\n", 3, "already set on line 2");
	expect_file_error("[pragmas]\ntemp_store = 2\ncache_size = 5\ncache_size = 5\n", 4,
	                  "pragma cache_size is already set at");
}

Test(config, line_without_equals_sign_is_an_error)
{
	expect_file_error("batch_max 5\n", 1, "neither");
	expect_file_error("batch_max = 5\n\njunk\nlinger_usec = 6\n", 3, "neither");
	expect_file_error("[penstock\nbatch_max = 5\n", 1, "neither");
	expect_file_error("batch_max ; = 5\n", 1, "neither");
}

Test(config, first_error_of_the_file_is_told)
{
	expect_file_error("junk\nunknown = 5\n", 1, "neither");
	expect_file_error("unknown = 5\njunk\n", 1, "unknown key");
	expect_file_error("junk\n[sqlite]\n", 1, "neither");
	expect_file_error("junk\nmore junk\n", 1, "neither");
}

Test(config, continuation_lines_are_lines_of_their_own)
{
	expect_keys("[penstock]\n  batch_max = 5\n  linger_usec = 6\n", 5, 6);
	expect_file_error("batch_max = 5\n    6\n", 2, "neither");
	expect_file_error("batch_max =\n    6\n", 1, "not ''");
	expect_file_error("[pragmas]\ncache_size = -\n 2000\n", 2, "cache_size");
	expect_file_error("[pragmas]\ncache_size = 20\n\t00\n", 3, "neither");
}

Test(config, other_sections_are_errors)
{
	expect_file_error("[sqlite]\nbatch_max = 5\n", 1, "unknown section [sqlite]");
	expect_file_error("batch_max = 5\n[pragma]\n", 2, "unknown section [pragma]");
	expect_file_error("[]\nbatch_max = 5\n", 1, "unknown section []");
	expect_file_error("[ penstock ]\n", 1, "unknown section [ penstock ]");
	expect_file_error("[Pragmas]\n", 1, "unknown section [Pragmas]");
	expect_file_error("[Penstock]\n", 1, "unknown section [Penstock]");
	expect_file_error("  [penstocks]\n", 1, "unknown section [penstocks]");
	expect_file_error("[pragmas_0123456789_0123456789_0123456789_0123456789_0123456789]\n", 1, "0123456789]");
}

Test(config, text_behind_a_section_is_an_error)
{
	expect_file_error("\n[pragmas] cache_size = 5\n", 2, "text behind [pragmas]");
	expect_file_error("[penstock]]\n", 1, "text behind [penstock]");
}

/* The longest line that inih takes whole has ini_max_line - 2 bytes. */
static char *padded_line(const char *head, const char *tail, size_t length)
{
	char *line = malloc(length + 2);
	size_t head_length = strlen(head);
	size_t tail_length = strlen(tail);

	cr_assert_not_null(line);
	memcpy(line, head, head_length);
	memset(line + head_length, 'x', length - head_length - tail_length);
	memcpy(line + length - tail_length, tail, tail_length);
	strcpy(line + length, "\n");
	return line;
}

Test(config, longest_line_is_whole)
{
	size_t most = ini_max_line - 2;
	struct ps_options options;
	char *line = padded_line("application_name='", "'", most);
	char text[1024];

	snprintf(text, sizeof text, "[pragmas]\n%s", line);
	expect_status(resolve_file(&options, text), PENSTOCK_OK);
	cr_assert_eq(strlen(options.pragmas[0].value), most - strlen("application_name="));
	ps_options_free(&options);

	snprintf(text, sizeof text, "[pragmas]\n   %.*s", (int)most, line);
	expect_status(resolve_file(&options, text), PENSTOCK_OK);
	cr_assert_eq(strlen(options.pragmas[0].value), most - strlen("application_name="));
	ps_options_free(&options);
	free(line);
}

Test(config, longer_line_is_an_error)
{
	static const size_t more[] = { 1, 2, 3, 15, 16, 200, 10000 };

	for (size_t i = 0; i < COUNT(more); i++) {
		size_t length = ini_max_line - 2 + more[i];
		char *value = padded_line("a='", "'", length);
		char *comment = padded_line("; ", " batch_max = 5", length);
		char *name = padded_line("", " = 5", length);
		char expected[64];
		char *text = malloc(length + 64);

		cr_assert_not_null(text);
		snprintf(expected, sizeof expected, "the line has %zu bytes; at most %d are", length, ini_max_line - 2);
		snprintf(text, length + 64, "\n[pragmas]\n%s", value);
		expect_file_error(text, 3, expected);
		text[strlen(text) - 1] = '\0'; /* without a line end */
		expect_file_error(text, 3, expected);
		expect_file_error(comment, 1, expected);
		expect_file_error(name, 1, expected);
		free(text);
		free(name);
		free(comment);
		free(value);
	}
}

Test(config, long_names_are_not_cut)
{
	char *name = padded_line("cache_size_", " = 5", 150);
	char *other = padded_line("cache_size_", "y = 6", 150);
	struct ps_options options;
	char text[512];

	snprintf(text, sizeof text, "[pragmas]\n%s%s", name, other);
	expect_status(resolve_file(&options, text), PENSTOCK_OK);
	cr_assert_eq(options.pragma_count, 2);
	cr_assert_eq(strlen(options.pragmas[0].name), 146);
	cr_assert_str_neq(options.pragmas[0].name, options.pragmas[1].name);
	ps_options_free(&options);
	free(other);
	free(name);
}

static void expect_bytes_error(const char *bytes, size_t count, int line, const char *part)
{
	struct ps_options options;
	penstock_config config;
	char origin[128];

	write_bytes(bytes, count);
	penstock_config_init(&config);
	config.config_file = path;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CONFIG);
	snprintf(origin, sizeof origin, "%s:%d: ", path, line);
	expect_message(origin);
	expect_message(part);
}

Test(config, bytes_that_are_not_text_are_errors)
{
#define BYTES(text) text, sizeof text - 1
	expect_bytes_error(BYTES("batch_max = 5\nlinger\0_usec = 6\n"), 2, "byte 0x00");
	expect_bytes_error(BYTES("batch_max = 5\0"), 1, "byte 0x00");
	expect_bytes_error(BYTES("\n; comment\0\nbatch_max = 5\n"), 2, "byte 0x00");
	expect_bytes_error(BYTES("\xff\xfe"
	                         "b\0a\0t\0c\0h\0"),
	                   1, "byte 0x00");
	expect_bytes_error(BYTES("; comment\rbatch_max = 5\r"), 1, "byte 0x0d");
	expect_bytes_error(BYTES("batch_max = \x1b[31m5\n"), 1, "byte 0x1b");
	expect_bytes_error(BYTES("batch_max = 5\x7f\n"), 1, "byte 0x7f");
#undef BYTES
}

Test(config, file_may_have_one_mebibyte)
{
	size_t count = 1 << 20;
	char *text = malloc(count + 2);
	size_t tail = strlen("batch_max = 5\nlinger_usec = 6\n");

	cr_assert_not_null(text);
	memset(text, '\n', count);
	strcpy(text + count - tail, "batch_max = 5\nlinger_usec = 6\n");
	expect_keys(text, 5, 6);
	text[count] = '\n';
	text[count + 1] = '\0';
	expect_file_error(text, 0, "larger than 1 MiB");
	free(text);
}

Test(config, endless_file_is_an_error)
{
	struct ps_options options;
	penstock_config config;

	penstock_config_init(&config);
	config.config_file = "/dev/zero";
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CONFIG);
	expect_message("/dev/zero: larger than 1 MiB");
}

Test(config, missing_file_cannot_be_opened)
{
	struct ps_options options;
	penstock_config config;

	penstock_config_init(&config);
	config.config_file = path;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CANTOPEN);
	expect_message(path);
	expect_message(strerror(ENOENT));
	config.config_file = "";
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CANTOPEN);
	expect_message(strerror(ENOENT));
}

static int lowest_free_descriptor(void)
{
	int descriptor = dup(STDERR_FILENO);

	close(descriptor);
	return descriptor;
}

static bool no_streams;

FILE *__real_fdopen(int descriptor, const char *mode);
FILE *__wrap_fdopen(int descriptor, const char *mode);

FILE *__wrap_fdopen(int descriptor, const char *mode)
{
	if (!no_streams)
		return __real_fdopen(descriptor, mode);
	errno = ENOMEM;
	return NULL;
}

Test(config, file_without_memory_for_its_stream_cannot_be_opened)
{
	struct ps_options options;
	penstock_config config;
	int before;

	write_bytes("", 0);
	penstock_config_init(&config);
	config.config_file = path;
	before = lowest_free_descriptor();
	no_streams = true;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CANTOPEN);
	no_streams = false;
	expect_message(path);
	expect_message(strerror(ENOMEM));
	cr_assert_eq(lowest_free_descriptor(), before);
}

/* As in a daemon: the file's descriptor is 0. */
Test(config, standard_input_may_be_closed)
{
	struct ps_options options;
	penstock_config config;

	close(STDIN_FILENO);
	cr_assert_eq(lowest_free_descriptor(), STDIN_FILENO);
	expect_keys("batch_max = 5\nlinger_usec = 6\n", 5, 6);
	cr_assert_eq(lowest_free_descriptor(), STDIN_FILENO);
	penstock_config_init(&config);
	config.config_file = path;
	write_bytes("", 0);
	no_streams = true;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CANTOPEN);
	no_streams = false;
	expect_message(strerror(ENOMEM));
	cr_assert_eq(lowest_free_descriptor(), STDIN_FILENO);
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CANTOPEN);
	expect_message("is a pipe");
	cr_assert_eq(lowest_free_descriptor(), STDIN_FILENO);
}

Test(config, folder_cannot_be_read)
{
	struct ps_options options;
	penstock_config config;
	int before;

	penstock_config_init(&config);
	config.config_file = harness_make_folder();
	before = lowest_free_descriptor();
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CANTOPEN);
	expect_message(harness_make_folder());
	expect_message(strerror(EISDIR));
	cr_assert_eq(lowest_free_descriptor(), before);
}

Test(config, pipe_is_refused_and_not_waited_for)
{
	struct ps_options options;
	penstock_config config;
	int before, writer;

	cr_assert_eq(mkfifo(path, 0600), 0);
	penstock_config_init(&config);
	config.config_file = path;
	before = lowest_free_descriptor();
	alarm(30);
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CANTOPEN);
	expect_message(path);
	expect_message("is a pipe");
	writer = open(path, O_RDWR);
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_CANTOPEN);
	expect_message("is a pipe");
	close(writer);
	cr_assert_eq(lowest_free_descriptor(), before);
}

Test(config, unreadable_file_cannot_be_opened)
{
	struct ps_options options;
	penstock_config config;

	bool root = geteuid() == 0;
	int status;

	write_bytes("", 0);
	cr_assert_eq(chmod(path, 0), 0);
	cr_assert(!root || seteuid(65534) == 0); /* root may read anything */
	penstock_config_init(&config);
	config.config_file = path;
	status = ps_options_resolve(&options, &config);
	cr_assert(!root || seteuid(0) == 0); /* to remove the file */
	expect_status(status, PENSTOCK_CANTOPEN);
	expect_message(path);
	expect_message(strerror(EACCES));
}

/* ---- pragmas ----------------------------------------------------------------------------------------------------- */

Test(config, pragmas_keep_order_and_origin)
{
	static const char text[] = "[pragmas]\ncache_size = -2000\n\nmmap_size = 268435456 ; 256 MiB\n";
	penstock_pragma pragmas[] = { PENSTOCK_PRAGMA("temp_store", "memory"), PENSTOCK_PRAGMA("cache_size", "-4000") };
	struct ps_options options;
	penstock_config config;
	char origin[2][128];

	write_bytes(text, strlen(text));
	snprintf(origin[0], sizeof origin[0], "%s:2", path);
	snprintf(origin[1], sizeof origin[1], "%s:4", path);
	penstock_config_init(&config);
	config.config_file = path;
	config.pragmas = pragmas;
	config.pragma_count = 2;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_OK);
	memset(pragmas, 0, sizeof pragmas);
	cr_assert_eq(options.pragma_count, 4);
	expect_pragma(&options, 0, "cache_size", "-2000", origin[0]);
	expect_pragma(&options, 1, "mmap_size", "268435456", origin[1]);
	expect_pragma(&options, 2, "temp_store", "memory", "config");
	expect_pragma(&options, 3, "cache_size", "-4000", "config");
	ps_options_free(&options);
	cr_assert_null(options.pragmas);
	ps_options_free(&options);
}

Test(config, wal_is_accepted_and_dropped)
{
	static const char *const values[] = { "wal", "WAL", "'wal'", "\"Wal\"" };

	for (size_t i = 0; i < COUNT(values); i++) {
		struct ps_options options;
		char text[64];

		expect_status(resolve_pragma(&options, "Journal_Mode", values[i]), PENSTOCK_OK);
		cr_assert_eq(options.pragma_count, 0);
		ps_options_free(&options);
		snprintf(text, sizeof text, "[pragmas]\njournal_mode = %s\n", values[i]);
		expect_status(resolve_file(&options, text), PENSTOCK_OK);
		cr_assert_eq(options.pragma_count, 0);
		ps_options_free(&options);
	}
}

Test(config, locking_mode_normal_is_kept)
{
	struct ps_options options;

	expect_status(resolve_pragma(&options, "locking_mode", "NORMAL"), PENSTOCK_OK);
	cr_assert_eq(options.pragma_count, 1);
	expect_pragma(&options, 0, "locking_mode", "NORMAL", "config");
	ps_options_free(&options);
}

Test(config, managed_pragmas_are_refused_with_the_alternative)
{
	static const struct {
		const char *name;
		const char *value;
		const char *why;
	} cases[] = {
		{ "journal_mode", "delete", "Penstock needs WAL" },
		{ "journal_mode", "wal2", "Penstock needs WAL" },
		{ "journal_mode", "wa", "Penstock needs WAL" },
		{ "JOURNAL_MODE", "off", "Penstock needs WAL" },
		{ "journal_mode", "", "Penstock needs WAL" },
		{ "synchronous", "normal", "set the key synchronous " },
		{ "Synchronous", "full", "set the key synchronous " },
		{ "busy_timeout", "1000", "set the key busy_timeout_ms " },
		{ "wal_autocheckpoint", "0", "set the key wal_bytes_max " },
		{ "wal_checkpoint", "truncate", "set the key wal_bytes_max " },
		{ "locking_mode", "exclusive", "only normal is possible" },
		{ "query_only", "1", "the writer has to write" },
		{ "query_only", "0", "the writer has to write" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ps_options options;
		char text[128];

		expect_status(resolve_pragma(&options, cases[i].name, cases[i].value), PENSTOCK_CONFIG);
		expect_message("config: ");
		expect_message(cases[i].name);
		expect_message(cases[i].why);
		snprintf(text, sizeof text, "[pragmas]\ncache_size = 5\n%s = %s\n", cases[i].name, cases[i].value);
		expect_file_error(text, 3, cases[i].why);
	}
}

Test(config, keys_under_pragmas_are_errors)
{
	for (size_t i = 0; i < COUNT(promises); i++) {
		char text[64];

		/* One name is SQLite's, too. */
		if (strcmp(promises[i].name, "trusted_schema") == 0)
			continue;
		snprintf(text, sizeof text, "[pragmas]\n%s = 5\n", promises[i].name);
		expect_file_error(text, 2, promises[i].name);
	}
}

Test(config, pragma_names_are_identifiers)
{
	static const char *const names[] = {
		"", " ", "1a", "a b", "main.cache_size", "a;b", "a-b", "a(1)", "caf\xc3\xa9", "\xe9",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		struct ps_options options;

		expect_status(resolve_pragma(&options, names[i], "1"), PENSTOCK_CONFIG);
		expect_message("is no name of a pragma");
	}
	expect_file_error("[pragmas]\nmain.cache_size = 5\n", 2, "'main.cache_size' is no name of a pragma");
	expect_file_error("[pragmas]\n= 5\n", 2, "is no name of a pragma");
}

Test(config, pragma_values_are_one_token)
{
	static const char *const good[] = {
		"1", "-2000", "+5", "1.5", "0x7f", "memory", "_a", "'a b'", "''", "'it''s; x'", "\"a'b\"", "\"x''\"",
	};
	static const char *const bad[] = {
		"",  "-",    "1 2",  "1;",  "1; DROP TABLE t", "1--", "--1", "(1)", "'a", "a'", "'a'b", "'a' 'b'", "'a'''b'",
		"'", "\"a'", "a\nb", "1/*",
	};

	for (size_t i = 0; i < COUNT(good); i++) {
		struct ps_options options;

		expect_status(resolve_pragma(&options, "_a1", good[i]), PENSTOCK_OK);
		expect_pragma(&options, 0, "_a1", good[i], "config");
		ps_options_free(&options);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct ps_options options;

		cr_assert_eq(resolve_pragma(&options, "_a1", bad[i]), PENSTOCK_CONFIG, "'%s' was taken", bad[i]);
		expect_message("_a1");
	}
	expect_file_error("[pragmas]\ncache_size =\n", 2, "cache_size");
	expect_file_error("[pragmas]\nkey = 'one ;two'\n", 2, "key");
}

Test(config, pragma_values_are_not_shown)
{
	struct ps_options options;

	expect_status(resolve_pragma(&options, "key", "secret words"), PENSTOCK_CONFIG);
	expect_no_message("secret");
}

Test(config, pragmas_without_strings_are_misuse)
{
	struct ps_options options;
	penstock_config config;

	expect_status(resolve_pragma(&options, NULL, "1"), PENSTOCK_MISUSE);
	expect_message("pragmas[0] has no name");
	expect_status(resolve_pragma(&options, "cache_size", NULL), PENSTOCK_MISUSE);
	expect_message("pragmas[0] has no value");
	penstock_config_init(&config);
	config.pragma_count = 1;
	expect_status(ps_options_resolve(&options, &config), PENSTOCK_MISUSE);
}

Test(config, pragmas_are_bounded)
{
	static char text[40000];
	struct ps_options options;
	size_t length = sprintf(text, "[pragmas]\n");

	for (int i = 0; i < 1000; i++)
		length += sprintf(text + length, "pragma_%d = 1\n", i);
	expect_status(resolve_file(&options, text), PENSTOCK_OK);
	cr_assert_eq(options.pragma_count, 1000);
	ps_options_free(&options);
	strcpy(text + length, "one_more = 1\n");
	expect_file_error(text, 1002, "more than 1000 pragmas");
}

/* ---- inih's switches --------------------------------------------------------------------------------------------- */

Test(config, inih_switches_of_the_host_lose_nothing)
{
	ini_allow_no_value = true;
	expect_file_error("batch_max = 5\nlinger_usec\n", 2, "not ''");
	ini_allow_no_value = false;
	ini_stop_on_first_error = true;
	expect_file_error("junk\nunknown = 5\n", 1, "neither");
	ini_stop_on_first_error = false;
	ini_allow_multiline = false;
	ini_allow_bom = false;
	expect_keys("\xef\xbb\xbf"
	            "batch_max = 5\n  linger_usec = 6\n",
	            5, 6);
	ini_max_line = 20;
	expect_keys("batch_max = 5\nlinger_usec = 6\n", 5, 6);
	expect_file_error("linger_usec =      6\n", 1, "at most 18");
	ini_use_stack = false;
	ini_allow_realloc = true;
	ini_initial_alloc = 30;
	ini_max_line = 200;
	expect_keys("batch_max = 5\nlinger_usec = 6\n", 5, 6);
	expect_file_error("linger_usec =                    6\n", 1, "at most 28");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_metrics.c - the text for Prometheus: its form, its labels, its figures, and the room it asks for
 *
 * The text is read by a small parser of the format, which takes nothing that the format does not have; tests/command/test_promtool.sh
 * has Prometheus's own look at it.
 */
#include "tests/kit.h"

#include <ctype.h>
#include <inttypes.h>
#include <sys/wait.h>

#include "core/prometheus.h"
#include "tests/random.h"

TestSuite(exposition, .init = kit_begin, .fini = harness_end);
TestSuite(metrics, .init = kit_begin, .fini = harness_end);

/* ---- a parser ---------------------------------------------------------------------------------------------------- */

#define SAMPLES 1000

struct sample {
	char metric[64]; /* of the TYPE line above */
	char type[16];
	char name[64];
	char engine[128]; /* without escapes */
	char key[16];     /* of the other label; "": there is none */
	char other[64];
	char value[32];
};

static struct sample samples[SAMPLES];
static size_t sample_count;

/* The word up to one of `ends`, which must not be the end of the text. */
static const char *take(const char *at, const char *ends, char *word, size_t bytes)
{
	size_t length = strcspn(at, ends);

	check(at[length] != '\0' && length > 0 && length < bytes, "%.60s", at);
	memcpy(word, at, length);
	word[length] = '\0';
	return at + length;
}

static const char *expect_text(const char *at, const char *text)
{
	check(strncmp(at, text, strlen(text)) == 0, "\"%s\" is not at \"%.60s\"", text, at);
	return at + strlen(text);
}

/* A label's value behind its quote, and the text behind the one at its end. */
static const char *take_value(const char *at, char *value, size_t bytes)
{
	size_t length = 0;

	for (; *at != '"'; at++) {
		char character = *at;

		check(character != '\0' && character != '\n' && length + 1 < bytes);
		if (character == '\\') {
			at++;
			check(*at == '\\' || *at == '"' || *at == 'n', "\\%c", *at);
			character = *at == 'n' ? '\n' : *at;
		}
		value[length++] = character;
	}
	value[length] = '\0';
	return at + 1;
}

static const char *take_sample(const char *at, struct sample *sample)
{
	at = take(at, "{", sample->name, sizeof sample->name);
	at = expect_text(at, "{engine=\"");
	at = take_value(at, sample->engine, sizeof sample->engine);
	if (*at == ',') {
		at = take(at + 1, "=", sample->key, sizeof sample->key);
		at = expect_text(at, "=\"");
		at = take_value(at, sample->other, sizeof sample->other);
	}
	at = expect_text(at, "} ");
	at = take(at, "\n", sample->value, sizeof sample->value);
	check(sample->value[strspn(sample->value, "0123456789.")] == '\0', "%s", sample->value);
	return at + 1;
}

/* A metric begins: none of this name has been there. */
static const char *take_head(const char *at, char *metric, size_t metric_bytes, char *type, size_t type_bytes)
{
	char help[256], again[64];
	size_t i;

	at = take(expect_text(at, "# HELP "), " ", metric, metric_bytes);
	at = take(at + 1, "\n", help, sizeof help);
	check(strchr(help, '\\') == NULL);
	for (i = 0; i < sample_count; i++)
		check(strcmp(samples[i].metric, metric) != 0, "%s is there twice", metric);
	at = take(expect_text(at + 1, "# TYPE "), " ", again, sizeof again);
	cr_assert_str_eq(again, metric);
	at = take(at + 1, "\n", type, type_bytes);
	check(strncmp(metric, "penstock_", 9) == 0);
	check((strcmp(type, "counter") == 0) == (strstr(metric, "_total") != NULL), "%s is a %s", metric, type);
	return at + 1;
}

static void parse(const char *text)
{
	char metric[64] = "", type[16] = "";
	size_t i;

	sample_count = 0;
	while (*text != '\0') {
		struct sample *sample = &samples[sample_count];

		if (*text == '#') {
			text = take_head(text, metric, sizeof metric, type, sizeof type);
			check(*text != '#' && *text != '\0', "%s has no samples", metric);
			continue;
		}
		memset(sample, 0, sizeof *sample);
		text = take_sample(text, sample);
		snprintf(sample->metric, sizeof sample->metric, "%s", metric);
		snprintf(sample->type, sizeof sample->type, "%s", type);
		check(strncmp(sample->name, metric, strlen(metric)) == 0, "%s below %s", sample->name, metric);
		check(sample->name[strlen(metric)] == '\0' || strcmp(type, "histogram") == 0);
		for (i = 0; i < sample_count; i++)
			check(strcmp(samples[i].name, sample->name) != 0 || strcmp(samples[i].engine, sample->engine) != 0 ||
			              strcmp(samples[i].other, sample->other) != 0,
			      "%s of %s is there twice", sample->name, sample->engine);
		check(++sample_count < SAMPLES);
	}
}

/* The value of a sample, as it is written; `other` is "" where it has one label. */
static const char *value_of(const char *name, const char *engine, const char *other)
{
	size_t i;

	for (i = 0; i < sample_count; i++) {
		if (strcmp(samples[i].name, name) == 0 && strcmp(samples[i].engine, engine) == 0 &&
		    strcmp(samples[i].other, other) == 0)
			return samples[i].value;
	}
	check(false, "%s of %s with \"%s\" is not there", name, engine, other);
	return "";
}

/* The text as the header tells to get it. Of the caller, to be freed. */
static char *text_of(penstock *const *engines, const char *const *names, size_t count)
{
	size_t bytes, length;
	char *text;

	expect(penstock_metrics_prometheus(engines, names, count, NULL, 0, &bytes), PENSTOCK_OK);
	text = malloc(bytes);
	expect(penstock_metrics_prometheus(engines, names, count, text, bytes, &length), PENSTOCK_OK);
	check(length < bytes && text[length] == '\0' && strlen(text) == length);
	return text;
}

static void parse_of(penstock *const *engines, const char *const *names, size_t count)
{
	char *text = text_of(engines, names, count);

	parse(text);
	free(text);
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

/* How a label's value is written. */
static const char *written(const char *value)
{
	static char text[256];
	struct ps_exposition to = { .text = text };

	ps_exposition_label(&to, "k", value);
	check(to.used >= 5 && to.used < sizeof text && memcmp(text, ",k=\"", 4) == 0 && text[to.used - 1] == '"');
	text[to.used - 1] = '\0';
	return text + 4;
}

Test(exposition, labels_are_escaped)
{
	cr_assert_str_eq(written(""), "");
	cr_assert_str_eq(written("plain {x} 'y', z=1"), "plain {x} 'y', z=1");
	cr_assert_str_eq(written("a \"quote\""), "a \\\"quote\\\"");
	cr_assert_str_eq(written("C:\\n"), "C:\\\\n");
	cr_assert_str_eq(written("two\nlines\n"), "two\\nlines\\n");
	cr_assert_str_eq(written("\\\"\n"), "\\\\\\\"\\n");
	cr_assert_str_eq(written("tab\tand\r"), "tab\tand\r");
}

#define NONE "\xEF\xBF\xBD"

Test(exposition, labels_are_utf8_whatever_they_are_made_of)
{
	/* The first and last of each length. */
	cr_assert_str_eq(written("\x01\x7F"), "\x01\x7F");
	cr_assert_str_eq(written("\xC2\x80\xDF\xBF"), "\xC2\x80\xDF\xBF");
	cr_assert_str_eq(written("\xE0\xA0\x80\xEF\xBF\xBF"), "\xE0\xA0\x80\xEF\xBF\xBF");
	cr_assert_str_eq(written("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"), "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
	/* On both sides of the surrogates. */
	cr_assert_str_eq(written("\xED\x9F\xBF\xEE\x80\x80"), "\xED\x9F\xBF\xEE\x80\x80");
	cr_assert_str_eq(written("\xED\xA0\x80"), NONE NONE NONE);
	cr_assert_str_eq(written("\xED\xBF\xBF"), NONE NONE NONE);
	/* Longer than need be. */
	cr_assert_str_eq(written("\xC0\x80"), NONE NONE);
	cr_assert_str_eq(written("\xC1\xBF"), NONE NONE);
	cr_assert_str_eq(written("\xE0\x9F\xBF"), NONE NONE NONE);
	cr_assert_str_eq(written("\xF0\x8F\xBF\xBF"), NONE NONE NONE NONE);
	/* Beyond the last character. */
	cr_assert_str_eq(written("\xF4\x90\x80\x80"), NONE NONE NONE NONE);
	cr_assert_str_eq(written("\xF5\x80\x80\x80"), NONE NONE NONE NONE);
	cr_assert_str_eq(written("\xFF"), NONE);
	/* Without a beginning, and without an end: nothing behind the NUL is looked at. */
	cr_assert_str_eq(written("\x80z"), NONE "z");
	cr_assert_str_eq(written("\xC3"), NONE);
	cr_assert_str_eq(written("\xC3(\xE2\x82"), NONE "(" NONE NONE);
	cr_assert_str_eq(written("\xE2\x82\"\xF0\x9F\x92"), NONE NONE "\\\"" NONE NONE NONE);
	cr_assert_str_eq(written("\xC3\xA9t\xC3\xA9 \xF0\x9F\x92\xBE"), "\xC3\xA9t\xC3\xA9 \xF0\x9F\x92\xBE");
}

Test(exposition, same_is_what_is_written_alike)
{
	cr_assert(ps_exposition_same("", ""));
	cr_assert(ps_exposition_same("a\n\"\\\xC3\xA9", "a\n\"\\\xC3\xA9"));
	cr_assert(ps_exposition_same("\xFF", "\xFE"));
	cr_assert(ps_exposition_same("\xFF", NONE));
	cr_assert(!ps_exposition_same("a", "ab"));
	cr_assert(!ps_exposition_same("ab", "a"));
	cr_assert(!ps_exposition_same("a", "b"));
	cr_assert(!ps_exposition_same("\xC3\xA9", "\xC3\xA8"));
	cr_assert(!ps_exposition_same("\n", "\\n"));
}

static const char *formatted(uint64_t number, bool nsec)
{
	static char text[PS_EXPOSITION_NUMBER_BYTES];

	ps_exposition_format(text, number, nsec);
	return text;
}

Test(exposition, seconds_are_exact)
{
	cr_assert_str_eq(formatted(0, true), "0.000000000");
	cr_assert_str_eq(formatted(1, true), "0.000000001");
	cr_assert_str_eq(formatted(999999999, true), "0.999999999");
	cr_assert_str_eq(formatted(1000000000, true), "1.000000000");
	cr_assert_str_eq(formatted(61000000020, true), "61.000000020");
	cr_assert_str_eq(formatted(UINT64_MAX, true), "18446744073.709551615");
	cr_assert_str_eq(formatted(UINT64_MAX, false), "18446744073709551615");
	cr_assert_str_eq(formatted(0, false), "0");
}

Test(exposition, a_count_stays_at_the_most_there_can_be)
{
	struct ps_exposition to = { .used = SIZE_MAX - 3 };

	ps_exposition_label(&to, "key", "value");
	cr_assert_eq(to.used, SIZE_MAX);
}

/* ---- form -------------------------------------------------------------------------------------------------------- */

static penstock *open_held(const char *file)
{
	penstock_config config = kit_config();

	config.autostart = 0;
	return kit_open_path(harness_path(file), &config);
}

static void close_all(penstock **engines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect(penstock_close(engines[i], PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(metrics, each_metric_is_once_with_a_sample_of_each_engine)
{
	const char *names[] = { "one \"1\"", "two\\2", "three\n3" };
	penstock *engines[] = { open_held("1.db"), open_held("2.db"), open_held("3.db") };
	size_t of[COUNT_OF(engines)] = { 0 }, i, j;

	parse_of(engines, names, COUNT_OF(engines));
	check(sample_count > 300 && sample_count % COUNT_OF(engines) == 0, "%zu", sample_count);
	for (i = 0; i < sample_count; i++) {
		for (j = 0; j < COUNT_OF(names); j++)
			of[j] += strcmp(samples[i].engine, names[j]) == 0;
		/* And the others have the same. */
		for (j = 0; j < COUNT_OF(names); j++)
			value_of(samples[i].name, names[j], samples[i].other);
	}
	for (j = 0; j < COUNT_OF(names); j++)
		cr_assert_eq(of[j], sample_count / COUNT_OF(engines));
	close_all(engines, COUNT_OF(engines));
}

Test(metrics, without_a_name_it_is_the_path)
{
	const char *names[] = { NULL, "second" };
	penstock *engines[] = { open_held("1.db"), open_held("2.db") };
	char first[256];

	snprintf(first, sizeof first, "%s", harness_path("1.db"));
	parse_of(engines, names, 2);
	value_of("penstock_accepted_total", first, "");
	value_of("penstock_accepted_total", "second", "");
	parse_of(engines, NULL, 2);
	value_of("penstock_accepted_total", first, "");
	value_of("penstock_accepted_total", harness_path("2.db"), "");
	close_all(engines, 2);
}

Test(metrics, phase_is_one_of_all)
{
	const char *name = "x";
	penstock *db = open_held("test.db");

	parse_of(&db, &name, 1);
	cr_assert_str_eq(value_of("penstock_phase", name, "STOPPED"), "1");
	cr_assert_str_eq(value_of("penstock_phase", name, "RUNNING"), "0");
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	parse_of(&db, &name, 1);
	cr_assert_str_eq(value_of("penstock_phase", name, "STOPPED"), "0");
	cr_assert_str_eq(value_of("penstock_phase", name, "RUNNING"), "1");
	for (int phase = PENSTOCK_PHASE_PAUSING; phase <= PENSTOCK_PHASE_FAILED; phase++)
		cr_assert_str_eq(value_of("penstock_phase", name, penstock_phase_name((penstock_phase)phase)), "0");
	close_all(&db, 1);
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

/* Gives each counter of an engine without a writer a value that no other has; from `base` on. The depth is a difference. */
static void fill(penstock *db, uint64_t base)
{
	uint64_t *words = (uint64_t *)&db->counters.writer, next = base;

	for (size_t i = 1; i < PS_COUNTER_WORDS; i++)
		ps_count_set(&db->counters, &words[i], next++);
	ps_counters_publish(&db->counters);
	for (size_t i = 0; i < PENSTOCK_STATUS_LIMIT; i++)
		db->counters.refused[i] = next++;
	db->counters.full_events = next++;
	db->counters.full_nsec = next++;
	db->ring.bytes = next++;
	db->ring.wakes = next++;
	db->ring.claim = base * 20 << 1;
}

/* Close would wait for what it seems to have accepted. */
static void unfill(penstock *db)
{
	db->ring.claim = 0;
	db->ring.bytes = 0;
}

static size_t times_written(uint64_t value, bool nsec)
{
	const char *text = formatted(value, nsec);
	size_t count = 0;

	for (size_t i = 0; i < sample_count; i++)
		count += strcmp(samples[i].value, text) == 0;
	return count;
}

static bool is_bucket(size_t word)
{
	const size_t histograms[] = { offsetof(penstock_counters, batch_size), offsetof(penstock_counters, commit_nsec),
		                      offsetof(penstock_counters, outcome_nsec) };

	for (size_t i = 0; i < COUNT_OF(histograms); i++) {
		size_t first = (histograms[i] + offsetof(penstock_histogram, buckets)) / sizeof(uint64_t);

		if (word >= first && word < first + PENSTOCK_HISTOGRAM_BUCKETS)
			return true;
	}
	return false;
}

/* Every word of the struct, also of one that has grown: as it is, or as seconds. A histogram's count is its last bucket too. */
Test(metrics, every_counter_is_there)
{
	const char *name = "x";
	penstock *db = open_held("test.db");
	penstock_counters counters;
	const uint64_t *words = (const uint64_t *)&counters;
	const size_t refused = offsetof(penstock_counters, refused) / sizeof(uint64_t);

	fill(db, UINT64_C(5000000000000));
	counters = kit_counters(db);
	parse_of(&db, &name, 1);
	for (size_t i = 1; i < PS_COUNTER_WORDS; i++) {
		bool by_status = i >= refused && i < refused + PENSTOCK_STATUS_LIMIT;
		int status = by_status ? (int)(i - refused) : 0;
		/* Of those without a name there are none, and no submit is refused with an outcome, nor with what open says. */
		bool never = by_status && (status / 16 != 1 || strcmp(penstock_status_name(status), "PENSTOCK_?") == 0);
		bool count = words[i] == counters.batch_size.count || words[i] == counters.commit_nsec.count ||
		             words[i] == counters.outcome_nsec.count;
		size_t times = times_written(words[i], false) + times_written(words[i], true);

		if (!is_bucket(i))
			check(times == (count ? 2 : never ? 0 : 1), "word %zu is there %zu times", i, times);
	}
	unfill(db);
	close_all(&db, 1);
}

Test(metrics, counters_have_their_names_and_units)
{
	const char *x = "x";
	penstock *db = open_held("test.db");
	penstock_counters counters;

	fill(db, UINT64_C(7000000000000));
	counters = kit_counters(db);
	parse_of(&db, &x, 1);
#define IS(name, other, field) cr_assert_str_eq(value_of(name, x, other), formatted(counters.field, false))
#define TAKES(name, field) cr_assert_str_eq(value_of(name, x, ""), formatted(counters.field, true))
	IS("penstock_accepted_total", "", accepted);
	IS("penstock_refused_total", "FULL", refused[PENSTOCK_FULL]);
	IS("penstock_refused_total", "PAUSED", refused[PENSTOCK_PAUSED]);
	IS("penstock_refused_total", "MISUSE", refused[PENSTOCK_MISUSE]);
	IS("penstock_outcomes_total", "OK", committed);
	IS("penstock_outcomes_total", "ERROR", failed);
	IS("penstock_outcomes_total", "UNKNOWN", unknown);
	IS("penstock_outcomes_total", "SHUTDOWN", shutdown);
	IS("penstock_outcomes_total", "EXPIRED", expired);
	IS("penstock_outcomes_total", "CANCELLED", cancelled);
	IS("penstock_batches_total", "", batches);
	IS("penstock_replayed_batches_total", "", replayed_batches);
	IS("penstock_replayed_statements_total", "", replayed_statements);
	IS("penstock_alone_statements_total", "", alone);
	IS("penstock_fused_statements_total", "", fused);
	IS("penstock_queue_depth", "", queue_depth);
	IS("penstock_queue_depth_max", "", queue_depth_max);
	IS("penstock_queue_bytes", "", queue_bytes);
	IS("penstock_full_events_total", "", full_events);
	TAKES("penstock_full_wait_seconds_total", full_nsec);
	IS("penstock_parks_total", "", parks);
	IS("penstock_wakes_total", "", wakes);
	IS("penstock_busy_retries_total", "", busy_retries);
	IS("penstock_wal_bytes", "", wal_bytes);
	IS("penstock_wal_peak_bytes", "", wal_bytes_peak);
	IS("penstock_checkpoints_total", "", checkpoints);
	TAKES("penstock_checkpoint_seconds_total", checkpoint_nsec);
	IS("penstock_blocked_checkpoints_total", "", checkpoints_blocked);
	IS("penstock_not_allowed_checkpoints_total", "", checkpoints_not_allowed);
	IS("penstock_checkpoints_beside_total", "", checkpoints_beside);
	TAKES("penstock_checkpoint_wait_seconds_total", checkpoint_wait_nsec);
	IS("penstock_wal_syncs_total", "", wal_syncs);
	IS("penstock_schema_reprepares_total", "", schema_reprepares);
	IS("penstock_batch_statements_sum", "", batch_size.sum);
	IS("penstock_batch_statements_count", "", batch_size.count);
	IS("penstock_batch_statements_max", "", batch_size.max);
	TAKES("penstock_commit_seconds_sum", commit_nsec.sum);
	IS("penstock_commit_seconds_count", "", commit_nsec.count);
	TAKES("penstock_commit_max_seconds", commit_nsec.max);
	TAKES("penstock_outcome_seconds_sum", outcome_nsec.sum);
	IS("penstock_outcome_seconds_count", "", outcome_nsec.count);
	TAKES("penstock_outcome_max_seconds", outcome_nsec.max);
	cr_assert_str_eq(value_of("penstock_queue_capacity", x, ""), formatted(db->ring.capacity, false));
	unfill(db);
	close_all(&db, 1);
}

#define VALUES 3000

/* A bound or a number, in units or in nanoseconds. */
static uint64_t number_in(const char *text)
{
	uint64_t number = 0;

	for (; *text != '\0'; text++) {
		if (isdigit((unsigned char)*text))
			number = number * 10 + (uint64_t)(*text - '0');
	}
	return number;
}

/* The buckets of one histogram against the values that were counted, which are all that was. */
static void check_histogram(const char *metric, const uint64_t *values)
{
	uint64_t last = 0, last_bound = 0, buckets = 0;
	char bucket[64];

	snprintf(bucket, sizeof bucket, "%s_bucket", metric);
	for (size_t i = 0; i < sample_count; i++) {
		const struct sample *sample = &samples[i];
		uint64_t expected = 0, bound = strcmp(sample->other, "+Inf") == 0 ? UINT64_MAX : number_in(sample->other);

		if (strcmp(sample->name, bucket) != 0)
			continue;
		cr_assert_str_eq(sample->key, "le");
		check(last_bound != UINT64_MAX && (buckets == 0 || bound > last_bound), "%s %s", metric, sample->other);
		for (size_t v = 0; v < VALUES; v++)
			expected += values[v] <= bound;
		check(number_in(sample->value) == expected, "%s: %s of %s, not %" PRIu64, metric, sample->value, sample->other,
		      expected);
		check(expected >= last);
		last = expected;
		last_bound = bound;
		buckets++;
	}
	check(buckets > 10 && buckets <= 20, "%" PRIu64, buckets);
	check(last_bound == UINT64_MAX && last == VALUES);
}

Test(metrics, histograms_count_what_is_not_above_their_bounds)
{
	static uint64_t sizes[VALUES], commits[VALUES], outcomes[VALUES];
	const char *name = "x";
	penstock *db = open_held("test.db");
	uint64_t state = 7;

	/* Powers of two and their neighbours, and everything else at every order of magnitude. */
	for (size_t i = 0; i < VALUES; i++) {
		unsigned power = (unsigned)(random_next(&state) % 44);

		sizes[i] = (UINT64_C(1) << i % 22) + random_next(&state) % 3 - 1;
		commits[i] = (UINT64_C(1) << power) + random_next(&state) % 3 - 1;
		outcomes[i] = random_next(&state) % (UINT64_C(1) << power);
		ps_count_in(&db->counters, &db->counters.writer.batch_size, sizes[i]);
		ps_count_in(&db->counters, &db->counters.writer.commit_nsec, commits[i]);
		ps_count_in(&db->counters, &db->counters.writer.outcome_nsec, outcomes[i]);
	}
	ps_counters_publish(&db->counters);
	parse_of(&db, &name, 1);
	check_histogram("penstock_batch_statements", sizes);
	check_histogram("penstock_commit_seconds", commits);
	check_histogram("penstock_outcome_seconds", outcomes);
	close_all(&db, 1);
}

Test(metrics, a_sampled_histogram_says_so)
{
	penstock *db = open_held("test.db");
	char *text = text_of(&db, NULL, 1), *help = strstr(text, "# HELP penstock_outcome_seconds ");

	check(help != NULL);
	*strchr(help, '\n') = '\0';
	check(strstr(help, "sampled") != NULL && strstr(help, "one in 64") != NULL, "%s", help);
	free(text);
	close_all(&db, 1);
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

Test(metrics, room_is_enough_whatever_is_counted)
{
	const char *names[] = { "a\\b", "\xFF\xFE" };
	penstock *engines[] = { open_held("1.db"), open_held("2.db") };
	size_t before, bytes, length;

	expect(penstock_metrics_prometheus(engines, names, 2, NULL, 0, &before), PENSTOCK_OK);
	for (size_t i = 0; i < 2; i++) {
		uint64_t *words = (uint64_t *)&engines[i]->counters.writer;

		fill(engines[i], 1);
		for (size_t w = 1; w < PS_COUNTER_WORDS; w++)
			ps_count_set(&engines[i]->counters, &words[w], UINT64_MAX);
		ps_counters_publish(&engines[i]->counters);
		memset(engines[i]->counters.refused, 0xFF, sizeof engines[i]->counters.refused);
		engines[i]->counters.full_events = engines[i]->counters.full_nsec = UINT64_MAX;
		engines[i]->ring.bytes = engines[i]->ring.wakes = UINT64_MAX;
		engines[i]->ring.claim = UINT64_MAX;
	}
	expect(penstock_metrics_prometheus(engines, names, 2, NULL, 0, &bytes), PENSTOCK_OK);
	cr_assert_eq(bytes, before);
	/* At every alignment, and what lies around it is left alone. */
	for (size_t shift = 0; shift < 9; shift++) {
		char *around = malloc(bytes + 16), *text = around + shift;

		memset(around, '#', bytes + 16);
		expect(penstock_metrics_prometheus(engines, names, 2, text, bytes, &length), PENSTOCK_OK);
		check(length == strlen(text) && length + 2 * sizeof(penstock_counters) < bytes);
		check(shift == 0 || text[-1] == '#');
		for (char *at = text + bytes; at < around + bytes + 16; at++)
			check(*at == '#');
		parse(text);
		free(around);
	}
	for (size_t i = 0; i < 2; i++)
		unfill(engines[i]);
	close_all(engines, 2);
}

/* What fits today need not do so tomorrow. */
Test(metrics, less_room_than_it_needs_is_misuse_at_once)
{
	const char *name = "x";
	penstock *db = open_held("test.db");
	size_t bytes, length;
	char *text;

	expect(penstock_metrics_prometheus(&db, &name, 1, NULL, 0, &bytes), PENSTOCK_OK);
	for (size_t room = 0; room < bytes; room += room < bytes - 40 ? bytes / 40 : 1) {
		text = malloc(room + 1);
		memset(text, '#', room + 1);
		expect(penstock_metrics_prometheus(&db, &name, 1, text, room, &length), PENSTOCK_MISUSE);
		expect_message("needs");
		cr_assert_eq(length, bytes);
		check(text[0] == (room == 0 ? '#' : '\0'));
		for (size_t i = 1; i <= room; i++)
			check(text[i] == '#');
		free(text);
	}
	text = malloc(bytes);
	expect(penstock_metrics_prometheus(&db, &name, 1, text, bytes, &length), PENSTOCK_OK);
	free(text);
	close_all(&db, 1);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void refused(penstock *const *engines, const char *const *names, size_t count, int wanted, const char *part)
{
	static char text[100000];
	size_t length = 77;

	text[0] = '#';
	expect(penstock_metrics_prometheus(engines, names, count, text, sizeof text, &length), wanted);
	expect_message(part);
	check(text[0] == '\0' && length == 0);
	length = 77;
	expect(penstock_metrics_prometheus(engines, names, count, NULL, 0, &length), wanted);
	check(length == 0);
}

Test(metrics, null_is_refused)
{
	penstock *db = open_held("test.db");
	penstock *engines[] = { db, NULL };
	char text[8] = "#";
	size_t length = 77;

	expect(penstock_metrics_prometheus(&db, NULL, 1, text, sizeof text, NULL), PENSTOCK_MISUSE);
	expect_message("length");
	check(text[0] == '\0');
	refused(NULL, NULL, 1, PENSTOCK_MISUSE, "engines is NULL");
	refused(engines, NULL, 2, PENSTOCK_MISUSE, "engine is NULL");
	/* Nobody is left inside. */
	cr_assert_eq(db->inside, 0);
	/* No engine is no error. */
	strcpy(text, "#");
	expect(penstock_metrics_prometheus(NULL, NULL, 0, text, 1, &length), PENSTOCK_MISUSE);
	expect(penstock_metrics_prometheus(NULL, NULL, 0, NULL, 0, &length), PENSTOCK_OK);
	close_all(&db, 1);
}

Test(metrics, no_engine_is_no_text)
{
	char *text = text_of(NULL, NULL, 0);

	cr_assert_str_eq(text, "");
	free(text);
}

Test(metrics, two_of_one_name_are_refused)
{
	penstock *engines[] = { open_held("1.db"), open_held("2.db"), open_held("3.db") };
	penstock *twice[] = { engines[0], engines[1], engines[0] };
	const char *names[] = { "a", "b", "a" }, *bytes[] = { "a", "\xFF", "\xFE" };

	refused(engines, names, 3, PENSTOCK_MISUSE, "named a");
	refused(engines, bytes, 3, PENSTOCK_MISUSE, "two engines are named");
	refused(twice, NULL, 3, PENSTOCK_MISUSE, "1.db");
	names[2] = harness_path("2.db");
	names[1] = NULL;
	refused(engines, names, 3, PENSTOCK_MISUSE, "2.db");
	names[2] = "c";
	parse_of(engines, names, 3);
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(engines[i]->inside, 0);
	close_all(engines, 3);
}

static void *close_thread(void *db)
{
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	return NULL;
}

Test(metrics, closed_engine_answers_stopped)
{
	penstock *engines[] = { open_held("1.db"), open_held("2.db") };
	pthread_t thread;
	bool closed = false;

	check(ps_engine_look(engines[1])); /* close waits for this call */
	thread = kit_thread(close_thread, engines[1]);
	while (!closed) {
		ps_rcu_enter();
		closed = ps_state_read(&engines[1]->state)->phase == PS_CLOSED;
		ps_state_leave(&engines[1]->state);
		kit_sleep_usec(200);
	}
	refused(engines, NULL, 2, PENSTOCK_STOPPED, "stopped");
	cr_assert_eq(engines[0]->inside, 0);
	ps_engine_leave(engines[1]);
	kit_join(thread);
	close_all(engines, 1);
}

Test(metrics, forked_child_is_refused)
{
	penstock *db = open_held("test.db");
	pid_t child = fork();
	int status;

	if (child == 0) {
		refused(&db, NULL, 1, PENSTOCK_FORKED, "forked");
		_exit(0);
	}
	check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close_all(&db, 1);
}

/* ---- with everything going on ------------------------------------------------------------------------------------ */

static _Atomic bool going;

static void *produce(void *db)
{
	for (int64_t i = 0; going; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	return NULL;
}

struct watcher {
	penstock **engines;
	unsigned texts;
};

/* A snapshot is whole in each text. */
static void *watch(void *arg)
{
	struct watcher *self = arg;
	static const char *const names[] = { "a", "b" };
	size_t bytes, length;
	char *text;

	expect(penstock_metrics_prometheus(self->engines, names, 2, NULL, 0, &bytes), PENSTOCK_OK);
	text = malloc(bytes);
	for (; self->texts < 50; self->texts++) {
		expect(penstock_metrics_prometheus(self->engines, names, 2, text, bytes, &length), PENSTOCK_OK);
		check(strlen(text) == length);
	}
	parse(text);
	for (size_t i = 0; i < 2; i++) {
		uint64_t done = number_in(value_of("penstock_outcomes_total", names[i], "OK")) +
		                number_in(value_of("penstock_outcomes_total", names[i], "ERROR"));

		check(number_in(value_of("penstock_accepted_total", names[i], "")) ==
		      done + number_in(value_of("penstock_queue_depth", names[i], "")));
		check(number_in(value_of("penstock_commit_seconds_bucket", names[i], "+Inf")) ==
		      number_in(value_of("penstock_commit_seconds_count", names[i], "")));
		check(number_in(value_of("penstock_batch_statements_count", names[i], "")) ==
		      number_in(value_of("penstock_batches_total", names[i], "")));
	}
	free(text);
	return NULL;
}

Test(metrics, snapshots_are_whole_while_producers_run)
{
	penstock_config config = kit_config();
	penstock *engines[2];
	struct watcher watcher = { .engines = engines };
	pthread_t producers[4];

	for (size_t i = 0; i < 2; i++) {
		engines[i] = kit_open_path(harness_path(i == 0 ? "1.db" : "2.db"), &config);
		expect(kit_execute(engines[i], "CREATE TABLE t(a)"), PENSTOCK_OK);
	}
	going = true;
	for (size_t i = 0; i < COUNT_OF(producers); i++)
		producers[i] = kit_thread(produce, engines[i % 2]);
	watch(&watcher);
	going = false;
	for (size_t i = 0; i < COUNT_OF(producers); i++)
		kit_join(producers[i]);
	close_all(engines, 2);
}

static char *in_callback;

static void ask_in_callback(void *arg, const penstock_result *result)
{
	(void)result;
	in_callback = text_of(arg, NULL, 1);
}

Test(metrics, callback_may_ask)
{
	penstock_config config = kit_config();
	penstock *db = kit_open(&config);
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT 1", .on_complete = ask_in_callback, .arg = &db
	};

	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	parse(in_callback);
	cr_assert_str_eq(value_of("penstock_outcomes_total", harness_path("test.db"), "OK"), "1");
	free(in_callback);
	close_all(&db, 1);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.c - the counters of several engines as one text for Prometheus
 *
 * A metric has its HELP and TYPE once in a text, with a sample for each engine below: texts of single engines put together
 * would be refused. So one call makes the text of all. What it needs in memory (a snapshot of each engine, which all its
 * samples come from) lies at the end of the caller's room, so that nothing is allocated and no stack has to be large.
 *
 * The room it asks for is enough whatever the counters come to: a caller can keep it. It is asked for also when the text would
 * fit less today, or a program would find out that it has too little when its numbers have grown.
 *
 * A histogram of 304 buckets becomes one of twenty: a bound for each power of two in a range, and +Inf. The bounds are those of
 * buckets that are there, and inclusive, so the counts are exact.
 */
#include "writer/engine.h"

#include <assert.h>
#include <string.h>

#include "core/error.h"
#include "core/prometheus.h"

/* Bounds of a histogram, +Inf besides. */
#define BOUNDS 19
#define SIZES_FROM 1  /* 2 statements to 2^19 */
#define TIMES_FROM 14 /* 16 microseconds to 4 seconds */

enum how { COUNT, SECONDS, BY_STATUS, SIZES, TIMES };

/*
 * Everything in penstock_counters: X(field, name, type, status, how, help). Without a name: another sample of the metric
 * before.
 */
#define METRICS(X)                                                                                                             \
	X(accepted, "penstock_accepted_total", "counter", NULL, COUNT, "Submissions accepted.")                                \
	X(refused, "penstock_refused_total", "counter", NULL, BY_STATUS, "Submissions refused, by what the call answered.")    \
	X(committed, "penstock_outcomes_total", "counter", "OK", COUNT, "Outcomes of accepted submissions.")                   \
	X(failed, NULL, NULL, "ERROR", COUNT, NULL)                                                                            \
	X(unknown, NULL, NULL, "UNKNOWN", COUNT, NULL)                                                                         \
	X(shutdown, NULL, NULL, "SHUTDOWN", COUNT, NULL)                                                                       \
	X(expired, NULL, NULL, "EXPIRED", COUNT, NULL)                                                                         \
	X(cancelled, NULL, NULL, "CANCELLED", COUNT, NULL)                                                                     \
	X(batches, "penstock_batches_total", "counter", NULL, COUNT, "Transactions committed, statements alone included.")     \
	X(replayed_batches, "penstock_replayed_batches_total", "counter", NULL, COUNT,                                         \
	  "Transactions rolled back and run again without the failing statement.")                                             \
	X(replayed_statements, "penstock_replayed_statements_total", "counter", NULL, COUNT,                                   \
	  "Statements in them that ran again.")                                                                                \
	X(alone, "penstock_alone_statements_total", "counter", NULL, COUNT,                                                    \
	  "Statements run by themselves because they had to be.")                                                              \
	X(fused, "penstock_fused_statements_total", "counter", NULL, COUNT, "Statements that ran as rows of one INSERT.")      \
	X(queue_depth, "penstock_queue_depth", "gauge", NULL, COUNT, "Accepted submissions without an outcome yet.")           \
	X(queue_depth_max, "penstock_queue_depth_max", "gauge", NULL, COUNT,                                                   \
	  "Largest depth at the beginning of a batch, since open.")                                                            \
	X(queue_bytes, "penstock_queue_bytes", "gauge", NULL, COUNT, "Bytes of queued values that are too long for a slot.")   \
	X(full_events, "penstock_full_events_total", "counter", NULL, COUNT, "Submits that found the ring full.")              \
	X(full_nsec, "penstock_full_wait_seconds_total", "counter", NULL, SECONDS,                                             \
	  "Time that producers spent waiting for room.")                                                                       \
	X(parks, "penstock_parks_total", "counter", NULL, COUNT, "Times the writer went to sleep.")                            \
	X(wakes, "penstock_wakes_total", "counter", NULL, COUNT, "Times a producer or a control verb woke the writer.")        \
	X(busy_retries, "penstock_busy_retries_total", "counter", NULL, COUNT, "Attempts that met another process's lock.")    \
	X(wal_bytes, "penstock_wal_bytes", "gauge", NULL, COUNT, "Content of the write-ahead log.")                            \
	X(wal_bytes_peak, "penstock_wal_peak_bytes", "gauge", NULL, COUNT,                                                     \
	  "Largest content of the write-ahead log, since open.")                                                               \
	X(checkpoints, "penstock_checkpoints_total", "counter", NULL, COUNT, "Checkpoints.")                                   \
	X(checkpoint_nsec, "penstock_checkpoint_seconds_total", "counter", NULL, SECONDS, "Time spent in checkpoints.")        \
	X(checkpoints_not_allowed, "penstock_not_allowed_checkpoints_total", "counter", NULL, COUNT,                           \
	  "Checkpoints that were due while another engine had the checkpoint lock, or SQLite's.")                              \
	X(checkpoints_blocked, "penstock_blocked_checkpoints_total", "counter", NULL, COUNT,                                   \
	  "Checkpoints that a reader kept from finishing.")                                                                    \
	X(checkpoints_beside, "penstock_checkpoints_beside_total", "counter", NULL, COUNT,                                     \
	  "Checkpoints that the checkpoint thread made beside the writer.")                                                    \
	X(checkpoint_wait_nsec, "penstock_checkpoint_wait_seconds_total", "counter", NULL, SECONDS,                            \
	  "Time that the writer waited for the checkpoint thread.")                                                            \
	X(wal_syncs, "penstock_wal_syncs_total", "counter", NULL, COUNT,                                                       \
	  "Syncs of the write-ahead log for durable outcomes under synchronous=NORMAL.")                                       \
	X(schema_reprepares, "penstock_schema_reprepares_total", "counter", NULL, COUNT,                                       \
	  "Statements that SQLite prepared again because the schema had changed.")                                             \
	X(turns, "penstock_turns_total", "counter", NULL, COUNT, "Turns taken among the engines of processes.")                \
	X(turns_waited, "penstock_turns_waited_total", "counter", NULL, COUNT, "Turns that were waited for.")                  \
	X(turns_wait_nsec, "penstock_turns_wait_seconds_total", "counter", NULL, SECONDS, "Time spent waiting for turns.")     \
	X(turns_skipped, "penstock_turns_skipped_total", "counter", NULL, COUNT, "Turns of others ended since nothing moved.") \
	X(turns_succeeded, "penstock_turns_succeeded_total", "counter", NULL, COUNT,                                           \
	  "Turns of others ended since they were dead or gone.")                                                               \
	X(turns_missed, "penstock_turns_missed_total", "counter", NULL, COUNT, "Transactions begun without a turn.")           \
	X(batch_size, "penstock_batch_statements", "histogram", NULL, SIZES, "Statements in a transaction.")                   \
	X(commit_nsec, "penstock_commit_seconds", "histogram", NULL, TIMES, "Time that a COMMIT took, with its sync.")         \
	X(outcome_nsec, "penstock_outcome_seconds", "histogram", NULL, TIMES,                                                  \
	  "Time from submit to outcome, sampled: every submission with a listener, and one in 64 of the others.")

/* What a histogram of Prometheus has no place for. */
#define LARGEST(X)                                                                                                    \
	X(batch_size.max, "penstock_batch_statements_max", "gauge", NULL, COUNT, "Most statements in a transaction.") \
	X(commit_nsec.max, "penstock_commit_max_seconds", "gauge", NULL, SECONDS, "Longest that a COMMIT took.")      \
	X(outcome_nsec.max, "penstock_outcome_max_seconds", "gauge", NULL, SECONDS,                                   \
	  "Longest time from submit to outcome, of the same sample.")

struct metric {
	const char *name, *type, *help;
	const char *status; /* a label of its own, or NULL */
	enum how how;
	size_t at; /* in penstock_counters */
};

static const struct metric metrics[] = {
#define METRIC(field, name_, type_, status_, how_, help_) \
	{                                                 \
		.name = name_,                            \
		.type = type_,                            \
		.help = help_,                            \
		.status = status_,                        \
		.how = how_,                              \
		.at = offsetof(penstock_counters, field), \
	},
	METRICS(METRIC) LARGEST(METRIC)
#undef METRIC
};

#define SIZE_OF(field, name, type, status, how, help) +sizeof((penstock_counters *)NULL)->field
_Static_assert(sizeof(penstock_counters) == sizeof(uint64_t) METRICS(SIZE_OF),
               "each counter is a metric, and struct_size none");
#undef SIZE_OF

/* A text that is being made. */
struct making {
	penstock *const *engines;
	const char *const *names;
	size_t count;
	const penstock_counters *counters; /* of each engine; NULL: everything at its longest */
	struct ps_exposition to;
};

static const char *name_of(const struct making *making, size_t engine)
{
	if (making->names != NULL && making->names[engine] != NULL)
		return making->names[engine];
	return making->engines[engine]->path;
}

static const void *field_of(const struct making *making, size_t engine, size_t at)
{
	return (const char *)&making->counters[engine] + at;
}

/* ---- samples of one engine ---- */

static void put_count(struct making *making, const char *name, const struct metric *metric, size_t engine)
{
	uint64_t value = making->counters != NULL ? *(const uint64_t *)field_of(making, engine, metric->at) : UINT64_MAX;

	ps_exposition_sample(&making->to, name, "", name_of(making, engine));
	if (metric->status != NULL)
		ps_exposition_label(&making->to, "status", metric->status);
	ps_exposition_value(&making->to, value, metric->how == SECONDS);
}

/* By its number's kind: what a submit can be refused with. */
static bool is_refusal(int status)
{
	return status >= 16 && status < 32;
}

static void put_by_status(struct making *making, const char *name, const struct metric *metric, size_t engine)
{
	static const struct {
		int status;
		const char *name;
	} all[] = {
#define STATUS(name, number, sentence) { PENSTOCK_##name, #name },
		PENSTOCK_STATUS_LIST(STATUS)
#undef STATUS
	};
	const uint64_t *values = making->counters != NULL ? field_of(making, engine, metric->at) : NULL;
	size_t i;

	for (i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (!is_refusal(all[i].status))
			continue;
		ps_exposition_sample(&making->to, name, "", name_of(making, engine));
		ps_exposition_label(&making->to, "status", all[i].name);
		ps_exposition_value(&making->to, values != NULL ? values[all[i].status] : UINT64_MAX, false);
	}
}

/* How many of the values are less than 2^power. */
static uint64_t below(const penstock_histogram *histogram, unsigned power)
{
	uint64_t count = 0;
	size_t i;

	for (i = 0; i < PENSTOCK_HISTOGRAM_BUCKETS && penstock_histogram_floor(i) < UINT64_C(1) << power; i++)
		count += histogram->buckets[i];
	return count;
}

static void put_histogram(struct making *making, const char *name, const struct metric *metric, size_t engine)
{
	const penstock_histogram *histogram = making->counters != NULL ? field_of(making, engine, metric->at) : NULL;
	bool nsec = metric->how == TIMES;
	unsigned from = nsec ? TIMES_FROM : SIZES_FROM, i;
	const char *of = name_of(making, engine);
	char bound[PS_EXPOSITION_NUMBER_BYTES];

	for (i = 0; i < BOUNDS; i++) {
		ps_exposition_format(bound, (UINT64_C(1) << (from + i)) - 1, nsec);
		ps_exposition_sample(&making->to, name, "_bucket", of);
		ps_exposition_label(&making->to, "le", bound);
		ps_exposition_value(&making->to, histogram != NULL ? below(histogram, from + i) : UINT64_MAX, false);
	}
	ps_exposition_sample(&making->to, name, "_bucket", of);
	ps_exposition_label(&making->to, "le", "+Inf");
	ps_exposition_value(&making->to, histogram != NULL ? histogram->count : UINT64_MAX, false);
	ps_exposition_sample(&making->to, name, "_sum", of);
	ps_exposition_value(&making->to, histogram != NULL ? histogram->sum : UINT64_MAX, nsec);
	ps_exposition_sample(&making->to, name, "_count", of);
	ps_exposition_value(&making->to, histogram != NULL ? histogram->count : UINT64_MAX, false);
}

/* One sample for each phase there is: 1 for the one that the engine is in. */
static void put_phase(struct making *making, const char *name, size_t engine)
{
	penstock_phase phase = penstock_phase_of(making->engines[engine]), i;

	for (i = PENSTOCK_PHASE_STOPPED; i <= PENSTOCK_PHASE_FAILED; i++) {
		ps_exposition_sample(&making->to, name, "", name_of(making, engine));
		ps_exposition_label(&making->to, "phase", penstock_phase_name(i));
		ps_exposition_value(&making->to, i == phase, false);
	}
}

/* ---- the text ---- */

static void put_metric(struct making *making, const char *name, const struct metric *metric)
{
	size_t engine;

	for (engine = 0; engine < making->count; engine++) {
		switch (metric->how) {
		case BY_STATUS:
			put_by_status(making, name, metric, engine);
			break;
		case SIZES:
		case TIMES:
			put_histogram(making, name, metric, engine);
			break;
		default:
			put_count(making, name, metric, engine);
			break;
		}
	}
}

static void put_all(struct making *making)
{
	const char *name = NULL;
	size_t i;

	if (making->count == 0)
		return;
	ps_exposition_head(&making->to, "penstock_phase", "gauge", "Whether the engine is in this phase.");
	for (i = 0; i < making->count; i++)
		put_phase(making, "penstock_phase", i);
	ps_exposition_head(&making->to, "penstock_queue_capacity", "gauge", "Slots of the ring.");
	for (i = 0; i < making->count; i++) {
		ps_exposition_sample(&making->to, "penstock_queue_capacity", "", name_of(making, i));
		ps_exposition_value(&making->to, penstock_queue_capacity(making->engines[i]), false);
	}
	for (i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
		if (metrics[i].name != NULL) {
			name = metrics[i].name;
			ps_exposition_head(&making->to, name, metrics[i].type, metrics[i].help);
		}
		put_metric(making, name, &metrics[i]);
	}
}

/* ---- the call ---- */

/* Counts the caller inside each engine: until then nothing may be looked at. On an error it is inside the first *entered. */
static int enter_all(const struct making *making, size_t *entered)
{
	int status = PENSTOCK_OK;

	for (*entered = 0; *entered < making->count; *entered += 1) {
		status = ps_engine_enter(making->engines[*entered]);
		if (status != PENSTOCK_OK)
			break;
	}
	return status;
}

/* Prometheus takes a sample that is there twice for an error, and the whole text with it. */
static int check_names(const struct making *making)
{
	size_t i, j;

	for (i = 0; i < making->count; i++) {
		for (j = 0; j < i; j++) {
			if (ps_exposition_same(name_of(making, i), name_of(making, j)))
				return ps_error(PENSTOCK_MISUSE, "penstock_metrics_prometheus: two engines are named %s",
				                name_of(making, i));
		}
	}
	return PENSTOCK_OK;
}

/* What a text takes at its most, and behind it the snapshots, aligned. SIZE_MAX: more than there can be. */
static size_t measure(const struct making *making)
{
	struct making longest = *making;
	size_t bytes;

	put_all(&longest);
	if (__builtin_mul_overflow(making->count, sizeof(penstock_counters), &bytes) ||
	    __builtin_add_overflow(bytes, longest.to.used, &bytes) ||
	    __builtin_add_overflow(bytes, 1 + _Alignof(penstock_counters), &bytes))
		return SIZE_MAX;
	return bytes;
}

/* Inside all engines. */
static int make(struct making *making, char *text, size_t bytes, size_t *length)
{
	size_t needed = measure(making), i;
	penstock_counters *counters;
	uintptr_t end;
	int status = PENSTOCK_OK;

	*length = needed;
	if (text == NULL)
		return PENSTOCK_OK;
	if (bytes < needed)
		return ps_error(PENSTOCK_MISUSE, "penstock_metrics_prometheus: there are %zu bytes for the text; it needs %zu",
		                bytes, needed);
	end = (uintptr_t)(text + bytes) / _Alignof(penstock_counters) * _Alignof(penstock_counters);
	counters = (penstock_counters *)end - making->count;
	for (i = 0; i < making->count && status == PENSTOCK_OK; i++) {
		counters[i].struct_size = sizeof counters[i];
		status = penstock_counters_read(making->engines[i], &counters[i]);
	}
	*length = 0;
	if (status != PENSTOCK_OK)
		return status;
	making->counters = counters;
	making->to.text = text;
	put_all(making);
	assert(text + making->to.used < (char *)counters);
	text[making->to.used] = '\0';
	*length = making->to.used;
	return PENSTOCK_OK;
}

int penstock_metrics_prometheus(penstock *const *engines, const char *const *names, size_t count, char *text, size_t bytes,
                                size_t *length)
{
	struct making making = { .engines = engines, .names = names, .count = count };
	size_t entered;
	int status;

	if (text != NULL && bytes > 0)
		text[0] = '\0';
	if (length == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_metrics_prometheus: no place for the length");
	*length = 0;
	if (engines == NULL && count != 0)
		return ps_error(PENSTOCK_MISUSE, "penstock_metrics_prometheus: %zu engines are promised, but engines is NULL",
		                count);
	status = enter_all(&making, &entered);
	if (status == PENSTOCK_OK)
		status = check_names(&making);
	if (status == PENSTOCK_OK)
		status = make(&making, text, bytes, length);
	while (entered > 0)
		ps_engine_leave(engines[--entered]);
	return status;
}

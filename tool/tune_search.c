#include "tool/tune_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool/report.h"

#define RUNGS 4
/* Of a workload that is not done before. */
#define CHECK_PART 0.05
#define CHECK_MIN 1.0
#define HALVING_PART 0.55
#define PUTTING_BACK_PART 0.25
/* What a trial of the first rung is meant to take, with its overhead: from it follows how many candidates there are. */
#define FIRST_TRIAL 0.25
#define CANDIDATES_MIN 6
#define CANDIDATES_MAX 64
#define TRIAL_MIN 0.02
/* Before the first trial has shown it. */
#define OVERHEAD 0.03
#define PAIRS 3
#define PUTTING_BACK_TRIAL_MAX 1.5
#define NOISE_MIN 0.03
#define NOISE_MAX 0.15
/* While searching; a p99 that only just keeps the bound would not keep it next time. */
#define MARGIN 0.9

/* Those that do the least come first, so that the few that do much are judged in a plain configuration. */
static const enum space_key put_back_order[SPACE_KEYS] = {
	SPACE_WRITER_CPU, SPACE_SPIN_USEC, SPACE_LINGER_USEC,   SPACE_BATCH_BYTES, SPACE_CACHE_SIZE, SPACE_FUSE_ROWS,
	SPACE_BATCH_USEC, SPACE_PAGE_SIZE, SPACE_WAL_BYTES_MAX, SPACE_RING_SLOTS,  SPACE_BATCH_MAX,
};

static double now(const struct tune_search *search)
{
	return tune_seconds_since(&search->began);
}

/* ---- how good a measure is ---- */

/* For the goal, whatever the bound. */
static double merit(const struct tune_search *search, const struct tune_measure *measure)
{
	double rate = tune_measure_rate(measure);
	double p99 = fmax(tune_measure_p99_usec(measure), 1e-3);

	switch (search->goal) {
	case TUNE_THROUGHPUT:
		return rate;
	case TUNE_LATENCY:
		return 1 / p99;
	case TUNE_BALANCED:
		break;
	}
	return rate / p99;
}

/* Positive when the bound is kept, else negative; larger is better in any case. */
static double quality(const struct tune_search *search, const struct tune_measure *measure)
{
	double p99 = tune_measure_p99_usec(measure);

	if (search->bound_usec > 0 && p99 > search->bound_usec * search->margin)
		return -p99 / search->bound_usec;
	return merit(search, measure);
}

/* Not worse than `best` by more than the tolerance. */
static bool is_near(double value, double best, double tolerance)
{
	return value >= best - fabs(best) * tolerance;
}

bool tune_search_keeps_bound(const struct tune_search *search, const struct tune_measure *measure)
{
	return search->bound_usec <= 0 || tune_measure_p99_usec(measure) <= search->bound_usec;
}

/*
 * The relative difference that trials of so many seconds may show by chance: the base's, weighted by their length, as
 * the variance of a mean falls with the time that it is taken over.
 */
static double noise(const struct tune_search *search, double seconds)
{
	double time = 0, mean = 0, square = 0;
	size_t i;

	for (i = 0; i < search->base_trials; i++)
		time += search->base_seconds[i];
	if (search->base_trials < 3)
		return NOISE_MIN;
	for (i = 0; i < search->base_trials; i++)
		mean += search->base_merit[i] * search->base_seconds[i] / time;
	for (i = 0; i < search->base_trials; i++)
		square += pow(search->base_merit[i] - mean, 2) * search->base_seconds[i] / (double)(search->base_trials - 1);
	return fmin(fmax(2 * sqrt(square / seconds) / mean, NOISE_MIN), NOISE_MAX);
}

/* ---- trials ---- */

static void draw(void *arg)
{
	const struct tune_search *search = arg;
	const struct tune_measure *best = &search->candidates[search->ranked > 0 ? search->ranking[0] : 0].measure;

	if (!search->drawing)
		return;
	if (best->seconds > 0)
		report_status("%s, trial %zu of %zu; best %.0f rows/s, p99 %.2f ms; %.0f of %.0f s", search->phase, search->step,
		              search->steps, tune_measure_rate(best), tune_measure_p99_usec(best) / 1e3, now(search),
		              search->budget);
	else
		report_status("%s; %.0f of %.0f s", search->phase, now(search), search->budget);
}

static enum tune_end try(struct tune_search *search, size_t number, double seconds, struct tune_measure *measure)
{
	struct tune_candidate *candidate = &search->candidates[number];
	double began = now(search);
	enum tune_end end;

	search->step++;
	space_config_set(&search->config, search->space, &candidate->point);
	end = tune_trial(search->bench, &search->config.config, seconds, measure);
	if (end != TUNE_GOOD)
		return end;
	tune_measure_add(&candidate->measure, measure);
	/* A moving average. */
	search->overhead += (fmax(now(search) - began - measure->seconds, 0) - search->overhead) / 4;
	if (number == 0 && search->base_trials < TUNE_NOISE_SAMPLES && measure->seconds > 0) {
		search->base_merit[search->base_trials] = merit(search, measure);
		search->base_seconds[search->base_trials++] = measure->seconds;
	}
	draw(search);
	return TUNE_GOOD;
}

/* How long each of so many trials may take until then. */
static double share(const struct tune_search *search, double until, size_t trials)
{
	double each = (until - now(search)) / (double)trials - search->overhead;

	/* Where a trial has a long setup, fewer of them, of which something is measured, say more than many of nothing. */
	return fmax(each, fmax(TRIAL_MIN, search->overhead / 2));
}

static enum tune_end check(struct tune_search *search)
{
	double seconds = search->bench->workload->endless ? TRIAL_MIN : fmax(search->budget * CHECK_PART, CHECK_MIN);

	search->phase = "checking the workload";
	space_config_set(&search->config, search->space, &search->candidates[0].point);
	return tune_check(search->bench, &search->config.config, seconds);
}

/* ---- halving ---- */

static void rank(struct tune_search *search, const size_t *entrants, size_t count)
{
	size_t i, j;

	for (i = 0; i < count; i++) {
		double value = search->candidates[entrants[i]].quality;

		for (j = i; j > 0 && search->candidates[search->ranking[j - 1]].quality < value; j--)
			search->ranking[j] = search->ranking[j - 1];
		search->ranking[j] = entrants[i];
	}
	search->ranked = count;
}

/* Measures the entrants, the base first and last; how many there was time for. */
static enum tune_end climb(struct tune_search *search, const size_t *entrants, size_t count, double seconds, double until,
                           size_t *measured)
{
	struct tune_measure measure;
	enum tune_end end = TUNE_GOOD;
	size_t i;

	for (i = 0; i < count; i++) {
		struct tune_candidate *candidate = &search->candidates[entrants[i]];

		if (i > 0 && now(search) > until)
			break;
		end = try(search, entrants[i], seconds, &measure);
		if (end != TUNE_GOOD)
			break;
		candidate->quality = quality(search, &candidate->measure);
	}
	*measured = i;
	if (end == TUNE_GOOD && now(search) <= until)
		end = try(search, 0, seconds, &measure);
	return end;
}

/* The base, and the better half of the others. */
static size_t go_on(const struct tune_search *search, size_t *entrants)
{
	size_t most = (search->ranked + 1) / 2;
	size_t count = 0;
	size_t i;

	entrants[count++] = 0;
	for (i = 0; i < search->ranked && count < most; i++)
		if (search->ranking[i] != 0)
			entrants[count++] = search->ranking[i];
	return count;
}

static enum tune_end halve(struct tune_search *search, size_t *entrants)
{
	double until = search->budget * HALVING_PART;
	size_t count = search->sampled;
	enum tune_end end = TUNE_GOOD;
	double seconds = TRIAL_MIN;
	size_t measured, i;
	int rung;

	for (i = 0; i < count; i++)
		entrants[i] = i;
	search->phase = "halving";
	for (rung = 0; rung < RUNGS && count > 1 && end == TUNE_GOOD && (rung == 0 || now(search) < until); rung++) {
		double rung_until = now(search) + (until - now(search)) / (RUNGS - rung);

		seconds = fmax(seconds, share(search, rung_until, count + 1));
		if (rung == 0)
			search->shortest = seconds;
		search->longest = seconds;
		search->step = 0;
		search->steps = count + 1;
		end = climb(search, entrants, count, seconds, until, &measured);
		/* What the end of the time or a signal has kept from a later rung still has what it was in the earlier ones. */
		if (end != TUNE_FAILED)
			rank(search, entrants, rung == 0 ? measured : count);
		count = go_on(search, entrants);
	}
	return end;
}

/* ---- the choice ---- */

/* The base is chosen here only when it is the best; otherwise the confirmation decides, which sees more. */
static void choose(struct tune_search *search)
{
	double best = search->ranked > 0 ? search->candidates[search->ranking[0]].quality : 0;
	size_t i;

	search->noise = noise(search, search->longest);
	search->chosen = search->ranked > 0 ? search->ranking[0] : 0;
	for (i = 1; i < search->ranked; i++) {
		const struct tune_candidate *candidate = &search->candidates[search->ranking[i]];

		if (search->chosen != 0 && search->ranking[i] != 0 && is_near(candidate->quality, best, search->noise) &&
		    space_distance(search->space, &candidate->point) <
		            space_distance(search->space, &search->candidates[search->chosen].point))
			search->chosen = search->ranking[i];
	}
}

static bool differs(const struct tune_search *search, size_t number, enum space_key key)
{
	return search->candidates[number].point.levels[key] != search->space->keys[key].base;
}

/* The candidate with this point, a new one if need be; there is room for one per key. */
static size_t candidate_at(struct tune_search *search, const struct space_point *point)
{
	size_t i;

	for (i = 0; i < search->count; i++)
		if (memcmp(&search->candidates[i].point, point, sizeof *point) == 0)
			return i;
	search->candidates[i] = (struct tune_candidate){ .point = *point };
	search->count++;
	return i;
}

static enum tune_end put_back(struct tune_search *search, size_t best, enum space_key key, double seconds)
{
	struct space_point point = search->candidates[search->chosen].point;
	struct tune_reason *reason = &search->reasons[key];
	struct tune_measure with, without;
	enum tune_end end;
	size_t plainer;

	point.levels[key] = (unsigned char)search->space->keys[key].base;
	plainer = candidate_at(search, &point);
	end = try(search, best, seconds, &with);
	if (end == TUNE_GOOD)
		end = try(search, plainer, seconds, &without);
	if (end != TUNE_GOOD)
		return end;
	/* Always against the best itself, so that many small losses do not add up. */
	if (is_near(quality(search, &without), quality(search, &with), noise(search, seconds))) {
		reason->why = TUNE_WHY_NO_GAIN;
		search->chosen = plainer;
	} else {
		reason->why = TUNE_WHY_GAIN;
		reason->rate = tune_measure_rate(&without) / fmax(tune_measure_rate(&with), 1e-9);
		reason->p99 = tune_measure_p99_usec(&without) / fmax(tune_measure_p99_usec(&with), 1e-9);
	}
	return TUNE_GOOD;
}

static void begin_reasons(struct tune_search *search)
{
	size_t key;

	for (key = 0; key < SPACE_KEYS; key++) {
		struct tune_reason *reason = &search->reasons[key];

		reason->tried = space_at(search->space, &search->candidates[search->chosen].point, key);
		reason->why = differs(search, search->chosen, key) ? TUNE_WHY_UNCHECKED : TUNE_WHY_BASE;
	}
}

static enum tune_end simplify(struct tune_search *search)
{
	double until = search->budget * (HALVING_PART + PUTTING_BACK_PART);
	size_t best = search->chosen;
	enum tune_end end = TUNE_GOOD;
	size_t left = 0;
	size_t i;

	for (i = 0; i < SPACE_KEYS; i++)
		left += differs(search, best, i);
	search->phase = "putting back";
	search->step = 0;
	search->steps = 2 * left;
	for (i = 0; i < SPACE_KEYS && end == TUNE_GOOD && now(search) < until; i++)
		if (differs(search, best, put_back_order[i])) {
			double seconds = fmin(share(search, until, 2 * left--), PUTTING_BACK_TRIAL_MAX);

			end = put_back(search, best, put_back_order[i], fmax(seconds, search->shortest));
		}
	return end;
}

/* ---- the confirmation ---- */

static enum tune_end confirm_once(struct tune_search *search, double seconds)
{
	bool base_first = search->pairs % 2 == 1;
	struct tune_measure chosen, base;
	enum tune_end end;

	end = try(search, base_first ? 0 : search->chosen, seconds, base_first ? &base : &chosen);
	if (end == TUNE_GOOD)
		end = try(search, base_first ? search->chosen : 0, seconds, base_first ? &chosen : &base);
	if (end != TUNE_GOOD)
		return end;
	tune_measure_add(&search->confirmed, &chosen);
	tune_measure_add(&search->confirmed_base, &base);
	search->pairs++;
	return TUNE_GOOD;
}

static void give_way(struct tune_search *search)
{
	size_t key;

	for (key = 0; key < SPACE_KEYS; key++)
		if (differs(search, search->chosen, key))
			search->reasons[key].why = TUNE_WHY_NO_GAIN;
	search->chosen = 0;
	search->gave_way = true;
}

static enum tune_end confirm(struct tune_search *search)
{
	enum tune_end end = TUNE_GOOD;
	double base;
	int i;

	if (search->chosen == 0)
		return TUNE_GOOD;
	search->phase = "confirming";
	search->step = 0;
	search->steps = 2 * PAIRS;
	for (i = 0; i < PAIRS && end == TUNE_GOOD && (i == 0 || now(search) < search->budget); i++)
		end = confirm_once(search, fmax(share(search, search->budget, 2 * (size_t)(PAIRS - i)), search->shortest));
	if (search->pairs == 0 || end == TUNE_FAILED)
		return end;
	search->margin = 1;
	base = quality(search, &search->confirmed_base);
	search->noise = noise(search, search->confirmed_base.seconds);
	if (quality(search, &search->confirmed) <= base + fabs(base) * search->noise)
		give_way(search);
	return end;
}

/* ---- all of it ---- */

static void mark_pareto(struct tune_search *search)
{
	size_t i, j;

	for (i = 0; i < search->count; i++) {
		struct tune_candidate *one = &search->candidates[i];
		double rate = tune_measure_rate(&one->measure);
		double p99 = tune_measure_p99_usec(&one->measure);

		one->pareto = one->measure.seconds > 0;
		for (j = 0; j < search->count && one->pareto; j++) {
			const struct tune_measure *other = &search->candidates[j].measure;
			double other_rate = tune_measure_rate(other);
			double other_p99 = tune_measure_p99_usec(other);

			if (other->seconds > 0 && other_rate >= rate && other_p99 <= p99 && (other_rate > rate || other_p99 < p99))
				one->pareto = false;
		}
	}
}

static bool prepare(struct tune_search *search)
{
	double wanted = search->budget * HALVING_PART / RUNGS / FIRST_TRIAL;
	size_t count = (size_t)fmin(fmax(wanted, CANDIDATES_MIN), CANDIDATES_MAX);
	struct space_point points[CANDIDATES_MAX];
	size_t i;

	search->candidates = calloc(count + SPACE_KEYS, sizeof *search->candidates);
	search->ranking = calloc(count, sizeof *search->ranking);
	if (search->candidates == NULL || search->ranking == NULL || !space_config_init(&search->config, search->base))
		return false;
	search->sampled = search->count = space_sample(search->space, search->seed, points, count);
	for (i = 0; i < search->count; i++)
		search->candidates[i] = (struct tune_candidate){ .point = points[i], .sampled = true };
	search->margin = MARGIN;
	search->overhead = OVERHEAD;
	clock_gettime(CLOCK_MONOTONIC, &search->began);
	search->bench->tick = draw;
	search->bench->tick_arg = search;
	return true;
}

enum tune_end tune_search(struct tune_search *search)
{
	size_t entrants[CANDIDATES_MAX];
	enum tune_end end;

	if (!prepare(search)) {
		report_say("out of memory");
		return TUNE_FAILED;
	}
	end = check(search);
	if (end == TUNE_GOOD)
		end = halve(search, entrants);
	if (end != TUNE_FAILED) {
		choose(search);
		begin_reasons(search);
	}
	if (end == TUNE_GOOD)
		end = simplify(search);
	if (end == TUNE_GOOD)
		end = confirm(search);
	search->bench->tick = NULL;
	if (search->drawing)
		report_progress_end();
	search->seconds = now(search);
	mark_pareto(search);
	return end;
}

void tune_search_free(struct tune_search *search)
{
	free(search->candidates);
	free(search->ranking);
	space_config_free(&search->config);
}

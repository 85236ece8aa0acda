/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool/report.h"

#define RUNGS 4
/* Of a workload that is not done before. */
#define CHECK_PART 0.05
#define CHECK_MIN 1.0
#define HALVING_PART 0.5
#define PUTTING_BACK_PART 0.2
/* What a trial of the first rung is meant to take, with its overhead: from it follows how many candidates there are. */
#define FIRST_TRIAL 0.25
#define CANDIDATES_MIN 6
#define CANDIDATES_MAX 64
#define TRIAL_MIN 0.02
/* Longer ones only fill the disk. */
#define TRIAL_MAX 10.0
/* Before the first trial has shown it. */
#define OVERHEAD 0.03
#define PUTTING_BACK_TRIAL_MAX 1.5
/* Where there is time for more, in trials that are long enough. */
#define ROUNDS 5
#define FINAL_TRIAL 2.0
/* While searching; a p99 that only just keeps the bound would not keep it next time. */
#define MARGIN 0.9

/* Those that do the least come first, so that the few that do much are judged in a plain configuration. */
static const enum space_key put_back_order[SPACE_KEYS] = {
	SPACE_WRITER_CPU, SPACE_SPIN_USEC, SPACE_LINGER_USEC,       SPACE_BATCH_BYTES,   SPACE_CACHE_SIZE, SPACE_FUSE_ROWS,
	SPACE_BATCH_USEC, SPACE_PAGE_SIZE, SPACE_CHECKPOINT_THREAD, SPACE_WAL_BYTES_MAX, SPACE_RING_SLOTS, SPACE_BATCH_MAX,
};

static double now(const struct tune_search *search)
{
	return tune_seconds_since(&search->began);
}

/* ---- how good a measure is ---- */

/* Positive when the bound is kept, else negative; larger is better in any case. */
static double quality(const struct tune_search *search, const struct tune_measure *measure)
{
	double p99 = tune_measure_p99_usec(measure);

	if (search->bound_usec > 0 && p99 > search->bound_usec * MARGIN)
		return -p99 / search->bound_usec;
	return tune_merit(search->goal, tune_measure_rate(measure), p99);
}

/* Not worse than `best` by more than the tolerance. */
static bool is_near(double value, double best, double tolerance)
{
	return value >= best - fabs(best) * tolerance;
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
		return tune_noise(HUGE_VAL);
	for (i = 0; i < search->base_trials; i++)
		mean += search->base_merit[i] * search->base_seconds[i] / time;
	for (i = 0; i < search->base_trials; i++)
		square += pow(search->base_merit[i] - mean, 2) * search->base_seconds[i] / (double)(search->base_trials - 1);
	return tune_noise(2 * sqrt(square / seconds) / mean);
}

/* ---- trials ---- */

static void draw(void *arg)
{
	const struct tune_search *search = arg;
	const struct tune_measure *best = &search->candidates[search->ranked > 0 ? search->ranking[0] : 0].measure;

	if (!search->drawing)
		return;
	if (best->seconds > 0)
		report_status("%s, trial %zu of %zu; best %.0f rows/s, p99 %.2f ms; %.0f of %.0f s", search->phase,
		              search->step, search->steps, tune_measure_rate(best), tune_measure_p99_usec(best) / 1e3,
		              now(search), search->budget);
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
		search->base_merit[search->base_trials] =
			tune_merit(search->goal, tune_measure_rate(measure), tune_measure_p99_usec(measure));
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
	return fmin(fmax(each, fmax(TRIAL_MIN, search->overhead / 2)), TRIAL_MAX);
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

/* ---- the contender ---- */

/* Until the final, the base is chosen when it is the best. */
static void choose(struct tune_search *search)
{
	double best = 0;
	size_t i;

	search->noise = noise(search, search->longest);
	for (i = 0; i < search->ranked; i++) {
		size_t number = search->ranking[i];
		const struct tune_candidate *candidate = &search->candidates[number];

		if (number == 0)
			continue;
		if (search->contender == 0)
			best = candidate->quality;
		if (search->contender == 0 ||
		    (is_near(candidate->quality, best, search->noise) &&
		     space_distance(search->space, &candidate->point) <
		             space_distance(search->space, &search->candidates[search->contender].point)))
			search->contender = number;
	}
	search->chosen = search->ranked > 0 && search->ranking[0] != 0 ? search->contender : 0;
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

/* Both in turns once more, on top of what they have. */
static enum tune_end compare(struct tune_search *search, size_t best, size_t plainer, double seconds, struct tune_measure *with,
                             struct tune_measure *without)
{
	struct tune_measure measure;
	enum tune_end end;

	end = try(search, best, seconds, &measure);
	if (end != TUNE_GOOD)
		return end;
	tune_measure_add(with, &measure);
	end = try(search, plainer, seconds, &measure);
	if (end == TUNE_GOOD)
		tune_measure_add(without, &measure);
	return end;
}

/* Always against the best itself, so that many small losses do not add up. */
static bool does_as_well(const struct tune_search *search, const struct tune_measure *without, const struct tune_measure *with)
{
	return is_near(quality(search, without), quality(search, with), noise(search, with->seconds));
}

static enum tune_end put_back(struct tune_search *search, size_t best, enum space_key key, double seconds)
{
	struct space_point point = search->candidates[search->contender].point;
	struct tune_reason *reason = &search->reasons[key];
	struct tune_measure with = { 0 }, without = { 0 };
	enum tune_end end;
	size_t plainer;

	point.levels[key] = (unsigned char)search->space->keys[key].base;
	plainer = candidate_at(search, &point);
	end = compare(search, best, plainer, seconds, &with, &without);
	/* Chance is asked twice before a change is kept. */
	if (end == TUNE_GOOD && !does_as_well(search, &without, &with))
		end = compare(search, best, plainer, seconds, &with, &without);
	if (end != TUNE_GOOD)
		return end;
	if (does_as_well(search, &without, &with)) {
		reason->why = TUNE_WHY_NO_GAIN;
		if (search->chosen == search->contender)
			search->chosen = plainer;
		search->contender = plainer;
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

		reason->tried = space_at(search->space, &search->candidates[search->contender].point, key);
		reason->why = differs(search, search->contender, key) ? TUNE_WHY_UNCHECKED : TUNE_WHY_BASE;
	}
}

static enum tune_end simplify(struct tune_search *search)
{
	double until = search->budget * (HALVING_PART + PUTTING_BACK_PART);
	size_t best = search->contender;
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
			/* Between two trials, if none is kept, and four. */
			double seconds = fmin(share(search, until, 3 * left--), PUTTING_BACK_TRIAL_MAX);

			end = put_back(search, best, put_back_order[i], fmax(seconds, search->shortest));
		}
	return end;
}

/* ---- the final ---- */

struct tune_figure tune_measure_figure(const struct tune_measure *measure)
{
	return (struct tune_figure){ measure->seconds, tune_measure_rate(measure), tune_measure_p99_usec(measure) };
}

struct tune_figure tune_search_figure(const struct tune_search *search, size_t number)
{
	size_t finalist = tune_final_find(&search->final, number);

	if (search->final.rounds > 0 && finalist < search->final.count)
		return tune_final_figure(&search->final, finalist);
	return tune_measure_figure(&search->candidates[number].measure);
}

static enum tune_end run_round(struct tune_search *search, double seconds)
{
	struct tune_final *final = &search->final;
	struct tune_measure measure;
	size_t i;

	for (i = 0; i < final->count; i++) {
		/* Everyone has every place in a round. */
		struct tune_finalist *finalist = &final->finalists[(i + final->rounds) % final->count];
		enum tune_end end = try(search, finalist->number, seconds, &measure);

		if (end != TUNE_GOOD)
			return end;
		finalist->rounds[final->rounds] = tune_measure_figure(&measure);
	}
	final->rounds++;
	return TUNE_GOOD;
}

static enum tune_end run_rounds(struct tune_search *search)
{
	struct tune_final *final = &search->final;
	double spare = (search->budget - now(search)) / ((double) final->count * FINAL_TRIAL);
	/* An odd number, which has a middle. */
	size_t rounds = (size_t)fmin(fmax(spare, ROUNDS), TUNE_ROUNDS_MAX) | 1;
	enum tune_end end = TUNE_GOOD;

	search->phase = "final";
	search->step = 0;
	search->steps = rounds * final->count;
	while (final->rounds < rounds && end == TUNE_GOOD && (final->rounds == 0 || now(search) < search->budget)) {
		double seconds = share(search, search->budget, (rounds - final->rounds) * final->count);

		end = run_round(search, fmax(seconds, search->shortest));
	}
	return end;
}

static void decide(struct tune_search *search)
{
	const struct tune_final *final = &search->final;
	double worths[TUNE_FINALISTS_MAX];
	size_t best = 0;
	size_t i;

	for (i = 0; i < final->count; i++) {
		worths[i] = tune_final_worth(final, i);
		if (worths[i] > worths[best])
			best = i;
		if (i > 0 && (search->best_other == 0 || worths[i] > worths[search->best_other]))
			search->best_other = i;
	}
	search->noise = final->rounds < 3 ? noise(search, tune_final_figure(final, 0).seconds) : tune_final_noise(final);
	search->chosen = final->finalists[best].number;
	for (i = 0; i < final->count; i++) {
		size_t number = final->finalists[i].number;

		/* As near to the best as to the base: that would give away a gain that there is, and hardly be one. */
		if (i > 0 && is_near(worths[0], worths[i], search->noise))
			continue;
		if (is_near(worths[i], worths[best], search->noise) &&
		    space_distance(search->space, &search->candidates[number].point) <
		            space_distance(search->space, &search->candidates[search->chosen].point))
			search->chosen = number;
	}
}

/* From those of the contender to those of the choice. */
static void settle_reasons(struct tune_search *search)
{
	size_t key;

	if (search->chosen == search->contender)
		return;
	for (key = 0; key < SPACE_KEYS; key++) {
		struct tune_reason *reason = &search->reasons[key];
		bool same = space_at(search->space, &search->candidates[search->chosen].point, key) == reason->tried;

		if (differs(search, search->chosen, key) && !same)
			reason->why = TUNE_WHY_UNCHECKED;
		else if (differs(search, search->chosen, key) && reason->why == TUNE_WHY_NO_GAIN)
			reason->why = TUNE_WHY_TOGETHER;
		else if (!differs(search, search->chosen, key) && reason->why != TUNE_WHY_BASE)
			reason->why = search->final.rounds > 0 ? TUNE_WHY_NO_GAIN : TUNE_WHY_BASE;
	}
}

static enum tune_end play_final(struct tune_search *search)
{
	enum tune_end end;
	size_t i;

	search->final.goal = search->goal;
	search->final.bound_usec = search->bound_usec;
	tune_final_enter(&search->final, 0);
	tune_final_enter(&search->final, search->contender);
	for (i = 0; i < search->ranked; i++)
		tune_final_enter(&search->final, search->ranking[i]);
	if (search->final.count < 2)
		return TUNE_GOOD;
	end = run_rounds(search);
	if (end != TUNE_FAILED && search->final.rounds > 0)
		decide(search);
	return end;
}

/* Without a final, the last trials of the base have not been heeded yet. */
static void give_way(struct tune_search *search)
{
	if (search->final.rounds == 0 &&
	    quality(search, &search->candidates[0].measure) >= quality(search, &search->candidates[search->chosen].measure))
		search->chosen = 0;
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

			if (other->seconds > 0 && other_rate >= rate && other_p99 <= p99 &&
			    (other_rate > rate || other_p99 < p99))
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
		end = play_final(search);
	if (end != TUNE_FAILED) {
		give_way(search);
		settle_reasons(search);
	}
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

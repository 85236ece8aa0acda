/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/result.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool/json.h"

#define SENTENCE 256
#define COMMENT_WIDTH 100

/* ---- figures ---- */

static struct tune_figure chosen_figure(const struct tune_search *search)
{
	return tune_search_figure(search, search->chosen);
}

static struct tune_figure base_figure(const struct tune_search *search)
{
	return tune_search_figure(search, 0);
}

/* Of the choice by the base. */
static struct tune_ratios ratios(const struct tune_search *search)
{
	struct tune_figure chosen = chosen_figure(search), base = base_figure(search);
	double rate = tune_divide(chosen.rate, base.rate), p99 = tune_divide(chosen.p99_usec, base.p99_usec);

	if (search->final.rounds > 0)
		return tune_final_ratios(&search->final, tune_final_find(&search->final, search->chosen));
	return (struct tune_ratios){ { rate, rate, rate }, { p99, p99, p99 } };
}

static const char *usec_text(double usec, char text[SPACE_TEXT])
{
	if (usec < 1e3)
		snprintf(text, SPACE_TEXT, "%.0f us", usec);
	else if (usec < 1e6)
		snprintf(text, SPACE_TEXT, "%.2f ms", usec / 1e3);
	else
		snprintf(text, SPACE_TEXT, "%.2f s", usec / 1e6);
	return text;
}

/* Of the first so many. */
static size_t measured_of(const struct tune_search *search, size_t first)
{
	size_t count = 0;
	size_t i;

	for (i = 0; i < first; i++)
		count += search->candidates[i].measure.seconds > 0;
	return count;
}

static size_t measured(const struct tune_search *search)
{
	return measured_of(search, search->count);
}

/* What the base is called. */
static const char *base_name(const struct tune_result *result)
{
	return result->base->setting_count > 0 ? "the given configuration" : "the defaults";
}

/* ---- sentences ---- */

static void say_choice(const struct tune_result *result, char text[SENTENCE])
{
	static const char *const most[] = {
		[TUNE_THROUGHPUT] = "most rows/s",
		[TUNE_LATENCY] = "lowest p99",
		[TUNE_BALANCED] = "most rows/s per p99",
	};
	const struct tune_search *search = result->search;
	const char *base = base_name(result);
	double noise = search->noise * 100;

	if (search->candidates[0].measure.seconds <= 0)
		snprintf(text, SENTENCE, "%s, since nothing was measured", base);
	else if (search->chosen == 0 && search->final.rounds > 0)
		snprintf(text, SENTENCE,
		         "%s: the best other configuration came to %.2f of their rows/s and %.2f of their p99, which is not "
		         "better by more than noise (%.0f %%)",
		         base, tune_final_ratios(&search->final, search->best_other).rate.middle,
		         tune_final_ratios(&search->final, search->best_other).p99.middle, noise);
	else if (search->chosen == 0)
		snprintf(text, SENTENCE, "%s: nothing better by more than noise (%.0f %%) among %zu configurations", base,
		         noise, measured(search));
	else
		snprintf(text, SENTENCE, "%s among %zu configurations; of those within noise (%.0f %%), the nearest to %s",
		         most[search->goal], measured(search), noise, base);
}

static void say_bound(const struct tune_result *result, char text[SENTENCE])
{
	struct tune_figure figure = chosen_figure(result->search);
	char bound[SPACE_TEXT];

	usec_text(result->search->bound_usec, bound);
	if (result->search->bound_usec <= 0)
		snprintf(text, SENTENCE, "none");
	else if (figure.seconds <= 0)
		snprintf(text, SENTENCE, "%s: not known", bound);
	else
		snprintf(text, SENTENCE, "%s: %s", bound,
		         tune_keeps_bound(result->search->bound_usec, figure.p99_usec)
		                 ? "met"
		                 : "NOT met, by no configuration that was measured for long enough to tell");
}

static void say_figure(struct tune_figure figure, char text[SENTENCE])
{
	char p99[SPACE_TEXT];

	if (figure.seconds <= 0)
		snprintf(text, SENTENCE, "not measured");
	else
		snprintf(text, SENTENCE, "%.0f rows/s, p99 %s", figure.rate, usec_text(figure.p99_usec, p99));
}

static void say_ratio(const struct tune_result *result, char text[SENTENCE])
{
	const struct tune_search *search = result->search;
	struct tune_ratios of = ratios(search);

	if (search->chosen == 0)
		snprintf(text, SENTENCE, "1.00, being the same");
	else if (search->final.rounds > 0)
		snprintf(text, SENTENCE, "%.2f rows/s (%.2f to %.2f), %.2f p99 (%.2f to %.2f); median and ends of %zu rounds",
		         of.rate.middle, of.rate.least, of.rate.most, of.p99.middle, of.p99.least, of.p99.most,
		         search->final.rounds);
	else
		snprintf(text, SENTENCE, "%.2f rows/s, %.2f p99; not confirmed, %s", of.rate.middle, of.p99.middle,
		         result->interrupted ? "for lack of time: interrupted" : "for lack of time");
}

static void say_workload(const struct tune_result *result, char text[SENTENCE])
{
	const struct workload *workload = result->workload;

	snprintf(text, SENTENCE, "%.120s%s; %zu producer%s%s", workload->name, workload->part_count > 1 ? ", ..." : "",
	         workload->producers, workload->producers == 1 ? "" : "s",
	         result->arguments->wait ? ", each waiting for its outcomes" : "");
}

/* ---- the table ---- */

static bool written(void)
{
	return fflush(stdout) == 0 && !ferror(stdout);
}

static void print_changes(const struct tune_result *result, const struct space_point *point)
{
	const struct space *space = result->search->space;
	char text[SPACE_TEXT];
	bool any = false;
	size_t key;

	for (key = 0; key < SPACE_KEYS; key++)
		if (point->levels[key] != space->keys[key].base) {
			space_text(key, space_at(space, point, key), text);
			printf("  %s=%s", space_name(key), text);
			any = true;
		}
	printf("%s\n", any ? "" : "  -");
}

/* The next line by falling rows/s, or NULL behind the last: the Pareto points, and the choice if it is none of them. */
static const struct tune_candidate *next_line(const struct tune_search *search, const struct tune_candidate *after)
{
	const struct tune_candidate *best = NULL;
	size_t i;

	for (i = 0; i < search->count; i++) {
		const struct tune_candidate *one = &search->candidates[i];
		double rate = tune_measure_rate(&one->measure);
		bool behind = after == NULL || rate < tune_measure_rate(&after->measure) ||
		              (rate == tune_measure_rate(&after->measure) && one > after);

		bool listed = one->pareto || (i == search->chosen && one->measure.seconds > 0);

		if (listed && behind && (best == NULL || rate > tune_measure_rate(&best->measure)))
			best = one;
	}
	return best;
}

bool tune_result_table(const struct tune_result *result)
{
	const struct tune_search *search = result->search;
	const struct tune_candidate *one = NULL;
	char text[SENTENCE];
	char p99[SPACE_TEXT];

	printf("Pareto points of %zu configurations%s:\n\n", measured(search),
	       search->candidates[search->chosen].pareto ? " (* the choice)" : ", and the choice (*)");
	printf("       rows/s         p99  measured  other than %s\n", base_name(result));
	while ((one = next_line(search, one)) != NULL) {
		printf("%c %11.0f %11s %7.2f s", one == &search->candidates[search->chosen] ? '*' : ' ',
		       tune_measure_rate(&one->measure), usec_text(tune_measure_p99_usec(&one->measure), p99),
		       one->measure.seconds);
		print_changes(result, &one->point);
	}
	printf("\nchoice   ");
	print_changes(result, &search->candidates[search->chosen].point);
	say_figure(chosen_figure(search), text);
	printf("           %s\n", text);
	say_figure(base_figure(search), text);
	printf("compared   %s: %s\n", base_name(result), text);
	say_ratio(result, text);
	printf("ratio      %s\n", text);
	say_choice(result, text);
	printf("why        goal %s: %s%s\n", tune_goal_name(search->goal), text, result->interrupted ? " (interrupted)" : "");
	say_bound(result, text);
	printf("p99 bound  %s\n", text);
	if (measured_of(search, search->sampled) < search->sampled && !result->interrupted)
		printf("budget     too short for %zu of the %zu configurations of the sample: a longer --budget finds more\n",
		       search->sampled - measured_of(search, search->sampled), search->sampled);
	printf("written to %s\n", result->arguments->out);
	return written();
}

/* ---- JSON ---- */

static void print_point(const struct tune_result *result, const struct space_point *point)
{
	const struct space *space = result->search->space;
	size_t key;

	printf("{");
	for (key = 0; key < SPACE_KEYS; key++)
		if (space_has(space, key))
			printf("%s\"%s\": %" PRId64, key > 0 ? ", " : "", space_name(key), space_at(space, point, key));
	printf("}");
}

static void print_figure(struct tune_figure figure)
{
	if (figure.seconds <= 0)
		printf("\"seconds\": 0, \"rate\": null, \"p99_usec\": null");
	else
		printf("\"seconds\": %.6f, \"rate\": %.6f, \"p99_usec\": %.6f", figure.seconds, figure.rate, figure.p99_usec);
}

static void print_ratio(const char *name, struct tune_ratio ratio)
{
	printf("\"%s\": %.6f, \"%s_least\": %.6f, \"%s_most\": %.6f", name, ratio.middle, name, ratio.least, name, ratio.most);
}

static void print_final(const struct tune_search *search)
{
	size_t i, j;

	printf("  \"final\": [");
	for (i = 0; search->final.rounds > 0 && i < search->final.count; i++) {
		const struct tune_finalist *one = &search->final.finalists[i];

		printf("%s\n    {\"number\": %zu, ", i > 0 ? "," : "", one->number);
		print_ratio("rate", tune_final_ratios(&search->final, i).rate);
		printf(", \"trials\": [");
		for (j = 0; j < search->final.rounds; j++)
			printf("%s{\"rate\": %.6f, \"p99_usec\": %.6f}", j > 0 ? ", " : "", one->rounds[j].rate,
			       one->rounds[j].p99_usec);
		printf("]}");
	}
	printf("\n  ],\n");
}

static void print_candidates(const struct tune_result *result)
{
	const struct tune_search *search = result->search;
	size_t i;

	printf("  \"candidates\": [");
	for (i = 0; i < search->count; i++) {
		const struct tune_candidate *one = &search->candidates[i];

		printf("%s\n    {\"number\": %zu, \"sampled\": %s, \"pareto\": %s, ", i > 0 ? "," : "", i,
		       one->sampled ? "true" : "false", one->pareto ? "true" : "false");
		print_figure(tune_measure_figure(&one->measure));
		printf(", \"config\": ");
		print_point(result, &one->point);
		printf("}");
	}
	printf("\n  ],\n");
}

bool tune_result_json(const struct tune_result *result)
{
	const struct tune_search *search = result->search;
	char text[SENTENCE];

	printf("{\n  \"goal\": \"%s\",\n", tune_goal_name(search->goal));
	if (search->bound_usec > 0)
		printf("  \"bound_usec\": %.3f,\n  \"bound_met\": %s,\n", search->bound_usec,
		       tune_keeps_bound(search->bound_usec, chosen_figure(search).p99_usec) ? "true" : "false");
	else
		printf("  \"bound_usec\": null,\n  \"bound_met\": null,\n");
	printf("  \"budget\": %.3f,\n  \"seconds\": %.3f,\n  \"seed\": %" PRIu64 ",\n", search->budget, search->seconds,
	       search->seed);
	printf("  \"interrupted\": %s,\n  \"noise\": %.6f,\n  \"workload\": ", result->interrupted ? "true" : "false",
	       search->noise);
	say_workload(result, text);
	json_string(stdout, text);
	printf(",\n");
	print_candidates(result);
	print_final(search);
	printf("  \"chosen\": {\"number\": %zu, ", search->chosen);
	print_figure(chosen_figure(search));
	printf("},\n  \"base\": {");
	print_figure(base_figure(search));
	printf("},\n  \"ratio\": {");
	print_ratio("rate", ratios(search).rate);
	printf(", ");
	print_ratio("p99", ratios(search).p99);
	printf(", \"rounds\": %zu},\n  \"why\": ", search->final.rounds);
	say_choice(result, text);
	json_string(stdout, text);
	printf(",\n  \"out\": ");
	json_string(stdout, result->arguments->out);
	printf("\n}\n");
	return written();
}

/* ---- the file ---- */

/* A comment as inih and the library take it: printable, and in lines that are not too long. */
static void __attribute__((format(printf, 2, 3))) comment(FILE *file, const char *format, ...)
{
	char *text, *at;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	for (at = text; at != NULL && *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	for (at = text; at != NULL && *at != '\0';) {
		size_t bytes = strlen(at);

		if (bytes > COMMENT_WIDTH) {
			const char *blank = memrchr(at, ' ', COMMENT_WIDTH);

			bytes = blank != NULL && blank > at ? (size_t)(blank - at) : COMMENT_WIDTH;
		}
		fprintf(file, "# %.*s\n", (int)bytes, at);
		at += bytes;
		at += strspn(at, " ");
	}
	free(text);
}

static void write_head(FILE *file, const struct tune_result *result)
{
	const struct tune_search *search = result->search;
	char text[SENTENCE];
	char date[SPACE_TEXT] = "";
	time_t now = time(NULL);
	struct tm parts;

	if (localtime_r(&now, &parts) != NULL)
		strftime(date, sizeof date, "%Y-%m-%d", &parts);
	comment(file, "Found by `penstock tune` on %s for the %s %s (Penstock %s, SQLite %s).", date,
	        result->arguments->cluster ? "cluster" : "disk of", result->arguments->folder, penstock_version(),
	        sqlite3_libversion());
	comment(file, "`penstock run --config` reads it, and penstock_open as config_file.");
	fprintf(file, "#\n");
	say_workload(result, text);
	comment(file, "workload:  %s", text);
	say_choice(result, text);
	comment(file, "goal:      %s", tune_goal_name(search->goal));
	comment(file, "why:       %s%s", text, result->interrupted ? " (interrupted)" : "");
	say_bound(result, text);
	comment(file, "p99 bound: %s", text);
	say_figure(chosen_figure(search), text);
	comment(file, "this:      %s", text);
	say_figure(base_figure(search), text);
	comment(file, "compared:  %s: %s", base_name(result), text);
	say_ratio(result, text);
	comment(file, "ratio:     %s", text);
}

static void write_why(FILE *file, const struct tune_result *result, enum space_key key)
{
	const struct tune_reason *reason = &result->search->reasons[key];
	const struct tune_base *base = result->base;
	char normal[SPACE_TEXT], given[SPACE_TEXT], tried[SPACE_TEXT];
	char before[SENTENCE];

	space_text(key, base->defaults[key], normal);
	space_text(key, base->values[key], given);
	space_text(key, reason->tried, tried);
	if (base->values[key] == base->defaults[key])
		snprintf(before, sizeof before, "default %s", normal);
	else
		snprintf(before, sizeof before, "default %s, given %s", normal, given);
	switch (reason->why) {
	case TUNE_WHY_BASE:
		comment(file, "%s; kept, since %s", before,
		        space_varies(result->search->space, key) ? "no other value was in the best configuration"
		                                                 : "with this workload and machine there is no other to try");
		break;
	case TUNE_WHY_NO_GAIN:
		comment(file, "%s; kept, since %s did no better", before, tried);
		break;
	case TUNE_WHY_GAIN:
		comment(file, "%s; with %s this has %+.0f %% rows/s and %+.0f %% p99", before, given, (reason->rate - 1) * 100,
		        (reason->p99 - 1) * 100);
		break;
	case TUNE_WHY_TOGETHER:
		comment(file, "%s, which by itself does as well, but not together with the other changes put back", before);
		break;
	case TUNE_WHY_UNCHECKED:
		comment(file, "%s; from the best configuration, without a trial of what it does there", before);
		break;
	}
}

static void write_keys(FILE *file, const struct tune_result *result, bool pragmas)
{
	const struct tune_search *search = result->search;
	char text[SPACE_TEXT];
	size_t key;

	for (key = 0; key < SPACE_KEYS; key++)
		if (space_is_pragma(key) == pragmas && space_has(search->space, key)) {
			space_text(key, space_at(search->space, &search->candidates[search->chosen].point, key), text);
			fprintf(file, "\n");
			comment(file, "%s", space_help(key));
			write_why(file, result, key);
			fprintf(file, "%s = %s\n", space_name(key), text);
		}
}

static void write_settings(FILE *file, const struct tune_base *base, bool pragmas)
{
	bool begun = false;
	size_t i;

	for (i = 0; i < base->setting_count; i++) {
		const struct tune_setting *setting = &base->settings[i];

		if (setting->pragma != pragmas || tune_base_is_tuned(setting))
			continue;
		if (!begun)
			fprintf(file, "\n# as given; not tuned\n");
		fprintf(file, "%s = %s\n", setting->name, setting->value);
		begun = true;
	}
}

char *tune_result_file(const struct tune_result *result, size_t *bytes)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, bytes);

	if (file == NULL)
		return NULL;
	write_head(file, result);
	fprintf(file, "\n[penstock]\n");
	write_keys(file, result, false);
	write_settings(file, result->base, false);
	if (!result->arguments->cluster) {
		fprintf(file, "\n[pragmas]\n");
		write_keys(file, result, true);
		write_settings(file, result->base, true);
	}
	if (fclose(file) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

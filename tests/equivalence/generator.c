/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/generator.h"

#include <inttypes.h>

#include "tests/equivalence/calls.h"
#include "tests/equivalence/locales.h"
#include "tests/random.h"
#include "tests/kit.h"

#define TEXT_MAX 8192

/* For so many other submissions there is one call. */
#define CALL_ONE_IN 25

static bool chance(uint64_t *state, unsigned one_in)
{
	return random_below(state, one_in) == 0;
}

/* A statement under construction. */
struct draft {
	uint64_t *random;
	char text[TEXT_MAX];
	size_t used;
	struct statement *statement;
	bool bind; /* values as parameters */
};

void put(struct draft *draft, const char *text)
{
	size_t bytes = strlen(text);

	if (draft->used + bytes < sizeof draft->text) {
		memcpy(draft->text + draft->used, text, bytes);
		draft->used += bytes;
	}
}

static bool binds(struct draft *draft)
{
	return draft->bind && draft->statement->value_count < VALUES_MAX;
}

static void put_parameter(struct draft *draft, penstock_value value)
{
	draft->statement->values[draft->statement->value_count++] = value;
	put(draft, "?");
}

void put_number(struct draft *draft, int64_t number)
{
	char text[32];

	if (binds(draft)) {
		put_parameter(draft, penstock_int64(number));
		return;
	}
	snprintf(text, sizeof text, "%" PRId64, number);
	put(draft, text);
}

static void put_text(struct draft *draft, const char *data, size_t bytes)
{
	size_t i;
	char text[3];

	if (binds(draft)) {
		put_parameter(draft, penstock_text_bytes(copy_of(data, bytes), bytes));
		return;
	}
	put(draft, "CAST(X'");
	for (i = 0; i < bytes; i++) {
		snprintf(text, sizeof text, "%02X", (unsigned char)data[i]);
		put(draft, text);
	}
	put(draft, "' AS TEXT)");
}

static void put_blob(struct draft *draft, size_t bytes)
{
	unsigned char *data;
	size_t i;

	if (!binds(draft)) {
		put(draft, bytes > 40 ? "zeroblob(70000)" : "X'00FF41'");
		return;
	}
	data = malloc(bytes + 1);
	for (i = 0; i < bytes; i++)
		data[i] = (unsigned char)(i * 7 + bytes);
	put_parameter(draft, penstock_blob(data, bytes));
}

static void put_short_text(struct draft *draft)
{
	char text[16];

	if (chance(draft->random, 25)) {
		put_text(draft, "\xff\xfe\x80q", 4);
	} else if (chance(draft->random, 25)) {
		put_text(draft, "a\0b", 3);
	} else {
		snprintf(text, sizeof text, "%c%u", 'a' + (char)random_below(draft->random, 3),
		         random_below(draft->random, 20));
		put_text(draft, text, strlen(text));
	}
}

void put_value(struct draft *draft)
{
	static const double reals[] = { 0.5, -0.0, 1e300, 3.0, 1e-320 };

	switch (random_below(draft->random, 9)) {
	case 0:
		if (binds(draft))
			put_parameter(draft, penstock_null());
		else
			put(draft, "NULL");
		break;
	case 1:
		put_number(draft, (int64_t)random_next(draft->random));
		break;
	case 2:
		if (binds(draft))
			put_parameter(draft, penstock_double(reals[random_below(draft->random, 5)]));
		else
			put(draft, "2.25");
		break;
	case 3:
		put_blob(draft, random_below(draft->random, 30));
		break;
	case 4:
		put_text(draft, "", 0);
		break;
	case 5:
	case 6:
		put_short_text(draft);
		break;
	default:
		put_number(draft, random_below(draft->random, 30));
		break;
	}
}

static void expand(struct draft *draft, const char *text, const char *end);

/* The part behind "$[", so and so many times; returns what is behind its "]". */
static const char *expand_repeated(struct draft *draft, const char *text)
{
	const char *end = strchr(text, ']');
	unsigned count = chance(draft->random, 2) ? 1 : 1 + random_below(draft->random, 7);

	while (count-- > 0) {
		expand(draft, text, end);
		if (count > 0)
			put(draft, ",");
	}
	return end + 1;
}

/* One of the parts behind "${"; returns what is behind the "}". */
static const char *expand_one_part(struct draft *draft, const char *text)
{
	const char *end = strchr(text, '}'), *at;
	unsigned parts = 1, wanted;

	for (at = text; at < end; at++)
		parts += *at == '|';
	wanted = random_below(draft->random, parts);
	while (wanted-- > 0)
		text = strchr(text, '|') + 1;
	for (at = text; *at != '|' && at < end; at++)
		;
	expand(draft, text, at);
	return end + 1;
}

static void expand_one(struct draft *draft, char what)
{
	static const char *const conflicts[] = {
		"", "", "", " OR ABORT", " OR FAIL", " OR FAIL", " OR ROLLBACK", " OR IGNORE", " OR REPLACE"
	};
	static const char *const upserts[] = { "", "", " ON CONFLICT DO NOTHING",
		                               " ON CONFLICT(b) DO UPDATE SET c=excluded.c,d=b||'u'",
		                               " ON CONFLICT(a) DO UPDATE SET b=excluded.b WHERE c<5" };
	uint64_t *random = draft->random;
	unsigned number;
	char text[24];

	switch (what) {
	case 'O':
		/* OR ROLLBACK ends the batch: seldom, so that batches stay large. */
		number = random_below(random, 9);
		put(draft, conflicts[number == 6 && !chance(random, 4) ? 0 : number]);
		break;
	case 'R':
		put(draft, chance(random, 3) ? " RETURNING *" : "");
		break;
	case 'U':
		put(draft, upserts[random_below(random, 5)]);
		break;
	case 'k':
		put_number(draft, 1 + random_below(random, 24));
		break;
	case 'n':
		snprintf(text, sizeof text, "%u", random_below(random, 10));
		put(draft, text);
		break;
	case 'c':
		number = random_below(random, 60);
		if (number == 0)
			put(draft, "NULL");
		else
			put_number(draft, number == 1 ? -1 : number < 8 ? 90 + (int)number : (int)number % 10);
		break;
	case 's':
		put_short_text(draft);
		break;
	case 'v':
		put_value(draft);
		break;
	case 'B':
		put_blob(draft, 1000 + random_below(random, 60000));
		break;
	case 'x':
		snprintf(text, sizeof text, "x%u", random_below(random, 4));
		put(draft, text);
		break;
	case 'y':
		snprintf(text, sizeof text, "%c", "bcde"[random_below(random, 4)]);
		put(draft, text);
		break;
	case 'b':
		put(draft, chance(random, 4) ? "OFF" : "ON");
		break;
	case 'D':
		put(draft, "$D"); /* when it is run */
		break;
	case '$':
		put(draft, "$");
		break;
	default:
		abort();
	}
}

static void expand(struct draft *draft, const char *text, const char *end)
{
	char letter[2] = "";

	while (text < end) {
		if (text[0] != '$') {
			letter[0] = *text++;
			put(draft, letter);
		} else if (text[1] == '[') {
			text = expand_repeated(draft, text + 2);
		} else if (text[1] == '{') {
			text = expand_one_part(draft, text + 2);
		} else {
			expand_one(draft, text[1]);
			text += 2;
		}
	}
}

void put_expanded(struct draft *draft, const char *text)
{
	expand(draft, text, text + strlen(text));
}

unsigned put_chance(struct draft *draft, unsigned below)
{
	return random_below(draft->random, below);
}

/* Whether one of the words, separated by semicolons, is `text`, or within it. */
static bool has_word(const char *words, const char *text, bool within)
{
	char copy[1000], *word, *rest = copy;

	snprintf(copy, sizeof copy, "%s", words != NULL ? words : "");
	while ((word = strsep(&rest, ";")) != NULL) {
		if (word[0] != '\0' && (within ? strstr(text, word) != NULL : strcmp(text, word) == 0))
			return true;
	}
	return false;
}

/* What a round is drawn from. */
struct source {
	uint64_t *random;
	const struct setup *setup;
	const char *without; /* a text */
};

static bool left_out(const struct source *source, const char *text)
{
	size_t i;

	for (i = 0; source->setup->kinds[i] != NULL; i++) {
		if (has_word(source->setup->kinds[i]->without, text, true))
			return true;
	}
	return has_word(source->without, text, true) || has_word(getenv("PENSTOCK_EQUIVALENCE_WITHOUT"), text, true);
}

static const struct kind *draw_kind(const struct source *source)
{
	const struct kind *const *at = source->setup->kinds;
	unsigned total = 0, place;
	size_t i;

	for (i = 0; at[i] != NULL; i++)
		total += at[i]->weight;
	place = random_below(source->random, total);
	for (i = 0; place >= at[i]->weight; i++)
		place -= at[i]->weight;
	return at[i];
}

static const struct template *draw_template(const struct source *source)
{
	const struct template *templates;
	unsigned total, place;
	size_t i;

	do {
		templates = draw_kind(source)->templates;
		total = 0;
		for (i = 0; templates[i].text != NULL; i++)
			total += templates[i].weight;
		place = random_below(source->random, total);
		for (i = 0; place >= templates[i].weight; i++)
			place -= templates[i].weight;
	} while (left_out(source, templates[i].text));
	return &templates[i];
}

/* Who listens to it, and what is asked for. */
static void draw_submission(const struct source *source, struct statement *statement)
{
	uint64_t *random = source->random;

	/* With several producers the ticket is known from an outcome only. */
	statement->listener = (enum listener)(
		random_below(random, 10) < 6 ? BY_HANDLE : 1 + random_below(random, source->setup->way == SEVERAL ? 1 : 2));
	statement->registered = chance(random, 4);
	statement->flags = chance(random, 40) ? PENSTOCK_RUN_ALONE : 0;
	if (statement->listener == BY_NOBODY)
		statement->ack = chance(random, 2) ? PENSTOCK_ACK_NONE : PENSTOCK_ACK_DEFAULT;
	else if (source->setup->synchronous != PENSTOCK_SYNCHRONOUS_OFF && chance(random, 20))
		statement->ack = PENSTOCK_ACK_DURABLE;
	else
		statement->ack = chance(random, 2) ? PENSTOCK_ACK_COMMITTED : PENSTOCK_ACK_DEFAULT;
	if (chance(random, 8)) {
		statement->ending = (enum ending)random_below(random, CANCELLED + 1);
		if (statement->listener != BY_HANDLE && (statement->ending == CANCELLED || statement->ending == NOT_CANCELLED))
			statement->ending = IN_TIME;
	}
}

static struct statement *draw(const struct source *source)
{
	const struct template *template = draw_template(source);
	struct draft draft = { .random = source->random, .statement = calloc(1, sizeof *draft.statement) };
	struct statement *statement = draft.statement;
	size_t i;

	statement->expected = template->expected;
	draft.bind = chance(source->random, 2) && statement->expected != WRONG_COUNT &&
	             strncmp(template->text, "CREATE", 6) != 0 && strncmp(template->text, "PRAGMA", 6) != 0;
	if (template->write != NULL)
		template->write(&draft, template->text);
	else
		put_expanded(&draft, template->text);
	if (statement->expected == WRONG_COUNT) {
		statement->value_count = random_below(source->random, 2) == 0 && strchr(template->text, '?') != NULL ? 0 : 3;
		for (i = 0; i < statement->value_count; i++)
			statement->values[i] = penstock_int64((int64_t)i);
	}
	statement->sql = copy_of(draft.text, draft.used);
	statement->bytes = draft.used;
	draw_submission(source, statement);
	return statement;
}

/* A group refuses what SQLite would ignore in its transaction. */
static bool is_ignored_within(const struct statement *statement)
{
	const char *sql = statement->sql;

	return statement->expected == AS_SQLITE && sqlite3_strlike("%pragma%defer%", sql, 0) != 0 &&
	       (sqlite3_strlike("%pragma%foreign_keys%=%", sql, 0) == 0 ||
	        sqlite3_strlike("%pragma%journal_mode%=%", sql, 0) == 0);
}

static bool is_dml(const struct statement *statement)
{
	static const char *const words[] = { "INSERT%", "REPLACE%", "UPDATE%", "DELETE%", "SELECT%" };
	size_t i = 0;

	while (i < sizeof words / sizeof words[0] && sqlite3_strlike(words[i], statement->sql, 0) != 0)
		i++;
	return i < sizeof words / sizeof words[0] && statement->expected == AS_SQLITE;
}

/* Half of them have no other members than what a batch takes. */
static struct statement *draw_group(const struct source *source)
{
	struct statement *group = empty_group();
	size_t count = 1 + random_below(source->random, chance(source->random, 3) ? MEMBERS_MAX : 3);
	bool batched = chance(source->random, 2);

	while (group->member_count < count) {
		struct statement *member = draw(source);

		if (batched && !is_dml(member)) {
			free_statement(member);
			continue;
		}
		if (is_ignored_within(member))
			member->expected = REFUSED;
		member->flags = 0;
		add_member(group, member);
	}
	draw_submission(source, group);
	return group;
}

/* A call of a function that runs a few of them. */
static struct statement *draw_call(const struct source *source)
{
	struct statement *call = empty_group();
	size_t count = 1 + random_below(source->random, MEMBERS_MAX);

	call->is_call = true;
	call->sql = strdup("");
	while (call->member_count < count) {
		struct list one = { 0 };

		append(&one, draw(source));
		if (may_be_part(one.at[0])) {
			add_member(call, one.at[0]);
			one.count = 0;
		}
		free_list(&one);
	}
	call->goes_on = chance(source->random, 2);
	call->gives_up = chance(source->random, 5);
	draw_submission(source, call);
	call->registered = false;
	call->flags = 0;
	return call;
}

#define RUN_MAX 80

/* Who listens to a run: nobody, or each, in one way or any. With several producers each is known from its outcome only. */
enum audience { NOBODY, HANDLES, CALLBACKS, ANYBODY, AUDIENCES };

static enum audience draw_audience(const struct source *source)
{
	if (source->setup->way == SEVERAL)
		return (enum audience)(HANDLES + random_below(source->random, 2));
	return chance(source->random, 3) ? NOBODY
	                                 : (enum audience)(HANDLES + random_below(source->random, AUDIENCES - HANDLES));
}

/* Now and then one has another listener, asks for something, or has to run alone. */
static void draw_run_submission(const struct source *source, enum audience audience, struct statement *statement)
{
	static const enum listener listeners[] = { BY_NOBODY, BY_HANDLE, BY_CALLBACK };
	uint64_t *random = source->random;
	bool registered = !chance(random, 60);

	if (chance(random, 60)) {
		draw_submission(source, statement);
	} else {
		statement->listener =
			audience == ANYBODY ? (enum listener)random_below(random, BY_NOBODY + 1) : listeners[audience];
		if (chance(random, 30))
			statement->ending =
				statement->listener == BY_HANDLE ? (enum ending)random_below(random, CANCELLED + 1) : IN_TIME;
	}
	statement->registered = registered;
	statement->flags = chance(random, 200) ? PENSTOCK_RUN_ALONE : 0;
}

/* Rising, so that a run's values are new; where they may clash, now and then one is not. */
static int64_t next_of_run(const struct source *source, const struct list *list, bool clashes)
{
	return (int64_t)(100 + list->count + (clashes ? random_below(source->random, 3) : 0));
}

static void put_run_value(struct draft *draft, const struct source *source, const struct list *list, bool ends, bool clashes)
{
	bool first = draft->statement->value_count == 0;

	if (first && chance(draft->random, 3))
		put_parameter(draft, penstock_null());
	else if (first && ends)
		put_number(draft, INT64_MAX - random_below(draft->random, 100));
	else if (first || !clashes || chance(draft->random, 2))
		put_number(draft, next_of_run(source, list, clashes));
	else
		put_value(draft);
}

/* A run of one statement. Some differ from those before by blanks at the end: then it is another one, of which nothing is known. */
static void append_run(struct list *list, const struct source *source)
{
	const struct kind *kind = draw_kind(source);
	const struct run *runs = kind->runs;
	uint64_t *random = source->random;
	size_t length = 1 + random_below(random, RUN_MAX), which = 0, i;
	enum audience audience = draw_audience(source);
	bool clashes = chance(random, 2);
	char text[200];

	while (runs != NULL && runs[which].text != NULL)
		which++;
	if (which == 0)
		return;
	runs += random_below(random, (unsigned)which);
	snprintf(text, sizeof text, "%s%*s", runs->text, (int)random_below(random, 6), "");
	for (i = 0; i < length; i++) {
		struct statement *statement = plain_statement(text, AS_SQLITE);
		struct draft draft = { .random = random, .statement = statement, .bind = true };

		draw_run_submission(source, audience, statement);
		while (statement->value_count < runs->parameters)
			put_run_value(&draft, source, list, kind->ends, clashes);
		append(list, statement);
	}
}

static bool locale_is_there(const char *name)
{
	static bool told;
	bool there = name == NULL || locale_enter(name);

	locale_leave();
	if (!there && !told)
		printf("equivalence: no locale %s here; what it stands for is not tried\n", name);
	told = told || !there;
	return there;
}

static void draw_kinds(uint64_t *random, struct setup *setup)
{
	const char *only = getenv("PENSTOCK_EQUIVALENCE_ONLY");
	size_t i, count = 0;

	for (i = 0; kinds[i] != NULL; i++) {
		bool wanted = kinds[i]->one_in == 0 || chance(random, kinds[i]->one_in);

		if (only != NULL)
			wanted = has_word(only, kinds[i]->name, false);
		if (wanted && !locale_is_there(kinds[i]->locale))
			wanted = false;
		if (wanted && (kinds[i]->needs == NULL || sqlite3_compileoption_used(kinds[i]->needs)))
			setup->kinds[count++] = kinds[i];
	}
	check(count > 0, "no kind has one of these names: %s", only != NULL ? only : "");
	setup->kinds[count] = NULL;
}

/* How it is submitted. */
static void draw_setup(uint64_t *random, struct setup *setup)
{
	size_t i;

	setup->batch_max = setup->way == LIVE  ? 1 + random_below(random, 8)
	                   : chance(random, 3) ? 2 + random_below(random, 30)
	                                       : 1048576;
	setup->statement_cache = chance(random, 3) ? random_below(random, 4) : 128;
	setup->synchronous = random_below(random, 20) == 0 ? PENSTOCK_SYNCHRONOUS_FULL
	                     : chance(random, 8)           ? PENSTOCK_SYNCHRONOUS_NORMAL
	                                                   : PENSTOCK_SYNCHRONOUS_OFF;
	if (setup->groups == 0 && chance(random, 3))
		setup->groups = 12;
	if (chance(random, 10))
		setup->pragmas[setup->pragma_count++] = (penstock_pragma)PENSTOCK_PRAGMA("encoding", "UTF16le");
	/* A kind that needs the other one says so behind it. */
	if (chance(random, 10))
		setup->pragmas[setup->pragma_count++] = (penstock_pragma)PENSTOCK_PRAGMA("trusted_schema", "0");
	if (chance(random, 5))
		setup->pragmas[setup->pragma_count++] = (penstock_pragma)PENSTOCK_PRAGMA("user_version", "7");
	draw_kinds(random, setup);
	for (i = 0; setup->kinds[i] != NULL; i++) {
		if (setup->kinds[i]->pragma.name != NULL)
			setup->pragmas[setup->pragma_count++] = setup->kinds[i]->pragma;
	}
}

static void append_texts(struct list *list, const char *const *texts, const struct source *source)
{
	size_t i;

	for (i = 0; texts != NULL && texts[i] != NULL; i++) {
		if (!left_out(source, texts[i]))
			append(list, plain_statement(texts[i], AS_SQLITE));
	}
}

void draw_round(uint64_t seed, enum way way, size_t count, struct setup *setup, struct list *list)
{
	uint64_t random = seed * 3 + (uint64_t)way;
	struct source source = { .random = &random, .setup = setup };
	size_t i;

	setup->way = way;
	/* total_changes() counts what a violation of a deferred key undid, or not, depending on where SQLite noticed it. */
	source.without = chance(&random, 2) ? "total_changes" : "defer_foreign_keys";
	draw_setup(&random, setup);
	for (i = 0; setup->kinds[i] != NULL; i++)
		append_texts(list, setup->kinds[i]->schema, &source);
	setup->tables = list->count;
	while (list->count < count) {
		if (chance(&random, 12))
			append_run(list, &source);
		if (chance(&random, CALL_ONE_IN))
			append(list, draw_call(&source));
		append(list, setup->groups != 0 && chance(&random, setup->groups) ? draw_group(&source) : draw(&source));
	}
	for (i = 0; setup->kinds[i] != NULL; i++)
		append_texts(list, setup->kinds[i]->questions, &source);
	setup->writer_checkpoints = chance(&random, 4);
}

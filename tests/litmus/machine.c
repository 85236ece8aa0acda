/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/litmus/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/schedule/coroutine.h"

#define WORDS 160
#define STORES 40 /* to one word, in one execution */
#define PLAIN 12
#define CHOICES 1000
#define STEPS 400
#define STALE_READS 2
#define STACK_BYTES 65536
#define BLOCKS 8
#define BLOCK_BYTES 1024

/* Of each word the oldest store that may be read, and of each thread how many of its plain accesses come before. */
struct view {
	uint8_t store[WORDS];
	uint8_t clock[LITMUS_THREADS];
};

struct store {
	uint64_t value;
	struct view view;
};

struct word {
	const char *at;
	unsigned bytes;
	unsigned count;
	struct store stores[STORES];
};

struct plain {
	const void *at;
	uint8_t read[LITMUS_THREADS], written[LITMUS_THREADS]; /* the clock of each thread's last */
};

enum operation { NONE, LOAD, STORE, CAS, ADD, FENCE, WAIT, WAKE, AWAIT };

struct thread {
	void (*run)(void);
	struct coroutine coroutine;
	/* what it is about to do */
	enum operation operation;
	struct litmus_site *site;
	unsigned word;
	uint64_t stamp; /* of an await: how many stores there were */
	/* what it knows */
	struct view view, acquired, released;
	unsigned stale;
	/* asleep */
	bool sleeps;
	uint32_t bits;
	uint64_t since;
};

/* A choice on the way: of a thread, or of a store to read. */
struct choice {
	bool of_thread;
	uint8_t taken;
	uint8_t count;                /* of the stores */
	uint8_t enabled, slept, done; /* threads */
};

static const struct litmus_case *the_case;
static struct thread threads[LITMUS_THREADS];
static unsigned thread_count;
static struct thread *self; /* NULL: no execution is under way, and words are plain memory */
static struct coroutine searcher;
static _Alignas(16) char stacks[LITMUS_THREADS][STACK_BYTES];

static struct word words[WORDS];
static unsigned word_count;
static struct plain plains[PLAIN];
static unsigned plain_count;
static struct view full_fences; /* what they have left */
static uint64_t stores_made;
static unsigned forced; /* awaits that were ended, since the last store */

static struct {
	_Alignas(128) char bytes[BLOCK_BYTES];
	bool freed;
	bool in_parts;
} blocks[BLOCKS];
static unsigned block_count, frees;

static struct choice choices[CHOICES];
static unsigned choice_count, choice_at;
static uint8_t asleep; /* threads that need not go on here (the search's sleep set) */
static const char *error;
static bool tracing;

/* ---- views ------------------------------------------------------------------------------------------------------- */

static void join(struct view *into, const struct view *from)
{
	for (unsigned i = 0; i < word_count; i++)
		if (into->store[i] < from->store[i])
			into->store[i] = from->store[i];
	for (unsigned i = 0; i < thread_count; i++)
		if (into->clock[i] < from->clock[i])
			into->clock[i] = from->clock[i];
}

static void fence(enum litmus_strength strength)
{
	if (strength == LITMUS_RELAXED)
		return;
	join(&self->view, &self->acquired);
	if (strength == LITMUS_FULL) {
		join(&self->view, &full_fences);
		full_fences = self->view;
	}
	self->released = self->view;
}

static void fail(const char *what)
{
	error = what;
	coroutine_switch(&self->coroutine, &searcher);
}

static void append(unsigned index, uint64_t value, const struct view *view)
{
	struct word *word = &words[index];
	struct store *store = &word->stores[word->count];

	if (word->count == STORES) {
		fprintf(stderr, "more than %d stores to one word\n", STORES);
		abort();
	}
	store->value = value;
	store->view = *view;
	store->view.store[index] = (uint8_t)word->count;
	self->view.store[index] = (uint8_t)word->count++;
	memcpy((void *)(uintptr_t)word->at, &value, word->bytes);
	stores_made++;
	forced = 0;
}

/* -1: it is none of ours. */
static int block_of(const void *at)
{
	const char *place = at;

	if (place < (const char *)blocks || place >= (const char *)(blocks + BLOCKS))
		return -1;
	return (int)((size_t)(place - (const char *)blocks) / sizeof *blocks);
}

/* The word may be a half of one. */
static unsigned find_word(const void *at, unsigned bytes)
{
	if (block_of(at) >= 0 && blocks[block_of(at)].freed)
		fail("touched when it was freed");
	for (unsigned i = 0; i < word_count; i++)
		if ((const char *)at >= words[i].at && (const char *)at < words[i].at + words[i].bytes)
			return i;
	if (word_count == WORDS) {
		fprintf(stderr, "more than %d words\n", WORDS);
		abort();
	}
	/* Not all of it, which is 7 KiB: a store is made before anybody looks at it. */
	words[word_count].at = at;
	words[word_count].bytes = bytes;
	words[word_count].count = 1;
	words[word_count].stores[0] = (struct store){ 0 };
	memcpy(&words[word_count].stores[0].value, at, bytes);
	return word_count++;
}

static uint64_t last_value(unsigned word)
{
	return words[word].stores[words[word].count - 1].value;
}

/* ---- the search's choices ---------------------------------------------------------------------------------------- */

static struct choice *next_choice(void)
{
	if (choice_at == CHOICES) {
		fprintf(stderr, "more than %d choices\n", CHOICES);
		abort();
	}
	return &choices[choice_at++];
}

static unsigned choose_store(unsigned count)
{
	struct choice *choice;

	if (count == 1)
		return 0;
	choice = next_choice();
	if (choice_at > choice_count) {
		*choice = (struct choice){ .count = (uint8_t)count };
		choice_count = choice_at;
	}
	return choice->taken;
}

static bool writes(const struct thread *thread)
{
	return thread->operation != LOAD && thread->operation != FENCE;
}

static bool is_full(const struct thread *thread)
{
	return thread->operation >= CAS && thread->operation <= WAKE && thread->site->strength == LITMUS_FULL;
}

/* Whether the order of the two does not matter. */
static bool independent(const struct thread *one, const struct thread *other)
{
	if (one->operation == AWAIT || other->operation == AWAIT || (is_full(one) && is_full(other)))
		return false;
	if (one->operation == FENCE || other->operation == FENCE)
		return true;
	return one->word != other->word || (!writes(one) && !writes(other));
}

/* -1: whatever may go on has been searched already. */
static int choose_thread(uint8_t enabled)
{
	uint8_t sleepers = asleep;
	int taken;

	if ((enabled & (enabled - 1)) == 0) {
		if (enabled & asleep)
			return -1;
		taken = __builtin_ctz(enabled);
	} else {
		struct choice *choice = next_choice();

		if (choice_at > choice_count) {
			if ((enabled & ~asleep) == 0) {
				choice_at--;
				return -1;
			}
			*choice = (struct choice){ .of_thread = true, .enabled = enabled, .slept = asleep };
			choice->taken = (uint8_t)__builtin_ctz(enabled & ~asleep);
			choice_count = choice_at;
		}
		taken = choice->taken;
		sleepers |= choice->done;
	}
	asleep = 0;
	for (unsigned i = 0; i < thread_count; i++)
		if ((sleepers & 1u << i) && independent(&threads[i], &threads[taken]))
			asleep |= (uint8_t)(1u << i);
	return taken;
}

/* To the next execution; false when there is none. */
static bool backtrack(void)
{
	for (; choice_count > 0; choice_count--) {
		struct choice *last = &choices[choice_count - 1];

		if (!last->of_thread) {
			if (++last->taken < last->count)
				return true;
		} else {
			uint8_t left;

			last->done |= (uint8_t)(1u << last->taken);
			left = last->enabled & ~last->slept & ~last->done;
			if (left != 0) {
				last->taken = (uint8_t)__builtin_ctz(left);
				return true;
			}
		}
	}
	return false;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static void trace(const char *what, uint64_t value, unsigned back)
{
	if (!tracing)
		return;
	printf("#     thread %d  %-6s %-28s", (int)(self - threads), self->site != NULL ? self->site->kind : "", what);
	if (self->site != NULL)
		printf(" %s:%d", self->site->function, self->site->line);
	printf("  %llx", (unsigned long long)value);
	if (back > 0)
		printf("  (%u stores ago)", back);
	putchar('\n');
}

/* Stops before an operation, until the search goes on with this thread. */
static void stop_before(enum operation operation, struct litmus_site *site, unsigned word)
{
	self->operation = operation;
	self->site = site;
	self->word = word;
	if (site != NULL)
		site->visits++;
	coroutine_switch(&self->coroutine, &searcher);
	self->operation = NONE;
}

/* Which store a load reads, or a compare-and-swap that fails: not one with the value `except`. */
static unsigned pick(unsigned index, const uint64_t *except)
{
	struct word *word = &words[index];
	unsigned last = word->count - 1, candidates[STORES], count = 0, taken;

	candidates[count++] = last;
	for (unsigned i = last; self->stale < STALE_READS && i-- > self->view.store[index];)
		if (except == NULL || word->stores[i].value != *except)
			candidates[count++] = i;
	taken = candidates[choose_store(count)];
	self->stale += taken != last;
	return taken;
}

static const struct store *read_store(unsigned index, unsigned taken)
{
	self->view.store[index] = (uint8_t)taken;
	join(&self->acquired, &words[index].stores[taken].view);
	return &words[index].stores[taken];
}

uint64_t litmus_load(struct litmus_site *site, const void *at, unsigned bytes)
{
	const struct store *store;
	unsigned index, taken;
	uint64_t value = 0;

	if (self == NULL) {
		memcpy(&value, at, bytes);
		return value;
	}
	index = find_word(at, bytes);
	stop_before(LOAD, site, index);
	taken = pick(index, NULL);
	store = read_store(index, taken);
	if (site->strength == LITMUS_ACQUIRE)
		join(&self->view, &store->view);
	trace(site->what, store->value, words[index].count - 1 - taken);
	return store->value;
}

void litmus_store(struct litmus_site *site, void *at, unsigned bytes, uint64_t value)
{
	unsigned index;

	if (self == NULL) {
		memcpy(at, &value, bytes);
		return;
	}
	index = find_word(at, bytes);
	stop_before(STORE, site, index);
	append(index, value, site->strength == LITMUS_RELEASE ? &self->view : &self->released);
	trace(site->what, value, 0);
}

/* The store of a read-modify-write, behind the last one, whose view goes on. */
static void modify(unsigned index, uint64_t value)
{
	struct view view = self->released;

	join(&view, &read_store(index, words[index].count - 1)->view);
	append(index, value, &view);
}

bool litmus_cas(struct litmus_site *site, void *at, unsigned bytes, uint64_t *expected, uint64_t desired)
{
	unsigned index, taken;
	bool swapped;

	if (self == NULL) {
		uint64_t value = litmus_load(site, at, bytes);

		if (value == *expected)
			memcpy(at, &desired, bytes);
		swapped = value == *expected;
		*expected = value;
		return swapped;
	}
	index = find_word(at, bytes);
	stop_before(CAS, site, index);
	fence(site->strength);
	taken = pick(index, expected);
	swapped = words[index].stores[taken].value == *expected;
	trace(site->what, words[index].stores[taken].value, words[index].count - 1 - taken);
	if (swapped)
		modify(index, desired);
	else
		*expected = read_store(index, taken)->value;
	fence(site->strength);
	return swapped;
}

uint64_t litmus_add(struct litmus_site *site, void *at, unsigned bytes, uint64_t value)
{
	uint64_t before, mask = bytes == sizeof(uint64_t) ? UINT64_MAX : UINT32_MAX;
	unsigned index;

	if (self == NULL) {
		before = litmus_load(site, at, bytes);
		value += before;
		memcpy(at, &value, bytes);
		return before;
	}
	index = find_word(at, bytes);
	stop_before(ADD, site, index);
	fence(site->strength);
	before = last_value(index);
	trace(site->what, before, 0);
	modify(index, (before + value) & mask);
	fence(site->strength);
	return before;
}

void litmus_fence(struct litmus_site *site)
{
	if (self == NULL)
		return;
	stop_before(FENCE, site, 0);
	fence(site->strength);
	trace("", 0, 0);
}

/*
 * The kernel reads the word under a lock that the waker takes as well, with full barriers: as a full fence before the read, and one
 * before the waker looks for sleepers.
 */
void litmus_futex_wait(struct litmus_site *site, const uint32_t *at, uint32_t expected, uint32_t bits)
{
	static uint64_t sleeps;
	const struct store *store;
	unsigned index;
	uint32_t half;

	index = find_word(at, sizeof *at);
	stop_before(WAIT, site, index);
	fence(LITMUS_FULL);
	store = read_store(index, pick(index, NULL));
	memcpy(&half, (const char *)&store->value + ((const char *)at - words[index].at), sizeof half);
	trace(half == expected ? "sleeps" : "does not sleep", half, 0);
	if (half != expected)
		return;
	self->sleeps = true;
	self->bits = bits;
	self->since = ++sleeps;
	self->word = index;
	coroutine_switch(&self->coroutine, &searcher);
}

void litmus_futex_wake(struct litmus_site *site, const uint32_t *at, uint32_t count, uint32_t bits)
{
	unsigned index;

	if (self == NULL)
		return;
	index = find_word(at, sizeof *at);
	stop_before(WAKE, site, index);
	fence(LITMUS_FULL);
	trace(site->what, count, 0);
	for (; count > 0; count--) {
		struct thread *oldest = NULL;

		for (unsigned i = 0; i < thread_count; i++)
			if (threads[i].sleeps && threads[i].word == index && (threads[i].bits & bits) &&
			    (oldest == NULL || threads[i].since < oldest->since))
				oldest = &threads[i];
		if (oldest == NULL)
			break;
		oldest->sleeps = false;
	}
}

void litmus_await(void)
{
	self->stamp = stores_made;
	stop_before(AWAIT, NULL, 0);
}

void litmus_check(bool holds, const char *what)
{
	if (!holds && self != NULL)
		fail(what);
	else if (!holds)
		error = what;
}

static struct plain *find_plain(const void *at)
{
	for (unsigned i = 0; i < plain_count; i++)
		if (plains[i].at == at)
			return &plains[i];
	if (plain_count == PLAIN) {
		fprintf(stderr, "more than %d plain objects\n", PLAIN);
		abort();
	}
	plains[plain_count] = (struct plain){ .at = at };
	return &plains[plain_count++];
}

static void access_plain(const void *at, bool write)
{
	unsigned me = (unsigned)(self - threads);
	struct plain *plain;

	if (self == NULL)
		return;
	/* A block is one object, unless it is in parts. */
	plain = find_plain(block_of(at) >= 0 && !blocks[block_of(at)].in_parts ? blocks[block_of(at)].bytes : at);
	for (unsigned i = 0; i < thread_count; i++)
		if (i != me && (plain->written[i] > self->view.clock[i] || (write && plain->read[i] > self->view.clock[i])))
			fail(write ? "a race: written while another may still use it" : "a race: read before it is all there");
	(write ? plain->written : plain->read)[me] = ++self->view.clock[me];
}

void litmus_reads(const void *what)
{
	access_plain(what, false);
}

void litmus_writes(const void *what)
{
	access_plain(what, true);
}

void *litmus_malloc(size_t bytes)
{
	if (block_count == BLOCKS || bytes > BLOCK_BYTES)
		abort();
	blocks[block_count].freed = false;
	blocks[block_count].in_parts = false;
	litmus_writes(blocks[block_count].bytes);
	return blocks[block_count++].bytes;
}

void *litmus_malloc_parts(size_t bytes)
{
	void *memory = litmus_malloc(bytes);

	blocks[block_of(memory)].in_parts = true;
	return memory;
}

/* What frees a block writes to all of it. */
static void write_all(int block)
{
	litmus_writes(blocks[block].bytes);
	for (unsigned i = 0; i < plain_count; i++)
		if (block_of(plains[i].at) == block)
			litmus_writes(plains[i].at);
}

void litmus_free(void *memory)
{
	int block = block_of(memory);

	if (block < 0) {
		free(memory);
		return;
	}
	if (blocks[block].freed && self != NULL)
		fail("freed twice");
	write_all(block);
	blocks[block].freed = true;
	frees++;
}

uint64_t litmus_thread_number(void)
{
	return self == NULL ? LITMUS_THREADS + 1 : (uint64_t)(self - threads) + 1;
}

unsigned litmus_frees(void)
{
	return frees;
}

/* ---- one execution ----------------------------------------------------------------------------------------------- */

static void thread_main(void *arg)
{
	struct thread *thread = arg;

	thread->run();
	thread->run = NULL;
	coroutine_switch(&thread->coroutine, &searcher);
}

static void go_on(struct thread *thread)
{
	self = thread;
	coroutine_switch(&searcher, &thread->coroutine);
	self = NULL;
}

static uint8_t enabled_threads(void)
{
	uint8_t enabled = 0;

	for (unsigned i = 0; i < thread_count; i++) {
		const struct thread *thread = &threads[i];

		if (thread->run != NULL && !thread->sleeps && (thread->operation != AWAIT || thread->stamp != stores_made))
			enabled |= (uint8_t)(1u << i);
	}
	return enabled;
}

/* What is in the memory is seen in the end. False: that helps nobody. */
static bool end_awaits(void)
{
	bool any = false;

	if (forced++ >= 2)
		return false;
	for (unsigned i = 0; i < thread_count; i++) {
		struct thread *thread = &threads[i];

		if (thread->run == NULL || thread->operation != AWAIT)
			continue;
		any = true;
		thread->stamp = UINT64_MAX;
		for (unsigned j = 0; j < word_count; j++)
			thread->view.store[j] = (uint8_t)(words[j].count - 1);
	}
	return any;
}

static bool all_have_ended(void)
{
	for (unsigned i = 0; i < thread_count; i++)
		if (threads[i].run != NULL)
			return false;
	return true;
}

static void begin(void)
{
	block_count = frees = 0;
	the_case->begin();
	word_count = plain_count = 0;
	memset(&full_fences, 0, sizeof full_fences);
	stores_made = forced = 0;
	choice_at = 0;
	asleep = 0;
	error = NULL;
	for (thread_count = 0; thread_count < LITMUS_THREADS && the_case->threads[thread_count] != NULL; thread_count++) {
		struct thread *thread = &threads[thread_count];

		memset(thread, 0, sizeof *thread);
		thread->run = the_case->threads[thread_count];
		coroutine_make(&thread->coroutine, stacks[thread_count], STACK_BYTES, thread_main, thread);
	}
	/* To the first operation of each. */
	for (unsigned i = 0; i < thread_count && error == NULL; i++)
		go_on(&threads[i]);
}

/* False: cut. */
static bool execute(void)
{
	unsigned steps;

	begin();
	for (steps = 0; error == NULL; steps++) {
		uint8_t enabled = enabled_threads();
		int next;

		if (steps == STEPS) {
			error = "it goes on and on";
		} else if (enabled != 0) {
			next = choose_thread(enabled);
			if (next < 0)
				return false;
			go_on(&threads[next]);
		} else if (all_have_ended()) {
			break;
		} else if (!end_awaits()) {
			error = "a thread sleeps for ever";
		}
	}
	return true;
}

struct litmus_found litmus_search(const struct litmus_case *what, uint64_t executions_most, bool trace_it)
{
	struct litmus_found found = { 0 };

	the_case = what;
	choice_count = 0;
	do {
		bool whole = execute();

		found.executions += whole;
		found.cut += !whole;
		if (whole && error == NULL && what->check != NULL)
			what->check();
		what->end();
		found.error = error;
		if (found.error != NULL && trace_it) {
			tracing = true;
			execute();
			what->end();
			tracing = false;
		}
		found.exhausted = found.error != NULL || !backtrack();
	} while (!found.exhausted && found.executions + found.cut < executions_most);
	return found;
}

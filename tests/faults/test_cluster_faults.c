/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_cluster_faults.c - any allocation may fail, for every one of them, where the store is a cluster (of one node, which node.h plays)
 *
 * One life of an engine (open, submissions of every kind, close) runs again and again. Each time the N-th allocation fails, once or from then
 * on for ever, whoever makes it: the library, libcurl, yajl; N rises until a life ends without having met the fault. The node knows what it
 * has applied. After each:
 *
 *   1. every accepted submission has one outcome; OK is applied once, UNKNOWN at most once, everything else not at all
 *   2. rows that are OK are whole; no block of memory and no connection is left
 *   3. nothing hangs or crashes
 *
 * What fails behind an answer that has come is never ERROR for a write: that would mean that it had no effect.
 *
 *     PENSTOCK_FAULT_STEP=3   every third N instead of every one
 */
#include "tests/cluster/node.h"
#include "tests/kit.h"

#include "queue/record.h"
#include "writer/rqlite/http.h"
#include "writer/rqlite/json.h"
#include "writer/rqlite/request.h"

TestSuite(cluster_faults, .init = kit_begin, .fini = harness_end);

/* ---- memory ---- */

static struct {
	_Atomic unsigned at; /* the at-th allocation fails; 0: none */
	bool for_ever;
	_Atomic unsigned seen, failed;
	_Atomic long live;
} memory;

static bool memory_fails(void)
{
	unsigned at = memory.at, number;

	if (at == 0)
		return false;
	number = atomic_fetch_add(&memory.seen, 1) + 1;
	if (number != at && !(memory.for_ever && number > at))
		return false;
	memory.failed++;
	return true;
}

#if !KIT_SANITIZED
#define VISIBLE __attribute__((visibility("default")))

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *block);

static void *counted(void *block)
{
	if (block != NULL)
		memory.live++;
	return block;
}

VISIBLE void *malloc(size_t bytes)
{
	void *block = memory_fails() ? NULL : counted(__libc_malloc(bytes));

	/* Nobody has zeros for nothing. */
	if (block != NULL)
		memset(block, 0xaa, bytes);
	return block;
}

VISIBLE void *calloc(size_t count, size_t bytes)
{
	return memory_fails() ? NULL : counted(__libc_calloc(count, bytes));
}

VISIBLE void *realloc(void *old, size_t bytes)
{
	if (memory_fails())
		return NULL;
	return old == NULL ? counted(__libc_malloc(bytes)) : __libc_realloc(old, bytes);
}

VISIBLE void *aligned_alloc(size_t alignment, size_t bytes)
{
	return memory_fails() ? NULL : counted(__libc_memalign(alignment, bytes));
}

VISIBLE void free(void *block)
{
	if (block != NULL)
		memory.live--;
	__libc_free(block);
}
#endif

/* ---- one life ---- */

enum { FIRST_PLAIN = 1, LAST_PLAIN = 6, GROUP, GROUP_END, RETURNING, BLOB, SELECT, CALLED, UNHEARD, NUMBERS };

static struct node node;
static char what[64]; /* fails */

static struct life {
	int opened;
	bool accepted[NUMBERS];
	unsigned outcomes[NUMBERS];
	int status[NUMBERS];
	penstock_handle *handles[NUMBERS];
} life;

static void hear(unsigned number, int status)
{
	life.outcomes[number]++;
	life.status[number] = status;
}

static void on_complete(void *arg, const penstock_result *result)
{
	hear((unsigned)(uintptr_t)arg, result->status);
}

static void submit(penstock *db, unsigned number, const char *format, const penstock_value *value)
{
	char sql[160];
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql = sql, .sql_bytes = -1, .values = value, .value_count = value != NULL
	};
	bool by_callback = number == CALLED, by_handle = number != CALLED && number != UNHEARD;

	snprintf(sql, sizeof sql, format, number);
	submission.on_complete = by_callback ? on_complete : NULL;
	submission.arg = (void *)(uintptr_t)number;
	life.accepted[number] =
		penstock_submit(db, &submission, PENSTOCK_FOREVER, by_handle ? &life.handles[number] : NULL) == PENSTOCK_OK;
}

static void submit_group(penstock *db)
{
	penstock_submission members[] = {
		{ .struct_size = sizeof *members, .sql = "INSERT INTO t VALUES(7)", .sql_bytes = -1 },
		{ .struct_size = sizeof *members, .sql = "INSERT INTO t VALUES(8)", .sql_bytes = -1 },
	};

	life.accepted[GROUP] =
		penstock_submit_group(db, members, 2, NULL, PENSTOCK_FOREVER, &life.handles[GROUP]) == PENSTOCK_OK;
}

/* Rows that are there are all that the node has sent. */
static void check_rows(unsigned number)
{
	const penstock_result *result = penstock_handle_result(life.handles[number]);
	const penstock_value *cells = result->cells;
	const unsigned char *text, *blob;

	if (result->status != PENSTOCK_OK || (number != SELECT && number != RETURNING))
		return;
	check(result->row_count == 1 && result->column_count == 2 && cells[0].bytes == NODE_TEXT && cells[1].bytes == NODE_BLOB,
	      "%s: the rows of %u are not whole", what, number);
	text = cells[0].as.data;
	blob = cells[1].as.data;
	for (unsigned i = 0; i < NODE_BLOB; i++)
		check(blob[i] == i, "%s: byte %u of %u", what, i, number);
	check(blob[NODE_BLOB] == '\0' && text[NODE_TEXT] == '\0', "%s: no NUL behind the cells of %u", what, number);
}

static void wait_for(unsigned number)
{
	if (!life.accepted[number] || life.handles[number] == NULL)
		return;
	hear(number, penstock_handle_wait(life.handles[number], PENSTOCK_FOREVER));
	check_rows(number);
	penstock_handle_release(life.handles[number]);
}

/* A thread of its own: what the library keeps for a thread goes with it. */
static void *live(void *arg)
{
	penstock_value blob = penstock_blob("\0\xff\0\xff", 4);
	penstock_config config;
	penstock *db;

	(void)arg;
	penstock_config_init(&config);
	config.busy_limit_ms = 20;
	config.ring_slots = 64;
	/* Of fire-and-forget ones that fail. */
	config.on_error = on_complete;
	config.on_error_arg = (void *)(uintptr_t)UNHEARD;
	life.opened = penstock_open(node.path, &config, &db);
	if (life.opened != PENSTOCK_OK)
		return NULL;
	for (unsigned number = FIRST_PLAIN; number <= LAST_PLAIN; number++)
		submit(db, number, "INSERT INTO t VALUES(%u)", NULL);
	submit_group(db);
	submit(db, RETURNING, "INSERT INTO t VALUES(%u) RETURNING a", NULL);
	submit(db, BLOB, "INSERT INTO t VALUES(%u, ?)", &blob);
	wait_for(BLOB);
	submit(db, SELECT, "SELECT abs(%u)", NULL);
	submit(db, CALLED, "INSERT INTO t VALUES(%u)", NULL);
	submit(db, UNHEARD, "INSERT INTO t VALUES(%u)", NULL);
	for (unsigned number = FIRST_PLAIN; number < NUMBERS; number++) {
		if (number != BLOB)
			wait_for(number);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	return NULL;
}

/* How many allocations failed. */
static unsigned run_a_life(unsigned at, bool for_ever)
{
	pthread_t thread;

	memset(&life, 0, sizeof life);
	pthread_mutex_lock(&node.mutex);
	memset(node.applied, 0, sizeof node.applied);
	pthread_mutex_unlock(&node.mutex);
	memory.seen = memory.failed = 0;
	memory.for_ever = for_ever;
	thread = kit_thread(live, NULL);
	memory.at = at;
	kit_join(thread);
	memory.at = 0;
	await(node.connection < 0);
	return memory.failed;
}

static void check_number(unsigned number)
{
	unsigned applied = node.applied[number];

	if (!life.accepted[number]) {
		check(applied == 0 && life.outcomes[number] == 0, "%s: %u was refused", what, number);
		return;
	}
	/* Nobody hears that it went well. */
	if (number == UNHEARD && life.outcomes[number] == 0) {
		check(applied == 1, "%s: fire and forget without an error is applied", what);
		return;
	}
	check(life.outcomes[number] == 1, "%s: %u has %u outcomes", what, number, life.outcomes[number]);
	switch (life.status[number]) {
	case PENSTOCK_OK:
		check(applied == 1, "%s: %u is OK, and applied %u times", what, number, applied);
		break;
	case PENSTOCK_UNKNOWN:
		check(applied <= 1, "%s: %u is UNKNOWN, and applied %u times", what, number, applied);
		break;
	case PENSTOCK_ERROR:
		check(applied == 0 || number == SELECT, "%s: %u is an ERROR, and applied", what, number);
		break;
	default:
		check(false, "%s: %u is %s", what, number, penstock_status_name(life.status[number]));
	}
}

static void check_life(void)
{
	for (unsigned number = FIRST_PLAIN; number < NUMBERS; number++) {
		if (number != GROUP_END)
			check_number(number);
	}
	check(node.applied[GROUP] == node.applied[GROUP_END], "%s: half of a group is applied", what);
}

/* What is made once for the whole process is no leak: the same point must lose each time. */
static bool leaks(unsigned at, bool for_ever, long before)
{
	for (int again = 0; again < 3; again++) {
		if (memory.live <= before)
			return false;
		before = memory.live;
		run_a_life(at, for_ever);
	}
	return memory.live > before;
}

Test(cluster_faults, any_allocation_may_fail)
{
	const char *text = getenv("PENSTOCK_FAULT_STEP");
	unsigned step = text != NULL ? (unsigned)atoi(text) : 1, points = 0;

	if (KIT_SANITIZED)
		cr_skip_test("the sanitizer's malloc");
	node_begin(&node);
	node.applies = true;
	for (int i = 0; i < 3; i++) {
		run_a_life(0, false);
		check_life();
		for (unsigned number = FIRST_PLAIN; number < NUMBERS; number++)
			check(life.status[number] == PENSTOCK_OK, "%u is %s", number,
			      penstock_status_name(life.status[number]));
	}
	for (int for_ever = 0; for_ever < 2; for_ever++) {
		unsigned at = 1, failed;

		do {
			long before = memory.live;

			snprintf(what, sizeof what, "allocation %u fails %s", at, for_ever ? "for ever" : "once");
			kit_begin();
			failed = run_a_life(at, for_ever);
			check_life();
			check(!leaks(at, for_ever, before), "%s: memory leaks", what);
			points += failed > 0;
			at += step;
		} while (failed > 0);
	}
	check(points > 100, "only %u points were met", points);
	node_end(&node);
}

/* Half of what a request needs is none of it. Returns how many allocations failed. */
static unsigned make_client(unsigned at)
{
	struct ps_address address = { .user = "me" };
	struct ps_http http;
	int status;

	memory.seen = memory.failed = 0;
	memory.at = at;
	status = ps_http_init(&http, &address, "secret");
	memory.at = 0;
	check(status == (memory.failed > 0 ? PENSTOCK_NOMEM : PENSTOCK_OK), "allocation %u fails: %s", at,
	      penstock_status_name(status));
	if (status == PENSTOCK_OK)
		ps_http_destroy(&http);
	return memory.failed;
}

Test(cluster_faults, a_client_is_made_whole_or_not_at_all)
{
	unsigned at = 1;
	long before;

	if (KIT_SANITIZED)
		cr_skip_test("the sanitizer's malloc");
	/* What is made once is no leak. */
	make_client(0);
	do {
		make_client(at);
		before = memory.live;
		make_client(at);
		check(memory.live <= before, "allocation %u fails: %ld blocks leak", at, memory.live - before);
	} while (make_client(at++) > 0);
}

/* What lacks memory is not called garbage. */
Test(cluster_faults, why_an_answer_was_not_read_is_known)
{
	static const char text[] = "{\"results\":[\"\\n\",1,true]}";
	struct ps_json json;
	unsigned failed, points = 0;

	if (KIT_SANITIZED)
		cr_skip_test("the sanitizer's malloc");
	do {
		bool whole;

		memory.seen = memory.failed = 0;
		memory.at = ++points;
		whole = ps_json_read(&json, text, strlen(text));
		memory.at = 0;
		failed = memory.failed;
		check(whole == (failed == 0) && json.lacks_memory == !whole, "allocation %u fails", points);
		if (whole)
			ps_json_free(&json);
	} while (failed > 0);
	check(points > 5, "%u", points);
	check(!ps_json_read(&json, text, strlen(text) - 1) && !json.lacks_memory);
}

static const char *add(struct ps_request *request, const char *sql, int *code)
{
	struct ps_statement statement = { .text = NULL };
	struct ps_record record = { .value_count = 0 };
	const char *refusal = ps_statement_read(&statement, sql, strlen(sql));

	if (refusal == NULL)
		refusal = ps_request_add(request, &statement, &record, code);
	ps_statement_free(&statement);
	return refusal;
}

/* The others in the batch have their room. */
Test(cluster_faults, a_statement_without_memory_is_refused_alone)
{
	static char large[10000] = "SELECT ";
	struct ps_request request = { .text = NULL };
	int code = SQLITE_OK;

	if (KIT_SANITIZED)
		cr_skip_test("the sanitizer's malloc");
	memset(large + 7, '1', sizeof large - 8);
	ps_request_begin(&request);
	check(add(&request, "SELECT 1", &code) == NULL);
	memory.seen = 0;
	memory.at = 1;
	check(add(&request, large, &code) != NULL && code == SQLITE_NOMEM);
	memory.at = 0;
	check(add(&request, "SELECT 2", &code) == NULL);
	check(ps_request_end(&request));
	check(request.count == 2 && request.bytes == 27 && memcmp(request.text, "[[\"SELECT 1\"],[\"SELECT 2\"]]", 27) == 0,
	      "%.*s", (int)request.bytes, request.text);
	ps_request_free(&request);
}

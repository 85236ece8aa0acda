/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nemesis.c - three nodes of a real cluster, ten threads that write through five engines, and somebody who kills and stops nodes under them
 *
 * An engine writes to the node that leads when its path names that node. So one path names all nodes, a follower's first; one names them in
 * an order that is drawn; and three name one node each. Of these three two write through a follower, which hands on what it gets, whoever
 * leads at the time.
 *
 * The nemesis kills (kill -9) the leader, a follower or all, or stops one of them (SIGSTOP) and lets it go, as it is drawn, until the time is
 * over. Each thread keeps what it submitted and what it heard. Behind it all every node runs again, and ten seconds more pass: a
 * batch that was given up may be applied late, behind a later one. Then everything is read back through a new engine:
 *
 *   1. lost      what was OK is there
 *   2. twice     nothing is there twice, and what failed is not there
 *   3. in part   a group is there as a whole or not at all
 *   4. order     of each thread, what was OK lies in its order
 *
 * What was UNKNOWN may be there or not; both are counted. At the end the check itself is tried: with a row doubled, one removed and a group
 * in part it must find each of them.
 *
 *     PENSTOCK_NEMESIS=60   seconds of it (15 unless set)
 *     PENSTOCK_SEED=1       what is drawn; when things happen is not
 *     PENSTOCK_RQLITED      the program of a node, if it is not in PATH
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/penstock.h"
#include "tests/cluster/nodes.h"
#include "tests/harness.h"
#include "tests/random.h"
#include "writer/rqlite/cluster.h"

#define ENGINES 5
#define THREADS (2 * ENGINES)
#define FLIGHT 16       /* submissions of a thread under way */
#define EACH_MAX 200000 /* of one thread */
#define GROUP_EVERY 16
#define PARTS 3
#define LATE_SECONDS 10 /* behind the last stop */

struct producer {
	pthread_t thread;
	penstock *db;
	unsigned number;
	uint64_t count;
	unsigned char *heard; /* penstock_status of each */
};

static struct nodes nodes;
static struct producer producers[THREADS];
static penstock *engines[ENGINES];
static _Atomic bool ended;

static void must(int status, const char *what)
{
	if (status == PENSTOCK_OK)
		return;
	fprintf(stderr, "nemesis: %s is %s: %s\n", what, penstock_status_name(status), penstock_error_message());
	nodes_end(&nodes);
	exit(1);
}

static void pause_msec(unsigned msec)
{
	struct timespec moment = { .tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000L };

	nanosleep(&moment, NULL);
}

/* ---- the threads ---- */

static bool is_group(uint64_t number)
{
	return number % GROUP_EVERY == GROUP_EVERY - 1;
}

static penstock_handle *submit(const struct producer *producer, uint64_t number)
{
	penstock_value values[PARTS][3];
	penstock_submission members[PARTS];
	penstock_handle *handle;
	int part;

	for (part = 0; part < PARTS; part++) {
		values[part][0] = penstock_int64(producer->number);
		values[part][1] = penstock_int64((int64_t)number);
		values[part][2] = penstock_int64(part);
		penstock_submission_init(&members[part]);
		members[part].sql = "INSERT INTO nemesis(producer, number, part) VALUES(?,?,?)";
		members[part].values = values[part];
		members[part].value_count = 3;
	}
	if (is_group(number))
		must(penstock_submit_group(producer->db, members, PARTS, NULL, PENSTOCK_FOREVER, &handle), "a group");
	else
		must(penstock_submit(producer->db, members, PENSTOCK_FOREVER, &handle), "a submit");
	return handle;
}

static void *produce(void *arg)
{
	penstock_handle *flight[FLIGHT];
	struct producer *producer = arg;
	uint64_t told = 0, submitted = 0;

	while (told < submitted || (!ended && submitted < EACH_MAX)) {
		if (!ended && submitted - told < FLIGHT && submitted < EACH_MAX) {
			flight[submitted % FLIGHT] = submit(producer, submitted);
			submitted++;
			continue;
		}
		producer->heard[told] = (unsigned char)penstock_handle_wait(flight[told % FLIGHT], PENSTOCK_FOREVER);
		penstock_handle_release(flight[told % FLIGHT]);
		told++;
	}
	producer->count = told;
	return NULL;
}

/* ---- the nemesis ---- */

/* Which node leads, as one of them says. */
static size_t leader(void)
{
	struct ps_cluster cluster;
	size_t which = 0;

	must(ps_cluster_init(&cluster, nodes.path, NULL), "looking for the leader");
	if (ps_cluster_find(&cluster))
		which = cluster.host;
	ps_cluster_destroy(&cluster);
	return which;
}

static void strike(uint64_t *random)
{
	size_t which = leader(), i;

	switch (random_below(random, 5)) {
	case 0: /* the leader */
		nodes_signal(&nodes, which, SIGKILL);
		break;
	case 1: /* a follower */
		nodes_signal(&nodes, (which + 1 + random_below(random, 2)) % nodes.count, SIGKILL);
		break;
	case 2: /* all */
		for (i = 0; i < nodes.count; i++)
			nodes_signal(&nodes, i, SIGKILL);
		break;
	case 3:
		nodes_signal(&nodes, which, SIGSTOP);
		break;
	default:
		nodes_signal(&nodes, (which + 1) % nodes.count, SIGSTOP);
		break;
	}
	pause_msec(500 + (unsigned)random_below(random, 3000));
	for (i = 0; i < nodes.count; i++) {
		nodes_signal(&nodes, i, SIGCONT);
		if (nodes.pids[i] == 0)
			nodes_start(&nodes, i);
	}
}

/* ---- the engines ---- */

static penstock *open_path(const char *path)
{
	penstock_config config;
	penstock *opened;

	penstock_config_init(&config);
	config.result_bytes_max = INT64_C(1) << 32;
	must(penstock_open(path, &config, &opened), path);
	return opened;
}

/* Names `count` of the nodes, from the first of `order` on. */
static penstock *open_nodes(const size_t *order, size_t count)
{
	char path[256] = "rqlite://";
	size_t i;

	for (i = 0; i < count; i++)
		snprintf(path + strlen(path), sizeof path - strlen(path), "%s127.0.0.1:%d", i == 0 ? "" : ",",
		         nodes.ports[order[i]]);
	return open_path(path);
}

static void open_engines(uint64_t *random)
{
	size_t leads = leader(), order[NODES_MAX], i, other, kept;

	for (i = 0; i < nodes.count; i++)
		order[i] = (leads + 1 + i) % nodes.count;
	engines[0] = open_nodes(order, nodes.count);
	for (i = nodes.count - 1; i > 0; i--) {
		other = random_below(random, i + 1);
		kept = order[i];
		order[i] = order[other];
		order[other] = kept;
	}
	engines[1] = open_nodes(order, nodes.count);
	for (i = 0; i < nodes.count; i++)
		engines[2 + i] = open_nodes(&i, 1);
}

/* Whether the engine's path names one node alone. */
static bool names_one(const struct producer *producer)
{
	return producer->db != engines[0] && producer->db != engines[1];
}

/* ---- the audit ---- */

struct audit {
	uint64_t acknowledged, through_one, unknown, applied, failed, lost, twice, in_part, disordered;
};

/* What is there of one number of one producer. */
struct found {
	int64_t first; /* rowid */
	unsigned rows;
	unsigned parts; /* a bit for each */
};

static struct found *read_rows(penstock *reader, const struct producer *producer)
{
	penstock_value value = penstock_int64(producer->number);
	penstock_submission select = PENSTOCK_SUBMISSION_INIT;
	struct found *found = calloc(producer->count + 1, sizeof *found);
	const penstock_result *result;
	penstock_handle *handle;
	size_t i;

	select.sql = "SELECT id, number, part FROM nemesis WHERE producer = ? ORDER BY id";
	select.values = &value;
	select.value_count = 1;
	must(penstock_execute(reader, &select, PENSTOCK_FOREVER, &handle), "reading back");
	result = penstock_handle_result(handle);
	for (i = 0; i < result->row_count; i++) {
		uint64_t number = (uint64_t)penstock_result_cell(result, i, 1)->as.integer;
		/* What nobody has submitted counts as twice. */
		struct found *of = &found[number < producer->count ? number : producer->count];

		if (of->rows++ == 0)
			of->first = penstock_result_cell(result, i, 0)->as.integer;
		of->parts |= 1u << penstock_result_cell(result, i, 2)->as.integer;
	}
	penstock_handle_release(handle);
	return found;
}

static void audit_producer(const struct producer *producer, const struct found *found, struct audit *audit)
{
	int64_t last = 0;
	uint64_t i;

	audit->twice += found[producer->count].rows > 0;
	for (i = 0; i < producer->count; i++) {
		unsigned whole = is_group(i) ? PARTS : 1, parts = (1u << whole) - 1;
		bool there = found[i].rows > 0;

		audit->twice += found[i].rows > whole;
		audit->in_part += there && (found[i].parts & parts) != parts;
		switch (producer->heard[i]) {
		case PENSTOCK_OK:
			audit->acknowledged++;
			audit->through_one += names_one(producer);
			audit->lost += !there;
			audit->disordered += there && found[i].first < last;
			if (there)
				last = found[i].first;
			break;
		case PENSTOCK_UNKNOWN:
			audit->unknown++;
			audit->applied += there;
			break;
		default:
			audit->failed++;
			audit->twice += there;
			break;
		}
	}
}

static struct audit look(penstock *reader)
{
	struct audit audit = { .lost = 0 };

	for (unsigned i = 0; i < THREADS; i++) {
		struct found *found = read_rows(reader, &producers[i]);

		audit_producer(&producers[i], found, &audit);
		free(found);
	}
	return audit;
}

static void change(penstock *reader, const char *sql, int64_t producer, int64_t number)
{
	penstock_value values[] = { penstock_int64(producer), penstock_int64(number) };
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

	submission.sql = sql;
	submission.values = values;
	submission.value_count = 2;
	must(penstock_execute(reader, &submission, PENSTOCK_FOREVER, NULL), sql);
}

/* The number of a statement, or of a group, of the first producer that was OK; behind `from`. */
static int64_t some(bool group, int64_t from)
{
	for (uint64_t i = (uint64_t)from; i < producers[0].count; i++) {
		if (producers[0].heard[i] == PENSTOCK_OK && is_group(i) == group)
			return (int64_t)i;
	}
	fprintf(stderr, "nemesis: nothing was acknowledged that the check could be tried with\n");
	exit(1);
}

/* Whether the check sees what it is for. */
static bool sees(penstock *reader)
{
	int64_t doubled = some(false, 0), removed = some(false, doubled + 1), moved = some(false, removed + 1);
	struct audit audit;

	change(reader,
	       "INSERT INTO nemesis(producer, number, part) SELECT producer, number, part FROM nemesis WHERE producer = ? AND number = ?",
	       0, doubled);
	change(reader, "DELETE FROM nemesis WHERE producer = ? AND number = ?", 0, removed);
	change(reader, "DELETE FROM nemesis WHERE producer = ? AND number = ? AND part = 1", 0, some(true, 0));
	change(reader, "UPDATE nemesis SET id = (SELECT max(id) + 1 FROM nemesis) WHERE producer = ? AND number = ?", 0, moved);
	audit = look(reader);
	if (audit.twice == 1 && audit.lost == 1 && audit.in_part == 1 && audit.disordered > 0)
		return true;
	fprintf(stderr,
	        "nemesis: the check overlooks what was done on purpose: lost %" PRIu64 ", twice %" PRIu64 ", in part %" PRIu64
	        ", order %" PRIu64 "\n",
	        audit.lost, audit.twice, audit.in_part, audit.disordered);
	return false;
}

static bool report(const struct audit *audit, uint64_t seed, unsigned strikes)
{
	printf("nemesis: %u strikes: %" PRIu64 " acknowledged (%" PRIu64 " by way of one node, whoever led), %" PRIu64
	       " unknown of which %" PRIu64 " applied, %" PRIu64 " failed, lost %" PRIu64 ", twice %" PRIu64
	       ", in part %" PRIu64 ", order broken among OK %" PRIu64 ", seed %" PRIu64 "\n",
	       strikes, audit->acknowledged, audit->through_one, audit->unknown, audit->applied, audit->failed, audit->lost,
	       audit->twice, audit->in_part, audit->disordered, seed);
	return audit->acknowledged > audit->through_one && audit->through_one > 0 && audit->lost == 0 && audit->twice == 0 &&
	       audit->in_part == 0 && audit->disordered == 0;
}

/* ---- all of it ---- */

static void begin(uint64_t *random)
{
	penstock_submission create = PENSTOCK_SUBMISSION_INIT;
	penstock *db;
	size_t i;

	for (i = 0; i < nodes.count; i++)
		nodes_start(&nodes, i);
	db = open_path(nodes.path);
	create.sql = "CREATE TABLE nemesis(id INTEGER PRIMARY KEY, producer INTEGER, number INTEGER, part INTEGER)";
	must(penstock_execute(db, &create, PENSTOCK_FOREVER, NULL), "the table");
	must(penstock_close(db, PENSTOCK_FOREVER), "closing");
	open_engines(random);
	for (i = 0; i < THREADS; i++) {
		producers[i].number = (unsigned)i;
		producers[i].db = engines[i % ENGINES];
		producers[i].heard = calloc(EACH_MAX, 1);
		if (pthread_create(&producers[i].thread, NULL, produce, &producers[i]) != 0)
			abort();
	}
}

int main(void)
{
	const char *seconds = getenv("PENSTOCK_NEMESIS"), *drawn = getenv("PENSTOCK_SEED");
	uint64_t seed = drawn != NULL ? strtoull(drawn, NULL, 10) : 1;
	uint64_t random = seed;
	unsigned strikes = 0, i;
	struct audit audit;
	penstock *reader;
	bool good;
	time_t end;

	nodes_begin(&nodes, 3);
	begin(&random);
	end = time(NULL) + (seconds != NULL ? atoi(seconds) : 15);
	while (time(NULL) < end) {
		pause_msec((unsigned)random_below(&random, 3000));
		strike(&random);
		strikes++;
	}
	ended = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(producers[i].thread, NULL);
	for (i = 0; i < ENGINES; i++)
		must(penstock_close(engines[i], PENSTOCK_FOREVER), "closing");
	pause_msec(LATE_SECONDS * 1000);
	reader = open_path(nodes.path);
	audit = look(reader);
	good = report(&audit, seed, strikes) && sees(reader);
	must(penstock_close(reader, PENSTOCK_FOREVER), "closing");
	nodes_end(&nodes);
	for (i = 0; i < THREADS; i++)
		free(producers[i].heard);
	return good ? 0 : 1;
}

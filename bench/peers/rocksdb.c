/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rocksdb.c - a peer: RocksDB by its C interface, each write synced
 *
 *   one, eight, many   a thread each, a WriteBatch of one row; its threads share syncs
 *   in_flight, forget  one thread, WriteBatches of 1000 rows
 *
 * The key is the row's id, the value the other columns.
 */
#include <endian.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/instead.h"

struct bench_rocksdb {
	rocksdb_t *db;
	rocksdb_writeoptions_t *synced;
	enum bench_use use;
	uint64_t id; /* the last one given */
};

static void bench_rocksdb_put(rocksdb_writebatch_t *batch, struct bench_rocksdb *store, uint64_t number)
{
	uint64_t key = htobe64(__atomic_add_fetch(&store->id, 1, __ATOMIC_RELAXED));
	struct {
		uint64_t a;
		char b[BENCH_TEXT_BYTES];
		double c;
	} value = { .a = number, .c = (double)number };

	memcpy(value.b, BENCH_TEXT_START, sizeof value.b);
	bench_text(value.b, number);
	rocksdb_writebatch_put(batch, (const char *)&key, sizeof key, (const char *)&value, sizeof value);
}

static void bench_rocksdb_work(struct bench_hand *hand)
{
	struct bench_rocksdb *store = bench_user_context(hand);
	struct bench_user *user = bench_user_of(hand);
	uint64_t until = bench_user_until(hand), now = bench_nsec(), since[BENCH_FLIGHT];
	unsigned together = store->use == BENCH_IN_FLIGHT || store->use == BENCH_FORGET ? BENCH_FLIGHT : 1;
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	char *message = NULL;

	while (now < until && message == NULL) {
		for (unsigned i = 0; i < together; i++) {
			since[i] = together > 1 ? bench_nsec() : now;
			bench_rocksdb_put(batch, store, user->rows + i);
		}
		rocksdb_write(store->db, store->synced, batch, &message);
		rocksdb_writebatch_clear(batch);
		now = bench_nsec();
		for (unsigned i = 0; i < together && store->use != BENCH_FORGET; i++)
			bench_user_note(user, now - since[i]);
		user->rows += together;
	}
	if (message != NULL)
		snprintf(hand->message, sizeof hand->message, "%.180s", message);
	free(message);
	rocksdb_writebatch_destroy(batch);
}

static bool bench_rocksdb_run(struct bench_case *self, enum bench_use use, uint64_t nsec, struct bench_used *used)
{
	/* A folder of that name, instead of a file. */
	const char *path = bench_database_new();
	rocksdb_options_t *options = rocksdb_options_create();
	struct bench_rocksdb store = { .use = use, .synced = rocksdb_writeoptions_create() };
	char *message = NULL;
	bool whole;

	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_writeoptions_set_sync(store.synced, 1);
	store.db = rocksdb_open(options, path, &message);
	whole = store.db != NULL && message == NULL;
	if (whole) {
		whole = bench_use_by_threads(self, bench_use_threads(use), nsec, &store, NULL, bench_rocksdb_work, NULL, used);
		rocksdb_close(store.db);
	} else {
		bench_fail(self, "%s", message);
	}
	free(message);
	message = NULL;
	rocksdb_destroy_db(options, path, &message);
	free(message);
	rocksdb_writeoptions_destroy(store.synced);
	rocksdb_options_destroy(options);
	return whole;
}

const struct bench_instead bench_rocksdb_instead = { .name = "rocksdb", .run = bench_rocksdb_run };

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mutex_queue.c - a peer: what one would write by hand in an afternoon
 *
 * A bounded queue of rows under a mutex with two condition variables, and one writer thread that takes whatever is
 * there, at most task->batch rows, as one transaction. A producer that waits for its outcome sleeps on a semaphore of
 * its own. It has as many slots as Penstock's ring. What it does not have: outcomes of statements that fail, deadlines,
 * pausing, any other statement than the one INSERT.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/crew.h"
#include "bench/rows.h"

#define SLOTS 16384

struct bench_entry {
	int64_t number;
	double real;
	char text[BENCH_TEXT_BYTES];
	sem_t *outcome; /* or NULL */
};

struct bench_mutex_queue {
	const struct bench_task *task;
	struct bench_inserter inserter;

	pthread_mutex_t mutex;
	pthread_cond_t work;
	pthread_cond_t room;
	struct bench_entry entries[SLOTS];
	uint64_t head;
	uint64_t tail;
	bool finish;

	/* The writer's. */
	struct bench_entry *taken; /* of task->batch */
	bool failed;
};

static void bench_mutex_enqueue(struct bench_mutex_queue *queue, const struct bench_entry *entry)
{
	pthread_mutex_lock(&queue->mutex);
	while (queue->tail - queue->head == SLOTS)
		pthread_cond_wait(&queue->room, &queue->mutex);
	queue->entries[queue->tail++ % SLOTS] = *entry;
	if (queue->tail - queue->head == 1)
		pthread_cond_signal(&queue->work);
	pthread_mutex_unlock(&queue->mutex);
}

/* 0: finished. */
static uint64_t bench_mutex_take(struct bench_mutex_queue *queue)
{
	uint64_t count = 0;

	pthread_mutex_lock(&queue->mutex);
	while (queue->tail == queue->head && !queue->finish)
		pthread_cond_wait(&queue->work, &queue->mutex);
	while (queue->tail != queue->head && count < queue->task->batch)
		queue->taken[count++] = queue->entries[queue->head++ % SLOTS];
	pthread_cond_broadcast(&queue->room);
	pthread_mutex_unlock(&queue->mutex);
	return count;
}

static bool bench_mutex_insert(struct bench_inserter *inserter, const struct bench_entry *entry)
{
	bool done;

	sqlite3_bind_null(inserter->insert, 1);
	sqlite3_bind_int64(inserter->insert, 2, entry->number);
	sqlite3_bind_text(inserter->insert, 3, entry->text, BENCH_TEXT_BYTES, SQLITE_STATIC);
	sqlite3_bind_double(inserter->insert, 4, entry->real);
	done = sqlite3_step(inserter->insert) == SQLITE_DONE;
	sqlite3_reset(inserter->insert);
	return done;
}

static void *bench_mutex_writer(void *arg)
{
	struct bench_mutex_queue *queue = arg;
	struct bench_inserter *inserter = &queue->inserter;
	uint64_t count;

	while ((count = bench_mutex_take(queue)) != 0) {
		bool whole = count == 1 || sqlite3_step(inserter->begin) == SQLITE_DONE;

		sqlite3_reset(inserter->begin);
		for (uint64_t i = 0; i < count; i++)
			whole = whole && bench_mutex_insert(inserter, &queue->taken[i]);
		whole = whole && (count == 1 || sqlite3_step(inserter->commit) == SQLITE_DONE);
		sqlite3_reset(inserter->commit);
		queue->failed |= !whole;
		for (uint64_t i = 0; i < count; i++) {
			if (queue->taken[i].outcome != NULL)
				sem_post(queue->taken[i].outcome);
		}
	}
	return NULL;
}

static void bench_mutex_work(struct bench_hand *hand)
{
	struct bench_mutex_queue *queue = hand->crew->context;
	struct bench_entry entry = { .text = { 0 } };
	sem_t outcome;

	sem_init(&outcome, 0, 0);
	memcpy(entry.text, BENCH_TEXT_START, BENCH_TEXT_BYTES);
	entry.outcome = queue->task->waits ? &outcome : NULL;
	for (uint64_t i = 0; i < queue->task->rows / queue->task->producers; i++) {
		bench_text(entry.text, i);
		entry.number = (int64_t)i;
		entry.real = (double)i;
		bench_mutex_enqueue(queue, &entry);
		while (queue->task->waits && sem_wait(&outcome) != 0 && errno == EINTR)
			;
	}
	sem_destroy(&outcome);
}

static bool bench_mutex_produce(struct bench_case *self, struct bench_mutex_queue *queue, struct bench_took *took)
{
	struct bench_crew crew = { .context = queue, .work = bench_mutex_work, .count = queue->task->producers };
	pthread_t writer;

	if (pthread_create(&writer, NULL, bench_mutex_writer, queue) != 0) {
		bench_fail(self, "no thread can be created");
		return false;
	}
	bench_crew_begin(&crew);
	bench_crew_end(self, &crew);
	pthread_mutex_lock(&queue->mutex);
	queue->finish = true;
	pthread_cond_signal(&queue->work);
	pthread_mutex_unlock(&queue->mutex);
	pthread_join(writer, NULL);
	took->seconds = (double)(bench_nsec() - crew.started) / 1e9;
	if (queue->failed)
		bench_fail(self, "%s", sqlite3_errmsg(queue->inserter.connection));
	return !queue->failed;
}

static bool bench_mutex_write(struct bench_case *self, const struct bench_task *task, struct bench_took *took)
{
	sqlite3 *connection = bench_plain_new(self, bench_database_new(), task->synchronous);
	struct bench_mutex_queue *queue = calloc(1, sizeof *queue);
	uint64_t started;
	bool whole;

	if (queue == NULL || (queue->taken = calloc(task->batch, sizeof *queue->taken)) == NULL)
		abort();
	queue->task = task;
	pthread_mutex_init(&queue->mutex, NULL);
	pthread_cond_init(&queue->work, NULL);
	pthread_cond_init(&queue->room, NULL);
	whole = connection != NULL && bench_inserter_init(&queue->inserter, connection, "BEGIN IMMEDIATE") &&
	        bench_mutex_produce(self, queue, took) && bench_plain_arrived(self, connection, task->rows);
	started = bench_nsec();
	bench_inserter_finish(&queue->inserter);
	sqlite3_close(connection);
	took->close_seconds = (double)(bench_nsec() - started) / 1e9;
	bench_database_remove();
	free(queue->taken);
	free(queue);
	return whole;
}

const struct bench_writer bench_mutex_queue_writer = {
	.name = "mutex-queue",
	.write = bench_mutex_write,
	.groups = true,
	.own_groups = true,
};

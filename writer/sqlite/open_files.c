/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/open_files.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <urcu/list.h>

#include "core/error.h"
#include "core/thread.h"

/* What lasts as long as a connection does: a function that belongs to it. */
#define FUNCTION "penstock_open_files"

struct opened {
	struct cds_list_head link;
	dev_t device;
	ino_t inode;
	uint32_t fork_generation;
};

static CDS_LIST_HEAD(all);
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&mutex);
}

static void setup(void)
{
	ready = pthread_atfork(before_fork, after_fork, after_fork) == 0;
}

static void leave(void *arg)
{
	struct opened *opened = arg;

	pthread_mutex_lock(&mutex);
	cds_list_del(&opened->link);
	pthread_mutex_unlock(&mutex);
	free(opened);
}

static void answer_null(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_null(context);
}

/* False: inherited. */
static bool enter(struct opened *opened)
{
	struct opened *other;
	bool inherited = false;

	pthread_mutex_lock(&mutex);
	opened->fork_generation = ps_fork_generation();
	cds_list_for_each_entry (other, &all, link) {
		if (other->device == opened->device && other->inode == opened->inode &&
		    other->fork_generation != opened->fork_generation)
			inherited = true;
	}
	if (!inherited)
		cds_list_add(&opened->link, &all);
	pthread_mutex_unlock(&mutex);
	return !inherited;
}

int ps_open_files_enter(sqlite3 *connection, const char *path)
{
	struct opened *opened;
	struct stat info;

	/* A name that is none of the system's (a VFS of the program's own): then there is no record of locks either. */
	if (stat(sqlite3_db_filename(connection, "main"), &info) != 0)
		return PENSTOCK_OK;
	pthread_once(&once, setup);
	opened = ready ? malloc(sizeof *opened) : NULL;
	if (opened == NULL)
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	opened->device = info.st_dev;
	opened->inode = info.st_ino;
	if (!enter(opened)) {
		free(opened);
		return ps_error(
			PENSTOCK_CANTOPEN,
			"%s was open in the parent when this process was forked, and SQLite cannot lock it here; fork while "
			"the engine is stopped or paused, and without readers, or call exec",
			path);
	}
	/* Calls leave when it fails, too. */
	if (sqlite3_create_function_v2(connection, FUNCTION, 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, opened, answer_null, NULL,
	                               NULL, leave) != SQLITE_OK)
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	return PENSTOCK_OK;
}

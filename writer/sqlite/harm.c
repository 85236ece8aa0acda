/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/harm.h"

#include <errno.h>
#include <stddef.h>

bool ps_harm_is_io_error(int extended_code)
{
	return (extended_code & 0xff) == SQLITE_IOERR && extended_code != SQLITE_IOERR_NOMEM;
}

/* ---- the hook ---- */

static int on_commit(void *arg)
{
	struct ps_harm_watch *watch = arg;

	watch->committing = true;
	watch->ours = true;
	return 0;
}

void ps_harm_watch(struct ps_harm_watch *watch, sqlite3 *connection)
{
	*watch = (struct ps_harm_watch){ .connection = connection };
	sqlite3_commit_hook(connection, on_commit, watch);
}

void ps_harm_end_watch(struct ps_harm_watch *watch)
{
	/* Whosever it is: what is left of the connection is closing. */
	sqlite3_commit_hook(watch->connection, NULL, NULL);
}

void ps_harm_renew_watch(struct ps_harm_watch *watch)
{
	if (watch->ours)
		sqlite3_commit_hook(watch->connection, on_commit, watch);
}

bool ps_harm_has_hook(const struct ps_harm_watch *watch)
{
	return watch->ours;
}

void ps_harm_forget_hook(struct ps_harm_watch *watch)
{
	watch->heard = watch->ours = false;
}

void ps_harm_suspect(struct ps_harm_watch *watch)
{
	watch->stale = true;
}

void ps_harm_committed(struct ps_harm_watch *watch)
{
	watch->heard = watch->committing;
}

bool ps_harm_is_before_commit(const struct ps_harm_watch *watch)
{
	return watch->heard && !watch->committing;
}

/* ---- the files ---- */

static sqlite3_file *file_of(const struct ps_harm_watch *watch, const char *database, int pointer)
{
	sqlite3_file *file = NULL;

	sqlite3_file_control(watch->connection, database, pointer, &file);
	return file != NULL && file->pMethods != NULL ? file : NULL;
}

/* -1: it cannot be told. */
static int errno_of(const struct ps_harm_watch *watch, const char *database, int pointer)
{
	sqlite3_file *file = file_of(watch, database, pointer);
	int last = 0;

	if (file == NULL || file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &last) != SQLITE_OK)
		return -1;
	return last;
}

static void forget_errno(const struct ps_harm_watch *watch, int pointer)
{
	sqlite3_file *file = file_of(watch, "main", pointer);
	sqlite3_int64 size;
	char byte;

	if (file != NULL && file->pMethods->xFileSize(file, &size) == SQLITE_OK)
		file->pMethods->xRead(file, &byte, 1, size);
}

void ps_harm_begin(struct ps_harm_watch *watch)
{
	watch->committing = false;
	if (!watch->stale)
		return;
	watch->stale = false;
	forget_errno(watch, SQLITE_FCNTL_FILE_POINTER);
	forget_errno(watch, SQLITE_FCNTL_JOURNAL_POINTER);
}

void ps_harm_note(struct ps_harm_watch *watch, int extended_code)
{
	if (ps_harm_is_io_error(extended_code))
		watch->stale = true;
}

bool ps_harm_is_ours(const struct ps_harm_watch *watch)
{
	return watch->committing && sqlite3_db_name(watch->connection, 2) == NULL;
}

static bool is_for_want_of_room(int error)
{
	return error == 0 || error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* Nothing was to be written, so a commit had no valid frame yet. */
static bool is_before_writing(int extended_code)
{
	switch (extended_code) {
	case SQLITE_IOERR_READ:
	case SQLITE_IOERR_SHORT_READ:
	case SQLITE_IOERR_CORRUPTFS:
	case SQLITE_IOERR_FSTAT:
	case SQLITE_IOERR_ACCESS:
	case SQLITE_IOERR_LOCK:
	case SQLITE_IOERR_RDLOCK:
	case SQLITE_IOERR_CHECKRESERVEDLOCK:
	case SQLITE_IOERR_GETTEMPPATH:
	case SQLITE_IOERR_SHMOPEN:
	case SQLITE_IOERR_SHMLOCK:
		return true;
	default:
		return false;
	}
}

/* Neither of ours: an attached database's commit may be as undecided as one of ours; any other file is the statement's affair. */
static enum ps_harm harm_of_others(const struct ps_harm_watch *watch, int extended_code)
{
	const char *name;

	for (int i = 2; extended_code != SQLITE_IOERR_WRITE && (name = sqlite3_db_name(watch->connection, i)) != NULL; i++) {
		if (extended_code == SQLITE_IOERR_DELETE || errno_of(watch, name, SQLITE_FCNTL_FILE_POINTER) > 0 ||
		    errno_of(watch, name, SQLITE_FCNTL_JOURNAL_POINTER) > 0)
			return PS_IN_DOUBT;
	}
	return PS_HARMLESS;
}

enum ps_harm ps_harm_of(struct ps_harm_watch *watch, int extended_code, bool ours)
{
	int database = errno_of(watch, "main", SQLITE_FCNTL_FILE_POINTER);
	int log = errno_of(watch, "main", SQLITE_FCNTL_JOURNAL_POINTER);

	ps_harm_note(watch, extended_code);
	if (extended_code == SQLITE_IOERR_SHMSIZE || extended_code == SQLITE_IOERR_SHMMAP)
		return PS_IN_DOUBT;
	if (is_before_writing(extended_code))
		return PS_HARMLESS;
	if (database == 0 && log == 0 && !ours)
		return harm_of_others(watch, extended_code);
	if (extended_code == SQLITE_IOERR_WRITE && (database != 0 || log != 0) && is_for_want_of_room(database) &&
	    is_for_want_of_room(log))
		return PS_NO_ROOM;
	return PS_HARMFUL;
}

static bool is_read_error(int extended_code)
{
	return extended_code == SQLITE_IOERR_READ || extended_code == SQLITE_IOERR_SHORT_READ ||
	       extended_code == SQLITE_IOERR_CORRUPTFS;
}

bool ps_harm_breaks_checkpoint(struct ps_harm_watch *watch, int extended_code)
{
	/* No room (or no memory) leaves the log as it is; it is tried again later. */
	if (!ps_harm_is_io_error(extended_code))
		return false;
	switch (ps_harm_of(watch, extended_code, true)) {
	case PS_HARMFUL:
		return true;
	case PS_HARMLESS:
		/* A lock, or what was committed cannot be read any more. */
		return is_read_error(extended_code);
	default:
		return false;
	}
}

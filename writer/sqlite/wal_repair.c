/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/wal_repair.h"

#include <stdlib.h>
#include <string.h>

#include "writer/sqlite/disk.h"

#define HEADER_BYTES 32 /* sqlite.org/fileformat2.html#walformat */

struct repair {
	const char *path;
	sqlite3_file *log;
	sqlite3_int64 size;
	unsigned char *cached;  /* a piece of the log as everybody sees it */
	unsigned char *on_disk; /* the same of the disk */
};

static int piece_at(const struct repair *repair, sqlite3_int64 at)
{
	return repair->size - at < PS_DISK_PIECE ? (int)(repair->size - at) : PS_DISK_PIECE;
}

static int read_cached(struct repair *repair, sqlite3_int64 at)
{
	return repair->log->pMethods->xRead(repair->log, repair->cached, piece_at(repair, at), at);
}

/* How many bytes from the beginning of the piece the disk has too. */
static int count_equal(struct repair *repair, struct ps_disk *disk, sqlite3_int64 at)
{
	int bytes = piece_at(repair, at), equal = 0;
	size_t there = ps_disk_read(disk, (uint64_t)at, repair->on_disk);

	if (there < (size_t)bytes)
		bytes = (int)there;
	if (memcmp(repair->cached, repair->on_disk, (size_t)bytes) == 0)
		return bytes;
	while (repair->cached[equal] == repair->on_disk[equal])
		equal++;
	return equal;
}

/* The first byte from *missing on that is not on the disk, or the size. */
static int find_missing(struct repair *repair, sqlite3_int64 *missing)
{
	sqlite3_int64 from = *missing, at = from / PS_DISK_PIECE * PS_DISK_PIECE;
	struct ps_disk disk;
	int rc = SQLITE_OK, equal = 0;

	if (!ps_disk_open(&disk, repair->path))
		return SQLITE_OK;
	for (; at < repair->size; at += PS_DISK_PIECE) {
		rc = read_cached(repair, at);
		equal = rc == SQLITE_OK ? count_equal(repair, &disk, at) : 0;
		*missing = at + equal > from ? at + equal : from;
		if (equal < piece_at(repair, at))
			break;
	}
	/* This drops the process's POSIX locks on the log, of which SQLite takes none. */
	ps_disk_close(&disk);
	return rc;
}

static int sync_log(struct repair *repair)
{
	return repair->log->pMethods->xSync(repair->log, SQLITE_SYNC_NORMAL);
}

static int write_anew(struct repair *repair, sqlite3_int64 from, sqlite3_int64 to)
{
	int rc = SQLITE_OK, bytes;

	for (; from < to && rc == SQLITE_OK; from += bytes) {
		bytes = to - from < PS_DISK_PIECE ? (int)(to - from) : PS_DISK_PIECE;
		rc = read_cached(repair, from);
		if (rc == SQLITE_OK)
			rc = repair->log->pMethods->xWrite(repair->log, repair->cached, bytes, from);
	}
	return rc == SQLITE_OK ? sync_log(repair) : rc;
}

static int repair_all(struct repair *repair)
{
	sqlite3_int64 missing = 0;
	int rc = find_missing(repair, &missing);

	if (rc == SQLITE_OK && missing < HEADER_BYTES && repair->size > HEADER_BYTES) {
		rc = write_anew(repair, missing, HEADER_BYTES);
		missing = HEADER_BYTES;
		if (rc == SQLITE_OK)
			rc = find_missing(repair, &missing);
	}
	return rc == SQLITE_OK && missing < repair->size ? write_anew(repair, missing, repair->size) : rc;
}

int ps_wal_repair(sqlite3 *connection)
{
	struct repair repair = { .path = sqlite3_filename_wal(sqlite3_db_filename(connection, "main")) };
	int rc;

	/* In WAL mode "the journal" is the log. SQLite's own: its first sync is also that of the folder, for the log's name. */
	rc = sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &repair.log);
	if (rc != SQLITE_OK || repair.log == NULL || repair.log->pMethods == NULL)
		return rc;
	rc = repair.log->pMethods->xFileSize(repair.log, &repair.size);
	if (rc != SQLITE_OK || repair.size == 0)
		return rc;
	rc = sync_log(&repair);
	if (rc != SQLITE_OK)
		return rc;
	repair.cached = aligned_alloc(PS_DISK_PIECE, 2 * PS_DISK_PIECE);
	if (repair.cached == NULL)
		return SQLITE_NOMEM;
	repair.on_disk = repair.cached + PS_DISK_PIECE;
	rc = repair_all(&repair);
	free(repair.cached);
	return rc;
}

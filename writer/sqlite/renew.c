#include "writer/sqlite/renew.h"

#include <stdlib.h>
#include <string.h>

#include "writer/sqlite/disk.h"

#define HEADER_BYTES 32 /* sqlite.org/fileformat2.html#walformat */

struct renewal {
	const char *path;
	sqlite3_file *log;
	sqlite3_int64 size;
	unsigned char *cached;  /* a piece of the log as everybody sees it */
	unsigned char *on_disk; /* the same of the disk */
};

static int piece_at(const struct renewal *renewal, sqlite3_int64 at)
{
	return renewal->size - at < PS_DISK_PIECE ? (int)(renewal->size - at) : PS_DISK_PIECE;
}

static int read_cached(struct renewal *renewal, sqlite3_int64 at)
{
	return renewal->log->pMethods->xRead(renewal->log, renewal->cached, piece_at(renewal, at), at);
}

/* How many bytes from the beginning of the piece the disk has too. */
static int count_equal(struct renewal *renewal, struct ps_disk *disk, sqlite3_int64 at)
{
	int bytes = piece_at(renewal, at), equal = 0;
	size_t there = ps_disk_read(disk, (uint64_t)at, renewal->on_disk);

	if (there < (size_t)bytes)
		bytes = (int)there;
	if (memcmp(renewal->cached, renewal->on_disk, (size_t)bytes) == 0)
		return bytes;
	while (renewal->cached[equal] == renewal->on_disk[equal])
		equal++;
	return equal;
}

/* The first byte from *missing on that is not on the disk, or the size. */
static int find_missing(struct renewal *renewal, sqlite3_int64 *missing)
{
	sqlite3_int64 from = *missing, at = from / PS_DISK_PIECE * PS_DISK_PIECE;
	struct ps_disk disk;
	int rc = SQLITE_OK, equal = 0;

	if (!ps_disk_open(&disk, renewal->path))
		return SQLITE_OK;
	for (; at < renewal->size; at += PS_DISK_PIECE) {
		rc = read_cached(renewal, at);
		equal = rc == SQLITE_OK ? count_equal(renewal, &disk, at) : 0;
		*missing = at + equal > from ? at + equal : from;
		if (equal < piece_at(renewal, at))
			break;
	}
	/* This drops the process's POSIX locks on the log, of which SQLite takes none. */
	ps_disk_close(&disk);
	return rc;
}

static int sync_log(struct renewal *renewal)
{
	return renewal->log->pMethods->xSync(renewal->log, SQLITE_SYNC_NORMAL);
}

static int write_anew(struct renewal *renewal, sqlite3_int64 from, sqlite3_int64 to)
{
	int rc = SQLITE_OK, bytes;

	for (; from < to && rc == SQLITE_OK; from += bytes) {
		bytes = to - from < PS_DISK_PIECE ? (int)(to - from) : PS_DISK_PIECE;
		rc = read_cached(renewal, from);
		if (rc == SQLITE_OK)
			rc = renewal->log->pMethods->xWrite(renewal->log, renewal->cached, bytes, from);
	}
	return rc == SQLITE_OK ? sync_log(renewal) : rc;
}

static int renew(struct renewal *renewal)
{
	sqlite3_int64 missing = 0;
	int rc = find_missing(renewal, &missing);

	if (rc == SQLITE_OK && missing < HEADER_BYTES && renewal->size > HEADER_BYTES) {
		rc = write_anew(renewal, missing, HEADER_BYTES);
		missing = HEADER_BYTES;
		if (rc == SQLITE_OK)
			rc = find_missing(renewal, &missing);
	}
	return rc == SQLITE_OK && missing < renewal->size ? write_anew(renewal, missing, renewal->size) : rc;
}

int ps_renew_log(sqlite3 *connection)
{
	struct renewal renewal = { .path = sqlite3_filename_wal(sqlite3_db_filename(connection, "main")) };
	int rc;

	/* In WAL mode "the journal" is the log. SQLite's own: its first sync is also that of the folder, for the log's name. */
	rc = sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &renewal.log);
	if (rc != SQLITE_OK || renewal.log == NULL || renewal.log->pMethods == NULL)
		return rc;
	rc = renewal.log->pMethods->xFileSize(renewal.log, &renewal.size);
	if (rc != SQLITE_OK || renewal.size == 0)
		return rc;
	rc = sync_log(&renewal);
	if (rc != SQLITE_OK)
		return rc;
	renewal.cached = aligned_alloc(PS_DISK_PIECE, 2 * PS_DISK_PIECE);
	if (renewal.cached == NULL)
		return SQLITE_NOMEM;
	renewal.on_disk = renewal.cached + PS_DISK_PIECE;
	rc = renew(&renewal);
	free(renewal.cached);
	return rc;
}

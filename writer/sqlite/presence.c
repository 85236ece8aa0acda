/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/presence.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/atomic.h"

/* sqlite.org/walformat.html; the index begins with two copies of its header */
#define INDEX_VERSION 3007000
#define INDEX_PIECE_BYTES 32768
#define COPIED_AT 24 /* words: nBackfill, behind both copies */
#define LOG_HEADER_BYTES 32
#define FRAME_HEADER_BYTES 24
#define SALT_AT 16

struct index_header {
	uint32_t version;
	uint32_t unused;
	uint32_t change;
	uint8_t ready;
	uint8_t big_endian;
	uint16_t page_bytes;
	uint32_t frames;
	uint32_t pages;
	uint32_t frame_checksum[2];
	uint8_t salt[8]; /* as in the log's header */
	uint32_t checksum[2];
};

_Static_assert(sizeof(struct index_header) == 48, "the index's header, as SQLite documents it");

/* ---- names ---- */

static const char *database_name(const struct ps_presence *presence)
{
	return sqlite3_db_filename(presence->connection, "main");
}

static const char *wal_name(const struct ps_presence *presence)
{
	return sqlite3_filename_wal(database_name(presence));
}

static bool is_same_file(const struct stat *one, const struct stat *other)
{
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

static bool is_named(const struct ps_presence *presence, const char *name, bool known, const struct stat *noted,
                     struct stat *found)
{
	if (stat(name, found) != 0)
		return !known && !presence->by_name;
	return !known || is_same_file(noted, found);
}

/* Whether the VFS at the bottom is one whose -wal and -shm are files of these names. */
static bool goes_by_name(sqlite3 *connection)
{
	char *name = NULL;
	const char *last;
	bool own;

	if (sqlite3_file_control(connection, "main", SQLITE_FCNTL_VFSNAME, &name) != SQLITE_OK || name == NULL)
		return false;
	last = strrchr(name, '/');
	own = strcmp(last != NULL ? last + 1 : name, "unix") == 0;
	sqlite3_free(name);
	return own;
}

/* ---- the log and its index ---- */

/* False: there is none, or it is being changed. */
static bool read_index(sqlite3_file *database, struct index_header *header)
{
	uint32_t words[2 * sizeof *header / sizeof(uint32_t)];
	void volatile *memory = NULL;
	size_t i;

	if (database == NULL || database->pMethods == NULL || database->pMethods->iVersion < 2 ||
	    database->pMethods->xShmMap(database, 0, INDEX_PIECE_BYTES, 0, &memory) != SQLITE_OK || memory == NULL)
		return false;
	database->pMethods->xShmBarrier(database);
	for (i = 0; i < sizeof words / sizeof words[0]; i++)
		words[i] = ps_load_relaxed_u32((const uint32_t *)(uintptr_t)memory + i);
	database->pMethods->xShmBarrier(database);
	memcpy(header, words, sizeof *header);
	return memcmp(header, (const char *)words + sizeof *header, sizeof *header) == 0 && header->ready != 0 &&
	       header->version == INDEX_VERSION;
}

/* Whether the log is the one that the index is of. */
static bool is_log_of_index(const struct index_header *index, sqlite3_file *log)
{
	unsigned char header[LOG_HEADER_BYTES] = { 0 };
	int rc = log->pMethods->xRead(log, header, sizeof header, 0);

	/* A read that fails otherwise will fail for SQLite, too. */
	return (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ) ||
	       memcmp(header + SALT_AT, index->salt, sizeof index->salt) == 0;
}

/* Frames count from 1. */
static sqlite3_int64 place_of_frame(const struct index_header *index, uint64_t frame)
{
	uint64_t page_bytes = index->page_bytes == 1 ? 65536 : index->page_bytes;

	return (sqlite3_int64)(LOG_HEADER_BYTES + (frame - 1) * (FRAME_HEADER_BYTES + page_bytes));
}

static bool is_long_enough(const struct index_header *index, sqlite3_file *log)
{
	sqlite3_int64 bytes;

	return log->pMethods->xFileSize(log, &bytes) != SQLITE_OK ||
	       bytes >= place_of_frame(index, (uint64_t)index->frames + 1);
}

/*
 * Whether the last frame that a look has found is there, when there are more by now. Each begins with the number of its page, from 1 on;
 * what was cut off, and has been written behind since, reads as zero.
 */
static bool has_frame(const struct index_header *index, sqlite3_file *log, uint64_t known)
{
	static const unsigned char none[4];
	unsigned char page[sizeof none] = { 0 };
	int rc;

	if (known == 0 || known >= index->frames)
		return true;
	rc = log->pMethods->xRead(log, page, sizeof page, place_of_frame(index, known));
	return (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ) || memcmp(page, none, sizeof page) != 0;
}

static bool is_log_whole(struct ps_presence *presence)
{
	sqlite3_file *database = NULL, *log = NULL;
	struct index_header before, after;

	sqlite3_file_control(presence->connection, "main", SQLITE_FCNTL_FILE_POINTER, &database);
	/* In WAL mode "the journal" is the log. */
	sqlite3_file_control(presence->connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (log == NULL || log->pMethods == NULL || !read_index(database, &before))
		return true;
	if (before.frames == 0 ||
	    (is_log_of_index(&before, log) && is_long_enough(&before, log) && has_frame(&before, log, presence->frames))) {
		presence->frames = before.frames;
		return true;
	}
	return !read_index(database, &after) || memcmp(&before, &after, sizeof before) != 0;
}

bool ps_presence_is_log_copied(sqlite3 *connection)
{
	void volatile *memory = NULL;
	sqlite3_file *database = NULL;
	struct index_header index;

	sqlite3_file_control(connection, "main", SQLITE_FCNTL_FILE_POINTER, &database);
	return !read_index(database, &index) ||
	       database->pMethods->xShmMap(database, 0, INDEX_PIECE_BYTES, 0, &memory) != SQLITE_OK || memory == NULL ||
	       ps_load_relaxed_u32((const uint32_t *)(uintptr_t)memory + COPIED_AT) >= index.frames;
}

/* ---- looking ---- */

static bool has_moved(sqlite3 *connection)
{
	int moved = 0;

	/* A VFS that cannot tell leaves it 0. */
	sqlite3_file_control(connection, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved != 0;
}

void ps_presence_init(struct ps_presence *presence, sqlite3 *connection)
{
	const char *name;

	memset(presence, 0, sizeof *presence);
	presence->connection = connection;
	presence->by_name = goes_by_name(connection);
	name = database_name(presence);
	snprintf(presence->shm_name, sizeof presence->shm_name, "%s-shm", name);
	presence->wal_known = stat(wal_name(presence), &presence->wal) == 0;
	presence->shm_known = stat(presence->shm_name, &presence->shm) == 0;
	/* SQLite compares with what it has open. */
	presence->database_known = stat(name, &presence->database) == 0 && presence->by_name && !has_moved(connection);
}

static bool is_database_there(const struct ps_presence *presence, struct stat *found)
{
	if (!presence->database_known)
		return !has_moved(presence->connection);
	return is_named(presence, database_name(presence), true, &presence->database, found);
}

/* A database in WAL mode has its first page. */
static bool is_emptied(const struct ps_presence *presence, const struct stat *database)
{
	return presence->database_known && database->st_size == 0;
}

enum ps_gone ps_presence_look(struct ps_presence *presence)
{
	struct stat database = presence->database, found;

	/* The database first: whoever writes to it later than this is not taken for the one who had the log. */
	if (!is_database_there(presence, &database))
		return is_log_whole(presence) ? PS_GONE_DATABASE : PS_GONE_WAL;
	if (is_emptied(presence, &database))
		return PS_GONE_CONTENT;
	if (!is_named(presence, wal_name(presence), presence->wal_known, &presence->wal, &found))
		return PS_GONE_WAL;
	if (!is_named(presence, presence->shm_name, presence->shm_known, &presence->shm, &found))
		return PS_GONE_SHM;
	if (!is_log_whole(presence))
		return PS_GONE_WAL;
	presence->database = database;
	return PS_GONE_NOTHING;
}

const char *ps_presence_suffix(enum ps_gone gone)
{
	return gone == PS_GONE_WAL ? "-wal" : gone == PS_GONE_SHM ? "-shm" : "";
}

/* By the name there is nothing, not even what cannot be looked at. */
static bool is_missing(const char *name)
{
	struct stat found;

	return stat(name, &found) != 0 && errno == ENOENT;
}

static bool is_unchanged(const struct stat *noted, const struct stat *found)
{
	return is_same_file(noted, found) && noted->st_size == found->st_size &&
	       noted->st_mtim.tv_sec == found->st_mtim.tv_sec && noted->st_mtim.tv_nsec == found->st_mtim.tv_nsec;
}

/*
 * Whether nobody has put another log in the place of one that has lost its name. Who only opens the database leaves an empty one: as
 * long as the index is this log's, nobody has committed to that.
 */
static bool is_log_unreplaced(const struct ps_presence *presence)
{
	struct stat found;

	if (stat(wal_name(presence), &found) != 0)
		return errno == ENOENT;
	return !is_same_file(&presence->wal, &found) && S_ISREG(found.st_mode) && found.st_size == 0;
}

static bool is_database_untouched(const struct ps_presence *presence)
{
	struct stat found;

	return stat(database_name(presence), &found) == 0 && is_unchanged(&presence->database, &found);
}

void ps_presence_expect_change(struct ps_presence *presence)
{
	presence->expected = presence->database;
}

void ps_presence_note_change(struct ps_presence *presence, const struct stat *before, const struct stat *after)
{
	if (is_unchanged(&presence->expected, before) && is_same_file(before, after))
		presence->database = *after;
}

void ps_presence_note_database(struct ps_presence *presence)
{
	struct stat found;

	if (is_database_there(presence, &found) && presence->database_known)
		presence->database = found;
}

enum ps_saving ps_presence_saving_of_log(struct ps_presence *presence)
{
	struct stat found;

	if (!presence->database_known || !presence->wal_known || !is_log_unreplaced(presence) || !is_log_whole(presence) ||
	    !is_database_untouched(presence))
		return PS_SAVING_NOT;
	if (is_missing(presence->shm_name))
		return PS_SAVING_LOCKED;
	return is_named(presence, presence->shm_name, presence->shm_known, &presence->shm, &found) ? PS_SAVING_SHARED
	                                                                                           : PS_SAVING_NOT;
}

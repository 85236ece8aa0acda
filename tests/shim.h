/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shim.h - a VFS over SQLite's own that shows each call to a watcher, which may let it fail, or end the process in it
 *
 * shim_install makes it the default VFS of the process. The watcher is called before each call (what it returns other than
 * SQLITE_OK, the call fails with; SHIM_SKIP: it is taken for done) and, when the call went well, once more after it. It runs
 * on whatever thread SQLite is called, on several at once. "unix" is still the VFS below, for connections that are not to be
 * watched.
 */
#ifndef PENSTOCK_SHIM_H
#define PENSTOCK_SHIM_H

#include <stdbool.h>

#include <sqlite3.h>

/* X(name, what it fails with by nature) */
#define SHIM_CALL_LIST(X)                   \
	X(OPEN, SQLITE_CANTOPEN)            \
	X(READ, SQLITE_IOERR_READ)          \
	X(WRITE, SQLITE_IOERR_WRITE)        \
	X(SYNC, SQLITE_IOERR_FSYNC)         \
	X(TRUNCATE, SQLITE_IOERR_TRUNCATE)  \
	X(SIZE, SQLITE_IOERR_FSTAT)         \
	X(LOCK, SQLITE_IOERR_LOCK)          \
	X(UNLOCK, SQLITE_IOERR_UNLOCK)      \
	X(SHM_MAP, SQLITE_IOERR_SHMMAP)     \
	X(SHM_LOCK, SQLITE_IOERR_SHMLOCK)   \
	X(SHM_UNLOCK, SQLITE_IOERR_SHMLOCK) \
	X(DELETE, SQLITE_IOERR_DELETE)      \
	X(ACCESS, SQLITE_IOERR_ACCESS)      \
	X(CLOSE, SQLITE_IOERR_CLOSE)

enum shim_call {
#define SHIM_CALL_ENUM(name, code) SHIM_##name,
	SHIM_CALL_LIST(SHIM_CALL_ENUM)
#undef SHIM_CALL_ENUM
		SHIM_CALLS
};

#define SHIM_SKIP (-1)

/* TEMP: a file without a name, for a journal, a sort or a temporary table. */
enum shim_file { SHIM_MAIN = 1, SHIM_WAL = 2, SHIM_OTHER = 4, SHIM_TEMP = 8 };

struct shim_event {
	enum shim_call call;
	enum shim_file file;
	const char *name; /* NULL: it has none */
	bool after;
	const void *data;     /* WRITE */
	int bytes;            /* READ, WRITE; of SHM_LOCK and SHM_UNLOCK how many locks */
	sqlite3_int64 offset; /* READ, WRITE; of SHM_LOCK and SHM_UNLOCK the first lock */
	int flags;            /* SHM_LOCK, SHM_UNLOCK; of SHM_MAP whether the index has to grow */
};

/* A file that failed with SQLITE_IOERR tells shim_errno when it is asked for SQLITE_FCNTL_LAST_ERRNO, until it is read beyond its end. */
typedef int shim_watcher(const struct shim_event *event);

void shim_install(shim_watcher *watcher);
extern _Atomic int shim_errno; /* EIO unless told otherwise; -1: none is kept */
/* Set: files are not said to be safe beside the bytes that are written. */
extern bool shim_weak_sectors;
/* What files say of their methods: from 2 on they share an index of the log. */
void shim_say_version(int version);
/*
 * Called, unless NULL, in a checkpoint that has just read a header of the log's index that is new to its connection, before it looks how
 * much of that log is copied. (There SQLite lets go of what it has mapped; without a mapping it does so nowhere else.)
 */
extern void (*shim_in_checkpoint)(void);
int shim_natural_code(enum shim_call call);
const char *shim_call_name(enum shim_call call);
/* A write of the frame header that ends a transaction in the WAL. */
bool shim_is_commit_frame(const struct shim_event *event);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * penstock.h - one writer for one SQLite database
 *
 * Every thread of a program submits statements; one writer thread runs whatever is queued as one transaction; each
 * caller sees its own autocommit statement with its own outcome, and nobody meets "database is locked".
 *
 * QUICK START
 *
 *     penstock *db;
 *     if (penstock_open("app.db", NULL, &db) != PENSTOCK_OK)
 *         errx(1, "%s", penstock_error_message());
 *     penstock_value values[] = { penstock_int64(7), penstock_text("seven") };
 *     penstock_submission insert = PENSTOCK_SUBMISSION_INIT;
 *     insert.sql = "INSERT INTO t VALUES(?,?)";
 *     insert.values = values;
 *     insert.value_count = 2;
 *     penstock_handle *handle;
 *     if (penstock_execute(db, &insert, PENSTOCK_DEFAULT_TIMEOUT, &handle) != PENSTOCK_OK)
 *         warnx("%s", penstock_error_message());
 *     penstock_handle_release(handle);
 *     penstock_close(db, PENSTOCK_FOREVER);
 *
 * TERMS
 *   engine      one database file, one ring, one writer thread, one long-lived write connection (`penstock *`)
 *   producer    any thread that submits
 *   submission  one statement with its bound values
 *   group       several statements that happen together or not at all: one submission, with members
 *   ticket      the position a submission got in the ring; ticket order is execution order, and one thread's submissions
 *               keep their order
 *   outcome     what a submission came to: exactly one for an accepted submission, none for a refused one
 *
 * WHICH CALL
 *     to fire and forget                        penstock_submit; penstock_try_submit never waits for room
 *     to wait for the outcome                   penstock_execute
 *     to be called back                         penstock_submission.on_complete
 *     an event loop, thousands in flight        penstock_submission.completions
 *     several statements that happen together   penstock_submit_group
 *     to read, decide and write                 penstock_call
 *     nothing to happen after a deadline        penstock_submission.deadline_usec
 *     to read                                   penstock_reader_open
 *     a backup                                  VACUUM INTO as a submission; or sqlite3_backup from a reader, in one step
 *     to shut down                              penstock_close with a timeout, then penstock_close_with PENSTOCK_GIVE_UP
 *   docs/guide.md in the sources shows an event loop, backups and how to shut down, in C that runs.
 *
 * WHICH CALLS MAY OVERLAP (on one engine)
 *
 *                                     producers   control verbs   close     in a callback (a)   after fork, in the child
 *     submit, try_submit, execute,
 *     submit_group, call                 yes           yes        yes (b)   never blocks (c)       FORKED
 *     statement_register                 yes           yes        yes (b)   yes                    FORKED
 *     handle_wait, flush                 yes           yes        yes (b)   MISUSE                 FORKED
 *     handle_cancel                      yes           yes        yes       yes                    FORKED
 *     start stop pause unpause
 *     pause_all                          yes           yes (d)    yes (b)   MISUSE                 FORKED
 *     reconfigure, reader_open,
 *     on_connect                         yes           yes        yes (b)   MISUSE                 FORKED
 *     completions_open, notify_room      yes           yes        yes (b)   yes                    FORKED
 *     completions_take, _descriptor      yes           yes        yes (e)   yes                    FORKED or -1
 *     completions_close, _abandon        no (f)        yes        yes (e)   yes                    FORKED
 *     close                              yes           yes        no        MISUSE                 FORKED
 *     counters_read, metrics_prometheus,
 *     queue_depth,
 *     queue_capacity, is_stopped,
 *     phase_of, failure                  yes           yes        yes (b)   yes                    FORKED or 0
 *
 *   (a) completion callbacks, the error callback, the log callback, the connect hook and SQL functions, on any engine's
 *       writer thread (or the thread that runs them)
 *   (b) close waits for calls that are inside; once it has begun, one that submits or waits is told STOPPED. Join all producers
 *       before close returns: the pointer is gone then. Close does not see a call that has not yet looked at the engine, such as
 *       a submit that still copies its values
 *   (c) a submit that would wait for room answers FULL; execute is MISUSE
 *   (d) they take turns
 *   (e) also when the engine is closed and gone
 *   (f) no call may have or name the queue meanwhile; other queues do not matter
 *
 * CAVEATS
 *   - A statement may run twice before its outcome is known (a failing neighbour makes the batch replay). SQL functions
 *     with side effects need PENSTOCK_RUN_ALONE; random() and the clock functions give another value on the second run.
 *   - After fork() the child gets PENSTOCK_FORKED from every call and must not use the engine. It may open one of
 *     its own, but for a file that an engine or a reader had open at the fork: there SQLite takes the parent's locks for the
 *     child's, so it is refused (CANTOPEN). vfork and a bare clone() that bypass pthread_atfork are not seen.
 *   - While an engine runs, the database, its -wal and its -shm must stay what their names lead to. When one is removed or
 *     replaced, the database or the -wal emptied, or the -wal cut short, the engine is FAILED (SQLITE_READONLY_DBMOVED) and the
 *     commit under way is UNKNOWN. It looks after each commit that is durable, and after each sync for durable outcomes: no durable
 *     OK is of a file that was lost before. Else it looks once a millisecond: a plain OK of the last millisecond may be void, and
 *     what was cut off of that alone, with another commit behind it, is not noticed. What a removed -wal held is brought into the
 *     database as the engine stops, unless others have written there or (with the -shm gone too) have it open. A -wal that was
 *     replaced or emptied is lost with what it held; of one that was cut short, what was behind the cut. Bytes that others write
 *     into the midst of the files, or cut off the database, are not noticed, and an emptied -shm ends the process (SIGBUS), as in
 *     SQLite itself.
 *   - The program must not open the database through a second copy of SQLite, such as language bindings bring with them. POSIX
 *     locks belong to the process, so each copy takes itself for the only user of the file, and the first one that closes it
 *     removes the -wal. The event SECOND_SQLITE tells at open, and when a file is lost, of each loaded object that exports such a
 *     copy. One that hides its symbols (linked statically without exporting them), one in a dlmopen namespace, and one that is
 *     loaded after open are not found. Nor may the program open and close the database's files by itself (not even to copy them):
 *     any close() drops SQLite's locks.
 *   - Asynchronous thread cancellation is not supported. Deferred cancellation acts after the call returns; an infinite wait is
 *     not cut short.
 *   - Submitting is lock-free while there is room: a producer never waits for another one. It sleeps when the ring is
 *     full, and the control verbs take a mutex among themselves.
 */
#ifndef PENSTOCK_H
#define PENSTOCK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sqlite3.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PENSTOCK_VERSION "0.2.0"
#define PENSTOCK_VERSION_MAJOR 0
#define PENSTOCK_VERSION_MINOR 2
#define PENSTOCK_VERSION_PATCH 0
/* As penstock_version_number(): 2000 for 0.2.0. */
#define PENSTOCK_VERSION_NUMBER (PENSTOCK_VERSION_MAJOR * 1000000 + PENSTOCK_VERSION_MINOR * 1000 + PENSTOCK_VERSION_PATCH)

#if defined(__GNUC__)
#define PENSTOCK_API __attribute__((visibility("default")))
#else
#define PENSTOCK_API
#endif

/*
 * What is inline here is in the library as a function of the same name too, for callers from other languages. GNU's rule for
 * "extern inline" in every C: this definition is never a function of its own.
 */
#if defined(PENSTOCK_INLINE_HERE)
#define PENSTOCK_INLINE PENSTOCK_API
#elif defined(__cplusplus)
#define PENSTOCK_INLINE inline
#else
#define PENSTOCK_INLINE extern inline __attribute__((gnu_inline))
#endif

/* No pointer, as each language writes it: C++ can be asked to warn of NULL. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define PENSTOCK_NO_POINTER nullptr
#else
#define PENSTOCK_NO_POINTER NULL
#endif

/* ---- statuses ---------------------------------------------------------------------------------------------------- */

/*
 * One list for what a call returns and what a submission came to: X(name, number, sentence). The numbers are ABI; later
 * versions use the gaps, by their kinds: below 16 outcomes, below 32 refusals (nothing was accepted), below 48 answers of calls that
 * wait or ask, below 64 what open and the configuration say. So whether a submission was accepted, and what to do about it:
 *
 *     status      accepted?  may it be submitted again?
 *     OK          yes        it is done
 *     ERROR       yes        it had no effect: when what it says is mended
 *     SHUTDOWN    yes        yes: it had no effect, and never will
 *     UNKNOWN     yes        only if doing it twice does no harm: it may be there. Look, once the file is open again
 *     EXPIRED     yes        yes, with a later deadline: it had no effect, and never will
 *     CANCELLED   yes        yes: it had no effect, and never will
 *     TIMEOUT     yes        no: it will still run. Wait on, or ask its handle later
 *     FULL        no         yes, later
 *     PAUSED      no         yes, after the unpause
 *     STOPPED     no         yes, after a start
 *     FAILED      no         yes, after a stop and a start
 *     TOOBIG      no         not as it is
 *     NOMEM       no         yes, when there is memory
 *     MISUSE      no         not as it is: the call is wrong
 *     FORKED      no         in the parent
 */
#define PENSTOCK_STATUS_LIST(X)                                                                                       \
	X(OK, 0, "done; for a submission: committed, at the acknowledgement level asked for")                         \
	X(ERROR, 1, "SQLite refused the statement; it had no effect (or what autocommit would have kept)")            \
	X(SHUTDOWN, 2, "accepted, but the engine was closed or failed before running it; it had no effect")           \
	X(UNKNOWN, 3, "the commit or the sync after it failed; it may or may not be there when the file is reopened") \
	X(EXPIRED, 4, "its deadline passed before it had begun; it had no effect")                                    \
	X(CANCELLED, 5, "it was cancelled before it had begun; it had no effect")                                     \
	X(FULL, 16, "the ring is full, or the completion queue has no place left; nothing was accepted")              \
	X(PAUSED, 17, "the engine is paused")                                                                         \
	X(STOPPED, 18, "the engine is stopped, stopping or closing")                                                  \
	X(FAILED, 19, "the engine failed; penstock_failure gives the reason")                                         \
	X(TOOBIG, 20, "the statement or a value is larger than SQLite can hold")                                      \
	X(NOMEM, 21, "out of memory")                                                                                 \
	X(MISUSE, 22, "the call is not allowed here or its arguments are wrong")                                      \
	X(FORKED, 23, "this is a forked child; the engine belongs to the parent")                                     \
	X(TIMEOUT, 32, "the time is over; what was accepted or begun goes on")                                        \
	X(TOO_LATE, 33, "it has begun, or has its outcome already; nothing was cancelled")                            \
	X(CONFIG, 48, "a configuration key is unknown or its value is out of range")                                  \
	X(CANTOPEN, 49, "the database or its configuration file cannot be opened or used")

typedef enum penstock_status {
#define PENSTOCK_STATUS_ENUM(name, number, sentence) PENSTOCK_##name = number,
	PENSTOCK_STATUS_LIST(PENSTOCK_STATUS_ENUM)
#undef PENSTOCK_STATUS_ENUM
} penstock_status;

/* Every status is below it, those of later versions too. */
#define PENSTOCK_STATUS_LIMIT 64

/* "PENSTOCK_FULL"; "PENSTOCK_?" for a number that is none. Static. Any thread. */
PENSTOCK_API const char *penstock_status_name(int status);
/* The sentence of the list above. Static. Any thread. */
PENSTOCK_API const char *penstock_status_text(int status);
/*
 * What went wrong in the last call on this thread that did not return PENSTOCK_OK: what, where, and what to do. Never
 * NULL. It belongs to the library and lasts until the next failing call on this thread.
 */
PENSTOCK_API const char *penstock_error_message(void);
/* "SQLITE_CONSTRAINT_UNIQUE" for an SQLite primary or extended result code, NULL for an unknown one. Static. */
PENSTOCK_API const char *penstock_code_name(int sqlite_code);

/* The version of the linked library, PENSTOCK_VERSION of its build. Static. */
PENSTOCK_API const char *penstock_version(void);
/* PENSTOCK_VERSION_NUMBER of the linked library's build. Any thread. */
PENSTOCK_API int penstock_version_number(void);
/*
 * Non-zero when the linked SQLite has the WAL-reset bug (sqlite.org/wal.html#walresetbug: 3.7.0 to 3.51.2, except 3.44.6
 * and later 3.44, 3.50.7 and later 3.50). Penstock is not exposed to it as long as nobody but engines checkpoints the file. Of
 * the engines on it, in whatever process, one does at a time: who has a lock on the file DATABASE-penstock. Readers never do.
 * Plain connections must not: PRAGMA wal_autocheckpoint=0. Nor may a connect hook, or a SQL function that calls
 * sqlite3_wal_checkpoint on the engine's connection; PRAGMA wal_checkpoint may be submitted.
 */
PENSTOCK_API int penstock_wal_reset_bug(void);

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* Timeouts are microseconds on the monotonic clock. 0 tries once and does not wait. */
#define PENSTOCK_FOREVER INT64_C(-1)
/* The key results_timeout_ms of the engine (for ever unless set). */
#define PENSTOCK_DEFAULT_TIMEOUT INT64_C(-2)
/*
 * The point in time that is timeout_usec from now, for penstock_submission.deadline_usec; 0, which is none, of a negative timeout.
 * Any thread.
 */
PENSTOCK_API int64_t penstock_deadline(int64_t timeout_usec);

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* The numbers are SQLite's own (SQLITE_INTEGER and so on). */
typedef enum penstock_type {
	PENSTOCK_INTEGER = 1,
	PENSTOCK_FLOAT = 2,
	PENSTOCK_TEXT = 3,
	PENSTOCK_BLOB = 4,
	PENSTOCK_NULL = 5
} penstock_type;

/* A value to bind, or a cell of a result. Text is UTF-8, may hold NUL bytes and is stored as SQLite would store it. */
typedef struct penstock_value {
	penstock_type type;
	int reserved; /* 0 */
	union {
		int64_t integer;
		double real;
		const void *data; /* text and blobs; in a submission: yours again when submit returns */
	} as;
	size_t bytes; /* of text and blobs, without any terminator */
} penstock_value;

PENSTOCK_INLINE penstock_value penstock_null(void)
{
	penstock_value value;
	memset(&value, 0, sizeof value);
	value.type = PENSTOCK_NULL;
	return value;
}

PENSTOCK_INLINE penstock_value penstock_int64(int64_t integer)
{
	penstock_value value;
	memset(&value, 0, sizeof value);
	value.type = PENSTOCK_INTEGER;
	value.as.integer = integer;
	return value;
}

PENSTOCK_INLINE penstock_value penstock_double(double real)
{
	penstock_value value;
	memset(&value, 0, sizeof value);
	value.type = PENSTOCK_FLOAT;
	value.as.real = real;
	return value;
}

PENSTOCK_INLINE penstock_value penstock_text_bytes(const char *text, size_t bytes)
{
	penstock_value value;
	memset(&value, 0, sizeof value);
	value.type = PENSTOCK_TEXT;
	value.as.data = text;
	value.bytes = bytes;
	return value;
}

PENSTOCK_INLINE penstock_value penstock_text(const char *text)
{
	return penstock_text_bytes(text, strlen(text));
}

PENSTOCK_INLINE penstock_value penstock_blob(const void *data, size_t bytes)
{
	penstock_value value;
	memset(&value, 0, sizeof value);
	value.type = PENSTOCK_BLOB;
	value.as.data = data;
	value.bytes = bytes;
	return value;
}

/* ---- outcomes ---------------------------------------------------------------------------------------------------- */

/*
 * What a submission came to. Read-only. From a handle it lives until the handle is released, after close too; in a
 * callback it lives until the callback returns. The library allocates it, so later versions may append fields.
 */
typedef struct penstock_result {
	penstock_status status; /* OK, ERROR, SHUTDOWN, UNKNOWN, EXPIRED or CANCELLED */
	int code;               /* SQLite's primary result code; SQLITE_OK when status is OK */
	int extended_code;      /* SQLite's extended result code */
	int reserved;
	const char *message;       /* SQLite's message or Penstock's; "" when status is OK; never NULL */
	int64_t changes;           /* rows changed by this INSERT, UPDATE or DELETE; 0 for any other statement */
	int64_t last_insert_rowid; /* of this statement; 0 when it inserted nothing */
	uint64_t ticket;
	void *arg; /* penstock_submission.arg */
	/* Rows of RETURNING, SELECT and PRAGMA. Text cells have a terminator behind their bytes. */
	size_t column_count;
	size_t row_count;
	const char *const *column_names; /* column_count of them */
	const penstock_value *cells;     /* row_count * column_count of them, row by row */
	/* Of a group (penstock_submit_group); of anything else 0 and NULL. */
	size_t member_count;
	size_t failed_member; /* the index of the one that failed; member_count: none did, but maybe the COMMIT */
	const struct penstock_result *members; /* for penstock_result_member alone */
} penstock_result;

/* The cell of a row and a column, or NULL when there is no such cell. */
PENSTOCK_INLINE const penstock_value *penstock_result_cell(const penstock_result *result, size_t row, size_t column)
{
	if (row >= result->row_count || column >= result->column_count)
		return PENSTOCK_NO_POINTER;
	return &result->cells[row * result->column_count + column];
}

/*
 * The result of a group's member, by its index from 0; NULL when there is no such member, so for anything but a group. It lives as long
 * as the group's. When the group is OK it has what its statement came to: changes, rowid and rows. When it is not, every member's
 * result is the group's own, since none of them had an effect. Any thread.
 */
PENSTOCK_API const penstock_result *penstock_result_member(const penstock_result *result, size_t index);

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* A key that was not set: the configuration file decides, and then the default. */
#define PENSTOCK_UNSET INT64_MIN

enum penstock_when_full { PENSTOCK_WHEN_FULL_BLOCK = 0, PENSTOCK_WHEN_FULL_FAIL = 1 };
enum penstock_when_away { PENSTOCK_REFUSE = 0, PENSTOCK_HOLD = 1 };
enum penstock_synchronous {
	PENSTOCK_SYNCHRONOUS_OFF = 0,
	PENSTOCK_SYNCHRONOUS_NORMAL = 1,
	PENSTOCK_SYNCHRONOUS_FULL = 2,
	PENSTOCK_SYNCHRONOUS_EXTRA = 3
};

enum penstock_log_level { PENSTOCK_LOG_ERROR = 0, PENSTOCK_LOG_WARNING = 1, PENSTOCK_LOG_INFO = 2 };

/* What the log tells of: X(name, number, level, sentence). The numbers are ABI. */
#define PENSTOCK_EVENT_LIST(X)                                                                                       \
	X(FAILED, 1, ERROR, "the engine has failed")                                                                 \
	X(WAL_RESET_BUG, 2, WARNING, "the linked SQLite has the WAL-reset bug; nobody else may checkpoint the file") \
	X(LOCKED, 3, WARNING, "another process holds the database's lock; the writer keeps trying")                  \
	X(WAL_HELD, 4, WARNING, "a reader keeps the write-ahead log from beginning anew")                            \
	X(FILE_MOVED, 5, WARNING, "the database, its -wal or its -shm was removed or replaced while it was in use")  \
	X(RING_ROUNDED, 6, INFO, "ring_slots was rounded up to a power of two")                                      \
	X(SYNCHRONOUS_RAISED, 7, INFO, "synchronous=normal was raised to full, since overwriting is not safe there") \
	X(SECOND_SQLITE, 8, WARNING, "a second copy of SQLite is in the process, whose locks do not count")          \
	X(CHECKPOINT_NOT_ALLOWED, 9, WARNING, "the checkpoint lock is not to be had, and the write-ahead log grows") \
	X(NO_LEADER, 10, WARNING, "no node of the cluster takes writes; the writer keeps trying")                    \
	X(NO_CHECKPOINT_THREAD, 11, WARNING, "the checkpoint thread cannot be had; the writer checkpoints by itself")

enum penstock_event {
#define PENSTOCK_EVENT_ENUM(name, number, level, sentence) PENSTOCK_EVENT_##name = number,
	PENSTOCK_EVENT_LIST(PENSTOCK_EVENT_ENUM)
#undef PENSTOCK_EVENT_ENUM
};

/* "PENSTOCK_EVENT_LOCKED"; "PENSTOCK_EVENT_?" for a number that is none. Static. Any thread. */
PENSTOCK_API const char *penstock_event_name(int event);

/* Made by PENSTOCK_PRAGMA("cache_size", "-4000"). All of an array have the struct_size of the first. */
typedef struct penstock_pragma {
	size_t struct_size; /* sizeof(penstock_pragma) */
	const char *name;
	const char *value;
} penstock_pragma;

#define PENSTOCK_PRAGMA(name, value)                     \
	{                                                \
		sizeof(penstock_pragma), (name), (value) \
	}

/*
 * Called on every connection the engine opens, right after its pragmas: the writer's (at start and at unpause, on the
 * writer thread) and each reader's (on the thread that asked); not on the checkpoint thread's, which runs no statement. Register functions and collations, set pragmas. Return
 * SQLITE_OK, or an SQLite code to refuse the connection. Neither the hook nor a function may leave a transaction open on the
 * writer's connection: it is refused, or the statement fails and the transaction is rolled back.
 *
 * What the hook installs stays, but on the writer's connection these belong to the engine, and what the hook has put there is
 * replaced: the authorizer, the progress handler, the busy handler (keys busy_timeout_ms, busy_limit_ms), the WAL hook and
 * automatic checkpoints (key wal_bytes_max), and the SQL function total_changes(). Commit, rollback, update,
 * pre-update and trace hooks see the engine's transactions: one for many statements, and those that are rolled back and run
 * again. A commit hook that refuses makes each of them run alone, and fail or not as in autocommit.
 * A commit hook takes the place of the engine's, which then cannot tell an I/O error before a commit from one in it: in a statement
 * alone that writes much it fails the engine.
 * An update hook takes the place of the engine's too: inserts that somebody listens to then run one by one, whatever fuse_rows says.
 *
 * On each connection the pragmas come before anything that reads the file, in their order, so `key` of an encrypted database and
 * page_size or auto_vacuum of a new one have effect where they stand before others (cache_size, synchronous and user_version
 * read the file). Only trusted_schema waits until the schema has been read. What a pragma writes to the database (user_version) is
 * written when the writer connects, at start and at unpause; readers and the checkpoint thread leave that out.
 *
 * Before the pragmas each connection is DEFENSIVE (key defensive) and may load no extensions, neither by load_extension() nor by
 * sqlite3_load_extension. Pragmas and hook may lift either. With the key trusted_schema=0 a function in a trigger, view, index,
 * default or CHECK must be SQLITE_INNOCUOUS, and a virtual table in a trigger or view too, unless the pragma trusted_schema or
 * the hook lifts it. Before SQLite marked its JSON functions innocuous (3.40 has not), tables that use them then fail, and a
 * reader's connection may call the schema malformed once it has changed. The writer goes on.
 */
typedef int penstock_connect_hook(sqlite3 *connection, void *arg);
/* Runs on the writer thread (at close, for submissions that were held: on the closing thread). Must not block for long. */
typedef void penstock_completion(void *arg, const penstock_result *result);
/*
 * Runs on any thread that has something to say, never with a lock held. event: what it is about, for a program; later versions
 * have more of them. message: the same for people, with the particulars; it is the library's, and ends when the call returns.
 */
typedef void penstock_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message);

/*
 * How an engine works. penstock_config_init sets every key to PENSTOCK_UNSET and everything else to zero; set what you
 * need. `penstock config` on the command line, or penstock_config_key_at, lists each key with its default and range.
 * Everything here is copied by penstock_open and yours again when it returns.
 */
typedef struct penstock_config {
	size_t struct_size;             /* sizeof(penstock_config), set by penstock_config_init */
	const char *config_file;        /* INI file to read, or NULL; a key set in this struct wins over the file */
	const penstock_pragma *pragmas; /* run on every connection, in order, after those of the file */
	size_t pragma_count;
	penstock_connect_hook *connect_hook;
	void *connect_arg;
	penstock_completion *on_error; /* outcomes other than OK of submissions without a handle and a callback */
	void *on_error_arg;
	penstock_log *log; /* NULL: silent */
	void *log_arg;

	/* Keys. Later versions have more of them, at the end. */
	int64_t ring_slots;         /* slots of the ring, 2 to 2^24, rounded up to a power of two */
	int64_t ring_bytes;         /* payload bytes outside the slots that may be queued; one larger submission may enter
	                             * when nothing else is, and gets its turn */
	int64_t batch_max;          /* most statements in one transaction */
	int64_t batch_bytes;        /* a transaction ends after this many payload bytes */
	int64_t batch_usec;         /* a transaction ends after this time; 0 for no limit */
	int64_t linger_usec;        /* how long an unfilled batch waits for more; 0: never */
	int64_t when_full;          /* enum penstock_when_full */
	int64_t when_paused;        /* enum penstock_when_away */
	int64_t when_stopped;       /* enum penstock_when_away */
	int64_t autostart;          /* 1: penstock_open starts the writer */
	int64_t results_timeout_ms; /* PENSTOCK_DEFAULT_TIMEOUT; -1: for ever */
	int64_t result_bytes_max;   /* most bytes of rows one statement may return to its caller */
	int64_t synchronous;        /* enum penstock_synchronous, of the writer's connection */
	int64_t busy_timeout_ms;    /* how long one attempt waits for another process's lock (and every reader's) */
	int64_t busy_limit_ms;      /* how long the writer keeps trying before everything accepted by then fails with
	                             * SQLITE_BUSY, or open, start and unpause with CANTOPEN; 0: for ever */
	int64_t wal_bytes_max;      /* the writer keeps the WAL below this as long as readers let it */
	int64_t statement_cache;    /* prepared statements kept for submissions by SQL text */
	int64_t writer_cpu;         /* processor to pin the writer thread to; -1: any */
	int64_t spin_usec;          /* how long the writer looks for work, and a lone waiter for its outcome, before they
	                             * sleep; where that does not pay they do it once in 64 times. 0: never */
	int64_t fuse_rows;          /* most submissions of one plain INSERT that run as one INSERT of many rows; 1: none */
	int64_t defensive;          /* 1: SQLITE_DBCONFIG_DEFENSIVE on every connection */
	int64_t follow_symlinks;    /* 1: a path that is a symbolic link leads to its file; 0: it is refused */
	int64_t shared_folder; /* 1: the database may lie in a folder that other users can write to; 0: it is refused there */
	int64_t statement_timeout_ms; /* how long a statement may run, not counting its waiting for locks, before it is
	                             * interrupted and fails with SQLITE_INTERRUPT; 0: for ever. One that runs more than once
	                             * has it each time; a SQL function is not cut short */
	int64_t sql_bytes_max;      /* longest SQL text (SQLITE_LIMIT_SQL_LENGTH), on every connection; a database with a longer
	                             * CREATE cannot be used */
	int64_t value_bytes_max;    /* longest string, blob or row (SQLITE_LIMIT_LENGTH), on every connection; a longer one that
	                             * is there cannot be read */
	int64_t checkpoint_wait_ms; /* longest that the writer once waits for readers, when they keep the WAL from beginning
	                             * anew beyond wal_bytes_max; a fifth of the time at most. 0: never */
	int64_t trusted_schema; /* 1: as SQLite's default; 0: nothing in the schema may call a function, or use a virtual table,
	                             * that is not innocuous. Advised for files from strangers */
	int64_t turns;          /* 1: engines of several processes take turns at the file; 0: SQLite's lock alone decides */
	int64_t leave_wal; /* 1: pause, stop and close leave the -wal to whoever opens the database next, through SQLite, which finds
	                             * all of it, as after a crash; they are as short as that. The database without its -wal is then not
	                             * whole. 0: the content of the -wal is brought into the database first */
	int64_t checkpoint_thread; /* 1 (the default): a thread of its own brings the -wal into the database while the writer goes on; 0:
	                             * the writer does it between two batches */
} penstock_config;

/* Any thread. */
PENSTOCK_API void penstock_config_init_size(penstock_config *config, size_t struct_size);
PENSTOCK_INLINE void penstock_config_init(penstock_config *config)
{
	penstock_config_init_size(config, sizeof(penstock_config));
}

/*
 * Sets one key from text, as the configuration file would. CONFIG: unknown key, or a value that is not in its range (the
 * message names both). Any thread, one at a time per struct.
 */
PENSTOCK_API int penstock_config_set(penstock_config *config, const char *key, const char *value);

typedef struct penstock_config_key {
	const char *name;
	const char *default_text;
	const char *range_text;
	const char *help;
	int live; /* penstock_reconfigure can change it */
	int reserved;
} penstock_config_key;

/* The key at an index from 0, NULL behind the last. Static. Any thread. */
PENSTOCK_API const penstock_config_key *penstock_config_key_at(size_t index);

/* ---- the engine -------------------------------------------------------------------------------------------------- */

typedef struct penstock penstock;

typedef enum penstock_phase {
	PENSTOCK_PHASE_STOPPED = 0,
	PENSTOCK_PHASE_RUNNING = 1,
	PENSTOCK_PHASE_PAUSING = 2,
	PENSTOCK_PHASE_PAUSED = 3,
	PENSTOCK_PHASE_STOPPING = 4,
	PENSTOCK_PHASE_FAILED = 5
} penstock_phase;

/*
 * Opens an engine on a database file, which is created (for this user alone: mode 0600) when missing and switched to
 * WAL, and starts the writer unless autostart is 0. config may be NULL for the defaults. *db is the caller's, to be
 * closed with penstock_close; NULL on error. Errors: CANTOPEN (missing folder, no permission, a symbolic link, a
 * folder that others can write to, not a database, no WAL possible, an SQLite for one thread only, open at the fork of
 * this child, configuration file missing), CONFIG (unknown or out-of-range key, with file and line), NOMEM, MISUSE (NULL
 * path, unknown struct_size, called in a callback). Any thread.
 *
 * A path that begins with "rqlite://" is that of a cluster (experimental, and only in a library that was built with it): see
 * docs/cluster.md in the sources for the path and for what changes. CANTOPEN then has what a node said, or why none could be asked.
 */
PENSTOCK_API int penstock_open(const char *path, const penstock_config *config, penstock **db);
/*
 * Stops, gives SHUTDOWN to what is still held in the ring, frees the engine. Handles, their results and completion queues stay;
 * registered statements are gone. Once it has begun, other threads' calls answer STOPPED; it waits for those that are inside.
 * No call may begin after it has returned OK. TIMEOUT: the backlog, or a call of another thread (a reader_open in its hook),
 * was not done in time. The engine is still there, STOPPING or STOPPED as after a stop: call again, or penstock_close_with and
 * PENSTOCK_GIVE_UP. MISUSE in a callback, FORKED in a child (which leaves the engine alone). NULL is OK.
 */
PENSTOCK_API int penstock_close(penstock *db, int64_t timeout_usec);
/* penstock_close with flags: those of penstock_stop_with. */
PENSTOCK_API int penstock_close_with(penstock *db, int64_t timeout_usec, unsigned flags);

/*
 * Brings up the writer thread and its connection. top, ps and debuggers show the thread as "ps2:app.db": the second engine of
 * the process, and the beginning of the file's name. Starting a running or paused engine changes nothing, says so in
 * penstock_error_message, and is OK. Waits for a stop under way. Errors: CANTOPEN (also when the file is gone: only
 * penstock_open creates one), TIMEOUT, FAILED (stop first), STOPPED (closing), NOMEM, MISUSE, FORKED. Any thread but in a
 * callback.
 */
PENSTOCK_API int penstock_start(penstock *db, int64_t timeout_usec);
/*
 * Takes no new work (STOPPED; or holds it, key when_stopped), waits until the backlog is done, joins the writer and
 * closes the connection. Works from every state; a pause in effect ends, a pauser that waits gets STOPPED. What a pause
 * holds in the ring stays there for the next start. TIMEOUT: still STOPPING; call again to wait on. Stopping a stopped
 * engine is OK. MISUSE, FORKED. Any thread but in a callback.
 */
PENSTOCK_API int penstock_stop(penstock *db, int64_t timeout_usec);
/* penstock_stop_with and penstock_close_with: give the backlog up. */
#define PENSTOCK_GIVE_UP 1u
/*
 * penstock_stop with flags. With PENSTOCK_GIVE_UP it does not wait for the backlog: a transaction under way is committed with
 * what has run, and what has not begun, or waits for another process's lock, gets SHUTDOWN, without effect. So it takes as long
 * as one statement and a commit. Also to be called when a stop without it is slow (TIMEOUT, or still waiting on another
 * thread). What a pause or an earlier stop holds stays held. An unknown flag: MISUSE.
 */
PENSTOCK_API int penstock_stop_with(penstock *db, int64_t timeout_usec, unsigned flags);
/*
 * Waits until everything accepted before has its outcome, then closes the writer's connection: until unpause the engine
 * does not touch the file. As a rule all of it is in the database; with leave_wal, a reader that is open, engines of other processes or
 * a checkpoint lock that is not to be had (checkpoints_not_allowed) some of it is in the -wal. Exclusive: a second pauser waits its turn,
 * in order; a thread that has paused and pauses again gets MISUSE. TIMEOUT: the engine runs on. STOPPED, FAILED, MISUSE, FORKED. Any
 * thread but in a callback.
 */
PENSTOCK_API int penstock_pause(penstock *db, int64_t timeout_usec);
/*
 * Pauses this engine, and all others on the file, in every process: none of them touches it until penstock_unpause, a stop or close
 * of this engine, its failure, or the end of this process, however that comes. Their connections stay open: the file may be copied
 * together with its -wal, which has what they wrote last, and changed by SQLite, but not be replaced. They accept submissions meanwhile,
 * which wait; busy_limit_ms does not count that time, a deadline does. One that opens or starts waits too, for busy_limit_ms.
 * Connections that are no engine's writer, readers among them, know nothing of it.
 *
 * As penstock_pause; besides, it waits until the others have done their transaction, its delivery, and any checkpoint. CANTOPEN: engines of other
 * processes cannot be paused there, since the file DATABASE-penstock cannot be used, or none of its locks (Linux's OFD locks) is to be
 * had. After an error the engine runs on. Who removes that file meanwhile ends the pause for the others. Any thread but in a
 * callback.
 */
PENSTOCK_API int penstock_pause_all(penstock *db, int64_t timeout_usec);
/*
 * Reconnects and runs on. Any thread may end a pause. MISUSE when not paused; CANTOPEN when the file cannot be opened any
 * more (still PAUSED, but a pause of all engines is over: mend it and call again); TIMEOUT (still connecting; the engine runs when it is
 * done, however long another process's lock lasts, or is still PAUSED as behind CANTOPEN); STOPPED, FORKED.
 */
PENSTOCK_API int penstock_unpause(penstock *db, int64_t timeout_usec);
/* 1 exactly when no writer thread runs (in a forked child: 1). Any thread. */
PENSTOCK_API int penstock_is_stopped(const penstock *db);
PENSTOCK_API penstock_phase penstock_phase_of(const penstock *db);
/* "RUNNING"; static. */
PENSTOCK_API const char *penstock_phase_name(penstock_phase phase);
/*
 * Why the engine FAILED (an I/O error of the database's own files in a commit, a sync or a checkpoint; the file gone; no memory for a
 * ROLLBACK): copies the reason into text (NUL-terminated, cut to bytes) and returns SQLite's extended code,
 * or returns 0 and "" when it has not failed since the last start. text may be NULL. Any thread.
 */
PENSTOCK_API int penstock_failure(const penstock *db, char *text, size_t bytes);
/*
 * Changes the keys set in config while running; the others stay. Only keys marked live (see penstock_config_key_at):
 * CONFIG for another key or one out of range, and then nothing is changed. The next batch follows the new limits.
 * Also while it stops or another thread closes it. NOMEM, STOPPED (closed), MISUSE, FORKED. Any thread but in a callback.
 */
PENSTOCK_API int penstock_reconfigure(penstock *db, const penstock_config *config);

/* ---- submitting -------------------------------------------------------------------------------------------------- */

/* A statement registered once and shared by all threads: no text travels, nothing is looked up. Lives until close. */
typedef struct penstock_statement penstock_statement;
/* One submission's claim on its outcome. */
typedef struct penstock_handle penstock_handle;
/* Where the handles of finished submissions arrive, for an event loop. */
typedef struct penstock_completions penstock_completions;

/*
 * Registers SQL text (copied; sql_bytes negative when NUL-terminated). The same text gives the same statement. It is prepared
 * by the writer when first run, so errors in it are outcomes of its submissions. TOOBIG, NOMEM, MISUSE, FORKED.
 */
PENSTOCK_API int penstock_statement_register(penstock *db, const char *sql, int64_t sql_bytes, penstock_statement **statement);

typedef enum penstock_ack {
	PENSTOCK_ACK_DEFAULT =
		0,             /* COMMITTED when somebody listens (a handle, on_complete, a completion queue), otherwise NONE */
	PENSTOCK_ACK_NONE = 1, /* fire and forget: failures are counted and handed to on_error; MISUSE when somebody listens */
	PENSTOCK_ACK_COMMITTED = 2, /* OK means visible to readers; with synchronous FULL or EXTRA also durable */
	PENSTOCK_ACK_DURABLE = 3    /* OK means it survives power loss; refused with MISUSE when synchronous is OFF */
} penstock_ack;

/*
 * penstock_submission.flags: runs between batches, in autocommit, once. It waits for another process's lock before it begins; a lock
 * that keeps only its commit (a reader's, of an attached database without WAL) fails it.
 */
#define PENSTOCK_RUN_ALONE 1u
/* penstock_submission.flags: penstock_handle_cancel may be called. It needs a handle: MISUSE without one. */
#define PENSTOCK_CANCELLABLE 2u

/* Begin with PENSTOCK_SUBMISSION_INIT, or with penstock_submission_init from other languages. */
typedef struct penstock_submission {
	size_t struct_size;                  /* sizeof(penstock_submission) */
	const char *sql;                     /* one statement; NULL when `statement` is set */
	int64_t sql_bytes;                   /* its length; negative: NUL-terminated */
	const penstock_statement *statement; /* of this engine */
	const penstock_value *values;        /* value_count of them, for ?1, ?2, ... */
	size_t value_count;                  /* must be the number of parameters (else an ERROR outcome: SQLITE_RANGE) */
	penstock_ack ack;
	unsigned flags;
	penstock_completion *on_complete; /* or NULL; not together with a handle */
	void *arg;                        /* given to on_complete, and in the result */
	penstock_completions
		*completions; /* of this engine: where its handle arrives; or NULL. Not together with on_complete */
	/*
	 * What has not begun by then comes to EXPIRED, without effect. In microseconds of the monotonic clock, as penstock_deadline
	 * gives it; 0: none. With a deadline in the past it is still accepted, and EXPIRED. It takes 8 bytes of the slot.
	 */
	int64_t deadline_usec;
} penstock_submission;

/* Nothing to run yet, and a text that ends with NUL: penstock_submission insert = PENSTOCK_SUBMISSION_INIT; insert.sql = ... */
#define PENSTOCK_SUBMISSION_INIT                                                                                   \
	{                                                                                                          \
		sizeof(penstock_submission), PENSTOCK_NO_POINTER, -1, PENSTOCK_NO_POINTER, PENSTOCK_NO_POINTER, 0, \
			PENSTOCK_ACK_DEFAULT, 0, PENSTOCK_NO_POINTER, PENSTOCK_NO_POINTER, PENSTOCK_NO_POINTER, 0  \
	}
/* The same for the struct of this size. Any thread. */
PENSTOCK_API void penstock_submission_init_size(penstock_submission *submission, size_t struct_size);
PENSTOCK_INLINE void penstock_submission_init(penstock_submission *submission)
{
	penstock_submission_init_size(submission, sizeof(penstock_submission));
}

/*
 * Submits one statement; everything the submission points to is yours again when this returns. handle may be NULL (fire
 * and forget, or on_complete); otherwise *handle is the caller's, to be released, and NULL when refused. Waits for room
 * until the timeout (when_full=fail: does not wait). OK means accepted: exactly one outcome will follow. Refused: FULL (no room
 * before the timeout; at once with when_full=fail, in a callback, or when the completion queue it names has no place left), PAUSED,
 * STOPPED, FAILED, TOOBIG, NOMEM, MISUSE, FORKED.
 * When everything fits the slot (80 bytes of values, strings with 5 bytes and numbers with 9 each; a deadline takes 8) it allocates
 * nothing, and makes no system call unless the writer sleeps. Waiting for room ends at the timeout, not at the deadline. Any thread.
 */
PENSTOCK_API int penstock_submit(penstock *db, const penstock_submission *submission, int64_t timeout_usec,
                                 penstock_handle **handle);
/* penstock_submit with a timeout of 0. */
PENSTOCK_API int penstock_try_submit(penstock *db, const penstock_submission *submission, penstock_handle **handle);
/*
 * Submits and waits, both before one deadline. Returns the outcome's status, with its message in penstock_error_message,
 * or a refusal. TIMEOUT means that it was accepted and will still run; FULL, that it never entered, since there was no room before the
 * deadline. *handle is set whenever it was accepted (release it). handle may be NULL when the result is not wanted. It waits by itself:
 * MISUSE with on_complete or a completion queue, and with PENSTOCK_CANCELLABLE when handle is NULL.
 */
PENSTOCK_API int penstock_execute(penstock *db, const penstock_submission *submission, int64_t timeout_usec,
                                  penstock_handle **handle);

/* Most members of a group. */
#define PENSTOCK_GROUP_MAX 65536

/*
 * Submits a group: `count` statements that happen together or not at all, like BEGIN IMMEDIATE, the statements and COMMIT on a connection
 * that rolls back at the first error. It has one ticket, one place in the ring and one outcome.
 *
 * members: sql or statement, and values, of each; everything else stays as PENSTOCK_SUBMISSION_INIT sets it. All have the
 * struct_size of the first. whole: how the group is submitted (ack, flags, on_complete or completions, arg, deadline_usec),
 * without sql, statement and values; NULL: the defaults. All of it is yours again when this returns. With PENSTOCK_RUN_ALONE no
 * member ever runs twice. Waiting, the timeout and handle are as for penstock_submit.
 *
 * The outcome. OK: all are committed. changes is the sum of the members', last_insert_rowid the connection's after the last
 * one, and there are no rows; penstock_result_member has the result of each. ERROR: nothing has happened. failed_member tells
 * which one failed, and code and message are its own; the members after it did not run. changes and last_insert_rowid are 0. When no member failed, failed_member is
 * member_count: the COMMIT failed (a deferred foreign key), or the lock was not to be had. Every other outcome is that of the
 * whole.
 *
 * Inside, each member sees what those before it did, and changes() and last_insert_rowid() go on from one to the next: a member that
 * inserts nothing has the rowid of the one before. The first finds last_insert_rowid() at 0. result_bytes_max is for the rows of all members
 * together, and each counts for batch_max. The group takes the write lock first, also when it only reads.
 *
 * A member that cannot be in a transaction (VACUUM, PRAGMA journal_mode or synchronous with a value) fails. So does PRAGMA foreign_keys
 * with a value, which SQLite would ignore there, and BEGIN, COMMIT and the like. A SQL function that commits or rolls back is refused.
 * ATTACH, DETACH and other changes of the connection stay when the group fails, as on a plain connection.
 *
 * Refused: as penstock_submit. Besides, MISUSE: no members, or a member with an ack, flag, listener or arg of its own. TOOBIG: more than
 * PENSTOCK_GROUP_MAX members, or one of them is too big. The message names the member. Any thread.
 */
PENSTOCK_API int penstock_submit_group(penstock *db, const penstock_submission *members, size_t count,
                                       const penstock_submission *whole, int64_t timeout_usec, penstock_handle **handle);

/*
 * Waits for the outcome: its status (OK, ERROR, SHUTDOWN, UNKNOWN, EXPIRED, CANCELLED), or TIMEOUT, which neither cancels nor loses the
 * submission; wait again as often as you like, from several threads at once. PENSTOCK_DEFAULT_TIMEOUT is that of the
 * engine at the time of the submit. MISUSE in a callback when it would have to wait; FORKED.
 */
PENSTOCK_API int penstock_handle_wait(penstock_handle *handle, int64_t timeout_usec);
/* The outcome, or NULL while there is none. Lives until the handle is released. Any thread. */
PENSTOCK_API const penstock_result *penstock_handle_result(const penstock_handle *handle);
/* The submission's ticket, known from the submit on; 0 of NULL. Any thread. */
PENSTOCK_API uint64_t penstock_handle_ticket(const penstock_handle *handle);
/*
 * Cancels what has not begun. OK: its outcome is CANCELLED, or will be, and it has no effect; to cancel twice is OK too.
 * TOO_LATE: it has begun, or has another outcome. Only statement_timeout_ms ends a statement that runs. MISUSE: NULL, or
 * submitted without PENSTOCK_CANCELLABLE. FORKED.
 *
 * A submission begins at its turn, once the write lock is held. It begins once, however often it runs. The deadline is looked
 * at then too. So EXPIRED or CANCELLED comes, and the slot is free, when everything before it is done. What a pause or a stop
 * holds has its turn when the engine runs on or closes.
 *
 * While the writer waits for another process's lock, it looks at all that is queued. Then the outcome comes at once, maybe
 * before that of an earlier submission. A statement that must run alone begins when the lock is free: if another process takes
 * the lock at that very moment, the statement has begun. One that writes to an attached database begins once it has the locks of all
 * that it writes. VACUUM, and a PRAGMA that runs alone, begin before they wait.
 *
 * Never waits. Engine closed or not. Any thread, until the handle is released.
 */
PENSTOCK_API int penstock_handle_cancel(penstock_handle *handle);
/*
 * Releases a handle, before or after the outcome, engine closed or not. Once for each time that it was given: by submit, and
 * again by a completion queue. No thread may wait on the handle by the claim that is released. NULL is fine.
 */
PENSTOCK_API void penstock_handle_release(penstock_handle *handle);

/*
 * Waits until every submission accepted before this call has its outcome. OK, TIMEOUT, STOPPED (closed meanwhile),
 * MISUSE in a callback, FORKED. Held submissions of a stopped or paused engine have no outcome until it runs.
 */
PENSTOCK_API int penstock_flush(penstock *db, int64_t timeout_usec);
/* Accepted submissions without an outcome yet (0 in a forked child), and how many slots there are. Any thread. */
PENSTOCK_API uint64_t penstock_queue_depth(const penstock *db);
PENSTOCK_API uint64_t penstock_queue_capacity(const penstock *db);

/* ---- completion queues ------------------------------------------------------------------------------------------- */

/*
 * For event loops (poll, epoll, libuv, asyncio): a submission names a queue in place of a callback. When it has its outcome, its
 * handle arrives in the queue, and the queue's descriptor is readable. A loop may watch several queues; a queue is of one engine, and
 * may be named by any number of threads.
 *
 *     penstock_completions *queue;
 *     penstock_completions_open(db, 4096, &queue);
 *     ... add penstock_completions_descriptor(queue) to the loop, to be told when it is readable
 *     insert.completions = queue;
 *     insert.arg = request;
 *     penstock_try_submit(db, &insert, NULL);
 *     ... when it is readable:
 *     penstock_handle *handles[64];
 *     size_t count;
 *     penstock_completions_take(queue, handles, 64, &count);
 *     for (size_t i = 0; i < count; i++) {
 *         const penstock_result *result = penstock_handle_result(handles[i]);
 *         answer(result->arg, result->status);
 *         penstock_handle_release(handles[i]);
 *     }
 *
 * Each accepted submission arrives exactly once, whatever its outcome, in the order of the tickets within one level of
 * acknowledgement. Only what expires or is cancelled while the writer waits for another process's lock arrives at once, before those of
 * earlier tickets that wait for the lock; the others keep their order. Closing the
 * engine loses none: what it gives SHUTDOWN arrives too, and can be taken when the engine is gone.
 *
 * A submission that names a queue needs no handle from submit. If you ask for one (to wait on it, or to cancel), it must be
 * released besides the one that arrives, in any order.
 */

/*
 * Opens a queue for at most `most` submissions (1 to 2^30) that are accepted and not yet taken. Beyond it submit answers FULL
 * at once, whatever its timeout. *queue is the caller's, to be closed; NULL on error. It takes two descriptors. STOPPED
 * (closed), NOMEM (or no descriptor left: the message tells), MISUSE, FORKED. Any thread.
 */
PENSTOCK_API int penstock_completions_open(penstock *db, size_t most, penstock_completions **queue);
/*
 * The descriptor: readable whenever there is something to take, or there may be room and somebody asked. Seldom, a take then
 * finds nothing. -1 of NULL and in a forked child. It belongs to the queue and lives until close or abandon: take it out of the
 * loop before. Only poll it: penstock_completions_take reads it. Any thread.
 */
PENSTOCK_API int penstock_completions_descriptor(const penstock_completions *queue);
/*
 * Takes up to `room` handles that have their outcome, the first ones first; *count says how many, 0 if none have. They are the
 * caller's, to be released; penstock_handle_result and penstock_handle_wait answer at once. Afterwards the descriptor is
 * readable only if something remains. Never waits. MISUSE (NULL), FORKED (and the parent's wake-up is left alone). Any thread,
 * several at once, before and after the engine is closed.
 */
PENSTOCK_API int penstock_completions_take(penstock_completions *queue, penstock_handle **handles, size_t room, size_t *count);
/*
 * For a loop that got FULL: asks to be told once. The descriptor becomes readable when there may be room in the ring or in the
 * queue, or when the engine's state changes. A thread is not told of room that its own take has made.
 *
 * The order: ask, submit once more, and go back to sleep only if that is FULL too. No turn is promised: when the room is gone
 * again, ask again. Asking twice is like once. STOPPED (closed), MISUSE (NULL, or the queue is another engine's), FORKED. Any
 * thread.
 */
PENSTOCK_API int penstock_completions_notify_room(penstock *db, penstock_completions *queue);
/*
 * Closes a queue of which everything has been taken, before or after its engine is closed. MISUSE while submissions are
 * accepted and not taken (the message has their number); the queue is still open then, so take them, or abandon it. No thread
 * may use or name the queue meanwhile or afterwards. Handles that were taken stay. NULL is OK. FORKED.
 */
PENSTOCK_API int penstock_completions_close(penstock_completions *queue);
/*
 * Closes a queue whatever is outstanding, for a loop that ends first. What was accepted runs all the same; its handles are
 * released as they come. OK, or FORKED. Otherwise as penstock_completions_close.
 */
PENSTOCK_API int penstock_completions_abandon(penstock_completions *queue);

/* ---- calls on the writer ----------------------------------------------------------------------------------------- */

/*
 * A function that reads, decides and writes. It runs on the writer thread with the write connection, in a transaction that the
 * engine begins (BEGIN IMMEDIATE) and ends. SQLITE_OK commits. Anything else, SQLITE_DONE too, rolls back and is the outcome.
 * *message is NULL; set it to what went wrong, by sqlite3_mprintf: the engine frees it.
 *
 * It runs once, alone between batches. It does not begin while another process holds the lock, and is not repeated when the
 * commit fails. statement_timeout_ms is for all of it together.
 *
 * It may do what a transaction undoes, with SAVEPOINTs too. What would end the transaction or outlive it is refused
 * (SQLITE_AUTH): BEGIN, COMMIT, ROLLBACK, ATTACH, DETACH, a CREATE or DROP in temp, and pragmas that set something, except
 * user_version, application_id and defer_foreign_keys.
 *
 * Afterwards the engine puts back what the function has set by sqlite3_db_config or sqlite3_limit, and the handlers that are
 * the engine's (penstock_connect_hook). Functions and other hooks stay until the connection is closed, but the next connection
 * does not have them: install them in the connect hook.
 *
 * The outcome is an ERROR with SQLITE_MISUSE, and rolled back, when it returns SQLITE_OK but
 *   - a statement is left open, also one that a SQL function prepared meanwhile to keep it (the connect hook may prepare such):
 *     it is finalized, and must not be used any more;
 *   - its transaction has ended, by an OR ROLLBACK whose failure it swallowed, or RAISE(ROLLBACK): nothing that it wrote before
 *     or after that is committed;
 *   - it called what waits for an engine (all that is MISUSE in a callback);
 *   - it replaced the authorizer, and left what that refuses: an attached database, another schema of temp, query_only, locking_mode. All
 *     of it is put back; what it detached is not.
 * It may submit, as a callback may. It must not close the connection, keep it, or leave by longjmp or an exception: an
 * exception ends the process. Everybody waits as long as it runs.
 */
typedef int penstock_function(sqlite3 *connection, void *arg, char **message);
/*
 * Submits a call of a function. arg is the function's, and must last until the outcome. whole: how the call is submitted (ack,
 * flags, on_complete or completions, its own arg, deadline_usec), without sql, statement and values; NULL: the defaults. All
 * else as penstock_submit: handle, timeout and what is refused; and MISUSE for a NULL function.
 *
 * The result has no rows. Its changes are the rows that the function changed, those of triggers and foreign key actions
 * included. Its last_insert_rowid is that of the function's last INSERT. Both are 0 when it is rolled back. Within the function
 * changes() and last_insert_rowid() begin with 0. Any thread, also in a callback.
 */
PENSTOCK_API int penstock_call(penstock *db, penstock_function *function, void *arg, const penstock_submission *whole,
                               int64_t timeout_usec, penstock_handle **handle);
/*
 * Adds a connect hook. It runs on the writer's connection, at its turn among the submissions, and on every connection that is
 * opened later, a reader's too, after the hooks that were there before. Readers that are open already do not get it. Waits
 * until it has run, for results_timeout_ms at most.
 *
 * While the writer has no connection (before the first start, stopped, paused) the hook does not run yet. It is kept for the
 * next connection; if it refuses that one, start, unpause or reader_open says so. While the engine starts, pauses or stops,
 * this waits.
 *
 * OK: kept. ERROR: it returned another code than SQLITE_OK, which the message names, or left a transaction open, which is rolled
 * back; it is not kept, but what it has installed by then stays until the connection is closed. TIMEOUT: it will still run, at its turn,
 * and is then kept or not. SHUTDOWN: the engine was closed or failed before that. Not kept: FULL (no room in time), PAUSED and STOPPED
 * (still pausing, stopping or starting when the time was over; or closing), FAILED, NOMEM, MISUSE (NULL, or in a callback), FORKED.
 * PRAGMA journal_mode must stay WAL: another mode is refused there (SQLITE_AUTH), and the outcome is an ERROR. Any thread but in a callback.
 */
PENSTOCK_API int penstock_on_connect(penstock *db, penstock_connect_hook *hook, void *arg);

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/*
 * Opens a read-only connection for the calling thread: query_only, busy timeout, the configured pragmas, the connect
 * hook, never checkpoints. It is the caller's: close it with sqlite3_close. One thread at a time may use it. CANTOPEN,
 * PAUSED (the file belongs to the pauser), NOMEM, STOPPED (closing), MISUSE, FORKED.
 */
PENSTOCK_API int penstock_reader_open(penstock *db, sqlite3 **connection);

/* ---- counters ---------------------------------------------------------------------------------------------------- */

/*
 * A log-linear histogram, eight buckets to a power of two (so a bucket is at most 12.5 % wide), as HdrHistogram does it:
 * values up to 2^40, which as nanoseconds are 18 minutes; larger ones count in the last bucket.
 */
#define PENSTOCK_HISTOGRAM_BUCKETS 304
typedef struct penstock_histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t max;
	uint64_t buckets[PENSTOCK_HISTOGRAM_BUCKETS];
} penstock_histogram;

/* The smallest value that the bucket counts. */
PENSTOCK_API uint64_t penstock_histogram_floor(size_t bucket);
/* The value below or at which `fraction` (0 to 1) of the counted values lie, to the width of a bucket; 0 when empty or NULL. */
PENSTOCK_API uint64_t penstock_histogram_quantile(const penstock_histogram *histogram, double fraction);

/*
 * Everything since open, as one snapshot: in it, accepted = committed + failed + unknown + shutdown + expired + cancelled +
 * queue_depth. Every field is 64 bits wide.
 */
typedef struct penstock_counters {
	uint64_t struct_size; /* sizeof(penstock_counters), set by the caller */
	uint64_t accepted;
	uint64_t refused[PENSTOCK_STATUS_LIMIT]; /* by penstock_status: FULL, PAUSED, ... */
	uint64_t committed;                      /* outcomes OK */
	uint64_t failed;                         /* outcomes ERROR */
	uint64_t unknown;                        /* outcomes UNKNOWN */
	uint64_t shutdown;                       /* outcomes SHUTDOWN */
	uint64_t batches;                        /* transactions committed, statements alone included */
	uint64_t replayed_batches;               /* transactions rolled back and run again without the failing one */
	uint64_t replayed_statements;            /* statements in them that ran again */
	uint64_t alone;                          /* statements that had to run alone, in autocommit; calls; late hooks */
	uint64_t fused;                          /* statements that ran as rows of one INSERT */
	uint64_t queue_depth;
	uint64_t queue_depth_max; /* largest depth the writer found when it began a batch */
	uint64_t queue_bytes;     /* payload bytes outside the slots */
	uint64_t full_events;     /* submits that found the ring full */
	uint64_t full_nsec;       /* time that producers spent waiting for room, summed */
	uint64_t parks;           /* times the writer went to sleep */
	uint64_t wakes;           /* times a producer or a verb woke it */
	uint64_t busy_retries;    /* attempts that met another process's lock */
	uint64_t wal_bytes;       /* size of the WAL's content after the last commit or checkpoint */
	uint64_t wal_bytes_peak;
	uint64_t checkpoints;
	uint64_t checkpoint_nsec;         /* summed */
	uint64_t checkpoints_blocked;     /* checkpoints that a reader kept from finishing */
	uint64_t wal_syncs;               /* syncs of the WAL for durable outcomes under synchronous=NORMAL */
	uint64_t schema_reprepares;       /* statements SQLite prepared again because the schema changed */
	penstock_histogram batch_size;    /* statements */
	penstock_histogram commit_nsec;   /* COMMIT, with its sync */
	penstock_histogram outcome_nsec;  /* from submit to outcome: every submission with a listener, and one in 64 of the
	                                  * others */
	uint64_t expired;                 /* outcomes EXPIRED */
	uint64_t cancelled;               /* outcomes CANCELLED */
	uint64_t checkpoints_not_allowed; /* that were due, while another engine had the checkpoint lock or SQLite's */
	uint64_t turns;           /* taken: the engine's among those of other processes; each for one transaction or several */
	uint64_t turns_waited;    /* turns that were waited for */
	uint64_t turns_wait_nsec; /* summed */
	uint64_t turns_skipped;   /* others' turns that this engine ended since nothing had moved for 20 ms */
	uint64_t turns_succeeded; /* others' turns that it ended since their process was dead, or they had been given up */
	uint64_t turns_missed;    /* transactions without one: given up, or there was no side file to take turns by */
	uint64_t checkpoints_beside;   /* of the checkpoints, those that the checkpoint thread made beside the writer */
	uint64_t checkpoint_wait_nsec; /* time that the writer waited for those, summed */
} penstock_counters;

/*
 * Fills *counters, up to the struct_size set by the caller; what the library does not have is zeroed. Cheap: a copy of a few
 * kilobytes, no lock; it never delays the writer, nor waits for it. MISUSE, FORKED. Any thread.
 */
PENSTOCK_API int penstock_counters_read(const penstock *db, penstock_counters *counters);

/*
 * Writes the counters, phases and capacities of `count` engines as one text for Prometheus (text/plain; version=0.0.4;
 * charset=utf-8): HELP and TYPE once for each metric, a sample for each engine with the label engine="NAME". Give all engines
 * in one call: two such texts put together are not valid.
 *
 * names: `count` of them, in UTF-8, no two alike (a byte that is no UTF-8 becomes U+FFFD). A name that is NULL is the path of
 * the database; so are all when names is NULL.
 *
 * text: room for `bytes`. It gets the text and a NUL; *length counts the bytes without the NUL. With text NULL, *length is the
 * room to have, some twenty thousand bytes for each engine. It stays enough for these engines and names as long as they are
 * open. A part of it is working space, so nothing is allocated. Each engine's samples are of one snapshot, with times in
 * seconds, and histograms of twenty buckets.
 *
 * With no engine the text is empty. MISUSE: an engine or length is NULL, two engines have one name, or bytes is too small
 * (*length is then what to have). FORKED, or STOPPED (closed): when one of the engines is. After an error text is "", if there
 * is a byte for that. Everything is the caller's. Any thread, and in a callback.
 */
PENSTOCK_API int penstock_metrics_prometheus(penstock *const *engines, const char *const *names, size_t count, char *text,
                                             size_t bytes, size_t *length);

#ifdef __cplusplus
}
#endif

#endif

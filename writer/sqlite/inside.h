/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inside.h - what the parts of the SQLite store share: store.c (opening, transactions, durability), run.c (statements), behind.c (what
 * a statement leaves behind), among.c (other processes)
 *
 * Nobody else includes it.
 */
#ifndef PENSTOCK_INSIDE_H
#define PENSTOCK_INSIDE_H

#include "writer/sqlite/busy.h"
#include "writer/sqlite/call.h"
#include "writer/sqlite/changes.h"
#include "writer/sqlite/connection.h"
#include "writer/sqlite/deadline.h"
#include "writer/sqlite/file.h"
#include "writer/sqlite/group.h"
#include "writer/sqlite/harm.h"
#include "writer/sqlite/peers.h"
#include "writer/sqlite/rowids.h"
#include "writer/sqlite/statements.h"
#include "writer/store.h"

struct ps_store {
	const char *path;
	const struct ps_options *options;
	sqlite3 *connection;
	struct ps_statements statements;
	struct ps_statement_deadline deadline;
	struct ps_file file;
	struct ps_busy busy;
	struct ps_peers peers;
	struct ps_harm_watch harm;
	struct ps_rowids rowids;
	struct ps_changes *changes;
	struct ps_store_group *group; /* that is under way, or NULL */
	struct ps_call call;
	struct {
		bool (*ask)(void *arg);
		void *arg;
	} late; /* see ps_store_ask_late */
	sqlite3_stmt *begin;
	sqlite3_stmt *commit;
	sqlite3_stmt *rollback;
	int synchronous;             /* as it is now; a submitted PRAGMA may change it */
	bool weak_sectors;           /* see raise_synchronous */
	char synchronous_before[32]; /* the pragma that sets it back */
	bool owes_synchronous;       /* it is to be set back, for which there was no memory */
	bool attached;               /* a database beside main and temp */
	bool exclusive;              /* PRAGMA locking_mode */
	bool one_by_one;             /* transactions would show: see ps_inside_read_settings */
	bool deferring;              /* PRAGMA defer_foreign_keys is on, until the next commit */
	bool owes_deferring;         /* it has ended for want of memory */
	bool unasked;                /* there was no memory to ask whether it is on */
	bool deferred_alone;         /* it was when the statement that is alone came */
	bool together;               /* what ran last were several statements together */
	bool foreign_keys;           /* as of the last begin */
	bool lacked_room;            /* the last statement alone, or commit */
	bool stuck;                  /* a transaction that must not be committed could not be rolled back */
	uint64_t reprepares;
	uint64_t schema_changes; /* statements run that may have been one, ours or other processes' */
	sqlite3_stmt *savepoint;
	sqlite3_stmt *release;
	sqlite3_stmt *rollback_to;
	sqlite3_stmt *any_write; /* of nothing: see ps_inside_end_transaction */
	bool any_write_stale;
	sqlite3_stmt *read_cookie;
	int64_t cookie;        /* of the schema of main, and... */
	unsigned data_version; /* ...SQLite's number for what other connections have committed, when it was read */
	struct {
		bool known;  /* false also behind a look that failed: what is there is not told */
		uint64_t at; /* schema_changes */
		bool deferred_keys;
		bool full_text; /* or another kind of virtual table that may keep writes until later */
	} schema;
	bool passing; /* the checkpoint thread makes a pass */
	int error_code;
	char error_message[256];
};

/* Takes the connection's last error for ps_store_error. */
void ps_inside_note_error(struct ps_store *store);
/* Steps and resets. SQLITE_OK, or the code. */
int ps_inside_step(sqlite3_stmt *statement);
/*
 * Ends the transaction if an interrupt stands that meets whatever follows, COMMIT and ROLLBACK too. False: none. What has been prepared
 * for that must still be as it was: it is no time to prepare anything.
 */
bool ps_inside_end_interrupted(struct ps_store *store);
/* Rolls back, if there is a transaction; without memory it may fail (ps_inside_is_stuck). */
void ps_inside_end_transaction(struct ps_store *store);
/* Whatever ran now would be rolled back with the transaction that is still there, its OK notwithstanding. */
bool ps_inside_is_stuck(struct ps_store *store);
/* What is kept may mean something else now. */
void ps_inside_forget_statements(struct ps_store *store);
/* What an I/O error may have broken; through_hook: it committed through the commit hook. */
enum ps_harm ps_inside_judge_harm(struct ps_store *store, int extended_code, bool through_hook);
/* Where it is not trusted (trust.h). False: defer_foreign_keys is to be on, and without memory is not. */
bool ps_inside_read_schema(struct ps_store *store);
/* What a statement that ran alone may have changed. */
void ps_inside_read_settings(struct ps_store *store);
/* Only where it may have been set: for the answer SQLite must have the schema, which it else would read when a statement needs it. */
void ps_inside_read_synchronous(struct ps_store *store);
/* Right behind the question: there was no memory for it. An authorizer of the program's may refuse it, too. */
bool ps_inside_lacks_answer(const struct ps_store *store, int64_t answer);
/* Behind a pragma that is refused. Without memory it is tried once more before anything else runs. */
void ps_inside_restore_synchronous(struct ps_store *store);

/* Of a failure inside a transaction: whether that may be its cause, or the lack of a temporary file that only it needs (run.c). */
bool ps_inside_may_be_the_batch(int extended_code);
bool ps_inside_may_lack_temp(int extended_code);

/* Finds out, once after each change of the schema, what ps_behind_settle must know of it. */
void ps_behind_look_at_schema(struct ps_store *store);
/*
 * After a write in a batch that went well: PS_DONE; PS_DONE_LAST when what it has left behind would show in the statements behind it,
 * until the commit; or PS_TAKE_OUT. functions_wrote: nobody can tell what.
 */
enum ps_verdict ps_behind_settle(struct ps_store *store, struct ps_prepared *prepared, bool functions_wrote);

#endif

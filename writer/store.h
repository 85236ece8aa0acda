/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - where statements run: the one place that executes and commits
 *
 * begin, run, commit, roll back, and little else. The batch above knows nothing of SQLite.
 *
 * Stores are of kinds (kind.h). What every kind has is coarse: it is opened and closed, and runs a batch. How a batch runs in
 * transactions is batch.c's, by the functions below, which are those of the one SQLite file.
 *
 * A statement's verdict says what the batch must do about it; see sqlite/run.c for what SQLite makes of a failing
 * statement inside a transaction, and sqlite/harm.h for what an I/O error may have broken.
 *
 * All of it is for the writer thread alone, unless it says otherwise.
 */
#ifndef PENSTOCK_STORE_H
#define PENSTOCK_STORE_H

#include <sys/stat.h>

#include "core/counters.h"
#include "core/options.h"
#include "core/outcome.h"
#include "queue/record.h"
#include "writer/patience.h"

/* A turn goes on while the writer looks for work without a sleep, if that is for no longer than so. */
#define PS_TURN_SPIN_USEC 200

/* The bound of the key fuse_rows. */
#define PS_FUSE_ROWS_MAX 256

enum ps_verdict {
	PS_DONE,      /* the outcome is filled in */
	PS_DONE_LAST, /* the same, and the transaction must be committed behind it, before anything else runs */
	PS_ELSEWHERE, /* not run: it must run alone, between transactions */
	PS_TAKE_OUT,  /* roll back and run the others again without it; then run it alone, by itself if it has not been */
	PS_CAREFULLY, /* a group failed: roll back and run all of it again, the groups each with a savepoint */
	PS_TOO_LONG,  /* its rows are too many: undo it; the outcome says so */
	PS_HALF_DONE, /* it failed in a transaction of its own, which may hold a part of it: undo it */
	PS_BUSY,      /* another process holds the lock; nothing happened */
	PS_UNSURE,    /* a commit failed and is rolled back, but may be there after a crash; nothing else is concerned */
	PS_BROKEN, /* an I/O error that may concern what was committed before: the engine cannot go on; the outcome has the reason */
};

/* What came of a checkpoint. NOT: others are in the way who may not be beside it; nothing was done. */
enum ps_copied { PS_COPIED_ALL, PS_COPIED_AS_READERS_LET, PS_COPIED_NOT };

/* A writer repairs the log that was left behind. CREATING: a missing file is created. */
enum ps_role { PS_READER, PS_WRITER, PS_CREATING_WRITER };

/* Whether a store may be touched, among the engines of other processes. */
enum ps_entry {
	PS_ENTRY_IN,
	PS_ENTRY_PAUSED, /* the engine of another process has paused all (ps_store_pause_all): for as long as it likes */
	PS_ENTRY_NO_LOCK /* whether one has cannot be told: it is a lock that is not to be had */
};

struct ps_store;
struct ps_batch;
struct ps_store_pause;

/* Of a store that engines of several processes share. Each is as the function of its name below. */
struct ps_store_peers {
	enum ps_entry (*enter)(struct ps_store *store);
	void (*leave)(struct ps_store *store);
	bool (*is_inside)(const struct ps_store *store);
	void (*end_turn)(struct ps_store *store);
	int (*pause_all)(const char *path, const struct ps_options *options, struct ps_store_pause **pause);
	int (*pause_step)(struct ps_store_pause *pause, bool *paused);
	void (*pause_end)(struct ps_store_pause *pause);
};

/* When the writer turns to what goes on beside it, between transactions. */
enum ps_moment {
	PS_AT_REPORT, /* a report may be there */
	PS_AT_REST,   /* there is no work for now */
	PS_AT_END,    /* the store is about to be closed: nothing may go on */
	PS_AT_FAILURE /* the same, and the batch is broken */
};

/* What the engine asks of a store, whichever it is. open to close are as the functions of these names below. */
struct ps_store_kind {
	/* Whether it can work so: OK, or a status with the thread's message. Before anything else, and before the path is shown anywhere. */
	int (*check)(const char *path, const struct ps_options *options);
	int (*open)(struct ps_store **store, const char *path, const struct ps_options *options, enum ps_role role,
	            struct ps_patience *patience, bool *locked);
	int (*probe)(const char *path, const struct ps_options *options, bool *locked);
	int (*open_reader)(const char *path, const struct ps_options *options, sqlite3 **connection);
	enum ps_copied (*close)(struct ps_store *store, bool checkpoint);
	/* Of ps_batch_run: enters [*next, *entered), and delivers from *next on, which it moves. False: broken. */
	bool (*run)(struct ps_batch *batch, uint64_t *next, uint64_t limit, uint64_t *entered);
	/* Between batches. False: broken. */
	bool (*rest)(struct ps_batch *batch);
	/* Of what goes on beside the writer; NULL: nothing does. False: broken. */
	bool (*beside)(struct ps_batch *batch, enum ps_moment moment);
	/* Why functions of the program cannot run there; NULL: they can. */
	const char *no_functions;
	/* Its path is a file's, which is to be found from another working directory too. */
	bool is_file;
	/* Tells the log that the store does not let the writer in. */
	void (*say_away)(const struct ps_options *options);
	/* NULL: nobody can pause all engines on it. */
	const struct ps_store_peers *peers;
};

/* Of turns among the engines of several processes (sqlite/turns.h). */
struct ps_turn_counts {
	uint64_t taken;
	uint64_t waited; /* that were not there at once */
	uint64_t wait_nsec;
	uint64_t skipped;   /* turns of others that this engine has ended since nothing moved */
	uint64_t succeeded; /* and since their process is dead, or they had been left */
	uint64_t missed;    /* given up, or there were none to have */
};

/*
 * OK, or CANTOPEN, CONFIG, NOMEM with the thread's message. path and options outlive the store. role: a writer's. patience: asked
 * while the store waits for a lock, then and later. *locked: it failed for another process's lock, and another attempt may go well.
 */
int ps_store_open(struct ps_store **store, const char *path, const struct ps_options *options, enum ps_role role,
                  struct ps_patience *patience, bool *locked);
/*
 * What is wrong with the file, without a store: opens a writer's connection that creates it, and closes that again. As
 * ps_store_open. Any thread.
 */
int ps_store_probe(const char *path, const struct ps_options *options, bool *locked);
/* A reader's connection, which is the caller's: OK, or CANTOPEN, CONFIG, NOMEM with the thread's message. Any thread. */
int ps_store_open_reader(const char *path, const struct ps_options *options, sqlite3 **connection);
/*
 * Pauses all engines on the file, of all processes; to be called when this one has no store. OK and *pause; CANTOPEN (there is no file by
 * that name, or no such locks there), NOMEM with the thread's message. Step: whether they are, once it says so until the end. Any thread.
 */
int ps_store_pause_all(const char *path, const struct ps_options *options, struct ps_store_pause **pause);
int ps_store_pause_step(struct ps_store_pause *pause, bool *paused);
void ps_store_pause_end(struct ps_store_pause *pause);
/*
 * checkpoint: bring the WAL's content into the database first (not when the disk just failed), unless leave_wal
 * is set. PS_COPIED_NOT: that was not allowed. What is in the WAL stays there; whoever opens the database finds it.
 */
enum ps_copied ps_store_close(struct ps_store *store, bool checkpoint);

/* What the checkpoint thread makes its passes with (checkpointer.h). */
struct ps_log_pass_store;
/* One pass: what was asked for and what came of it. */
struct ps_log_pass {
	bool last;     /* nobody commits meanwhile */
	bool syncs;    /* the log before it is copied, and the database */
	bool unfit;    /* there is no connection */
	bool broken;   /* an I/O error that the engine must not survive */
	bool met_lock; /* another process checkpoints */
	bool is_known; /* frames and copied */
	uint64_t frames, copied;
	struct stat before, after; /* the database */
	uint64_t nsec;
	int code; /* SQLite's, 0: none */
	char message[256];
};
/* Its own connection, or NULL, and then pass->unfit and the message say so. These three are for the checkpoint thread. */
void ps_log_pass_open(struct ps_log_pass_store **store, const char *path, const struct ps_options *options,
                      struct ps_log_pass *pass);
void ps_log_pass_run(struct ps_log_pass_store *store, struct ps_log_pass *pass);
void ps_log_pass_close(struct ps_log_pass_store *store);
/* A pass under way, or else the next one, ends early. Any thread. */
void ps_log_pass_interrupt(struct ps_log_pass_store *store);

/*
 * A registered statement, with room for what the store keeps of it; all but that is the caller's to fill. sql is NUL-terminated
 * and outlives it. NULL without memory. Any thread.
 */
struct penstock_statement *ps_store_statement_new(const char *sql, size_t bytes);
/* Any thread, when no store is open. */
void ps_store_statement_free(struct penstock_statement *statement);

/* Whether the record must run alone, as far as can be told without preparing it. */
bool ps_store_must_be_alone(const struct ps_store *store, const struct ps_record *record);
/* Whether, run alone, the statement should have a transaction around it so that PS_TOO_LONG is undone as if it had never run. */
bool ps_store_wants_transaction(struct ps_store *store, const struct ps_record *record);

/* Whether it writes, so that another process's lock keeps it from running. */
bool ps_store_needs_lock(struct ps_store *store, const struct ps_record *record);

/* Whether the last statement alone, or commit, failed for want of room, which a checkpoint may make. */
bool ps_store_lacked_room(const struct ps_store *store);

/*
 * Before whatever touches the file; the store stays in until it is told to leave, which it is when there is nothing to do. While it is not
 * in, nothing may be done. Cheap for one that is in.
 */
enum ps_entry ps_store_enter(struct ps_store *store);
void ps_store_leave(struct ps_store *store);
bool ps_store_is_inside(const struct ps_store *store);
/*
 * Waits for the engine's turn among those of other processes, which lasts until it is ended; having one it does nothing. False: there
 * is none (somebody in the queue is to be told, for one); then go on without.
 *
 * It covers a transaction; and further ones until its term is over, as long as in between there is nothing that takes its time: a
 * sync, a checkpoint, a function of the program's, or a sleep for want of work.
 */
bool ps_store_take_turn(struct ps_store *store);
bool ps_store_is_turn_over(const struct ps_store *store);
void ps_store_end_turn(struct ps_store *store);
/* What has come of turns since the last call. */
struct ps_turn_counts ps_store_take_turn_counts(struct ps_store *store);

enum ps_verdict ps_store_begin(struct ps_store *store);
/* The same for one statement's own transaction, which locks no more than the statement does. */
enum ps_verdict ps_store_begin_own(struct ps_store *store);
/* The same for a group's, which takes every database's lock. */
enum ps_verdict ps_store_begin_group(struct ps_store *store);
/*
 * Whether nobody but SQLite can get the locks that the statement needs, as it writes to a database that is attached. Then `ask` is called
 * when a run alone has them all, before it does anything, and until it says yes; while it says no the run is interrupted there. NULL:
 * nobody is asked any more.
 */
bool ps_store_locks_late(struct ps_store *store, const struct ps_record *record);
void ps_store_ask_late(struct ps_store *store, bool (*ask)(void *arg), void *arg);
/*
 * Runs one statement, inside a transaction (batched) or in autocommit. Fills *outcome (reset by the caller): with rows,
 * changes and rowid when `wanted`, with codes and message when it failed.
 */
enum ps_verdict ps_store_run(struct ps_store *store, const struct ps_record *record, bool batched, bool wanted,
                             uint64_t result_bytes_max, struct ps_outcome *outcome);
/*
 * Runs a group, from its BEGIN to its COMMIT, outside of any transaction. Fills *outcome like the above, with the members' results when `wanted`
 * and all went well. PS_DONE, PS_BUSY (nothing happened), PS_BROKEN.
 */
enum ps_verdict ps_store_run_group(struct ps_store *store, const struct ps_record *record, bool wanted,
                                   uint64_t result_bytes_max, struct ps_outcome *outcome);
/*
 * The same inside a transaction with others, without BEGIN and COMMIT. careful: a savepoint undoes it when it fails. PS_DONE, PS_DONE_LAST;
 * PS_CAREFULLY, if not careful; PS_ELSEWHERE, PS_TAKE_OUT: roll back and run it in a transaction of its own; PS_BROKEN.
 */
enum ps_verdict ps_store_run_group_batched(struct ps_store *store, const struct ps_record *record, bool careful, bool wanted,
                                           uint64_t result_bytes_max, struct ps_outcome *outcome);
/* The most statements, this one among them, that may run as one; 0: it runs by itself. */
unsigned ps_store_fuse_most(struct ps_store *store, const struct ps_record *record);
/* Whether `next` may run as one with `record`, for which the above said yes. */
bool ps_store_fuses(const struct ps_store *store, const struct ps_record *record, const struct ps_record *next);
/* How many of `count` such statements run as one; 0: none. heard: somebody listens to one of them. */
unsigned ps_store_fuse_width(struct ps_store *store, const struct ps_record *record, unsigned count, bool heard);
/*
 * Runs as many statements as ps_store_fuse_width said, inside a transaction. Each that went well has changed one row, whose rowid goes
 * to rowids; NULL: nobody listens. PS_DONE, PS_DONE_LAST: all went well; PS_ELSEWHERE: the first
 * *done of them did, run each of the others by itself; PS_TAKE_OUT: roll back and run everything again, each by itself.
 */
enum ps_verdict ps_store_run_fused(struct ps_store *store, const struct ps_record *const *records, unsigned count,
                                   int64_t *rowids, unsigned *done);
/* Before the transaction of a call begins. */
void ps_store_expect_call(struct ps_store *store);
/*
 * Calls a function of the program in the transaction that has begun, which is to be committed when *outcome (reset by the caller) is OK,
 * and else rolled back. Behind either, ps_store_leave_call.
 */
void ps_store_call(struct ps_store *store, penstock_function *function, void *arg, struct ps_outcome *outcome);
void ps_store_leave_call(struct ps_store *store);
/* Calls a connect hook that came late, and puts it on the list unless it fails: then *outcome says how. PS_DONE, PS_BROKEN. */
enum ps_verdict ps_store_add_hook(struct ps_store *store, penstock_connect_hook *hook, void *arg, struct ps_outcome *outcome);
/* PS_DONE; PS_BUSY (the transaction stands); PS_TAKE_OUT: rolled back, nothing was committed, run each alone; PS_UNSURE;
 * PS_BROKEN: it may or may not be committed. */
enum ps_verdict ps_store_commit(struct ps_store *store);
/*
 * After a commit, before its outcomes: PS_BROKEN when the database, its log or the log's index is not any more where it was
 * opened, so that nobody will find what was committed. Where a commit is not durable, it looks once a millisecond at most.
 */
enum ps_verdict ps_store_look_for_file(struct ps_store *store);
void ps_store_rollback(struct ps_store *store);
bool ps_store_in_transaction(const struct ps_store *store);
/* Whether COMMIT would now find a violated foreign key, and nothing but the statement's own commit should. */
bool ps_store_commit_would_fail(const struct ps_store *store);
/* After the rollback of a statement's own transaction, since it failed, or its commit did: changes() and total_changes() tell
 * what they would in autocommit. */
void ps_store_note_failure(struct ps_store *store, bool in_commit);
/* Behind a run alone that does not count: the same, as it was in ps_store_enter_alone or behind the last begin. */
void ps_store_take_back(struct ps_store *store);
/*
 * Before the first run of a statement alone; and before each further one: PRAGMA defer_foreign_keys is for the statement, whichever
 * of its runs counts, though any run ends it, and any rollback.
 */
void ps_store_enter_alone(struct ps_store *store, const struct ps_record *record);
/* The same where several statements run together, in a transaction that is already there. */
void ps_store_enter_together(struct ps_store *store);
void ps_store_defer_again(struct ps_store *store);
/* SQLite's code and message of the last begin, commit, sync or checkpoint that was not PS_DONE. */
int ps_store_error(const struct ps_store *store, const char **message);

/* Whether a commit alone survives power loss. */
bool ps_store_commit_is_durable(const struct ps_store *store);
/* Makes everything committed survive power loss: PS_DONE; PS_BROKEN, also when what was synced is not there any more. */
enum ps_verdict ps_store_sync(struct ps_store *store);
/* Where commits alone are not durable: lets the disk begin with them, so that the next sync is short. */
void ps_store_write_out(struct ps_store *store);

/* Bytes of the WAL's content after the last commit; 0 after a checkpoint that copied all of it. */
uint64_t ps_store_wal_bytes(const struct ps_store *store);
/* Whether the last checkpoint copied all of a WAL that held something, so that the next commit may begin it anew. */
bool ps_store_made_room(const struct ps_store *store);
/* Whether a checkpoint syncs: not with synchronous=off, as long as no PRAGMA has set another. */
bool ps_store_syncs(const struct ps_store *store);
/* Whether no other connection can have the database open while this one writes (PRAGMA locking_mode). */
bool ps_store_is_exclusive(const struct ps_store *store);
/*
 * Before a batch, or behind it: whether a checkpoint is likely to be due behind the next commit. One that was expected need not keep
 * others from writing.
 */
void ps_store_expect_checkpoint(struct ps_store *store, bool expected);
/*
 * Copies the WAL into the database as far as readers let it. wait_ms: not -1: also waits so long for readers, so that the WAL begins
 * anew. Ends what was expected.
 */
enum ps_verdict ps_store_checkpoint(struct ps_store *store, int64_t wait_ms, enum ps_copied *copied);
/*
 * Passes of the checkpoint thread. ps_store_begin_pass: before one is asked for. PS_LOG_PASS_NOTHING: no commit wrote anything that might
 * not be copied. PS_LOG_PASS_GONE: one of the files is not where it was.
 */
enum ps_log_pass_due { PS_LOG_PASS_DUE, PS_LOG_PASS_NOTHING, PS_LOG_PASS_GONE };
enum ps_log_pass_due ps_store_begin_pass(struct ps_store *store);
/* Behind it, between transactions. *end is for PS_DONE and PS_BROKEN, with the error for ps_store_error. */
struct ps_log_pass_end {
	bool whole;    /* all of the log is copied, and no commit came since: the next one may begin it anew */
	bool alone;    /* no commit came */
	bool stuck;    /* it copied nothing beyond what was copied before */
	uint64_t rest; /* bytes of the log that may not be copied yet */
};
enum ps_verdict ps_store_end_pass(struct ps_store *store, const struct ps_log_pass *pass, struct ps_log_pass_end *end);

/* Times SQLite prepared a statement again by itself since the last call. */
uint64_t ps_store_take_reprepares(struct ps_store *store);

#endif

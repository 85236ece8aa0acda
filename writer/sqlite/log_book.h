/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log_book.h - what the writer knows of the log: how long it is, what is copied of it, and when a pass beside it is safe
 *
 * The writer hears of each of its commits that wrote frames, and of what each checkpoint copied. From that it must tell two things, and
 * both wrongly told lose data or let the log grow without end: whether the log is copied whole, and whether it holds what is not copied.
 *
 * What SQLite tells is of moments that have passed. A pass that says "all of it is copied" speaks of the log as the pass found it; a commit may
 * have come since. And a checkpoint that begins when all is copied races with the commit that begins the log anew: it takes the new log for the
 * old one (the WAL-reset bug, sqlite.org/wal.html#walresetbug). While something is not copied nobody begins the log anew.
 *
 * Invariants
 *   1. A pass is due only with evidence that the log holds what is not copied: a commit begun since the last checkpoint ended; or
 *      the last commit lies behind what that one copied. A commit that came during it is none: it may have been copied.
 *   2. The log is whole in the database only when a pass copied all that it found, and no commit came since it was asked for.
 *   3. `frames` is never less than what the last commit told, until the log is whole.
 *
 * Failure modes: commits of other processes are not known. They make the log longer than it is taken for; a checkpoint of theirs makes a pass find
 * nothing to copy (the checkpoint lock keeps other engines from that).
 *
 * All of it is for the writer thread, between transactions, but for commits, which are told as they end.
 */
#ifndef PENSTOCK_LOG_BOOK_H
#define PENSTOCK_LOG_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "writer/store.h"

struct ps_log_book {
	uint64_t frames;          /* of the log after the last commit or checkpoint; 0: the next commit may begin it anew */
	uint64_t copied;          /* of them, by the last checkpoint; or of the log before, if that was begun anew since */
	uint64_t commits;         /* that wrote frames */
	uint64_t commits_had;     /* of those, when the last checkpoint ended */
	uint64_t commits_at_pass; /* and when the pass under way was asked for */
	bool whole;               /* the last checkpoint copied all of a log that held something */
};

/* A commit that wrote frames: as many as are in the log now. */
void ps_log_book_commit(struct ps_log_book *book, uint64_t frames);
/* A checkpoint of the writer's own, during which no commit of its came. What SQLite tells; negative: nothing. */
void ps_log_book_checkpoint(struct ps_log_book *book, int frames, int copied, bool blocked, bool well);

bool ps_log_book_is_pass_due(const struct ps_log_book *book);
void ps_log_book_begin_pass(struct ps_log_book *book);
/* end->rest counts frames. */
void ps_log_book_end_pass(struct ps_log_book *book, const struct ps_log_pass *pass, struct ps_log_pass_end *end);

#endif

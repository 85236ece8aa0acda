/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alone.h - entries that run between batches: statements in autocommit, calls and late hooks
 *
 * A statement runs in autocommit, or in a transaction of its own when what it did may have to be undone. It is tried again while another
 * process has the lock, and once more when it lacked room. A call has a transaction of its own, and runs once.
 *
 * Invariants
 *   1. Behind it the entry has its outcome, and no transaction stands.
 *   2. What may come to nothing before it begins (a deadline, a cancel) begins with the lock held. The locks of attached databases
 *      nobody can have for it: there SQLite asks between taking them and the first step of the statement's own.
 *   3. PRAGMA defer_foreign_keys outlasts whatever does not count as the statement's own run.
 *
 * For the writer thread alone.
 */
#ifndef PENSTOCK_ALONE_H
#define PENSTOCK_ALONE_H

#include "writer/attempt.h"

/* PS_ATTEMPT_COMMITTED or PS_ATTEMPT_BROKEN. */
enum ps_attempt ps_alone_run(struct ps_batch *batch, uint64_t ticket);

#endif

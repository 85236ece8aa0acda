/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * writer.h - the writer thread: the only one that writes
 *
 *     take what is there -> run it as a batch -> deliver -> checkpoint if due -> again; asleep when there is nothing
 *
 * Invariants
 *   1. One writer thread at most per engine; it alone has a write connection, and it alone consumes the ring.
 *   2. It never ends but through a command or a failed first connection, and everything that happens in it becomes an
 *      outcome or a state.
 *   3. It sleeps on the ring's claim word or on the control condition, never by polling; only a hole (a producer that was
 *      preempted between claim and publish) is looked at again after a moment.
 *   4. It blocks every signal, so the program's handlers never run on it.
 *   5. It has a name that no other writer of the process has, "ps2:app.db": the engine's number, whole, and as much of the
 *      database's file name as fits behind it. The checkpoint thread's is "pc2:app.db".
 *
 * Failure modes: FAILED, with the reason, after an I/O error that may have broken what was committed; every pending submission
 * then has its outcome.
 */
#ifndef PENSTOCK_WRITER_H
#define PENSTOCK_WRITER_H

#include "core/penstock.h"

/* Creates the thread, which connects and reports through the control block. OK, NOMEM or CONFIG with the message. With the
 * control mutex held. */
int ps_writer_create(penstock *db);

#endif

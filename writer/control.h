/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - the control verbs and the writer's side of their handshake
 *
 * A verb takes the control mutex, swaps the state (with a grace period), reads the ring's tail, which is now everything
 * that was accepted before, leaves a command for the writer, sets the attention word and kicks. The writer runs up to that
 * ticket, carries the command out, and says so on the condition.
 *
 *     verb      move to PAUSING / STOPPING; drain_to = tail; command; kick           wait on `changed`
 *     writer    ... runs up to drain_to ... disconnects; move to PAUSED / is done    signals `changed`
 *
 * Invariants
 *   1. Everything here is read and written under the mutex. The writer holds it only between batches, never over a
 *      statement or a connection being opened; a verb never over a wait other than the condition's.
 *   2. The writer moves PAUSING to PAUSED, to RUNNING once connected, to FAILED, and as it ends to STOPPED; verbs make every
 *      other move.
 *   3. attention is set exactly while command is not RUN (and the writer has not carried it out).
 *   4. thread_done is the writer's last act: who sees it may join under the mutex.
 *   5. A thread may sleep through any number of moves by others: each waits for the end of its own run of the writer, or
 *      its own pause, both numbered, and not for a phase.
 *   6. A pause that timed out is withdrawn: if the writer had already disconnected it connects again.
 *   7. The engines of other processes are paused only while this one is: behind its own pause, and until that ends, or an unpause begins.
 *
 * Failure modes: a writer that cannot connect again after a withdrawn pause moves to FAILED, unless it meets a lock: then it tries again,
 * as a running one would. After an unpause it stays PAUSED, and the caller hears why; when the caller waits no more, a lock is tried again.
 */
#ifndef PENSTOCK_CONTROL_H
#define PENSTOCK_CONTROL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "core/penstock.h"
#include "writer/store.h"

enum ps_command { PS_RUN, PS_PAUSE, PS_STOP };

struct ps_control {
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* anything here or the phase */

	enum ps_command command;
	uint64_t drain_to; /* the writer runs every ticket before it, then carries the command out */

	pthread_t thread;
	bool thread_exists; /* to be joined */
	bool thread_done;
	uint32_t writer_runs; /* for is_stopped; atomic, written under the mutex */

	uint64_t run;    /* the writer threads there have been, this one included */
	bool connecting; /* a start or unpause waits for the report */
	bool opening;    /* the writer opens its connection, whoever waits for that */
	int connect_status;
	bool connect_met_lock; /* that is why: another process has it, or has paused all */
	char connect_message[1024];

	struct cds_list_head pausers; /* waiting for their turn, the longest first */
	uint64_t pause;  /* the number of the pause in effect or under way, 0 for none: in every phase but PAUSING and PAUSED */
	uint64_t pauses; /* there have been */
	struct cds_list_head unpausers; /* struct ps_unpauser */
	struct cds_list_head starters;  /* struct ps_starter */
	uint64_t pauser;                /* ps_thread_number */
	struct ps_store_pause *all;     /* with it the engines of other processes are paused, or being paused; or NULL */
	bool pausing_all;               /* the pause in effect is being made one of all */
	unsigned readers_opening;

	bool closing;
	int64_t when_paused, when_stopped; /* meanwhile the keys as they were, since everything is refused */
	int failure_code;
	char failure_message[320];
};

/* Who waits in unpause. It may wake so late that further pauses have come and gone. */
struct ps_starter {
	struct cds_list_head place;
	uint64_t run;
	bool connected; /* that run has opened the file */
};

struct ps_unpauser {
	struct cds_list_head place;
	uint64_t pause;
	bool resumed; /* an unpause has ended it, and not a stop or a failure */
};

bool ps_control_init(struct ps_control *control);
void ps_control_destroy(struct ps_control *control);

/* Waits for a change; false when the deadline has passed. With the mutex held. */
bool ps_control_wait(struct ps_control *control, uint64_t deadline);
/* OK, or MISUSE with the thread's message. */
int ps_control_check_flags(unsigned flags);
/* The pause, if there is one, is over: that of other processes' engines too. With the mutex held. */
void ps_control_lift_locked(penstock *db);
/* Stops with the mutex held: OK, or TIMEOUT. flags: those of penstock_stop_with. */
int ps_control_stop_locked(penstock *db, uint64_t deadline, unsigned flags);

#endif

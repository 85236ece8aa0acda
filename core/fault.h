/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.h - deliberate faults, at named points, through one seam
 *
 * In a build with -Dfaults=true a test can have the engine do the wrong thing at one of the points below, and so show that
 * it would notice. In any other build ps_fault is false where it is compiled, and nothing of it is left.
 *
 * Invariants
 *   1. One fault at a time, for the whole process: it passes its point `skip` times without effect, and then acts `count`
 *      times.
 *   2. A fault does nothing until a test arms it.
 *
 * Failure modes: none; an unknown name is refused.
 */
#ifndef PENSTOCK_FAULT_H
#define PENSTOCK_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* X(identifier, name): what goes wrong */
#define PS_FAULT_LIST(X)                                                                                                 \
	X(EARLY_OUTCOME, early_outcome) /* a batch's outcomes are delivered before its COMMIT */                         \
	X(SKIP_SYNC, skip_sync)         /* durable outcomes under synchronous=NORMAL are delivered without their sync */ \
	X(SKIP_REPLAY, skip_replay)     /* what was rolled back because of another entry does not run again */           \
	X(SKIP_REPAIR, skip_repair)     /* the log that an earlier run left behind is used as it is */                   \
	X(DROP_SLOT, drop_slot)         /* a submission does not run, and its outcome is OK */                           \
	X(LOWER_EARLY, lower_early)     /* a take lowers a completion queue's flag before it drains the descriptor */    \
	X(LOWER_LATE, lower_late)       /* and after it has taken the list */                                            \
	X(LET_GO_EARLY, let_go_early)   /* the writer lets go of a completion queue before it raises the descriptor */   \
	X(SKIP_BEGIN, skip_begin)       /* a submission begins, be it cancelled or too late */                           \
	X(PASS_ANYWAY, pass_anyway)     /* a pass begins, be there anything to copy or not */                            \
	X(WHOLE_EARLY, whole_early)     /* the log is taken for copied whole, though a commit came */                    \
	X(SKIP_CHECKPOINT_SYNC, skip_checkpoint_sync) /* the checkpoint thread does not sync what it has copied */       \
	X(LONG_TERM, long_term)                       /* a turn has no term */                                           \
	X(LEAVE_EARLY, leave_early)                   /* an engine that came in leaves before its batch has run */       \
	X(LEAVE_PASS, leave_pass)                     /* and while its checkpoint thread makes a pass */                 \
	X(PASS_OUTSIDE, pass_outside)                 /* a pass begins though the engine had to leave */

enum ps_fault_point {
#define PS_FAULT_ENUM(identifier, name) PS_FAULT_##identifier,
	PS_FAULT_LIST(PS_FAULT_ENUM)
#undef PS_FAULT_ENUM
		PS_FAULT_NONE
};

#ifdef PENSTOCK_FAULTS

/* Whether the fault acts here and now. On any thread; at one point one thread at a time. */
bool ps_fault(enum ps_fault_point point);
/* For tests, while no engine runs or before its work begins. False: no such name. */
bool ps_fault_arm(const char *name, uint64_t skip, uint64_t count);
void ps_fault_disarm(void);

#else

#define ps_fault(point) false
#define ps_fault_arm(name, skip, count) false

#endif
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job.h - what is to be done, as Python says it: a statement, a group or a call
 *
 *     str                     a statement, with its params
 *     list or tuple           a group: of (sql, params) and sql
 *     anything to be called   a call of it
 *
 * A job is tried first with the GIL held, since a submit with room never waits. Only without room the GIL is let go.
 */
#ifndef PENSTOCK_PYTHON_JOB_H
#define PENSTOCK_PYTHON_JOB_H

#include "python/extension/module.h"
#include "python/extension/values.h"

/* What Python gives as flags. */
enum job_flag { JOB_DURABLE = 1, JOB_ALONE = 2, JOB_CANCELLABLE = 4, JOB_UNHEARD = 8 };

struct job {
	penstock *db;
	penstock_submission whole;
	struct values values;
	penstock_submission *members; /* NULL: not a group */
	size_t count;
	PyObject *sequence; /* of a group */
	struct call *call;  /* NULL: not a call */
	penstock_handle **handle;
};

/* False with an exception; end it in any case. `what` and its strings stay as long as the job. */
bool job_begin(struct job *job, engine *self, PyObject *what, PyObject *params, int flags, int64_t deadline_usec);
void job_end(struct job *job);
/*
 * Submits, and waits for room: a status, or -1 with an exception. On OK the call is no longer the job's, and *handle is the caller's;
 * handle may be NULL.
 */
int job_submit(struct job *job, engine *self, int64_t timeout_usec, penstock_handle **handle);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait.h - waiting without the GIL, in slices
 *
 * A wait of any length is made of slices that grow from a twentieth of a second to two seconds. Between them Python's signal handlers run,
 * so Ctrl-C ends a wait, and what was accepted goes on. A slice is as long as all before it together: so a verb that begins anew with
 * each slice (flush, pause) takes at most twice as long as at one go.
 */
#ifndef PENSTOCK_PYTHON_WAIT_H
#define PENSTOCK_PYTHON_WAIT_H

#include "python/extension/module.h"

/* How long a call waits before signals are looked at for the first time. */
#define PY_FIRST_USEC INT64_C(50000)

/* A call of Penstock's that waits up to timeout_usec; TIMEOUT or FULL: not yet. */
typedef int waiting(void *arg, int64_t timeout_usec);

/*
 * Makes the call until it says something else, or the time is over: a status, or -1 with a Python exception (a signal's). With an engine
 * it is counted as inside, and gives STOPPED when that closes. With the GIL; the call is made without it.
 */
int py_wait(engine *self, waiting *call, void *arg, int64_t timeout_usec);
/* The same, with another first wait. */
int py_wait_from(engine *self, waiting *call, void *arg, int64_t timeout_usec, int64_t first_usec);
/* Microseconds of a number of seconds, or of None (`none` then), or -1 with an exception. Never negative otherwise. */
int64_t py_usec(PyObject *seconds, int64_t none);

#endif

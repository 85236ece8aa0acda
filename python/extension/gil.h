/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gil.h - the GIL on a thread that is not Python's
 *
 * Such a thread gets one thread state for its life, so that threading.local works in SQL functions. It is given back by a destructor of
 * the thread. After py_finalizing is set there is no GIL to be had.
 */
#ifndef PENSTOCK_PYTHON_GIL_H
#define PENSTOCK_PYTHON_GIL_H

#include "python/extension/module.h"

/* Takes the GIL on any thread; false: Python is going. */
bool gil_enter(PyGILState_STATE *state);
void gil_leave(PyGILState_STATE state);
/* Whether this thread is within such a pair, so in a function that an engine called. */
bool gil_inside(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * completions.h - the type Completions: outcomes for an event loop
 *
 * A submission takes an object of the caller's with it, which comes back with the outcome. Objects that are out are held in a list of the
 * queue's, so that closing it lets go of them.
 */
#ifndef PENSTOCK_PYTHON_COMPLETIONS_H
#define PENSTOCK_PYTHON_COMPLETIONS_H

#include "python/extension/module.h"

/* Engine.completions(most). */
PyObject *completions_open(PyObject *self, PyObject *most);

#endif

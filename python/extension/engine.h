/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h - the type Engine: open, the verbs and close
 *
 * An engine is made before it is opened, so that functions can be registered first. It is opened once. Close first stops the engine, so
 * that whoever waits comes back; then it waits until nobody is inside; then it frees the engine.
 */
#ifndef PENSTOCK_PYTHON_ENGINE_H
#define PENSTOCK_PYTHON_ENGINE_H

#include "python/extension/module.h"

/* False with an exception: it is not open. With the GIL. */
bool engine_usable(engine *self);
/* Raises a status of Penstock's, or leaves the exception that is there (negative). Returns NULL. */
PyObject *engine_raise(engine *self, int status);

#endif

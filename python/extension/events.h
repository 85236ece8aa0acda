/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * events.h - what the log and on_error say, until Python takes it
 *
 * Both speak on the writer thread, which must not wait for the GIL. So they leave it in a list, with a descriptor for poll. The list is
 * bounded: beyond that the newest are dropped.
 */
#ifndef PENSTOCK_PYTHON_EVENTS_H
#define PENSTOCK_PYTHON_EVENTS_H

#include "python/extension/module.h"

/* False with an exception. */
bool events_begin(struct events *events);
void events_end(struct events *events);
/* For penstock_config; arg is the engine. */
void events_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message);
void events_error(void *arg, const penstock_result *result);
/* Engine.events() and Engine.events_fileno(). */
PyObject *events_take(PyObject *self, PyObject *unused);
PyObject *events_fileno(PyObject *self, PyObject *unused);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* counters.h - the counters of an engine as a dict, and of several as one text for Prometheus */
#ifndef PENSTOCK_PYTHON_COUNTERS_H
#define PENSTOCK_PYTHON_COUNTERS_H

#include "python/extension/module.h"

/* Engine.counters(). */
PyObject *counters_read(PyObject *self, PyObject *unused);
/* metrics(engines, names) -> str. */
PyObject *counters_metrics(PyObject *module, PyObject *args);

#endif

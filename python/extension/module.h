/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * module.h - the extension _penstock: the public header for Python, in the limited API of 3.10
 *
 * It has three types: an engine, a handle with its result, and a completion queue. The package in ../penstock makes of them what
 * people use. The extension knows nothing of Peewee, asyncio or gevent.
 *
 * INVARIANTS
 *   1. Whatever may wait releases the GIL. It waits in slices (wait.h), so that signals are seen and a close gets its turn.
 *   2. The writer thread takes the GIL only for Python's own functions, collations and calls, never to deliver an outcome.
 *   3. What the writer thread needs of Python (entry, call) is freed after its engine is closed, not before.
 *   4. After py_finalizing is set nothing of Python is called on a thread that is not Python's.
 *   5. A call that needs the engine's memory is counted in `inside` while it does not hold the GIL. Close waits for these.
 *
 * FAILURE MODES: a subinterpreter and a free-threaded Python are refused at import. In a forked child every call says FORKED.
 */
#ifndef PENSTOCK_PYTHON_MODULE_H
#define PENSTOCK_PYTHON_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <stdbool.h>

#include "core/penstock.h"

#if defined(Py_GIL_DISABLED)
#error "_penstock needs a Python with the GIL"
#endif

struct entry;
struct call;
struct event;

/* What the log and on_error said and nobody has taken; events.h. */
struct events {
	pthread_mutex_t guard;
	struct event *first, **last;
	size_t count;
	int descriptor; /* readable when there are some */
};

typedef struct engine {
	PyObject_HEAD penstock *db; /* NULL: not open yet, or closed */
	bool closing;               /* set with the GIL held: from now on everybody is told STOPPED */
	bool shutting;              /* penstock_close is under way */
	int64_t timeout_usec;       /* of calls that say none */
	unsigned inside;            /* calls that use db without the GIL; counted with the GIL held */
	struct entry *entries;      /* what each connection gets, the newest first; entries.h */
	pthread_mutex_t guard;      /* of entries, which the writer thread walks without the GIL */
	struct events events;
	struct call *orphans; /* calls whose handle nobody has, that may still run; call.h */
} engine;

/* Set by Python's atexit when all engines are closed. */
extern _Atomic bool py_finalizing;

extern PyTypeObject *engine_type, *handle_type, *completions_type, *connection_type;

int engine_add(PyObject *module);
int handle_add(PyObject *module);
int completions_add(PyObject *module);
int connection_add(PyObject *module);

/*
 * A str of what SQLite, a node of a cluster or a path says, for people. That may be no UTF-8, or end in the midst of a character: what is wrong
 * in it becomes U+FFFD, and nobody hears of an encoding in place of an outcome.
 */
PyObject *py_text(const char *text);
/* Raises what the package makes of a status: see penstock/errors.py. Always returns NULL. */
PyObject *py_raise(int status, const char *message, int code, int extended_code);
/* The same, with what the last failing call of Penstock on this thread said. */
PyObject *py_raise_last(int status);
/* A new reference to the exception, not raised; NULL with an exception when that fails. */
PyObject *py_exception(int status, const char *message, int code, int extended_code);
/* What makes a value of SQLite's of any other object: sqlite3.adapt. Borrowed. */
PyObject *py_adapter(void);

#endif

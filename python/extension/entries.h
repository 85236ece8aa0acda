/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entries.h - what each connection of an engine gets: Python's functions, aggregates and collations, and SQL to run
 *
 * An entry stays as long as its engine. The connection has a pointer to it; what it calls may be replaced at any time, and the next
 * call of the function takes that.
 *
 * A function that was not declared deterministic must not run twice. A statement may, when a neighbour in its transaction makes it replay.
 * So such a function refuses to begin in a transaction that is not a call's. Then its statement fails there, and Penstock runs what fails
 * in a batch once more alone, in autocommit, where the function runs. RUN_ALONE saves that detour. In a group it stays refused.
 */
#ifndef PENSTOCK_PYTHON_ENTRIES_H
#define PENSTOCK_PYTHON_ENTRIES_H

#include "python/extension/module.h"

enum entry_kind { ENTRY_FUNCTION, ENTRY_AGGREGATE, ENTRY_WINDOW, ENTRY_COLLATION, ENTRY_SQL, ENTRY_EXTENSION };

struct entry {
	struct entry *next;
	engine *engine;
	enum entry_kind kind;
	int arguments;
	int flags; /* SQLITE_DETERMINISTIC, or 0 */
	bool dropped;
	sqlite3 *on;        /* the last connection that has it */
	PyObject *callable; /* NULL of SQL and extensions, and of what was dropped */
	char name[];
};

/* The connect hook of every engine here: all entries. */
int entries_connect(sqlite3 *connection, void *self);
/* Engine.register(kind, name, arguments, deterministic, callable). */
PyObject *entries_register(PyObject *self, PyObject *args);
/* Engine.drop(kind, name): later connections do not get it. */
PyObject *entries_drop(PyObject *self, PyObject *args);
/* When the engine is closed. */
void entries_free(engine *self);

#endif

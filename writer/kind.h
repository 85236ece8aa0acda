/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kind.h - which store a path names
 *
 * "rqlite://..." is a cluster, whose store is there when the library was built with it (the Meson option rqlite); anything else is a
 * file of SQLite's. The engine asks once, when it is opened, and then calls what it was given: nobody else knows which it is.
 *
 * Invariants
 *   1. A kind is constant data, and outlives all engines.
 *
 * Failure modes: a store that was not built in is a kind too, which cannot be opened and says why.
 */
#ifndef PENSTOCK_KIND_H
#define PENSTOCK_KIND_H

#include "writer/store.h"

extern const struct ps_store_kind ps_store_sqlite;
extern const struct ps_store_kind ps_store_rqlite;

const struct ps_store_kind *ps_store_kind_of(const char *path);

#endif

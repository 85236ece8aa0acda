/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hooks.h - connect hooks that came when the engine was open already
 *
 * A list that only grows, in the order in which the hooks were taken: each connection that is opened calls them in that order, behind
 * the one of the configuration. A connection is opened on the writer's thread or a reader's; so a mutex guards the list, and nobody
 * holds it while a hook runs.
 *
 * Invariants
 *   1. A hook that is in the list has run on the writer's connection, or there was none as it was added (control.h).
 *   2. An entry stays until the engine is closed.
 *
 * Failure modes: no memory for an entry, which is asked for before the hook runs.
 */
#ifndef PENSTOCK_HOOKS_H
#define PENSTOCK_HOOKS_H

#include "core/penstock.h"

struct ps_hook {
	struct ps_hook *next;
	penstock_connect_hook *function;
	void *arg;
};

struct ps_hooks;

/* NULL without memory. */
struct ps_hooks *ps_hooks_new(void);
/* NULL is fine. */
void ps_hooks_free(struct ps_hooks *hooks);

/* An entry, to be added or freed (with free). NULL without memory. */
struct ps_hook *ps_hook_new(penstock_connect_hook *function, void *arg);
void ps_hooks_add(struct ps_hooks *hooks, struct ps_hook *hook);
/* The entry behind `hook` (NULL: the first), or NULL; also of no list. */
const struct ps_hook *ps_hooks_next(struct ps_hooks *hooks, const struct ps_hook *hook);

#endif

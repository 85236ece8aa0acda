/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * registry.h - the statements that were registered with an engine
 *
 * Any thread registers; the same text gives the same statement, found by its hash, however many there are. The writer's part
 * of a statement is the store's: what lies behind struct penstock_statement in memory is its own (ps_store_statement_new).
 *
 * Invariants
 *   1. A statement's text never changes, and nothing is removed before the engine is closed.
 *
 * Failure modes: without memory the text is not registered.
 */
#ifndef PENSTOCK_REGISTRY_H
#define PENSTOCK_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <urcu/list.h>

#include "core/penstock.h"
#include "core/text.h"

struct penstock_statement {
	penstock *db;
	struct ps_text text; /* a copy, with a NUL behind it */
	struct cds_list_head link;
};

struct ps_registry {
	pthread_mutex_t mutex;
	ck_hs_t by_text;
	struct cds_list_head all;
};

/* False: out of memory. */
bool ps_registry_init(struct ps_registry *registry);
void ps_registry_destroy(struct ps_registry *registry);
/* The statement with this text, new or known; NULL without memory. */
struct penstock_statement *ps_registry_add(struct ps_registry *registry, penstock *db, const char *sql, size_t bytes);

#endif

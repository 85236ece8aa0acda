/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bulk.h - a batch as one request to a cluster
 *
 * The statements that are there go to a node as one array, each an autocommit of its own; a group goes by itself, in a transaction. When the
 * answer comes, each statement has its result in it, and its outcome. So the cluster's log is written once for all of them, and they are
 * kept by most of its nodes, or there is no OK.
 *
 *     sent?                  answered?                           each outcome
 *     not for sure           "not applied", no node              sent again until busy_limit_ms is over, then ERROR (SQLITE_BUSY)
 *     yes                    results, as many as were sent       its result's
 *     yes                    refused (400, 401, 404, 405)        ERROR
 *     yes, or nobody knows   anything else, or nothing           UNKNOWN, and the engine goes on
 *
 * Invariants
 *   1. What may have been sent is never sent again.
 *   2. A batch has had its answer, or been given up, before the next one is sent: OK rows of one thread are in its order. What is UNKNOWN may
 *      still be applied behind later ones.
 *   3. What may come to nothing before it begins is looked at when there is a leader to send it to. While a batch is sent again, its
 *      deadlines hold on. While a node is waited for, all that is queued behind the batch is looked at, as behind another process's lock.
 *   4. A stop that gives up ends any wait for a node.
 *
 * Failure modes: none breaks the engine: a cluster that is away comes back.
 *
 * For the writer thread alone.
 */
#ifndef PENSTOCK_RQLITE_BULK_H
#define PENSTOCK_RQLITE_BULK_H

#include "writer/batch.h"
#include "writer/rqlite/answer.h"
#include "writer/rqlite/cluster.h"
#include "writer/rqlite/request.h"

/* A statement that is in the request. */
struct ps_bulk_sent {
	uint64_t ticket;
	enum ps_effect effect;
	bool returning, upserts;
};

struct ps_bulk {
	struct ps_cluster cluster;
	struct ps_request request;
	struct ps_answer answer;
	struct ps_statement statement;
	struct ps_bulk_sent *sent;
	size_t sent_count, sent_capacity;
};

/* As ps_store_kind has them; the batch's store is a struct ps_bulk. */
bool ps_bulk_run(struct ps_batch *batch, uint64_t *next, uint64_t limit, uint64_t *entered);
bool ps_bulk_rest(struct ps_batch *batch);

#endif

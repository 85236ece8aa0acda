/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.c - a cluster of rqlite as a store: what it refuses, opening and closing (bulk.h runs the batches)
 *
 * Experimental. What needs a connection of SQLite's own has no place there, and is refused with the reason: hooks, calls, pragmas, a reader's
 * connection; a synchronous below full, for a cluster knows of no other; and limits, which a node would not keep.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "queue/record.h"
#include "writer/kind.h"
#include "writer/rqlite/bulk.h"

/* What the rules about answers were found with. */
#define VERSION "8"

/* Between two attempts to open. */
#define PAUSE_NSEC (20 * PS_NSEC_PER_MSEC)

#define NO_FUNCTIONS "a cluster runs no function of the program: submit statements, or a group of them"

/* A key that limits what statements may do, set to what a node does not keep; or NULL. */
static const char *limit_of(const struct ps_keys *keys)
{
	if (keys->statement_timeout_ms != 0)
		return "statement_timeout_ms";
	if (keys->sql_bytes_max != PS_LENGTH_MAX)
		return "sql_bytes_max";
	if (keys->value_bytes_max != PS_LENGTH_MAX)
		return "value_bytes_max";
	return keys->trusted_schema == 0 ? "trusted_schema" : NULL;
}

static int check(const char *path, const struct ps_options *options)
{
	const char *limit = limit_of(&options->keys);
	struct ps_address address;
	int status;

	if (options->connect_hook != NULL)
		return ps_error(PENSTOCK_CONFIG, "connect_hook: " NO_FUNCTIONS);
	if (options->pragma_count > 0)
		return ps_error(PENSTOCK_CONFIG, "%s: PRAGMA %s is refused: a cluster's nodes have their own settings",
		                options->pragmas[0].origin, options->pragmas[0].name);
	if (options->keys.synchronous < PENSTOCK_SYNCHRONOUS_FULL)
		return ps_error(PENSTOCK_CONFIG, "synchronous: what a cluster has committed is durable; set full, or nothing");
	if (limit != NULL)
		return ps_error(PENSTOCK_CONFIG, "%s: a cluster's nodes have their own limits; leave it out", limit);
	status = ps_address_read(&address, path);
	if (status == PENSTOCK_OK)
		ps_address_free(&address);
	return status;
}

static bool is_version(const char *version)
{
	return strncmp(version, VERSION, strlen(VERSION)) == 0 &&
	       (version[strlen(VERSION)] == '\0' || version[strlen(VERSION)] == '.');
}

/* OK, or CANTOPEN; *locked: it may go well later. */
static int try_cluster(struct ps_cluster *cluster, bool *locked)
{
	*locked = false;
	if (!ps_cluster_find(cluster)) {
		*locked = !cluster->refused;
		return ps_error(PENSTOCK_CANTOPEN, "the cluster cannot be used: %s", cluster->reason);
	}
	if (!is_version(cluster->http.version))
		return ps_error(PENSTOCK_CANTOPEN, "%s: rqlite " VERSION " is wanted, not \"%s\"", cluster->http.host,
		                cluster->http.version);
	return PENSTOCK_OK;
}

static void free_bulk(struct ps_bulk *bulk)
{
	if (bulk->answer.locale != (locale_t)0)
		freelocale(bulk->answer.locale);
	ps_cluster_destroy(&bulk->cluster);
	ps_request_free(&bulk->request);
	ps_statement_free(&bulk->statement);
	free(bulk->sent);
	free(bulk);
}

static bool goes_on(void *patience)
{
	return !ps_patience_gives_up(patience);
}

static int open_bulk(struct ps_store **store, const char *path, const struct ps_options *options, enum ps_role role,
                     struct ps_patience *patience, bool *locked)
{
	struct timespec pause = ps_timespec(PAUSE_NSEC);
	struct ps_bulk *bulk = calloc(1, sizeof *bulk);
	int status;

	(void)role;
	*store = NULL;
	*locked = false;
	if (bulk == NULL)
		return ps_refuse(PENSTOCK_NOMEM);
	status = ps_cluster_init(&bulk->cluster, path, options->cluster_password);
	if (status != PENSTOCK_OK) {
		free(bulk);
		return status;
	}
	if (patience != NULL) {
		bulk->cluster.http.goes_on = goes_on;
		bulk->cluster.http.arg = patience;
	}
	bulk->answer.locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	status = bulk->answer.locale != (locale_t)0 ? try_cluster(&bulk->cluster, locked) : ps_refuse(PENSTOCK_NOMEM);
	if (status != PENSTOCK_OK) {
		free_bulk(bulk);
		if (*locked)
			nanosleep(&pause, NULL);
		return status;
	}
	*store = (struct ps_store *)bulk;
	return PENSTOCK_OK;
}

static enum ps_copied close_bulk(struct ps_store *store, bool checkpoint)
{
	(void)checkpoint;
	free_bulk((struct ps_bulk *)store);
	return PS_COPIED_ALL;
}

static int probe(const char *path, const struct ps_options *options, bool *locked)
{
	struct ps_store *store;
	int status = open_bulk(&store, path, options, PS_WRITER, NULL, locked);

	if (status == PENSTOCK_OK)
		close_bulk(store, false);
	return status;
}

static int open_reader(const char *path, const struct ps_options *options, sqlite3 **connection)
{
	(void)path;
	(void)options;
	*connection = NULL;
	return ps_error(PENSTOCK_CANTOPEN, "a cluster gives no connection to read with: submit the SELECT");
}

static void say_away(const struct ps_options *options)
{
	ps_log(options, PENSTOCK_EVENT_NO_LEADER,
	       "no node of the cluster takes writes; the writer keeps trying (busy_limit_ms)");
}

const struct ps_store_kind ps_store_rqlite = {
	.check = check,
	.open = open_bulk,
	.probe = probe,
	.open_reader = open_reader,
	.close = close_bulk,
	.run = ps_bulk_run,
	.rest = ps_bulk_rest,
	.no_functions = NO_FUNCTIONS,
	.say_away = say_away,
};

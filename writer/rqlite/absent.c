/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * absent.c - stands in for the cluster's store in a library that was built without it
 */
#include "core/error.h"
#include "writer/kind.h"

static int refuse(const char *path)
{
	return ps_error(PENSTOCK_CANTOPEN, "%s: this library was built without clusters (Meson option rqlite)", path);
}

static int absent_open(struct ps_store **store, const char *path, const struct ps_options *options, enum ps_role role,
                       struct ps_patience *patience, bool *locked)
{
	(void)options;
	(void)role;
	(void)patience;
	*store = NULL;
	*locked = false;
	return refuse(path);
}

static int absent_probe(const char *path, const struct ps_options *options, bool *locked)
{
	(void)options;
	*locked = false;
	return refuse(path);
}

/* No engine comes to be that could ask for the rest. */
const struct ps_store_kind ps_store_rqlite = { .open = absent_open, .probe = absent_probe };

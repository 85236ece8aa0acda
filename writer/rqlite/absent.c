/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * absent.c - stands in for the cluster's store in a library that was built without it
 */
#include "core/error.h"
#include "writer/kind.h"

static int refuse(const char *path, const struct ps_options *options)
{
	(void)path;
	(void)options;
	return ps_error(PENSTOCK_CANTOPEN, "rqlite://: this library was built without clusters (Meson option rqlite)");
}

/* No engine comes to be that could ask for the rest. */
const struct ps_store_kind ps_store_rqlite = { .check = refuse };

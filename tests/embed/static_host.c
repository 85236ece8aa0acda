/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * static_host.c - a program with the static library in it, and with something of its own for each of its internal names
 *
 * The names are made of the library's objects (own_names.awk); whoever calls one of these functions ends the program.
 */
#include <stdio.h>

#include "core/penstock.h"

static void count_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)level;
	(void)event;
	(void)message;
	++*(unsigned *)arg;
}

int main(void)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = "CREATE TABLE t(a)" };
	penstock_config config;
	penstock_handle *handle;
	unsigned said = 0;
	penstock *db;

	penstock_config_init(&config);
	config.log = count_log;
	config.log_arg = &said;
	config.ring_slots = 3; /* rounded, which it says */
	if (penstock_open("static.db", &config, &db) != PENSTOCK_OK ||
	    penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle) != PENSTOCK_OK) {
		fprintf(stderr, "%s\n", penstock_error_message());
		return 1;
	}
	penstock_handle_release(handle);
	return penstock_close(db, PENSTOCK_FOREVER) != PENSTOCK_OK || said == 0;
}

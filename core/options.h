/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - the keys of an engine, resolved
 *
 * One X-macro names every key: its type, default, range, whether it can change while running, and a line of help. The
 * public struct, the configuration file, `penstock config` and the table in docs/tuning.md all follow from it.
 */
#ifndef PENSTOCK_OPTIONS_H
#define PENSTOCK_OPTIONS_H

#include <stdbool.h>

#include "core/penstock.h"

struct ps_pragma {
	char *name;
	char *value;
	char *origin; /* "FILE:LINE", or "config" for one from the struct: where to point when SQLite refuses it */
};

/*
 * Values only: copying the struct copies the keys. A key the caller left PENSTOCK_UNSET and no file set has its default.
 */
struct ps_keys {
	int64_t ring_slots;
	int64_t ring_bytes;
	int64_t batch_max;
	int64_t batch_bytes;
	int64_t batch_usec;
	int64_t linger_usec;
	int64_t when_full;
	int64_t when_paused;
	int64_t when_stopped;
	int64_t autostart;
	int64_t results_timeout_ms;
	int64_t result_bytes_max;
	int64_t synchronous;
	int64_t busy_timeout_ms;
	int64_t busy_limit_ms;
	int64_t wal_bytes_max;
	int64_t statement_cache;
	int64_t writer_cpu;
	int64_t spin_usec;
	int64_t fuse_rows;
	int64_t defensive;
	int64_t follow_symlinks;
	int64_t shared_folder;
	int64_t statement_timeout_ms;
	int64_t sql_bytes_max;
	int64_t value_bytes_max;
	int64_t checkpoint_wait_ms;
	int64_t trusted_schema;
	int64_t turns;
	int64_t leave_wal;
	int64_t checkpoint_thread;
};

struct ps_options {
	struct ps_keys keys;
	int64_t ring_slots_asked;  /* before it was rounded up to a power of two */
	struct ps_pragma *pragmas; /* owned */
	size_t pragma_count;
	penstock_connect_hook *connect_hook;
	void *connect_arg;
	struct ps_hooks *hooks; /* those that came later; owned */
	char *cluster_password; /* or NULL; owned */
	penstock_completion *on_error;
	void *on_error_arg;
	penstock_log *log;
	void *log_arg;
};

/*
 * Resolves a config (NULL: all defaults) into options: the struct over the file over the defaults, each value checked.
 * Returns PENSTOCK_OK, or CONFIG, CANTOPEN, NOMEM or MISUSE with the thread's message set (file and line where it came from
 * a file), and then there is nothing to free.
 */
int ps_options_resolve(struct ps_options *options, const penstock_config *config);
/*
 * Lays the keys set in config over *keys, for penstock_reconfigure: CONFIG when a key that is not live is set, when a
 * value is out of range, or when config carries a file, pragmas, hooks or callbacks; *keys is then unchanged.
 */
int ps_options_overlay(struct ps_keys *keys, const penstock_config *config);
/* A pragma that must not come before the schema is read (trusted_schema). */
bool ps_options_is_late_pragma(const char *name);
void ps_options_free(struct ps_options *options);

#endif

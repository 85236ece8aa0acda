/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * files.h - every file that `penstock tune` makes, and their removal
 *
 * There are two places: a scratch folder below the user's DIR, which holds one database at a time, and a new file beside
 * the one that --out names, which takes that name only when it is whole. Whoever ends the process early calls
 * tune_files_remove, from wherever that is: it only unlinks, so it does not mind an engine that is still at work.
 *
 * A cluster has no scratch folder: its path stands for the database, and what tuning makes there is for the caller to drop.
 *
 *   1. An existing --out is either as it was or the new one, never a part of it.
 *   2. Whether both places can be written is known before anything is measured.
 *
 * SIGKILL and a crash leave the scratch folder, DIR/penstock-tune-XXXXXX, and the new file, OUT.XXXXXX.
 */
#ifndef PENSTOCK_TOOL_TUNE_FILES_H
#define PENSTOCK_TOOL_TUNE_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* Both say what is wrong. Once per process. */
bool tune_files_begin_out(const char *out);
bool tune_files_begin_scratch(const char *folder);
/* Instead of it; the string stays the caller's. */
void tune_files_begin_cluster(const char *path);
/* Whether the database is a cluster. */
bool tune_files_are_cluster(void);

/* The scratch database; there is none yet, or again after tune_files_clear. */
const char *tune_files_database(void);
void tune_files_clear(void);
/* Whether the disk of the scratch folder has no room for more than a last few pages. */
bool tune_files_disk_full(void);

/* Writes --out; says what is wrong. */
bool tune_files_publish(const char *text, size_t bytes);
void tune_files_remove_scratch(void);
/* Whatever is still there. Safe at any time, more than once. */
void tune_files_remove(void);

#endif

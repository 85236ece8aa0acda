/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.h - a disk in memory, with undo
 *
 * Files by number, and three names that lead to them. Every change can be taken back to a mark, whoever made it: a state is
 * laid out over what is permanent, opened by SQLite (which may roll a journal back or checkpoint), and taken back, for the
 * price of the bytes that changed. A hash of all of it is kept up to date by sectors, so that equal states are found.
 *
 * The VFS "crash-disk" opens the three names of any path. It has no shared memory: a database in WAL mode can only be
 * opened with locking_mode=EXCLUSIVE, and then recovers at once, as after a crash.
 */
#ifndef CRASH_DISK_H
#define CRASH_DISK_H

#include "tests/crash/trace.h"

/* Once per process. */
void disk_install(void);
/* An empty disk. weak_sectors: the VFS does not claim that bytes beside a write are safe. */
void disk_clear(bool weak_sectors);

void disk_write(int file, uint64_t offset, const void *data, size_t bytes);
void disk_truncate(int file, uint64_t size);
uint64_t disk_size(int file);
const unsigned char *disk_bytes(int file);
/* file -1: the name is gone. */
void disk_name(enum trace_name name, int file);
int disk_named(enum trace_name name);

size_t disk_mark(void);
void disk_undo(size_t mark);
/* What was done so far cannot be taken back any more. */
void disk_settle(void);

uint64_t disk_hash(void);

#endif

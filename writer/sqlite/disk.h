/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.h - what a file has on the disk, whatever the system's cache holds
 *
 * Read with O_DIRECT, which goes past the cache: pages that are dirty in it are written first, clean ones are not looked at.
 *
 * Invariants
 *   1. Nothing is written, no lock is taken, and the file is never created.
 *   2. Every byte that is handed out was read from the disk. Where that stops (the end, or a block that cannot be read) so does
 *      what is handed out, to the block.
 *
 * A descriptor of its own: to close it drops every POSIX lock that the process holds on the file, so it must be one on which
 * nobody holds any. SQLite's are on the database and on the -shm, never on the -wal.
 *
 * Failure modes: it is not to be had: the file system refuses O_DIRECT (some in memory, on a network, or encrypted), or says
 * that it would read from its cache (STATX_DIOALIGN; ext4 with data=journal), or there is no such file, as under a VFS of the
 * program's own. A file system that reads from its cache and does not say so (files that btrfs compressed; any before Linux
 * 6.1) is believed.
 */
#ifndef PENSTOCK_DISK_H
#define PENSTOCK_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of what is read into, and of where in the file it begins. */
#define PS_DISK_PIECE 65536

struct ps_disk {
	int fd;
	size_t align;
};

/* False: it is not to be had. */
bool ps_disk_open(struct ps_disk *disk, const char *path);
/* A piece; how many of its bytes there are. */
size_t ps_disk_read(struct ps_disk *disk, uint64_t offset, unsigned char *piece);
void ps_disk_close(struct ps_disk *disk);

#endif

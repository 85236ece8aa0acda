/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define USUAL_ALIGN 4096

/* 0: not to be had. */
static size_t find_align(int fd)
{
	size_t align = USUAL_ALIGN;
#ifdef STATX_DIOALIGN
	struct statx info;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 && (info.stx_mask & STATX_DIOALIGN) != 0)
		align = info.stx_dio_offset_align > info.stx_dio_mem_align ? info.stx_dio_offset_align : info.stx_dio_mem_align;
#endif
	return align <= PS_DISK_PIECE ? align : 0;
}

bool ps_disk_open(struct ps_disk *disk, const char *path)
{
	/* No link is followed here either: the name is SQLite's, in the folder where the database is. */
	disk->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
	if (disk->fd < 0)
		return false;
	disk->align = find_align(disk->fd);
	if (disk->align != 0)
		return true;
	ps_disk_close(disk);
	return false;
}

size_t ps_disk_read(struct ps_disk *disk, uint64_t offset, unsigned char *piece)
{
	size_t done = 0, step = PS_DISK_PIECE;

	while (done < PS_DISK_PIECE) {
		ssize_t got = pread(disk->fd, piece + done, step < PS_DISK_PIECE - done ? step : PS_DISK_PIECE - done,
		                    (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && step > disk->align) {
			/* Up to the block that cannot be read. */
			step = disk->align;
			continue;
		}
		if (got <= 0)
			break;
		done += (size_t)got;
		if ((size_t)got % disk->align != 0)
			break;
	}
	return done;
}

void ps_disk_close(struct ps_disk *disk)
{
	close(disk->fd);
}

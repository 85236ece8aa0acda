/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/format.h"

#define MARK_BYTES (sizeof SOURCE_MARK - 1)

static atomic_bool stopped;
static int stop_event = -1;

bool source_stop_init(void)
{
	stop_event = eventfd(0, EFD_CLOEXEC);
	return stop_event >= 0;
}

void source_stop(void)
{
	/* The counter of an eventfd overflows only past 2^64: the first write is enough, and cannot fail. */
	if (!atomic_exchange(&stopped, true))
		eventfd_write(stop_event, 1);
}

bool source_stopped(void)
{
	return atomic_load_explicit(&stopped, memory_order_relaxed);
}

bool source_open(struct source *source, const char *path)
{
	bool standard = strcmp(path, "-") == 0;
	struct stat facts;

	source->name = standard ? "<stdin>" : path;
	source->begun = false;
	source->foreign = NULL;
	source->size = 0;
	atomic_init(&source->taken, 0);
	source->descriptor = standard ? STDIN_FILENO : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (source->descriptor < 0 || fstat(source->descriptor, &facts) != 0)
		return false;
	if (S_ISDIR(facts.st_mode)) {
		errno = EISDIR;
		return false;
	}
	if (S_ISREG(facts.st_mode)) {
		char first[FORMAT_BYTES];
		off_t at = lseek(source->descriptor, 0, SEEK_CUR);
		ssize_t got = pread(source->descriptor, first, sizeof first, at);

		source->size = facts.st_size > at ? (uint64_t)(facts.st_size - at) : 0;
		source->foreign = got > 0 ? format_foreign(first, (size_t)got) : NULL;
	}
	return source->foreign == NULL;
}

const char *source_error(const struct source *source)
{
	return source->foreign != NULL ? source->foreign : strerrordesc_np(errno);
}

void source_close(struct source *source)
{
	if (source->descriptor > STDIN_FILENO)
		close(source->descriptor);
	source->descriptor = STDIN_FILENO;
}

/* One read, after waiting for something to read. */
static ssize_t read_some(struct source *source, char *bytes, size_t room)
{
	struct pollfd ends[2] = {
		{ .fd = source->descriptor, .events = POLLIN },
		{ .fd = stop_event, .events = POLLIN },
	};
	ssize_t got;

	for (;;) {
		if (poll(ends, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (ends[1].revents != 0)
			return SOURCE_STOPPED;
		got = read(source->descriptor, bytes, room);
		if (got > 0)
			atomic_fetch_add_explicit(&source->taken, (uint64_t)got, memory_order_relaxed);
		if (got >= 0 || (errno != EAGAIN && errno != EINTR))
			return got;
	}
}

ssize_t source_read(struct source *source, char *bytes, size_t room)
{
	size_t have = 0;
	ssize_t got;

	if (source->begun)
		return read_some(source, bytes, room);
	/* The mark may come byte by byte: read on as long as this can be one. */
	do {
		got = read_some(source, bytes + have, room - have);
		if (got < 0)
			return got;
		have += (size_t)got;
	} while (got > 0 && have < MARK_BYTES && memcmp(bytes, SOURCE_MARK, have) == 0);
	source->begun = true;
	source->foreign = format_foreign(bytes, have);
	if (source->foreign != NULL)
		return -1;
	if (have < MARK_BYTES || memcmp(bytes, SOURCE_MARK, MARK_BYTES) != 0)
		return (ssize_t)have;
	if (have == MARK_BYTES)
		return read_some(source, bytes, room);
	memmove(bytes, bytes + MARK_BYTES, have - MARK_BYTES);
	return (ssize_t)(have - MARK_BYTES);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - a descriptor that is readable from a raise to the next drain, for who waits with poll (Linux: an eventfd)
 *
 * It has two ends. The reader's is the program's to wait on. The other one is a descriptor that only the library knows: who raises
 * may be late, when the reader's end is closed and its number is another file's.
 *
 * Neither call blocks, or is a cancellation point that acts.
 */
#ifndef PENSTOCK_EVENT_H
#define PENSTOCK_EVENT_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/thread.h"

struct ps_event {
	int reader; /* -1: closed */
	int raiser;
};

/* False: errno says why. */
static inline bool ps_event_open(struct ps_event *event)
{
	int saved;

	event->reader = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event->reader < 0)
		return false;
	event->raiser = fcntl(event->reader, F_DUPFD_CLOEXEC, 0);
	if (event->raiser >= 0)
		return true;
	saved = errno;
	close(event->reader);
	errno = saved;
	return false;
}

static inline void ps_event_close_reader(struct ps_event *event)
{
	close(event->reader);
	event->reader = -1;
}

static inline void ps_event_close_raiser(struct ps_event *event)
{
	PS_NO_CANCEL;
	int saved = errno;

	close(event->raiser);
	errno = saved;
}

/* False: it is not readable for that, and never was with a descriptor that nobody has closed. */
static inline bool ps_event_raise(struct ps_event *event)
{
	PS_NO_CANCEL;
	const uint64_t one = 1;
	int saved = errno;
	ssize_t written;
	bool raised;

	do {
		written = write(event->raiser, &one, sizeof one);
	} while (written < 0 && errno == EINTR);
	/* EAGAIN: the program has written to it, up to the brim. */
	raised = written == (ssize_t)sizeof one || errno == EAGAIN;
	errno = saved;
	return raised;
}

static inline void ps_event_drain(struct ps_event *event)
{
	int saved = errno;
	uint64_t count;

	while (read(event->reader, &count, sizeof count) < 0 && errno == EINTR)
		continue;
	errno = saved;
}

#endif

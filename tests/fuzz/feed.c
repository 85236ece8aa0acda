/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <poll.h>
#include <sys/types.h>

/* The names that meson.build gives read and poll in tool/source.c. */
ssize_t feed_read(int descriptor, void *bytes, size_t room);
int feed_poll(struct pollfd *ends, nfds_t count, int timeout);

static const uint8_t *at;
static size_t left;
static uint8_t pattern;
static uint32_t state;

void feed_begin(uint8_t how, const uint8_t *data, size_t size)
{
	at = data;
	left = size;
	pattern = how;
	state = how + 1u;
}

bool feed_fails(uint8_t how)
{
	return (how & FEED_ERROR) != 0;
}

static uint32_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

ssize_t feed_read(int descriptor, void *bytes, size_t room)
{
	size_t piece = left;

	(void)descriptor;
	if (left == 0 && feed_fails(pattern)) {
		errno = EIO;
		return -1;
	}
	if (pattern == FEED_BYTES) {
		piece = 1;
	} else if (pattern != FEED_WHOLE) {
		if (next_random() % 8 == 0) {
			errno = next_random() % 2 == 0 ? EINTR : EAGAIN;
			return -1;
		}
		/* Mostly small: what matters happens around the cut. */
		piece = next_random() % 4 == 0 ? next_random() % 512 + 1 : next_random() % 8 + 1;
	}
	piece = piece < left ? piece : left;
	piece = piece < room ? piece : room;
	if (piece > 0)
		memcpy(bytes, at, piece);
	at += piece;
	left -= piece;
	return (ssize_t)piece;
}

int feed_poll(struct pollfd *ends, nfds_t count, int timeout)
{
	(void)timeout;
	if (pattern != FEED_WHOLE && pattern != FEED_BYTES && next_random() % 16 == 0) {
		errno = EINTR;
		return -1;
	}
	for (nfds_t i = 0; i < count; i++)
		ends[i].revents = i == 0 ? POLLIN : 0;
	return 1;
}

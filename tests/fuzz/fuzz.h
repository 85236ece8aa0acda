/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what the fuzz targets share
 *
 * Each target is a libFuzzer program: it is given bytes, derives something to do from them, and checks what comes of it
 * against a second opinion (named at the top of each file), so that a wrong answer counts as much as a crash. AddressSanitizer
 * and UndefinedBehaviorSanitizer watch, and libFuzzer reports leaks and hangs.
 *
 * For the inputs of the command, tool/source.c is compiled with its read and poll renamed to those of feed.c: they hand out
 * the bytes in pieces of changing size, with an interrupted or an empty call in between, and maybe an error at the end. The first
 * byte of such an input chooses how; the rest is the file, so that an input can be read and written by hand.
 */
#ifndef PENSTOCK_FUZZ_H
#define PENSTOCK_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

#define must(condition, ...)                                                                         \
	do {                                                                                         \
		if (!(condition)) {                                                                  \
			fprintf(stderr, "%s:%d: %s does not hold.", __FILE__, __LINE__, #condition); \
			fprintf(stderr, " " __VA_ARGS__);                                            \
			fputc('\n', stderr);                                                         \
			abort();                                                                     \
		}                                                                                    \
	} while (0)

/* libFuzzer's entry. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How feed.c cuts an input: by the first byte. */
#define FEED_WHOLE '0'  /* in one piece */
#define FEED_BYTES '1'  /* byte by byte */
#define FEED_ERROR 0x80 /* this bit: a read error ends it */
/* Any other byte: pieces of changing size, with EINTR and EAGAIN in between. */

/* The next source_read of any source reads these bytes. */
void feed_begin(uint8_t how, const uint8_t *data, size_t size);
/* Whether the input is to end with an error. */
bool feed_fails(uint8_t how);

#endif

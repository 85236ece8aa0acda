/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/place.h"

#include <stdlib.h>
#include <string.h>

#define LINE_BITS 48
#define LINE_MASK ((UINT64_C(1) << LINE_BITS) - 1)
#define PACKED (UINT64_C(1) << 63)

_Static_assert(sizeof(void *) == 8, "a place needs a 64-bit pointer");

struct kept {
	uint64_t place;
	size_t bytes;
	char text[];
};

void *place_pack(size_t number, uint64_t line)
{
	return (void *)(uintptr_t)(PACKED | (uint64_t)number << LINE_BITS | (line & LINE_MASK));
}

void *place_keep(size_t number, uint64_t line, const char *text, size_t bytes)
{
	struct kept *kept = malloc(sizeof *kept + bytes + 1);

	if (kept == NULL)
		return place_pack(number, line);
	kept->place = (uintptr_t)place_pack(number, line);
	kept->bytes = bytes;
	memcpy(kept->text, text, bytes);
	kept->text[bytes] = '\0';
	return kept;
}

static const struct kept *kept_of(const void *arg)
{
	return ((uintptr_t)arg & PACKED) != 0 ? NULL : arg;
}

static uint64_t packed(const void *arg)
{
	const struct kept *kept = kept_of(arg);

	return (kept != NULL ? kept->place : (uintptr_t)arg) & ~PACKED;
}

size_t place_input(const void *arg)
{
	return (size_t)(packed(arg) >> LINE_BITS);
}

uint64_t place_line(const void *arg)
{
	return packed(arg) & LINE_MASK;
}

const char *place_text(const void *arg, size_t *bytes)
{
	const struct kept *kept = kept_of(arg);

	*bytes = kept != NULL ? kept->bytes : 0;
	return kept != NULL ? kept->text : NULL;
}

void *place_copy(const void *arg)
{
	size_t bytes;
	const char *text = place_text(arg, &bytes);

	return text != NULL ? place_keep(place_input(arg), place_line(arg), text, bytes)
	                    : place_pack(place_input(arg), place_line(arg));
}

void place_free(void *arg)
{
	if (kept_of(arg) != NULL)
		free(arg);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static unsigned long hash_bytes(const char *data, size_t bytes)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
	return (unsigned long)hash;
}

struct ps_text ps_text_of(const char *data, size_t bytes)
{
	return (struct ps_text){ .data = data, .bytes = bytes, .hash = hash_bytes(data, bytes) };
}

static unsigned long stored_hash(const void *object, unsigned long seed)
{
	(void)seed;
	return ((const struct ps_text *)object)->hash;
}

static bool is_equal(const void *one, const void *other)
{
	const struct ps_text *a = one, *b = other;

	return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

static void *set_malloc(size_t bytes)
{
	return malloc(bytes);
}

static void set_free(void *memory, size_t bytes, bool defer)
{
	(void)bytes;
	(void)defer; /* one thread at a time reads it */
	free(memory);
}

static struct ck_malloc set_memory = { .malloc = set_malloc, .free = set_free };

bool ps_text_set_init(ck_hs_t *set, size_t capacity)
{
	/* ck_hs grows when it is half full. */
	return ck_hs_init(set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT | CK_HS_MODE_DELETE, stored_hash, is_equal, &set_memory,
	                  capacity * 2 + 16, 0);
}

void ps_text_set_destroy(ck_hs_t *set)
{
	ck_hs_destroy(set);
}

struct ps_text *ps_text_set_get(ck_hs_t *set, const struct ps_text *text)
{
	return ck_hs_get(set, text->hash, text);
}

bool ps_text_set_put(ck_hs_t *set, struct ps_text *text)
{
	return ck_hs_put(set, text->hash, text);
}

void ps_text_set_remove(ck_hs_t *set, const struct ps_text *text)
{
	ck_hs_remove(set, text->hash, text);
}

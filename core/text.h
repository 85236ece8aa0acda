/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.h - sets of texts, found by their bytes
 *
 * A ck_hs hash set whose objects are struct ps_text, each a part of what it stands for. Used by one thread at a time.
 *
 * Failure modes: without memory a text is not put in; the set stays as it was.
 */
#ifndef PENSTOCK_TEXT_H
#define PENSTOCK_TEXT_H

#include <ck_hs.h>
#include <stdbool.h>
#include <stddef.h>

struct ps_text {
	const char *data; /* the owner's */
	size_t bytes;
	unsigned long hash;
};

struct ps_text ps_text_of(const char *data, size_t bytes);

/* capacity: how many fit before it grows. False: out of memory. */
bool ps_text_set_init(ck_hs_t *set, size_t capacity);
void ps_text_set_destroy(ck_hs_t *set);
/* The one in the set with the same bytes, or NULL. */
struct ps_text *ps_text_set_get(ck_hs_t *set, const struct ps_text *text);
/* `text` lives until it is removed, and none with the same bytes is there. False: out of memory. */
bool ps_text_set_put(ck_hs_t *set, struct ps_text *text);
void ps_text_set_remove(ck_hs_t *set, const struct ps_text *text);

#endif

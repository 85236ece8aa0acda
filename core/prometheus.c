/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/prometheus.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"

/* The most that one character of a label's value is written as. */
#define UNIT_BYTES 4

static void put(struct ps_exposition *to, const char *bytes, size_t count)
{
	if (to->text != NULL)
		memcpy(to->text + to->used, bytes, count);
	if (__builtin_add_overflow(to->used, count, &to->used))
		to->used = SIZE_MAX;
}

static void put_text(struct ps_exposition *to, const char *text)
{
	put(to, text, strlen(text));
}

/* ---- labels ---- */

/* The bytes of the character of UTF-8 that begins here; 0: none does. (Unicode 15, table 3-7.) */
static size_t character(const unsigned char *at)
{
	size_t bytes = *at < 0x80 ? 1 : *at < 0xC2 ? 0 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : *at < 0xF5 ? 4 : 0, i;

	for (i = 1; i < bytes; i++) {
		if ((at[i] & 0xC0) != 0x80) /* the text's NUL too */
			return 0;
	}
	/* Longer than need be, a surrogate, or beyond the last character. */
	if ((*at == 0xE0 && at[1] < 0xA0) || (*at == 0xED && at[1] > 0x9F) || (*at == 0xF0 && at[1] < 0x90) ||
	    (*at == 0xF4 && at[1] > 0x8F))
		return 0;
	return bytes;
}

/* The next character of a label's value as it is written, and *at behind it. Returns its bytes; 0 at the end. */
static size_t next_unit(const char **at, char unit[UNIT_BYTES])
{
	static const char replacement[] = "\xEF\xBF\xBD";
	size_t bytes = character((const unsigned char *)*at);

	if (**at == '\0')
		return 0;
	if (bytes == 0) {
		memcpy(unit, replacement, strlen(replacement));
		*at += 1;
		return strlen(replacement);
	}
	if (**at == '\\' || **at == '"' || **at == '\n') {
		unit[0] = '\\';
		unit[1] = **at == '\n' ? 'n' : **at;
		*at += 1;
		return 2;
	}
	memcpy(unit, *at, bytes);
	*at += bytes;
	return bytes;
}

bool ps_exposition_same(const char *value, const char *other)
{
	char unit[UNIT_BYTES], other_unit[UNIT_BYTES];
	size_t bytes;

	do {
		bytes = next_unit(&value, unit);
		if (next_unit(&other, other_unit) != bytes || memcmp(unit, other_unit, bytes) != 0)
			return false;
	} while (bytes != 0);
	return true;
}

static void put_label(struct ps_exposition *to, const char *key, const char *value)
{
	char unit[UNIT_BYTES];
	size_t bytes;

	put_text(to, key);
	put_text(to, "=\"");
	while ((bytes = next_unit(&value, unit)) != 0)
		put(to, unit, bytes);
	put_text(to, "\"");
}

/* ---- lines ---- */

void ps_exposition_head(struct ps_exposition *to, const char *name, const char *type, const char *help)
{
	put_text(to, "# HELP ");
	put_text(to, name);
	put_text(to, " ");
	put_text(to, help);
	put_text(to, "\n# TYPE ");
	put_text(to, name);
	put_text(to, " ");
	put_text(to, type);
	put_text(to, "\n");
}

void ps_exposition_sample(struct ps_exposition *to, const char *name, const char *suffix, const char *engine)
{
	put_text(to, name);
	put_text(to, suffix);
	put_text(to, "{");
	put_label(to, "engine", engine);
}

void ps_exposition_label(struct ps_exposition *to, const char *key, const char *value)
{
	put_text(to, ",");
	put_label(to, key, value);
}

void ps_exposition_format(char text[PS_EXPOSITION_NUMBER_BYTES], uint64_t number, bool nsec)
{
	if (nsec)
		snprintf(text, PS_EXPOSITION_NUMBER_BYTES, "%" PRIu64 ".%09" PRIu64, number / PS_NSEC_PER_SEC,
		         number % PS_NSEC_PER_SEC);
	else
		snprintf(text, PS_EXPOSITION_NUMBER_BYTES, "%" PRIu64, number);
}

void ps_exposition_value(struct ps_exposition *to, uint64_t number, bool nsec)
{
	char text[PS_EXPOSITION_NUMBER_BYTES];

	ps_exposition_format(text, number, nsec);
	put_text(to, "} ");
	put_text(to, text);
	put_text(to, "\n");
}

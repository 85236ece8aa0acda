/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/json.h"

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* A message may quote a path, which need not be UTF-8, but JSON must be. */
static bool is_utf8(const char *text)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before;
	bool valid;

	if (utf8 == (locale_t)0)
		return false;
	before = uselocale(utf8);
	valid = mbstowcs(NULL, text, 0) != (size_t)-1;
	uselocale(before);
	freelocale(utf8);
	return valid;
}

void json_string(FILE *out, const char *text)
{
	bool utf8 = is_utf8(text);

	putc('"', out);
	for (; *text != '\0'; text++) {
		if (!utf8 && (unsigned char)*text >= 0x80)
			putc('?', out);
		else if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", (unsigned)*text);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			putc(*text, out);
	}
	putc('"', out);
}

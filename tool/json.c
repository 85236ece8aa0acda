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

void json_string(const char *text)
{
	bool utf8 = is_utf8(text);

	putchar('"');
	for (; *text != '\0'; text++) {
		if (!utf8 && (unsigned char)*text >= 0x80)
			putchar('?');
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", (unsigned)*text);
		else if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

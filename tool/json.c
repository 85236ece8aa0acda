/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/json.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* A text may hold NUL bytes, and a path or a database what is no UTF-8, but JSON must be. */
void json_text(FILE *out, const char *text, size_t bytes)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;

	putc('"', out);
	while (bytes > 0) {
		unsigned char first = (unsigned char)*text;
		mbstate_t state = { 0 };
		size_t length = first < 0x80 ? 1 : mbrlen(text, bytes, &state);

		if (first < ' ')
			fprintf(out, "\\u%04x", (unsigned)first);
		else if (first == '"' || first == '\\')
			fprintf(out, "\\%c", first);
		else if (length > bytes)
			fputs("\\ufffd", out);
		else
			fwrite(text, 1, length, out);
		length = length > bytes ? 1 : length;
		text += length;
		bytes -= length;
	}
	putc('"', out);
	if (utf8 == (locale_t)0)
		return;
	uselocale(before);
	freelocale(utf8);
}

void json_string(FILE *out, const char *text)
{
	json_text(out, text, strlen(text));
}

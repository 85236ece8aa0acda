/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/format.h"

#include <stdbool.h>
#include <string.h>

#define UTF16 "this is UTF-16; convert it first, as by: iconv -f UTF-16 -t UTF-8"

/* UTF-16 without a mark: ASCII is then every second byte. */
static bool alternates(const char *bytes, size_t count)
{
	return count >= 4 && ((bytes[0] != 0 && bytes[1] == 0 && bytes[2] != 0 && bytes[3] == 0) ||
	                      (bytes[0] == 0 && bytes[1] != 0 && bytes[2] == 0 && bytes[3] != 0));
}

const char *format_foreign(const char *bytes, size_t count)
{
	static const struct {
		const char *mark;
		size_t bytes;
		const char *sentence;
	} formats[] = {
		{ "\xFF\xFE", 2, UTF16 },
		{ "\xFE\xFF", 2, UTF16 },
		{ "\x1F\x8B", 2, "this is compressed by gzip; unpack it first, as by: zcat FILE | penstock run DB -" },
		{ "BZh", 3, "this is compressed by bzip2; unpack it first, as by: bzcat FILE | penstock run DB -" },
		{ "\xFD"
		  "7zXZ",
		  5, "this is compressed by xz; unpack it first, as by: xzcat FILE | penstock run DB -" },
		{ "\x28\xB5\x2F\xFD", 4,
		  "this is compressed by zstd; unpack it first, as by: zstdcat FILE | penstock run DB -" },
		{ "PK\x03\x04", 4, "this is a ZIP archive (or a spreadsheet); unpack it, or save it as CSV, first" },
		{ "SQLite format 3", 16, "this is an SQLite database; make SQL of it first, as by: sqlite3 FILE .dump" },
		{ "PGDMP", 5, "this is a dump of PostgreSQL's own format; make SQL of it first, as by: pg_restore -f -" },
	};
	size_t i;

	for (i = 0; i < sizeof formats / sizeof *formats; i++)
		if (count >= formats[i].bytes && memcmp(bytes, formats[i].mark, formats[i].bytes) == 0)
			return formats[i].sentence;
	return alternates(bytes, count) ? UTF16 : NULL;
}

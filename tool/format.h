/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * format.h - input that is no text, named for what it is
 *
 * Read as SQL or CSV, a compressed file or one of UTF-16 gives a fault for each of its lines, and none of them helps. So the first
 * bytes of an input are compared with the marks that such files begin with.
 */
#ifndef PENSTOCK_TOOL_FORMAT_H
#define PENSTOCK_TOOL_FORMAT_H

#include <stddef.h>

/* As many bytes as are looked at. */
#define FORMAT_BYTES 16

/* What the input is, and what to do with it, by its first bytes, as a sentence; NULL: it may be text. Static. */
const char *format_foreign(const char *bytes, size_t count);

#endif

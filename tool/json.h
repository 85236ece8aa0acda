/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - texts in the JSON that goes to standard output
 */
#ifndef PENSTOCK_TOOL_JSON_H
#define PENSTOCK_TOOL_JSON_H

#include <stdio.h>

/* Prints it quoted; each byte that is no UTF-8 as U+FFFD. */
void json_text(FILE *out, const char *text, size_t bytes);
/* Up to its NUL. */
void json_string(FILE *out, const char *text);

#endif

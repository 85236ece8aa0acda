/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - texts in the JSON that goes to standard output
 */
#ifndef PENSTOCK_TOOL_JSON_H
#define PENSTOCK_TOOL_JSON_H

#include <stdio.h>

/* Prints it quoted; bytes that are no UTF-8 as '?'. */
void json_string(FILE *out, const char *text);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * place.h - where a submission comes from, carried in its `arg`
 *
 * Input and line go into the pointer itself, 15 bits for the one and 48 for the other: so nothing is allocated per statement. Where
 * --rejects wants the text of what fails, the pointer is that of a copy instead, with the place before it; the 64th bit tells the two
 * apart, since no address of a program has it. Whoever gets the outcome frees the copy. One of an outcome that never comes is lost
 * with the process.
 */
#ifndef PENSTOCK_TOOL_PLACE_H
#define PENSTOCK_TOOL_PLACE_H

#include <stddef.h>
#include <stdint.h>

#define PLACE_INPUTS_MAX 32767

/* number: the input's, from 0. */
void *place_pack(size_t number, uint64_t line);
/* The same with a copy of the text, or without where there is no memory for it. */
void *place_keep(size_t number, uint64_t line, const char *text, size_t bytes);

size_t place_input(const void *arg);
uint64_t place_line(const void *arg);
/* The copy, *bytes long, or NULL. */
const char *place_text(const void *arg, size_t *bytes);
/* The same place, with its text where there is memory for that. */
void *place_copy(const void *arg);
void place_free(void *arg);

#endif

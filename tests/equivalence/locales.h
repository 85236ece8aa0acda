/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * locales.h - a locale other than C, for as long as a round lasts
 *
 * Where it is not installed it is compiled with localedef, from the sources that the system has, into the test's own folder
 * (glibc looks there by LOCPATH). Where these are missing too, it cannot be had.
 */
#ifndef PENSTOCK_EQUIVALENCE_LOCALES_H
#define PENSTOCK_EQUIVALENCE_LOCALES_H

#include <stdbool.h>

/* Whether the process has it now; `name` is LANGUAGE.CHARSET. Not while another thread runs. */
bool locale_enter(const char *name);
/* Back to C. */
void locale_leave(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.h - the report as one page, DIR/index.html
 *
 * It holds everything it shows: pictures inline, style inline, nothing fetched. Beside it lie the pictures as files of
 * their own, FAMILY.svg (and FAMILY-narrow.svg), for other pages, and context.txt, which says where and how they were made.
 */
#ifndef PENSTOCK_BENCH_PAGE_H
#define PENSTOCK_BENCH_PAGE_H

#include <stdbool.h>

/* Makes the folder unless it is there; before anything is measured for nothing. False: it said why. */
bool bench_page_prepare(const char *folder);
/* False: it said why. */
bool bench_page_write(const char *folder);

#endif

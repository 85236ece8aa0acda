/* SPDX-License-Identifier: BSD-2-Clause */
/* The inline functions of the public header, as functions of the library: for callers that cannot read C headers. */
#define PENSTOCK_INLINE_HERE
/* Their prototypes are their definitions. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include "core/penstock.h"

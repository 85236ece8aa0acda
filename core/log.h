/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - what the engine says, through the caller's callback; silent without one
 *
 * The level is looked at, and the message formatted, only when there is somebody to hear it.
 */
#ifndef PENSTOCK_LOG_H
#define PENSTOCK_LOG_H

#include "core/options.h"

/* The level is the event's. */
void ps_log(const struct ps_options *options, enum penstock_event event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif

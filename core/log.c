/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/thread.h"

static enum penstock_log_level level_of(enum penstock_event event)
{
	switch (event) {
#define LEVEL(name, number, level, sentence) \
	case number:                         \
		return PENSTOCK_LOG_##level;
		PENSTOCK_EVENT_LIST(LEVEL)
#undef LEVEL
	}
	return PENSTOCK_LOG_ERROR;
}

const char *penstock_event_name(int event)
{
	switch (event) {
#define NAME(name, number, level, sentence) \
	case number:                        \
		return "PENSTOCK_EVENT_" #name;
		PENSTOCK_EVENT_LIST(NAME)
#undef NAME
	}
	return "PENSTOCK_EVENT_?";
}

void ps_log(const struct ps_options *options, enum penstock_event event, const char *format, ...)
{
	char message[1024];
	va_list arguments;

	if (options->log == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	ps_callback_begin();
	options->log(options->log_arg, level_of(event), event, message);
	ps_callback_end();
}

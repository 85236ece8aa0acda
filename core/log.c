#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/thread.h"

void ps_log(const struct ps_options *options, enum penstock_log_level level, const char *format, ...)
{
	char message[1024];
	va_list arguments;

	if (options->log == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	ps_callback_begin();
	options->log(options->log_arg, level, message);
	ps_callback_end();
}

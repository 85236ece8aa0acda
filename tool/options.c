/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 1024
#define PRAGMA_PREFIX "pragmas."

enum options_parsed options_init(struct options *options, int argc, char **argv)
{
	memset(options, 0, sizeof *options);
	options->command = argv[0];
	options->ack = PENSTOCK_ACK_COMMITTED;
	penstock_config_init(&options->config);
	/* No list can be longer than the command line. */
	options->pragmas = calloc((size_t)argc + 1, sizeof *options->pragmas);
	options->settings = calloc((size_t)argc + 1, sizeof *options->settings);
	if (options->pragmas == NULL || options->settings == NULL)
		return options_wrong(options, "out of memory");
	options->config.pragmas = options->pragmas;
	return OPTIONS_GOOD;
}

void options_free(struct options *options)
{
	free(options->pragmas);
	free(options->settings);
}

/* After getopt has said what. */
static enum options_parsed unknown(const struct options *options)
{
	fprintf(stderr, "Try '%s --help'.\n", options->command);
	return OPTIONS_WRONG;
}

enum options_parsed options_wrong(const struct options *options, const char *format, ...)
{
	va_list list;

	fprintf(stderr, "%s: ", options->command);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	putc('\n', stderr);
	return unknown(options);
}

static enum options_parsed take_ack(struct options *options, const char *text)
{
	static const struct {
		const char *name;
		penstock_ack ack;
	} levels[] = {
		{ "none", PENSTOCK_ACK_NONE },
		{ "committed", PENSTOCK_ACK_COMMITTED },
		{ "durable", PENSTOCK_ACK_DURABLE },
	};
	size_t i;

	for (i = 0; i < sizeof levels / sizeof *levels; i++)
		if (strcmp(text, levels[i].name) == 0) {
			options->ack = levels[i].ack;
			return OPTIONS_GOOD;
		}
	return options_wrong(options, "--ack %s: no such level; it is none, committed or durable", text);
}

static enum options_parsed take_threads(struct options *options, const char *text)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < 1 || number > THREADS_MAX)
		return options_wrong(options, "--threads %s: not a number from 1 to %d", text, THREADS_MAX);
	options->threads = number;
	return OPTIONS_GOOD;
}

static enum options_parsed take_set(struct options *options, char *text)
{
	char *equals = strchr(text, '=');

	if (equals == NULL || equals == text)
		return options_wrong(options, "--set %s: not of the form key=value", text);
	*equals = '\0';
	if (strncmp(text, PRAGMA_PREFIX, strlen(PRAGMA_PREFIX)) == 0) {
		penstock_pragma *pragma = &options->pragmas[options->config.pragma_count++];

		pragma->struct_size = sizeof *pragma;
		pragma->name = text + strlen(PRAGMA_PREFIX);
		pragma->value = equals + 1;
		return OPTIONS_GOOD;
	}
	if (penstock_config_set(&options->config, text, equals + 1) != PENSTOCK_OK)
		return options_wrong(options, "--set %s=%s: %s", text, equals + 1, penstock_error_message());
	options->settings[options->setting_count++] = (struct options_setting){ text, equals + 1 };
	return OPTIONS_GOOD;
}

enum options_parsed options_take(struct options *options, int option, char *text)
{
	switch (option) {
	case OPTIONS_THREADS:
		return take_threads(options, text);
	case OPTIONS_ACK:
		return take_ack(options, text);
	case OPTIONS_SET:
		return take_set(options, text);
	case OPTIONS_CONFIG:
		options->config.config_file = text;
		return OPTIONS_GOOD;
	case OPTIONS_JSON:
		options->json = true;
		return OPTIONS_GOOD;
	case OPTIONS_QUIET:
		options->quiet = true;
		return OPTIONS_GOOD;
	default:
		return unknown(options);
	}
}

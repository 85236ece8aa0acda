/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_file.c - between the file's bytes and inih
 *
 * The file is read whole; inih then asks next_line for one line at a time, calls on_setting for what it finds there,
 * and asks for the next one. The line that next_line gave last is therefore the line of the setting, which this inih
 * does not tell. Once something is wrong next_line answers end of file, so the line stays that of the error.
 */
#include "core/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

#define FILE_BYTES_MAX (1 << 20)
#define LINE_DIGITS 16 /* ":", a number and the terminator */

struct source {
	const char *path;
	char *text;
	size_t bytes;
	size_t at; /* start of the next line */
	int line;  /* the one given last, from 1 */
	char *origin;
	size_t origin_bytes;
	int status;
	ps_setting_function *function;
	void *context;
};

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static bool is_text(char byte)
{
	return (unsigned char)byte >= ' ' ? byte != 0x7f : byte == '\t';
}

/* inih does not tell of a section before its first setting, and drops what stands behind the bracket. */
static int check_section(const struct source *source, const char *line, const char *end)
{
	const char *bracket = memchr(line, ']', end - line);
	const char *name = line + 1;
	const char *rest;
	int length;

	if (bracket == NULL)
		return PENSTOCK_OK; /* inih's own syntax error */
	length = bracket - name;
	if (!(length == 8 && memcmp(name, "penstock", 8) == 0) && !(length == 7 && memcmp(name, "pragmas", 7) == 0) &&
	    !(length == 7 && memcmp(name, "cluster", 7) == 0))
		return ps_error(PENSTOCK_CONFIG, "%s: unknown section [%.*s]; there are [penstock], [pragmas] and [cluster]",
		                source->origin, length, name);
	for (rest = bracket + 1; rest < end && is_blank(*rest); rest++)
		;
	if (rest < end && *rest != ';' && *rest != '#')
		return ps_error(PENSTOCK_CONFIG, "%s: text behind [%.*s]; a setting needs its own line", source->origin, length,
		                name);
	return PENSTOCK_OK;
}

static bool begins_with_mark(const char *text, const char *end)
{
	return end - text >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0; /* U+FEFF */
}

/* room counts the line end and the terminator that inih wants to see. */
static int check_line(const struct source *source, const char *line, const char *end, int room)
{
	const char *byte;

	for (byte = line; byte < end; byte++) {
		if (!is_text(*byte))
			return ps_error(PENSTOCK_CONFIG, "%s: byte 0x%02x is not text; the file has to be UTF-8 text",
			                source->origin, (unsigned char)*byte);
	}
	/* inih would skip it in the first line, behind blanks and behind another one. */
	if (begins_with_mark(line, end))
		return ps_error(PENSTOCK_CONFIG, "%s: a byte order mark that is not at the beginning of the file",
		                source->origin);
	if (end - line > room - 2)
		return ps_error(PENSTOCK_CONFIG, "%s: the line has %td bytes; at most %d are possible", source->origin,
		                end - line, room - 2);
	return line < end && *line == '[' ? check_section(source, line, end) : PENSTOCK_OK;
}

/* An ini_reader, like fgets, but for whole lines without indentation. */
static char *next_line(char *buffer, int room, void *stream)
{
	struct source *source = stream;
	const char *line = source->text + source->at;
	const char *end;

	if (source->status != PENSTOCK_OK || source->at == source->bytes)
		return NULL;
	end = memchr(line, '\n', source->bytes - source->at);
	if (end == NULL) {
		end = source->text + source->bytes;
		source->at = source->bytes;
	} else {
		source->at = end + 1 - source->text;
	}
	source->line++;
	snprintf(source->origin, source->origin_bytes, "%s:%d", source->path, source->line);

	while (line < end && is_blank(*line))
		line++;
	while (end > line && is_blank(end[-1]))
		end--;
	source->status = check_line(source, line, end, room);
	if (source->status != PENSTOCK_OK)
		return NULL;
	memcpy(buffer, line, end - line);
	memcpy(buffer + (end - line), "\n", 2);
	return buffer;
}

static int on_setting(void *user, const char *section, const char *name, const char *value)
{
	struct source *source = user;
	struct ps_setting setting = {
		.pragma = strcmp(section, "pragmas") == 0,
		.cluster = strcmp(section, "cluster") == 0,
		.name = name,
		.value = value != NULL ? value : "", /* NULL: a lone name, with ini_allow_no_value */
		.origin = source->origin,
		.line = source->line,
	};

	source->status = source->function(source->context, &setting);
	return source->status == PENSTOCK_OK;
}

/* A FIFO would hold up whoever opens it until somebody writes into it, perhaps for ever. */
static int open_file(const char *path, FILE **file)
{
	int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat info;

	*file = NULL;
	if (descriptor >= 0 && fstat(descriptor, &info) == 0) {
		if (S_ISFIFO(info.st_mode)) {
			close(descriptor);
			return ps_error(PENSTOCK_CANTOPEN, "the configuration file %s is a pipe; it has to be a file", path);
		}
		*file = fdopen(descriptor, "r");
	}
	if (*file == NULL) {
		int reason = errno;

		if (descriptor >= 0)
			close(descriptor);
		return ps_error(PENSTOCK_CANTOPEN, "cannot open the configuration file %s: %s", path, strerror(reason));
	}
	return PENSTOCK_OK;
}

static int load(struct source *source)
{
	FILE *file;
	int status = open_file(source->path, &file);

	if (status != PENSTOCK_OK)
		return status;
	source->text = malloc(FILE_BYTES_MAX + 1);
	if (source->text == NULL) {
		fclose(file);
		return ps_refuse(PENSTOCK_NOMEM);
	}
	source->bytes = fread(source->text, 1, FILE_BYTES_MAX + 1, file);
	if (ferror(file)) {
		int reason = errno;

		fclose(file);
		return ps_error(PENSTOCK_CANTOPEN, "cannot read the configuration file %s: %s", source->path, strerror(reason));
	}
	fclose(file);
	if (source->bytes > FILE_BYTES_MAX)
		return ps_error(PENSTOCK_CONFIG, "%s: larger than 1 MiB, which is no configuration file", source->path);
	if (begins_with_mark(source->text, source->text + source->bytes))
		source->at = 3;
	return PENSTOCK_OK;
}

static int parse(struct source *source)
{
	int syntax;

	source->origin_bytes = strlen(source->path) + LINE_DIGITS;
	source->origin = malloc(source->origin_bytes);
	if (source->origin == NULL)
		return ps_refuse(PENSTOCK_NOMEM);
	syntax = ini_parse_stream(next_line, source, on_setting, source);
	if (syntax < 0)
		return ps_refuse(PENSTOCK_NOMEM);
	/* inih reads on behind a line that it does not understand: an error of ours may be on a later line. */
	if (syntax > 0 && (source->status == PENSTOCK_OK || syntax < source->line))
		return ps_error(PENSTOCK_CONFIG, "%s:%d: neither 'key = value' nor '[section]'", source->path, syntax);
	return source->status;
}

int ps_config_file_read(const char *path, ps_setting_function *function, void *context)
{
	struct source source = { .path = path, .function = function, .context = context };
	int status = load(&source);

	if (status == PENSTOCK_OK)
		status = parse(&source);
	free(source.origin);
	free(source.text);
	return status;
}

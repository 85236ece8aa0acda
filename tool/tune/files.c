/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tool/report.h"

#define DATABASE "/scratch.db"
#define ENDING_BYTES 16
#define DISK_LEFT ((unsigned long long)1 << 20)
/* More than the configuration takes, unless what is given is very long. */
#define OUT_BYTES ((off_t)16 << 10)

static const char *out;
static char *out_new; /* while it has not become out */
static int out_descriptor = -1;
static char *scratch;
static const char *cluster;
static char *database; /* with ENDING_BYTES to spare */

/* Whoever may not read the old file may not read the new one. */
static mode_t out_mode(const struct stat *old)
{
	mode_t mask;

	if (old != NULL)
		return old->st_mode & 0777;
	mask = umask(0);
	umask(mask);
	return 0666 & ~mask;
}

bool tune_files_begin_out(const char *path)
{
	struct stat facts;
	bool is_there = stat(path, &facts) == 0;
	int reason;

	out = path;
	if (is_there && !S_ISREG(facts.st_mode)) {
		report_say("--out %s: there is something that is not a file; name one", path);
		return false;
	}
	/* Renaming would get round a read-only file. */
	if (is_there && access(path, W_OK) != 0) {
		report_say("--out %s: cannot be written: %s; name another file", path, strerror(errno));
		return false;
	}
	if (asprintf(&out_new, "%s.XXXXXX", path) < 0) {
		out_new = NULL;
		report_say("out of memory");
		return false;
	}
	out_descriptor = mkostemp(out_new, O_CLOEXEC);
	if (out_descriptor < 0) {
		report_say("--out %s: cannot be written: %s; name a file in a folder that is there and writable", path,
		           strerror(errno));
		free(out_new);
		out_new = NULL;
		return false;
	}
	fchmod(out_descriptor, out_mode(is_there ? &facts : NULL));
	reason = posix_fallocate(out_descriptor, 0, OUT_BYTES);
	if (reason != 0)
		report_say("--out %s: cannot be written: %s; name a file on a disk with room for it", path, strerror(reason));
	return reason == 0;
}

bool tune_files_begin_scratch(const char *folder)
{
	/* SQLite takes a name that begins with "file:" for a URI, and so for another file. */
	const char *here = folder[0] == '/' ? "" : "./";
	size_t bytes = strlen(here) + strlen(folder) + sizeof "/penstock-tune-XXXXXX";

	scratch = malloc(bytes);
	database = malloc(bytes + sizeof DATABASE + ENDING_BYTES);
	if (scratch == NULL || database == NULL) {
		report_say("out of memory");
	} else {
		snprintf(scratch, bytes, "%s%s/penstock-tune-XXXXXX", here, folder);
		if (mkdtemp(scratch) != NULL) {
			snprintf(database, bytes + sizeof DATABASE, "%s" DATABASE, scratch);
			return true;
		}
		report_say("cannot make a scratch folder in '%s': %s; name a folder that is there and writable", folder,
		           strerror(errno));
	}
	free(scratch);
	free(database);
	scratch = NULL;
	database = NULL;
	return false;
}

void tune_files_begin_cluster(const char *path)
{
	cluster = path;
}

bool tune_files_are_cluster(void)
{
	return cluster != NULL;
}

const char *tune_files_database(void)
{
	return cluster != NULL ? cluster : database;
}

void tune_files_clear(void)
{
	static const char *const endings[] = { "-penstock", "-journal", "-wal", "-shm", "" };
	size_t length, i;

	if (cluster != NULL)
		return;
	length = strlen(database);
	for (i = 0; i < sizeof endings / sizeof *endings; i++) {
		strcpy(database + length, endings[i]);
		unlink(database);
	}
}

bool tune_files_disk_full(void)
{
	struct statvfs facts;

	return cluster == NULL && statvfs(scratch, &facts) == 0 &&
	       (unsigned long long)facts.f_bavail * facts.f_frsize < DISK_LEFT;
}

static bool write_all(const char *text, size_t bytes)
{
	off_t whole = (off_t)bytes;
	ssize_t done;

	while (bytes > 0) {
		done = write(out_descriptor, text, bytes);
		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			text += done;
			bytes -= (size_t)done;
		}
	}
	return ftruncate(out_descriptor, whole) == 0 && fsync(out_descriptor) == 0;
}

bool tune_files_publish(const char *text, size_t bytes)
{
	if (!write_all(text, bytes) || rename(out_new, out) != 0) {
		report_say("--out %s: cannot be written: %s", out, strerror(errno));
		return false;
	}
	free(out_new);
	out_new = NULL;
	return true;
}

void tune_files_remove_scratch(void)
{
	if (scratch == NULL)
		return;
	tune_files_clear();
	rmdir(scratch);
}

void tune_files_remove(void)
{
	tune_files_remove_scratch();
	if (out_new != NULL)
		unlink(out_new);
}

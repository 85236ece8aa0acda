/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plugin_host.c - Penstock as a plugin of a host whose other libraries have used up the static TLS block
 *
 *     plugin_host LIBRARY HOG...
 *
 * Each HOG is loaded again and again, as a file of its own each time, until the loader has no room for one more; they are
 * named largest first, so that in the end less is left than the last one takes. Then LIBRARY is loaded and used, by a
 * thread that was there before and by one that begins afterwards.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/penstock.h"

static int (*open_engine)(const char *, const penstock_config *, penstock **);
static int (*execute)(penstock *, const penstock_submission *, int64_t, penstock_handle **);
static void (*release)(penstock_handle *);
static int (*close_engine)(penstock *, int64_t);
static const char *(*error_message)(void);

static penstock *db;
static sem_t opened;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static bool load_copy(const char *library)
{
	int from = open(library, O_RDONLY | O_CLOEXEC), to = memfd_create("hog", MFD_CLOEXEC);
	char path[64];
	struct stat file;

	if (from < 0 || to < 0 || fstat(from, &file) != 0 || sendfile(to, from, NULL, (size_t)file.st_size) != file.st_size)
		fail(library, "cannot be copied");
	close(from);
	/* The descriptor stays: its name is how the loader knows it from the others. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", to);
	if (dlopen(path, RTLD_NOW) != NULL)
		return true;
	if (strstr(dlerror(), "static TLS") == NULL)
		fail(library, "does not load, for another reason");
	return false;
}

static void *function(void *library, const char *name)
{
	void *found = dlsym(library, name);

	if (found == NULL)
		fail("dlsym", dlerror());
	return found;
}

static void run(const char *sql)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = sql };
	penstock_handle *handle;

	if (execute(db, &submission, PENSTOCK_FOREVER, &handle) != PENSTOCK_OK)
		fail(sql, error_message());
	release(handle);
	/* The thread's message has its own place. */
	submission.sql = "no statement";
	if (execute(db, &submission, PENSTOCK_FOREVER, &handle) != PENSTOCK_ERROR || strstr(error_message(), "syntax") == NULL)
		fail("a wrong statement", error_message());
	release(handle);
}

static void *before(void *arg)
{
	(void)arg;
	sem_wait(&opened);
	run("INSERT INTO t VALUES(1)");
	return NULL;
}

static void *after(void *arg)
{
	(void)arg;
	run("INSERT INTO t VALUES(2)");
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned hogs = 0;
	pthread_t threads[2];
	void *library;
	int i;

	if (argc < 3)
		fail("usage", "plugin_host LIBRARY HOG...");
	sem_init(&opened, 0, 0);
	pthread_create(&threads[0], NULL, before, NULL);
	for (i = 2; i < argc; i++)
		while (load_copy(argv[i]))
			hogs++;
	library = dlopen(argv[1], RTLD_NOW);
	if (library == NULL)
		fail("dlopen", dlerror());
	*(void **)&open_engine = function(library, "penstock_open");
	*(void **)&execute = function(library, "penstock_execute");
	*(void **)&release = function(library, "penstock_handle_release");
	*(void **)&close_engine = function(library, "penstock_close");
	*(void **)&error_message = function(library, "penstock_error_message");
	if (open_engine("plugin.db", NULL, &db) != PENSTOCK_OK)
		fail("penstock_open", error_message());
	run("CREATE TABLE t(a)");
	sem_post(&opened);
	pthread_create(&threads[1], NULL, after, NULL);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (close_engine(db, PENSTOCK_FOREVER) != PENSTOCK_OK)
		fail("penstock_close", error_message());
	printf("%u hogs\n", hogs);
	return 0;
}

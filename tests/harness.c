/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/harness.h"

#include <dirent.h>
#include <ftw.h>
#include <pthread.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAK_CHECK
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define LEAK_CHECK
#endif
#ifdef LEAK_CHECK
#include <sanitizer/lsan_interface.h>
#endif

static char folder[256];
static char paths[16][384];
static unsigned path_count;

bool harness_is_checkpoint_thread(void)
{
	char name[16];

	return pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strncmp(name, "pc", 2) == 0;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
	(void)info;
	(void)kind;
	(void)walk;
	return remove(path);
}

const char *harness_make_folder(void)
{
	const char *base = getenv("TMPDIR");

	if (folder[0] == '\0') {
		snprintf(folder, sizeof folder, "%s/penstock-test-XXXXXX", base != NULL ? base : "/tmp");
		if (mkdtemp(folder) == NULL) {
			perror(folder);
			abort();
		}
	}
	return folder;
}

const char *harness_path(const char *name)
{
	char *path = paths[path_count++ % (sizeof paths / sizeof paths[0])];

	snprintf(path, sizeof paths[0], "%s/%s", harness_make_folder(), name);
	return path;
}

void harness_end(void)
{
	if (folder[0] != '\0')
		nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	folder[0] = '\0';
#ifdef LEAK_CHECK
	if (__lsan_do_recoverable_leak_check() != 0)
		abort();
#endif
}

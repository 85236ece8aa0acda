/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK)
#define MODE_BITS (S_IRWXU | S_IRWXG | S_IRWXO)

/* How often it may be removed between two looks before that is given up. */
#define ATTEMPTS 10

static CDS_LIST_HEAD(all);
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

/* ---- fork ---- */

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&mutex);
}

static void after_fork_in_child(void)
{
	struct ps_beside *beside;

	cds_list_for_each_entry (beside, &all, link) {
		close(beside->fd);
		beside->fd = -1;
	}
	CDS_INIT_LIST_HEAD(&all);
	pthread_mutex_unlock(&mutex);
}

static void setup(void)
{
	ready = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

/* ---- opening ---- */

/* 0, or an errno. */
static int check(int fd, const struct stat *database)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return errno;
	/* Another name of it may be that of a file of the user's, which somebody wants to have changed. */
	if (!S_ISREG(info.st_mode) || info.st_nlink > 1)
		return EPERM;
	return info.st_uid == geteuid() || info.st_uid == 0 || info.st_uid == database->st_uid ? 0 : EPERM;
}

/* Also of one that was there: whoever made it may have died before, and the database may have another mode by now. */
static void take_after(int fd, const struct stat *database)
{
	mode_t mode = database->st_mode & MODE_BITS;
	struct stat info;

	if (fstat(fd, &info) != 0)
		return;
	if (geteuid() == 0 && (info.st_uid != database->st_uid || info.st_gid != database->st_gid) &&
	    fchown(fd, database->st_uid, database->st_gid) != 0)
		return;
	if (info.st_uid == geteuid() && (info.st_mode & MODE_BITS) != mode)
		(void)fchmod(fd, mode);
}

/* A descriptor, or -1 and an errno. */
static int open_or_create(const char *name)
{
	int fd = -1;

	for (unsigned i = 0; i < ATTEMPTS && fd < 0; i++) {
		fd = open(name, NAME_FLAGS);
		if (fd >= 0 || errno != ENOENT)
			break;
		fd = open(name, NAME_FLAGS | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	return fd;
}

static int enter(struct ps_beside *beside, int *opened)
{
	struct stat database;
	int error;

	if (stat(beside->database, &database) != 0)
		return errno;
	*opened = open_or_create(beside->name);
	if (*opened < 0)
		return errno;
	error = check(*opened, &database);
	if (error != 0)
		return error;
	take_after(*opened, &database);
	return 0;
}

/* Entered in the list as it is opened: a child made in between would keep the descriptor. */
static int open_file(struct ps_beside *beside)
{
	int fd = -1, error;

	pthread_once(&once, setup);
	if (!ready)
		return ENOMEM;
	pthread_mutex_lock(&mutex);
	error = enter(beside, &fd);
	if (error == 0) {
		beside->fd = fd;
		cds_list_add(&beside->link, &all);
	} else if (fd >= 0) {
		close(fd);
	}
	pthread_mutex_unlock(&mutex);
	return error;
}

static void close_file(struct ps_beside *beside)
{
	pthread_mutex_lock(&mutex);
	if (beside->fd >= 0) {
		cds_list_del(&beside->link);
		close(beside->fd);
		beside->fd = -1;
	}
	pthread_mutex_unlock(&mutex);
}

int ps_beside_open(struct ps_beside *beside, const char *database)
{
	*beside = (struct ps_beside){ .fd = -1, .database = strdup(database) };
	if (beside->database == NULL || asprintf(&beside->name, "%s%s", database, PS_BESIDE_SUFFIX) < 0) {
		beside->name = NULL;
		return ENOMEM;
	}
	return open_file(beside);
}

int ps_beside_reopen(struct ps_beside *beside)
{
	close_file(beside);
	return beside->name == NULL ? ENOMEM : open_file(beside);
}

void ps_beside_close(struct ps_beside *beside)
{
	close_file(beside);
	free(beside->name);
	free(beside->database);
	beside->name = beside->database = NULL;
}

bool ps_beside_is_current(const struct ps_beside *beside)
{
	struct stat named, opened;

	return beside->fd >= 0 && stat(beside->name, &named) == 0 && fstat(beside->fd, &opened) == 0 &&
	       named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/* ---- locks ---- */

/* Of a call that has failed. */
static enum ps_beside_lock why_not(int error)
{
	if (error == EAGAIN || error == EACCES)
		return PS_BESIDE_BUSY;
	/* Anything else may be so for this process alone. */
	return error == EINVAL || error == EOPNOTSUPP || error == ENOSYS ? PS_BESIDE_NO_LOCKS : PS_BESIDE_NOT_TOLD;
}

static enum ps_beside_lock set_lock(struct ps_beside *beside, off_t byte, short kind)
{
	struct flock lock = { .l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	if (beside->fd < 0)
		return PS_BESIDE_NO_LOCKS;
	return fcntl(beside->fd, F_OFD_SETLK, &lock) == 0 ? PS_BESIDE_LOCKED : why_not(errno);
}

enum ps_beside_lock ps_beside_lock(struct ps_beside *beside, off_t byte)
{
	return set_lock(beside, byte, F_WRLCK);
}

enum ps_beside_lock ps_beside_share(struct ps_beside *beside, off_t byte)
{
	return set_lock(beside, byte, F_RDLCK);
}

bool ps_beside_unlock(struct ps_beside *beside, off_t byte)
{
	return set_lock(beside, byte, F_UNLCK) != PS_BESIDE_NOT_TOLD;
}

enum ps_beside_lock ps_beside_would_lock(struct ps_beside *beside, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	if (beside->fd < 0)
		return PS_BESIDE_NO_LOCKS;
	if (fcntl(beside->fd, F_OFD_GETLK, &lock) != 0)
		return why_not(errno);
	return lock.l_type == F_UNLCK ? PS_BESIDE_LOCKED : PS_BESIDE_BUSY;
}

bool ps_beside_is_locked(struct ps_beside *beside, off_t byte)
{
	return ps_beside_would_lock(beside, byte) == PS_BESIDE_BUSY;
}

bool ps_beside_is_in_use(struct ps_beside *beside)
{
	/* From there to whatever end. */
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = PS_BESIDE_CHECKPOINT };

	return beside->fd >= 0 && fcntl(beside->fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "writer/sqlite/beside.h"

#define PRIVATE_MODE (S_IRUSR | S_IWUSR)

char *ps_path_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int no_memory(const char *path)
{
	return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
}

int ps_path_explain(const char *path, bool create, int system_errno, const char *sqlite_message)
{
	struct stat info;
	char *folder;
	int status;

	if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
		return ps_error(PENSTOCK_CANTOPEN, "%s is a folder; name a database file in it", path);
	if (stat(path, &info) == 0)
		return ps_error(PENSTOCK_CANTOPEN, "%s cannot be opened: %s; check that this user may read and write it", path,
		                system_errno != 0 ? strerror(system_errno) : sqlite_message);
	if (!create)
		return ps_error(PENSTOCK_CANTOPEN, "%s is gone: %s; put it back", path, strerror(errno));
	folder = ps_path_folder(path);
	if (folder == NULL)
		return no_memory(path);
	if (stat(folder, &info) != 0)
		status = ps_error(PENSTOCK_CANTOPEN, "%s cannot be created: the folder %s: %s; create it first", path, folder,
		                  strerror(errno));
	else if (!S_ISDIR(info.st_mode))
		status = ps_error(PENSTOCK_CANTOPEN, "%s cannot be created: %s is not a folder", path, folder);
	else
		status = ps_error(PENSTOCK_CANTOPEN, "%s cannot be created in %s: %s", path, folder,
		                  system_errno != 0 ? strerror(system_errno) : sqlite_message);
	free(folder);
	return status;
}

bool ps_path_is_plain(const char *path)
{
	return path[0] != ':' && strncmp(path, "file:", strlen("file:")) != 0;
}

/* An empty file is a new database. 0: it is there; or an errno. */
static int create_file(const char *file)
{
	struct stat info;

	if (mknod(file, S_IFREG | PRIVATE_MODE, 0) != 0)
		return errno == EEXIST ? 0 : errno;
	/* A umask may have taken more away. */
	if (lstat(file, &info) != 0)
		return errno;
	if ((info.st_mode & ALLPERMS) == PRIVATE_MODE)
		return 0;
	return fchmodat(AT_FDCWD, file, PRIVATE_MODE, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

/* The path with its folder resolved, and with `follow` all of it, if it leads anywhere. NULL: errno says why. */
static char *resolve(const char *path, bool follow)
{
	const char *slash = strrchr(path, '/');
	char *whole = follow ? realpath(path, NULL) : NULL;
	char *folder, *resolved;

	if (whole != NULL)
		return whole;
	folder = ps_path_folder(path);
	if (folder == NULL)
		return NULL;
	resolved = realpath(folder, NULL);
	free(folder);
	if (resolved == NULL)
		return NULL;
	if (asprintf(&whole, "%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, slash != NULL ? slash + 1 : path) < 0)
		whole = NULL;
	free(resolved);
	return whole;
}

int ps_path_refuse_link(const char *path)
{
	return ps_error(PENSTOCK_CANTOPEN,
	                "%s is a symbolic link, which is not followed; name the file itself, or set follow_symlinks=yes", path);
}

static int check_file(const char *path, const char *file, const struct ps_options *options)
{
	struct stat info;

	if (lstat(file, &info) != 0 || !S_ISLNK(info.st_mode))
		return PENSTOCK_OK;
	if (!options->keys.follow_symlinks)
		return ps_path_refuse_link(path);
	return ps_error(PENSTOCK_CANTOPEN, "%s is a symbolic link that leads nowhere; create the file that it should lead to",
	                path);
}

static bool is_trusted(uid_t user)
{
	return user == geteuid() || user == 0;
}

/* The umask of many a user lets the group write, whose only member that user is; so the group of this process may. */
static const char *who_else_may_write(const struct stat *folder)
{
	if (!is_trusted(folder->st_uid))
		return "belongs to another user";
	if ((folder->st_mode & S_ISVTX) != 0)
		return NULL;
	if ((folder->st_mode & S_IWOTH) != 0)
		return "can be written to by everybody";
	if ((folder->st_mode & S_IWGRP) != 0 && folder->st_gid != getegid())
		return "can be written to by another group";
	return NULL;
}

/* Where everybody may put files, though nobody may take those of others away (/tmp). */
static int check_owners(const char *path, const char *file)
{
	static const char *const beside[] = { "", "-wal", "-shm", "-journal", PS_BESIDE_SUFFIX };
	struct stat info;
	char *name;
	bool theirs;

	for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
		if (asprintf(&name, "%s%s", file, beside[i]) < 0)
			return no_memory(path);
		theirs = lstat(name, &info) == 0 && !is_trusted(info.st_uid);
		free(name);
		if (theirs)
			return ps_error(PENSTOCK_CANTOPEN,
			                "%s%s belongs to another user, who may have put it there; remove it, or set "
			                "shared_folder=yes",
			                path, beside[i]);
	}
	return PENSTOCK_OK;
}

int ps_path_check_folder(const char *path, const char *file, const struct ps_options *options)
{
	const char *fault;
	struct stat info;
	char *folder;
	int found;

	if (options->keys.shared_folder)
		return PENSTOCK_OK;
	folder = ps_path_folder(file);
	if (folder == NULL)
		return no_memory(path);
	found = stat(folder, &info);
	free(folder);
	if (found != 0)
		return ps_path_explain(path, true, errno, "");
	fault = who_else_may_write(&info);
	if (fault != NULL)
		return ps_error(PENSTOCK_CANTOPEN,
		                "%s is refused: its folder %s; use a folder of this user's own (chmod go-w), or set "
		                "shared_folder=yes",
		                path, fault);
	return (info.st_mode & (S_IWOTH | S_IWGRP)) != 0 ? check_owners(path, file) : PENSTOCK_OK;
}

int ps_path_find(const char *path, const struct ps_options *options, bool create, char **place)
{
	char *file;
	int status, reason;

	*place = NULL;
	if (!ps_path_is_plain(path)) {
		*place = strdup(path);
		return *place != NULL ? PENSTOCK_OK : no_memory(path);
	}
	file = resolve(path, options->keys.follow_symlinks != 0);
	if (file == NULL)
		return errno == ENOMEM ? no_memory(path) : ps_path_explain(path, create, errno, "");
	status = check_file(path, file, options);
	if (status == PENSTOCK_OK)
		status = ps_path_check_folder(path, file, options);
	if (status == PENSTOCK_OK && create) {
		reason = create_file(file);
		if (reason != 0)
			status = ps_path_explain(path, create, reason, "");
	}
	if (status == PENSTOCK_OK)
		*place = file;
	else
		free(file);
	return status;
}

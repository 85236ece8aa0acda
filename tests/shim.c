/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/shim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct shim_file_object {
	sqlite3_file base;
	enum shim_file kind;
	const char *name; /* SQLite's, for as long as the file is open */
	int last_errno;
	sqlite3_file *real;
};

static sqlite3_vfs *below;
static shim_watcher *watch;

int shim_natural_code(enum shim_call call)
{
	static const int codes[] = {
#define SHIM_CALL_CODE(name, code) code,
		SHIM_CALL_LIST(SHIM_CALL_CODE)
#undef SHIM_CALL_CODE
	};

	return codes[call];
}

const char *shim_call_name(enum shim_call call)
{
	static const char *const names[] = {
#define SHIM_CALL_NAME(name, code) #name,
		SHIM_CALL_LIST(SHIM_CALL_NAME)
#undef SHIM_CALL_NAME
	};

	return names[call];
}

bool shim_is_commit_frame(const struct shim_event *event)
{
	/* Its second word is the database's size when the frame ends a transaction, else 0. */
	return event->call == SHIM_WRITE && event->file == SHIM_WAL && event->bytes == 24 &&
	       memcmp((const char *)event->data + 4, "\0\0\0\0", 4) != 0;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct shim_file_object *)file)->real;
}

_Atomic int shim_errno = EIO;

static void note_errno(sqlite3_file *file, int code)
{
	struct shim_file_object *shim = (struct shim_file_object *)file;

	/* The index of a log has none; nor has a disk that is full. */
	if (file != NULL)
		shim->last_errno = (code & 0xff) == SQLITE_IOERR ? shim_errno : 0;
}

/* Shows the event, makes the call unless it is to fail, and shows the event again. */
#define PASS(file, event, real_call)                                  \
	do {                                                          \
		int code_ = watch(&(event));                          \
		if (code_ != SQLITE_OK && code_ != SHIM_SKIP) {       \
			note_errno(file, code_);                      \
			return code_;                                 \
		}                                                     \
		code_ = code_ == SHIM_SKIP ? SQLITE_OK : (real_call); \
		if (code_ == SQLITE_OK) {                             \
			(event).after = true;                         \
			watch(&(event));                              \
		}                                                     \
		return code_;                                         \
	} while (0)

static struct shim_event event_of(enum shim_call call, sqlite3_file *file)
{
	const struct shim_file_object *shim = (struct shim_file_object *)file;

	return (struct shim_event){ .call = call, .file = shim->kind, .name = shim->name };
}

static int shim_close(sqlite3_file *file)
{
	struct shim_event event = event_of(SHIM_CLOSE, file);
	int told = watch(&event);
	int code = real_of(file)->pMethods->xClose(real_of(file));

	/* Closed all the same, as a descriptor is. */
	return told != SQLITE_OK ? told : code;
}

static int read_below(sqlite3_file *file, void *data, int bytes, sqlite3_int64 offset)
{
	int code = real_of(file)->pMethods->xRead(real_of(file), data, bytes, offset);

	if (code == SQLITE_IOERR_SHORT_READ)
		note_errno(file, SQLITE_OK);
	return code;
}

static int shim_read(sqlite3_file *file, void *data, int bytes, sqlite3_int64 offset)
{
	struct shim_event event = event_of(SHIM_READ, file);

	event.bytes = bytes;
	event.offset = offset;
	PASS(file, event, read_below(file, data, bytes, offset));
}

static int shim_write(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 offset)
{
	struct shim_event event = event_of(SHIM_WRITE, file);

	event.data = data;
	event.bytes = bytes;
	event.offset = offset;
	PASS(file, event, real_of(file)->pMethods->xWrite(real_of(file), data, bytes, offset));
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct shim_event event = event_of(SHIM_TRUNCATE, file);

	PASS(file, event, real_of(file)->pMethods->xTruncate(real_of(file), size));
}

static int shim_sync(sqlite3_file *file, int flags)
{
	struct shim_event event = event_of(SHIM_SYNC, file);

	PASS(file, event, real_of(file)->pMethods->xSync(real_of(file), flags));
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct shim_event event = event_of(SHIM_SIZE, file);

	PASS(file, event, real_of(file)->pMethods->xFileSize(real_of(file), size));
}

static int shim_lock(sqlite3_file *file, int level)
{
	struct shim_event event = event_of(SHIM_LOCK, file);

	PASS(file, event, real_of(file)->pMethods->xLock(real_of(file), level));
}

static int shim_unlock(sqlite3_file *file, int level)
{
	struct shim_event event = event_of(SHIM_UNLOCK, file);

	PASS(file, event, real_of(file)->pMethods->xUnlock(real_of(file), level));
}

static int shim_reserved(sqlite3_file *file, int *result)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), result);
}

static int shim_control(sqlite3_file *file, int operation, void *arg)
{
	int code;

	if (operation == SQLITE_FCNTL_LAST_ERRNO && shim_errno == -1)
		return SQLITE_NOTFOUND;
	code = real_of(file)->pMethods->xFileControl(real_of(file), operation, arg);
	if (operation == SQLITE_FCNTL_LAST_ERRNO && code == SQLITE_OK && *(int *)arg == 0)
		*(int *)arg = ((struct shim_file_object *)file)->last_errno;
	return code;
}

static int shim_sector(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

bool shim_weak_sectors;

static int shim_device(sqlite3_file *file)
{
	int claims = real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));

	return shim_weak_sectors ? claims & ~SQLITE_IOCAP_POWERSAFE_OVERWRITE : claims;
}

/* Whether the index of the log is shorter than that. */
static bool is_shorter(const char *database, long long bytes)
{
	char name[4096];
	struct stat info;

	snprintf(name, sizeof name, "%s-shm", database);
	return stat(name, &info) != 0 || info.st_size < bytes;
}

static int shim_shm_map(sqlite3_file *file, int page, int bytes, int extend, void volatile **memory)
{
	struct shim_event event = event_of(SHIM_SHM_MAP, file);

	event.flags = event.name != NULL && is_shorter(event.name, (page + 1LL) * bytes);
	PASS(NULL, event, real_of(file)->pMethods->xShmMap(real_of(file), page, bytes, extend, memory));
}

static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	struct shim_event event = event_of((flags & SQLITE_SHM_LOCK) != 0 ? SHIM_SHM_LOCK : SHIM_SHM_UNLOCK, file);

	event.offset = offset;
	event.bytes = count;
	event.flags = flags;
	PASS(NULL, event, real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags));
}

static void shim_shm_barrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_shm_unmap(sqlite3_file *file, int remove_it)
{
	return real_of(file)->pMethods->xShmUnmap(real_of(file), remove_it);
}

static int shim_fetch(sqlite3_file *file, sqlite3_int64 offset, int bytes, void **page)
{
	return real_of(file)->pMethods->xFetch(real_of(file), offset, bytes, page);
}

void (*shim_in_checkpoint)(void);

static int shim_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
	if (page == NULL && shim_in_checkpoint != NULL)
		shim_in_checkpoint();
	return real_of(file)->pMethods->xUnfetch(real_of(file), offset, page);
}

static sqlite3_io_methods methods = {
	.iVersion = 3,
	.xClose = shim_close,
	.xRead = shim_read,
	.xWrite = shim_write,
	.xTruncate = shim_truncate,
	.xSync = shim_sync,
	.xFileSize = shim_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_reserved,
	.xFileControl = shim_control,
	.xSectorSize = shim_sector,
	.xDeviceCharacteristics = shim_device,
	.xShmMap = shim_shm_map,
	.xShmLock = shim_shm_lock,
	.xShmBarrier = shim_shm_barrier,
	.xShmUnmap = shim_shm_unmap,
	.xFetch = shim_fetch,
	.xUnfetch = shim_unfetch,
};

void shim_say_version(int version)
{
	methods.iVersion = version;
}

static int open_below(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct shim_file_object *shim = (struct shim_file_object *)file;
	int code = vfs->xOpen(vfs, name, shim->real, flags, out_flags);

	/* Methods that are set are closed by SQLite, whatever xOpen says. */
	if (shim->real->pMethods != NULL)
		shim->base.pMethods = &methods;
	return code;
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct shim_file_object *shim = (struct shim_file_object *)file;
	struct shim_event event = { .call = SHIM_OPEN, .name = name };

	(void)vfs;
	shim->base.pMethods = NULL;
	shim->name = name;
	shim->last_errno = 0;
	shim->kind = name == NULL                  ? SHIM_TEMP
	             : flags & SQLITE_OPEN_MAIN_DB ? SHIM_MAIN
	             : flags & SQLITE_OPEN_WAL     ? SHIM_WAL
	                                           : SHIM_OTHER;
	shim->real = (sqlite3_file *)(shim + 1);
	shim->real->pMethods = NULL;
	event.file = shim->kind;
	PASS(NULL, event, open_below(below, name, file, flags, out_flags));
}

static enum shim_file file_named(const char *name)
{
	return strstr(name, "-wal") != NULL ? SHIM_WAL : SHIM_OTHER;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	struct shim_event event = { .call = SHIM_DELETE, .file = file_named(name), .name = name };

	(void)vfs;
	PASS(NULL, event, below->xDelete(below, name, sync));
}

static int shim_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
	struct shim_event event = { .call = SHIM_ACCESS, .file = file_named(name), .name = name };

	(void)vfs;
	PASS(NULL, event, below->xAccess(below, name, flags, result));
}

void shim_install(shim_watcher *watcher)
{
	static sqlite3_vfs shim;

	below = sqlite3_vfs_find("unix");
	watch = watcher;
	shim = *below;
	shim.zName = "shim";
	shim.szOsFile = (int)sizeof(struct shim_file_object) + below->szOsFile;
	shim.pNext = NULL;
	shim.xOpen = shim_open;
	shim.xDelete = shim_delete;
	shim.xAccess = shim_access;
	sqlite3_vfs_register(&shim, 1);
}

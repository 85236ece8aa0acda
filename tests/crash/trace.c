/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/crash/trace.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct trace trace;

static struct {
	pthread_mutex_t mutex;
	sqlite3_vfs *real;
	bool on;
	char path[4096];
	struct stat folder;
	int named[TRACE_NAMES]; /* the file under each name, -1: none */
	unsigned fail_at;
	unsigned syncs;
	bool failed;
} shim = { .mutex = PTHREAD_MUTEX_INITIALIZER };

struct shim_file {
	sqlite3_file base;
	int file; /* -1: not recorded */
	enum trace_name name;
	sqlite3_file *real;
};

/* ---- recording ---- */

/* With the mutex held. */
static struct trace_event *add_event(enum trace_kind kind)
{
	struct trace_event *event;

	if (trace.count == trace.capacity) {
		trace.capacity = trace.capacity == 0 ? 1024 : trace.capacity * 2;
		trace.events = realloc(trace.events, trace.capacity * sizeof *trace.events);
		if (trace.events == NULL)
			crash_die("out of memory");
	}
	event = &trace.events[trace.count++];
	memset(event, 0, sizeof *event);
	event->kind = kind;
	return event;
}

static void record(enum trace_kind kind, enum trace_name name, int file, uint64_t offset, const void *data, size_t bytes)
{
	struct trace_event *event;

	pthread_mutex_lock(&shim.mutex);
	if (shim.on) {
		event = add_event(kind);
		event->name = name;
		event->file = file;
		event->offset = offset;
		event->bytes = (uint32_t)bytes;
		event->data = trace.data_bytes;
		while (trace.data_bytes + bytes > trace.data_capacity) {
			trace.data_capacity = trace.data_capacity == 0 ? 1 << 20 : trace.data_capacity * 2;
			trace.data = realloc(trace.data, trace.data_capacity);
			if (trace.data == NULL)
				crash_die("out of memory");
		}
		if (bytes > 0)
			memcpy(trace.data + trace.data_bytes, data, bytes);
		trace.data_bytes += bytes;
	}
	pthread_mutex_unlock(&shim.mutex);
}

size_t trace_add_row(bool durable, bool silent, bool bare)
{
	size_t row;

	pthread_mutex_lock(&shim.mutex);
	row = trace.row_count++;
	if (row >= TRACE_ROWS)
		crash_die("a trace has more than %d rows", TRACE_ROWS);
	trace.rows[row] = (struct trace_row){ .status = -1, .durable = durable, .silent = silent, .bare = bare };
	pthread_mutex_unlock(&shim.mutex);
	return row;
}

void trace_outcome(size_t row, uint64_t order, int status)
{
	struct trace_row *told = &trace.rows[row];

	pthread_mutex_lock(&shim.mutex);
	add_event(TRACE_OUTCOME)->row = row;
	if (told->outcomes++ == 0) {
		told->order = order;
		told->told_at = trace.count - 1;
		told->status = status;
	}
	pthread_mutex_unlock(&shim.mutex);
}

/* ---- the folder ---- */

/*
 * Instead of the C library's, for SQLite and the engine alike. What a file holds need not reach the real disk here; that its
 * folder was synced shows nowhere else.
 */
static int hear_sync(int fd)
{
	struct stat info;

	pthread_mutex_lock(&shim.mutex);
	if (shim.on && fstat(fd, &info) == 0 && info.st_dev == shim.folder.st_dev && info.st_ino == shim.folder.st_ino) {
		add_event(TRACE_SYNC_FOLDER);
		trace.folder_syncs++;
	}
	pthread_mutex_unlock(&shim.mutex);
	return 0;
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	return hear_sync(fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	return hear_sync(fd);
}

/* ---- the VFS ---- */

static struct shim_file *shim_of(sqlite3_file *file)
{
	return (struct shim_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return shim_of(file)->real;
}

static int shim_close(sqlite3_file *file)
{
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int shim_read(sqlite3_file *file, void *data, int bytes, sqlite3_int64 offset)
{
	return real_of(file)->pMethods->xRead(real_of(file), data, bytes, offset);
}

static int shim_write(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 offset)
{
	struct shim_file *written = shim_of(file);
	int code = written->real->pMethods->xWrite(written->real, data, bytes, offset);

	if (code == SQLITE_OK && written->file >= 0)
		record(TRACE_WRITE, written->name, written->file, (uint64_t)offset, data, (size_t)bytes);
	return code;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct shim_file *cut = shim_of(file);
	int code = cut->real->pMethods->xTruncate(cut->real, size);

	if (code == SQLITE_OK && cut->file >= 0)
		record(TRACE_TRUNCATE, cut->name, cut->file, (uint64_t)size, NULL, 0);
	return code;
}

static bool sync_fails(const struct shim_file *file)
{
	bool fails = false;

	pthread_mutex_lock(&shim.mutex);
	if (shim.on && shim.fail_at != 0 && file->name == TRACE_WAL && file->file >= 0 && ++shim.syncs == shim.fail_at) {
		shim.failed = true;
		fails = true;
	}
	pthread_mutex_unlock(&shim.mutex);
	return fails;
}

static int shim_sync(sqlite3_file *file, int flags)
{
	struct shim_file *synced = shim_of(file);
	int code;

	if (sync_fails(synced)) {
		record(TRACE_SYNC_FAILED, synced->name, synced->file, 0, NULL, 0);
		return SQLITE_IOERR_FSYNC;
	}
	code = synced->real->pMethods->xSync(synced->real, flags);
	if (code == SQLITE_OK && synced->file >= 0)
		record(TRACE_SYNC, synced->name, synced->file, 0, NULL, 0);
	return code;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int shim_lock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int shim_reserved(sqlite3_file *file, int *result)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), result);
}

static int shim_control(sqlite3_file *file, int operation, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), operation, arg);
}

static int shim_sector(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int shim_device(sqlite3_file *file)
{
	int claims = real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));

	return trace.weak_sectors ? claims & ~SQLITE_IOCAP_POWERSAFE_OVERWRITE : claims;
}

static int shim_shm_map(sqlite3_file *file, int page, int bytes, int extend, void volatile **memory)
{
	return real_of(file)->pMethods->xShmMap(real_of(file), page, bytes, extend, memory);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_shm_unmap(sqlite3_file *file, int remove_it)
{
	return real_of(file)->pMethods->xShmUnmap(real_of(file), remove_it);
}

/* Version 2: without xFetch nothing is written through a mapping. */
static const sqlite3_io_methods shim_methods = {
	.iVersion = 2,
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
};

static const char *const suffixes[TRACE_NAMES] = { "", "-wal", "-journal" };

const char *trace_suffix(enum trace_name name)
{
	return suffixes[name];
}

/* Which of the three a path is; TRACE_NAMES: none. */
static enum trace_name name_of(const char *path)
{
	size_t length = strlen(shim.path);
	enum trace_name name;

	if (path == NULL || !shim.on || strncmp(path, shim.path, length) != 0)
		return TRACE_NAMES;
	for (name = 0; name < TRACE_NAMES; name++) {
		if (strcmp(path + length, suffixes[name]) == 0)
			break;
	}
	return name;
}

static int shim_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	struct shim_file *opened = shim_of(file);
	int code;

	(void)vfs;
	opened->base.pMethods = NULL;
	opened->real = (sqlite3_file *)(opened + 1);
	opened->name = name_of(path);
	opened->file = -1;
	code = shim.real->xOpen(shim.real, path, opened->real, flags, out_flags);
	if (code != SQLITE_OK)
		return code;
	opened->base.pMethods = &shim_methods;
	if (opened->name == TRACE_NAMES)
		return SQLITE_OK;
	if (shim.named[opened->name] < 0) {
		if (trace.files == TRACE_FILES)
			crash_die("a trace creates more than %d files", TRACE_FILES);
		shim.named[opened->name] = trace.files++;
		record(TRACE_CREATE, opened->name, shim.named[opened->name], 0, NULL, 0);
	}
	opened->file = shim.named[opened->name];
	return SQLITE_OK;
}

static int shim_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
	enum trace_name name = name_of(path);
	int code;

	(void)vfs;
	/* Recorded first: the real call may sync the folder. */
	if (name != TRACE_NAMES && shim.named[name] >= 0 && access(path, F_OK) == 0) {
		record(TRACE_DELETE, name, shim.named[name], 0, NULL, 0);
		shim.named[name] = -1;
	}
	code = shim.real->xDelete(shim.real, path, sync_folder);
	if (code != SQLITE_OK && code != SQLITE_IOERR_DELETE_NOENT)
		crash_die("%s cannot be deleted", path);
	return code;
}

int trace_read_disk(const char *path)
{
	enum trace_name name = name_of(path);

	if (name == TRACE_NAMES || shim.named[name] < 0)
		crash_die("%s is read from the disk, and was never created", path);
	record(TRACE_READ_DISK, name, shim.named[name], random_mix(trace.seed + trace.count), NULL, 0);
	return shim.named[name];
}

void trace_install(void)
{
	static sqlite3_vfs vfs;

	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
	shim.real = sqlite3_vfs_find("unix");
	vfs = *shim.real;
	vfs.zName = "crash-trace";
	vfs.szOsFile = (int)sizeof(struct shim_file) + shim.real->szOsFile;
	vfs.pNext = NULL;
	vfs.xOpen = shim_open;
	vfs.xDelete = shim_delete;
	if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
		crash_die("the recording VFS cannot be registered");
}

void trace_begin(const char *path, uint64_t seed, bool weak_sectors, bool adrift)
{
	char folder[sizeof shim.path];
	enum trace_name name;

	snprintf(shim.path, sizeof shim.path, "%s", path);
	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = '\0';
	if (stat(folder, &shim.folder) != 0)
		crash_die("no folder %s", folder);
	for (name = 0; name < TRACE_NAMES; name++)
		shim.named[name] = -1;
	shim.fail_at = 0;
	shim.syncs = 0;
	shim.failed = false;
	trace.count = 0;
	trace.data_bytes = 0;
	trace.files = 0;
	trace.folder_syncs = 0;
	trace.row_count = 0;
	trace.seed = seed;
	trace.weak_sectors = weak_sectors;
	trace.adrift = adrift;
	shim.on = true;
}

void trace_end(void)
{
	shim.on = false;
	if (trace.folder_syncs == 0)
		crash_die("no sync of the folder was seen: fsync and fdatasync are not ours");
}

void trace_fail_sync(unsigned at)
{
	pthread_mutex_lock(&shim.mutex);
	shim.fail_at = at;
	shim.syncs = 0;
	shim.failed = false;
	pthread_mutex_unlock(&shim.mutex);
}

bool trace_sync_has_failed(void)
{
	bool failed;

	pthread_mutex_lock(&shim.mutex);
	failed = shim.failed;
	pthread_mutex_unlock(&shim.mutex);
	return failed;
}

/* ---- rows ---- */

size_t trace_text(uint64_t seed, size_t row, char *text)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t state = random_mix(seed ^ (row + 1)), word = 0;
	size_t bytes = 8 + crash_below(&state, 100), i;

	/* Now and then one that needs overflow pages. */
	if (crash_chance(&state, 3))
		bytes += 500 + crash_below(&state, TRACE_TEXT_MAX - 700);
	for (i = 0; i < bytes; i++) {
		if (i % 16 == 0)
			word = crash_random(&state);
		text[i] = digits[word & 15];
		word >>= 4;
	}
	return bytes;
}

int64_t trace_sum(const void *text, size_t bytes, size_t row)
{
	const unsigned char *byte = text;
	uint64_t hash = UINT64_C(14695981039346656037) ^ row; /* FNV-1a */
	size_t i;

	for (i = 0; i < bytes; i++)
		hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
	return (int64_t)hash;
}

void trace_describe(const struct trace_event *event, char *text, size_t bytes)
{
	static const char *const files[TRACE_NAMES] = { "main", "-wal", "-journal" };

	switch (event->kind) {
	case TRACE_WRITE:
		snprintf(text, bytes, "write %s %llu+%u", files[event->name], (unsigned long long)event->offset, event->bytes);
		break;
	case TRACE_TRUNCATE:
		snprintf(text, bytes, "truncate %s to %llu", files[event->name], (unsigned long long)event->offset);
		break;
	case TRACE_SYNC:
		snprintf(text, bytes, "sync %s", files[event->name]);
		break;
	case TRACE_SYNC_FAILED:
		snprintf(text, bytes, "sync %s failed", files[event->name]);
		break;
	case TRACE_READ_DISK:
		snprintf(text, bytes, "read %s from the disk", files[event->name]);
		break;
	case TRACE_CREATE:
		snprintf(text, bytes, "create %s", files[event->name]);
		break;
	case TRACE_DELETE:
		snprintf(text, bytes, "delete %s", files[event->name]);
		break;
	case TRACE_SYNC_FOLDER:
		snprintf(text, bytes, "sync the folder");
		break;
	case TRACE_OUTCOME:
		snprintf(text, bytes, "outcome of row %zu: %s%s", event->row,
		         penstock_status_name(trace.rows[event->row].status),
		         trace.rows[event->row].durable ? ", durable" : "");
		break;
	}
}

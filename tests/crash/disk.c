/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/crash/disk.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define FILE_BYTES_MAX (8u << 20)

/* Beyond its size a file's bytes are zero, so growing it needs no filling. */
struct file {
	unsigned char *data;
	uint64_t *hashes; /* of each sector; 0 where nothing was ever written */
	size_t capacity;
	size_t size;
	uint64_t hash; /* of its sectors */
};

/* How to take one change back. Behind it on the stack: the bytes of [offset, offset + bytes), then their sectors' hashes. */
struct undo {
	int file; /* -1: a name */
	int name, named, created;
	size_t offset, bytes;
	size_t size;
	uint64_t hash;
	size_t saved; /* where the bytes lie in the store */
};

static struct {
	struct file files[TRACE_FILES + 8]; /* the last ones for what SQLite creates while it recovers */
	int named[TRACE_NAMES];
	int created;
	bool weak_sectors;
	struct undo *undo;
	size_t undo_count, undo_capacity;
	unsigned char *store;
	size_t store_bytes, store_capacity;
} disk;

#define FILES ((int)(sizeof disk.files / sizeof disk.files[0]))

/* ---- changing ---- */

static void reserve(struct file *file, size_t size)
{
	size_t capacity = file->capacity == 0 ? 64 * SECTOR : file->capacity;

	if (size <= file->capacity)
		return;
	if (size > FILE_BYTES_MAX)
		crash_die("a file grows beyond %u bytes", FILE_BYTES_MAX);
	while (capacity < size)
		capacity *= 2;
	file->data = realloc(file->data, capacity);
	file->hashes = realloc(file->hashes, capacity / SECTOR * sizeof *file->hashes);
	if (file->data == NULL || file->hashes == NULL)
		crash_die("out of memory");
	memset(file->data + file->capacity, 0, capacity - file->capacity);
	memset(file->hashes + file->capacity / SECTOR, 0, (capacity - file->capacity) / SECTOR * sizeof *file->hashes);
	file->capacity = capacity;
}

static struct undo *push_undo(void)
{
	if (disk.undo_count == disk.undo_capacity) {
		disk.undo_capacity = disk.undo_capacity == 0 ? 1024 : disk.undo_capacity * 2;
		disk.undo = realloc(disk.undo, disk.undo_capacity * sizeof *disk.undo);
		if (disk.undo == NULL)
			crash_die("out of memory");
	}
	return &disk.undo[disk.undo_count++];
}

static size_t first_sector(size_t offset)
{
	return offset / SECTOR;
}

static size_t sectors_of(size_t offset, size_t bytes)
{
	return bytes == 0 ? 0 : (offset + bytes - 1) / SECTOR - offset / SECTOR + 1;
}

/* Before a change of [offset, offset + bytes) or of the size. */
static void save(int number, size_t offset, size_t bytes)
{
	struct file *file = &disk.files[number];
	size_t hash_bytes = sectors_of(offset, bytes) * sizeof *file->hashes;
	struct undo *undo = push_undo();

	while (disk.store_bytes + bytes + hash_bytes > disk.store_capacity) {
		disk.store_capacity = disk.store_capacity == 0 ? 1 << 20 : disk.store_capacity * 2;
		disk.store = realloc(disk.store, disk.store_capacity);
		if (disk.store == NULL)
			crash_die("out of memory");
	}
	*undo = (struct undo){ .file = number,
		               .offset = offset,
		               .bytes = bytes,
		               .size = file->size,
		               .hash = file->hash,
		               .saved = disk.store_bytes };
	if (bytes == 0)
		return;
	memcpy(disk.store + disk.store_bytes, file->data + offset, bytes);
	memcpy(disk.store + disk.store_bytes + bytes, file->hashes + first_sector(offset), hash_bytes);
	disk.store_bytes += bytes + hash_bytes;
}

static uint64_t hash_sector(const unsigned char *data, size_t sector)
{
	uint64_t a = sector * UINT64_C(0x9e3779b97f4a7c15) + 1, b = ~a, words[2];
	size_t i;

	for (i = 0; i < SECTOR; i += sizeof words) {
		memcpy(words, data + i, sizeof words);
		a = (a ^ words[0]) * UINT64_C(0xff51afd7ed558ccd);
		b = (b ^ words[1]) * UINT64_C(0xc4ceb9fe1a85ec53);
		a ^= a >> 32;
		b ^= b >> 29;
	}
	return random_mix(a ^ (b << 1 | b >> 63));
}

/* After it. */
static void rehash(struct file *file, size_t offset, size_t bytes)
{
	size_t i = first_sector(offset), end = i + sectors_of(offset, bytes);

	for (; i < end; i++) {
		uint64_t hash = hash_sector(file->data + i * SECTOR, i);

		file->hash ^= file->hashes[i] ^ hash;
		file->hashes[i] = hash;
	}
}

void disk_write(int number, uint64_t offset, const void *data, size_t bytes)
{
	struct file *file = &disk.files[number];

	reserve(file, offset + bytes);
	save(number, offset, bytes);
	memcpy(file->data + offset, data, bytes);
	if (file->size < offset + bytes)
		file->size = offset + bytes;
	rehash(file, offset, bytes);
}

void disk_truncate(int number, uint64_t size)
{
	struct file *file = &disk.files[number];
	size_t cut = file->size > size ? file->size - size : 0;

	reserve(file, size);
	save(number, size, cut);
	if (cut > 0) {
		memset(file->data + size, 0, cut);
		rehash(file, size, cut);
	}
	file->size = size;
}

uint64_t disk_size(int number)
{
	return disk.files[number].size;
}

const unsigned char *disk_bytes(int number)
{
	return disk.files[number].data;
}

void disk_name(enum trace_name name, int file)
{
	*push_undo() = (struct undo){
		.file = -1, .name = (int)name, .named = disk.named[name], .created = disk.created, .saved = disk.store_bytes
	};
	disk.named[name] = file;
}

int disk_named(enum trace_name name)
{
	return disk.named[name];
}

size_t disk_mark(void)
{
	return disk.undo_count;
}

void disk_undo(size_t mark)
{
	while (disk.undo_count > mark) {
		const struct undo *undo = &disk.undo[--disk.undo_count];
		struct file *file;

		disk.store_bytes = undo->saved;
		if (undo->file < 0) {
			disk.named[undo->name] = undo->named;
			disk.created = undo->created;
			continue;
		}
		file = &disk.files[undo->file];
		if (undo->bytes > 0) {
			memcpy(file->data + undo->offset, disk.store + undo->saved, undo->bytes);
			memcpy(file->hashes + first_sector(undo->offset), disk.store + undo->saved + undo->bytes,
			       sectors_of(undo->offset, undo->bytes) * sizeof *file->hashes);
		}
		file->size = undo->size;
		file->hash = undo->hash;
	}
}

void disk_settle(void)
{
	disk.undo_count = 0;
	disk.store_bytes = 0;
}

uint64_t disk_hash(void)
{
	uint64_t hash = 0;
	int name;

	/* What no name leads to nobody can see. */
	for (name = 0; name < TRACE_NAMES; name++) {
		const struct file *file = &disk.files[disk.named[name] < 0 ? 0 : disk.named[name]];

		if (disk.named[name] >= 0)
			hash = random_mix(hash ^ random_mix(file->hash + (unsigned)name) ^ file->size);
		else
			hash = random_mix(hash ^ (unsigned)name);
	}
	return hash;
}

void disk_clear(bool weak_sectors)
{
	int i;

	for (i = 0; i < FILES; i++) {
		struct file *file = &disk.files[i];

		if (file->capacity > 0) {
			memset(file->data, 0, file->capacity);
			memset(file->hashes, 0, file->capacity / SECTOR * sizeof *file->hashes);
		}
		file->size = 0;
		file->hash = 0;
	}
	for (i = 0; i < TRACE_NAMES; i++)
		disk.named[i] = -1;
	disk.created = 0;
	disk.weak_sectors = weak_sectors;
	disk_settle();
}

/* ---- the VFS ---- */

struct disk_file {
	sqlite3_file base;
	int file;
};

static struct file *file_of(sqlite3_file *file)
{
	return &disk.files[((struct disk_file *)file)->file];
}

static int number_of(sqlite3_file *file)
{
	return ((struct disk_file *)file)->file;
}

static int vfs_close(sqlite3_file *file)
{
	(void)file;
	return SQLITE_OK;
}

static int vfs_read(sqlite3_file *file, void *data, int bytes, sqlite3_int64 offset)
{
	const struct file *read = file_of(file);
	size_t there = (size_t)offset >= read->size ? 0 : read->size - (size_t)offset;

	if (there >= (size_t)bytes) {
		memcpy(data, read->data + offset, (size_t)bytes);
		return SQLITE_OK;
	}
	if (there > 0)
		memcpy(data, read->data + offset, there);
	memset((char *)data + there, 0, (size_t)bytes - there);
	return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 offset)
{
	disk_write(number_of(file), (uint64_t)offset, data, (size_t)bytes);
	return SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	disk_truncate(number_of(file), (uint64_t)size);
	return SQLITE_OK;
}

static int vfs_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static int vfs_size(sqlite3_file *file, sqlite3_int64 *size)
{
	*size = (sqlite3_int64)file_of(file)->size;
	return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *file, int level)
{
	(void)file;
	(void)level;
	return SQLITE_OK;
}

static int vfs_reserved(sqlite3_file *file, int *result)
{
	(void)file;
	*result = 0;
	return SQLITE_OK;
}

static int vfs_control(sqlite3_file *file, int operation, void *arg)
{
	(void)file;
	(void)operation;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *file)
{
	(void)file;
	return 4096;
}

static int vfs_device(sqlite3_file *file)
{
	(void)file;
	return disk.weak_sectors ? 0 : SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = vfs_close,
	.xRead = vfs_read,
	.xWrite = vfs_write,
	.xTruncate = vfs_truncate,
	.xSync = vfs_sync,
	.xFileSize = vfs_size,
	.xLock = vfs_lock,
	.xUnlock = vfs_lock,
	.xCheckReservedLock = vfs_reserved,
	.xFileControl = vfs_control,
	.xSectorSize = vfs_sector,
	.xDeviceCharacteristics = vfs_device,
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && strcmp(text + length - tail, end) == 0;
}

static enum trace_name name_of(const char *path)
{
	if (ends_with(path, trace_suffix(TRACE_WAL)))
		return TRACE_WAL;
	return ends_with(path, trace_suffix(TRACE_JOURNAL)) ? TRACE_JOURNAL : TRACE_MAIN;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	enum trace_name name;

	(void)vfs;
	file->pMethods = NULL;
	if (path == NULL)
		return SQLITE_CANTOPEN;
	name = name_of(path);
	if (disk.named[name] < 0) {
		if ((flags & SQLITE_OPEN_CREATE) == 0 || TRACE_FILES + disk.created == FILES)
			return SQLITE_CANTOPEN;
		disk_name(name, TRACE_FILES + disk.created);
		disk.created++;
	}
	((struct disk_file *)file)->file = disk.named[name];
	file->pMethods = &methods;
	if (out_flags != NULL)
		*out_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
	(void)vfs;
	(void)sync_folder;
	if (disk.named[name_of(path)] < 0)
		return SQLITE_IOERR_DELETE_NOENT;
	disk_name(name_of(path), -1);
	return SQLITE_OK;
}

/* As on Unix an empty file does not count as existing. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
	int file = disk.named[name_of(path)];

	(void)vfs;
	*result = file >= 0 && (flags != SQLITE_ACCESS_EXISTS || disk.files[file].size > 0);
	return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int bytes, char *out)
{
	(void)vfs;
	sqlite3_snprintf(bytes, out, "%s", path);
	return SQLITE_OK;
}

void disk_install(void)
{
	static sqlite3_vfs vfs;

	/* Randomness, time and the like are the real one's. */
	vfs = *sqlite3_vfs_find("unix");
	vfs.zName = "crash-disk";
	vfs.szOsFile = (int)sizeof(struct disk_file);
	vfs.pNext = NULL;
	vfs.xOpen = vfs_open;
	vfs.xDelete = vfs_delete;
	vfs.xAccess = vfs_access;
	vfs.xFullPathname = vfs_full_path;
	if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
		crash_die("the VFS in memory cannot be registered");
}

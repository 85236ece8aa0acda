/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "writer/sqlite/path.h"
#include "writer/sqlite/write_lock.h"

/* How old the last look for the files may be; so old may OKs be that nobody will find, but for durable ones. */
#define LOOK_NSEC PS_NSEC_PER_MSEC

/* As it is closed: how long another's commit is waited for, and readers of a file that has moved. */
#define CLOSE_WAIT_MS 50

#define WAL_FRAME_HEADER_BYTES 24 /* sqlite.org/fileformat2.html#walformat */

/*
 * What the log grows by before the disk is told to begin with it (as RocksDB's wal_bytes_per_sync). Measured with one thread
 * that waits for each row under NORMAL, 4 MiB of log between checkpoints: 11.5 us a row without it, 10.2 at 64 KiB, 8.9 at
 * 256 KiB, 9.1 at 1 MiB.
 */
#define WRITE_OUT_BYTES ((uint64_t)256 * 1024)

#define CACHE_PAGE_BYTES ((uint64_t)4096)

static int on_commit(void *arg, sqlite3 *connection, const char *database, int frames)
{
	struct ps_file *file = arg;

	(void)connection;
	if (strcmp(database, "main") != 0)
		return SQLITE_OK;
	ps_log_book_commit(&file->book, (uint64_t)frames);
	ps_checkpoint_lock_hear(&file->lock);
	return SQLITE_OK;
}

/* As SQLite does: a folder that cannot be opened (some file systems) is not an error, and need not be synced. */
static int open_folder(struct ps_file *file)
{
	const char *path = sqlite3_db_filename(file->connection, "main");
	char *folder = ps_path_folder(path);
	int error;

	if (folder == NULL)
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	file->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	error = errno;
	free(folder);
	if (file->folder_fd >= 0 || (error != EMFILE && error != ENFILE && error != ENOMEM))
		return PENSTOCK_OK;
	return ps_error(PENSTOCK_CANTOPEN, "%s: its folder cannot be opened: %s", path, strerror(error));
}

static void tell_problem(const struct ps_file *file)
{
	const char *problem = ps_checkpoint_lock_problem(&file->lock);

	if (problem != NULL)
		ps_log(file->options, PENSTOCK_EVENT_CHECKPOINT_NOT_ALLOWED,
		       "%s" PS_BESIDE_SUFFIX " cannot be used: %s; nothing is copied from the write-ahead log meanwhile",
		       file->path, problem);
}

int ps_file_init(struct ps_file *file, sqlite3 *connection, const char *path, const struct ps_options *options,
                 uint64_t page_bytes, struct ps_busy *busy)
{
	int status;

	*file = (struct ps_file){ .connection = connection,
		                  .path = path,
		                  .options = options,
		                  .busy = busy,
		                  .page_bytes = page_bytes,
		                  .folder_fd = -1,
		                  .write_out_fd = -1 };
	status = options->keys.synchronous != PENSTOCK_SYNCHRONOUS_OFF ? open_folder(file) : PENSTOCK_OK;
	if (status != PENSTOCK_OK)
		return status;
	ps_checkpoint_lock_init(&file->lock, sqlite3_db_filename(connection, "main"));
	tell_problem(file);
	sqlite3_wal_hook(connection, on_commit, file);
	ps_presence_init(&file->presence, connection);
	return PENSTOCK_OK;
}

void ps_file_renew(struct ps_file *file)
{
	/* With it automatic checkpoints are off, which are a hook of SQLite's own. */
	sqlite3_wal_hook(file->connection, on_commit, file);
}

/* SQLite's own file. In WAL mode "the journal" is the log, which is open by now. */
static sqlite3_file *log_of(struct ps_file *file)
{
	sqlite3_file *log = NULL;

	sqlite3_file_control(file->connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	return log != NULL && log->pMethods != NULL ? log : NULL;
}

bool ps_file_has_weak_sectors(struct ps_file *file)
{
	sqlite3_file *log = log_of(file);

	return log != NULL && (log->pMethods->xDeviceCharacteristics(log) & SQLITE_IOCAP_POWERSAFE_OVERWRITE) == 0;
}

enum ps_gone ps_file_look(struct ps_file *file, bool now)
{
	uint64_t at = ps_clock_nsec();

	if (!now && at - file->looked_nsec < LOOK_NSEC)
		return PS_GONE_NOTHING;
	file->looked_nsec = at;
	return ps_presence_look(&file->presence);
}

/* ---- checkpoints ---- */

uint64_t ps_file_wal_bytes(const struct ps_file *file)
{
	return file->book.frames * (file->page_bytes + WAL_FRAME_HEADER_BYTES);
}

/* What the passes under it have copied is not known to be all that others have, from now on. */
static void drop_lock(struct ps_file *file)
{
	ps_checkpoint_lock_drop(&file->lock);
	file->passed = false;
}

void ps_file_expect_checkpoint(struct ps_file *file, bool expected)
{
	if (expected)
		ps_checkpoint_lock_take(&file->lock);
	else
		drop_lock(file);
}

/* SQLite's code. */
static int copy_log(struct ps_file *file, int mode, enum ps_copied *copied)
{
	int frames = -1, done = -1, rc;
	bool blocked;

	rc = sqlite3_wal_checkpoint_v2(file->connection, "main", mode, &frames, &done);
	blocked = rc == SQLITE_BUSY || done < frames;
	*copied = blocked ? PS_COPIED_AS_READERS_LET : PS_COPIED_ALL;
	ps_log_book_checkpoint(&file->book, frames, done, blocked, rc == SQLITE_OK);
	return rc;
}

/* Nobody commits meanwhile. PS_COPIED_NOT: the lock is not to be had, or something is wrong that the next commit will meet. */
static int copy_under_write_lock(struct ps_file *file, int wait_ms, enum ps_copied *copied)
{
	int rc;

	if (ps_write_lock_take(file->connection, wait_ms) != SQLITE_OK)
		return SQLITE_OK;
	rc = copy_log(file, SQLITE_CHECKPOINT_PASSIVE, copied);
	ps_write_lock_drop(file->connection);
	return rc;
}

/*
 * Whether one that waited for readers is to begin anew (busy.h). What it has not copied keeps everybody from beginning the log anew meanwhile,
 * so it needs no other commit (log_book.h).
 */
static bool begins_anew(struct ps_file *file, uint64_t deadline)
{
	uint64_t now = ps_clock_nsec();
	bool anew = file->busy->anew && now < deadline && file->book.frames > file->book.copied;

	file->busy->anew = false;
	if (anew)
		file->busy->readers_ms = (int64_t)((deadline - now) / PS_NSEC_PER_MSEC);
	return anew;
}

static int copy_waiting(struct ps_file *file, int mode, enum ps_copied *copied)
{
	int64_t wait_ms = file->busy->readers_ms > 0 ? file->busy->readers_ms : 0;
	uint64_t deadline = ps_clock_nsec() + (uint64_t)wait_ms * PS_NSEC_PER_MSEC;
	int rc;

	file->busy->anew = false;
	do
		rc = copy_log(file, mode, copied);
	while (begins_anew(file, deadline));
	return rc;
}

/* lock_wait_ms: for SQLite's write lock, where it is needed. */
static int copy_as_allowed(struct ps_file *file, int mode, int lock_wait_ms, enum ps_copied *copied)
{
	int rc = SQLITE_OK;

	*copied = PS_COPIED_NOT;
	file->book.whole = false;
	switch (ps_checkpoint_lock_take(&file->lock)) {
	case PS_CHECKPOINT_ANY:
		rc = copy_waiting(file, mode, copied);
		break;
	case PS_CHECKPOINT_LOCKED:
		rc = copy_under_write_lock(file, lock_wait_ms, copied);
		break;
	case PS_CHECKPOINT_NOT:
		break;
	}
	drop_lock(file);
	return rc;
}

/* So that the database is known as this checkpoint has left it, also one in whose midst the log has lost its name. */
static enum ps_gone look_behind_checkpoint(struct ps_file *file)
{
	enum ps_gone gone = ps_file_look(file, true);

	if (gone == PS_GONE_WAL)
		ps_presence_note_database(&file->presence);
	return gone;
}

int ps_file_checkpoint(struct ps_file *file, int64_t wait_ms, enum ps_copied *copied)
{
	int rc;

	*copied = PS_COPIED_NOT;
	if (ps_file_look(file, true) != PS_GONE_NOTHING)
		return SQLITE_READONLY_DBMOVED;
	file->busy->readers_ms = wait_ms;
	rc = copy_as_allowed(file, wait_ms >= 0 ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, 0, copied);
	file->busy->readers_ms = -1;
	return look_behind_checkpoint(file) == PS_GONE_NOTHING ? rc : SQLITE_READONLY_DBMOVED;
}

/*
 * A commit under the lock, by another connection: this one's state is the statements'. It opens the files by their names, and writes
 * only if they are there behind that.
 */
static bool commit_something(struct ps_file *file)
{
	sqlite3 *holder;
	bool committed;

	if (ps_file_look(file, true) != PS_GONE_NOTHING ||
	    ps_write_lock_begin(file->path, file->options, CLOSE_WAIT_MS, &holder) != SQLITE_OK)
		return false;
	committed = ps_file_look(file, true) == PS_GONE_NOTHING && ps_write_lock_commit(holder) == SQLITE_OK;
	ps_write_lock_end(holder);
	if (committed)
		ps_checkpoint_lock_hear(&file->lock);
	return committed;
}

bool ps_file_admit_checkpoint(struct ps_file *file)
{
	switch (ps_checkpoint_lock_take(&file->lock)) {
	case PS_CHECKPOINT_ANY:
		return file->admitted = true;
	case PS_CHECKPOINT_LOCKED:
		if (commit_something(file) && ps_checkpoint_lock_take(&file->lock) == PS_CHECKPOINT_ANY)
			return file->admitted = true;
		break;
	case PS_CHECKPOINT_NOT:
		break;
	}
	drop_lock(file);
	return false;
}

/* What a statement's checkpoint told, nobody here has heard. The look has counted the frames; some are copied, or all. */
static void note_checkpoint(struct ps_file *file)
{
	bool whole = ps_presence_is_log_copied(file->connection);
	int frames = (int)file->presence.frames;

	ps_log_book_checkpoint(&file->book, frames, whole ? frames : 0, !whole, true);
}

void ps_file_release_checkpoint(struct ps_file *file)
{
	if (!file->admitted)
		return;
	if (look_behind_checkpoint(file) == PS_GONE_NOTHING)
		note_checkpoint(file);
	drop_lock(file);
	file->admitted = false;
}

enum ps_log_pass_due ps_file_begin_pass(struct ps_file *file)
{
	enum ps_checkpoint_right right = ps_checkpoint_lock_take(&file->lock);

	/* Behind what the pass before it has copied under the same lock there is more: that is as good as a commit since. */
	if (right == PS_CHECKPOINT_LOCKED && file->passed && file->book.frames > file->book.copied)
		right = PS_CHECKPOINT_ANY;
	if (right != PS_CHECKPOINT_ANY || !ps_log_book_is_pass_due(&file->book))
		return PS_LOG_PASS_NOTHING;
	if (ps_file_look(file, true) != PS_GONE_NOTHING)
		return PS_LOG_PASS_GONE;
	ps_presence_expect_change(&file->presence);
	ps_log_book_begin_pass(&file->book);
	return PS_LOG_PASS_DUE;
}

enum ps_gone ps_file_end_pass(struct ps_file *file, const struct ps_log_pass *pass, struct ps_log_pass_end *end)
{
	ps_log_book_end_pass(&file->book, pass, end);
	ps_checkpoint_lock_use(&file->lock);
	file->passed = file->lock.taken && pass->is_known;
	end->rest *= file->page_bytes + WAL_FRAME_HEADER_BYTES;
	/* Also should one of the files be gone meanwhile. */
	ps_presence_note_change(&file->presence, &pass->before, &pass->after);
	return ps_file_look(file, true);
}

/* ---- closing ---- */

static void keep_log(struct ps_file *file)
{
	sqlite3_db_config(file->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

/*
 * Closing the last connection checkpoints by itself, with the whole database to itself, so that this needs no lock of ours. But
 * readers may outlive this one, and they never do. After a failed sync
 * nothing of the log may reach the database: what it holds is decided when the file is next opened.
 *
 * When the database has moved that last connection would delete the -wal by its name, which may be another database's now.
 * What ours holds belongs into our file, wherever that is; and emptied it cannot be taken for the other's.
 *
 * What an emptied database's log holds is a part of nothing, and stays where it is.
 *
 * A log that has lost its name is brought into the database as long as nobody else can have written there; without an index that
 * others could see, only under the lock that SQLite takes as it closes. When only the index is gone, the log is found by its
 * name. Else nothing is touched.
 */
static void settle_log(struct ps_file *file, enum ps_gone gone, enum ps_copied *copied)
{
	enum ps_saving saving = gone == PS_GONE_WAL ? ps_presence_saving_of_log(&file->presence) : PS_SAVING_NOT;

	*copied = PS_COPIED_ALL;
	if (gone == PS_GONE_NOTHING)
		copy_as_allowed(file, SQLITE_CHECKPOINT_PASSIVE, CLOSE_WAIT_MS, copied);
	/* By its name the side file may be another database's, and a second connection would open that. */
	file->busy->timeout_ms = CLOSE_WAIT_MS;
	file->busy->or_nothing = true;
	if (gone == PS_GONE_DATABASE || saving == PS_SAVING_SHARED)
		sqlite3_wal_checkpoint_v2(file->connection, "main",
		                          gone == PS_GONE_DATABASE ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_FULL, NULL,
		                          NULL);
	if (gone != PS_GONE_NOTHING && saving == PS_SAVING_NOT)
		keep_log(file);
}

enum ps_gone ps_file_close(struct ps_file *file, enum ps_log_end end, enum ps_copied *copied)
{
	enum ps_gone gone = end == PS_LOG_KEPT ? PS_GONE_NOTHING : ps_file_look(file, true);

	sqlite3_wal_hook(file->connection, NULL, NULL);
	if (file->folder_fd >= 0)
		close(file->folder_fd);
	if (file->write_out_fd >= 0)
		close(file->write_out_fd);
	if (end == PS_LOG_COPIED || gone != PS_GONE_NOTHING)
		settle_log(file, gone, copied);
	else
		keep_log(file);
	ps_checkpoint_lock_destroy(&file->lock);
	return gone;
}

/* ---- durability ---- */

static const char *wal_name(const struct ps_file *file)
{
	return sqlite3_filename_wal(sqlite3_db_filename(file->connection, "main"));
}

/* The log's name in its folder: SQLite syncs it with the log's first sync, which under NORMAL may come much later, and without a word
 * if it fails. */
static int sync_folder(struct ps_file *file)
{
	if (file->folder_fd < 0)
		return SQLITE_OK;
	if (fsync(file->folder_fd) != 0 && errno != EINVAL)
		return SQLITE_IOERR_DIR_FSYNC;
	close(file->folder_fd);
	file->folder_fd = -1;
	return SQLITE_OK;
}

int ps_file_sync(struct ps_file *file, const char **doing)
{
	sqlite3_file *log = log_of(file);
	int rc;

	*doing = "syncing the database's folder";
	rc = sync_folder(file);
	if (rc != SQLITE_OK)
		return rc;
	*doing = "syncing the write-ahead log";
	return log == NULL ? SQLITE_IOERR_FSYNC : log->pMethods->xSync(log, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

void ps_file_write_out(struct ps_file *file)
{
	uint64_t bytes = ps_file_wal_bytes(file);

	if (bytes < file->written_out)
		file->written_out = 0;
	if (bytes - file->written_out < WRITE_OUT_BYTES || file->no_write_out)
		return;
	if (file->write_out_fd < 0) {
		/* To close it drops the locks that this process holds on the log, of which SQLite takes none. */
		file->write_out_fd = open(wal_name(file), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		/* Under a VFS of the program's own there need not be such a file. When only a descriptor lacks, another time. */
		if (file->write_out_fd < 0) {
			file->no_write_out = errno != EMFILE && errno != ENFILE;
			return;
		}
	}
	/* Not the page that the next commit goes on with: some disks make a writer wait for a page that is on its way. An error
	 * is told by the next sync, as any of the system's own writing. */
	bytes = bytes / CACHE_PAGE_BYTES * CACHE_PAGE_BYTES;
	sync_file_range(file->write_out_fd, (off_t)file->written_out, (off_t)(bytes - file->written_out),
	                SYNC_FILE_RANGE_WRITE);
	file->written_out = bytes;
}

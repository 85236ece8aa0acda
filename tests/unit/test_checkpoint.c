/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_checkpoint.c - every checkpoint of an engine, with others on the database that commit and checkpoint at the worst moment
 *
 * SQLite before 3.51.3 reads the header of the log's index, and then how much of the log is copied. When all of it was copied,
 * another connection may begin the log anew in between: the checkpoint then counts as copied what is only now being written. A
 * VFS (shim.h) stops the engine's checkpoint there.
 */
#include "tests/kit.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/shim.h"
#include "writer/sqlite/beside.h"
#include "writer/sqlite/checkpoint_lock.h"
#include "writer/sqlite/write_lock.h"

#define CHECKPOINT_LOCK 1 /* of SQLite's, in the log's index */

#define LONG_LOG 200
#define SHORT_LOG 60

static char path[4096]; /* of the database, a new one for each try */

static void choose_path(void)
{
	static unsigned number;
	char name[32];

	snprintf(name, sizeof name, "test%u.db", number++);
	snprintf(path, sizeof path, "%s", harness_path(name));
}

/* ---- the others ---- */

/* A plain connection that commits and never checkpoints, past the shim. */
static sqlite3 *_Atomic stranger;
static _Atomic int64_t rows; /* that were said to be there */

static void open_stranger(void)
{
	sqlite3 *opened;

	check(sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, "unix") == SQLITE_OK);
	atomic_store(&stranger, opened);
	sqlite3_wal_autocheckpoint(stranger, 0);
	sqlite3_db_config(stranger, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_exec(stranger, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
}

/* Whether it got the lock. */
static bool stranger_inserts(int count)
{
	int rc = SQLITE_OK;

	for (int i = 0; i < count && rc == SQLITE_OK; i++) {
		rc = sqlite3_exec(stranger, "INSERT INTO t VALUES(zeroblob(3000))", NULL, NULL, NULL);
		rows += rc == SQLITE_OK ? 1 : 0;
	}
	check(rc == SQLITE_OK || rc == SQLITE_BUSY, "%s", sqlite3_errmsg(stranger));
	return rc == SQLITE_OK;
}

static penstock *second; /* another engine on the database */

static void second_checkpoints(void)
{
	expect(penstock_pause(second, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- the moments ---- */

static _Atomic pthread_t writer; /* of the engine that is looked at */
static _Atomic bool to_meet, to_meet_within, began;
static sem_t met, over;
static bool stranger_waits; /* with a transaction that it commits in the checkpoint */
static _Atomic bool full;   /* the log cannot grow */
static int stop_by;         /* a signal for whoever begins a checkpoint, or 0 */
static _Atomic bool stands; /* the checkpoint thread, until that signal ends it */
static _Atomic int lose_in; /* so many calls of the engine's until the log is removed; 0: it is, or is not to be */
static pthread_t tester;    /* whose calls are not */
static bool lose_index;     /* its index too */

/* It may be that SQLite itself has removed it, as it was closed. */
static void remove_beside(const char *suffix)
{
	char name[4200];

	snprintf(name, sizeof name, "%s%s", path, suffix);
	check(unlink(name) == 0 || errno == ENOENT, "%s: %s", name, strerror(errno));
}

/* Whoever is first: the thread that removes the log, or the test's own. */
static void stranger_leaves(void)
{
	check(sqlite3_close(atomic_exchange(&stranger, NULL)) == SQLITE_OK);
}

static void lose_log(void)
{
	stranger_leaves();
	remove_beside("-wal");
	if (lose_index)
		remove_beside("-shm");
}

static int note_writer(sqlite3 *connection, void *arg)
{
	(void)connection;
	(void)arg;
	writer = pthread_self();
	return SQLITE_OK;
}

/* The checkpoint thread is of the engine that is looked at: no other one here has so much in its log. */
static bool is_looked_at(void)
{
	return pthread_equal(writer, pthread_self()) || harness_is_checkpoint_thread();
}

/* A checkpoint begins. What others do there they do on a thread of theirs. */
static int at_call(const struct shim_event *event)
{
	if (!event->after && atomic_load(&lose_in) > 0 && !pthread_equal(tester, pthread_self()) &&
	    atomic_fetch_sub(&lose_in, 1) == 1)
		lose_log();
	if (event->after || !is_looked_at())
		return SQLITE_OK;
	if (event->call == SHIM_WRITE && event->file == SHIM_WAL && atomic_load(&full))
		return SQLITE_FULL;
	if (event->call != SHIM_SHM_LOCK || event->offset != CHECKPOINT_LOCK || (event->flags & SQLITE_SHM_EXCLUSIVE) == 0)
		return SQLITE_OK;
	atomic_store(&full, false);
	if (stop_by != 0 && harness_is_checkpoint_thread()) {
		atomic_store(&stands, true);
		for (;;)
			pause();
	} else if (stop_by != 0) {
		raise(stop_by);
	}
	if (atomic_exchange(&to_meet, false)) {
		sem_post(&met);
		while (sem_wait(&over) != 0)
			continue;
	}
	return SQLITE_OK;
}

/* The moment of the bug. */
static void within(void)
{
	if (!is_looked_at() || !atomic_exchange(&to_meet_within, false))
		return;
	if (stranger_waits)
		check(sqlite3_exec(stranger, "COMMIT", NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(stranger));
	else if (!stranger_inserts(1))
		return;
	atomic_store(&began, true);
}

/* The log is as long as it will not be soon again, and all of it copied. */
static void make_long_log(void)
{
	check(stranger_inserts(LONG_LOG));
	second_checkpoints();
	expect(penstock_unpause(second, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *meet(void *arg)
{
	(void)arg;
	while (sem_wait(&met) != 0)
		continue;
	/* It may be kept from both. */
	stranger_inserts(LONG_LOG);
	second_checkpoints();
	sem_post(&over);
	return NULL;
}

/* ---- the checkpoints ---- */

static void by_pause(penstock *db)
{
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void by_stop(penstock *db)
{
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void by_close(penstock *db)
{
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void insert_much(penstock *db)
{
	expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(9000))"), PENSTOCK_OK);
	rows++;
}

/* The log is let grow until one is due behind a batch. */
static void by_growth(penstock *db)
{
	for (int i = 0; i < 10; i++)
		insert_much(db);
}

static void by_growth_and_pause(penstock *db)
{
	by_growth(db);
	by_pause(db);
}

static void by_full_disk(penstock *db)
{
	atomic_store(&full, true);
	/* Where the log would begin anew there is nothing that makes room. */
	rows += kit_execute(db, "INSERT INTO t VALUES(zeroblob(9000))") == PENSTOCK_OK;
	atomic_store(&full, false);
}

static void by_pragma(penstock *db)
{
	expect(kit_execute(db, "PRAGMA wal_checkpoint"), PENSTOCK_OK);
}

static void by_pragma_full(penstock *db)
{
	expect(kit_execute(db, "PRAGMA main.wal_checkpoint(FULL)"), PENSTOCK_OK);
}

static void by_pragma_restart(penstock *db)
{
	expect(kit_execute(db, "PRAGMA wal_checkpoint=restart"), PENSTOCK_OK);
}

static void by_pragma_truncate(penstock *db)
{
	expect(kit_execute(db, "PRAGMA wal_checkpoint(TRUNCATE)"), PENSTOCK_OK);
}

static const struct checkpoint {
	const char *name;
	void (*make)(penstock *db);
	bool commits; /* SQLite's write lock must be free */
	bool by_thread;
} checkpoints[] = {
	{ "pause", by_pause, false, false },
	{ "stop", by_stop, false, false },
	{ "close", by_close, false, false },
	{ "growth", by_growth, true, false },
	{ "growth by the thread", by_growth, true, true },
	{ "growth by the thread, and pause", by_growth_and_pause, true, true },
	{ "full disk", by_full_disk, true, false },
	{ "full disk beside the thread", by_full_disk, true, true },
	{ "pragma", by_pragma, false, false },
	{ "pragma full", by_pragma_full, false, false },
	{ "pragma restart", by_pragma_restart, false, false },
	{ "pragma truncate", by_pragma_truncate, false, false },
};

static void begin(void)
{
	kit_begin();
	shim_install(at_call);
	shim_in_checkpoint = within;
}

TestSuite(checkpoint, .init = begin, .fini = harness_end);

static penstock *open_watched(const penstock_config *given)
{
	penstock_config config = *given;

	config.connect_hook = note_writer;
	config.busy_timeout_ms = 1;
	config.wal_bytes_max = 65536;
	return kit_open_path(path, &config);
}

/* The log goes on, and is shorter than it was; then everybody leaves, and what is in the log alone is lost. */
static void expect_everything(const char *name)
{
	sqlite3_exec(stranger, "ROLLBACK", NULL, NULL, NULL);
	if (penstock_phase_of(second) == PENSTOCK_PHASE_PAUSED)
		expect(penstock_unpause(second, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(stranger_inserts(SHORT_LOG));
	check(sqlite3_close(stranger) == SQLITE_OK);
	expect(penstock_close(second, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(path, "SELECT count(*) FROM t") == atomic_load(&rows), "%s: %" PRId64 " rows", name, atomic_load(&rows));
	check(kit_ask(path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1, "%s", name);
}

static void try_one(const struct checkpoint *checkpoint, bool early, bool waits)
{
	penstock_config config = kit_config();
	pthread_t other = 0;
	penstock *db;

	choose_path();
	rows = 0;
	sem_init(&met, 0, 0);
	sem_init(&over, 0, 0);
	config.checkpoint_thread = checkpoint->by_thread;
	db = open_watched(&config);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	second = kit_open_path(path, &config);
	open_stranger();
	if (early) {
		make_long_log();
	} else {
		other = kit_thread(meet, NULL);
		atomic_store(&to_meet, true);
	}
	stranger_waits = waits;
	if (waits) {
		check(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
		check(stranger_inserts(1));
	}
	atomic_store(&to_meet_within, true);
	checkpoint->make(db);
	atomic_store(&to_meet_within, false);
	if (!early) {
		/* No checkpoint has come: nothing was to be met. */
		if (atomic_exchange(&to_meet, false))
			sem_post(&met);
		kit_join(other);
	}
	if (waits && sqlite3_get_autocommit(stranger) == 0)
		check(sqlite3_exec(stranger, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	if (checkpoint->make != by_close)
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect_everything(checkpoint->name);
}

/* Nothing was committed since the last one that was whole, and then something is. */
Test(checkpoint, nothing_to_copy_and_another_commits)
{
	for (size_t i = 0; i < COUNT_OF(checkpoints); i++)
		try_one(&checkpoints[i], true, false);
}

/* The same in the modes that take SQLite's write lock, which somebody else has. */
Test(checkpoint, nothing_to_copy_and_another_has_the_write_lock)
{
	for (size_t i = 0; i < COUNT_OF(checkpoints); i++) {
		if (!checkpoints[i].commits)
			try_one(&checkpoints[i], true, true);
	}
}

/* Another engine would have checkpointed when this one begins. */
static void meet_another(void)
{
	for (size_t i = 0; i < COUNT_OF(checkpoints); i++)
		try_one(&checkpoints[i], false, false);
}

Test(checkpoint, another_engine_checkpoints_and_another_commits)
{
	meet_another();
}

/* ---- the log is removed in the midst ---- */

static void insert_if_running(penstock *db, const char *sql)
{
	int status = kit_execute(db, sql);

	check(status == PENSTOCK_OK || status == PENSTOCK_UNKNOWN || status == PENSTOCK_FAILED || status == PENSTOCK_SHUTDOWN,
	      "%s", penstock_status_name(status));
	rows += status == PENSTOCK_OK;
}

/* Larger than all before: nobody has expected a checkpoint behind it, and the lock was not taken before. */
static void lose_by_growth(penstock *db)
{
	insert_if_running(db, "INSERT INTO t VALUES(zeroblob(30000))");
}

/* The one behind it expects the next. */
static void lose_by_more_growth(penstock *db)
{
	for (int i = 0; i < 3; i++)
		lose_by_growth(db);
}

static void lose_by_pragma(penstock *db)
{
	kit_execute(db, "PRAGMA wal_checkpoint");
}

static void lose_by_pragma_truncate(penstock *db)
{
	kit_execute(db, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void lose_by_pause(penstock *db)
{
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static const struct losing {
	const char *name;
	void (*make)(penstock *db);
	bool beside_reader; /* which keeps a part of the log from being copied, and leaves as the log is removed */
	bool by_thread;     /* by the checkpoint thread, as far as it can */
} losings[] = {
	{ "growth", lose_by_growth, false, false },
	{ "growth beside a reader", lose_by_growth, true, false },
	{ "growth by the thread", lose_by_growth, false, true },
	{ "more growth", lose_by_more_growth, false, false },
	{ "more growth beside a reader", lose_by_more_growth, true, false },
	{ "more growth by the thread", lose_by_more_growth, false, true },
	{ "more growth by the thread beside a reader", lose_by_more_growth, true, true },
	{ "pragma", lose_by_pragma, false, false },
	{ "pragma beside a reader", lose_by_pragma, true, false },
	{ "pragma truncate", lose_by_pragma_truncate, false, false },
	{ "pause", lose_by_pause, false, false },
};

/* Whether there were so many calls. The log has been copied, and begun anew, so that not every page is in it. */
static bool lose_at(const struct losing *losing, int call)
{
	penstock_config config = kit_config();
	penstock *db;
	bool lost;

	choose_path();
	rows = 0;
	config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
	config.checkpoint_thread = losing->by_thread;
	/* One that waits for the reader is begun anew every few milliseconds, and each time the calls are the same. */
	config.checkpoint_wait_ms = 10;
	db = open_watched(&config);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "PRAGMA wal_checkpoint(TRUNCATE)"), PENSTOCK_OK);
	insert_if_running(db, "INSERT INTO t VALUES(zeroblob(5000))");
	if (losing->beside_reader) {
		open_stranger();
		check(sqlite3_exec(stranger, "BEGIN; SELECT * FROM t", NULL, NULL, NULL) == SQLITE_OK);
	}
	tester = pthread_self();
	atomic_store(&lose_in, call);
	losing->make(db);
	if (penstock_phase_of(db) != PENSTOCK_PHASE_PAUSED)
		insert_if_running(db, "INSERT INTO t VALUES(3)");
	lost = atomic_exchange(&lose_in, 0) <= 0;
	stranger_leaves();
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(path, "SELECT count(*) FROM t") >= atomic_load(&rows), "%s, call %d: not all of %" PRId64 " rows",
	      losing->name, call, atomic_load(&rows));
	check(kit_ask(path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1, "%s, call %d", losing->name,
	      call);
	return lost;
}

/* Every other call, with the index the ones between; where a sanitizer slows them down, one of some. */
#define LOSING_STEP (KIT_SANITIZED ? 10 : 2)

/* What is durable is there, at whichever call it happens. */
static void lose_everywhere(bool index)
{
	lose_index = index;
	alarm(600); /* there are many of them */
	for (size_t i = 0; i < COUNT_OF(losings); i++) {
		int call = index ? 2 : 1;

		while (lose_at(&losings[i], call))
			call += LOSING_STEP;
		check(call > 10, "%s", losings[i].name);
	}
}

Test(checkpoint, the_log_is_removed_at_any_call)
{
	lose_everywhere(false);
}

Test(checkpoint, the_log_and_its_index_are_removed_at_any_call)
{
	lose_everywhere(true);
}

/* ---- the lock ---- */

static int no_locks; /* why the file system has no OFD locks, or 0 */
static bool no_unlock;
static int version; /* that SQLite says to have; 0: its own */

int __wrap_fcntl64(int fd, int command, ...);
int __real_fcntl64(int fd, int command, void *arg);
int __wrap_sqlite3_libversion_number(void);
int __real_sqlite3_libversion_number(void);

int __wrap_fcntl64(int fd, int command, ...)
{
	va_list arguments;
	void *arg;

	va_start(arguments, command);
	arg = va_arg(arguments, void *);
	va_end(arguments);
	if (no_locks != 0 && (command == F_OFD_SETLK || command == F_OFD_GETLK)) {
		errno = no_locks;
		return -1;
	}
	if (no_unlock && command == F_OFD_SETLK && ((const struct flock *)arg)->l_type == F_UNLCK) {
		errno = ENOLCK;
		return -1;
	}
	return __real_fcntl64(fd, command, arg);
}

int __wrap_sqlite3_libversion_number(void)
{
	return version != 0 ? version : __real_sqlite3_libversion_number();
}

/* By any VFS whose files share an index. */
Test(checkpoint, sqlites_write_lock_keeps_others_from_committing)
{
	sqlite3 *holder;

	choose_path();
	check(sqlite3_open(path, &holder) == SQLITE_OK);
	check(sqlite3_exec(holder, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)", NULL, NULL, NULL) == SQLITE_OK);
	open_stranger();
	for (int files = 3; files >= 2; files--) {
		shim_say_version(files);
		check(ps_write_lock_take(holder, 0) == SQLITE_OK, "version %d", files);
		check(!stranger_inserts(1));
		ps_write_lock_drop(holder);
		check(stranger_inserts(1));
	}
	check(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	check(ps_write_lock_take(holder, 0) == SQLITE_BUSY && ps_write_lock_take(holder, 2) == SQLITE_BUSY);
	check(sqlite3_exec(stranger, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	shim_say_version(1);
	check(ps_write_lock_take(holder, 0) == SQLITE_CANTOPEN);
	shim_say_version(3);
	check(stranger_inserts(1));
	check(sqlite3_close(stranger) == SQLITE_OK && sqlite3_close(holder) == SQLITE_OK);
}

/* Then everybody checkpoints under SQLite's write lock. */
Test(checkpoint, a_file_system_without_the_locks_is_safe_too)
{
	no_locks = EINVAL;
	meet_another();
	for (size_t i = 0; i < COUNT_OF(checkpoints); i++)
		try_one(&checkpoints[i], true, false);
}

/* What else a lock fails with may be so for one process alone. */
Test(checkpoint, that_there_are_no_locks_is_told_from_a_lock_that_is_not_to_be_had)
{
	static const struct {
		int error;
		enum ps_beside_lock lock;
	} ways[] = { { 0, PS_BESIDE_LOCKED },        { EINVAL, PS_BESIDE_NO_LOCKS }, { EOPNOTSUPP, PS_BESIDE_NO_LOCKS },
		     { ENOSYS, PS_BESIDE_NO_LOCKS }, { EAGAIN, PS_BESIDE_BUSY },     { EACCES, PS_BESIDE_BUSY },
		     { ENOLCK, PS_BESIDE_NOT_TOLD } };
	struct ps_beside side;

	choose_path();
	kit_change(path, "CREATE TABLE t(a)");
	check(ps_beside_open(&side, path) == 0);
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		no_locks = ways[i].error;
		check(ps_beside_lock(&side, PS_BESIDE_CHECKPOINT) == ways[i].lock, "%s", strerror(ways[i].error));
	}
	no_locks = 0;
	ps_beside_close(&side);
	check(ps_beside_lock(&side, PS_BESIDE_CHECKPOINT) == PS_BESIDE_NO_LOCKS);
}

Test(checkpoint, a_lock_that_the_system_does_not_let_unlock_is_dropped)
{
	struct ps_checkpoint_lock lock, other;

	choose_path();
	kit_change(path, "CREATE TABLE t(a)");
	ps_checkpoint_lock_init(&lock, path);
	ps_checkpoint_lock_init(&other, path);
	check(ps_checkpoint_lock_take(&lock) != PS_CHECKPOINT_NOT);
	check(ps_checkpoint_lock_take(&other) == PS_CHECKPOINT_NOT);
	no_unlock = true;
	ps_checkpoint_lock_drop(&lock);
	no_unlock = false;
	check(ps_checkpoint_lock_take(&other) != PS_CHECKPOINT_NOT);
	check(ps_checkpoint_lock_take(&lock) == PS_CHECKPOINT_NOT);
	ps_checkpoint_lock_drop(&other);
	check(ps_checkpoint_lock_take(&lock) != PS_CHECKPOINT_NOT);
	ps_checkpoint_lock_destroy(&lock);
	ps_checkpoint_lock_destroy(&other);
}

static char beside[4200];
static _Atomic unsigned told; /* of checkpoints that are not allowed */
/* So often another process makes the side file behind a look for it, and has removed it by the next. */
static int to_meet_others;

int __wrap_open64(const char *name, int flags, ...);
int __real_open64(const char *name, int flags, ...);

int __wrap_open64(const char *name, int flags, ...)
{
	va_list arguments;
	int mode, fd;

	va_start(arguments, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
	va_end(arguments);
	if (to_meet_others == 0 || strcmp(name, beside) != 0)
		return __real_open64(name, flags, mode);
	if ((flags & O_CREAT) == 0) {
		unlink(name);
		errno = ENOENT;
	} else {
		fd = __real_open64(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		check(fd >= 0);
		close(fd);
		to_meet_others--;
		errno = EEXIST;
	}
	return -1;
}

Test(checkpoint, a_side_file_that_another_makes_at_the_same_moment_is_opened)
{
	struct ps_beside side;

	choose_path();
	snprintf(beside, sizeof beside, "%s-penstock", path);
	kit_change(path, "CREATE TABLE t(a)");
	for (int others = 1; others <= 3; others++) {
		to_meet_others = others;
		check(ps_beside_open(&side, path) == 0, "%d", others);
		check(ps_beside_is_current(&side) && to_meet_others == 0);
		ps_beside_close(&side);
	}
	/* Not for ever. */
	to_meet_others = 1000;
	check(ps_beside_open(&side, path) == EEXIST);
	ps_beside_close(&side);
	to_meet_others = 0;
}

static void count_told(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	if (event != PENSTOCK_EVENT_CHECKPOINT_NOT_ALLOWED)
		return;
	check(level == PENSTOCK_LOG_WARNING && strstr(message, "write-ahead log") != NULL, "%s", message);
	atomic_fetch_add(&told, 1);
}

static bool by_thread; /* who checkpoints, as far as it can */

/* Each of the two ways. */
static void both_ways(void (*run)(void))
{
	for (int way = 0; way < 2; way++) {
		by_thread = way == 1;
		run();
	}
}

/* An engine on a new database, with something in its log. */
static penstock *open_alone(void)
{
	penstock_config config = kit_config();
	penstock *db;

	config.checkpoint_thread = by_thread;
	config.log = count_told;
	db = open_watched(&config);
	expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS t(a)"), PENSTOCK_OK);
	return db;
}

static void begin_alone(void)
{
	choose_path();
	snprintf(beside, sizeof beside, "%s-penstock", path);
	atomic_store(&told, 0);
}

static int64_t log_bytes(void)
{
	char name[4200];
	struct stat info;

	snprintf(name, sizeof name, "%s-wal", path);
	return stat(name, &info) == 0 ? (int64_t)info.st_size : -1;
}

static uint64_t not_allowed(const penstock *db)
{
	return kit_counters(db).checkpoints_not_allowed;
}

/* Between transactions: within one it would hold up everybody, as SQLite has it. */
static void stop_in_a_pass(penstock *db)
{
	/* Nobody waits for them: at the bound of the log the writer waits for the pass. */
	while (!atomic_load(&stands)) {
		kit_submit(db, "INSERT INTO t VALUES(zeroblob(9000))", 0, NULL);
		kit_sleep_usec(1000);
	}
	await(kit_thread_sleeps(kit_find_writer()));
	raise(stop_by);
}

/* A process that has an engine on the database and is stopped by `stop` as it begins a checkpoint under the lock. */
static pid_t start_holder(int stop)
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	check(child >= 0);
	if (child == 0) {
		penstock *db;

		/* Stopped, it would outlive a test that fails. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		db = open_alone();

		stop_by = stop;
		if (by_thread)
			stop_in_a_pass(db);
		else
			by_growth(db);
		_exit(1);
	}
	check(waitpid(child, &status, WUNTRACED) == child);
	check(stop == SIGSTOP ? WIFSTOPPED(status) : WIFSIGNALED(status) && WTERMSIG(status) == stop);
	return child;
}

/* How many the counters tell of, with outcomes that came behind them. */
static uint64_t checkpoints_of(penstock *db)
{
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	return kit_counters(db).checkpoints;
}

static void stop_the_holder(void)
{
	sqlite3 *reader;
	penstock *db;
	pid_t holder;
	int status;

	begin_alone();
	holder = start_holder(SIGSTOP);
	db = open_alone();
	for (int i = 0; i < 10; i++)
		by_growth(db);
	check(checkpoints_of(db) == 0 && not_allowed(db) > 0 && kit_counters(db).wal_bytes > 500000);
	cr_assert_eq(atomic_load(&told), 1);
	/* A pause does not wait for it: the log stays where whoever comes finds it. */
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(log_bytes() > 500000);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kill(holder, SIGKILL) == 0 && waitpid(holder, &status, 0) == holder);
	by_growth(db);
	check(checkpoints_of(db) > 0 && kit_counters(db).wal_bytes < 500000);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	check(sqlite3_close(reader) == SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(log_bytes(), -1);
	check(kit_ask(path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
}

Test(checkpoint, a_holder_that_is_stopped_lets_the_log_grow_until_it_is_killed)
{
	both_ways(stop_the_holder);
}

static void kill_holders(void)
{
	penstock *db;

	begin_alone();
	for (int i = 0; i < 5; i++)
		start_holder(SIGKILL);
	db = open_alone();
	by_growth(db);
	check(checkpoints_of(db) > 0);
	cr_assert_eq(not_allowed(db), 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
}

Test(checkpoint, a_holder_that_dies_is_succeeded_at_once)
{
	both_ways(kill_holders);
}

/* What SQLite itself answers while another connection checkpoints. */
static void ask_by_pragma(void)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "PRAGMA wal_checkpoint(FULL)" };
	static const char *const names[] = { "busy", "log", "checkpointed" };
	penstock_handle *handle;
	const penstock_result *result;
	penstock *db;
	pid_t holder;

	begin_alone();
	holder = start_holder(SIGSTOP);
	db = open_alone();
	for (int round = 0; round < 2; round++) {
		expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		result = penstock_handle_result(handle);
		check(result->row_count == 1 && result->column_count == 3);
		check((result->cells[0].as.integer == 1) == (round == 0) &&
		      (result->cells[1].as.integer == -1) == (round == 0));
		for (size_t i = 0; i < COUNT_OF(names); i++)
			cr_assert_str_eq(result->column_names[i], names[i]);
		penstock_handle_release(handle);
		if (round == 0)
			check(kill(holder, SIGKILL) == 0 && waitpid(holder, NULL, 0) == holder);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(checkpoint, a_pragma_that_is_not_allowed_says_busy)
{
	both_ways(ask_by_pragma);
}

/* With an SQLite that does not have the bug the lock is taken all the same, for those that have one that does. */
static void lock_without_the_bug(void)
{
	penstock *db;
	pid_t holder;

	version = 3051003;
	begin_alone();
	db = open_alone();
	by_growth(db);
	check(checkpoints_of(db) > 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	holder = start_holder(SIGSTOP);
	db = open_alone();
	by_growth(db);
	check(checkpoints_of(db) == 0 && not_allowed(db) > 0);
	check(kill(holder, SIGKILL) == 0 && waitpid(holder, NULL, 0) == holder);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(checkpoint, the_lock_counts_without_the_bug_too)
{
	both_ways(lock_without_the_bug);
}

/* ---- the side file ---- */

static void make_link(void)
{
	check(symlink("elsewhere", beside) == 0);
}

static void make_folder(void)
{
	check(mkdir(beside, 0700) == 0);
}

static void make_pipe(void)
{
	check(mkfifo(beside, 0600) == 0);
}

/* Somebody may want another file of the user's to have its mode. */
static void make_second_name(void)
{
	char name[4300];
	int fd;

	snprintf(name, sizeof name, "%s.secret", beside);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0400);
	check(fd >= 0 && link(name, beside) == 0);
	close(fd);
}

/* Which root alone can. */
static void make_strangers(void)
{
	int fd = open(beside, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	check(fd >= 0 && fchown(fd, 12345, 12345) == 0);
	close(fd);
}

static void leave_foreign_side_files(void)
{
	void (*const make[])(void) = { make_link, make_folder, make_pipe, make_second_name, make_strangers };

	for (size_t i = 0; i < COUNT_OF(make) - (geteuid() != 0); i++) {
		struct stat before, after;
		sqlite3 *reader;
		penstock *db;

		begin_alone();
		make[i]();
		check(lstat(beside, &before) == 0);
		db = open_alone();
		cr_assert_eq(atomic_load(&told), 1);
		expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
		by_growth(db);
		check(checkpoints_of(db) == 0 && not_allowed(db) > 0);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(log_bytes() > 65536);
		check(sqlite3_close(reader) == SQLITE_OK);
		check(lstat(beside, &after) == 0 && before.st_ino == after.st_ino && before.st_mode == after.st_mode &&
		      before.st_size == after.st_size);
		/* It is tried anew each time. */
		check(remove(beside) == 0);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		by_growth(db);
		check(checkpoints_of(db) > 0);
		/* The last connection that closes has the database to itself. */
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(log_bytes(), -1);
	}
}

Test(checkpoint, a_foreign_side_file_is_left_alone_and_nothing_is_copied)
{
	both_ways(leave_foreign_side_files);
}

static void make_side_file_anew(void)
{
	struct stat first, info;
	penstock *db;
	int fd;

	begin_alone();
	db = open_alone();
	check(stat(beside, &first) == 0 && (first.st_mode & 0777) == 0600);
	check(remove(beside) == 0);
	while (checkpoints_of(db) == 0)
		by_growth(db);
	check(not_allowed(db) == 0 && stat(beside, &info) == 0);
	/* And has the mode that the database has by now. */
	check(remove(beside) == 0 && chmod(path, 0640) == 0);
	fd = open(beside, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	check(fd >= 0);
	/* The thread has the lock for as long as its job takes. */
	do {
		by_growth(db);
		check(fstat(fd, &info) == 0);
	} while ((info.st_mode & 0777) != 0640);
	cr_assert_eq(not_allowed(db), 0);
	close(fd);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(checkpoint, a_side_file_that_is_removed_or_replaced_is_made_anew)
{
	both_ways(make_side_file_anew);
}

/* Of a database that is not root's: its own user is to have the lock, too. */
Test(checkpoint, a_side_file_that_root_makes_is_the_databases_owners)
{
	const struct {
		uid_t user;
		gid_t group;
	} owners[] = { { 12345, 0 }, { 0, 12345 }, { 12345, 12345 }, { 0, 0 } };

	if (geteuid() != 0)
		cr_skip_test("only root can give a file to another user");
	for (size_t i = 0; i < COUNT_OF(owners); i++) {
		struct stat info;
		penstock *db;

		begin_alone();
		expect(penstock_close(open_alone(), PENSTOCK_FOREVER), PENSTOCK_OK);
		check(remove(beside) == 0 && chown(path, owners[i].user, owners[i].group) == 0);
		db = open_alone();
		check(stat(beside, &info) == 0);
		check(info.st_uid == owners[i].user && info.st_gid == owners[i].group, "%zu", i);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
}

/* Else it would keep the lock of an engine that has died. */
static void fork_beside_side_file(void)
{
	penstock *db;
	int status;
	pid_t child;

	begin_alone();
	db = open_alone();
	cr_assert_eq(kit_open_files(beside), 2); /* the checkpoint lock's and that of the turns */
	child = fork();
	check(child >= 0);
	if (child == 0)
		_exit(kit_open_files(beside));
	check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	cr_assert_eq(kit_open_files(beside), 2); /* the checkpoint lock's and that of the turns */
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_open_files(beside), 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(checkpoint, a_forked_child_has_no_side_file)
{
	both_ways(fork_beside_side_file);
}

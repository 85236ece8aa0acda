/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Engines of several processes on one file: each acknowledged row there once, turns with every kind of side file, pauses for all, and what a
 * forked child keeps (nothing).
 */
#include "tests/kit.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/atomic.h"
#include "core/fault.h"
#include "tests/shim.h"
#include "writer/sqlite/peers.h"

TestSuite(processes, .init = kit_begin, .fini = harness_end);

#define SIDE "test.db" PS_BESIDE_SUFFIX

/* What processes tell each other. */
static struct {
	uint32_t ready, go, done, status;
} * shared;

static void share(void)
{
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED);
}

static pid_t process(void (*run)(unsigned number), unsigned number)
{
	pid_t child = fork();

	check(child >= 0);
	if (child == 0) {
		kit_begin();
		run(number);
		_exit(0);
	}
	return child;
}

static void end(pid_t child)
{
	int status;

	check(waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

static void end_by_kill(pid_t child)
{
	int status;

	check(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
}

static void make_table(void)
{
	kit_change(harness_path("test.db"), "PRAGMA journal_mode=WAL; CREATE TABLE t(a)");
}

static void is_ready(void)
{
	ps_add_u32(&shared->ready, 1);
}

static void await_go(void)
{
	await(ps_load_acquire_u32(&shared->go) != 0);
}

static void go(void)
{
	ps_store_release_u32(&shared->go, 1);
}

static int execute_insert(penstock *db, int64_t number)
{
	penstock_handle *handle;
	int status;

	expect(kit_insert(db, number, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	status = penstock_handle_wait(handle, PENSTOCK_FOREVER);
	penstock_handle_release(handle);
	return status;
}

/* ---- opening and writing at once --------------------------------------------------------------------------------- */

#define EACH 20

/* A turn is given up by who has waited for the longest that it does, as nobody has but where a machine does not run them for that long. */
static bool gave_up_late(const penstock_counters *counters)
{
	return counters->turns_missed * PS_TURNS_LONGEST <= counters->turns_wait_nsec;
}

static void open_and_write(unsigned number)
{
	penstock_config config = kit_config();
	penstock_counters counters;
	penstock *db;

	is_ready();
	await_go();
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS t(a)"), PENSTOCK_OK);
	for (int64_t i = 0; i < EACH; i++)
		expect(execute_insert(db, number * EACH + i), PENSTOCK_OK);
	counters = kit_counters(db);
	check(gave_up_late(&counters), "%" PRIu64 " missed in %" PRIu64 " ns", counters.turns_missed, counters.turns_wait_nsec);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void open_at_once(unsigned processes)
{
	pid_t children[32];
	unsigned i;

	share();
	harness_make_folder();
	for (i = 0; i < processes; i++)
		children[i] = process(open_and_write, i);
	await(ps_load_acquire_u32(&shared->ready) == processes);
	go();
	for (i = 0; i < processes; i++)
		end(children[i]);
	check(kit_ask(harness_path("test.db"), "SELECT count(DISTINCT a) FROM t") == processes * EACH);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == processes * EACH);
}

Test(processes, two_open_one_new_file_at_once)
{
	open_at_once(2);
}

Test(processes, eight_open_one_new_file_at_once)
{
	open_at_once(8);
}

Test(processes, thirty_two_open_one_new_file_at_once)
{
	open_at_once(KIT_SANITIZED ? 12 : 32);
}

/* ---- the counters ------------------------------------------------------------------------------------------------ */

static penstock_counters write_some(const penstock_config *config)
{
	penstock_counters counters;
	penstock *db = kit_open(config);

	expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS t(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	for (int64_t i = 0; i < 10; i++)
		expect(execute_insert(db, i), PENSTOCK_OK);
	counters = kit_counters(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	return counters;
}

Test(processes, alone_each_write_has_its_turn_at_once)
{
	penstock_config config = kit_config();
	penstock_counters counters;

	harness_make_folder();
	config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
	counters = write_some(&config);
	/* One for the opening. What reads has none. */
	check(counters.turns == 12 && counters.turns_waited == 0 && counters.turns_missed == 0, "%" PRIu64, counters.turns);
	check(counters.turns_skipped == 0 && counters.turns_succeeded == 0 && counters.turns_wait_nsec == 0);
}

/* Whether no turn stands. */
static bool is_nobodys_turn(void)
{
	struct ps_turns_words words;
	int fd = open(harness_path(SIDE), O_RDONLY);

	check(fd >= 0 && pread(fd, &words, sizeof words, 128) == sizeof words);
	close(fd);
	return words.tail == words.serving && words.tail != 0;
}

Test(processes, behind_a_batch_its_turn_has_ended)
{
	penstock_config config = kit_config();
	penstock *db;

	harness_make_folder();
	config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
	db = kit_open_table(&config);
	for (unsigned i = 0; i < 20; i++) {
		kit_block(db);
		for (int64_t j = 0; j < 5; j++)
			expect(kit_insert(db, j, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		/* One that is rolled back, and settled. */
		expect(kit_submit(db, "INSERT OR ROLLBACK INTO t SELECT abs(-9223372036854775807 - 1)", PENSTOCK_FOREVER, NULL),
		       PENSTOCK_OK);
		kit_unblock();
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(is_nobodys_turn());
	}
	check(kit_counters(db).turns_waited == 0 && kit_counters(db).turns > 40);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, without_a_sync_one_turn_covers_several_transactions)
{
	penstock_config config = kit_config();
	penstock_counters before, after;
	penstock *db;

	harness_make_folder();
	config.batch_max = 1;
	db = kit_open_table(&config);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	before = kit_counters(db);
	for (int64_t i = 0; i < 5000; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	after = kit_counters(db);
	check(after.batches - before.batches == 5000);
	check(after.turns - before.turns < 5000, "%" PRIu64, after.turns - before.turns);
	/* And it ends when there is no more to do. */
	await(is_nobodys_turn());
	check(kit_counters(db).turns_skipped == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static uint32_t called, called_at_turn;

static void look_at_turn(void *arg, const penstock_result *result)
{
	(void)arg;
	(void)result;
	ps_add_u32(&called_at_turn, is_nobodys_turn() ? 0 : 1);
	ps_add_u32(&called, 1);
}

Test(processes, no_function_of_the_program_is_told_within_a_turn)
{
	penstock_config config = kit_config();
	penstock *db;

	harness_make_folder();
	config.batch_max = 8;
	config.on_error = look_at_turn;
	db = kit_open_table(&config);
	for (int64_t i = 0; i < 200; i++) {
		penstock_submission call = PENSTOCK_SUBMISSION_INIT;

		/* Behind one that nobody listens to, whose turn goes on. */
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		call.sql = "INSERT INTO t VALUES(1)";
		call.on_complete = look_at_turn;
		expect(penstock_submit(db, &call, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		expect(kit_submit(db, "INSERT INTO nowhere VALUES(1)", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(called == 400 && called_at_turn == 0, "%u of %u", called_at_turn, called);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static penstock *open_with_long_turns(int64_t spin_usec)
{
	penstock_config config = kit_config();
	penstock *db;

	harness_make_folder();
	config.spin_usec = spin_usec;
	db = kit_open_table(&config);
	/* In a build without faults the term may be over before the writer rests, and then this shows nothing. */
	(void)ps_fault_arm("long_term", 0, UINT64_MAX);
	return db;
}

Test(processes, a_writer_that_sleeps_has_no_turn)
{
	penstock *db = open_with_long_turns(0);
	pid_t writer = kit_find_writer();

	for (int64_t i = 0; i < 20; i++) {
		expect(execute_insert(db, i), PENSTOCK_OK);
		await(kit_thread_sleeps(writer));
		check(is_nobodys_turn());
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, a_writer_that_looks_for_work_for_long_has_no_turn)
{
	penstock *db = open_with_long_turns(1000000);
	pid_t writer = kit_find_writer();
	bool looks = false;

	/* On a busy machine a second may be over at once. */
	for (int64_t i = 0; i < 10 && !looks; i++) {
		expect(execute_insert(db, i), PENSTOCK_OK);
		await(is_nobodys_turn());
		kit_sleep_usec(5000);
		looks = !kit_thread_sleeps(writer);
	}
	check(looks);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void look_from_inside(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	look_at_turn(NULL, NULL);
	sqlite3_result_null(context);
}

static int add_look(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "look", 0, SQLITE_UTF8, NULL, look_from_inside, NULL, NULL);
}

Test(processes, what_reads_alone_runs_outside_of_a_turn)
{
	penstock_config config = kit_config();
	penstock *db;

	harness_make_folder();
	config.batch_max = 1;
	config.connect_hook = add_look;
	db = kit_open_table(&config);
	(void)ps_fault_arm("long_term", 0, UINT64_MAX);
	for (int64_t i = 0; i < 100; i++) {
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		expect(kit_submit(db, "SELECT look()", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(called == 100 && called_at_turn == 0, "%u of %u", called_at_turn, called);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A turn that stands, of one who is said to live. */
static struct {
	pid_t writer; /* whose look is met, or 0 */
	unsigned looks;
	struct ps_turns_words *words;
	penstock_handle *cancelled;
} standing;

int __wrap_fcntl64(int fd, int command, ...);
int __real_fcntl64(int fd, int command, void *arg);

/* An errno that each lock of the pause for all fails with, or 0; each look for a pauser; and each attempt to let go of a lock. */
static _Atomic int no_pause_lock, no_pause_look, no_unlock;
static _Atomic unsigned unlocks_refused;
/* The side file has no name until such a lock is refused. */
static _Atomic bool moved_away;

static void move_side_file(bool back)
{
	char name[PATH_MAX], away[PATH_MAX];

	snprintf(name, sizeof name, "%s", harness_path(SIDE));
	snprintf(away, sizeof away, "%s", harness_path("away"));
	check(back ? rename(away, name) == 0 : rename(name, away) == 0);
	moved_away = !back;
}

/* At the first look a statement comes to nothing, so that the wait is interrupted; at the next one the turn ends. */
int __wrap_fcntl64(int fd, int command, ...)
{
	va_list arguments;
	void *arg;

	va_start(arguments, command);
	arg = va_arg(arguments, void *);
	va_end(arguments);
	if (no_pause_lock != 0 && command == F_OFD_SETLK && ((const struct flock *)arg)->l_start == PS_BESIDE_PAUSE &&
	    ((const struct flock *)arg)->l_type != F_UNLCK) {
		if (moved_away)
			move_side_file(true);
		errno = no_pause_lock;
		return -1;
	}
	if (no_pause_look != 0 && command == F_OFD_GETLK && ((const struct flock *)arg)->l_start == PS_BESIDE_PAUSING) {
		errno = no_pause_look;
		return -1;
	}
	if (no_unlock != 0 && command == F_OFD_SETLK && ((const struct flock *)arg)->l_type == F_UNLCK) {
		unlocks_refused++;
		errno = no_unlock;
		return -1;
	}
	if (command != F_OFD_GETLK || standing.writer == 0 || gettid() != standing.writer)
		return __real_fcntl64(fd, command, arg);
	if (standing.looks++ == 0)
		expect(penstock_handle_cancel(standing.cancelled), PENSTOCK_OK);
	else
		ps_add_u32(&standing.words->serving, 1);
	((struct flock *)arg)->l_type = F_RDLCK;
	return 0;
}

/* An errno that each opening of the side file fails with, or 0; and each look for its name. */
static _Atomic int no_side_file, no_look;

static bool is_side_file(const char *name)
{
	size_t bytes = strlen(name), end = strlen(PS_BESIDE_SUFFIX);

	return bytes > end && strcmp(name + bytes - end, PS_BESIDE_SUFFIX) == 0;
}

int __wrap_open64(const char *name, int flags, ...);
int __real_open64(const char *name, int flags, ...);

int __wrap_open64(const char *name, int flags, ...)
{
	va_list arguments;
	int mode;

	va_start(arguments, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
	va_end(arguments);
	if (no_side_file == 0 || !is_side_file(name))
		return __real_open64(name, flags, mode);
	errno = no_side_file;
	return -1;
}

int __wrap_stat64(const char *name, struct stat64 *info);
int __real_stat64(const char *name, struct stat64 *info);

int __wrap_stat64(const char *name, struct stat64 *info)
{
	if (no_look == 0 || !is_side_file(name))
		return __real_stat64(name, info);
	errno = no_look;
	return -1;
}

static void let_a_turn_stand(void)
{
	int fd = open(harness_path(SIDE), O_RDWR);
	void *page = mmap(NULL, 128 + sizeof *standing.words, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t ticket, own;

	check(fd >= 0 && page != MAP_FAILED);
	close(fd);
	standing.words = (void *)((char *)page + 128);
	ticket = standing.words->tail++;
	check(standing.words->serving == ticket);
	own = standing.words->holders[(ticket - 1) % PS_TURNS_HOLDERS] & ((1 << PS_TURNS_PLACE_BITS) - 1);
	standing.words->holders[ticket % PS_TURNS_HOLDERS] = ticket << PS_TURNS_PLACE_BITS | (own ^ 1);
}

/* One that runs alone, as each does beside an attached database: there nobody would run it once more. */
Test(processes, who_waits_for_a_turn_waits_on_when_another_comes_to_nothing)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(1)",
		                           .flags = PENSTOCK_CANCELLABLE };
	penstock_config config = kit_config();
	penstock_handle *alone;
	penstock *db;

	harness_make_folder();
	db = kit_open_table(&config);
	expect(kit_execute(db, "ATTACH ':memory:' AS other"), PENSTOCK_OK);
	kit_block(db);
	expect(kit_submit(db, "CREATE TABLE u(a)", PENSTOCK_FOREVER, &alone), PENSTOCK_OK);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &standing.cancelled), PENSTOCK_OK);
	let_a_turn_stand();
	standing.writer = kit_find_writer();
	kit_unblock();
	expect(penstock_handle_wait(alone, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(standing.cancelled, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == 1);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 0);
	penstock_handle_release(alone);
	penstock_handle_release(standing.cancelled);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, turns_can_be_switched_off)
{
	penstock_config config = kit_config();
	penstock_counters counters;

	harness_make_folder();
	config.turns = 0;
	counters = write_some(&config);
	check(counters.turns == 0 && counters.turns_missed == 0);
}

/* ---- the side file ----------------------------------------------------------------------------------------------- */

static void expect_no_turns(void)
{
	penstock_config config = kit_config();
	penstock_counters counters = write_some(&config);

	check(counters.turns == 0 && counters.turns_missed == 12);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 10);
}

/* A new one: an engine that works makes its own as soon as there is none, and has mapped what it has made. */
static void put_side_file(const char *content, size_t bytes)
{
	int fd;

	while ((fd = open(harness_path(SIDE), O_WRONLY | O_CREAT | O_EXCL, 0600)) < 0) {
		check(errno == EEXIST);
		remove(harness_path(SIDE));
	}
	check(write(fd, content, bytes) == (ssize_t)bytes && close(fd) == 0);
}

Test(processes, a_side_file_that_is_a_link_is_left_alone)
{
	struct stat info;

	harness_make_folder();
	put_side_file("", 0);
	check(rename(harness_path(SIDE), harness_path("elsewhere")) == 0);
	check(symlink(harness_path("elsewhere"), harness_path(SIDE)) == 0);
	expect_no_turns();
	check(stat(harness_path("elsewhere"), &info) == 0 && info.st_size == 0);
}

Test(processes, a_side_file_that_is_a_folder_is_left_alone)
{
	harness_make_folder();
	check(mkdir(harness_path(SIDE), 0700) == 0);
	expect_no_turns();
}

#define STRANGER 65534

static void need_root(void)
{
	if (geteuid() != 0)
		cr_skip_test("only root can be somebody else");
}

/* Each with another mode than the database's, which a file of ours would be given. */
#define OTHER_MODE 0400

/* An engine that works makes its own as soon as there is none. */
static void put_node(mode_t kind)
{
	while (mknod(harness_path(SIDE), kind | OTHER_MODE, 0) != 0) {
		check(errno == EEXIST);
		remove(harness_path(SIDE));
	}
}

static void put_a_pipe(void)
{
	put_node(S_IFIFO);
}

static void put_a_socket(void)
{
	put_node(S_IFSOCK);
}

static void put_a_second_name(void)
{
	put_side_file("", 0);
	unlink(harness_path("elsewhere"));
	check(link(harness_path(SIDE), harness_path("elsewhere")) == 0 && chmod(harness_path(SIDE), OTHER_MODE) == 0);
}

static void put_a_strangers(void)
{
	put_side_file("", 0);
	check(chown(harness_path(SIDE), STRANGER, STRANGER) == 0);
}

/* With what is there, of whatever kind it is. */
static void expect_left_alone(void (*put)(void))
{
	struct stat before, after;

	harness_make_folder();
	put();
	check(lstat(harness_path(SIDE), &before) == 0);
	expect_no_turns();
	check(lstat(harness_path(SIDE), &after) == 0);
	check(before.st_ino == after.st_ino && before.st_mode == after.st_mode && before.st_uid == after.st_uid &&
	      before.st_size == after.st_size);
}

/* Nobody reads it, and nobody waits until somebody does. */
Test(processes, a_side_file_that_is_a_pipe_is_left_alone)
{
	expect_left_alone(put_a_pipe);
}

Test(processes, a_side_file_that_is_a_socket_is_left_alone)
{
	expect_left_alone(put_a_socket);
}

Test(processes, a_side_file_that_has_another_name_is_left_alone)
{
	expect_left_alone(put_a_second_name);
}

Test(processes, a_side_file_of_another_user_is_left_alone)
{
	need_root();
	expect_left_alone(put_a_strangers);
}

/* root may do anything: it is a user who is not. */
Test(processes, a_side_file_that_may_not_be_read_or_written_is_left_alone)
{
	static const struct {
		uid_t owner;
		mode_t mode;
	} cases[] = { { STRANGER, 0 }, { STRANGER, 0200 }, { STRANGER, 0400 }, { STRANGER, 0066 },
		      { 0, 0 },        { 0, 0602 },        { 0, 0604 } };

	need_root();
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct stat info;

		check(chown(harness_make_folder(), STRANGER, STRANGER) == 0);
		put_side_file("", 0);
		check(chmod(harness_path(SIDE), cases[i].mode) == 0 && chown(harness_path(SIDE), cases[i].owner, 0) == 0);
		/* That of the last one. */
		(void)unlink(harness_path("test.db"));
		check(setegid(STRANGER) == 0 && seteuid(STRANGER) == 0);
		expect_no_turns();
		check(seteuid(0) == 0 && setegid(0) == 0);
		check(stat(harness_path(SIDE), &info) == 0 && info.st_size == 0);
		check((info.st_mode & 07777) == cases[i].mode && info.st_uid == cases[i].owner);
	}
}

Test(processes, a_side_file_of_another_layout_is_not_written_to)
{
	char content[PS_BESIDE_PAGE_BYTES], found[sizeof content];
	int fd;

	harness_make_folder();
	memset(content, 'x', sizeof content);
	put_side_file(content, sizeof content);
	expect_no_turns();
	fd = open(harness_path(SIDE), O_RDONLY);
	check(read(fd, found, sizeof found) == sizeof found && memcmp(found, content, sizeof found) == 0);
	close(fd);
}

Test(processes, a_side_file_that_is_too_short_is_left_alone)
{
	struct stat info;

	harness_make_folder();
	put_side_file("\0\0\0\0\0", 5);
	expect_no_turns();
	check(stat(harness_path(SIDE), &info) == 0 && info.st_size == 5);
}

Test(processes, the_side_file_has_the_mode_of_the_database)
{
	penstock_config config = kit_config();
	struct stat info;

	harness_make_folder();
	write_some(&config);
	check(stat(harness_path(SIDE), &info) == 0 && (info.st_mode & 07777) == 0600);
	check(info.st_size == PS_BESIDE_PAGE_BYTES);
}

/* Writes for as long as somebody tampers with the side file. */
static void write_on(unsigned number)
{
	penstock_config config = kit_config();
	penstock *db = kit_open(&config);
	uint32_t rows = 0;

	is_ready();
	await_go();
	while (ps_load_acquire_u32(&shared->done) == 0) {
		expect(execute_insert(db, number), PENSTOCK_OK);
		rows++;
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	ps_add_u32(&shared->status, rows);
}

static void tamper(void (*with)(unsigned round), unsigned rounds)
{
	pid_t children[3];
	unsigned i;

	share();
	harness_make_folder();
	make_table();
	for (i = 0; i < COUNT_OF(children); i++)
		children[i] = process(write_on, i);
	await(ps_load_acquire_u32(&shared->ready) == COUNT_OF(children));
	go();
	for (i = 0; i < rounds; i++) {
		with(i);
		kit_sleep_usec(3000);
	}
	ps_store_release_u32(&shared->done, 1);
	for (i = 0; i < COUNT_OF(children); i++)
		end(children[i]);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == shared->status && shared->status > 0);
}

static void remove_it(unsigned round)
{
	(void)round;
	unlink(harness_path(SIDE));
}

static void put_a_link_there(unsigned round)
{
	unlink(harness_path(SIDE));
	if (round % 4 == 0)
		(void)!symlink("/nowhere", harness_path(SIDE));
}

/* Each of them for a while, so that it is met, and nothing in between. */
static void put_another_kind_there(unsigned round)
{
	void (*const put[])(void) = { put_a_pipe, put_a_socket, put_a_second_name, put_a_strangers };

	if (round % 10 == 0)
		remove(harness_path(SIDE));
	if (round % 20 == 10)
		put[round / 20 % (COUNT_OF(put) - (geteuid() != 0))]();
}

static void fill_with_garbage(unsigned round)
{
	static uint64_t random = 1;
	uint32_t garbage[PS_BESIDE_PAGE_BYTES / 4];
	/* Its layout stays in every other round. */
	size_t first = round % 2;
	int fd = open(harness_path(SIDE), O_WRONLY);

	check(fd >= 0);
	for (size_t i = 0; i < COUNT_OF(garbage); i++) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		garbage[i] = (uint32_t)(random >> (round % 3 == 0 ? 62 : 32));
	}
	check(pwrite(fd, garbage + first, sizeof garbage - 4 * first, 4 * (off_t)first) > 0);
	close(fd);
}

Test(processes, the_side_file_is_removed_again_and_again)
{
	tamper(remove_it, 150);
}

Test(processes, the_side_file_is_replaced_by_a_link_and_removed)
{
	tamper(put_a_link_there, 150);
}

Test(processes, the_side_file_is_replaced_by_things_of_other_kinds)
{
	tamper(put_another_kind_there, 160);
}

Test(processes, the_side_file_is_filled_with_garbage_while_it_is_used)
{
	tamper(fill_with_garbage, 100);
}

/* ---- a holder that dies ------------------------------------------------------------------------------------------ */

static void die_in_a_transaction(unsigned number)
{
	penstock_config config = kit_config();
	penstock *db = kit_open(&config);

	(void)number;
	gate_set(&sql_gate, true);
	expect(kit_submit(db, "INSERT INTO t SELECT -1 WHERE gate()", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	gate_await(&sql_gate);
	is_ready();
	pause();
}

Test(processes, a_holder_is_killed_in_its_transaction)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	pid_t holder;
	penstock *db;

	share();
	harness_make_folder();
	make_table();
	for (uint32_t i = 1; i <= 10; i++) {
		holder = process(die_in_a_transaction, 0);
		await(ps_load_acquire_u32(&shared->ready) == i);
		end_by_kill(holder);
		db = kit_open(&config);
		expect(kit_insert(db, i, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(handle);
		check(kit_counters(db).turns_skipped == 0, "%" PRIu64 " skipped", kit_counters(db).turns_skipped);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t WHERE a < 0") == 0);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 10);
}

Test(processes, a_holder_that_is_stopped_in_its_transaction_holds_others_up)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	pid_t holder;
	penstock *db;

	share();
	harness_make_folder();
	make_table();
	holder = process(die_in_a_transaction, 0);
	await(ps_load_acquire_u32(&shared->ready) == 1);
	check(kill(holder, SIGSTOP) == 0);
	config.busy_limit_ms = 1;
	config.busy_timeout_ms = 0;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	expect_message("locked by another process");
	config.busy_limit_ms = 0;
	end_by_kill(holder);
	db = kit_open(&config);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

Test(processes, a_forked_child_keeps_no_descriptor_of_the_side_file)
{
	penstock_config config = kit_config();
	penstock *db;
	pid_t child;
	int status;

	harness_make_folder();
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	check(kit_open_files(harness_path(SIDE)) > 0);
	child = fork();
	check(child >= 0);
	if (child == 0) {
		bool none = kit_open_files(harness_path(SIDE)) == 0;

		_exit(none && kit_execute(db, "SELECT 1") == PENSTOCK_FORKED && penstock_pause_all(db, 0) == PENSTOCK_FORKED
		              ? 0
		              : 1);
	}
	check(waitpid(child, &status, 0) == child && status == 0, "status %x", (unsigned)status);
	expect(execute_insert(db, 1), PENSTOCK_OK);
	check(kit_counters(db).turns_missed == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_open_files(harness_path(SIDE)) == 0);
}

/* ---- pause for all ----------------------------------------------------------------------------------------------- */

#define OUT 1000000

/* Inserts 1 when told so. */
static void insert_when_told(unsigned number)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db = kit_open(&config);

	(void)number;
	expect(execute_insert(db, 0), PENSTOCK_OK);
	is_ready();
	await_go();
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	is_ready();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	check(kit_counters(db).failed == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void begin_pause_case(pid_t *child, void (*run)(unsigned number), penstock **db)
{
	penstock_config config = kit_config();

	share();
	harness_make_folder();
	make_table();
	*child = process(run, 0);
	await(ps_load_acquire_u32(&shared->ready) == 1);
	*db = kit_open(&config);
}

static int64_t rows(void)
{
	return kit_ask(harness_path("test.db"), "SELECT count(*) FROM t");
}

Test(processes, a_pause_of_all_holds_other_processes_and_an_unpause_lets_them_go)
{
	penstock *db;
	pid_t child;

	begin_pause_case(&child, insert_when_told, &db);
	expect(penstock_pause_all(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(penstock_phase_of(db) == PENSTOCK_PHASE_PAUSED);
	go();
	await(ps_load_acquire_u32(&shared->ready) == 2);
	kit_sleep_usec(SHORT);
	check(rows() == 1);
	kit_change(harness_path("test.db"), "INSERT INTO t VALUES(7)");
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	end(child);
	check(rows() == 3);
	expect(execute_insert(db, 2), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, a_stop_ends_a_pause_of_all)
{
	penstock *db;
	pid_t child;

	begin_pause_case(&child, insert_when_told, &db);
	expect(penstock_pause_all(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	go();
	await(ps_load_acquire_u32(&shared->ready) == 2);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	end(child);
	check(rows() == 2);
}

static void pause_all_for_ever(unsigned number)
{
	penstock_config config = kit_config();
	penstock *db = kit_open(&config);

	(void)number;
	expect(penstock_pause_all(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	is_ready();
	pause();
}

Test(processes, a_pauser_that_is_killed_lets_go)
{
	penstock_config config = kit_config();
	pid_t pauser;
	penstock *db;

	share();
	harness_make_folder();
	make_table();
	pauser = process(pause_all_for_ever, 0);
	await(ps_load_acquire_u32(&shared->ready) == 1);
	/* Who opens meanwhile waits for busy_limit_ms. */
	config.busy_limit_ms = 1;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	expect_message("penstock_pause_all");
	config.autostart = 0;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	config = kit_config();
	end_by_kill(pauser);
	db = kit_open(&config);
	expect(execute_insert(db, 2), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, a_pause_of_all_waits_for_a_transaction)
{
	penstock_config config = kit_config();
	struct ps_peers peers;
	pid_t child;
	penstock *db;

	share();
	harness_make_folder();
	make_table();
	child = process(die_in_a_transaction, 0);
	await(ps_load_acquire_u32(&shared->ready) == 1);
	ps_peers_open(&peers, harness_path("test.db"), false);
	check(ps_peers_pause(&peers) == PS_PEERS_WAITS);
	/* Nobody comes in meanwhile. */
	config.busy_limit_ms = 1;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	expect_message("penstock_pause_all");
	check(ps_peers_pause(&peers) == PS_PEERS_WAITS);
	end_by_kill(child);
	await(ps_peers_pause(&peers) == PS_PEERS_PAUSED);
	ps_peers_close(&peers);
}

/* ---- a pause for all, and a pass of the checkpoint thread -------------------------------------------------------- */

/* The checkpoint thread stands in its first write to the database, until it is told to go on. */
static int hold_pass(const struct shim_event *event)
{
	static _Atomic bool held;

	if (event->call != SHIM_WRITE || event->file != SHIM_MAIN || event->after || !harness_is_checkpoint_thread() ||
	    atomic_exchange(&held, true))
		return SQLITE_OK;
	is_ready();
	await_go();
	return SQLITE_OK;
}

/* Writes until a pass is held; then number rows more, which nobody waits for. */
static void be_held_in_a_pass(unsigned number)
{
	penstock_config config = kit_config();
	penstock *db;

	shim_install(hold_pass);
	config.wal_bytes_max = 1 << 20;
	config.checkpoint_thread = 1;
	db = kit_open(&config);
	/* Beyond wal_bytes_max the writer would wait for the pass. */
	while (ps_load_acquire_u32(&shared->ready) == 0) {
		if (kit_counters(db).wal_bytes < 1 << 19)
			expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(4000))"), PENSTOCK_OK);
		else
			kit_sleep_usec(100);
	}
	is_ready();
	await(ps_load_acquire_u32(&shared->done) != 0);
	for (unsigned i = 0; i < number; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	is_ready();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await(ps_load_acquire_u32(&shared->status) != 0);
	check(kit_counters(db).failed == 0 && kit_counters(db).checkpoints_beside > 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/*
 * A pass writes to the database: who pauses all has to wait for it, however idle or busy its engine is meanwhile. And that begins nothing
 * more, or with a pass behind each of its transactions it would never leave.
 */
static void pause_in_a_pass(unsigned more)
{
	struct ps_peers peers;
	int64_t before;
	pid_t child;

	share();
	harness_make_folder();
	make_table();
	child = process(be_held_in_a_pass, more);
	await(ps_load_acquire_u32(&shared->ready) == 2);
	ps_peers_open(&peers, harness_path("test.db"), false);
	check(ps_peers_pause(&peers) == PS_PEERS_WAITS);
	before = rows();
	ps_store_release_u32(&shared->done, 1);
	await(ps_load_acquire_u32(&shared->ready) == 3);
	/* Longer than an idle engine stays in. */
	for (unsigned i = 0; i < 20; i++) {
		kit_sleep_usec(SHORT / 4);
		check(ps_peers_pause(&peers) == PS_PEERS_WAITS);
	}
	check(rows() == before);
	go();
	await(ps_peers_pause(&peers) == PS_PEERS_PAUSED);
	kit_sleep_usec(SHORT);
	check(rows() == before);
	ps_peers_close(&peers);
	ps_store_release_u32(&shared->status, 1);
	end(child);
	check(rows() == before + more);
}

Test(processes, a_pause_of_all_waits_for_a_pass_of_an_idle_engine)
{
	pause_in_a_pass(0);
}

/* A pauser that has gone has left the word set. */
static void ask_to_leave(void)
{
	int fd = open(harness_path(SIDE), O_RDWR);
	uint32_t *page = mmap(NULL, PS_BESIDE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	check(fd >= 0 && page != MAP_FAILED);
	close(fd);
	ps_store_relaxed_u32(&page[1], 1);
	munmap(page, PS_BESIDE_PAGE_BYTES);
}

/* Another pass is due, for what came beside the first one; and nothing is to do any more, since it was refused. */
Test(processes, an_engine_that_had_to_leave_begins_no_pass)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	uint64_t passes;
	penstock *db;

	share();
	harness_make_folder();
	make_table();
	shim_install(hold_pass);
	config.wal_bytes_max = 1 << 20;
	config.checkpoint_thread = 1;
	db = kit_open(&config);
	while (ps_load_acquire_u32(&shared->ready) == 0) {
		if (kit_counters(db).wal_bytes < 1 << 19)
			expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(4000))"), PENSTOCK_OK);
		else
			kit_sleep_usec(100);
	}
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	penstock_config_init(&config);
	config.busy_limit_ms = 1;
	expect(penstock_reconfigure(db, &config), PENSTOCK_OK);
	no_pause_lock = ENOLCK;
	ask_to_leave();
	expect(kit_insert(db, 2, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	go();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	passes = kit_counters(db).checkpoints_beside;
	penstock_handle_release(handle);
	kit_sleep_usec(SHORT);
	check(passes > 0 && kit_counters(db).checkpoints_beside == passes);
	no_pause_lock = 0;
	config.busy_limit_ms = 0;
	expect(penstock_reconfigure(db, &config), PENSTOCK_OK);
	expect(execute_insert(db, 3), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, a_pause_of_all_waits_for_a_pass_of_a_busy_engine)
{
	pause_in_a_pass(10);
}

/* Behind a pause of all: what it has queued expires at its deadline, and is cancelled. */
static void wait_in_vain(unsigned number)
{
	penstock_config config = kit_config();
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(1)" };
	penstock_handle *timed, *cancelled;
	penstock *db = kit_open(&config);

	(void)number;
	expect(execute_insert(db, 0), PENSTOCK_OK);
	is_ready();
	await_go();
	submission.deadline_usec = penstock_deadline(SHORT);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &timed), PENSTOCK_OK);
	submission.deadline_usec = 0;
	submission.flags = PENSTOCK_CANCELLABLE;
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &cancelled), PENSTOCK_OK);
	expect(penstock_handle_wait(timed, PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
	expect(penstock_handle_cancel(cancelled), PENSTOCK_OK);
	expect(penstock_handle_wait(cancelled, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	/* Nobody waits any more. */
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(timed);
	penstock_handle_release(cancelled);
}

/* And what has not come to nothing waits, unless a stop gives it up. */
static void wait_for_the_end(unsigned number)
{
	penstock_config config = kit_config();
	penstock_handle *left;
	penstock *db = kit_open(&config);

	(void)number;
	expect(execute_insert(db, 0), PENSTOCK_OK);
	is_ready();
	await_go();
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, &left), PENSTOCK_OK);
	expect(penstock_handle_wait(left, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_stop(db, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
	expect(penstock_handle_wait(left, 0), PENSTOCK_SHUTDOWN);
	penstock_handle_release(left);
}

static void pause_beside(void (*run)(unsigned number))
{
	penstock *db;
	pid_t child;

	begin_pause_case(&child, run, &db);
	expect(penstock_pause_all(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	go();
	end(child);
	check(rows() == 1);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, behind_a_pause_of_all_deadlines_and_cancels_count_and_nobody_waits_for_them)
{
	pause_beside(wait_in_vain);
}

Test(processes, behind_a_pause_of_all_a_stop_counts)
{
	pause_beside(wait_for_the_end);
}

Test(processes, two_engines_of_one_process_pause_each_other)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *one, *other;

	harness_make_folder();
	one = kit_open_table(&config);
	other = kit_open(&config);
	expect(penstock_pause_all(one, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(other, 1, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, SHORT), PENSTOCK_TIMEOUT);
	/* The other one drains first, which it cannot. */
	expect(penstock_pause_all(other, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_unpause(one, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	/* By turns. */
	for (unsigned i = 0; i < 20; i++) {
		penstock *pauser = i % 2 == 0 ? one : other;

		expect(penstock_pause_all(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_pause_all(pauser, PENSTOCK_FOREVER), PENSTOCK_MISUSE);
		expect(penstock_unpause(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(execute_insert(one, i), PENSTOCK_OK);
		expect(execute_insert(other, i), PENSTOCK_OK);
	}
	/* Both want it at once: the second gets it when the first has ended, or not at all. */
	expect(penstock_pause_all(one, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause_all(other, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_unpause(one, PENSTOCK_FOREVER), PENSTOCK_OK);
	kit_await_phase(other, PENSTOCK_PHASE_RUNNING);
	expect(execute_insert(other, 100), PENSTOCK_OK);
	expect(penstock_close(one, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* It cannot tell whether others meet there. */
static void expect_refused(penstock *db, penstock_config *config)
{
	penstock *another;

	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_ERROR);
	expect_message("database is locked");
	expect(penstock_open(harness_path("test.db"), config, &another), PENSTOCK_CANTOPEN);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	no_side_file = no_look = 0;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(execute_insert(db, 1), PENSTOCK_OK);
}

Test(processes, a_side_file_that_the_system_refuses_is_waited_for_as_a_lock)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, EINTR, EIO };
	penstock_config config = kit_config();
	penstock *db;

	harness_make_folder();
	config.busy_limit_ms = 1;
	db = kit_open_table(&config);
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		no_side_file = errors[i];
		check(unlink(harness_path(SIDE)) == 0);
		kit_sleep_usec(2 * SHORT);
		expect_refused(db, &config);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, a_side_file_whose_name_cannot_be_looked_for_is_waited_for_as_a_lock)
{
	penstock_config config = kit_config();
	penstock *db;

	harness_make_folder();
	config.busy_limit_ms = 1;
	db = kit_open_table(&config);
	no_look = EIO;
	kit_sleep_usec(2 * SHORT);
	expect_refused(db, &config);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *pause_all(void *pauser)
{
	expect(penstock_pause_all(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
	return NULL;
}

#define LIMIT_MSEC 2000

/* As one that waits for the lock of a plain connection is told, the pauser gets in. */
Test(processes, a_pause_of_all_does_not_count_as_a_wait_for_the_lock)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(1)",
		                           .flags = PENSTOCK_CANCELLABLE };
	penstock_handle *cancelled, *handle;
	penstock_config config = kit_config();
	penstock *db, *pauser;
	pthread_t thread;
	sqlite3 *plain;
	uint64_t retries;

	harness_make_folder();
	/* It needs no lock to close its connection. */
	config.leave_wal = true;
	pauser = kit_open_table(&config);
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = LIMIT_MSEC;
	db = kit_open(&config);
	check(sqlite3_open(harness_path("test.db"), &plain) == SQLITE_OK);
	check(sqlite3_exec(plain, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	kit_block(db);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &cancelled), PENSTOCK_OK);
	expect(kit_insert(db, 2, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	kit_unblock();
	await(kit_counters(db).busy_retries > 0);
	check(pthread_create(&thread, NULL, pause_all, pauser) == 0);
	kit_await_phase(pauser, PENSTOCK_PHASE_PAUSED);
	kit_sleep_usec(SHORT);
	expect(penstock_handle_cancel(cancelled), PENSTOCK_OK);
	pthread_join(thread, NULL);
	kit_sleep_usec(LIMIT_MSEC * 1100);
	retries = kit_counters(db).busy_retries;
	expect(penstock_close(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
	await(kit_counters(db).busy_retries > retries);
	check(sqlite3_exec(plain, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(cancelled, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	penstock_handle_release(cancelled);
	penstock_handle_release(handle);
	sqlite3_close(plain);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* It is out, and cannot tell whether it may come in. */
static void lock_out(penstock *pauser, penstock *db, int error, bool by_look)
{
	expect(penstock_pause_all(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 0, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	kit_sleep_usec(SHORT);
	*(by_look ? &no_pause_look : &no_pause_lock) = error;
	expect(penstock_unpause(pauser, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
}

Test(processes, a_lock_for_coming_in_that_is_not_to_be_had_is_waited_for_as_any_lock)
{
	static const int errors[] = { ENOLCK, ENOMEM, EINTR, EIO };
	static const penstock_submission durable = {
		.struct_size = sizeof durable, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(1)", .ack = PENSTOCK_ACK_DURABLE
	};
	penstock_config config = kit_config();

	for (size_t i = 0; i < 2 * COUNT_OF(errors); i++) {
		penstock_handle *left;
		penstock *db, *pauser;

		harness_make_folder();
		config.busy_limit_ms = 1;
		config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
		pauser = kit_open_table(&config);
		db = kit_open(&config);
		lock_out(pauser, db, errors[i / 2], i % 2 != 0);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(kit_counters(db).failed == 1 && kit_counters(db).busy_retries > 0);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_ERROR);
		expect_message("database is locked");
		expect(kit_execute(db, "SELECT 1"), PENSTOCK_ERROR);
		/* Nor is the file synced. */
		expect(penstock_execute(db, &durable, PENSTOCK_FOREVER, NULL), PENSTOCK_ERROR);
		check(kit_counters(db).wal_syncs == 0);
		/* A stop does not wait for it. */
		expect(kit_insert(db, 2, PENSTOCK_FOREVER, &left), PENSTOCK_OK);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_handle_wait(left, 0), PENSTOCK_ERROR);
		penstock_handle_release(left);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
		no_pause_lock = no_pause_look = 0;
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(execute_insert(db, 3), PENSTOCK_OK);
		check(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t") == 3);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_close(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
		harness_end();
	}
}

Test(processes, a_pause_of_all_whose_lock_is_not_to_be_had_fails_and_the_engine_runs_on)
{
	penstock_config config = kit_config();
	penstock *db;

	harness_make_folder();
	db = kit_open_table(&config);
	no_pause_lock = ENOLCK;
	expect(penstock_pause_all(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("F_OFD_SETLK");
	no_pause_lock = 0;
	kit_await_phase(db, PENSTOCK_PHASE_RUNNING);
	expect(execute_insert(db, 1), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* It is paused as it sleeps, and as it is at work. */
Test(processes, an_engine_that_the_system_does_not_let_unlock_lets_a_pauser_in)
{
	penstock_config config = kit_config();
	penstock *db, *pauser;
	pthread_t thread;

	harness_make_folder();
	config.when_paused = PENSTOCK_HOLD;
	pauser = kit_open_table(&config);
	db = kit_open(&config);
	for (unsigned at_work = 0; at_work < 2; at_work++) {
		unlocks_refused = 0;
		no_unlock = ENOLCK;
		if (at_work)
			kit_block(db);
		expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		check(pthread_create(&thread, NULL, pause_all, pauser) == 0);
		kit_await_phase(pauser, PENSTOCK_PHASE_PAUSED);
		if (at_work) {
			kit_sleep_usec(SHORT);
			kit_unblock();
		}
		pthread_join(thread, NULL);
		check(unlocks_refused > 0);
		expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		no_unlock = 0;
		expect(penstock_unpause(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 4);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* For a moment it takes the side file for another one, and asks for the lock that it has. */
Test(processes, an_engine_that_is_refused_the_lock_that_it_has_lets_go_of_it)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db, *pauser;

	harness_make_folder();
	pauser = kit_open_table(&config);
	config.batch_max = 1;
	config.busy_limit_ms = 1;
	db = kit_open(&config);
	kit_block(db);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	move_side_file(false);
	no_pause_lock = ENOLCK;
	kit_sleep_usec(2 * SHORT);
	kit_unblock();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	penstock_handle_release(handle);
	check(!moved_away);
	no_pause_lock = 0;
	expect(penstock_pause_all(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(pauser, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(execute_insert(db, 2), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, an_engine_whose_pause_is_withdrawn_while_another_has_paused_all_runs_on)
{
	penstock_config config = kit_config();
	penstock *db, *other;

	harness_make_folder();
	other = kit_open_table(&config);
	config.busy_limit_ms = 1;
	db = kit_open(&config);
	expect(penstock_pause_all(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause_all(db, SHORT), PENSTOCK_TIMEOUT);
	/* Longer than it waits for a lock. */
	kit_sleep_usec(SHORT);
	expect(penstock_unpause(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	kit_await_phase(db, PENSTOCK_PHASE_RUNNING);
	expect(execute_insert(db, 1), PENSTOCK_OK);
	/* Nor does it keep a stop waiting. */
	expect(penstock_pause_all(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause_all(db, SHORT), PENSTOCK_TIMEOUT);
	kit_sleep_usec(SHORT);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, an_engine_whose_unpause_is_given_up_while_another_has_paused_all_runs_on)
{
	penstock_config config = kit_config();
	penstock *db, *other;
	uint64_t retries;
	int status;

	harness_make_folder();
	other = kit_open_table(&config);
	config.busy_limit_ms = 1;
	db = kit_open(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause_all(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* Who waits to the end of busy_limit_ms hears of the lock; this one is gone by then. */
	do {
		status = penstock_unpause(db, 0);
	} while (status == PENSTOCK_CANTOPEN);
	expect(status, PENSTOCK_TIMEOUT);
	retries = kit_counters(db).busy_retries;
	await(kit_counters(db).busy_retries > retries + 10);
	/* And who waits anew does. */
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	do {
		status = penstock_unpause(db, 0);
	} while (status == PENSTOCK_CANTOPEN);
	expect(status, PENSTOCK_TIMEOUT);
	expect(penstock_unpause(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	kit_await_phase(db, PENSTOCK_PHASE_RUNNING);
	expect(execute_insert(db, 1), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The other has paused all, and has let go of its connection; the writer of this one stands as it lets go of its own. */
static void open_and_pause_until_it_disconnects(penstock **other, penstock **db)
{
	penstock_config config = kit_config();

	harness_make_folder();
	*other = kit_open_table(&config);
	config.busy_limit_ms = 1;
	config.when_paused = PENSTOCK_HOLD;
	*db = kit_open(&config);
	expect(penstock_pause_all(*other, PENSTOCK_FOREVER), PENSTOCK_OK);
	gate_set(&drop_gate, true);
	/* On a busy machine a pause may be over before the writer has come to the gate. */
	do {
		expect(penstock_pause(*db, 10 * SHORT), PENSTOCK_TIMEOUT);
	} while (!gate_is_taken(&drop_gate));
}

/* It is RUNNING by then, and has to connect again. */
Test(processes, a_pause_that_is_withdrawn_as_it_disconnects_is_behind_anothers_pause_of_all)
{
	penstock *db, *other;

	open_and_pause_until_it_disconnects(&other, &db);
	gate_set(&drop_gate, false);
	kit_sleep_usec(2 * SHORT);
	expect(penstock_unpause(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(execute_insert(db, 1), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* And a stop that has something to run. */
Test(processes, a_stop_of_one_that_disconnects_waits_for_the_end_of_anothers_pause_of_all)
{
	penstock_handle *handle;
	penstock *db, *other;

	open_and_pause_until_it_disconnects(&other, &db);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_stop(db, 0), PENSTOCK_TIMEOUT);
	gate_set(&drop_gate, false);
	expect(penstock_stop(db, 2 * SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_unpause(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(processes, a_pause_of_all_needs_the_side_file)
{
	penstock_config config = kit_config();
	penstock *db;

	harness_make_folder();
	check(mkdir(harness_path(SIDE), 0700) == 0);
	db = kit_open_table(&config);
	expect(penstock_pause_all(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("F_OFD_SETLK");
	/* It runs on. */
	kit_await_phase(db, PENSTOCK_PHASE_RUNNING);
	expect(execute_insert(db, 1), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* There is always something in its queue. */
static void never_rest(unsigned number)
{
	penstock_config config = kit_config();
	penstock *db = kit_open(&config);
	uint32_t rows = 0;

	while (ps_load_acquire_u32(&shared->done) == 0) {
		if (penstock_queue_depth(db) > 5000) {
			kit_sleep_usec(200);
			continue;
		}
		expect(kit_insert(db, number, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		if (++rows == 5000)
			is_ready();
	}
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_counters(db).failed == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	ps_store_release_u32(&shared->status, rows);
}

Test(processes, one_that_never_rests_leaves_for_a_pauser)
{
	penstock *db;
	pid_t child;

	begin_pause_case(&child, never_rest, &db);
	for (unsigned i = 0; i < 3; i++) {
		expect(penstock_pause_all(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	ps_store_release_u32(&shared->done, 1);
	end(child);
	check(rows() == shared->status);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Busy all the time: it is in, and leaves for a pauser. */
Test(processes, a_busy_process_leaves_for_a_pauser)
{
	penstock_config config = kit_config();
	pid_t children[2];
	int64_t before;
	penstock *db;

	share();
	harness_make_folder();
	make_table();
	for (unsigned i = 0; i < COUNT_OF(children); i++)
		children[i] = process(write_on, i);
	await(ps_load_acquire_u32(&shared->ready) == COUNT_OF(children));
	go();
	db = kit_open(&config);
	for (unsigned i = 0; i < 5; i++) {
		expect(penstock_pause_all(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		before = rows();
		kit_sleep_usec(SHORT);
		check(rows() == before);
		expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		await(rows() > before);
	}
	ps_store_release_u32(&shared->done, 1);
	for (unsigned i = 0; i < COUNT_OF(children); i++)
		end(children[i]);
	check(rows() == shared->status);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

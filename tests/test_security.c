/*
 * What others on the machine can do to a database of Penstock's, and what one statement can do to everybody else's.
 */
#include "tests/kit.h"

TestSuite(security, .init = kit_begin, .fini = harness_end);

static mode_t mode_of(const char *path)
{
	struct stat info;

	check(lstat(path, &info) == 0, "%s: %s", path, strerror(errno));
	return info.st_mode & 07777;
}

/* ---- the file's mode --------------------------------------------------------------------------------------------- */

static void create_under(mode_t mask, const char *name, int autostart)
{
	static const char *const beside[] = { "", "-wal", "-shm" };
	penstock_config config = kit_config();
	char path[512];
	penstock *db;

	config.autostart = autostart;
	umask(mask);
	db = kit_open_path(harness_path(name), &config);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	umask(022);
	for (size_t i = 0; i < COUNT_OF(beside); i++) {
		snprintf(path, sizeof path, "%s%s", harness_path(name), beside[i]);
		check(mode_of(path) == 0600, "%s has mode %o under umask %o", path, mode_of(path), mask);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(security, a_new_database_is_its_users_alone_whatever_the_umask)
{
	create_under(0, "open.db", 1);
	create_under(022, "usual.db", 1);
	create_under(077, "strict.db", 0);
	create_under(0777, "strictest.db", 1);
}

static sqlite3_vfs watching, *below;
static mode_t mode_when_opened;

static int watch_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	(void)vfs;
	if (flags & SQLITE_OPEN_MAIN_DB)
		mode_when_opened = mode_of(name);
	return below->xOpen(below, name, file, flags, out);
}

Test(security, at_no_time_is_a_new_database_more_open)
{
	penstock_config config = kit_config();

	below = sqlite3_vfs_find(NULL);
	watching = *below;
	watching.zName = "watching";
	watching.xOpen = watch_open;
	check(sqlite3_vfs_register(&watching, 1) == SQLITE_OK);
	umask(0);
	expect(penstock_close(kit_open(&config), PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(mode_when_opened, 0600);
}

Test(security, the_mode_of_a_database_that_is_there_stays)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(chmod(harness_path("test.db"), 0640) == 0);
	db = kit_open(&config);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(mode_of(harness_path("test.db")), 0640);
	cr_assert_eq(mode_of(harness_path("test.db-wal")), 0640);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups: several statements that happen together or not at all. What each comes to is compared with plain SQLite by equivalence/; here is
 * what a caller is told.
 */
#include "tests/kit.h"

#include "queue/group.h"

TestSuite(group, .init = kit_begin, .fini = harness_end);

#define MEMBERS_MAX 8

static size_t make_members(penstock_submission members[MEMBERS_MAX], const char *const *texts)
{
	size_t count = 0;

	for (; texts[count] != NULL; count++) {
		check(count < MEMBERS_MAX);
		penstock_submission_init(&members[count]);
		members[count].sql = texts[count];
	}
	return count;
}

/* Submits the texts as a group. */
static int submit_texts(penstock *db, const char *const *texts, const penstock_submission *whole, penstock_handle **handle)
{
	penstock_submission members[MEMBERS_MAX];
	size_t count = make_members(members, texts);

	return penstock_submit_group(db, members, count, whole, PENSTOCK_FOREVER, handle);
}

/* Their outcome, waited for; to be released. */
static const penstock_result *result_of(penstock *db, const char *const *texts, penstock_handle **handle)
{
	const penstock_result *result;
	int status;

	expect(submit_texts(db, texts, NULL, handle), PENSTOCK_OK);
	status = penstock_handle_wait(*handle, PENSTOCK_FOREVER);
	result = penstock_handle_result(*handle);
	check((int)result->status == status);
	check(result->ticket == penstock_handle_ticket(*handle));
	check((status == PENSTOCK_OK) == (result->message[0] == '\0'));
	check(result->code == (result->extended_code & 0xff));
	return result;
}

#define TEXTS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

/* Expects an ERROR of the member `failed`, whose message holds `part`, and no effect on t. */
static void expect_failure(penstock *db, const char *const *texts, size_t failed, int extended_code, const char *part)
{
	penstock_handle *handle;
	int64_t before = kit_ask(harness_path("test.db"), "SELECT coalesce(sum(a*a), 0) + count(*) FROM t");
	const penstock_result *result = result_of(db, texts, &handle), *member;
	size_t i;

	check(result->status == PENSTOCK_ERROR, "%s", penstock_status_name(result->status));
	check(result->failed_member == failed, "%zu failed, not %zu: %s", result->failed_member, failed, result->message);
	check(result->extended_code == extended_code, "%s: %s", penstock_code_name(result->extended_code), result->message);
	check(strstr(result->message, part) != NULL, "%s", result->message);
	check(result->changes == 0 && result->row_count == 0 && result->column_count == 0);
	check(result->last_insert_rowid == 0);
	for (i = 0; texts[i] != NULL; i++) {
		member = penstock_result_member(result, i);
		check(member->status == PENSTOCK_ERROR && member->row_count == 0 && member->changes == 0);
	}
	check(result->member_count == i);
	check(penstock_result_member(result, i) == NULL);
	penstock_handle_release(handle);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT coalesce(sum(a*a), 0) + count(*) FROM t"), before);
}

Test(group, all_members_are_committed_and_each_has_its_result)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_value values[] = { penstock_int64(5), penstock_text("a text that does not fit the slot, which is eighty bytes "
		                                                     "long and holds the payload of short statements") };
	penstock_submission members[4];
	const penstock_result *result, *member;
	penstock_statement *statement;
	penstock_handle *handle;

	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?), (?) RETURNING a", -1, &statement), PENSTOCK_OK);
	for (int i = 0; i < 4; i++)
		penstock_submission_init(&members[i]);
	members[0].statement = statement;
	members[0].values = values;
	members[0].value_count = 2;
	members[1].sql = "UPDATE t SET a = a + 1 WHERE a = 5; and more";
	members[1].sql_bytes = (int64_t)strlen("UPDATE t SET a = a + 1 WHERE a = 5");
	members[2].sql = "SELECT changes(), last_insert_rowid(), count(*) FROM t";
	members[3].sql = "DELETE FROM t WHERE a = 7";
	expect(penstock_submit_group(db, members, 4, NULL, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	result = penstock_handle_result(handle);
	cr_assert_eq(result->member_count, 4);
	cr_assert_eq(result->failed_member, 4);
	cr_assert_eq(result->changes, 3);
	cr_assert_eq(result->last_insert_rowid, 2);
	cr_assert_eq(result->row_count, 0);
	cr_assert_eq(result->column_count, 0);

	member = penstock_result_member(result, 0);
	cr_assert_eq(member->changes, 2);
	cr_assert_eq(member->last_insert_rowid, 2);
	cr_assert_eq(member->row_count, 2);
	cr_assert_eq(strcmp(member->column_names[0], "a"), 0);
	cr_assert_eq(penstock_result_cell(member, 0, 0)->as.integer, 5);
	cr_assert_eq(penstock_result_cell(member, 1, 0)->bytes, values[1].bytes);
	cr_assert_eq(memcmp(penstock_result_cell(member, 1, 0)->as.data, values[1].as.data, values[1].bytes), 0);
	member = penstock_result_member(result, 1);
	cr_assert_eq(member->changes, 1);
	cr_assert_eq(member->last_insert_rowid, 2); /* the connection's */
	cr_assert_eq(member->row_count, 0);
	member = penstock_result_member(result, 2);
	cr_assert_eq(member->changes, 0);
	cr_assert_eq(penstock_result_cell(member, 0, 0)->as.integer, 1);
	cr_assert_eq(penstock_result_cell(member, 0, 1)->as.integer, 2);
	cr_assert_eq(penstock_result_cell(member, 0, 2)->as.integer, 2);
	member = penstock_result_member(result, 3);
	cr_assert_eq(member->changes, 0);
	cr_assert_null(penstock_result_member(result, 4));
	penstock_handle_release(handle);

	/* A statement by itself has no members, nor have what is not there. */
	expect(kit_submit(db, "INSERT INTO t VALUES(1)", PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(penstock_handle_result(handle)->member_count, 0);
	cr_assert_null(penstock_result_member(penstock_handle_result(handle), 0));
	cr_assert_null(penstock_result_member(NULL, 0));
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t WHERE a IN (6, 1)"), 2);
}

Test(group, a_member_that_fails_undoes_all_of_them)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(kit_execute(db, "CREATE UNIQUE INDEX u ON t(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(3)"), PENSTOCK_OK);
	expect_failure(db, TEXTS("INSERT INTO t VALUES(4) RETURNING a", "INSERT INTO t VALUES(3)", "INSERT INTO t VALUES(5)"),
	               1, SQLITE_CONSTRAINT_UNIQUE, "UNIQUE");
	expect_failure(db, TEXTS("INSERT OR ROLLBACK INTO t VALUES(3)", "INSERT INTO t VALUES(5)"), 0, SQLITE_CONSTRAINT_UNIQUE,
	               "UNIQUE");
	expect_failure(db, TEXTS("INSERT INTO t VALUES(6)", "INSERT OR FAIL INTO t VALUES(7), (3)"), 1,
	               SQLITE_CONSTRAINT_UNIQUE, "UNIQUE");
	expect_failure(db, TEXTS("CREATE TABLE x(a)", "INSERT INTO x VALUES(1)", "no SQL"), 2, SQLITE_ERROR, "syntax");
	expect_failure(db, TEXTS("INSERT INTO t VALUES(8)", "SELECT * FROM x"), 1, SQLITE_ERROR, "no such table");
	/* The connection goes on. */
	expect(kit_execute(db, "CREATE TABLE x(b, c)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO x VALUES(1, 2)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 3);
}

Test(group, a_deferred_key_fails_the_commit)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;

	expect(kit_execute(db, "PRAGMA foreign_keys=ON"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE parent(id INTEGER PRIMARY KEY)"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE child(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE strict(p REFERENCES parent(id))"), PENSTOCK_OK);
	expect_failure(db, TEXTS("INSERT INTO t VALUES(1)", "INSERT INTO child VALUES(7)"), 2, SQLITE_CONSTRAINT_FOREIGNKEY,
	               "FOREIGN KEY");
	/* What a later member cures is well, which it could not be by itself. */
	check(result_of(db, TEXTS("INSERT INTO child VALUES(7)", "INSERT INTO parent VALUES(7)"), &handle)->status ==
	      PENSTOCK_OK);
	penstock_handle_release(handle);
	check(result_of(db,
	                TEXTS("PRAGMA defer_foreign_keys=ON", "INSERT INTO strict VALUES(8)",
	                      "INSERT OR IGNORE INTO parent VALUES(8)"),
	                &handle)
	              ->status == PENSTOCK_OK);
	penstock_handle_release(handle);
	/* The deferring has ended with it, for what was prepared under it too. */
	expect(kit_execute(db, "DELETE FROM strict"), PENSTOCK_OK);
	expect(kit_execute(db, "DELETE FROM parent WHERE id = 8"), PENSTOCK_OK);
	expect_failure(
		db, TEXTS("INSERT INTO t VALUES(1)", "INSERT INTO strict VALUES(8)", "INSERT OR IGNORE INTO parent VALUES(8)"),
		1, SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(group, what_cannot_be_in_a_transaction_fails)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	static const char *const refused[] = { "BEGIN",
		                               "COMMIT",
		                               "END",
		                               "ROLLBACK",
		                               "SAVEPOINT s",
		                               "RELEASE s",
		                               "ROLLBACK TO s",
		                               "PRAGMA foreign_keys=ON",
		                               "PRAGMA main.foreign_keys(0)",
		                               "PRAGMA journal_mode=WAL",
		                               "PRAGMA journal_mode=DELETE" };
	static const struct {
		const char *text;
		int code;
	} failing[] = {
		{ "VACUUM", SQLITE_ERROR },
		{ "PRAGMA synchronous=NORMAL", SQLITE_ERROR },
		{ "PRAGMA wal_checkpoint", SQLITE_LOCKED },
		{ "", SQLITE_ERROR },
		{ "SELECT 1; SELECT 2", SQLITE_ERROR },
		{ "SELECT ?", SQLITE_RANGE },
	};
	penstock_handle *handle;
	size_t i;

	for (i = 0; i < sizeof refused / sizeof refused[0]; i++)
		expect_failure(db, TEXTS("INSERT INTO t VALUES(1)", refused[i], "INSERT INTO t VALUES(2)"), 1, SQLITE_AUTH,
		               "is refused");
	for (i = 0; i < sizeof failing / sizeof failing[0]; i++)
		expect_failure(db, TEXTS("INSERT INTO t VALUES(1)", failing[i].text), 1, failing[i].code, "");
	/* Asked for they may be. */
	check(result_of(db, TEXTS("PRAGMA foreign_keys", "PRAGMA journal_mode", "PRAGMA synchronous"), &handle)->status ==
	      PENSTOCK_OK);
	penstock_handle_release(handle);
	/* And by themselves they do what they did. */
	expect(kit_execute(db, "PRAGMA foreign_keys=ON"), PENSTOCK_OK);
	expect(kit_execute(db, "VACUUM"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(group, what_needs_a_transaction_of_its_own_has_one)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;
	const penstock_result *result;

	result = result_of(db,
	                   TEXTS("CREATE TABLE x(a)", "INSERT INTO x VALUES(1)",
	                         "CREATE TEMP TABLE y AS SELECT a + 1 AS a FROM x", "INSERT INTO t SELECT a FROM y",
	                         "DROP TABLE x", "DROP TABLE y"),
	                   &handle);
	check(result->status == PENSTOCK_OK, "%s", result->message);
	penstock_handle_release(handle);
	/* The temporary table was another thing than the one of main that comes now. */
	result = result_of(db, TEXTS("CREATE TABLE y(b)", "INSERT INTO y VALUES(1)", "CREATE TEMP TABLE y(c)", "no SQL"),
	                   &handle);
	cr_assert_eq(result->failed_member, 3);
	penstock_handle_release(handle);
	expect(kit_execute(db, "CREATE TABLE y(b)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO y VALUES(1)"), PENSTOCK_OK);
	/* It takes the lock of an attached database too, which so cannot be detached in it. */
	check(result_of(db, TEXTS("ATTACH ':memory:' AS m", "CREATE TABLE m.z(a)", "INSERT INTO z VALUES(1)"), &handle)
	              ->status == PENSTOCK_OK);
	penstock_handle_release(handle);
	expect_failure(db, TEXTS("INSERT INTO z VALUES(1)", "DETACH m"), 1, SQLITE_ERROR, "database m is locked");
	expect_failure(db, TEXTS("DETACH m"), 0, SQLITE_ERROR, "database m is locked");
	expect(kit_execute(db, "DETACH m"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 2);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(b) FROM y"), 1);
}

Test(group, its_rows_are_bounded_as_a_whole)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.result_bytes_max = 1000;
	db = kit_open_table(&config);
	check(result_of(db, TEXTS("INSERT INTO t VALUES(1)", "SELECT zeroblob(400)", "SELECT zeroblob(400)"), &handle)
	              ->status == PENSTOCK_OK);
	penstock_handle_release(handle);
	expect_failure(db,
	               TEXTS("INSERT INTO t VALUES(1)", "SELECT zeroblob(400)", "SELECT zeroblob(400)", "SELECT zeroblob(400)"),
	               3, SQLITE_TOOBIG, "result_bytes_max");
	expect_failure(db, TEXTS("SELECT zeroblob(800)", "INSERT INTO t VALUES(zeroblob(400)) RETURNING a"), 1, SQLITE_TOOBIG,
	               "result_bytes_max");
	/* Who does not listen has no bound. */
	expect(submit_texts(db, TEXTS("SELECT zeroblob(2000)", "INSERT INTO t VALUES(1)"), NULL, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 2);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void heard(void *arg, const penstock_result *result)
{
	*(penstock_result *)arg = *result;
}

Test(group, what_is_no_group_is_refused)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config), *other = kit_open_path(harness_path("other.db"), &config);
	penstock_submission members[2], whole = PENSTOCK_SUBMISSION_INIT;
	penstock_statement *statement;
	penstock_value bad = penstock_text_bytes(NULL, 3);
	penstock_handle *handle = (penstock_handle *)&whole;

	for (int i = 0; i < 2; i++) {
		penstock_submission_init(&members[i]);
		members[i].sql = "INSERT INTO t VALUES(1)";
	}
#define REFUSED(status, part)                                                                             \
	do {                                                                                              \
		expect(penstock_submit_group(db, members, 2, &whole, PENSTOCK_FOREVER, &handle), status); \
		expect_message(part);                                                                     \
		check(handle == NULL);                                                                    \
	} while (0)
	expect(penstock_submit_group(NULL, members, 2, NULL, 0, &handle), PENSTOCK_MISUSE);
	check(handle == NULL);
	expect(penstock_submit_group(db, members, 0, NULL, 0, NULL), PENSTOCK_MISUSE);
	expect_message("at least one member");
	expect(penstock_submit_group(db, NULL, 1, NULL, 0, NULL), PENSTOCK_MISUSE);
	expect(penstock_submit_group(db, members, PENSTOCK_GROUP_MAX + 1, NULL, 0, NULL), PENSTOCK_TOOBIG);
	expect_message("65537 members");
	whole.sql = "SELECT 1";
	REFUSED(PENSTOCK_MISUSE, "the whole group");
	whole.sql = NULL;
	whole.value_count = 1;
	REFUSED(PENSTOCK_MISUSE, "the whole group");
	whole.value_count = 0;
	whole.flags = 1u << 31;
	REFUSED(PENSTOCK_MISUSE, "flags");
	whole.flags = 0;
	whole.ack = PENSTOCK_ACK_NONE;
	REFUSED(PENSTOCK_MISUSE, "nobody listens");
	whole.ack = PENSTOCK_ACK_DURABLE;
	REFUSED(PENSTOCK_MISUSE, "synchronous");
	whole.ack = PENSTOCK_ACK_DEFAULT;
	whole.on_complete = heard;
	REFUSED(PENSTOCK_MISUSE, "not both");
	whole.on_complete = NULL;
	whole.struct_size = 3;
	REFUSED(PENSTOCK_MISUSE, "struct_size");
	whole.struct_size = sizeof whole;

	members[1].ack = PENSTOCK_ACK_COMMITTED;
	REFUSED(PENSTOCK_MISUSE, "member 1 of the group: it has terms of its own");
	members[1].ack = PENSTOCK_ACK_DEFAULT;
	members[1].flags = PENSTOCK_RUN_ALONE;
	REFUSED(PENSTOCK_MISUSE, "member 1");
	members[1].flags = 0;
	members[1].on_complete = heard;
	REFUSED(PENSTOCK_MISUSE, "member 1");
	members[1].on_complete = NULL;
	members[1].arg = db;
	REFUSED(PENSTOCK_MISUSE, "member 1");
	members[1].arg = NULL;
	members[1].struct_size = 3;
	REFUSED(PENSTOCK_MISUSE, "that of the first");
	members[0].struct_size = 3;
	REFUSED(PENSTOCK_MISUSE, "member 0 of the group: penstock_submission.struct_size");
	members[0].struct_size = members[1].struct_size = sizeof members[0];
	members[1].sql = NULL;
	REFUSED(PENSTOCK_MISUSE, "member 1 of the group: a submission needs either");
	members[1].sql = "";
	members[1].sql_bytes = 0;
	REFUSED(PENSTOCK_MISUSE, "an empty text");
	members[1].sql_bytes = INT64_C(2000000000);
	REFUSED(PENSTOCK_TOOBIG, "member 1");
	members[1].sql_bytes = -1;
	members[1].values = &bad;
	members[1].value_count = 1;
	REFUSED(PENSTOCK_MISUSE, "member 1 of the group: value 1 has 3 bytes at NULL");
	members[1].value_count = 0;
	members[1].sql = NULL;
	expect(penstock_statement_register(other, "SELECT 1", -1, &statement), PENSTOCK_OK);
	members[1].statement = statement;
	REFUSED(PENSTOCK_MISUSE, "another engine");
	cr_assert_eq(kit_counters(db).refused[PENSTOCK_MISUSE], 19);
	cr_assert_eq(kit_counters(db).refused[PENSTOCK_TOOBIG], 2);
	cr_assert_eq(kit_counters(db).accepted, 1);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 0);
}

/* Structs of an older program lie closer, those of a newer one farther apart. */
Test(group, members_are_walked_by_the_size_of_the_first)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	struct {
		penstock_submission submission;
		uint64_t more;
	} newer[3] = { 0 };
	penstock_handle *handle;

	for (int i = 0; i < 3; i++) {
		penstock_submission_init(&newer[i].submission);
		newer[i].submission.struct_size = sizeof newer[i];
		newer[i].submission.sql = i == 1 ? "INSERT INTO t VALUES(20)" : "INSERT INTO t VALUES(1)";
	}
	expect(penstock_submit_group(db, &newer[0].submission, 3, NULL, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	newer[2].more = 1;
	expect(penstock_submit_group(db, &newer[0].submission, 3, NULL, PENSTOCK_FOREVER, NULL), PENSTOCK_MISUSE);
	expect_message("member 2 of the group: byte");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 22);
}

/* ---- listeners, levels, states ----------------------------------------------------------------------------------- */

static penstock_result unheard;

Test(group, one_listener_hears_of_all)
{
	penstock_config config = kit_config();
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
	penstock_result result = { 0 };
	penstock *db;

	config.on_error = heard;
	config.on_error_arg = &unheard;
	db = kit_open_table(&config);
	whole.on_complete = heard;
	whole.arg = &result;
	expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(2)"), &whole, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(result.status == PENSTOCK_OK && result.member_count == 2 && result.changes == 2 && result.arg == &result);
	expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(1)", "no SQL"), &whole, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(result.status == PENSTOCK_ERROR && result.member_count == 2 && result.failed_member == 1);
	/* Nobody listens. */
	whole.on_complete = NULL;
	whole.ack = PENSTOCK_ACK_NONE;
	expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(2)"), &whole, NULL), PENSTOCK_OK);
	expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(1)", "SELECT 1", "no SQL", "SELECT 2"), &whole, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(unheard.status == PENSTOCK_ERROR && unheard.member_count == 4 && unheard.failed_member == 2);
	/* A single one that fails is none. */
	expect(kit_submit(db, "no SQL", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(unheard.status == PENSTOCK_ERROR && unheard.member_count == 0 && unheard.failed_member == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 4);
}

Test(group, a_group_keeps_its_place_and_counts_once)
{
	penstock_config config = kit_config();
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
	penstock_handle *handles[4];
	penstock_counters counters;
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	kit_block(db);
	whole.ack = PENSTOCK_ACK_DURABLE;
	for (int i = 0; i < 4; i++)
		expect(i % 2 == 0
		               ? kit_submit(db, "INSERT INTO t SELECT coalesce(max(rowid), 0) FROM t", PENSTOCK_FOREVER,
		                            &handles[i])
		               : submit_texts(db,
		                              TEXTS("INSERT INTO t SELECT max(rowid) FROM t",
		                                    "INSERT INTO t SELECT max(rowid) FROM t", i == 3 ? "no SQL" : "SELECT 1"),
		                              &whole, &handles[i]),
		       PENSTOCK_OK);
	cr_assert_eq(penstock_handle_ticket(handles[3]), penstock_handle_ticket(handles[0]) + 3);
	cr_assert_gt(kit_counters(db).queue_bytes, 0);
	kit_unblock();
	for (int i = 0; i < 4; i++) {
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), i == 3 ? PENSTOCK_ERROR : PENSTOCK_OK);
		penstock_handle_release(handles[i]);
	}
	counters = kit_counters(db);
	cr_assert_eq(counters.accepted, 6); /* the table and the gate */
	cr_assert_eq(counters.committed, 5);
	cr_assert_eq(counters.failed, 1);
	cr_assert_eq(counters.queue_bytes, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t WHERE a = rowid - 1"), 4);
}

Test(group, what_never_runs_is_one_shutdown)
{
	penstock_config config = kit_config();
	const penstock_result *result;
	penstock_handle *handle;
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	expect(submit_texts(db, TEXTS("CREATE TABLE t(a)", "SELECT 1"), NULL, &handle), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	result = penstock_handle_result(handle);
	cr_assert_eq(result->status, PENSTOCK_SHUTDOWN);
	cr_assert_eq(result->member_count, 2);
	cr_assert_eq(result->failed_member, 2);
	cr_assert_eq(penstock_result_member(result, 1)->status, PENSTOCK_SHUTDOWN);
	penstock_handle_release(handle);
}

Test(group, without_the_lock_none_of_it_happens)
{
	penstock_config config = kit_config();
	const penstock_result *result;
	penstock_handle *handle;
	sqlite3 *outsider;
	penstock *db;

	config.busy_timeout_ms = 1;
	config.busy_limit_ms = 5;
	db = kit_open_table(&config);
	check(sqlite3_open(harness_path("test.db"), &outsider) == SQLITE_OK);
	check(sqlite3_exec(outsider, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	/* It takes the lock first, also for what only reads. */
	result = result_of(db, TEXTS("SELECT 1", "SELECT 2"), &handle);
	cr_assert_eq(result->status, PENSTOCK_ERROR);
	cr_assert_eq(result->code, SQLITE_BUSY);
	cr_assert_eq(result->failed_member, 2);
	penstock_handle_release(handle);
	check(sqlite3_close(outsider) == SQLITE_OK);
	check(result_of(db, TEXTS("SELECT 1", "SELECT 2"), &handle)->status == PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static unsigned calls;
static sqlite3_stmt *kept;

static void run_sql(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	calls++;
	sqlite3_result_int(context, sqlite3_exec(sqlite3_context_db_handle(context),
	                                         (const char *)sqlite3_value_text(values[0]), NULL, NULL, NULL));
}

/* A COMMIT that was prepared before, outside of a group, no authorizer sees. */
static void keep_commit(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int(context, sqlite3_prepare_v2(sqlite3_context_db_handle(context), "COMMIT", -1, &kept, NULL));
}

static void run_kept(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_step(kept);
	sqlite3_result_int(context, sqlite3_reset(kept));
}

static void fail_code(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	calls++;
	sqlite3_result_error(context, "its own", -1);
	sqlite3_result_error_code(context, sqlite3_value_int(values[0]));
}

static int functions_hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	sqlite3_create_function(connection, "fail_code", 1, SQLITE_UTF8, NULL, fail_code, NULL, NULL);
	sqlite3_create_function(connection, "run_sql", 1, SQLITE_UTF8, NULL, run_sql, NULL, NULL);
	sqlite3_create_function(connection, "run_kept", 0, SQLITE_UTF8, NULL, run_kept, NULL, NULL);
	return sqlite3_create_function(connection, "keep_commit", 0, SQLITE_UTF8, NULL, keep_commit, NULL, NULL);
}

/* The group has the lock: it would be tried again for as long as busy_limit_ms, which is for ever unless set. */
Test(group, a_function_that_says_busy_is_no_lock)
{
	static const int codes[] = { SQLITE_BUSY, SQLITE_BUSY_RECOVERY, SQLITE_BUSY_SNAPSHOT, SQLITE_BUSY_TIMEOUT,
		                     SQLITE_PROTOCOL };
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = functions_hook;
	config.busy_limit_ms = 50;
	db = kit_open_table(&config);
	for (size_t i = 0; i < COUNT_OF(codes); i++) {
		char text[64];

		snprintf(text, sizeof text, "INSERT INTO t VALUES(fail_code(%d))", codes[i]);
		expect_failure(db, TEXTS("INSERT INTO t VALUES(1)", text), 1, codes[i], "its own");
	}
	cr_assert_eq(kit_counters(db).busy_retries, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(group, a_function_cannot_commit)
{
	penstock_config config = kit_config();
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
	const penstock_result *result;
	penstock_handle *handle;
	penstock *db;

	config.connect_hook = functions_hook;
	db = kit_open_table(&config);
	result = result_of(db,
	                   TEXTS("INSERT INTO t VALUES(1)", "SELECT run_sql('COMMIT')",
	                         "SELECT run_sql('INSERT INTO t VALUES(2)')", "SELECT run_sql('SAVEPOINT s; RELEASE s')"),
	                   &handle);
	check(result->status == PENSTOCK_OK, "%s", result->message);
	cr_assert_eq(penstock_result_cell(penstock_result_member(result, 1), 0, 0)->as.integer, SQLITE_AUTH);
	cr_assert_eq(penstock_result_cell(penstock_result_member(result, 2), 0, 0)->as.integer, SQLITE_OK);
	cr_assert_eq(penstock_result_cell(penstock_result_member(result, 3), 0, 0)->as.integer, SQLITE_OK);
	penstock_handle_release(handle);
	/* Undone with the rest. */
	expect_failure(db, TEXTS("SELECT run_sql('INSERT INTO t VALUES(3)')", "no SQL"), 1, SQLITE_ERROR, "syntax");
	expect(kit_execute(db, "SELECT keep_commit()"), PENSTOCK_OK);
	result = result_of(db, TEXTS("INSERT INTO t VALUES(4)", "SELECT run_kept()", "INSERT INTO t VALUES(5)"), &handle);
	cr_assert_eq(result->status, PENSTOCK_ERROR);
	cr_assert_eq(result->code, SQLITE_MISUSE);
	cr_assert_eq(result->failed_member, 1);
	penstock_handle_release(handle);
	/* One that is to run alone is not repeated for a neighbour. */
	calls = 0;
	kit_submit(db, "no SQL", PENSTOCK_FOREVER, NULL);
	whole.flags = PENSTOCK_RUN_ALONE;
	expect(submit_texts(db, TEXTS("SELECT run_sql('SELECT 1')", "no SQL"), &whole, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(calls, 1);
	sqlite3_finalize(kept);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 7);
}

/* ---- in a batch -------------------------------------------------------------------------------------------------- */

/* What has happened since `before`. */
static uint64_t batches_since(penstock *db, const penstock_counters *before)
{
	return kit_counters(db).batches - before->batches;
}

Test(group, groups_share_a_transaction_with_their_neighbours)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_counters before, after;

	kit_block(db);
	before = kit_counters(db);
	for (int i = 0; i < 10; i++) {
		expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(2)", "SELECT 1"), NULL, NULL),
		       PENSTOCK_OK);
		expect(kit_insert(db, 3, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	after = kit_counters(db);
	cr_assert_eq(after.replayed_batches, 0);
	cr_assert_eq(after.alone, 0);
	/* The gate's, which may have been alone or not, and one for all of them. */
	check(batches_since(db, &before) <= 2);
	cr_assert_eq(after.batch_size.sum - before.batch_size.sum, 41);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 60);
}

/* It costs one more run of the batch, whatever fails in it. */
Test(group, groups_that_fail_in_a_batch_are_undone_by_themselves)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_counters before, after;
	const penstock_result *result;
	penstock_handle *handles[9];

	expect(kit_execute(db, "CREATE UNIQUE INDEX u ON t(a)"), PENSTOCK_OK);
	kit_block(db);
	before = kit_counters(db);
	for (int i = 0; i < 9; i++) {
		char texts[3][64];

		for (int j = 0; j < 3; j++)
			snprintf(texts[j], sizeof texts[j], "INSERT INTO t VALUES(%d) RETURNING a",
			         i % 3 == 2 && j == 1 ? 0 : 1 + i * 3 + j);
		if (i == 0)
			snprintf(texts[2], sizeof texts[2], "INSERT INTO t VALUES(0)");
		expect(submit_texts(db, TEXTS(texts[0], texts[1], texts[2]), NULL, &handles[i]), PENSTOCK_OK);
	}
	kit_unblock();
	for (int i = 0; i < 9; i++) {
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), i % 3 == 2 ? PENSTOCK_ERROR : PENSTOCK_OK);
		result = penstock_handle_result(handles[i]);
		cr_assert_eq(result->failed_member, i % 3 == 2 ? 1 : 3);
		cr_assert_eq(penstock_result_member(result, 0)->row_count, i % 3 == 2 ? 0 : 1);
		penstock_handle_release(handles[i]);
	}
	after = kit_counters(db);
	cr_assert_eq(after.replayed_batches - before.replayed_batches, 1);
	check(batches_since(db, &before) <= 2);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 18);
}

/* Where a savepoint does not undo it, it is taken out as a single statement is. */
Test(group, a_group_that_ends_the_batch_is_taken_out)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;

	expect(kit_execute(db, "CREATE UNIQUE INDEX u ON t(a)"), PENSTOCK_OK);
	kit_block(db);
	expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(2)"), NULL, NULL), PENSTOCK_OK);
	expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(3)", "INSERT OR ROLLBACK INTO t VALUES(1)"), NULL, &handle),
	       PENSTOCK_OK);
	expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(4)", "INSERT INTO t VALUES(5)"), NULL, NULL), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	cr_assert_eq(penstock_handle_result(handle)->extended_code, SQLITE_CONSTRAINT_UNIQUE);
	cr_assert_eq(penstock_handle_result(handle)->failed_member, 1);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 12);
}

Test(group, each_member_counts_for_batch_max)
{
	penstock_config config = kit_config();
	penstock_counters before;
	penstock *db;

	config.batch_max = 6;
	db = kit_open_table(&config);
	kit_block(db);
	before = kit_counters(db);
	/* The gate's batch; 3 + 3; 3 with two by themselves, for the next group does not fit; 3; and one of eight, which is a batch of its own. */
	for (int i = 0; i < 3; i++)
		expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(1)", "SELECT 1", "SELECT 2"), NULL, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(submit_texts(db, TEXTS("INSERT INTO t VALUES(1)", "SELECT 1", "SELECT 2"), NULL, NULL), PENSTOCK_OK);
	expect(submit_texts(db,
	                    TEXTS("INSERT INTO t VALUES(1)", "SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4", "SELECT 5",
	                          "SELECT 6", "SELECT 7"),
	                    NULL, NULL),
	       PENSTOCK_OK);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(batches_since(db, &before), 6);
	cr_assert_eq(kit_counters(db).batch_size.max, 8);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 8);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_cluster.c - an engine whose store is a cluster, of which a thread of the test plays the nodes (node.h)
 *
 * What a node may answer, and where a connection may end: at every byte of a request and of an answer. Whatever it is, the outcome is true
 * and no request comes twice. What real nodes do is shown by nemesis.
 */
#include "tests/cluster/node.h"
#include "tests/kit.h"

#include "core/clock.h"

static struct node node;
static _Atomic unsigned told_no_leader;

TestSuite(cluster, .init = kit_begin, .fini = harness_end);

static void on_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	check(strstr(message, "secret") == NULL, "%s", message);
	if (event == PENSTOCK_EVENT_NO_LEADER)
		told_no_leader++;
}

static penstock_config plain_config(void)
{
	penstock_config config;

	penstock_config_init(&config);
	config.log = on_log;
	return config;
}

static penstock *open_node(void)
{
	penstock_config config = plain_config();

	node_begin(&node);
	return kit_open_path(node.path, &config);
}

static void close_node(penstock *db)
{
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	node_end(&node);
}

#define ANSWERS(...) \
	node_answer(&node, (const struct node_answer[]){ __VA_ARGS__ }, COUNT_OF(((const struct node_answer[]){ __VA_ARGS__ })))
#define GOOD "{\"results\":[{\"last_insert_id\":1,\"rows_affected\":1}]}"

/* Runs the statement and expects the status; its message is the thread's. */
static void run(penstock *db, const char *sql, penstock_status status)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql = sql, .sql_bytes = -1 };

	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), (int)status);
}

static bool begins(const char *text, const char *part)
{
	return strncmp(text, part, strlen(part)) == 0;
}

/* ---- requests ---- */

/* What is submitted before the start is there all at once. */
static penstock *open_held(void)
{
	penstock_config config = plain_config();

	node_begin(&node);
	config.autostart = 0;
	config.when_stopped = PENSTOCK_HOLD;
	return kit_open_path(node.path, &config);
}

Test(cluster, a_batch_is_one_request_as_the_rules_have_it)
{
	uint64_t begun = ps_clock_nsec();
	penstock *db = open_held();
	penstock_handle *handles[2];
	const penstock_result *result;

	ANSWERS({ .body = "{\"results\":[{\"last_insert_id\":2,\"rows_affected\":1},{\"error\":\"UNIQUE constraint failed: t.a\"}]}" });
	expect(kit_submit(db, " INSERT INTO t VALUES(2) ; -- x", PENSTOCK_FOREVER, &handles[0]), PENSTOCK_OK);
	expect(kit_submit(db, "INSERT INTO t VALUES(3)", PENSTOCK_FOREVER, &handles[1]), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* Each result stands for itself. */
	expect(penstock_handle_wait(handles[0], PENSTOCK_FOREVER), PENSTOCK_OK);
	result = penstock_handle_result(handles[0]);
	check(result->changes == 1 && result->last_insert_rowid == 2);
	expect(penstock_handle_wait(handles[1], PENSTOCK_FOREVER), PENSTOCK_ERROR);
	result = penstock_handle_result(handles[1]);
	check(result->code == SQLITE_CONSTRAINT && result->changes == 0);
	penstock_handle_release(handles[0]);
	penstock_handle_release(handles[1]);
	cr_assert_eq(node_whole(&node), 1);
	cr_assert_str_eq(node.body, "[[\"INSERT INTO t VALUES(2)\"],[\"INSERT INTO t VALUES(3)\"]]");
	check(begins(node.head, "POST /db/request?blob_array&level=linearizable HTTP/1.1\r\n"), "%s", node.head);
	check(strcasestr(node.head, "queue") == NULL && strcasestr(node.head, "retries") == NULL &&
	              strcasestr(node.head, "authorization") == NULL,
	      "%s", node.head);
	cr_assert_eq(kit_counters(db).batches, 1);
	cr_assert_eq(kit_counters(db).batch_size.max, 2);
	check(kit_counters(db).commit_nsec.max <= ps_clock_nsec() - begun);
	close_node(db);
}

Test(cluster, a_batch_is_no_larger_than_it_may_be)
{
	penstock_config config = plain_config();
	char sql[64];
	penstock *db;

	node_begin(&node);
	node.applies = true;
	config.autostart = 0;
	config.when_stopped = PENSTOCK_HOLD;
	config.batch_max = 2;
	db = kit_open_path(node.path, &config);
	for (int i = 1; i <= 5; i++) {
		snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%d)", i);
		expect(kit_submit(db, sql, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(node_whole(&node), 3);
	cr_assert_str_eq(node.body, "[[\"INSERT INTO t VALUES(5)\"]]");
	cr_assert_eq(kit_counters(db).committed, 5);
	cr_assert_eq(kit_counters(db).batch_size.max, 2);
	close_node(db);
}

Test(cluster, groups_and_what_runs_alone_are_requests_of_their_own)
{
	penstock *db = open_held();
	penstock_submission alone = {
		.struct_size = sizeof alone, .sql = "INSERT INTO t VALUES(4)", .sql_bytes = -1, .flags = PENSTOCK_RUN_ALONE
	};
	penstock_submission members[] = {
		{ .struct_size = sizeof *members, .sql = "INSERT INTO t VALUES(2)", .sql_bytes = -1 },
		{ .struct_size = sizeof *members, .sql = "INSERT INTO t VALUES(3)", .sql_bytes = -1 }
	};
	penstock_statement *statement;

	ANSWERS({ .body = GOOD }, { .body = "{\"results\":[{\"rows_affected\":1},{\"rows_affected\":1}]}" }, { .body = GOOD });
	expect(penstock_statement_register(db, "INSERT INTO t(a) VALUES(?);", -1, &statement), PENSTOCK_OK);
	expect(kit_submit(db, "INSERT INTO t VALUES(1)", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_submit_group(db, members, 2, NULL, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_submit(db, &alone, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(kit_submit_by(db, statement, 5, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(node_whole(&node), 4);
	cr_assert_eq(kit_counters(db).committed, 4);
	cr_assert_str_eq(node.body, "[[\"INSERT INTO t(a) VALUES(?)\",5]]");
	close_node(db);
}

/* libcurl would ask a node first whether it may send so much. */
Test(cluster, a_large_request_goes_at_once)
{
	static char text[(1 << 20) + 4096];
	penstock *db = open_node();
	penstock_value value = penstock_text_bytes(text, sizeof text);
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql = "INSERT INTO t VALUES(?)",
		                           .sql_bytes = -1,
		                           .values = &value,
		                           .value_count = 1 };

	memset(text, 'x', sizeof text);
	ANSWERS({ .body = GOOD });
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	check(node.request_bytes > sizeof text && strcasestr(node.head, "expect") == NULL, "%s", node.head);
	close_node(db);
}

Test(cluster, the_user_is_told_and_the_password_only_to_the_node)
{
	penstock_config config = plain_config();
	char path[128];
	FILE *file = fopen(harness_path("c.ini"), "w");
	penstock *db;

	fputs("[cluster]\npassword = secret\n", file);
	fclose(file);
	node_begin(&node);
	snprintf(path, sizeof path, "rqlite://me@127.0.0.1:%d/", node.port);
	config.config_file = harness_path("c.ini");
	db = kit_open_path(path, &config);
	check(strstr(node.head, "Authorization: Basic bWU6c2VjcmV0") != NULL, "%s", node.head);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* From the environment too; the file goes before it. */
	setenv("PENSTOCK_CLUSTER_PASSWORD", "other", 1);
	db = kit_open_path(path, &config);
	check(strstr(node.head, "Authorization: Basic bWU6c2VjcmV0") != NULL, "%s", node.head);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.config_file = NULL;
	db = kit_open_path(path, &config);
	check(strstr(node.head, "Authorization: Basic bWU6b3RoZXI=") != NULL, "%s", node.head);
	close_node(db);
}

Test(cluster, a_configuration_file_has_one_password_and_no_other_key)
{
	static const char *const texts[][2] = { { "[cluster]\npasword = secret\n", "has password alone" },
		                                { "[cluster]\npassword = a\npassword = b\n", "already set on line 2" } };
	penstock_config config = plain_config();
	penstock *db;

	config.config_file = harness_path("c.ini");
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		FILE *file = fopen(config.config_file, "w");

		fputs(texts[i][0], file);
		fclose(file);
		expect(penstock_open("rqlite://127.0.0.1:1/", &config, &db), PENSTOCK_CONFIG);
		expect_message(texts[i][1]);
		check(strstr(penstock_error_message(), "secret") == NULL);
	}
}

/* A write would be done at a place that nobody has named. */
Test(cluster, no_redirect_is_followed_and_no_proxy_asked)
{
	static struct node other;
	char location[128], proxy[64];
	penstock *db;

	node_begin(&other);
	node_answer(&other, &(struct node_answer){ .body = GOOD }, 1);
	snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", other.port);
	setenv("http_proxy", proxy, 1);
	setenv("ALL_PROXY", proxy, 1);
	snprintf(location, sizeof location, "Location: http://127.0.0.1:%d/db/request\r\n", other.port);
	db = open_node();
	for (int status = 301; status <= 308; status++) {
		ANSWERS({ .status = status, .body = "", .fields = location });
		run(db, "INSERT INTO t VALUES(1)", PENSTOCK_UNKNOWN);
	}
	cr_assert_eq(node_whole(&node), 8);
	close_node(db);
	cr_assert_eq(other.connections, 0);
	node_end(&other);
}

Test(cluster, the_connection_and_the_leader_are_kept)
{
	penstock *db = open_node();
	unsigned connections, asked;

	ANSWERS({ .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	connections = node.connections;
	asked = node.asked;
	for (int i = 0; i < 10; i++)
		run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	check(node.connections == connections && node.asked == asked, "%u connections, asked %u times", node.connections,
	      node.asked);
	close_node(db);
}

Test(cluster, a_leader_outside_the_path_is_reached_through_the_node_that_told)
{
	penstock_config config;
	penstock *db;

	node_begin(&node);
	node.nodes = "{\"1\":{\"api_addr\":\"http://127.0.0.1:1\",\"leader\":true}}";
	config = plain_config();
	db = kit_open_path(node.path, &config);
	ANSWERS({ .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	cr_assert_eq(node_whole(&node), 1);
	close_node(db);
}

/* ---- outcomes ---- */

Test(cluster, what_was_not_applied_is_sent_again_until_it_is)
{
	penstock *db = open_node();

	ANSWERS({ .body = "{\"results\":[],\"error\":\"not leader\"}" }, { .body = "{\"error\":\"store not open\"}" },
	        { .status = 503, .body = "leader not found\n" },
	        { .body = "{\"error\":\"node failed to process Request on remote node at h:2: pool get: dial tcp h:2: connect: connection "
	                  "refused\"}" },
	        { .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	cr_assert_eq(node_whole(&node), 5);
	check(kit_counters(db).busy_retries >= 4);
	close_node(db);
}

Test(cluster, what_is_refused_is_an_error_and_is_not_repeated)
{
	static const int statuses[] = { 400, 401, 404, 405 };
	penstock *db = open_node();

	for (size_t i = 0; i < COUNT_OF(statuses); i++) {
		ANSWERS({ .status = statuses[i], .body = "not you" });
		run(db, "INSERT INTO t VALUES(1)", PENSTOCK_ERROR);
		cr_assert_eq(node_whole(&node), i + 1);
	}
	ANSWERS({ .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	close_node(db);
}

Test(cluster, what_may_be_applied_is_unknown_and_the_engine_goes_on)
{
	static const struct node_answer answers[] = {
		{ .body = "{\"results\":[],\"error\":\"leadership lost while committing log\"}" },
		{ .body = "{\"error\":\"read protobuf length: EOF\"}" },
		{ .body = "{\"error\":\"write protobuf bytes: write tcp: broken pipe\"}" },
		{ .status = 500, .body = "json: unsupported value: +Inf" },
		{ .status = 503, .body = "something else" },
		{ .status = 503, .body = "leader not found, or so" },
		{ .status = 503, .body = "" },
		{ .status = 503, .body = "leader not found\0, or so", .bytes = 24 },
		{ .body = "{\"error\":\"not leader\\u0000, or so\"}" },
		{ .status = 301, .body = "" },
		{ .status = 417, .body = "" },
		{ .body = "" },
		{ .body = "<html>" },
		{ .body = "{\"results\":[" },
		{ .body = "{\"results\":[]}" },
		{ .body = "{\"results\":[{},{}]}" },
		{ .body = "{\"results\":[7]}" },
	};
	penstock *db = open_node();
	unsigned before;

	for (size_t i = 0; i < COUNT_OF(answers); i++) {
		before = node_whole(&node);
		node_answer(&node, &answers[i], 1);
		run(db, "INSERT INTO t VALUES(1)", PENSTOCK_UNKNOWN);
		check(penstock_error_message()[0] != '\0');
		cr_assert_eq(node_whole(&node), before + 1);
		ANSWERS({ .body = GOOD });
		run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	}
	cr_assert_eq(kit_counters(db).unknown, COUNT_OF(answers));
	cr_assert_eq(penstock_phase_of(db), PENSTOCK_PHASE_RUNNING);
	close_node(db);
}

Test(cluster, a_number_beyond_int64_is_a_real)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql = "SELECT a, b FROM t", .sql_bytes = -1 };
	penstock *db = open_node();
	const penstock_result *result;
	penstock_handle *handle;

	ANSWERS({ .body = "{\"results\":[{\"columns\":[\"a\",\"b\"],\"types\":[\"integer\",\"integer\"],"
	                  "\"values\":[[12345678901234567890,9223372036854775807]]}]}" });
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	result = penstock_handle_result(handle);
	check(result->cells[0].type == PENSTOCK_FLOAT && result->cells[0].as.real == 12345678901234567890.0);
	check(result->cells[1].type == PENSTOCK_INTEGER && result->cells[1].as.integer == INT64_MAX);
	penstock_handle_release(handle);
	close_node(db);
}

/* The cluster's log is synced before its answer. */
Test(cluster, a_durable_outcome_is_an_outcome)
{
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql = "INSERT INTO t VALUES(1)", .sql_bytes = -1, .ack = PENSTOCK_ACK_DURABLE
	};
	penstock *db = open_node();

	ANSWERS({ .body = GOOD });
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	ANSWERS({ .body = "" });
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_UNKNOWN);
	cr_assert_eq(node_whole(&node), 2);
	close_node(db);
}

Test(cluster, an_answer_that_never_comes_leaves_unknown)
{
	penstock_config config = plain_config();
	char path[128];
	penstock *db;

	node_begin(&node);
	snprintf(path, sizeof path, "rqlite://127.0.0.1:%d/?timeout_ms=300", node.port);
	db = kit_open_path(path, &config);
	ANSWERS({ .silent = true }, { .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_UNKNOWN);
	await(node_whole(&node) == 1);
	/* On a slow machine that may be true of an answer which comes, too. */
	await(kit_execute(db, "INSERT INTO t VALUES(1)") == PENSTOCK_OK);
	close_node(db);
}

/* ---- cuts ---- */

/* The connection has been used before: libcurl would send the request again on a new one, when nothing comes back. */
Test(cluster, an_answer_cut_at_any_byte_leaves_unknown_and_no_request_comes_twice)
{
	penstock *db = open_node();
	size_t at, bytes;
	unsigned before;

	ANSWERS({ .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	bytes = node.answer_bytes;
	for (at = 0; at < bytes; at++) {
		before = node_whole(&node);
		node.cut_answer = at;
		run(db, "INSERT INTO t VALUES(1)", PENSTOCK_UNKNOWN);
		check(strstr(penstock_error_message(), "rewind") == NULL, "%s", penstock_error_message());
		check(node_whole(&node) == before + 1, "cut at byte %zu the request came %u times", at,
		      node_whole(&node) - before);
		node.cut_answer = NODE_NEVER;
		run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	}
	cr_assert_eq(node.cut, bytes);
	cr_assert_eq(kit_counters(db).unknown, bytes);
	close_node(db);
}

/* What is lost before any of the body has left may go out again; nothing else. */
Test(cluster, a_request_cut_at_any_byte_is_applied_once_or_unknown)
{
	penstock *db = open_node();
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql = "INSERT INTO t VALUES(1)",
		                           .sql_bytes = -1 };
	unsigned before, unknown = 0;
	size_t at, bytes;

	ANSWERS({ .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	bytes = node.request_bytes;
	for (at = 0; at < bytes; at++) {
		int status;

		before = node_whole(&node);
		node.cut_request = at;
		status = penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL);
		check(status == PENSTOCK_OK || status == PENSTOCK_UNKNOWN, "%s", penstock_status_name(status));
		check(node.cut == at + 1);
		check(node_whole(&node) == before + (status == PENSTOCK_OK), "cut at byte %zu: %s, and it came %u times", at,
		      penstock_status_name(status), node_whole(&node) - before);
		unknown += status == PENSTOCK_UNKNOWN;
		run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	}
	/* In the body there is no doubt. */
	check(unknown > 20);
	close_node(db);
}

/* ---- groups (rule 9) ---- */

static int run_group(penstock *db, const char *first, const char *second, penstock_handle **handle)
{
	penstock_submission members[] = { { .struct_size = sizeof *members, .sql = first, .sql_bytes = -1 },
		                          { .struct_size = sizeof *members, .sql = second, .sql_bytes = -1 } };

	expect(penstock_submit_group(db, members, 2, NULL, PENSTOCK_FOREVER, handle), PENSTOCK_OK);
	return penstock_handle_wait(*handle, PENSTOCK_FOREVER);
}

Test(cluster, a_group_is_a_transaction_of_its_own)
{
	penstock *db = open_node();
	const penstock_result *result;
	penstock_handle *handle;

	ANSWERS({ .body = "{\"results\":[{\"last_insert_id\":4,\"rows_affected\":1},{\"rows_affected\":2}]}" });
	expect(run_group(db, "INSERT INTO t VALUES(1)", "DELETE FROM u", &handle), PENSTOCK_OK);
	result = penstock_handle_result(handle);
	check(result->changes == 3 && result->last_insert_rowid == 4 && result->member_count == 2);
	check(penstock_result_member(result, 0)->last_insert_rowid == 4 && penstock_result_member(result, 1)->changes == 2);
	check(penstock_result_member(result, 1)->last_insert_rowid == 4);
	penstock_handle_release(handle);
	check(begins(node.head, "POST /db/execute?transaction HTTP/1.1\r\n"), "%s", node.head);
	cr_assert_str_eq(node.body, "[[\"INSERT INTO t VALUES(1)\"],[\"DELETE FROM u\"]]");

	/* What looks like success before the one that failed is rolled back. */
	ANSWERS({ .body = "{\"results\":[{\"last_insert_id\":4,\"rows_affected\":1},{\"error\":\"no such table: u\"}]}" });
	expect(run_group(db, "INSERT INTO t VALUES(1)", "DELETE FROM u", &handle), PENSTOCK_ERROR);
	result = penstock_handle_result(handle);
	check(result->failed_member == 1 && result->changes == 0 && result->last_insert_rowid == 0 &&
	      result->member_count == 2);
	check(penstock_result_member(result, 0)->status == PENSTOCK_ERROR);
	penstock_handle_release(handle);

	/* COMMIT found a key violated. */
	ANSWERS({ .body = "{\"results\":[],\"error\":\"FOREIGN KEY constraint failed\"}" });
	expect(run_group(db, "INSERT INTO t VALUES(1)", "DELETE FROM u", &handle), PENSTOCK_ERROR);
	cr_assert_eq(penstock_handle_result(handle)->extended_code, SQLITE_CONSTRAINT_FOREIGNKEY);
	penstock_handle_release(handle);

	ANSWERS({ .body = "{\"results\":[{\"rows_affected\":1},{\"rows_affected\":\"two\"}]}" });
	expect(run_group(db, "INSERT INTO t VALUES(1)", "DELETE FROM u", &handle), PENSTOCK_UNKNOWN);
	cr_assert_eq(penstock_handle_result(handle)->changes, 0);
	penstock_handle_release(handle);

	ANSWERS({ .body = "{\"results\":[{}]}" });
	expect(run_group(db, "INSERT INTO t VALUES(1)", "DELETE FROM u", &handle), PENSTOCK_UNKNOWN);
	penstock_handle_release(handle);
	close_node(db);
}

Test(cluster, what_a_transaction_does_not_roll_back_is_refused_in_a_group)
{
	static const char *const members[] = { "SELECT 1", "INSERT INTO t VALUES(1) RETURNING a", "PRAGMA table_info(t)",
		                               "BEGIN", "-- nothing" };
	penstock *db = open_node();
	penstock_handle *handle;

	for (size_t i = 0; i < COUNT_OF(members); i++) {
		expect(run_group(db, "DELETE FROM t", members[i], &handle), PENSTOCK_ERROR);
		cr_assert_eq(penstock_handle_result(handle)->failed_member, 1);
		penstock_handle_release(handle);
	}
	cr_assert_eq(node_whole(&node), 0);
	close_node(db);
}

/* ---- what is refused ---- */

Test(cluster, what_may_harm_a_node_never_leaves)
{
	static const char *const texts[] = { "",        "-- only a comment",     "SELECT 1; SELECT 2",     "BEGIN",
		                             "VACUUM",  "PRAGMA foreign_keys=0", "CREATE TEMP TABLE a(b)", "SELECT 'open",
		                             "SELECT ?" };
	penstock *db = open_node();

	for (size_t i = 0; i < COUNT_OF(texts); i++)
		run(db, texts[i], PENSTOCK_ERROR);
	cr_assert_eq(node_whole(&node), 0);
	cr_assert_eq(kit_counters(db).failed, COUNT_OF(texts));
	close_node(db);
}

static int no_function(sqlite3 *connection, void *arg, char **message)
{
	(void)connection;
	(void)arg;
	(void)message;
	abort();
}

static int no_hook(sqlite3 *connection, void *arg)
{
	(void)connection;
	(void)arg;
	abort();
}

/* A limit that does not hold is none. */
Test(cluster, limits_that_a_node_does_not_keep_are_refused)
{
	static const char *const keys[][2] = { { "statement_timeout_ms", "100" },
		                               { "sql_bytes_max", "2000" },
		                               { "value_bytes_max", "2000" },
		                               { "trusted_schema", "no" } };
	static const char *const defaults[][2] = { { "statement_timeout_ms", "0" },
		                                   { "sql_bytes_max", "1000000000" },
		                                   { "value_bytes_max", "1000000000" },
		                                   { "trusted_schema", "yes" } };
	penstock_config config;
	penstock *db = open_node();

	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		config = plain_config();
		expect(penstock_config_set(&config, keys[i][0], keys[i][1]), PENSTOCK_OK);
		expect(penstock_open(node.path, &config, &db), PENSTOCK_CONFIG);
		expect_message(keys[i][0]);
	}
	config = plain_config();
	for (size_t i = 0; i < COUNT_OF(defaults); i++)
		expect(penstock_config_set(&config, defaults[i][0], defaults[i][1]), PENSTOCK_OK);
	close_node(kit_open_path(node.path, &config));
}

Test(cluster, what_needs_a_connection_is_refused_with_the_reason)
{
	penstock_pragma pragma = PENSTOCK_PRAGMA("cache_size", "7");
	penstock_config config = plain_config();
	penstock *db = open_node();
	sqlite3 *connection;

	expect(penstock_call(db, no_function, NULL, NULL, PENSTOCK_FOREVER, NULL), PENSTOCK_MISUSE);
	expect_message("submit statements");
	expect(penstock_on_connect(db, no_hook, NULL), PENSTOCK_MISUSE);
	expect_message("submit statements");
	expect(penstock_reader_open(db, &connection), PENSTOCK_CANTOPEN);
	expect_message("submit the SELECT");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.connect_hook = no_hook;
	expect(penstock_open(node.path, &config, &db), PENSTOCK_CONFIG);
	expect_message("connect_hook");
	config = plain_config();
	config.pragmas = &pragma;
	config.pragma_count = 1;
	expect(penstock_open(node.path, &config, &db), PENSTOCK_CONFIG);
	expect_message("cache_size");
	config = plain_config();
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	expect(penstock_open(node.path, &config, &db), PENSTOCK_CONFIG);
	expect_message("synchronous");
	cr_assert_eq(node_whole(&node), 0);
	node_end(&node);
}

/* ---- opening ---- */

static void open_fails(const penstock_config *config, const char *part)
{
	penstock_config own = *config;
	penstock *db;

	for (int autostart = 0; autostart < 2; autostart++) {
		own.autostart = autostart;
		expect(penstock_open(node.path, &own, &db), PENSTOCK_CANTOPEN);
		expect_message(part);
		check(db == NULL);
	}
}

Test(cluster, open_tells_what_is_wrong_with_the_cluster)
{
	penstock_config config = plain_config();

	/* Short, for what may come to be; the others do not wait. */
	config.busy_limit_ms = 1;
	node_begin(&node);
	node.nodes_status = 401;
	open_fails(&config, "the user or the password");
	node.nodes_status = 404;
	open_fails(&config, "404");
	node.nodes_status = 0;
	node.question_status = 401;
	open_fails(&config, "the user or the password");
	node.question_status = 0;
	node.version = "7";
	open_fails(&config, "rqlite 8 is wanted");
	node.version = "80";
	open_fails(&config, "rqlite 8 is wanted");
	node.version = NULL;
	node.nodes = "<html>";
	open_fails(&config, "no node of a cluster");
	node.nodes = "{\"1\":{\"leader\":false}}";
	open_fails(&config, "no node leads");
	node.nodes = NULL;
	node.version = "v8.26.8";
	config.autostart = 0;
	expect(penstock_close(kit_open_path(node.path, &config), PENSTOCK_FOREVER), PENSTOCK_OK);
	node_end(&node);
	open_fails(&config, "connect");
	check(told_no_leader > 0);
}

Test(cluster, a_node_that_leads_is_asked_whichever_it_was_that_told)
{
	penstock_config config = plain_config();
	static struct node other;
	char path[128], nodes[256];
	penstock *db;

	node_begin(&node);
	node_begin(&other);
	snprintf(
		nodes, sizeof nodes,
		"{\"1\":{\"api_addr\":\"http://127.0.0.1:%d\",\"leader\":false},\"2\":{\"api_addr\":\"http://127.0.0.1:%d\",\"leader\":true}}",
		node.port, other.port);
	node.nodes = nodes;
	/* The port of nobody, first. */
	snprintf(path, sizeof path, "rqlite://127.0.0.1:1,127.0.0.1:%d,127.0.0.1:%d/", node.port, other.port);
	db = kit_open_path(path, &config);
	node_answer(&other, &(struct node_answer){ .body = GOOD }, 1);
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	check(node_whole(&node) == 0 && node_whole(&other) == 1);
	/* It is gone: the one that knows it is not asked to do it, as it leads nobody any more. */
	snprintf(nodes, sizeof nodes, "{\"1\":{\"api_addr\":\"http://127.0.0.1:%d\",\"leader\":true}}", node.port);
	ANSWERS({ .body = GOOD });
	node_end(&other);
	penstock_execute(
		db,
		&(penstock_submission){ .struct_size = sizeof(penstock_submission), .sql = "DELETE FROM t", .sql_bytes = -1 },
		PENSTOCK_FOREVER, NULL);
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	close_node(db);
}

/* ---- a cluster that is away ---- */

/* An engine whose only node has gone since. */
static penstock *open_lost(const penstock_config *config)
{
	penstock *db;

	node_begin(&node);
	db = kit_open_path(node.path, config);
	ANSWERS({ .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	node_end(&node);
	/* What is sent on the connection that was kept may be UNKNOWN. */
	kit_execute(db, "SELECT 1");
	return db;
}

Test(cluster, a_cluster_that_stays_away_is_busy)
{
	penstock_config config = plain_config();
	penstock *db;

	config.busy_limit_ms = 50;
	db = open_lost(&config);
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_ERROR);
	expect_message("no node of the cluster takes it");
	check(told_no_leader > 0);
	cr_assert_eq(penstock_phase_of(db), PENSTOCK_PHASE_RUNNING);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(cluster, deadlines_and_cancels_count_while_it_is_away)
{
	penstock_config config = plain_config();
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql = "INSERT INTO t VALUES(1)",
		                           .sql_bytes = -1,
		                           .flags = PENSTOCK_CANCELLABLE };
	penstock_handle *late, *cancelled, *waiting;
	penstock *db;

	config.busy_limit_ms = 0;
	/* The first attempt at a node that has gone ends for ever only with a stop: none is made here. */
	node_begin(&node);
	db = kit_open_path(node.path, &config);
	node_end(&node);
	expect(penstock_submit(db,
	                       &(penstock_submission){ .struct_size = sizeof submission, .sql = "SELECT 1", .sql_bytes = -1 },
	                       PENSTOCK_FOREVER, &waiting),
	       PENSTOCK_OK);
	await(told_no_leader > 0 || penstock_queue_depth(db) == 0);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &cancelled), PENSTOCK_OK);
	submission.deadline_usec = penstock_deadline(SHORT);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &late), PENSTOCK_OK);
	expect(penstock_handle_cancel(cancelled), PENSTOCK_OK);
	expect(penstock_handle_wait(late, PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
	expect(penstock_handle_wait(cancelled, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	expect(penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
	check(penstock_handle_wait(waiting, 0) == PENSTOCK_SHUTDOWN || penstock_handle_wait(waiting, 0) == PENSTOCK_UNKNOWN);
	penstock_handle_release(late);
	penstock_handle_release(cancelled);
	penstock_handle_release(waiting);
}

Test(cluster, without_a_leader_nothing_begins)
{
	static const char nobody[] = "{\"1\":{\"leader\":false}}";
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql = "INSERT INTO t VALUES(1)",
		                           .sql_bytes = -1,
		                           .flags = PENSTOCK_CANCELLABLE };
	penstock_config keys;
	penstock_handle *handle;
	penstock *db = open_node();

	/* The node is asked who leads, since its last answer was of no use. */
	ANSWERS({ .body = "{\"error\":\"leadership lost while committing log\"}" });
	node.nodes = nobody;
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_UNKNOWN);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	await(told_no_leader > 0);
	expect(penstock_handle_cancel(handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	penstock_handle_release(handle);
	submission.deadline_usec = penstock_deadline(SHORT);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
	penstock_handle_release(handle);
	penstock_config_init(&keys);
	keys.busy_limit_ms = 1;
	expect(penstock_reconfigure(db, &keys), PENSTOCK_OK);
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_ERROR);
	expect_message("no node leads");
	cr_assert_eq(node_whole(&node), 1);
	node.nodes = NULL;
	ANSWERS({ .body = GOOD });
	keys.busy_limit_ms = 0;
	expect(penstock_reconfigure(db, &keys), PENSTOCK_OK);
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	close_node(db);
}

/*
 * A node that still takes another for the leader sends a batch to where it comes to UNKNOWN, over and over. A question goes the same way, and
 * harms nobody.
 */
Test(cluster, behind_a_failure_nothing_is_sent_before_a_leader_has_answered)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql = "INSERT INTO t VALUES(1)",
		                           .sql_bytes = -1,
		                           .flags = PENSTOCK_CANCELLABLE };
	penstock *db = open_node();
	penstock_handle *handle;
	unsigned asked;

	ANSWERS({ .body = "{\"error\":\"node failed to process Request on remote node at h:2: not leader\"}" });
	node.question_status = 500;
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_UNKNOWN);
	asked = node.asked;
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	await(node.asked > asked + 2);
	cr_assert_eq(node_whole(&node), 1);
	expect(penstock_handle_cancel(handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	penstock_handle_release(handle);
	ANSWERS({ .body = GOOD });
	node.question_status = 0;
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	cr_assert_eq(node_whole(&node), 2);
	close_node(db);
}

Test(cluster, a_deadline_passes_while_nobody_takes_what_was_sent)
{
	penstock *db = open_node();
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql = "INSERT INTO t VALUES(1)",
		                           .sql_bytes = -1 };
	penstock_handle *handle;

	ANSWERS({ .body = "{\"error\":\"not leader\"}" });
	submission.deadline_usec = penstock_deadline(SHORT);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
	penstock_handle_release(handle);
	ANSWERS({ .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	close_node(db);
}

/* ---- a node that hangs ---- */

/* With a limit that no test waits for. */
static penstock *open_hanging(bool autostart)
{
	penstock_config config = plain_config();
	char path[128];

	node_begin(&node);
	config.autostart = autostart;
	config.busy_limit_ms = 0;
	snprintf(path, sizeof path, "%s?timeout_ms=3600000", node.path);
	return kit_open_path(path, &config);
}

/* What may come to nothing does so behind a node that hangs, and whoever waits waits no longer than he said. */
static void expect_no_hold_up(penstock *db, penstock_handle *waiting)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql = "INSERT INTO t VALUES(2)",
		                           .sql_bytes = -1,
		                           .flags = PENSTOCK_CANCELLABLE };
	penstock_handle *late, *cancelled;

	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &cancelled), PENSTOCK_OK);
	submission.deadline_usec = penstock_deadline(SHORT);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &late), PENSTOCK_OK);
	expect(penstock_handle_cancel(cancelled), PENSTOCK_OK);
	expect(penstock_handle_wait(cancelled, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	expect(penstock_handle_wait(late, PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
	penstock_handle_release(cancelled);
	penstock_handle_release(late);
	expect(penstock_handle_wait(waiting, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_flush(db, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_pause(db, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_stop(db, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_close(db, SHORT), PENSTOCK_TIMEOUT);
}

Test(cluster, a_node_that_hangs_holds_up_what_was_sent_and_nobody_else)
{
	penstock *db = open_hanging(true);
	penstock_handle *sent, *behind;

	ANSWERS({ .silent = true });
	expect(kit_submit(db, "INSERT INTO t VALUES(1)", PENSTOCK_FOREVER, &sent), PENSTOCK_OK);
	await(node_whole(&node) == 1);
	expect(kit_submit(db, "INSERT INTO t VALUES(3)", PENSTOCK_FOREVER, &behind), PENSTOCK_OK);
	expect_no_hold_up(db, sent);
	expect(penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
	expect(penstock_handle_wait(sent, 0), PENSTOCK_UNKNOWN);
	expect_message("gave it up");
	expect(penstock_handle_wait(behind, 0), PENSTOCK_SHUTDOWN);
	penstock_handle_release(sent);
	penstock_handle_release(behind);
	cr_assert_eq(node_whole(&node), 1);
	node_end(&node);
}

Test(cluster, a_node_that_does_not_say_who_leads_holds_up_nobody)
{
	penstock *db = open_hanging(true);
	penstock_handle *waiting;
	unsigned asked;

	ANSWERS({ .body = "" });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_UNKNOWN);
	asked = node.asked;
	node.nodes_silent = true;
	expect(kit_submit(db, "INSERT INTO t VALUES(3)", PENSTOCK_FOREVER, &waiting), PENSTOCK_OK);
	await(node.asked > asked);
	expect_no_hold_up(db, waiting);
	expect(penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
	expect(penstock_handle_wait(waiting, 0), PENSTOCK_SHUTDOWN);
	penstock_handle_release(waiting);
	cr_assert_eq(node_whole(&node), 1);
	node_end(&node);
}

Test(cluster, a_start_on_a_node_that_hangs_can_be_given_up)
{
	penstock *db = open_hanging(false);

	node.question_silent = true;
	expect(penstock_start(db, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_stop_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
	node.question_silent = false;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	ANSWERS({ .body = GOOD });
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	close_node(db);
}

Test(cluster, pause_and_stop_leave_the_cluster_alone)
{
	penstock *db = open_node();
	penstock_handle *handle;

	ANSWERS({ .body = GOOD });
	expect(kit_submit(db, "INSERT INTO t VALUES(1)", PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_OK);
	penstock_handle_release(handle);
	await(node.connection < 0);
	expect(kit_submit(db, "INSERT INTO t VALUES(1)", PENSTOCK_FOREVER, NULL), PENSTOCK_PAUSED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await(node.connection < 0);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	run(db, "INSERT INTO t VALUES(1)", PENSTOCK_OK);
	close_node(db);
}

Test(cluster, the_writer_is_named_after_the_nodes)
{
	penstock_config config = plain_config();
	char path[128], name[64];
	penstock *db;

	node_begin(&node);
	snprintf(path, sizeof path, "rqlite://127.0.0.1:%d/?timeout_ms=15000", node.port);
	db = kit_open_path(path, &config);
	kit_thread_status(kit_find_writer(), "Name", name, sizeof name);
	check(begins(name, "ps1:127.0.0.1:"), "%s", name);
	close_node(db);
}

/* ---- what callers hear ---- */

static _Atomic unsigned heard[64];

static void on_complete(void *arg, const penstock_result *result)
{
	(void)arg;
	heard[result->status]++;
}

Test(cluster, who_does_not_wait_hears_too)
{
	penstock_config config = plain_config();
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql = "INSERT INTO t VALUES(1)", .sql_bytes = -1, .on_complete = on_complete
	};
	penstock *db;

	node_begin(&node);
	config.on_error = on_complete;
	db = kit_open_path(node.path, &config);
	ANSWERS({ .body = GOOD });
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(heard[PENSTOCK_OK], 1);
	submission.on_complete = NULL;
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).committed, 2);
	ANSWERS({ .body = "{\"results\":[{\"error\":\"no such table: t\"}]}" });
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(heard[PENSTOCK_ERROR], 1);
	ANSWERS({ .body = "{\"error\":\"leadership lost while committing log\"}" });
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(heard[PENSTOCK_UNKNOWN], 1);
	close_node(db);
}

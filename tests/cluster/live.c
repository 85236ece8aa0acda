/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * live.c - one real node: what a statement comes to is what it comes to in a file; users, TLS, and texts that would harm it
 *
 *   1. Each statement and group of a list is submitted to an engine on a file and to one on the node. Status, code, changes, rowid and rows are
 *      the same, with the types of all values; but for what docs/cluster.md says.
 *   2. The texts that make a node spin or hang for good: it answers behind each of them, since none has reached it.
 *   3. A node with users, with TLS, and with a certificate asked of its clients, lets in who has the right ones, and nobody else.
 *      (The certificates are made by openssl; without it this part is skipped.)
 *
 *     PENSTOCK_RQLITED   the program of a node, if it is not in PATH
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/penstock.h"
#include "tests/cluster/nodes.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static struct nodes nodes;
static unsigned failures;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "live: %s: %s\n", what, why);
	failures++;
}

static penstock *open_or_end(const char *path, const penstock_config *config)
{
	penstock *db;

	if (penstock_open(path, config, &db) == PENSTOCK_OK)
		return db;
	fprintf(stderr, "live: %s: %s\n", path, penstock_error_message());
	nodes_end(&nodes);
	exit(1);
}

static penstock_handle *submit(penstock *db, const char *sql, const penstock_value *values, size_t count)
{
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;
	penstock_handle *handle;

	submission.sql = sql;
	submission.values = values;
	submission.value_count = count;
	if (penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle) != PENSTOCK_OK && handle == NULL)
		abort();
	return handle;
}

/* ---- both stores ---- */

static bool same_cell(const penstock_value *a, const penstock_value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case PENSTOCK_INTEGER:
		return a->as.integer == b->as.integer;
	case PENSTOCK_FLOAT:
		return memcmp(&a->as.real, &b->as.real, sizeof a->as.real) == 0;
	case PENSTOCK_NULL:
		return true;
	default:
		return a->bytes == b->bytes && memcmp(a->as.data, b->as.data, a->bytes) == 0;
	}
}

/* returning: a node does not tell the rowid of what returns rows. */
static const char *difference(const penstock_result *file, const penstock_result *node)
{
	size_t i;

	if (file->status != node->status)
		return "another status";
	if (file->code != node->code)
		return "another code";
	if (file->changes != node->changes)
		return "other changes";
	if (file->status == PENSTOCK_OK && file->row_count == 0 && file->last_insert_rowid != node->last_insert_rowid)
		return "another rowid";
	if (file->row_count != node->row_count || file->column_count != node->column_count)
		return "another number of rows";
	for (i = 0; i < file->column_count; i++) {
		if (strcmp(file->column_names[i], node->column_names[i]) != 0)
			return "another name of a column";
	}
	for (i = 0; i < file->row_count * file->column_count; i++) {
		if (!same_cell(&file->cells[i], &node->cells[i]))
			return "another value";
	}
	return NULL;
}

static void compare(penstock *file, penstock *node, const char *sql, const penstock_value *values, size_t count)
{
	penstock_handle *of_file = submit(file, sql, values, count), *of_node = submit(node, sql, values, count);
	const penstock_result *a = penstock_handle_result(of_file), *b = penstock_handle_result(of_node);
	const char *found = difference(a, b);
	char why[600];

	if (found != NULL) {
		snprintf(why, sizeof why, "%s on the node: %s (%s), not %s (%s)", found, penstock_status_name(b->status),
		         b->message, penstock_status_name(a->status), a->message);
		fail(sql, why);
	}
	penstock_handle_release(of_file);
	penstock_handle_release(of_node);
}

static unsigned compare_statements(penstock *file, penstock *node)
{
	static const char *const texts[] = {
		"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL, d BLOB, e INT UNIQUE CHECK(e < 100), f TEXT NOT NULL DEFAULT 'x')",
		"INSERT INTO t(b) VALUES('one'), ('two')",
		"INSERT INTO t(b, c, e) VALUES('three', 1e300, 3)",
		"INSERT INTO t(e) VALUES(3)",
		"INSERT INTO t(e) VALUES(100)",
		"INSERT INTO t(f) VALUES(NULL)",
		"INSERT INTO nowhere VALUES(1)",
		"INSERT OR IGNORE INTO t(e) VALUES(3)",
		"REPLACE INTO t(a, b) VALUES(1, 'again')",
		"UPDATE t SET c = a / 2.0",
		"UPDATE t SET c = 7 WHERE a = 99",
		"UPDATE t SET b = b || '!' WHERE a = 1 RETURNING a, b, c",
		"INSERT INTO t(b, c) VALUES('four', 0.1) RETURNING a, b, c, d",
		"SELECT a, b, c, d, e, f FROM t ORDER BY a",
		"SELECT a AS \"a name\", count(*), sum(c), max(b) FROM t GROUP BY a ORDER BY 1",
		"SELECT 1 WHERE 0",
		"VALUES(1, 'x', 2.5, NULL)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) INSERT INTO t(b) SELECT i FROM n",
		"WITH x AS (SELECT 3 AS a) DELETE FROM t WHERE a IN (SELECT a FROM x)",
		"DELETE FROM t WHERE a = 99",
		"CREATE TABLE u(a)",
		"CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO u VALUES(new.a); INSERT INTO u VALUES(0); END;",
		"INSERT INTO t(b) VALUES('with a trigger')",
		"SELECT count(*) FROM u",
		"SELECT count(*) FROM u ; -- with a comment",
		"SELECT (",
		"SELECT 'quote '' and ; and ? and -- no comment', \"a\" FROM t ORDER BY a LIMIT 1",
		"PRAGMA table_info(u)",
		"DROP TABLE u",
		"INSERT INTO t(b) VALUES('its trigger has no table')",
		"SELECT total(c), 9223372036854775807, -9223372036854775808 FROM t",
	};
	size_t i;

	for (i = 0; i < COUNT_OF(texts); i++)
		compare(file, node, texts[i], NULL, 0);
	return (unsigned)COUNT_OF(texts);
}

/* What rqlite's own parser does not know it runs, and gives no rows of it: then the outcome is not OK. */
static unsigned compare_rows(penstock *file, penstock *node)
{
	static const char *const texts[] = {
		"INSERT INTO main.w(a) VALUES(1) RETURNING a",
		"INSERT INTO w(a) VALUES((SELECT 2)) RETURNING a, b",
		"INSERT INTO w(a) SELECT value FROM json_each('[3,4]') RETURNING a",
		"INSERT INTO w(a) VALUES(5)RETURNING[a]",
		"UPDATE w SET (a, b) = (6, 7) WHERE a = 1 RETURNING a, b",
		"WITH x(i) AS (VALUES(2)) DELETE FROM w WHERE a IN (SELECT i FROM x) RETURNING a",
		"EXPLAIN QUERY PLAN DELETE FROM w WHERE a IN (SELECT b FROM w)",
	};
	penstock_handle *of_file, *of_node;
	const penstock_result *result;
	size_t i;

	compare(file, node, "CREATE TABLE w(a, b)", NULL, 0);
	for (i = 0; i < COUNT_OF(texts); i++) {
		of_file = submit(file, texts[i], NULL, 0);
		of_node = submit(node, texts[i], NULL, 0);
		result = penstock_handle_result(of_node);
		if (result->status == PENSTOCK_OK && result->column_count != penstock_handle_result(of_file)->column_count)
			fail(texts[i], "OK, and its rows are missing");
		if (result->status == PENSTOCK_ERROR && strncmp(texts[i], "EXPLAIN", strlen("EXPLAIN")) != 0)
			fail(texts[i], result->message);
		penstock_handle_release(of_file);
		penstock_handle_release(of_node);
		compare(file, node, "SELECT a, b FROM w ORDER BY rowid", NULL, 0);
	}
	return (unsigned)COUNT_OF(texts);
}

/* Numbers and text in columns of every affinity but that of no type, which a node does not tell. */
static unsigned compare_types(penstock *file, penstock *node)
{
	static const char *const types[] = { "REAL",       "double",        "DOUBLE PRECISION",
		                             "FLOAT",      "Float(8)",      "FLOATING POINT",
		                             "NUMERIC",    "DECIMAL(10,2)", "INT",
		                             "BIGINT",     "BOOL",          "TIME",
		                             "STRING",     "VARCHAR(9)",    "CLOB",
		                             "NCHAR (55)", "JSON",          "MONEY" };
	const penstock_value values[] = { penstock_int64(0),         penstock_int64(1),
		                          penstock_int64(INT64_MIN), penstock_int64(INT64_C(9007199254740993)),
		                          penstock_double(1),        penstock_double(-0.0),
		                          penstock_double(0.5),      penstock_double(1e15),
		                          penstock_double(9e18),     penstock_double(1e19),
		                          penstock_double(1e300),    penstock_text("1"),
		                          penstock_text("1.0"),      penstock_text("1e3"),
		                          penstock_text("x"),        penstock_null() };
	char sql[128];
	size_t i, j;

	for (i = 0; i < COUNT_OF(types); i++) {
		snprintf(sql, sizeof sql, "CREATE TABLE typed(i INTEGER PRIMARY KEY, a %s)", types[i]);
		compare(file, node, sql, NULL, 0);
		for (j = 0; j < COUNT_OF(values); j++)
			compare(file, node, "INSERT INTO typed(a) VALUES(?)", &values[j], 1);
		snprintf(sql, sizeof sql, "SELECT a, typeof(a), CAST(a AS TEXT) FROM typed ORDER BY i -- %s", types[i]);
		compare(file, node, sql, NULL, 0);
		compare(file, node, "DROP TABLE typed", NULL, 0);
	}
	return (unsigned)(COUNT_OF(types) * COUNT_OF(values));
}

static unsigned compare_values(penstock *file, penstock *node)
{
	const double reals[] = {
		0.0, -0.0, 1.0, 0.1, 1e-300, 1.7976931348623157e308, 4.9e-324, 123456789.125, 9007199254740993.0, 1e15, 1e21
	};
	const int64_t integers[] = { 0, -1, INT64_MAX, INT64_MIN, INT64_C(9007199254740993) };
	const penstock_value others[] = { penstock_null(),
		                          penstock_text(""),
		                          penstock_text("\"\\\b\f\n\r\t/<>&\x7f"),
		                          penstock_text_bytes("a\0b", 3),
		                          penstock_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xe2\x80\xa8"),
		                          penstock_text("x'00'") };
	const penstock_value blobs[] = { penstock_blob("", 0), penstock_blob("\0\xff\x80'", 4), penstock_blob("text", 4) };
	penstock_value values[3];
	unsigned count = 0;
	size_t i;

	compare(file, node, "CREATE TABLE v(i INTEGER PRIMARY KEY, r REAL, n INTEGER, x TEXT, b BLOB)", NULL, 0);
	for (i = 0; i < COUNT_OF(reals); i++, count++) {
		values[0] = penstock_double(reals[i]);
		compare(file, node, "INSERT INTO v(r) VALUES(?)", values, 1);
	}
	for (i = 0; i < COUNT_OF(integers); i++, count++) {
		values[0] = penstock_int64(integers[i]);
		compare(file, node, "INSERT INTO v(n) VALUES(:n)", values, 1);
	}
	for (i = 0; i < COUNT_OF(others); i++, count++) {
		values[0] = others[i];
		compare(file, node, "INSERT INTO v(x) VALUES(?1)", values, 1);
	}
	for (i = 0; i < COUNT_OF(blobs); i++, count++) {
		values[0] = blobs[i];
		values[1] = penstock_int64((int64_t)i);
		compare(file, node, "INSERT INTO v(b, n) VALUES(?, @n)", values, 2);
		compare(file, node, "INSERT INTO v(n, b, r) VALUES(?2, ?1, ?2)", values, 2);
		/* As Tcl names them. */
		compare(file, node, "INSERT INTO v(b, n) VALUES(@a::b('), $::n)", values, 2);
	}
	compare(file, node, "INSERT INTO v(n) VALUES(?)", values, 2);
	compare(file, node, "INSERT INTO v(n) VALUES(?)", NULL, 0);
	compare(file, node, "SELECT i, r, n, x, b, typeof(r), typeof(n), typeof(x), typeof(b), hex(b) FROM v ORDER BY i", NULL,
	        0);
	/* Beyond int64 an INTEGER column keeps a REAL. */
	compare(file, node, "INSERT INTO v(n) VALUES(12345678901234567890)", NULL, 0);
	compare(file, node, "SELECT n FROM v ORDER BY i DESC LIMIT 1", NULL, 0);
	return count;
}

static void compare_group(penstock *file, penstock *node, const char *const *texts, size_t count)
{
	penstock_submission members[4];
	penstock_handle *handles[2];
	const penstock_result *results[2];
	const char *found;
	size_t i;

	for (i = 0; i < count; i++) {
		penstock_submission_init(&members[i]);
		members[i].sql = texts[i];
	}
	for (i = 0; i < 2; i++) {
		if (penstock_submit_group(i == 0 ? file : node, members, count, NULL, PENSTOCK_FOREVER, &handles[i]) !=
		    PENSTOCK_OK)
			abort();
		penstock_handle_wait(handles[i], PENSTOCK_FOREVER);
		results[i] = penstock_handle_result(handles[i]);
	}
	found = difference(results[0], results[1]);
	for (i = 0; i < count && found == NULL; i++)
		found = difference(penstock_result_member(results[0], i), penstock_result_member(results[1], i));
	if (found == NULL && results[0]->failed_member != results[1]->failed_member)
		found = "another member failed";
	if (found != NULL)
		fail(texts[0], found);
	penstock_handle_release(handles[0]);
	penstock_handle_release(handles[1]);
}

static unsigned compare_groups(penstock *file, penstock *node)
{
	static const char *const groups[][3] = {
		{ "INSERT INTO g VALUES(1, 1)", "INSERT INTO g VALUES(2, NULL)", "UPDATE g SET b = NULL WHERE a = 1" },
		{ "INSERT INTO g VALUES(3, NULL)", "INSERT INTO g VALUES(3, NULL)", "DELETE FROM g" },
		{ "INSERT INTO g VALUES(4, NULL)", "INSERT INTO nowhere VALUES(1)", "DELETE FROM g" },
		{ "INSERT INTO g VALUES(5, NULL)", "INSERT INTO g VALUES(", "DELETE FROM g" },
		{ "INSERT INTO g VALUES(6, 99)", "INSERT INTO g VALUES(7, NULL)", "DELETE FROM g WHERE a = 7" },
		{ "CREATE TABLE h(a)", "INSERT INTO h VALUES(1)", "DROP TABLE nowhere" },
	};
	size_t i;

	compare(file, node, "CREATE TABLE g(a INTEGER PRIMARY KEY, b REFERENCES g DEFERRABLE INITIALLY DEFERRED)", NULL, 0);
	for (i = 0; i < COUNT_OF(groups); i++) {
		compare_group(file, node, groups[i], 3);
		compare(file, node, "SELECT a, b FROM g ORDER BY a", NULL, 0);
	}
	compare(file, node, "SELECT * FROM h", NULL, 0);
	return (unsigned)COUNT_OF(groups);
}

/* ---- what would harm it ---- */

static unsigned harm(penstock *node)
{
	static const char *const texts[] = {
		"",
		" ",
		";",
		"-- a comment",
		"/* one */",
		"SELECT 1; -- x",
		"SELECT 1;;",
		"SELECT 1; SELECT 2",
		"BEGIN",
		"COMMIT",
		"ROLLBACK",
		"SAVEPOINT a",
		"EXPLAIN",
		"VACUUM",
		"PRAGMA query_only=1",
		"CREATE TEMP TABLE x(y)",
		"SELECT 'open",
	};
	penstock_handle *handle;
	size_t i;

	for (i = 0; i < COUNT_OF(texts); i++) {
		penstock_handle_release(submit(node, texts[i], NULL, 0));
		handle = submit(node, "SELECT 1", NULL, 0);
		if (penstock_handle_result(handle)->status != PENSTOCK_OK)
			fail(texts[i], "the node does not answer any more");
		penstock_handle_release(handle);
	}
	return (unsigned)COUNT_OF(texts);
}

/* ---- users and TLS ---- */

static bool make_certificates(void)
{
	char command[2048];

	snprintf(
		command, sizeof command,
		"cd '%s' && exec >openssl.log 2>&1 && "
		"openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2 && "
		"for name in node client; do "
		"openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name && "
		"printf 'subjectAltName=IP:127.0.0.1' >$name.ext && "
		"openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 2 -extfile $name.ext || exit 1; "
		"done && openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=other -days 2",
		nodes.folder);
	return system("command -v openssl >/dev/null 2>&1") == 0 && system(command) == 0;
}

/* Good until the next call. */
static const char *in_folder(const char *name)
{
	static char path[400];

	snprintf(path, sizeof path, "%s/%s", nodes.folder, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(in_folder(name), "w");

	fputs(text, file);
	fclose(file);
}

/* part: of the message; NULL: it opens, and writes. */
static void try_path(const char *password, const char *user, const char *options, const char *part)
{
	penstock_config config;
	char path[1600], why[600];
	penstock *db;
	int status;

	setenv("PENSTOCK_CLUSTER_PASSWORD", password, 1);
	penstock_config_init(&config);
	snprintf(path, sizeof path, "rqlite://%s127.0.0.1:%d/%s", user, nodes.ports[0], options);
	/* What is refused for good does not wait; what looks like a node that is away does, for this long. */
	config.busy_limit_ms = part != NULL ? 1 : 60000;
	status = penstock_open(path, &config, &db);
	if (status == PENSTOCK_OK) {
		penstock_handle_release(submit(db, "CREATE TABLE IF NOT EXISTS w(a)", NULL, 0));
		penstock_close(db, PENSTOCK_FOREVER);
	}
	if ((status == PENSTOCK_OK) == (part == NULL) && (part == NULL || strstr(penstock_error_message(), part) != NULL) &&
	    (part == NULL || strstr(penstock_error_message(), password) == NULL))
		return;
	snprintf(why, sizeof why, "%s: %s", penstock_status_name(status), penstock_error_message());
	fail(path, why);
}

static bool try_tls(void)
{
	char options[1400];
	char ca[400], cert[400], key[400], users[400], node_cert[400], node_key[400];

	nodes_begin(&nodes, 1);
	if (!make_certificates()) {
		printf("SKIP there is no openssl to make certificates with: TLS was not tried\n");
		return false;
	}
	write_file("users.json", "[{\"username\":\"writer\",\"password\":\"secret1\",\"perms\":[\"all\"]},"
	                         "{\"username\":\"other\",\"password\":\"secret2\",\"perms\":[\"status\"]}]");
	snprintf(ca, sizeof ca, "%s/ca.pem", nodes.folder);
	snprintf(cert, sizeof cert, "%s/client.pem", nodes.folder);
	snprintf(key, sizeof key, "%s/client.key", nodes.folder);
	snprintf(users, sizeof users, "%s/users.json", nodes.folder);
	snprintf(node_cert, sizeof node_cert, "%s/node.pem", nodes.folder);
	snprintf(node_key, sizeof node_key, "%s/node.key", nodes.folder);
	nodes.arguments[0] = "-auth";
	nodes.arguments[1] = users;
	nodes.arguments[2] = "-http-cert";
	nodes.arguments[3] = node_cert;
	nodes.arguments[4] = "-http-key";
	nodes.arguments[5] = node_key;
	nodes.arguments[6] = "-http-ca-cert";
	nodes.arguments[7] = ca;
	nodes.arguments[8] = "-http-verify-client";
	nodes_start(&nodes, 0);
	snprintf(options, sizeof options, "?tls=yes&ca=%s&cert=%s&key=%s", ca, cert, key);
	try_path("secret1", "writer@", options, NULL);
	try_path("secret-wrong", "writer@", options, "the user or the password");
	try_path("secret2", "other@", options, "the user or the password");
	try_path("secret1", "", options, "the user or the password");
	/* Without a certificate, with the wrong authority, and without TLS. */
	snprintf(options, sizeof options, "?tls=yes&ca=%s", ca);
	try_path("secret1", "writer@", options, "cannot be used");
	snprintf(options, sizeof options, "?tls=yes&ca=%s&cert=%s&key=%s", in_folder("other.pem"), cert, key);
	try_path("secret1", "writer@", options, "certificate");
	snprintf(options, sizeof options, "?tls=yes&ca=%s&cert=%s&key=%s", in_folder("nowhere.pem"), cert, key);
	try_path("secret1", "writer@", options, "nowhere.pem");
	try_path("secret1", "writer@", "", "cannot be used");
	nodes_end(&nodes);
	return true;
}

/* ---- all of it ---- */

int main(void)
{
	unsigned statements, values, groups, texts;
	penstock_config config;
	penstock *file, *node;
	penstock_pragma keys = PENSTOCK_PRAGMA("foreign_keys", "1");
	bool tls;

	nodes_begin(&nodes, 1);
	nodes_start(&nodes, 0);
	node = open_or_end(nodes.path, NULL);
	penstock_config_init(&config);
	config.pragmas = &keys;
	config.pragma_count = 1;
	file = open_or_end(in_folder("file.db"), &config);
	statements = compare_statements(file, node) + compare_rows(file, node);
	values = compare_values(file, node) + compare_types(file, node);
	groups = compare_groups(file, node);
	texts = harm(node);
	penstock_close(file, PENSTOCK_FOREVER);
	penstock_close(node, PENSTOCK_FOREVER);
	nodes_end(&nodes);
	tls = try_tls();
	printf("live: %u statements, %u values and %u groups came to the same on a file and on a node; %u texts did it no harm%s; %u differ or "
	       "fail\n",
	       statements, values, groups, texts, tls ? "; users and TLS" : "", failures);
	return failures > 0;
}

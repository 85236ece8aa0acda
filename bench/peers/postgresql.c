/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * postgresql.c - a peer: PostgreSQL by libpq, over the socket of a private cluster (postgresql.sh)
 *
 *   one, eight, many  a connection each, one prepared INSERT in autocommit
 *   in_flight         one connection in pipeline mode; each row has a Sync of its own, so each is a transaction and has its outcome
 *   forget            COPY in transactions of 1000 rows, which is its fastest way
 *
 * Parameters are binary. The cluster is made when the first case asks for it, and goes with the program.
 */
#include <endian.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/drives.h"
#include "bench/instead.h"

#define INT8_OID 20
#define VARCHAR_OID 1043
#define FLOAT8_OID 701
#define TEXT_BYTES (BENCH_TEXT_BYTES + 1)

static struct bench_driver cluster;
static char conninfo[600];

static void bench_cluster_end(void)
{
	if (cluster.id == 0)
		return;
	fclose(cluster.to);
	waitpid(cluster.id, NULL, 0);
	cluster.id = 0;
}

static const char *bench_postgresql_left_out(void)
{
	static int there = -1;

	if (there < 0)
		there = system("{ command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1") == 0;
	return there ? NULL : "the package postgresql is not installed";
}

static const char *bench_postgresql_begin(void)
{
	static char reason[300];
	const char *parent = getenv("TMPDIR");
	const char *arguments[] = { BENCH_PEERS "/postgresql.sh", parent != NULL && parent[0] != '\0' ? parent : "/tmp", NULL };
	char line[500] = "";

	if (conninfo[0] != '\0')
		return NULL;
	if (reason[0] != '\0')
		return reason;
	snprintf(reason, sizeof reason, "its cluster cannot be started");
	if (!bench_spawn(arguments, &cluster))
		return reason;
	atexit(bench_cluster_end);
	if (fgets(line, sizeof line, cluster.from) == NULL)
		return reason;
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "ready ", 6) == 0)
		snprintf(conninfo, sizeof conninfo, "host=%s user=bench dbname=postgres", line + 6);
	else
		snprintf(reason, sizeof reason, "%.250s", strncmp(line, "left out: ", 10) == 0 ? line + 10 : line);
	return conninfo[0] != '\0' ? NULL : reason;
}

/* ---- a connection ---- */

struct bench_session {
	PGconn *connection;
	char text[TEXT_BYTES];
	int64_t a;
	uint64_t c;
};

static bool bench_command(PGconn *connection, const char *sql)
{
	PGresult *result = PQexec(connection, sql);
	bool whole = PQresultStatus(result) == PGRES_COMMAND_OK;

	PQclear(result);
	return whole;
}

static bool bench_session_open(struct bench_session *session)
{
	static const Oid types[] = { INT8_OID, VARCHAR_OID, FLOAT8_OID };
	PGresult *result;
	bool whole;

	memcpy(session->text, BENCH_TEXT_START, sizeof session->text);
	session->connection = PQconnectdb(conninfo);
	if (PQstatus(session->connection) != CONNECTION_OK)
		return false;
	result = PQprepare(session->connection, "insert", "INSERT INTO t(a, b, c) VALUES($1, $2, $3)", 3, types);
	whole = PQresultStatus(result) == PGRES_COMMAND_OK;
	PQclear(result);
	return whole;
}

struct bench_parameters {
	const char *values[3];
	int lengths[3];
	int formats[3];
};

/* Binary, in network order. */
static void bench_session_row(struct bench_session *session, uint64_t number, struct bench_parameters *parameters)
{
	double real = (double)number;
	uint64_t bits;

	memcpy(&bits, &real, sizeof bits);
	bench_text(session->text, number);
	session->a = (int64_t)htobe64(number);
	session->c = htobe64(bits);
	*parameters = (struct bench_parameters){ { (const char *)&session->a, session->text, (const char *)&session->c },
		                                 { sizeof session->a, BENCH_TEXT_BYTES, sizeof session->c },
		                                 { 1, 1, 1 } };
}

static void bench_postgresql_ready(struct bench_hand *hand)
{
	struct bench_session *session = calloc(1, sizeof *session);

	if (session == NULL)
		abort();
	hand->own = session;
	if (!bench_session_open(session))
		snprintf(hand->message, sizeof hand->message, "%.180s", PQerrorMessage(session->connection));
}

static void bench_postgresql_done(struct bench_hand *hand)
{
	struct bench_session *session = hand->own;

	PQfinish(session->connection);
	free(session);
}

static void bench_postgresql_failed(struct bench_hand *hand)
{
	struct bench_session *session = hand->own;

	snprintf(hand->message, sizeof hand->message, "%.180s", PQerrorMessage(session->connection));
}

/* ---- waiting ---- */

static void bench_postgresql_wait(struct bench_hand *hand)
{
	struct bench_session *session = hand->own;
	struct bench_user *user = bench_user_of(hand);
	uint64_t until = bench_user_until(hand), now = bench_nsec();

	while (now < until) {
		struct bench_parameters row;
		uint64_t begun = now;
		PGresult *result;
		bool whole;

		bench_session_row(session, user->rows, &row);
		result = PQexecPrepared(session->connection, "insert", 3, row.values, row.lengths, row.formats, 1);
		whole = PQresultStatus(result) == PGRES_COMMAND_OK;
		PQclear(result);
		if (!whole) {
			bench_postgresql_failed(hand);
			return;
		}
		now = bench_nsec();
		bench_user_note(user, now - begun);
		user->rows++;
	}
}

/* ---- a pipeline ---- */

struct bench_pipe {
	struct bench_session *session;
	struct bench_user *user;
	uint64_t since[BENCH_FLIGHT];
	uint64_t submitted;
	uint64_t ended;
	bool failed;
};

static void bench_pipe_send(struct bench_pipe *pipe)
{
	struct bench_parameters row;

	bench_session_row(pipe->session, pipe->submitted, &row);
	pipe->since[pipe->submitted % BENCH_FLIGHT] = bench_nsec();
	if (PQsendQueryPrepared(pipe->session->connection, "insert", 3, row.values, row.lengths, row.formats, 1) != 1 ||
	    PQpipelineSync(pipe->session->connection) != 1)
		pipe->failed = true;
	pipe->submitted++;
}

/* Of each row: its result, a NULL, and the result of its Sync, behind which it is committed. */
static void bench_pipe_hear(struct bench_pipe *pipe)
{
	while (!pipe->failed && pipe->ended < pipe->submitted && PQisBusy(pipe->session->connection) == 0) {
		PGresult *result = PQgetResult(pipe->session->connection);
		ExecStatusType status = PQresultStatus(result);

		PQclear(result);
		if (result == NULL || status == PGRES_COMMAND_OK)
			continue;
		if (status != PGRES_PIPELINE_SYNC)
			pipe->failed = true;
		bench_user_note(pipe->user, bench_nsec() - pipe->since[pipe->ended % BENCH_FLIGHT]);
		pipe->ended++;
		pipe->user->rows++;
	}
}

static void bench_postgresql_fly(struct bench_hand *hand)
{
	static struct bench_pipe pipe;
	PGconn *connection;
	uint64_t until = bench_user_until(hand);

	pipe = (struct bench_pipe){ .session = hand->own, .user = bench_user_of(hand) };
	connection = pipe.session->connection;
	if (PQsetnonblocking(connection, 1) != 0 || PQenterPipelineMode(connection) != 1)
		pipe.failed = true;
	while (!pipe.failed && (pipe.ended < pipe.submitted || bench_nsec() < until)) {
		struct pollfd socket = { .fd = PQsocket(connection), .events = POLLIN };
		int left;

		while (bench_nsec() < until && pipe.submitted - pipe.ended < BENCH_FLIGHT && !pipe.failed)
			bench_pipe_send(&pipe);
		left = PQflush(connection);
		if (left == 1)
			socket.events |= POLLOUT;
		if (left < 0 || poll(&socket, 1, -1) != 1 ||
		    ((socket.revents & POLLIN) != 0 && PQconsumeInput(connection) != 1))
			pipe.failed = true;
		bench_pipe_hear(&pipe);
	}
	if (pipe.failed)
		bench_postgresql_failed(hand);
}

/* ---- COPY ---- */

static bool bench_copy(struct bench_session *session, uint64_t first)
{
	PGconn *connection = session->connection;
	PGresult *result = PQexec(connection, "COPY t(a, b, c) FROM STDIN");
	bool whole = PQresultStatus(result) == PGRES_COPY_IN;

	PQclear(result);
	for (uint64_t i = first; i < first + BENCH_FLIGHT && whole; i++) {
		char line[120];
		int length;

		bench_text(session->text, i);
		length = snprintf(line, sizeof line, "%llu\t%s\t%llu\n", (unsigned long long)i, session->text,
		                  (unsigned long long)i);
		whole = PQputCopyData(connection, line, length) == 1;
	}
	whole = whole && PQputCopyEnd(connection, NULL) == 1;
	while ((result = PQgetResult(connection)) != NULL) {
		whole = whole && PQresultStatus(result) == PGRES_COMMAND_OK;
		PQclear(result);
	}
	return whole;
}

static void bench_postgresql_forget(struct bench_hand *hand)
{
	struct bench_session *session = hand->own;
	struct bench_user *user = bench_user_of(hand);
	uint64_t until = bench_user_until(hand);

	while (bench_nsec() < until && hand->message[0] == '\0') {
		if (!bench_copy(session, user->rows))
			bench_postgresql_failed(hand);
		user->rows += BENCH_FLIGHT;
	}
}

/* ---- and the rest ---- */

static bool bench_postgresql_table(struct bench_case *self)
{
	PGconn *connection = PQconnectdb(conninfo);
	bool whole = PQstatus(connection) == CONNECTION_OK && bench_command(connection, "DROP TABLE IF EXISTS t") &&
	             bench_command(connection, "CREATE TABLE t(id BIGSERIAL PRIMARY KEY, a BIGINT, b VARCHAR(32), c FLOAT8)");

	if (!whole)
		bench_fail(self, "%s", PQerrorMessage(connection));
	PQfinish(connection);
	return whole;
}

static bool bench_postgresql_run(struct bench_case *self, enum bench_use use, uint64_t nsec, struct bench_used *used)
{
	bench_work *work = use == BENCH_IN_FLIGHT ? bench_postgresql_fly
	                   : use == BENCH_FORGET  ? bench_postgresql_forget
	                                          : bench_postgresql_wait;

	return bench_postgresql_table(self) && bench_use_by_threads(self, bench_use_threads(use), nsec, NULL,
	                                                            bench_postgresql_ready, work, bench_postgresql_done, used);
}

const struct bench_instead bench_postgresql_instead = {
	.name = "postgresql",
	.left_out = bench_postgresql_left_out,
	.begin = bench_postgresql_begin,
	.run = bench_postgresql_run,
};

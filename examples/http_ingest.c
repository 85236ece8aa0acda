/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_ingest.c - an HTTP service that answers when the write is safe (libmicrohttpd)
 *
 *     http_ingest [-p PORT] [-d SECONDS] [-c FILE] DATABASE
 *     curl -d '{"temperature": 21}' http://127.0.0.1:PORT/events
 *     curl http://127.0.0.1:PORT/metrics
 *
 * It listens on the loopback address. Without -p the system chooses a port; the first line of output names it. FILE is a
 * configuration file of Penstock's. POST /events stores its body, a JSON text, and answers with
 *
 *     200  the event survives a power loss; the answer holds its id
 *     400  the table refused it: it is not JSON
 *     413  it is longer than 64 KiB
 *     500  SQLite failed, and the event may or may not be there
 *     503  the queue is full, or the service stops; nothing was stored, so try again after Retry-After
 *
 * GET /metrics is the engine's counters for Prometheus.
 *
 * No thread waits for the disk. The handler suspends the connection and submits; the completion callback, on the writer thread,
 * resumes it. So one thread serves all clients, and their events share commits.
 *
 * SIGTERM and SIGINT stop it. It accepts no more connections and stores what it has; when SECONDS (10 by default) are over, it
 * answers the rest with 503. The exit status is 0 when everything it had accepted was stored and answered in time.
 */
#include <arpa/inet.h>
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>
#include <penstock.h>

#define BODY_MAX 65536
#define ANSWER_SECONDS 5 /* how much longer clients may take to receive the last answers */

struct service {
	penstock *db;
	const penstock_statement *insert;
	pthread_mutex_t mutex;
	pthread_cond_t idle;
	long requests; /* begun, and not yet answered in full; under the mutex */
};

struct request {
	struct service *service;
	struct MHD_Connection *connection;
	char *body;
	size_t bytes;
	unsigned code; /* of the answer; 0: not known yet */
	char text[256];
};

static void decide(struct request *request, unsigned code, const char *text)
{
	request->code = code;
	snprintf(request->text, sizeof request->text, "%s\n", text);
}

/* On the writer thread, so it is short. What it writes is seen by the thread that serves the connection once that is resumed. */
static void stored(void *arg, const penstock_result *result)
{
	struct request *request = arg;

	if (result->status == PENSTOCK_OK) {
		request->code = MHD_HTTP_OK;
		snprintf(request->text, sizeof request->text, "{\"id\": %lld}\n", (long long)result->last_insert_rowid);
	} else if (result->status == PENSTOCK_SHUTDOWN) {
		decide(request, MHD_HTTP_SERVICE_UNAVAILABLE, result->message);
	} else if (result->status == PENSTOCK_ERROR && result->code == SQLITE_CONSTRAINT) {
		decide(request, MHD_HTTP_BAD_REQUEST, result->message);
	} else {
		decide(request, MHD_HTTP_INTERNAL_SERVER_ERROR, result->message);
	}
	MHD_resume_connection(request->connection);
}

/* Suspends first: the outcome may come before penstock_try_submit returns. */
static void store(struct request *request)
{
	penstock_value body = penstock_text_bytes(request->body, request->bytes);
	penstock_submission insert = PENSTOCK_SUBMISSION_INIT;

	insert.statement = request->service->insert;
	insert.values = &body;
	insert.value_count = 1;
	insert.ack = PENSTOCK_ACK_DURABLE;
	insert.on_complete = stored;
	insert.arg = request;
	MHD_suspend_connection(request->connection);
	if (penstock_try_submit(request->service->db, &insert, NULL) != PENSTOCK_OK) {
		decide(request, MHD_HTTP_SERVICE_UNAVAILABLE, penstock_error_message());
		MHD_resume_connection(request->connection);
	}
}

static enum MHD_Result answer(struct request *request)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(request->text), request->text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result queued;

	if (response == NULL)
		return MHD_NO;
	if (request->code == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	if (penstock_phase_of(request->service->db) != PENSTOCK_PHASE_RUNNING)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	queued = MHD_queue_response(request->connection, request->code, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result answer_metrics(struct request *request)
{
	struct MHD_Response *response = NULL;
	enum MHD_Result queued;
	char *text = NULL;
	size_t bytes;

	if (penstock_metrics_prometheus(&request->service->db, NULL, 1, NULL, 0, &bytes) == PENSTOCK_OK)
		text = malloc(bytes);
	if (text != NULL && penstock_metrics_prometheus(&request->service->db, NULL, 1, text, bytes, &bytes) == PENSTOCK_OK)
		response = MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
	queued = MHD_queue_response(request->connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return queued;
}

static struct request *begin(struct service *service, struct MHD_Connection *connection)
{
	struct request *request = calloc(1, sizeof *request);

	if (request == NULL)
		return NULL;
	request->service = service;
	request->connection = connection;
	pthread_mutex_lock(&service->mutex);
	service->requests++;
	pthread_mutex_unlock(&service->mutex);
	return request;
}

static void keep(struct request *request, const char *data, size_t bytes)
{
	char *larger;

	if (request->code != 0)
		return;
	if (bytes > BODY_MAX - request->bytes) {
		decide(request, MHD_HTTP_CONTENT_TOO_LARGE, "an event has at most 64 KiB");
		return;
	}
	larger = realloc(request->body, request->bytes + bytes);
	if (larger == NULL) {
		decide(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return;
	}
	request->body = larger;
	memcpy(request->body + request->bytes, data, bytes);
	request->bytes += bytes;
}

/* libmicrohttpd calls it when a request begins, for each part of its body, at its end, and once more when it was resumed. */
static enum MHD_Result serve(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version, const char *data, size_t *bytes, void **context)
{
	struct request *request = *context;

	(void)version;
	if (request == NULL) {
		*context = begin(arg, connection);
		return *context != NULL ? MHD_YES : MHD_NO;
	}
	if (*bytes > 0) {
		keep(request, data, *bytes);
		*bytes = 0;
		return MHD_YES;
	}
	if (strcmp(url, "/metrics") == 0 && strcmp(method, MHD_HTTP_METHOD_GET) == 0)
		return answer_metrics(request);
	if (request->code == 0 && strcmp(url, "/events") != 0)
		decide(request, MHD_HTTP_NOT_FOUND, "POST to /events, or GET /metrics");
	if (request->code == 0 && strcmp(method, MHD_HTTP_METHOD_POST) != 0)
		decide(request, MHD_HTTP_METHOD_NOT_ALLOWED, "POST to /events, or GET /metrics");
	if (request->code != 0)
		return answer(request);
	store(request);
	return MHD_YES;
}

static void end(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode why)
{
	struct service *service = arg;
	struct request *request = *context;

	(void)connection;
	(void)why;
	if (request == NULL)
		return;
	free(request->body);
	free(request);
	pthread_mutex_lock(&service->mutex);
	if (--service->requests == 0)
		pthread_cond_signal(&service->idle);
	pthread_mutex_unlock(&service->mutex);
}

/* Accepts nothing more, stores what was accepted, answers, and tells whether the deadline was kept. */
static bool drain(struct service *service, struct MHD_Daemon *daemon, int seconds)
{
	struct timespec deadline;
	char reason[256];
	bool in_time = true;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += seconds + ANSWER_SECONDS;
	close(MHD_quiesce_daemon(daemon));
	/* From here on submits are refused. Callbacks resume the connections that wait. */
	if (penstock_stop(service->db, (int64_t)seconds * 1000000) == PENSTOCK_TIMEOUT) {
		in_time = false;
		penstock_stop_with(service->db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP);
	}
	/* Before the stop, or on what it still stored. */
	if (penstock_failure(service->db, reason, sizeof reason) != 0) {
		in_time = false;
		warnx("the engine failed: %s", reason);
	}
	pthread_mutex_lock(&service->mutex);
	while (service->requests > 0 &&
	       pthread_cond_clockwait(&service->idle, &service->mutex, CLOCK_MONOTONIC, &deadline) == 0)
		continue;
	in_time = in_time && service->requests == 0;
	pthread_mutex_unlock(&service->mutex);
	MHD_stop_daemon(daemon); /* no connection is suspended any more */
	return penstock_close(service->db, PENSTOCK_FOREVER) == PENSTOCK_OK && in_time;
}

static void say(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	warnx("%s: %s", penstock_event_name(event), message);
}

static void open_database(struct service *service, const char *path, const char *file)
{
	penstock_config config;
	penstock_submission create = PENSTOCK_SUBMISSION_INIT;
	penstock_statement *insert;

	penstock_config_init(&config);
	config.config_file = file;
	config.log = say;
	create.sql = "CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY, event TEXT NOT NULL CHECK(json_valid(event)))";
	if (penstock_open(path, &config, &service->db) != PENSTOCK_OK ||
	    penstock_execute(service->db, &create, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK ||
	    penstock_statement_register(service->db, "INSERT INTO events(event) VALUES(?)", -1, &insert) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	service->insert = insert;
}

int main(int argc, char **argv)
{
	static struct service service = { .mutex = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *file = NULL;
	struct MHD_Daemon *daemon;
	sigset_t ending;
	int option, seconds = 10, number;

	while ((option = getopt(argc, argv, "p:d:c:")) != -1) {
		if (option == 'p')
			address.sin_port = htons((uint16_t)atoi(optarg));
		else if (option == 'd')
			seconds = atoi(optarg);
		else if (option == 'c')
			file = optarg;
		else
			return 2;
	}
	if (optind != argc - 1)
		errx(2, "usage: http_ingest [-p PORT] [-d SECONDS] [-c FILE] DATABASE");

	open_database(&service, argv[optind], file);
	/* The server's thread leaves these to main; the writer thread takes no signal at all. */
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
	/* Not epoll: there libmicrohttpd 0.9.75 sleeps on after it got 128 events at once, which are not served until another comes. */
	daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
	                          serve, &service, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, end, &service,
	                          MHD_OPTION_CONNECTION_TIMEOUT, 60u, MHD_OPTION_END);
	if (daemon == NULL)
		errx(1, "cannot listen on port %d", ntohs(address.sin_port));
	printf("listening on port %d\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	fflush(stdout);
	sigwait(&ending, &number);
	return drain(&service, daemon, seconds) ? 0 : 1;
}

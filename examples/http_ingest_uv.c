/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_ingest_uv.c - an HTTP service on one loop thread (libuv) and a completion queue
 *
 *     http_ingest_uv [-p PORT] [-d SECONDS] [-c FILE] DATABASE
 *     curl -d '{"temperature": 21}' http://127.0.0.1:PORT/events
 *
 * It serves what http_ingest.c serves, with the same answers and arguments. Here the loop thread does everything but the writes.
 * It submits an event with its client as `arg`, and goes on. The outcome arrives in the queue, whose descriptor the loop watches:
 * a readable descriptor means that there are handles to take, each with the result and its client.
 *
 * A client sends nothing more until it has its answer, and is not read from meanwhile. So it cannot go away before its outcome,
 * and one that pipelines waits for its turn. A service for strangers also needs a limit for clients that send too slowly; it is left
 * out here.
 *
 * SIGTERM and SIGINT stop it. penstock_stop waits, so a thread of libuv's pool calls it; the loop goes on to take and answer.
 * When SECONDS are over, the rest is answered with 503. The exit status is 0 when everything was stored and answered in time.
 */
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <http_parser.h>
#include <penstock.h>
#include <uv.h>

#define BODY_MAX 65536
#define WAITING_MAX 4096 /* events submitted whose outcome was not taken yet; beyond them it answers 503 */
#define ANSWER_SECONDS 5 /* how much longer clients may take to receive the last answers */

/* The loop thread's, but for drain. */
static struct service {
	penstock *db;
	penstock_completions *queue;
	const penstock_statement *insert;
	uv_tcp_t listener;
	uv_poll_t outcomes;
	uv_signal_t ending[2];
	uv_timer_t answers;
	uv_work_t draining;
	uint64_t deadline_at; /* of the drain, as uv_now counts */
	int seconds;
	bool stopping;
	bool in_time;
} service = { .seconds = 10, .in_time = true };

struct client {
	uv_tcp_t tcp;
	uv_write_t write;
	http_parser parser;
	char input[4096];
	size_t parsed, received; /* of input */
	char url[16];
	char head[256];
	char body[BODY_MAX]; /* of the event, and then of the answer */
	size_t bytes;
	unsigned code; /* of the answer; 0: not known yet */
	bool busy;     /* has an outcome or an answer to come */
	bool last;     /* closed when it has its answer */
};

static void parse(struct client *client);

static void free_client(uv_handle_t *handle)
{
	free(handle->data);
}

static void close_client(struct client *client)
{
	if (!uv_is_closing((uv_handle_t *)&client->tcp))
		uv_close((uv_handle_t *)&client->tcp, free_client);
}

static void answered(uv_write_t *write, int status)
{
	struct client *client = write->data;

	client->busy = false;
	if (status != 0 || client->last || service.stopping)
		close_client(client);
	else
		parse(client);
}

/* Sends what is in the body; to a HEAD only how much that would be. */
static void send_body(struct client *client, unsigned code, const char *type)
{
	uv_buf_t parts[2];
	int bytes =
		snprintf(client->head, sizeof client->head,
	                 "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s\r\n", code, http_status_str(code),
	                 type, client->bytes, code == HTTP_STATUS_SERVICE_UNAVAILABLE ? "Retry-After: 1\r\n" : "",
	                 client->last || service.stopping ? "Connection: close\r\n" : "");

	parts[0] = uv_buf_init(client->head, (unsigned)bytes);
	parts[1] = uv_buf_init(client->body, (unsigned)client->bytes);
	client->busy = true;
	client->write.data = client;
	if (uv_write(&client->write, (uv_stream_t *)&client->tcp, parts, client->parser.method == HTTP_HEAD ? 1 : 2,
	             answered) != 0)
		close_client(client);
}

static void answer(struct client *client, unsigned code, const char *text)
{
	client->bytes = (size_t)snprintf(client->body, sizeof client->body, "%s\n", text);
	send_body(client, code, "text/plain");
}

static void answer_metrics(struct client *client)
{
	if (penstock_metrics_prometheus(&service.db, NULL, 1, client->body, sizeof client->body, &client->bytes) == PENSTOCK_OK)
		send_body(client, HTTP_STATUS_OK, "text/plain; version=0.0.4; charset=utf-8");
	else
		answer(client, HTTP_STATUS_INTERNAL_SERVER_ERROR, penstock_error_message());
}

/* ---- the write and its outcome ---- */

static void store(struct client *client)
{
	penstock_value body = penstock_text_bytes(client->body, client->bytes);
	penstock_submission insert = PENSTOCK_SUBMISSION_INIT;

	insert.statement = service.insert;
	insert.values = &body;
	insert.value_count = 1;
	insert.ack = PENSTOCK_ACK_DURABLE;
	insert.completions = service.queue;
	insert.arg = client;
	if (penstock_try_submit(service.db, &insert, NULL) != PENSTOCK_OK)
		answer(client, HTTP_STATUS_SERVICE_UNAVAILABLE, penstock_error_message());
}

static void answer_outcome(struct client *client, const penstock_result *result)
{
	char id[64];

	if (result->status == PENSTOCK_OK) {
		snprintf(id, sizeof id, "{\"id\": %lld}", (long long)result->last_insert_rowid);
		answer(client, HTTP_STATUS_OK, id);
	} else if (result->status == PENSTOCK_SHUTDOWN) {
		answer(client, HTTP_STATUS_SERVICE_UNAVAILABLE, result->message);
	} else if (result->status == PENSTOCK_ERROR && result->code == SQLITE_CONSTRAINT) {
		answer(client, HTTP_STATUS_BAD_REQUEST, result->message);
	} else {
		answer(client, HTTP_STATUS_INTERNAL_SERVER_ERROR, result->message);
	}
}

static size_t take_some(void)
{
	penstock_handle *handles[64];
	size_t count = 0, i;

	penstock_completions_take(service.queue, handles, sizeof handles / sizeof *handles, &count);
	for (i = 0; i < count; i++) {
		const penstock_result *result = penstock_handle_result(handles[i]);

		answer_outcome(result->arg, result);
		penstock_handle_release(handles[i]);
	}
	return count;
}

/* One turn serves other clients too: the descriptor stays readable while something remains. */
static void take_outcomes(uv_poll_t *poll, int status, int events)
{
	(void)poll;
	(void)status;
	(void)events;
	take_some();
}

/* ---- the request ---- */

static int begin_request(http_parser *parser)
{
	struct client *client = parser->data;

	client->url[0] = '\0';
	client->bytes = 0;
	client->code = 0;
	return 0;
}

static int keep_url(http_parser *parser, const char *data, size_t bytes)
{
	struct client *client = parser->data;

	snprintf(client->url + strlen(client->url), sizeof client->url - strlen(client->url), "%.*s", (int)bytes, data);
	return 0;
}

static int keep_body(http_parser *parser, const char *data, size_t bytes)
{
	struct client *client = parser->data;

	if (bytes > sizeof client->body - client->bytes) {
		client->code = HTTP_STATUS_PAYLOAD_TOO_LARGE;
		return 0;
	}
	memcpy(client->body + client->bytes, data, bytes);
	client->bytes += bytes;
	return 0;
}

static int end_request(http_parser *parser)
{
	struct client *client = parser->data;

	/* Another protocol is not spoken here: whoever offers one begins anew. */
	client->last = !http_should_keep_alive(parser) || parser->upgrade;
	http_parser_pause(parser, 1);
	return 0;
}

static void serve(struct client *client)
{
	client->busy = true;
	uv_read_stop((uv_stream_t *)&client->tcp);
	client->url[strcspn(client->url, "?")] = '\0';
	if (strcmp(client->url, "/metrics") == 0 && client->parser.method == HTTP_GET)
		answer_metrics(client);
	else if (strcmp(client->url, "/events") != 0)
		answer(client, HTTP_STATUS_NOT_FOUND, "POST to /events, or GET /metrics");
	else if (client->parser.method != HTTP_POST)
		answer(client, HTTP_STATUS_METHOD_NOT_ALLOWED, "POST to /events, or GET /metrics");
	else if (client->code != 0)
		answer(client, client->code, "an event has at most 64 KiB");
	else
		store(client);
}

static void make_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	struct client *client = handle->data;

	(void)suggested;
	*room = uv_buf_init(client->input, sizeof client->input);
}

static void received(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *room)
{
	struct client *client = stream->data;

	(void)room;
	if (bytes < 0) {
		close_client(client);
		return;
	}
	client->parsed = 0;
	client->received = (size_t)bytes;
	parse(client);
}

/* Serves the next request; what comes behind it is kept until that is answered. */
static void parse(struct client *client)
{
	static const http_parser_settings settings = {
		.on_message_begin = begin_request, .on_url = keep_url, .on_body = keep_body, .on_message_complete = end_request
	};

	if (client->parsed < client->received)
		client->parsed += http_parser_execute(&client->parser, &settings, client->input + client->parsed,
		                                      client->received - client->parsed);
	if (HTTP_PARSER_ERRNO(&client->parser) == HPE_PAUSED) {
		http_parser_pause(&client->parser, 0);
		serve(client);
	} else if (HTTP_PARSER_ERRNO(&client->parser) != HPE_OK || client->parser.upgrade) {
		client->last = true;
		uv_read_stop((uv_stream_t *)&client->tcp);
		answer(client, HTTP_STATUS_BAD_REQUEST, "that is not HTTP/1.1");
	} else {
		uv_read_start((uv_stream_t *)&client->tcp, make_room, received);
	}
}

static void welcome(uv_stream_t *listener, int status)
{
	struct client *client = calloc(1, sizeof *client);

	if (status != 0 || client == NULL || uv_tcp_init(listener->loop, &client->tcp) != 0) {
		free(client);
		return;
	}
	client->tcp.data = client;
	http_parser_init(&client->parser, HTTP_REQUEST);
	client->parser.data = client;
	if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0)
		close_client(client);
	else
		uv_read_start((uv_stream_t *)&client->tcp, make_room, received);
}

/* ---- the end ---- */

/* In a thread of the pool. Everything accepted has its outcome in the queue when this returns. */
static void drain(uv_work_t *work)
{
	char reason[256];

	(void)work;
	if (penstock_stop(service.db, (int64_t)service.seconds * 1000000) == PENSTOCK_TIMEOUT) {
		service.in_time = false;
		penstock_stop_with(service.db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP);
	}
	/* Before the stop, or on what it still stored. */
	if (penstock_failure(service.db, reason, sizeof reason) != 0) {
		service.in_time = false;
		warnx("the engine failed: %s", reason);
	}
}

static void close_idle(uv_handle_t *handle, void *arg)
{
	struct client *client = handle->data;

	(void)arg;
	if (client != NULL && !client->busy)
		close_client(client);
}

static void close_late(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (handle->data != NULL) {
		service.in_time = false;
		close_client(handle->data);
	}
}

static void give_up_answers(uv_timer_t *timer)
{
	uv_walk(timer->loop, close_late, NULL);
}

/* No outcome can come any more. The loop ends when the last answer is written; the timer does not keep it. */
static void drained(uv_work_t *work, int status)
{
	uint64_t now = uv_now(work->loop), left = service.deadline_at > now ? service.deadline_at - now : 0;

	(void)status;
	while (take_some() > 0)
		continue;
	uv_close((uv_handle_t *)&service.outcomes, NULL);
	uv_walk(work->loop, close_idle, NULL);
	uv_timer_start(&service.answers, give_up_answers, left + ANSWER_SECONDS * 1000, 0);
	uv_unref((uv_handle_t *)&service.answers);
}

static void stop(uv_signal_t *signal, int number)
{
	(void)number;
	if (service.stopping)
		return;
	service.stopping = true;
	service.deadline_at = uv_now(signal->loop) + (uint64_t)service.seconds * 1000;
	uv_close((uv_handle_t *)&service.listener, NULL);
	uv_queue_work(signal->loop, &service.draining, drain, drained);
}

/* ---- the beginning ---- */

static void say(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	warnx("%s: %s", penstock_event_name(event), message);
}

static void open_database(const char *path, const char *file)
{
	penstock_config config;
	penstock_submission create = PENSTOCK_SUBMISSION_INIT;
	penstock_statement *insert;

	penstock_config_init(&config);
	config.config_file = file;
	config.log = say;
	create.sql = "CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY, event TEXT NOT NULL CHECK(json_valid(event)))";
	if (penstock_open(path, &config, &service.db) != PENSTOCK_OK ||
	    penstock_execute(service.db, &create, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK ||
	    penstock_statement_register(service.db, "INSERT INTO events(event) VALUES(?)", -1, &insert) != PENSTOCK_OK ||
	    penstock_completions_open(service.db, WAITING_MAX, &service.queue) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	service.insert = insert;
}

static void watch(uv_loop_t *loop, int port)
{
	struct sockaddr_in address;
	int bytes = sizeof address, i;
	const int numbers[] = { SIGTERM, SIGINT };

	signal(SIGPIPE, SIG_IGN); /* a client that is gone ends its write, and not the service */
	uv_poll_init(loop, &service.outcomes, penstock_completions_descriptor(service.queue));
	uv_poll_start(&service.outcomes, UV_READABLE, take_outcomes);
	uv_timer_init(loop, &service.answers);
	for (i = 0; i < 2; i++) {
		uv_signal_init(loop, &service.ending[i]);
		uv_signal_start(&service.ending[i], stop, numbers[i]);
		uv_unref((uv_handle_t *)&service.ending[i]);
	}
	uv_tcp_init(loop, &service.listener);
	uv_ip4_addr("127.0.0.1", port, &address);
	if (uv_tcp_bind(&service.listener, (const struct sockaddr *)&address, 0) != 0 ||
	    uv_listen((uv_stream_t *)&service.listener, SOMAXCONN, welcome) != 0 ||
	    uv_tcp_getsockname(&service.listener, (struct sockaddr *)&address, &bytes) != 0)
		errx(1, "cannot listen on port %d", port);
	printf("listening on port %d\n", ntohs(address.sin_port));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	const char *file = NULL;
	int option, port = 0;

	while ((option = getopt(argc, argv, "p:d:c:")) != -1) {
		if (option == 'p')
			port = atoi(optarg);
		else if (option == 'd')
			service.seconds = atoi(optarg);
		else if (option == 'c')
			file = optarg;
		else
			return 2;
	}
	if (optind != argc - 1)
		errx(2, "usage: http_ingest_uv [-p PORT] [-d SECONDS] [-c FILE] DATABASE");
	open_database(argv[optind], file);
	watch(loop, port);
	uv_run(loop, UV_RUN_DEFAULT);
	if (penstock_completions_close(service.queue) != PENSTOCK_OK ||
	    penstock_close(service.db, PENSTOCK_FOREVER) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	return service.in_time ? 0 : 1;
}

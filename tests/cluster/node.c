/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/cluster/node.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	abort();
}

/* ---- bytes ---- */

/* A reset, not an end: what was sent may be lost, as when a machine goes. */
static void cut(struct node *node, int connection)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(connection, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	node->cut++;
}

static bool send_all(int connection, const char *text, size_t bytes)
{
	while (bytes > 0) {
		ssize_t sent = send(connection, text, bytes, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		text += sent;
		bytes -= (size_t)sent;
	}
	return true;
}

static bool send_answer(struct node *node, int connection, const struct node_answer *answer, size_t cut_at)
{
	char text[65536];
	const char *version = node->version != NULL ? node->version : "8";
	size_t body = answer->bytes != 0 ? answer->bytes : strlen(answer->body);
	size_t bytes = (size_t)snprintf(
		text, sizeof text, "HTTP/1.1 %d Whatever\r\nX-Rqlite-Version: %s\r\n%sContent-Length: %zu\r\n\r\n",
		answer->status != 0 ? answer->status : 200, version, answer->fields != NULL ? answer->fields : "", body);

	must(bytes + body < sizeof text, "an answer is too long");
	memcpy(text + bytes, answer->body, body);
	bytes += body;
	node->answer_bytes = bytes;
	if (cut_at >= bytes)
		return send_all(connection, text, bytes);
	send_all(connection, text, cut_at);
	/* Half of the cuts are an end of the connection, which comes behind what was sent. */
	if (cut_at % 2 == 0)
		cut(node, connection);
	else
		node->cut++;
	return false;
}

/* ---- requests ---- */

static bool is(const struct node *node, const char *begin)
{
	return strncmp(node->head, begin, strlen(begin)) == 0;
}

/* More of a request, behind the `bytes` that are there. False: the connection is over, or cut. */
static bool read_more(struct node *node, int connection, char *text, size_t *bytes, size_t room)
{
	size_t most = room;
	ssize_t got;
	char c;

	/* How it is to be cut is looked at when something has come. */
	if (recv(connection, &c, 1, MSG_PEEK) != 1)
		return false;
	if (node->cut_request != NODE_NEVER && (*bytes == 0 ? c : text[0]) == 'P') {
		if (*bytes >= node->cut_request) {
			node->cut_request = NODE_NEVER;
			cut(node, connection);
			return false;
		}
		most = node->cut_request - *bytes < room ? node->cut_request - *bytes : room;
	}
	got = recv(connection, text + *bytes, most, 0);
	if (got <= 0)
		return false;
	*bytes += (size_t)got;
	text[*bytes] = '\0';
	return true;
}

/* Reads one whole request into head and body. False: the connection is over. */
static bool read_request(struct node *node, int connection)
{
	char text[sizeof node->head + sizeof node->body];
	size_t bytes = 0, length, head;
	char *end, *field;

	for (;;) {
		must(bytes < sizeof text - 1, "a request is too long");
		if (!read_more(node, connection, text, &bytes, sizeof text - 1 - bytes))
			return false;
		end = strstr(text, "\r\n\r\n");
		if (end == NULL)
			continue;
		head = (size_t)(end + 4 - text);
		field = strcasestr(text, "\r\nContent-Length:");
		length = field != NULL && field < end ? strtoul(field + 17, NULL, 10) : 0;
		if (bytes >= head + length)
			break;
	}
	pthread_mutex_lock(&node->mutex);
	snprintf(node->head, sizeof node->head, "%.*s", (int)head, text);
	snprintf(node->body, sizeof node->body, "%s", text + head);
	node->request_bytes = bytes;
	pthread_mutex_unlock(&node->mutex);
	return true;
}

/* Until the client has had enough. */
static bool say_nothing(int connection)
{
	char c;

	while (recv(connection, &c, 1, 0) > 0)
		;
	return false;
}

static bool answer_who_leads(struct node *node, int connection)
{
	char nodes[128];

	pthread_mutex_lock(&node->mutex);
	node->asked++;
	pthread_mutex_unlock(&node->mutex);
	if (node->nodes_silent)
		return say_nothing(connection);
	snprintf(nodes, sizeof nodes, "{\"1\":{\"api_addr\":\"http://127.0.0.1:%d\",\"leader\":true}}", node->port);
	return send_answer(
		node, connection,
		&(struct node_answer){ .status = node->nodes_status, .body = node->nodes != NULL ? node->nodes : nodes },
		NODE_NEVER);
}

static bool answer_question(struct node *node, int connection)
{
	if (node->question_silent)
		return say_nothing(connection);
	return send_answer(
		node, connection,
		&(struct node_answer){
			.status = node->question_status,
			.body = "{\"results\":[{\"columns\":[\"v\"],\"types\":[\"text\"],\"values\":[[\"3.45.1\"]]}]}" },
		NODE_NEVER);
}

/*
 * Puts the result of a statement behind `body`. Where it has rows there is a text with escapes, for which yajl needs memory and then more of
 * it, and so many bytes that the tree grows within them.
 */
static void add_result(char *body, const char *statement)
{
	char *end = body + strlen(body);
	int i;

	end += sprintf(end, "%s", end[-1] == '[' ? "" : ",");
	if (strncmp(statement, "SELECT", 6) != 0 && memmem(statement, strcspn(statement, "]"), "RETURNING", 9) == NULL) {
		strcpy(end, "{\"last_insert_id\":1,\"rows_affected\":1}");
		return;
	}
	end += sprintf(end, "{\"columns\":[\"a\",\"\\u00e9\"],\"types\":[\"text\",\"blob\"],\"values\":[[\"\\n%0*d\",[",
	               NODE_TEXT - 1, 0);
	for (i = 0; i < NODE_BLOB; i++)
		end += sprintf(end, "%s%d", i == 0 ? "" : ",", i);
	strcpy(end, "]]]}");
}

/* Every statement of the request goes well. */
static bool apply(struct node *node, int connection)
{
	char body[60000] = "{\"results\":[";
	const char *at = node->body;

	pthread_mutex_lock(&node->mutex);
	node->whole++;
	while ((at = strstr(at, "[\"")) != NULL && strchr(at, '(') != NULL) {
		unsigned number = (unsigned)atoi(strchr(at, '(') + 1);

		must(number < NODE_NUMBERS, "a statement has no number");
		node->applied[number]++;
		at += 2;
		add_result(body, at);
	}
	pthread_mutex_unlock(&node->mutex);
	strcat(body, "]}");
	return send_answer(node, connection, &(struct node_answer){ .body = body }, NODE_NEVER);
}

/* False: the connection is over. */
static bool answer(struct node *node, int connection)
{
	struct node_answer next;

	if (is(node, "GET /nodes"))
		return answer_who_leads(node, connection);
	if (strstr(node->body, "sqlite_version") != NULL)
		return answer_question(node, connection);
	if (node->applies)
		return apply(node, connection);
	pthread_mutex_lock(&node->mutex);
	node->whole++;
	next = node->answers[0];
	if (node->answer_count > 1) {
		memmove(node->answers, node->answers + 1, (node->answer_count - 1) * sizeof next);
		node->answer_count--;
	}
	pthread_mutex_unlock(&node->mutex);
	return next.silent ? say_nothing(connection) : send_answer(node, connection, &next, node->cut_answer);
}

static void *serve(void *arg)
{
	struct node *node = arg;

	for (;;) {
		int connection = accept(node->listener, NULL, NULL);

		if (connection < 0)
			return NULL;
		pthread_mutex_lock(&node->mutex);
		node->connections++;
		node->connection = connection;
		pthread_mutex_unlock(&node->mutex);
		while (read_request(node, connection) && answer(node, connection))
			;
		pthread_mutex_lock(&node->mutex);
		node->connection = -1;
		pthread_mutex_unlock(&node->mutex);
		close(connection);
	}
}

void node_begin(struct node *node)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof address;

	memset(node, 0, sizeof *node);
	pthread_mutex_init(&node->mutex, NULL);
	node->connection = -1;
	node->cut_request = node->cut_answer = NODE_NEVER;
	node->listener = socket(AF_INET, SOCK_STREAM, 0);
	must(node->listener >= 0 && bind(node->listener, (struct sockaddr *)&address, bytes) == 0 &&
	             listen(node->listener, 16) == 0 && getsockname(node->listener, (struct sockaddr *)&address, &bytes) == 0,
	     "a node cannot listen");
	node->port = ntohs(address.sin_port);
	snprintf(node->path, sizeof node->path, "rqlite://127.0.0.1:%d/", node->port);
	must(pthread_create(&node->thread, NULL, serve, node) == 0, "a thread");
}

void node_end(struct node *node)
{
	pthread_mutex_lock(&node->mutex);
	if (node->connection >= 0)
		shutdown(node->connection, SHUT_RDWR);
	pthread_mutex_unlock(&node->mutex);
	shutdown(node->listener, SHUT_RDWR);
	pthread_join(node->thread, NULL);
	close(node->listener);
	pthread_mutex_destroy(&node->mutex);
}

void node_answer(struct node *node, const struct node_answer *answers, size_t count)
{
	pthread_mutex_lock(&node->mutex);
	memcpy(node->answers, answers, count * sizeof *answers);
	node->answer_count = count;
	pthread_mutex_unlock(&node->mutex);
}

unsigned node_whole(struct node *node)
{
	unsigned whole;

	pthread_mutex_lock(&node->mutex);
	whole = node->whole;
	pthread_mutex_unlock(&node->mutex);
	return whole;
}

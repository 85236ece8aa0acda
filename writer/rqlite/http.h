/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.h - one request to one node, and whether it may have been done
 *
 * libcurl speaks HTTP/1.1, with TLS if the address says so, over a connection that is kept. What it must not do is be helpful: no redirect, no
 * proxy, no Expect. Above all no second try: on a connection that was kept it sends a request again when nothing came back, a POST too,
 * and a batch would be applied twice. So the body can be read once, and not be rewound.
 *
 * A node that hangs lets a connection in and says no more. While an answer is waited for, the owner is asked every few milliseconds whether
 * to go on, and may do what cannot wait.
 *
 * Invariants
 *   1. A request's body is handed out once, whatever happens.
 *   2. NOT_SENT: no byte of the body was handed out. A node that lacks a byte of it does nothing.
 *   3. The password is in no message.
 *   4. libcurl is not on the stack while the owner is asked.
 *
 * Failure modes: whatever is not known to be harmless is UNKNOWN.
 */
#ifndef PENSTOCK_RQLITE_HTTP_H
#define PENSTOCK_RQLITE_HTTP_H

#include <curl/curl.h>

#include "writer/rqlite/address.h"

enum ps_http_verdict {
	PS_HTTP_ANSWERED, /* 200, with the body */
	PS_HTTP_REFUSED,  /* not done, and would not be the next time */
	PS_HTTP_NOT_SENT, /* not done: it may be sent again, to another node too */
	PS_HTTP_UNKNOWN,
};

struct ps_http {
	CURL *easy;
	CURLM *multi; /* with easy alone; keeps the connections */
	struct curl_slist *headers;
	const struct ps_address *address;
	bool (*goes_on)(void *arg); /* NULL: it does */
	void *arg;
	const char *host; /* of the request under way */
	const char *text;
	size_t left;
	bool handed;
	char *body;
	size_t bytes;
	size_t capacity;
	long status;
	char version[32];             /* what the last node that answered says it is */
	char reason[512];             /* of all but ANSWERED */
	char detail[CURL_ERROR_SIZE]; /* libcurl's, of the request under way */
};

/* password: or NULL; not kept. OK, or a status with the thread's message, and nothing to free. */
int ps_http_init(struct ps_http *http, const struct ps_address *address, const char *password);
void ps_http_destroy(struct ps_http *http);
/* text: the body of a POST; NULL: a GET. */
enum ps_http_verdict ps_http_ask(struct ps_http *http, const char *host, const char *target, const char *text, size_t bytes);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

/* How long a node may take to let a connection in. */
#define CONNECT_MS 2000
/* And to answer a question that it need not ask the others about. */
#define QUESTION_MS 3000
/* Between two looks at whether to go on. */
#define LOOK_MS 5
/* No answer is longer. */
#define BODY_BYTES_MAX 1000000000
#define VERSION_HEADER "X-Rqlite-Version:"

/* ---- what libcurl calls ---- */

static size_t give(char *buffer, size_t size, size_t count, void *arg)
{
	struct ps_http *http = arg;
	size_t bytes = size * count < http->left ? size * count : http->left;

	/* It has been handed out, and somebody wants it once more. */
	if (bytes == 0)
		return CURL_READFUNC_ABORT;
	http->handed = true;
	memcpy(buffer, http->text, bytes);
	http->text += bytes;
	http->left -= bytes;
	return bytes;
}

/* For a second try. */
static int rewind_body(void *arg, curl_off_t offset, int origin)
{
	(void)arg;
	(void)offset;
	(void)origin;
	return CURL_SEEKFUNC_FAIL;
}

static size_t take(char *data, size_t size, size_t count, void *arg)
{
	struct ps_http *http = arg;
	size_t bytes = size * count, capacity = http->capacity == 0 ? 4096 : http->capacity;
	char *body;

	if (bytes > BODY_BYTES_MAX - http->bytes)
		return 0;
	while (capacity - http->bytes < bytes)
		capacity *= 2;
	if (capacity != http->capacity) {
		body = realloc(http->body, capacity);
		if (body == NULL)
			return 0;
		http->body = body;
		http->capacity = capacity;
	}
	memcpy(http->body + http->bytes, data, bytes);
	http->bytes += bytes;
	return bytes;
}

static size_t take_header(char *data, size_t size, size_t count, void *arg)
{
	struct ps_http *http = arg;
	size_t bytes = size * count, name = strlen(VERSION_HEADER);

	if (bytes > name && strncasecmp(data, VERSION_HEADER, name) == 0) {
		while (name < bytes && (data[name] == ' ' || data[name] == 'v'))
			name++;
		snprintf(http->version, sizeof http->version, "%.*s", (int)strcspn(data + name, "\r\n"), data + name);
	}
	return bytes;
}

/* ---- the handle ---- */

static void set_up_libcurl(void)
{
	curl_global_init(CURL_GLOBAL_ALL);
}

/* What libcurl keeps a copy of, for which there may be no memory. */
static bool set_address(CURL *easy, const struct ps_address *address, const char *password)
{
	bool set = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, address->tls ? "https" : "http") == CURLE_OK &&
	           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK;

	if (address->ca != NULL)
		set &= curl_easy_setopt(easy, CURLOPT_CAINFO, address->ca) == CURLE_OK;
	if (address->cert != NULL)
		set &= curl_easy_setopt(easy, CURLOPT_SSLCERT, address->cert) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_SSLKEY, address->key) == CURLE_OK;
	if (address->user != NULL)
		set &= curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_USERNAME, address->user) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_PASSWORD, password != NULL ? password : "") == CURLE_OK;
	return set;
}

int ps_http_init(struct ps_http *http, const struct ps_address *address, const char *password)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CURL *easy;

	pthread_once(&once, set_up_libcurl);
	easy = curl_easy_init();
	*http = (struct ps_http){ .easy = easy, .multi = curl_multi_init(), .address = address };
	if (easy == NULL || http->multi == NULL) {
		ps_http_destroy(http);
		return ps_refuse(PENSTOCK_NOMEM);
	}
	http->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (http->headers == NULL || curl_slist_append(http->headers, "Expect:") == NULL ||
	    !set_address(easy, address, password)) {
		ps_http_destroy(http);
		return ps_error(PENSTOCK_NOMEM, "libcurl cannot be set up: no memory, or it has no TLS");
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(easy, CURLOPT_READDATA, http);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->detail);
	return PENSTOCK_OK;
}

void ps_http_destroy(struct ps_http *http)
{
	curl_easy_cleanup(http->easy);
	curl_multi_cleanup(http->multi);
	curl_slist_free_all(http->headers);
	free(http->body);
	*http = (struct ps_http){ .easy = NULL };
}

/* ---- asking ---- */

static enum ps_http_verdict say(struct ps_http *http, enum ps_http_verdict verdict, const char *what)
{
	snprintf(http->reason, sizeof http->reason, "%s: %s", http->host, what);
	return verdict;
}

/* Its first line. */
static size_t line_bytes(const struct ps_http *http)
{
	size_t bytes = 0;

	while (bytes < http->bytes && http->body[bytes] != '\r' && http->body[bytes] != '\n')
		bytes++;
	return bytes;
}

static bool line_is(const struct ps_http *http, const char *text)
{
	return line_bytes(http) == strlen(text) && memcmp(http->body, text, strlen(text)) == 0;
}

static enum ps_http_verdict judge_status(struct ps_http *http)
{
	size_t bytes = line_bytes(http);
	char text[160];

	snprintf(text, sizeof text, "HTTP %ld: %.*s", http->status, bytes < 100 ? (int)bytes : 100,
	         bytes > 0 ? http->body : "");
	switch (http->status) {
	case 200:
		return PS_HTTP_ANSWERED;
	case 401:
		return say(http, PS_HTTP_REFUSED, "HTTP 401: the user or the password is not right, or may not do this");
	case 400:
	case 404:
	case 405:
		return say(http, PS_HTTP_REFUSED, text);
	case 503:
		return say(http, line_is(http, "leader not found") ? PS_HTTP_NOT_SENT : PS_HTTP_UNKNOWN, text);
	default:
		return say(http, PS_HTTP_UNKNOWN, text);
	}
}

/* What came of the request; not before it has ended. */
static CURLcode result_of(const struct ps_http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		if (message->msg == CURLMSG_DONE && message->easy_handle == http->easy)
			return message->data.result;
	}
	return CURLE_OUT_OF_MEMORY;
}

/* As curl_easy_perform, unless the owner has had enough. */
static CURLcode perform(struct ps_http *http)
{
	CURLcode code = CURLE_OK;
	int running = 1;

	if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
		return CURLE_OUT_OF_MEMORY;
	while (code == CURLE_OK && running != 0) {
		if (curl_multi_perform(http->multi, &running) != CURLM_OK)
			code = CURLE_OUT_OF_MEMORY;
		else if (running == 0)
			code = result_of(http);
		else if (http->goes_on != NULL && !http->goes_on(http->arg))
			code = CURLE_ABORTED_BY_CALLBACK;
		else if (curl_multi_poll(http->multi, NULL, 0, LOOK_MS, NULL) != CURLM_OK)
			code = CURLE_OUT_OF_MEMORY;
	}
	/* A request that has not ended takes its connection with it. */
	curl_multi_remove_handle(http->multi, http->easy);
	return code;
}

/* Why there is no answer, in libcurl's words, but for those of what it was not allowed. */
static const char *cause(const struct ps_http *http, CURLcode code)
{
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return "a stop gave it up before it had answered";
	if (code == CURLE_SEND_FAIL_REWIND)
		return "the node closed the connection, and had not answered";
	return http->detail[0] != '\0' ? http->detail : curl_easy_strerror(code);
}

enum ps_http_verdict ps_http_ask(struct ps_http *http, const char *host, const char *target, const char *text, size_t bytes)
{
	char *url;
	CURLcode code;

	http->host = host;
	http->text = text;
	http->left = bytes;
	http->handed = false;
	http->bytes = 0;
	http->status = 0;
	http->version[0] = http->detail[0] = '\0';
	if (asprintf(&url, "%s://%s%s", http->address->tls ? "https" : "http", host, target) < 0)
		return say(http, PS_HTTP_NOT_SENT, "out of memory");
	if (text != NULL) {
		curl_easy_setopt(http->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes);
	} else {
		curl_easy_setopt(http->easy, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(http->easy, CURLOPT_TIMEOUT_MS, text != NULL ? http->address->timeout_ms : (long)QUESTION_MS);
	code = curl_easy_setopt(http->easy, CURLOPT_URL, url);
	free(url);
	if (code == CURLE_OK)
		code = perform(http);
	if (code != CURLE_OK)
		return say(http, http->handed ? PS_HTTP_UNKNOWN : PS_HTTP_NOT_SENT, cause(http, code));
	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &http->status);
	return judge_status(http);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/cluster.h"

#include <stdio.h>
#include <string.h>

#include "core/penstock.h"
#include "writer/rqlite/answer.h"

/* How long a node may look whether the others are there before it answers. */
#define NODES "/nodes?timeout=1s"

/* Goes to the leader, as a write does. */
#define READ "/db/request?level=linearizable"
#define QUESTION "[\"SELECT sqlite_version()\"]"

int ps_cluster_init(struct ps_cluster *cluster, const char *path, const char *password)
{
	int status;

	memset(cluster, 0, sizeof *cluster);
	status = ps_address_read(&cluster->address, path);
	if (status != PENSTOCK_OK)
		return status;
	status = ps_http_init(&cluster->http, &cluster->address, password);
	if (status != PENSTOCK_OK)
		ps_address_free(&cluster->address);
	return status;
}

void ps_cluster_destroy(struct ps_cluster *cluster)
{
	ps_http_destroy(&cluster->http);
	ps_address_free(&cluster->address);
}

static void note(struct ps_cluster *cluster, const char *why)
{
	snprintf(cluster->reason, sizeof cluster->reason, "%s", why);
}

void ps_cluster_lose(struct ps_cluster *cluster, const char *why)
{
	if (why != NULL)
		note(cluster, why);
	cluster->led = false;
	cluster->host = (cluster->host + 1) % cluster->address.host_count;
}

/* ---- who leads ---- */

/* Among the nodes of the answer. */
static const struct ps_json_node *leader_of(const struct ps_json *json)
{
	const struct ps_json_node *node, *leads;

	for (node = ps_json_first(json, &json->nodes[0]); node != NULL; node = ps_json_next(json, node)) {
		leads = ps_json_member(json, node, "leader");
		if (leads != NULL && leads->type == PS_JSON_TRUE)
			return node;
	}
	return NULL;
}

/* The host of the path that goes by this address, "http://HOST:PORT"; or the one that was asked. */
static size_t host_of(const struct ps_cluster *cluster, const struct ps_json_node *address, size_t asked)
{
	const char *host;
	size_t i;

	if (address == NULL || address->type != PS_JSON_STRING)
		return asked;
	host = strstr(address->text, "://");
	host = host != NULL ? host + 3 : address->text;
	for (i = 0; i < cluster->address.host_count; i++) {
		if (strcmp(cluster->address.hosts[i], host) == 0)
			return i;
	}
	return asked;
}

static bool ask_who_leads(struct ps_cluster *cluster, size_t asked)
{
	const char *host = cluster->address.hosts[asked];
	enum ps_http_verdict verdict = ps_http_ask(&cluster->http, host, NODES, NULL, 0);
	const struct ps_json_node *leader;
	struct ps_json json;
	bool found;

	if (verdict != PS_HTTP_ANSWERED) {
		cluster->refused |= verdict == PS_HTTP_REFUSED;
		note(cluster, cluster->http.reason);
		return false;
	}
	if (!ps_json_read(&json, cluster->http.body, cluster->http.bytes)) {
		snprintf(cluster->reason, sizeof cluster->reason, "%s: %s", host,
		         json.lacks_memory ? "out of memory for the answer" : "no node of a cluster answers there");
		return false;
	}
	leader = leader_of(&json);
	found = leader != NULL;
	if (found)
		cluster->host = host_of(cluster, ps_json_member(&json, leader, "api_addr"), asked);
	else
		snprintf(cluster->reason, sizeof cluster->reason, "%s: no node leads", host);
	ps_json_free(&json);
	return found;
}

/* ---- asking ---- */

enum ps_http_verdict ps_cluster_ask(struct ps_cluster *cluster, const char *target, const char *text, size_t bytes)
{
	enum ps_http_verdict verdict = ps_http_ask(&cluster->http, cluster->address.hosts[cluster->host], target, text, bytes);

	if (verdict != PS_HTTP_ANSWERED)
		note(cluster, cluster->http.reason);
	if (verdict == PS_HTTP_NOT_SENT || verdict == PS_HTTP_UNKNOWN)
		ps_cluster_lose(cluster, NULL);
	return verdict;
}

/* ---- finding ---- */

/* Whether it answers as a leader does; the user may read there too. */
static bool ask_question(struct ps_cluster *cluster)
{
	enum ps_http_verdict verdict = ps_cluster_ask(cluster, READ, QUESTION, strlen(QUESTION));
	struct ps_answer answer;
	enum ps_answer_kind kind;

	cluster->refused |= verdict == PS_HTTP_REFUSED;
	if (verdict != PS_HTTP_ANSWERED)
		return false;
	kind = ps_answer_read(&answer, cluster->http.body, cluster->http.bytes, 1, false);
	ps_answer_free(&answer);
	if (kind != PS_ANSWER_RESULTS)
		note(cluster, answer.reason);
	return kind == PS_ANSWER_RESULTS;
}

bool ps_cluster_find(struct ps_cluster *cluster)
{
	size_t count = cluster->address.host_count, first = cluster->host, i;

	cluster->refused = false;
	for (i = 0; i < count && !cluster->led; i++)
		cluster->led = ask_who_leads(cluster, (first + i) % count) && ask_question(cluster);
	return cluster->led;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node.h - a node of a cluster that is none: a thread of the test, which answers as it is told
 *
 * It speaks enough HTTP for one client, one connection at a time. Who leads, and the question that is asked at open, it answers by itself.
 * Each request besides is kept, and gets the next of the answers, or the last one again. A connection can be cut behind any byte of a request
 * or of an answer; a request that has come whole is counted, so that one which comes twice is seen. Or it takes every statement for an INSERT
 * of the number that stands in it.
 */
#ifndef PENSTOCK_NODE_H
#define PENSTOCK_NODE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define NODE_NEVER ((size_t)-1)
#define NODE_NUMBERS 64
#define NODE_TEXT 5000 /* bytes of the text that it answers a SELECT with, and of the blob: 0, 1, 2... */
#define NODE_BLOB 200

struct node_answer {
	int status; /* 0: 200 */
	const char *body;
	const char *fields; /* of the head, each with its end of line */
	bool silent;        /* never comes */
	size_t bytes;       /* of the body; 0: up to its NUL */
};

struct node {
	pthread_mutex_t mutex;
	pthread_t thread;
	int listener;
	_Atomic int connection;
	int port;
	bool ending;
	char path[64]; /* rqlite://127.0.0.1:PORT/ */
	/* How it behaves; set with the mutex held, or before anything is asked. */
	struct node_answer answers[16];
	size_t answer_count;
	const char *nodes; /* of GET /nodes; NULL: this one leads */
	int nodes_status;
	bool nodes_silent;
	const char *version; /* NULL: "8" */
	int question_status; /* of the question at open */
	bool question_silent;
	bool applies;               /* it answers by itself: see `applied` */
	_Atomic size_t cut_request; /* once */
	_Atomic size_t cut_answer;
	/* What it has seen. */
	unsigned whole;                 /* requests that came whole, but for those it answers by itself */
	_Atomic unsigned cut;           /* connections that were cut */
	unsigned connections;           /* there have been */
	unsigned asked;                 /* who leads */
	unsigned applied[NODE_NUMBERS]; /* how often a statement with the number in parentheses came: "...(7)" */
	size_t request_bytes;           /* of the last one that came whole, with its head */
	size_t answer_bytes;
	char head[4096];
	char body[2 << 20];
};

void node_begin(struct node *node);
void node_end(struct node *node);
/* The answers from now on. */
void node_answer(struct node *node, const struct node_answer *answers, size_t count);
unsigned node_whole(struct node *node);

#endif

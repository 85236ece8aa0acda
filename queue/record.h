/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h - one submission as it lies in a slot
 *
 * A record is written by one producer between claim and publish, and read by the writer until it releases the slot. Its
 * payload is the SQL text (unless a registered statement is named) and then the values, one after the other:
 *
 *     SQL     [u32 bytes][text][NUL]
 *     value   [u8 type] then nothing (NULL), 8 bytes (INTEGER, FLOAT) or [u32 bytes][data] (TEXT, BLOB)
 *
 * A payload of at most PS_INLINE_BYTES lies in the slot; a larger one in one heap block that the record owns. A function to call
 * lies in the slot with its argument, and has neither text nor values. A deadline is the last 8 bytes of the slot's payload, or of
 * the block.
 *
 * Invariants
 *   1. A record is made whole before the claim, on the producer's stack, and a heap block is filled before it. Between claim
 *      and publish a producer copies one slot from there and reads nothing of its caller's, which may be a page that is slow to
 *      come: so the hole that the writer may see there is short. (Measured with callgrind: 13 instructions more a submit.)
 *   2. Text and blobs are bound straight from the payload, which stays where it is until the outcome is delivered.
 *
 * Failure modes: NOMEM and TOOBIG, both before the claim.
 */
#ifndef PENSTOCK_RECORD_H
#define PENSTOCK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/penstock.h"

#define PS_INLINE_BYTES 80

/* SQLite's own upper limit for text, blobs and SQL (SQLITE_MAX_LENGTH of a default build). */
#define PS_LENGTH_MAX 1000000000

enum ps_listener {
	PS_LISTENER_NONE = 0, /* fire and forget */
	PS_LISTENER_HANDLE = 1,
	PS_LISTENER_CALLBACK = 2,
};

enum ps_kind {
	PS_KIND_STATEMENT = 0,
	PS_KIND_ALONE = 1, /* a statement between batches: PENSTOCK_RUN_ALONE */
	PS_KIND_GROUP = 2, /* several statements (group.h) */
	PS_KIND_CALL = 3,  /* a function to call, in a transaction of its own */
	PS_KIND_HOOK = 4,  /* a connect hook that comes late */
};

/* What few ask for. */
#define PS_ASKS_DURABLE 1u
#define PS_ASKS_TIMED 2u       /* has a deadline */
#define PS_ASKS_CANCELLABLE 4u /* its handle has a word for that */
#define PS_ASKS_ALONE 8u       /* of a group: PENSTOCK_RUN_ALONE */
/* The writer's: its outcome has been told before its turn, and nothing else of the record is left. */
#define PS_ASKS_TOLD 128u
/* Whether it begins has to be looked at. */
#define PS_ASKS_TO_BEGIN (PS_ASKS_TIMED | PS_ASKS_CANCELLABLE)

struct ps_record {
	const penstock_statement *statement; /* NULL: the SQL leads the payload */
	union {
		penstock_handle *handle;
		penstock_completion *callback;
	} listener;
	void *arg;
	uint64_t submit_nsec;  /* when submitted; 0: not sampled */
	uint32_t value_count;  /* of a group: how many members */
	uint8_t listener_kind; /* enum ps_listener */
	uint8_t kind;          /* enum ps_kind */
	uint8_t asks;          /* PS_ASKS_... */
	uint8_t on_heap;
	union {
		unsigned char bytes[PS_INLINE_BYTES];
		struct {
			unsigned char *data;
			uint64_t size;
		} heap;
		struct {
			penstock_function *function;
			void *arg;
		} call;
		struct {
			penstock_connect_hook *hook;
			void *arg;
		} hook;
	} payload;
};

static inline const unsigned char *ps_record_payload(const struct ps_record *record)
{
	return record->on_heap ? record->payload.heap.data : record->payload.bytes;
}

/* How many statements it is. */
static inline uint32_t ps_record_statements(const struct ps_record *record)
{
	return record->kind == PS_KIND_GROUP ? record->value_count : 1;
}

/* Whether it is no statement, but a function of the program's to call. */
static inline bool ps_record_is_function(const struct ps_record *record)
{
	return record->kind == PS_KIND_CALL || record->kind == PS_KIND_HOOK;
}

/* What the record counts against ring_bytes. */
static inline uint64_t ps_record_heap_bytes(const struct ps_record *record)
{
	return record->on_heap ? record->payload.heap.size : 0;
}

/*
 * The size of the payload in *bytes: OK, or TOOBIG or MISUSE with the thread's message. sql_bytes is the length of
 * submission->sql, already known; 0 when a statement is named.
 */
int ps_record_measure(const penstock_submission *submission, size_t sql_bytes, uint64_t *bytes);
/* Writes the payload, `bytes` of them as measured, to data. */
void ps_record_encode(unsigned char *data, const penstock_submission *submission, size_t sql_bytes);
/* The SQL text of a record without a statement (NUL-terminated), and where the values begin. */
const char *ps_record_sql(const struct ps_record *record, size_t *sql_bytes);
const unsigned char *ps_record_values(const struct ps_record *record);
/* Reads the value at `data` into *value (whose data then points into the payload); returns where the next one is. */
const unsigned char *ps_record_decode(const unsigned char *data, penstock_value *value);
/* What a deadline adds to the payload, and (of a record whose payload has its place and size) the deadline itself. */
#define PS_DEADLINE_BYTES sizeof(uint64_t)
void ps_record_set_deadline(struct ps_record *record, uint64_t deadline);
/* PS_NEVER when it has none. */
uint64_t ps_record_deadline(const struct ps_record *record);
/* Frees what the record owns. */
void ps_record_retire(struct ps_record *record);

#endif

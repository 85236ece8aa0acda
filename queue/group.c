/* SPDX-License-Identifier: BSD-2-Clause */
#include "queue/group.h"

#include <string.h>

#define HEAD_BYTES (sizeof(const penstock_statement *) + sizeof(uint64_t) + sizeof(uint32_t))

uint64_t ps_group_bytes(uint64_t payload_bytes)
{
	return HEAD_BYTES + payload_bytes;
}

unsigned char *ps_group_put(unsigned char *data, const penstock_submission *member, size_t sql_bytes, uint64_t bytes)
{
	uint32_t value_count = (uint32_t)member->value_count;

	memcpy(data, &member->statement, sizeof member->statement);
	data += sizeof member->statement;
	memcpy(data, &bytes, sizeof bytes);
	data += sizeof bytes;
	memcpy(data, &value_count, sizeof value_count);
	data += sizeof value_count;
	ps_record_encode(data, member, sql_bytes);
	return data + bytes;
}

const unsigned char *ps_group_first(const struct ps_record *group)
{
	return group->payload.heap.data;
}

const unsigned char *ps_group_get(const unsigned char *data, struct ps_record *member)
{
	uint64_t bytes;

	memset(member, 0, sizeof *member);
	memcpy(&member->statement, data, sizeof member->statement);
	data += sizeof member->statement;
	memcpy(&bytes, data, sizeof bytes);
	data += sizeof bytes;
	memcpy(&member->value_count, data, sizeof member->value_count);
	data += sizeof member->value_count;
	member->kind = PS_KIND_STATEMENT;
	member->on_heap = 1;
	member->payload.heap.data = (unsigned char *)data;
	member->payload.heap.size = bytes;
	return data + bytes;
}

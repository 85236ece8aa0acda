/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group.h - the payload of a group: several statements in one record
 *
 * A group has one slot, one ticket and one heap block, in which its members lie one behind the other:
 *
 *     member  [const penstock_statement *][u64 bytes][u32 values] then its payload, as that of a record by itself (record.h)
 *
 * Nothing is aligned. The record's value_count is the number of members.
 *
 * Invariants
 *   1. A member that is read is a record of its own, whose payload is a part of the group's block: whoever runs a statement runs it,
 *      and nobody retires it.
 *   2. What is read of the caller's members is read before the claim, as of any submission.
 *
 * Failure modes: MISUSE and TOOBIG, before the claim; they name the member.
 */
#ifndef PENSTOCK_GROUP_H
#define PENSTOCK_GROUP_H

#include "queue/record.h"

/* Writes a member's payload to `data`, `bytes` of them as ps_record_measure has it; returns where the next one goes. */
unsigned char *ps_group_put(unsigned char *data, const penstock_submission *member, size_t sql_bytes, uint64_t bytes);
/* What a member whose payload is so long takes. */
uint64_t ps_group_bytes(uint64_t payload_bytes);

/* Where the first member of a group lies. */
const unsigned char *ps_group_first(const struct ps_record *group);
/* Reads the member at `data` into *member; returns where the next one is. */
const unsigned char *ps_group_get(const unsigned char *data, struct ps_record *member);

#endif

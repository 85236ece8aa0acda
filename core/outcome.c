/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/outcome.h"

#include <stdlib.h>
#include <string.h>

#include "core/atomic.h"
#include "core/error.h"
#include "core/futex.h"
#include "core/thread.h"

#define DONE 1u
#define WAITED 4u
#define RELEASED (1u << 30)

/* All claims: 0 or, with a second claim, -1 says that none is let go. */
#define ALL_RELEASED(word) ((word) / RELEASED == 1)

#define BLOCK_BYTES 512 /* the first block of an outcome: a message, or a few short rows */

static void free_blocks(struct ps_outcome *outcome)
{
	struct ps_block *block = outcome->blocks;

	while (block != NULL) {
		struct ps_block *next = block->next;

		free(block);
		block = next;
	}
	outcome->blocks = NULL;
}

void ps_outcome_reset(struct ps_outcome *outcome)
{
	if (outcome->blocks != NULL)
		free_blocks(outcome);
	memset(outcome, 0, sizeof *outcome);
	outcome->result.message = "";
}

void *ps_outcome_allocate(struct ps_outcome *outcome, size_t bytes)
{
	struct ps_block *block = outcome->blocks;
	void *memory;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + 15) & ~(size_t)15;
	if (block == NULL || block->size - block->used < bytes) {
		/* Twice the last one, so that many small cells take few blocks. */
		size_t size = block == NULL ? BLOCK_BYTES : block->size * 2 < (1u << 20) ? block->size * 2 : (1u << 20);

		if (size < bytes)
			size = bytes;
		block = malloc(sizeof *block + 16 + size);
		if (block == NULL)
			return NULL;
		block->next = outcome->blocks;
		block->size = size;
		/* the first aligned byte of the data */
		block->used = 0;
		outcome->blocks = block;
	}
	memory = (void *)(((uintptr_t)block->bytes + block->used + 15) & ~(uintptr_t)15);
	block->used += bytes;
	return memory;
}

void ps_outcome_drop_rows(struct ps_outcome *outcome)
{
	outcome->result.column_count = 0;
	outcome->result.row_count = 0;
	outcome->result.column_names = NULL;
	outcome->result.cells = NULL;
	outcome->result.members = NULL;
	outcome->cell_capacity = 0;
	free_blocks(outcome);
}

void ps_outcome_fail(struct ps_outcome *outcome, penstock_status status, int extended_code, const char *message)
{
	size_t bytes = strlen(message) + 1;
	char *copy;

	ps_outcome_drop_rows(outcome);
	copy = ps_outcome_allocate(outcome, bytes);
	if (copy != NULL)
		memcpy(copy, message, bytes);
	outcome->result.member_count = outcome->result.failed_member = outcome->failing = 0;
	outcome->result.status = status;
	outcome->result.code = extended_code & 0xff;
	outcome->result.extended_code = extended_code;
	outcome->result.message = copy != NULL ? copy : "out of memory (for the message)";
}

/* ---- handles ---- */

penstock_handle *ps_handle_new(int64_t default_timeout_usec)
{
	struct ps_thread_heap *heap = ps_thread.heap;
	penstock_handle *handle;

	if (heap != NULL && heap->spare_count > 0) {
		handle = heap->spare[--heap->spare_count];
	} else {
		handle = malloc(sizeof *handle);
		if (handle == NULL)
			return NULL;
	}
	memset(handle, 0, sizeof *handle);
	handle->outcome.result.message = "";
	handle->fork_generation = ps_fork_generation();
	handle->default_timeout_usec = default_timeout_usec;
	return handle;
}

void ps_handle_add_claim(penstock_handle *handle)
{
	handle->word = -RELEASED;
}

void ps_handle_free(penstock_handle *handle)
{
	free_blocks(&handle->outcome);
	free(handle);
}

/* Into the thread's cache, if there is room. */
static void recycle(penstock_handle *handle)
{
	struct ps_thread_heap *heap = ps_thread_heap();

	if (heap == NULL || heap->spare_count == PS_SPARE_HANDLES) {
		ps_handle_free(handle);
		return;
	}
	free_blocks(&handle->outcome);
	heap->spare[heap->spare_count++] = handle;
}

/* ---- bells ---- */

/* Engines beyond this many share, which costs them wake-ups that are not theirs. */
#define BELLS 64

/* Neighbouring tickets are in one batch as a rule: this many share a bit. */
#define TICKETS_PER_BIT 64

static struct {
	struct ps_bell bell;
} PS_OWN_LINE bells[BELLS];
static uint32_t bells_assigned;

struct ps_bell *ps_bell_assign(void)
{
	return &bells[ps_add_u32(&bells_assigned, 1) % BELLS].bell;
}

static uint32_t bit_of(uint64_t ticket)
{
	return UINT32_C(1) << (ticket / TICKETS_PER_BIT % 32);
}

void ps_bell_ring(struct ps_bell *bell, uint32_t bits)
{
	if (bits == 0)
		return;
	/* B2: after DONE of every handle (the add is a full barrier); pairs with B1 in sleep_until. */
	ps_add_u32(&bell->rung, 1);
	ps_futex_wake(&bell->rung, UINT32_MAX, bits);
}

void ps_handle_complete(penstock_handle *handle, uint32_t *bits)
{
	uint32_t bit = bit_of(handle->ticket);
	/* H1: the outcome before the bit (the add is a full barrier); pairs with H2 in ps_handle_wait_until. */
	uint32_t before = ps_add_u32(&handle->word, DONE);

	if (ALL_RELEASED(before))
		ps_handle_free(handle);
	else if (before & WAITED)
		*bits |= bit;
}

/*
 * For spin_usec, and only while nobody else of this engine waits: with more on a few processors a look keeps the writer, or
 * those that it answers, from their work. True: the outcome is there.
 */
static bool spin(penstock_handle *handle, uint64_t deadline)
{
	struct ps_bell *bell = handle->bell;
	unsigned looks = 0;
	uint64_t until;
	bool done;

	if (handle->spin_usec == 0 || ps_load_relaxed_u32(&bell->waiters) != 1 || !ps_spin_due(&bell->spin))
		return false;
	until = ps_deadline(handle->spin_usec);
	if (until > deadline)
		until = deadline;
	while (!(done = (ps_load_acquire_u32(&handle->word) & DONE) != 0) && !ps_deadline_passed(until) &&
	       ps_load_relaxed_u32(&bell->waiters) == 1)
		ps_spin_pause(&looks);
	ps_spin_learn(&bell->spin, done);
	return done;
}

static bool sleep_until(penstock_handle *handle, uint32_t word, uint64_t deadline)
{
	uint32_t rung;

	while ((word & (DONE | WAITED)) == 0 && !ps_cas_u32(&handle->word, &word, word | WAITED))
		continue;
	for (;;) {
		/* B1: the bell before the look for DONE; pairs with B2 in ps_bell_ring. */
		rung = ps_load_acquire_u32(&handle->bell->rung);
		if (ps_load_acquire_u32(&handle->word) & DONE)
			return true;
		if (ps_deadline_passed(deadline))
			return false;
		ps_futex_wait(&handle->bell->rung, rung, bit_of(handle->ticket), deadline);
	}
}

bool ps_handle_wait_until(penstock_handle *handle, uint64_t deadline)
{
	/* H2: with DONE comes the outcome; pairs with H1 in ps_handle_complete. */
	uint32_t word = ps_load_acquire_u32(&handle->word);
	bool done;

	if (word & DONE)
		return true;
	ps_add_u32(&handle->bell->waiters, 1);
	done = spin(handle, deadline) || sleep_until(handle, word, deadline);
	ps_add_u32(&handle->bell->waiters, (uint32_t)-1);
	return done;
}

/* The outcome's status, its message being the thread's if it is not OK. */
static int told(const penstock_handle *handle)
{
	const penstock_result *result = &handle->outcome.result;

	return result->status == PENSTOCK_OK ? PENSTOCK_OK : ps_error(result->status, "%s", result->message);
}

int penstock_handle_wait(penstock_handle *handle, int64_t timeout_usec)
{
	if (handle == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_handle_wait: the handle is NULL");
	if (ps_load_acquire_u32(&handle->word) & DONE)
		return told(handle);
	if (handle->fork_generation != ps_fork_generation())
		return ps_refuse(PENSTOCK_FORKED);
	if (timeout_usec == PENSTOCK_DEFAULT_TIMEOUT)
		timeout_usec = handle->default_timeout_usec;
	if (timeout_usec != 0 && ps_must_not_wait())
		return ps_error(PENSTOCK_MISUSE, "penstock_handle_wait in a callback would wait for the thread it is on");
	if (!ps_handle_wait_until(handle, ps_deadline(timeout_usec)))
		return ps_refuse(PENSTOCK_TIMEOUT);
	return told(handle);
}

const penstock_result *penstock_handle_result(const penstock_handle *handle)
{
	if (handle == NULL || (ps_load_acquire_u32(&handle->word) & DONE) == 0)
		return NULL;
	return &handle->outcome.result;
}

const penstock_result *penstock_result_member(const penstock_result *result, size_t index)
{
	if (result == NULL || index >= result->member_count)
		return NULL;
	return result->members != NULL ? &result->members[index] : result;
}

uint64_t penstock_handle_ticket(const penstock_handle *handle)
{
	return handle == NULL ? 0 : handle->ticket;
}

void penstock_handle_release(penstock_handle *handle)
{
	uint32_t before;

	if (handle == NULL)
		return;
	before = ps_add_u32(&handle->word, RELEASED);
	if ((before & DONE) != 0 && ALL_RELEASED(before + RELEASED))
		recycle(handle);
}

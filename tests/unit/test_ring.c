/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring by itself: order, bounds, holes, and that nobody sleeps through what concerns him. Records too.
 */
#include "tests/kit.h"

#include <sys/syscall.h>

#include "core/clock.h"

TestSuite(ring, .init = kit_begin, .fini = harness_end);
TestSuite(record, .init = kit_begin, .fini = harness_end);

static void put(struct ps_ring *ring, uint64_t value)
{
	struct ps_claim claim;

	check(ps_ring_claim(ring, &claim));
	claim.record->submit_nsec = value;
	ps_ring_publish(ring, &claim);
}

/* ---- one thread -------------------------------------------------------------------------------------------------- */

Test(ring, full_ring_refuses)
{
	for (uint64_t capacity = 2; capacity <= 64; capacity *= 2) {
		struct ps_ring ring;
		struct ps_claim claim;
		uint64_t head = 0;

		check(ps_ring_init(&ring, capacity));
		for (uint64_t i = 0; i < capacity; i++)
			put(&ring, 0);
		/* Full at every place of the array: one slot is given back and taken at a time. */
		for (uint64_t i = 0; i < 3 * capacity; i++) {
			check(!ps_ring_has_room(&ring, NULL));
			check(!ps_ring_claim(&ring, &claim));
			check(ps_ring_tail(&ring) - ps_ring_head(&ring) == capacity);
			ps_ring_release(&ring, ++head);
			check(ps_ring_has_room(&ring, NULL));
			check(ps_ring_claim(&ring, &claim));
			check(claim.ticket == head + capacity - 1 && !claim.wake);
			check(ps_ring_peek(&ring, claim.ticket) == NULL);
			ps_ring_publish(&ring, &claim);
		}
		ps_ring_destroy(&ring);
	}
}

Test(ring, every_ticket_once_over_many_laps)
{
	struct ps_ring ring;
	uint64_t next = 0;

	check(ps_ring_init(&ring, 8));
	for (uint64_t i = 0; i < 100000; i++) {
		unsigned burst = 1 + (unsigned)(i % 8);

		check(ps_ring_peek(&ring, next) == NULL); /* empty, whatever lies there from the last lap */
		for (unsigned k = 0; k < burst; k++)
			put(&ring, next + k);
		for (unsigned k = 0; k < burst; k++) {
			check(ps_ring_peek(&ring, next + k) != NULL);
			check(ps_ring_at(&ring, next + k)->submit_nsec == next + k);
		}
		check(ps_ring_peek(&ring, next + burst) == NULL);
		next += burst;
		ps_ring_release(&ring, next);
	}
	ps_ring_destroy(&ring);
}

Test(ring, hole_hides_what_is_behind_it)
{
	struct ps_ring ring;
	struct ps_claim slow;
	bool slept;

	check(ps_ring_init(&ring, 4));
	put(&ring, 10);
	check(ps_ring_claim(&ring, &slow));
	put(&ring, 12);
	check(ps_ring_peek(&ring, 0) != NULL);
	check(ps_ring_peek(&ring, 1) == NULL);
	ps_ring_release(&ring, 1);
	check(ps_ring_park(&ring, 1, PS_NEVER, &slept) == PS_PARK_HOLE && !slept);
	slow.record->submit_nsec = 11;
	ps_ring_publish(&ring, &slow);
	check(ps_ring_park(&ring, 1, PS_NEVER, &slept) == PS_PARK_WORK && !slept);
	for (uint64_t i = 1; i < 3; i++)
		check(ps_ring_peek(&ring, i) != NULL && ps_ring_at(&ring, i)->submit_nsec == 10 + i);
	ps_ring_destroy(&ring);
}

Test(ring, the_first_in_line_is_not_passed)
{
	struct ps_claim claim, kept;
	struct ps_turn first, second;
	struct ps_ring ring;

	check(ps_ring_init(&ring, 2));
	check(ps_ring_reserve_bytes(&ring, NULL, 60, 100));
	ps_line_join(&ring.line, &first);
	ps_line_join(&ring.line, &second);
	/* Bytes: for the first alone, once they are free. */
	check(!ps_ring_reserve_bytes(&ring, NULL, 1, 100) && !ps_ring_reserve_bytes(&ring, &second, 1, 100));
	check(!ps_ring_reserve_bytes(&ring, &first, 200, 100));
	ps_ring_return_bytes(&ring, 60);
	check(!ps_ring_reserve_bytes(&ring, NULL, 1, 100) && ps_ring_reserve_bytes(&ring, &first, 200, 100));
	/* A slot is kept for it, also when it has handed on what it saw. */
	check(ps_ring_claim(&ring, &claim));
	ps_ring_publish(&ring, &claim);
	ps_ring_release(&ring, 1);
	check(ps_ring_claim(&ring, &claim));
	ps_ring_publish(&ring, &claim);
	check(!ps_ring_has_room(&ring, NULL) && !ps_ring_claim(&ring, &kept) && !ps_ring_claim_in_turn(&ring, &second, &kept));
	check(ps_ring_has_room(&ring, &first) && ps_ring_claim_in_turn(&ring, &first, &kept));
	ps_ring_publish(&ring, &kept);
	/* Then the next is first, who may leave without anything; and then nobody. */
	ps_line_leave(&ring.line, &first);
	ps_ring_return_bytes(&ring, 200);
	check(!ps_ring_reserve_bytes(&ring, NULL, 1, 100));
	ps_line_leave(&ring.line, &second);
	check(ps_ring_reserve_bytes(&ring, NULL, 100, 100));
	ps_ring_release(&ring, 3);
	for (int i = 0; i < 2; i++)
		check(ps_ring_claim(&ring, &claim));
	ps_ring_destroy(&ring);
}

Test(ring, bytes_are_bounded)
{
	struct ps_ring ring;

	check(ps_ring_init(&ring, 2));
	check(ps_ring_reserve_bytes(&ring, NULL, 60, 100));
	check(ps_ring_reserve_bytes(&ring, NULL, 40, 100)); /* exactly */
	check(!ps_ring_reserve_bytes(&ring, NULL, 1, 100));
	ps_ring_return_bytes(&ring, 60);
	check(!ps_ring_reserve_bytes(&ring, NULL, 61, 100));
	check(ps_ring_reserve_bytes(&ring, NULL, 60, 100));
	ps_ring_return_bytes(&ring, 100);
	check(ps_ring_reserve_bytes(&ring, NULL, 1000, 100)); /* alone */
	check(!ps_ring_reserve_bytes(&ring, NULL, 1, 100));
	ps_ring_return_bytes(&ring, 1000);
	check(ring.bytes == 0);
	ps_ring_destroy(&ring);
}

Test(ring, parking_ends_by_deadline_and_attention)
{
	struct ps_ring ring;
	struct ps_claim claim;
	bool slept;

	check(ps_ring_init(&ring, 2));
	check(ps_ring_park(&ring, 0, ps_deadline(1000), &slept) == PS_PARK_DEADLINE && slept);
	check(ps_ring_claim(&ring, &claim) && !claim.wake); /* the mark was taken back */
	ps_ring_publish(&ring, &claim);
	ps_ring_release(&ring, 1);
	ring.attention = 1;
	check(ps_ring_park(&ring, 1, PS_NEVER, &slept) == PS_PARK_ATTENTION && !slept);
	ps_ring_kick(&ring); /* nobody sleeps */
	check(ring.wakes == 0);
	ps_ring_destroy(&ring);
}

/* ---- producers and a consumer ------------------------------------------------------------------------------------ */

#define PRODUCERS 4

struct crowd {
	struct ps_ring ring;
	uint64_t each;
	_Atomic uint64_t refused;
	_Atomic bool over;
	_Atomic uint64_t kicks, answered;
	bool kicked; /* producers begin when a kick has been answered: busy with them the consumer may never park */
	_Atomic pid_t consumer;
};

struct member {
	struct crowd *crowd;
	uint64_t number;
	bool dawdles; /* now and then between claim and publish */
	pthread_t thread;
};

static void wait_for_room(struct crowd *crowd)
{
	uint32_t key = ps_eventcount_prepare(&crowd->ring.room);

	if (ps_ring_has_room(&crowd->ring, NULL))
		ps_eventcount_cancel(&crowd->ring.room);
	else
		ps_eventcount_wait(&crowd->ring.room, key, PS_NEVER);
}

static void *produce(void *arg)
{
	struct member *member = arg;
	struct crowd *crowd = member->crowd;
	uint64_t last = 0;

	await(!crowd->kicked || crowd->answered > 0);
	for (uint64_t i = 0; i < crowd->each; i++) {
		struct ps_claim claim;

		while (!ps_ring_claim(&crowd->ring, &claim)) {
			crowd->refused++;
			wait_for_room(crowd);
		}
		check(i == 0 || claim.ticket > last);
		last = claim.ticket;
		claim.record->submit_nsec = member->number << 32 | i;
		claim.record->value_count = (uint32_t)claim.ticket;
		if (member->dawdles && i % 97 == 0)
			kit_sleep_usec(20);
		ps_ring_publish(&crowd->ring, &claim);
		if (i % 61 == 0)
			kit_sleep_usec(i % 7); /* let the consumer go to sleep */
	}
	return NULL;
}

/* Takes everything; sleeps whenever there is nothing; never by a deadline. */
static void consume(struct crowd *crowd, uint64_t total)
{
	uint64_t seen[PRODUCERS] = { 0 };
	uint64_t next = 0;

	crowd->consumer = gettid();
	while (next < total) {
		uint64_t first = next;
		struct ps_record *record;
		bool slept;

		while ((record = ps_ring_peek(&crowd->ring, next)) != NULL) {
			uint64_t producer = record->submit_nsec >> 32, number = record->submit_nsec & UINT32_MAX;

			check(producer < PRODUCERS && number == seen[producer]);
			check(record->value_count == (uint32_t)next);
			seen[producer]++;
			next++;
			if (next - first == 16)
				break;
		}
		if (next != first) {
			ps_ring_release(&crowd->ring, next);
			continue;
		}
		switch (ps_ring_park(&crowd->ring, next, PS_NEVER, &slept)) {
		case PS_PARK_HOLE:
			kit_sleep_usec(1);
			break;
		case PS_PARK_ATTENTION:
			ps_store_release_u32(&crowd->ring.attention, 0);
			crowd->answered++;
			break;
		case PS_PARK_DEADLINE:
			/* Told to look; there may be nothing. */
			break;
		case PS_PARK_WORK:
			break;
		}
	}
	for (int i = 0; i < PRODUCERS; i++)
		check(seen[i] == crowd->each);
}

static void crowd_runs(uint64_t capacity, uint64_t each, bool dawdle)
{
	struct crowd *crowd = aligned_alloc(PS_LINE_BYTES, (sizeof *crowd + PS_LINE_BYTES - 1) / PS_LINE_BYTES * PS_LINE_BYTES);
	struct member members[PRODUCERS];

	memset(crowd, 0, sizeof *crowd);
	crowd->each = each;
	check(ps_ring_init(&crowd->ring, capacity));
	for (unsigned i = 0; i < PRODUCERS; i++) {
		members[i] = (struct member){ .crowd = crowd, .number = i, .dawdles = dawdle };
		members[i].thread = kit_thread(produce, &members[i]);
	}
	consume(crowd, each * PRODUCERS);
	for (unsigned i = 0; i < PRODUCERS; i++)
		kit_join(members[i].thread);
	check(ps_ring_tail(&crowd->ring) == each * PRODUCERS);
	check(crowd->ring.room.waiters == 0);
	ps_ring_destroy(&crowd->ring);
	free(crowd);
}

Test(ring, producers_keep_their_order)
{
	crowd_runs(1024, KIT_SANITIZED ? 20000 : 100000, false);
}

Test(ring, two_slots_serve_many)
{
	crowd_runs(2, 5000, false);
}

Test(ring, holes_are_waited_out)
{
	crowd_runs(64, 3000, true);
}

static void on_signal(int number)
{
	(void)number;
}

static void *disturb(void *arg)
{
	struct crowd *crowd = arg;

	while (!crowd->over) {
		if (crowd->consumer != 0)
			syscall(SYS_tgkill, getpid(), crowd->consumer, SIGUSR1); /* a spurious wake */
		kit_sleep_usec(30);
	}
	return NULL;
}

static void *kick(void *arg)
{
	struct crowd *crowd = arg;

	while (!crowd->over) {
		uint64_t answered = crowd->answered;

		crowd->kicks++;
		ps_store_release_u32(&crowd->ring.attention, 1);
		ps_ring_kick(&crowd->ring);
		/* A kick is answered, also when nothing is submitted any more. */
		await(crowd->answered != answered || crowd->over || ps_load_acquire_u32(&crowd->ring.attention) == 0);
	}
	return NULL;
}

/* Claims, kicks, parks and signals at once; in the end nothing but a kick wakes the consumer. */
Test(ring, park_and_kick_and_claim_race)
{
	struct crowd *crowd = aligned_alloc(PS_LINE_BYTES, (sizeof *crowd + PS_LINE_BYTES - 1) / PS_LINE_BYTES * PS_LINE_BYTES);
	struct sigaction action = { .sa_handler = on_signal };
	struct member members[PRODUCERS];
	pthread_t disturber, kicker;

	memset(crowd, 0, sizeof *crowd);
	check(sigaction(SIGUSR1, &action, NULL) == 0);
	crowd->each = KIT_SANITIZED ? 3000 : 10000;
	crowd->kicked = true;
	check(ps_ring_init(&crowd->ring, 16));
	disturber = kit_thread(disturb, crowd);
	kicker = kit_thread(kick, crowd);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		members[i] = (struct member){ .crowd = crowd, .number = i };
		members[i].thread = kit_thread(produce, &members[i]);
	}
	consume(crowd, crowd->each * PRODUCERS);
	crowd->over = true;
	for (unsigned i = 0; i < PRODUCERS; i++)
		kit_join(members[i].thread);
	kit_join(disturber);
	kit_join(kicker);
	ps_ring_destroy(&crowd->ring);
	free(crowd);
}

struct sleeper {
	struct ps_ring *ring;
	enum ps_park result;
	_Atomic bool woken;
};

static void *sleep_on_ring(void *arg)
{
	struct sleeper *sleeper = arg;
	bool slept;

	sleeper->result = ps_ring_park(sleeper->ring, 0, PS_NEVER, &slept);
	sleeper->woken = true;
	return NULL;
}

/* Nothing else happens: whoever wakes has to do it himself. */
Test(ring, each_wakes_a_consumer_that_sleeps)
{
	for (int i = 0; i < 200; i++) {
		struct ps_ring ring;
		struct sleeper sleeper = { .ring = &ring };
		pthread_t thread;

		check(ps_ring_init(&ring, 2));
		thread = kit_thread(sleep_on_ring, &sleeper);
		if (i % 3 != 0)
			await((ps_load_acquire_u64(&ring.claim) & 1) != 0); /* marked; i % 3 == 0: anywhere */
		if (i % 3 == 2)
			kit_sleep_usec(300); /* asleep */
		if (i % 2 == 0) {
			put(&ring, 1);
		} else {
			ps_store_release_u32(&ring.attention, 1);
			ps_ring_kick(&ring);
		}
		kit_join(thread);
		check(sleeper.result == (i % 2 == 0 ? PS_PARK_WORK : PS_PARK_ATTENTION) ||
		              (i % 2 == 0 && sleeper.result == PS_PARK_HOLE),
		      "%d", (int)sleeper.result);
		ps_ring_destroy(&ring);
	}
}

struct roomer {
	struct crowd *crowd;
	_Atomic bool in;
	_Atomic pid_t number; /* as the system has it */
	pthread_t thread;
};

static void *want_room(void *arg)
{
	struct roomer *roomer = arg;
	struct ps_claim claim;

	roomer->number = (pid_t)syscall(SYS_gettid);
	while (!ps_ring_claim(&roomer->crowd->ring, &claim))
		wait_for_room(roomer->crowd);
	ps_ring_publish(&roomer->crowd->ring, &claim);
	roomer->in = true;
	return NULL;
}

static void await_room_found(struct crowd *crowd, uint64_t tail, uint32_t still_waiting)
{
	await(ps_ring_tail(&crowd->ring) == tail && ps_load_relaxed_u32(&crowd->ring.room.waiters) == still_waiting);
}

/*
 * A wake has its price: it comes when a tenth is free, not for every slot; for one while that one fills the ring, for more
 * where it does not; and at the latest when the consumer sleeps.
 */
Test(ring, room_is_told_with_hysteresis)
{
	struct crowd *crowd = aligned_alloc(PS_LINE_BYTES, (sizeof *crowd + PS_LINE_BYTES - 1) / PS_LINE_BYTES * PS_LINE_BYTES);
	struct roomer roomers[6];
	uint32_t sequence;
	bool slept;

	memset(crowd, 0, sizeof *crowd);
	check(ps_ring_init(&crowd->ring, 64));
	check(crowd->ring.wake_room == 6);
	for (int i = 0; i < 64; i++)
		put(&crowd->ring, 0);
	for (int i = 0; i < 6; i++) {
		roomers[i] = (struct roomer){ .crowd = crowd };
		roomers[i].thread = kit_thread(want_room, &roomers[i]);
	}
	await(ps_load_relaxed_u32(&crowd->ring.room.waiters) == 6);
	/* Who is counted and not asleep yet would look once more, whoever is woken. */
	for (int i = 0; i < 6; i++)
		await(kit_thread_sleeps(roomers[i].number));
	sequence = crowd->ring.room.sequence;
	for (uint64_t i = 1; i < 6; i++)
		ps_ring_release(&crowd->ring, i);
	check(crowd->ring.room.sequence == sequence); /* five free: nobody was woken */
	ps_ring_release(&crowd->ring, 6);
	check(crowd->ring.room.sequence != sequence);
	await_room_found(crowd, 65, 5);
	ps_ring_release(&crowd->ring, 12); /* it was full again */
	await_room_found(crowd, 66, 4);
	ps_ring_release(&crowd->ring, 36); /* nearly */
	await_room_found(crowd, 67, 3);
	ps_ring_release(&crowd->ring, 60); /* not half full */
	await_room_found(crowd, 69, 1);
	check(crowd->ring.wave == 2);
	/* The head has not moved by a tenth, and no release follows: the consumer tells before it sleeps. */
	sequence = crowd->ring.room.sequence;
	ps_ring_release(&crowd->ring, 62);
	check(crowd->ring.room.sequence == sequence);
	ps_store_release_u64(&crowd->ring.head, 69); /* everything, without a word */
	check(ps_ring_park(&crowd->ring, 69, PS_NEVER, &slept) != PS_PARK_DEADLINE);
	for (int i = 0; i < 6; i++)
		kit_join(roomers[i].thread);
	/* Full once more: back to one. */
	while (ps_ring_has_room(&crowd->ring, NULL))
		put(&crowd->ring, 0);
	roomers[0] = (struct roomer){ .crowd = crowd };
	roomers[0].thread = kit_thread(want_room, &roomers[0]);
	await(ps_load_relaxed_u32(&crowd->ring.room.waiters) == 1);
	ps_ring_release(&crowd->ring, ps_ring_head(&crowd->ring) + 6);
	kit_join(roomers[0].thread);
	check(crowd->ring.wave == 1);
	ps_ring_destroy(&crowd->ring);
	free(crowd);
}

/* ---- event counts ------------------------------------------------------------------------------------------------ */

static struct ps_eventcount event;
static uint32_t turn;

static void *take_turns(void *arg)
{
	uint32_t mine = *(const uint32_t *)arg;

	for (uint32_t i = 0; i < 3000; i++) {
		for (;;) {
			uint32_t key = ps_eventcount_prepare(&event);

			if (ps_load_acquire_u32(&turn) % 3 == mine) {
				ps_eventcount_cancel(&event);
				break;
			}
			ps_eventcount_wait(&event, key, PS_NEVER);
		}
		ps_add_u32(&turn, 1);
		ps_eventcount_broadcast(&event);
	}
	return NULL;
}

Test(ring, event_counts_lose_no_wake)
{
	static const uint32_t numbers[] = { 0, 1, 2 };
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		threads[i] = kit_thread(take_turns, (void *)&numbers[i]);
	for (int i = 0; i < 3; i++)
		kit_join(threads[i]);
	check(turn == 9000 && event.waiters == 0);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static void record_survives(const penstock_submission *submission, size_t sql_bytes)
{
	struct ps_record record = { .statement = submission->statement, .value_count = (uint32_t)submission->value_count };
	const unsigned char *data, *end;
	unsigned char *guarded;
	uint64_t bytes;

	expect(ps_record_measure(submission, sql_bytes, &bytes), PENSTOCK_OK);
	guarded = malloc(bytes + 8); /* ASan watches it; and so do these */
	memset(guarded, 0xa5, bytes + 8);
	ps_record_encode(guarded, submission, sql_bytes);
	for (int i = 0; i < 8; i++)
		check(guarded[bytes + (uint64_t)i] == 0xa5);
	record.on_heap = bytes > PS_INLINE_BYTES;
	if (record.on_heap) {
		record.payload.heap.data = guarded;
		record.payload.heap.size = bytes;
		check(ps_record_heap_bytes(&record) == bytes);
	} else {
		memcpy(record.payload.bytes, guarded, bytes);
		free(guarded);
		check(ps_record_heap_bytes(&record) == 0);
	}
	if (submission->sql != NULL) {
		size_t found;
		const char *sql = ps_record_sql(&record, &found);

		check(found == sql_bytes && memcmp(sql, submission->sql, found) == 0 && sql[found] == '\0');
	}
	data = ps_record_values(&record);
	end = ps_record_payload(&record) + bytes;
	for (size_t i = 0; i < submission->value_count; i++) {
		const penstock_value *wanted = &submission->values[i];
		penstock_value value;

		data = ps_record_decode(data, &value);
		check(value.type == wanted->type);
		switch (value.type) {
		case PENSTOCK_INTEGER:
			check(value.as.integer == wanted->as.integer);
			break;
		case PENSTOCK_FLOAT:
			check(memcmp(&value.as.real, &wanted->as.real, sizeof value.as.real) == 0);
			break;
		case PENSTOCK_TEXT:
		case PENSTOCK_BLOB:
			check(value.bytes == wanted->bytes);
			check(value.bytes == 0 || memcmp(value.as.data, wanted->as.data, value.bytes) == 0);
			break;
		case PENSTOCK_NULL:
			break;
		}
	}
	check(data == end);
	ps_record_retire(&record);
}

Test(record, values_of_every_type_and_size_survive)
{
	const penstock_statement *some = (const penstock_statement *)8; /* only looked at for NULL */
	unsigned char data[300];

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 7);
	for (size_t bytes = 0; bytes < sizeof data; bytes++) {
		penstock_value values[] = { penstock_blob(data, bytes),
			                    penstock_text_bytes((char *)data, bytes / 3),
			                    penstock_int64(INT64_MIN + (int64_t)bytes),
			                    penstock_null(),
			                    penstock_double(bytes % 2 ? -0.0 : 1.0 / 0.0),
			                    penstock_int64(INT64_MAX) };
		penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .values = values };

		for (size_t count = 0; count <= COUNT_OF(values); count++) {
			submission.value_count = count;
			submission.sql = NULL;
			submission.statement = some;
			record_survives(&submission, 0);
			submission.sql = (char *)data;
			submission.statement = NULL;
			record_survives(&submission, bytes);
		}
	}
}

Test(record, eighty_bytes_fit_the_slot)
{
	char text[100] = "";
	penstock_value value = penstock_text_bytes(text, 75); /* and five of its own */
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .statement = (const penstock_statement *)8,
		                           .values = &value,
		                           .value_count = 1 };
	uint64_t bytes;

	expect(ps_record_measure(&submission, 0, &bytes), PENSTOCK_OK);
	check(bytes == PS_INLINE_BYTES);
	value.bytes = 76;
	expect(ps_record_measure(&submission, 0, &bytes), PENSTOCK_OK);
	check(bytes == PS_INLINE_BYTES + 1);
}

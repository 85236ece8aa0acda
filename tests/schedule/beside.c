/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The side file of points.h: one page in memory, and the locks on its bytes as the kernel has them (OFD locks, writer/sqlite/beside.h).
 *
 * Who opens it has a file description of its own, be it of this process or of another one. A lock is tried, never waited for; whoever
 * closes the file has none, and whoever dies (beside_die) has none from that moment on. So another process is a thread that has a
 * description and nothing else of the engine's.
 *
 * When the scenario says so (store.h) a call of the engine's own process fails otherwise now and then, as for want of memory in the kernel.
 *
 * A call into the kernel empties the store buffer of its thread.
 *
 * Not here: a side file that is removed or replaced (it always is the one that its name leads to), and a file system without such locks.
 */
#include <errno.h>
#include <string.h>

#include "tests/schedule/inside.h"
#include "tests/schedule/store.h"

#define HELD_MAX 32

static union {
	unsigned char bytes[PS_BESIDE_PAGE_BYTES];
	uint64_t aligned;
} page;

static struct held {
	const struct ps_beside *description;
	off_t byte;
	bool shared;
} held[HELD_MAX];
static unsigned held_count;

void beside_forget(void)
{
	memset(&page, 0, sizeof page);
	held_count = 0;
}

void beside_die(struct ps_beside *beside)
{
	unsigned kept = 0, i;

	for (i = 0; i < held_count; i++) {
		if (held[i].description != beside)
			held[kept++] = held[i];
	}
	held_count = kept;
	beside->fd = -1;
}

/* Before a call. */
static bool is_refused(const struct ps_beside *beside)
{
	point();
	flush_all(self);
	return beside->name != NULL && store_world.refuses != 0 && schedule_random(store_world.refuses) == 0;
}

/* ---- the file ---- */

/* database: NULL as it is opened anew. One that other processes open has no name here. */
int schedule_open_beside(struct schedule_site *site, struct ps_beside *beside, const char *database)
{
	static char name[] = "the side file";
	bool refused;

	if (database != NULL)
		*beside = (struct ps_beside){ .name = strcmp(database, STORE_FILE) == 0 ? name : NULL };
	refused = is_refused(beside);
	beside_die(beside);
	if (!refused)
		beside->fd = SCHEDULE_BESIDE_FD;
	trace_line(self, site, "%s", refused ? "is refused" : "");
	return refused ? EMFILE : 0;
}

void schedule_close_beside(struct schedule_site *site, struct ps_beside *beside)
{
	point();
	flush_all(self);
	trace_line(self, site, "%s", "");
	if (!site->disabled)
		beside_die(beside);
}

bool schedule_is_current(const struct ps_beside *beside)
{
	return beside->fd == SCHEDULE_BESIDE_FD;
}

void *schedule_page(void)
{
	return &page;
}

/* ---- locks ---- */

static bool conflicts(const struct ps_beside *beside, off_t byte, bool shared)
{
	unsigned i;

	for (i = 0; i < held_count; i++) {
		if (held[i].description != beside && held[i].byte == byte && !(held[i].shared && shared))
			return true;
	}
	return false;
}

static void forget(const struct ps_beside *beside, off_t byte)
{
	unsigned i;

	for (i = 0; i < held_count; i++) {
		if (held[i].description == beside && held[i].byte == byte)
			held[i--] = held[--held_count];
	}
}

static enum ps_beside_lock tell(const struct schedule_site *site, enum ps_beside_lock lock)
{
	static const char *const names[] = { "has it", "another has it", "is refused", "no file" };

	trace_line(self, site, "%s", names[lock]);
	return lock;
}

enum ps_beside_lock schedule_lock(struct schedule_site *site, struct ps_beside *beside, off_t byte, bool shared)
{
	bool refused = is_refused(beside);

	if (beside->fd < 0)
		return tell(site, PS_BESIDE_NO_LOCKS);
	if (refused)
		return tell(site, PS_BESIDE_NOT_TOLD);
	if (site->disabled)
		return tell(site, PS_BESIDE_LOCKED);
	if (conflicts(beside, byte, shared))
		return tell(site, PS_BESIDE_BUSY);
	forget(beside, byte);
	schedule_check(held_count < HELD_MAX, "too many locks");
	held[held_count++] = (struct held){ beside, byte, shared };
	return tell(site, PS_BESIDE_LOCKED);
}

enum ps_beside_lock schedule_look(struct schedule_site *site, const struct ps_beside *beside, off_t byte)
{
	bool refused = is_refused(beside);

	if (beside->fd < 0)
		return tell(site, PS_BESIDE_NO_LOCKS);
	if (refused)
		return tell(site, PS_BESIDE_NOT_TOLD);
	return tell(site, !site->disabled && conflicts(beside, byte, false) ? PS_BESIDE_BUSY : PS_BESIDE_LOCKED);
}

bool schedule_unlock(struct schedule_site *site, struct ps_beside *beside, off_t byte)
{
	if (is_refused(beside) && beside->fd >= 0)
		return tell(site, PS_BESIDE_NOT_TOLD) != PS_BESIDE_NOT_TOLD;
	trace_line(self, site, "%s", "");
	if (!site->disabled)
		forget(beside, byte);
	return true;
}

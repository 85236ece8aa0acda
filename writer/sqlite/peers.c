/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic.h"

/* In the first word: a name, and the version of what follows. */
#define LAYOUT UINT32_C(0x70737401)

/* How old the last look whether the name still leads to the file may be. */
#define LOOK_NSEC (20 * PS_NSEC_PER_MSEC)

/* A pauser removes nothing, so that only somebody who does so again and again makes it look more often than twice. */
#define ATTEMPTS 3

struct ps_peers_page {
	uint32_t layout; /* 0: nobody has written yet */
	uint32_t pausing;
	uint32_t unused[30];
	struct ps_turns_words words;
};

_Static_assert(sizeof(struct ps_peers_page) <= PS_BESIDE_PAGE_BYTES, "the page has room");
_Static_assert(offsetof(struct ps_peers_page, words) == 128 && offsetof(struct ps_turns_words, serving) == 128 &&
                       offsetof(struct ps_turns_words, holders) == 256,
               "the same for every process, whatever it was compiled by");

/* ---- the file ---- */

static bool lives(void *arg, unsigned place)
{
	return place < PS_TURNS_PLACES && ps_beside_is_locked(arg, PS_BESIDE_LIVES + (off_t)place);
}

/* One that is held by nobody, from a different one on in each process, so that a dead one's is seldom taken again at once. */
static unsigned lock_place(struct ps_beside *beside)
{
	unsigned first = (unsigned)getpid() * 31, i;

	for (i = 0; i < PS_TURNS_PLACES; i++) {
		unsigned place = (first + i) % PS_TURNS_PLACES;

		switch (ps_beside_lock(beside, PS_BESIDE_LIVES + (off_t)place)) {
		case PS_BESIDE_LOCKED:
			return place;
		case PS_BESIDE_NO_LOCKS:
			return PS_TURNS_NO_PLACE;
		default:
			break;
		}
	}
	return PS_TURNS_NO_PLACE;
}

/* NULL: it is none of ours, or cannot be had. */
static struct ps_peers_page *map_page(int fd)
{
	struct ps_peers_page *page;
	struct stat info;
	uint32_t layout = 0;

	if (fstat(fd, &info) != 0)
		return NULL;
	if (info.st_size == 0 && posix_fallocate(fd, 0, PS_BESIDE_PAGE_BYTES) != 0)
		return NULL;
	if (info.st_size != 0 && info.st_size < PS_BESIDE_PAGE_BYTES)
		return NULL;
	page = mmap(NULL, PS_BESIDE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return NULL;
	madvise(page, PS_BESIDE_PAGE_BYTES, MADV_DONTFORK);
	if (ps_cas_u32(&page->layout, &layout, LAYOUT) || layout == LAYOUT)
		return page;
	munmap(page, PS_BESIDE_PAGE_BYTES);
	return NULL;
}

static void unmap(struct ps_peers *peers)
{
	ps_turns_end(&peers->turns);
	peers->turns.words = NULL;
	if (peers->page != NULL)
		munmap(peers->page, PS_BESIDE_PAGE_BYTES);
	peers->page = NULL;
}

/* The file is open. */
static void map(struct ps_peers *peers)
{
	peers->page = map_page(peers->beside.fd);
	if (peers->page == NULL || !peers->takes_turns)
		return;
	peers->turns.place = lock_place(&peers->beside);
	peers->turns.lives = lives;
	peers->turns.arg = &peers->beside;
	peers->turns.words = &peers->page->words;
}

void ps_peers_init(struct ps_peers *peers)
{
	*peers = (struct ps_peers){ .beside.fd = -1 };
}

void ps_peers_open(struct ps_peers *peers, const char *database, bool takes_turns)
{
	*peers = (struct ps_peers){ .takes_turns = takes_turns, .looked_nsec = ps_clock_nsec() };
	if (ps_beside_open(&peers->beside, database) == 0)
		map(peers);
}

void ps_peers_close(struct ps_peers *peers)
{
	unmap(peers);
	ps_beside_close(&peers->beside);
}

/* With its locks gone. 0, or an errno: there is none. */
static int move_over(struct ps_peers *peers)
{
	int error;

	unmap(peers);
	peers->inside = false;
	error = ps_beside_reopen(&peers->beside);
	if (error == 0)
		map(peers);
	return error;
}

/* There may be one by which others meet. */
static bool is_refused_by_system(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EIO;
}

/* ---- engines ---- */

/* What keeps an engine out: somebody has the lock, or may have it. */
static bool keeps_out(enum ps_beside_lock lock)
{
	return lock == PS_BESIDE_BUSY || lock == PS_BESIDE_NOT_TOLD;
}

bool ps_peers_is_asked_to_leave(struct ps_peers *peers)
{
	if (peers->page == NULL)
		return keeps_out(ps_beside_would_lock(&peers->beside, PS_BESIDE_PAUSING));
	return ps_load_relaxed_u32(&peers->page->pausing) != 0;
}

/* PS_BESIDE_NO_LOCKS also when there is no file. */
static enum ps_beside_lock share(struct ps_peers *peers)
{
	enum ps_beside_lock pausing = ps_beside_would_lock(&peers->beside, PS_BESIDE_PAUSING);

	/* Who came in all the same might never let a pauser in. */
	if (keeps_out(pausing))
		return pausing;
	/* One that was killed has left it set. */
	if (peers->page != NULL && ps_load_relaxed_u32(&peers->page->pausing) != 0)
		ps_store_relaxed_u32(&peers->page->pausing, 0);
	return ps_beside_share(&peers->beside, PS_BESIDE_PAUSE);
}

static enum ps_entry come_in(struct ps_peers *peers)
{
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		enum ps_beside_lock shared = share(peers);
		int error;

		/* Whatever the locks say, they are of no use by another file. */
		if (ps_beside_is_current(&peers->beside)) {
			if (!keeps_out(shared)) {
				peers->inside = true;
				return PS_ENTRY_IN;
			}
			/* It may have the lock from before. */
			ps_peers_leave(peers);
			return shared == PS_BESIDE_BUSY ? PS_ENTRY_PAUSED : PS_ENTRY_NO_LOCK;
		}
		error = move_over(peers);
		if (is_refused_by_system(error))
			return PS_ENTRY_NO_LOCK;
		if (error != 0) {
			/* Once more at the next look, and not in each batch. */
			peers->inside = true;
			return PS_ENTRY_IN;
		}
	}
	return PS_ENTRY_NO_LOCK;
}

enum ps_entry ps_peers_enter(struct ps_peers *peers)
{
	uint64_t now = ps_clock_nsec();

	if (peers->inside && ps_peers_is_asked_to_leave(peers))
		ps_peers_leave(peers);
	if (peers->inside && now - peers->looked_nsec < LOOK_NSEC)
		return PS_ENTRY_IN;
	if (peers->inside && ps_beside_is_current(&peers->beside)) {
		peers->looked_nsec = now;
		return PS_ENTRY_IN;
	}
	peers->looked_nsec = now;
	return come_in(peers);
}

void ps_peers_leave(struct ps_peers *peers)
{
	if (!peers->inside)
		return;
	ps_turns_end(&peers->turns);
	peers->inside = false;
	/* A pauser waits for it. */
	if (!ps_beside_unlock(&peers->beside, PS_BESIDE_PAUSE))
		move_over(peers);
}

/* ---- the pauser ---- */

enum ps_peers_pause ps_peers_pause(struct ps_peers *peers)
{
	enum ps_beside_lock mine;

	if (!ps_beside_is_current(&peers->beside) && move_over(peers) != 0)
		return PS_PEERS_NO_LOCKS;
	mine = ps_beside_lock(&peers->beside, PS_BESIDE_PAUSING);
	if (mine == PS_BESIDE_LOCKED) {
		if (peers->page != NULL)
			ps_store_relaxed_u32(&peers->page->pausing, 1);
		mine = ps_beside_lock(&peers->beside, PS_BESIDE_PAUSE);
	}
	if (mine == PS_BESIDE_NO_LOCKS || mine == PS_BESIDE_NOT_TOLD)
		return PS_PEERS_NO_LOCKS;
	return mine == PS_BESIDE_LOCKED && ps_beside_is_current(&peers->beside) ? PS_PEERS_PAUSED : PS_PEERS_WAITS;
}

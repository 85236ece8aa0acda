/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peers.h - the engines of all processes on one database, as one of them sees the others
 *
 * In the first page of the side file (beside.h) lie the words of the turns (turns.h), and one word that says "somebody wants to pause
 * all". The locks behind it:
 *
 *     pause for all (4097)   shared by each engine that may be at work, and the pauser's alone
 *     pausing (4098)         the pauser's, from the moment it waits for the others: until it lets go nobody comes in
 *     lives (8192 + i)       an engine's own, as long as it is open
 *
 * An engine comes in before it touches the database, and stays in from batch to batch: two system calls for each would be more than
 * the rest of a turn. It leaves when it has been idle for a while, when it is closed, and before a batch when the word is set. A
 * pauser sets the word again and again, so it does not matter who clears it, or what else is written there.
 * While its checkpoint thread copies, an engine cannot leave, and begins no batch when the word is set (among.c).
 *
 * Invariants
 *   1. Whoever is in has the shared lock on the file that the name led to when it came in. So while the pauser has its locks, no engine
 *      is at work.
 *   2. A pause ends with the pauser's unlock or death, and not before. Nothing that is in the page can begin or end one.
 *   3. A page of another layout is not written to, nor is a file that was there and is shorter than a page. The page has its place on
 *      the disk before it is mapped: no write to it can lack room.
 *   4. A forked child has neither the descriptor nor the mapping.
 *
 * Failure modes
 *   - There is no side file, or it is foreign, or of another layout: no turns, which are counted as missed. Without the file a pause
 *     for all does not see this engine, and cannot be had here.
 *   - A file system without OFD locks: no pause for all, and a dead holder's turn is skipped as a stopped one's.
 *   - Removed or replaced: noticed within 20 ms of work, and the engine moves over. Whoever holds a pause by the old file
 *     holds it no more.
 *   - An engine that is stopped while it is in keeps a pauser waiting, and the pauser meanwhile everybody. Its timeout ends that.
 *   - When the call for the lock, or the look for a pauser, fails itself (the system has no memory for it, say), nobody knows whether all
 *     are paused. An engine stays outside, and tells its callers what they hear of any lock that is not to be had. A pauser hears that
 *     it cannot pause. So it is when the system refuses the file (no descriptor, no memory), or another one has the name at each look.
 *   - When the call to let go of the lock fails, the file is closed, which lets go of it, and opened anew.
 *   - Other connections, readers among them, know nothing of all this.
 */
#ifndef PENSTOCK_PEERS_H
#define PENSTOCK_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "writer/sqlite/beside.h"
#include "writer/sqlite/turns.h"
#include "writer/store.h"

struct ps_peers_page;

struct ps_peers {
	struct ps_beside beside;
	struct ps_peers_page *page; /* NULL: none */
	struct ps_turns turns;
	bool takes_turns;
	bool inside;
	uint64_t looked_nsec; /* whether the name still leads to the file */
};

/* Not open: to be opened, or closed. */
void ps_peers_init(struct ps_peers *peers);
/* Of a database that is there, by its whole name. Fails never: without the file there are no turns. To be closed once. */
void ps_peers_open(struct ps_peers *peers, const char *database, bool takes_turns);
void ps_peers_close(struct ps_peers *peers);

/* Before the database is touched. Not in: ask again. Cheap for one that is in. */
enum ps_entry ps_peers_enter(struct ps_peers *peers);
void ps_peers_leave(struct ps_peers *peers);
/* Whether somebody wants to pause all. */
bool ps_peers_is_asked_to_leave(struct ps_peers *peers);
/* Whether a lock has kept it from coming in, and not that the system refuses the file. */
static inline bool ps_peers_is_out(const struct ps_peers *peers)
{
	return peers->beside.fd >= 0 && !peers->inside;
}

/* What a step of a pauser has come to. */
enum ps_peers_pause {
	PS_PEERS_PAUSED,  /* nobody is in, until the peers are closed */
	PS_PEERS_WAITS,   /* another step is needed */
	PS_PEERS_NO_LOCKS /* there is no side file, or no lock is to be had */
};
/* One step, of peers that have not come in. To be called each millisecond; to give it up, close them. */
enum ps_peers_pause ps_peers_pause(struct ps_peers *peers);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * beside.h - the side file: where the engines of all processes on one database meet
 *
 * It lies beside the database, as its -wal and -shm do, and is called <database>-penstock. Its first page is for a mapping; behind it
 * are bytes that nobody writes, for locks. These are OFD locks: they belong to the open file description, so two engines of one
 * process exclude each other too, another descriptor that is closed takes none away, and the kernel lets go of them when the last
 * process that has the description dies. A lock is tried, never waited for.
 *
 *     0 ... 4095    the mapped page
 *     4096          the checkpoint lock (checkpoint_lock.h)
 *     4097          pause for all (peers.h)
 *     4098          somebody waits for that, or has it
 *     8192 + i      engine i lives
 *
 * The file stays when everybody is gone. It holds nothing that anybody would miss: with all engines closed it may be removed.
 *
 * Invariants
 *   1. It is a plain file with one name, to which no link leads, and it belongs to this user, to root or to the owner of the database.
 *      Anything else is foreign: it is left alone, and there is no side file.
 *   2. It has the mode of the database, and where root makes it its owner too: whoever may write to the one may write to the other.
 *   3. Nobody makes it shorter.
 *   4. A forked child has none of these descriptors: they are closed in it before fork returns, so no lock outlives its engine there.
 *
 * Failure modes
 *   - No side file: it cannot be created or opened, or is foreign. Whoever needs it goes without, and says what that costs.
 *   - Removed or replaced while it is open: others open another one. ps_beside_is_current tells; what was locked before is held
 *     against nobody who came later.
 *   - A process made by other means than fork() (a bare clone) keeps the descriptors until it calls exec.
 *
 * One thread at a time for one struct, but for ps_beside_lock and ps_beside_unlock of different bytes.
 */
#ifndef PENSTOCK_BESIDE_H
#define PENSTOCK_BESIDE_H

#include <stdbool.h>
#include <sys/types.h>

#include <urcu/list.h>

#define PS_BESIDE_SUFFIX "-penstock"

#define PS_BESIDE_PAGE_BYTES 4096
#define PS_BESIDE_CHECKPOINT 4096
#define PS_BESIDE_PAUSE 4097
#define PS_BESIDE_PAUSING 4098
#define PS_BESIDE_LIVES 8192

struct ps_beside {
	struct cds_list_head link; /* of those that a child closes */
	char *database;
	char *name;
	int fd; /* -1: there is none */
};

enum ps_beside_lock {
	PS_BESIDE_LOCKED,
	PS_BESIDE_BUSY,     /* another description has it */
	PS_BESIDE_NOT_TOLD, /* the call failed otherwise: another one may have it */
	PS_BESIDE_NO_LOCKS  /* the file system has no such locks, or the file is not open */
};

/*
 * Opens the side file of a database that is there, and creates it if need be. 0; or an errno, and there is none: ELOOP is a link, EPERM
 * foreign, ENOENT a database that is no file of the system's. It is to be closed in either case.
 */
int ps_beside_open(struct ps_beside *beside, const char *database);
/* The same once more: whatever the name leads to now. Its locks are gone, and its mapping is of the old one. */
int ps_beside_reopen(struct ps_beside *beside);
/* Lets go of its locks. */
void ps_beside_close(struct ps_beside *beside);
/* Whether it is open, and its name still leads to it. */
bool ps_beside_is_current(const struct ps_beside *beside);

/* Tries to lock one byte, for this description alone. */
enum ps_beside_lock ps_beside_lock(struct ps_beside *beside, off_t byte);
/* The same with others that share it. */
enum ps_beside_lock ps_beside_share(struct ps_beside *beside, off_t byte);
/* False: the system refuses that, too (it may need memory for it). Whoever closes or opens it anew has let go. */
bool ps_beside_unlock(struct ps_beside *beside, off_t byte);
/* What ps_beside_lock would come to. */
enum ps_beside_lock ps_beside_would_lock(struct ps_beside *beside, off_t byte);
/* Whether another description has a lock on the byte, as far as can be told. */
bool ps_beside_is_locked(struct ps_beside *beside, off_t byte);
/* Where this process has no such locks: whether somebody has one of them. They can be seen as POSIX locks can. */
bool ps_beside_is_in_use(struct ps_beside *beside);

#endif

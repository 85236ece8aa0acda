/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/checkpoint_lock.h"

#include <errno.h>
#include <string.h>

#include "core/penstock.h"

void ps_checkpoint_lock_init(struct ps_checkpoint_lock *lock, const char *database)
{
	*lock = (struct ps_checkpoint_lock){ .alone_safe = penstock_wal_reset_bug() == 0 };
	lock->error = ps_beside_open(&lock->beside, database);
}

void ps_checkpoint_lock_destroy(struct ps_checkpoint_lock *lock)
{
	ps_beside_close(&lock->beside);
	lock->taken = lock->heard = false;
}

const char *ps_checkpoint_lock_problem(const struct ps_checkpoint_lock *lock)
{
	if (lock->alone_safe)
		return NULL;
	switch (lock->error) {
	case 0:
	case ENOENT:
		return NULL;
	case EPERM:
		return "it is foreign: not a plain file with one name, or somebody else's";
	case ELOOP:
		return "it is a symbolic link";
	default:
		return strerror(lock->error);
	}
}

/* The side file by its name, with its lock: none, if somebody else has it. */
static enum ps_beside_lock lock_named(struct ps_checkpoint_lock *lock)
{
	enum ps_beside_lock result;

	if (!ps_beside_is_current(&lock->beside))
		lock->error = ps_beside_reopen(&lock->beside);
	if (lock->error != 0)
		return PS_BESIDE_NO_LOCKS;
	result = ps_beside_lock(&lock->beside, PS_BESIDE_CHECKPOINT);
	if (result == PS_BESIDE_NO_LOCKS && ps_beside_is_in_use(&lock->beside))
		return PS_BESIDE_BUSY;
	if (result != PS_BESIDE_LOCKED || ps_beside_is_current(&lock->beside))
		return result;
	/* It lost its name meanwhile. */
	ps_beside_unlock(&lock->beside, PS_BESIDE_CHECKPOINT);
	return PS_BESIDE_BUSY;
}

static enum ps_checkpoint_right right_of(const struct ps_checkpoint_lock *lock)
{
	return lock->alone_safe || lock->heard ? PS_CHECKPOINT_ANY : PS_CHECKPOINT_LOCKED;
}

enum ps_checkpoint_right ps_checkpoint_lock_take(struct ps_checkpoint_lock *lock)
{
	if (lock->taken)
		return right_of(lock);
	switch (lock_named(lock)) {
	case PS_BESIDE_LOCKED:
		lock->taken = true;
		return right_of(lock);
	case PS_BESIDE_BUSY:
	case PS_BESIDE_NOT_TOLD:
		return PS_CHECKPOINT_NOT;
	default:
		/* What was committed may be copied already by one who has no lock either: it is never `taken`. */
		return ps_checkpoint_lock_problem(lock) == NULL ? right_of(lock) : PS_CHECKPOINT_NOT;
	}
}

void ps_checkpoint_lock_hear(struct ps_checkpoint_lock *lock)
{
	lock->heard = lock->taken;
}

void ps_checkpoint_lock_use(struct ps_checkpoint_lock *lock)
{
	lock->heard = false;
}

void ps_checkpoint_lock_drop(struct ps_checkpoint_lock *lock)
{
	if (lock->taken && !ps_beside_unlock(&lock->beside, PS_BESIDE_CHECKPOINT))
		lock->error = ps_beside_reopen(&lock->beside);
	lock->taken = lock->heard = false;
}

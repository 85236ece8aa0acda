/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/spin.h"

#include "core/atomic.h"

#define MISSES_MAX 6
#define PAUSES_MAX 16 /* half a microsecond or so */

bool ps_spin_due(struct ps_spin *spin)
{
	uint32_t skip = ps_load_relaxed_u32(&spin->skip);

	if (skip == 0)
		return true;
	ps_store_relaxed_u32(&spin->skip, skip - 1);
	return false;
}

void ps_spin_learn(struct ps_spin *spin, bool found)
{
	uint32_t misses = found ? 0 : ps_load_relaxed_u32(&spin->misses) + 1;

	if (misses > MISSES_MAX)
		misses = MISSES_MAX;
	ps_store_relaxed_u32(&spin->misses, misses);
	ps_store_relaxed_u32(&spin->skip, (UINT32_C(1) << misses) - 1);
}

void ps_spin_pause(unsigned *looks)
{
	unsigned pauses = *looks < PAUSES_MAX ? ++*looks : PAUSES_MAX;

	ps_stalls(pauses);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/fault.h"

#include <string.h>

#include "core/atomic.h"

static const char *const names[] = {
#define X(identifier, name) #name,
	PS_FAULT_LIST(X)
#undef X
};

static struct {
	uint32_t point; /* written last when armed */
	uint64_t passed;
	uint64_t skip;
	uint64_t count;
} fault = { .point = PS_FAULT_NONE };

bool ps_fault(enum ps_fault_point point)
{
	uint64_t passed;

	/* F2: with the point come skip and count; pairs with F1 in ps_fault_arm. */
	if (ps_load_acquire_u32(&fault.point) != (uint32_t)point)
		return false;
	passed = ps_add_u64(&fault.passed, 1);
	return passed >= fault.skip && passed - fault.skip < fault.count;
}

bool ps_fault_arm(const char *name, uint64_t skip, uint64_t count)
{
	uint32_t point = 0;

	while (point < PS_FAULT_NONE && strcmp(names[point], name) != 0)
		point++;
	if (point == PS_FAULT_NONE)
		return false;
	ps_fault_disarm();
	ps_store_relaxed_u64(&fault.passed, 0);
	fault.skip = skip;
	fault.count = count;
	/* F1: skip and count before the point; pairs with F2 in ps_fault. */
	ps_store_release_u32(&fault.point, point);
	return true;
}

void ps_fault_disarm(void)
{
	ps_store_release_u32(&fault.point, PS_FAULT_NONE);
}

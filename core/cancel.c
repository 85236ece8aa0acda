/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/cancel.h"

#include "core/error.h"
#include "core/thread.h"

int penstock_handle_cancel(penstock_handle *handle)
{
	uint32_t found = PS_CANCEL_IDLE;

	if (handle == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_handle_cancel: the handle is NULL");
	if (handle->fork_generation != ps_fork_generation())
		return ps_refuse(PENSTOCK_FORKED);
	if (ps_cas_u32(&handle->cancel, &found, PS_CANCEL_CANCELLED)) {
		/* K1: the handle before the count (the swap is a full barrier); pairs with K2 in ps_cancel_count. */
		ps_add_u32(&handle->bell->cancels, 1);
		return PENSTOCK_OK;
	}
	switch ((enum ps_cancel)found) {
	case PS_CANCEL_CANCELLED:
		return PENSTOCK_OK;
	case PS_CANCEL_NEVER:
		return ps_error(PENSTOCK_MISUSE, "only what was submitted with the flag PENSTOCK_CANCELLABLE can be cancelled");
	default:
		return ps_refuse(PENSTOCK_TOO_LATE);
	}
}

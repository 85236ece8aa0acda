/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * submit.h - what else than a statement may enter the ring
 */
#ifndef PENSTOCK_SUBMIT_H
#define PENSTOCK_SUBMIT_H

#include "core/penstock.h"
#include "queue/record.h"

/*
 * Submits a record that has its kind and its payload, which lies in the slot; the rest is filled in here. whole: what is asked for, or
 * NULL; a submission without text, statement and values (else MISUSE). As penstock_submit. Any thread.
 */
int ps_submit_record(penstock *db, struct ps_record *record, const penstock_submission *whole, int64_t timeout_usec,
                     penstock_handle **handle);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.h - a statement with one value of any size that writes nothing, so that the file does not grow with it
 */
#ifndef PENSTOCK_BENCH_PAYLOAD_H
#define PENSTOCK_BENCH_PAYLOAD_H

#define BENCH_PAYLOAD_INSERT "INSERT INTO t(b) SELECT ? WHERE 0"

#endif

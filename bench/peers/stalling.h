/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stalling.h - a record whose copying can be stopped
 *
 * The C++ queues have no call between taking a place and showing the record, but in between they copy it: so a record
 * with a copy of its own stops them there. Only the case `stalled` runs queues of this; all others move the plain one.
 */
#ifndef PENSTOCK_BENCH_STALLING_H
#define PENSTOCK_BENCH_STALLING_H

#include <cstring>

#include "bench/peers/peers.h"

struct StallingRecord : bench_record {
	/* This thread's next copy stops here. */
	static inline thread_local bench_stall *stall = nullptr;

	StallingRecord() : bench_record()
	{
	}
	StallingRecord(const StallingRecord &other) : bench_record(other)
	{
		StopHere();
	}
	StallingRecord &operator=(const StallingRecord &other)
	{
		std::memcpy(word, other.word, sizeof word);
		StopHere();
		return *this;
	}

private:
	static void StopHere()
	{
		bench_stall *here = stall;

		if (__builtin_expect(here != nullptr, 0)) {
			stall = nullptr;
			bench_stall_here(here);
		}
	}
};

#endif

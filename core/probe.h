/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h - probes (USDT) for bpftrace, perf and gdb, to be looked at while a program runs
 *
 * Where <sys/sdt.h> is there (Debian: systemtap-sdt-dev; Meson's option `probes`), a probe is one nop, and a note in the ELF file that
 * says where it is and in which registers and memory its arguments lie. Who looks puts a breakpoint in place of the nop.
 * Without the header a probe is nothing.
 *
 * Invariants
 *   1. A probe that nobody looks at costs its nop: an argument is what is in a register or in memory anyway.
 *   2. Each probe is in the list, with as many arguments as it says there. Nobody else includes <sys/sdt.h>.
 *   3. The first argument is the engine (`penstock *`), to tell engines apart and no more: a verb may be about to free it.
 *
 * Failure modes: none. One that is looked at takes a microsecond or two, also inside a read section or the writer.
 *
 * docs/probes.md is for who looks. Names and arguments may change with any version.
 */
#ifndef PENSTOCK_PROBE_H
#define PENSTOCK_PROBE_H

/* X(name, number of arguments); their names are those of docs/probes.md */
#define PS_PROBE_LIST(X)                                                                               \
	X(submit, 3)      /* engine, ticket, bytes: a submission was accepted */                       \
	X(full, 3)        /* engine, bytes, waits: a submit found no room */                           \
	X(batch_begin, 3) /* engine, ticket, queued: the writer takes what is there */                 \
	X(batch_end, 3)   /* engine, ticket, statements: all of them have their outcome */             \
	X(commit, 3)      /* engine, statements, nsec: a transaction is committed */                   \
	X(replay, 3)      /* engine, ticket, statements: rolled back or cut short, they run (again) */ \
	X(outcome, 4)     /* engine, ticket, status, nsec: since submit, or 0: not timed */            \
	X(checkpoint, 4)  /* engine, nsec, wal_bytes, blocked: a checkpoint is over */                 \
	X(park, 2)        /* engine, ticket: the writer goes to sleep until that is submitted */       \
	X(wake, 1)        /* engine: this thread wakes the writer */                                   \
	X(verb, 4)        /* engine, name, status, path: a control verb returns */

enum ps_probe_arguments {
#define PS_PROBE_ENUM(name, count) PS_PROBE_##name = (count),
	PS_PROBE_LIST(PS_PROBE_ENUM)
#undef PS_PROBE_ENUM
};

#ifdef PENSTOCK_PROBES

#define SDT_USE_VARIADIC /* STAP_PROBEV */
#include <sys/sdt.h>

#define PS_PROBE_COUNT(...) PS_PROBE_FIFTH(__VA_ARGS__, 4, 3, 2, 1, 0)
#define PS_PROBE_FIFTH(a, b, c, d, e, ...) e
#define PS_PROBE(name, ...)                                                                               \
	do {                                                                                              \
		_Static_assert(PS_PROBE_##name == PS_PROBE_COUNT(__VA_ARGS__), "as many as in the list"); \
		STAP_PROBEV(penstock, name, __VA_ARGS__);                                                 \
	} while (0)

#else

#define PS_PROBE(name, ...) ((void)PS_PROBE_##name)

#endif

#endif

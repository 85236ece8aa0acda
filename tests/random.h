/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * random.h - chance from a seed, for tests that can be run again
 *
 * splitmix64 (Steele, Lea, Flood 2014): any state will do, neighbouring ones too.
 */
#ifndef PENSTOCK_RANDOM_H
#define PENSTOCK_RANDOM_H

#include <stdint.h>

#define RANDOM_GAMMA UINT64_C(0x9e3779b97f4a7c15)

/* What the generator gives in this state. */
static inline uint64_t random_mix(uint64_t state)
{
	uint64_t z = state + RANDOM_GAMMA;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t number = random_mix(*state);

	*state += RANDOM_GAMMA;
	return number;
}

static inline unsigned random_below(uint64_t *state, unsigned bound)
{
	return (unsigned)(random_next(state) % bound);
}

#endif

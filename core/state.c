/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/state.h"

#include <assert.h>
#include <stdlib.h>

#define TO(phase) (1u << (phase))

/* The moves of the diagram. */
__attribute__((unused)) static const unsigned allowed[PS_PHASES] = {
	/* a release build asserts nothing */
	[PS_NEW] = TO(PS_RUNNING) | TO(PS_STOPPED) | TO(PS_CLOSED),
	[PS_STOPPED] = TO(PS_RUNNING) | TO(PS_CLOSED),
	[PS_RUNNING] = TO(PS_PAUSING) | TO(PS_STOPPING) | TO(PS_FAILED),
	[PS_PAUSING] = TO(PS_PAUSED) | TO(PS_RUNNING) | TO(PS_STOPPING) | TO(PS_FAILED),
	[PS_PAUSED] = TO(PS_RUNNING) | TO(PS_STOPPING) | TO(PS_FAILED),
	[PS_STOPPING] = TO(PS_STOPPED) | TO(PS_FAILED),
	[PS_FAILED] = TO(PS_STOPPED),
	[PS_CLOSED] = TO(PS_STOPPED), /* a close that timed out */
};

static int admission(enum ps_phase phase, const struct ps_keys *keys)
{
	switch (phase) {
	case PS_NEW:
	case PS_RUNNING:
		return PENSTOCK_OK;
	case PS_PAUSING:
	case PS_PAUSED:
		return keys->when_paused == PENSTOCK_HOLD ? PENSTOCK_OK : PENSTOCK_PAUSED;
	case PS_STOPPED:
	case PS_STOPPING:
		return keys->when_stopped == PENSTOCK_HOLD ? PENSTOCK_OK : PENSTOCK_STOPPED;
	case PS_FAILED:
		return PENSTOCK_FAILED;
	case PS_CLOSED:
		break;
	}
	return PENSTOCK_STOPPED;
}

bool ps_state_init(struct ps_state_word *word, const struct ps_keys *keys)
{
	word->current = malloc(sizeof *word->current);
	word->reserve = malloc(sizeof *word->reserve);
	if (word->current == NULL || word->reserve == NULL) {
		ps_state_destroy(word);
		return false;
	}
	*word->current = (struct ps_state){ .phase = PS_NEW, .keys = *keys, .admit = admission(PS_NEW, keys) };
	return true;
}

void ps_state_destroy(struct ps_state_word *word)
{
	free(word->current);
	free(word->reserve);
	word->current = NULL;
	word->reserve = NULL;
}

static void replace(struct ps_state_word *word, enum ps_phase phase, const struct ps_keys *keys)
{
	struct ps_state *old = word->current;
	struct ps_state *new = word->reserve;

	*new = (struct ps_state){ .phase = phase, .keys = *keys, .admit = admission(phase, keys) };
	/* S1: the fields before the address; pairs with S2 in ps_state_read. */
#ifdef PENSTOCK_UNDER_TSAN
	__atomic_store_n(&word->current, new, __ATOMIC_RELEASE);
#else
	rcu_set_pointer(&word->current, new);
#endif
	ps_rcu_synchronize(&word->reserve);
	/* Nobody reads the old record any more: it is the reserve of the next move, so a move never allocates. */
	word->reserve = old;
}

void ps_state_move(struct ps_state_word *word, enum ps_phase phase)
{
	struct ps_keys keys = word->current->keys;

	assert(allowed[word->current->phase] & TO(phase));
	replace(word, phase, &keys);
}

void ps_state_retune(struct ps_state_word *word, const struct ps_keys *keys)
{
	replace(word, word->current->phase, keys);
}

struct ps_keys ps_state_keys(struct ps_state_word *word)
{
	struct ps_keys keys;

	ps_rcu_enter();
	keys = ps_state_read(word)->keys;
	ps_state_leave(word);
	return keys;
}

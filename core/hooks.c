/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/hooks.h"

#include <pthread.h>
#include <stdlib.h>

struct ps_hooks {
	pthread_mutex_t mutex;
	struct ps_hook *first;
	struct ps_hook **end;
};

struct ps_hooks *ps_hooks_new(void)
{
	struct ps_hooks *hooks = malloc(sizeof *hooks);

	if (hooks == NULL)
		return NULL;
	if (pthread_mutex_init(&hooks->mutex, NULL) != 0) {
		free(hooks);
		return NULL;
	}
	hooks->first = NULL;
	hooks->end = &hooks->first;
	return hooks;
}

void ps_hooks_free(struct ps_hooks *hooks)
{
	struct ps_hook *hook;

	if (hooks == NULL)
		return;
	while ((hook = hooks->first) != NULL) {
		hooks->first = hook->next;
		free(hook);
	}
	pthread_mutex_destroy(&hooks->mutex);
	free(hooks);
}

struct ps_hook *ps_hook_new(penstock_connect_hook *function, void *arg)
{
	struct ps_hook *hook = malloc(sizeof *hook);

	if (hook != NULL)
		*hook = (struct ps_hook){ .function = function, .arg = arg };
	return hook;
}

void ps_hooks_add(struct ps_hooks *hooks, struct ps_hook *hook)
{
	pthread_mutex_lock(&hooks->mutex);
	*hooks->end = hook;
	hooks->end = &hook->next;
	pthread_mutex_unlock(&hooks->mutex);
}

const struct ps_hook *ps_hooks_next(struct ps_hooks *hooks, const struct ps_hook *hook)
{
	const struct ps_hook *next;

	if (hooks == NULL)
		return NULL;
	pthread_mutex_lock(&hooks->mutex);
	next = hook == NULL ? hooks->first : hook->next;
	pthread_mutex_unlock(&hooks->mutex);
	return next;
}

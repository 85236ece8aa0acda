/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/events.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MOST 1000

struct event {
	struct event *next;
	bool error; /* of on_error; otherwise the log's */
	int first;  /* status, or level */
	int second; /* extended code, or event */
	char message[];
};

bool events_begin(struct events *events)
{
	pthread_mutex_init(&events->guard, NULL);
	events->first = NULL;
	events->last = &events->first;
	events->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (events->descriptor < 0)
		PyErr_SetFromErrno(PyExc_OSError);
	return events->descriptor >= 0;
}

static void drop(struct event *event)
{
	struct event *next;

	for (; event != NULL; event = next) {
		next = event->next;
		free(event);
	}
}

void events_end(struct events *events)
{
	drop(events->first);
	events->first = NULL;
	if (events->descriptor >= 0)
		close(events->descriptor);
	pthread_mutex_destroy(&events->guard);
}

static void add(struct events *events, bool error, int first, int second, const char *message)
{
	struct event *event = malloc(sizeof *event + strlen(message) + 1);
	uint64_t one = 1;
	bool kept = false;

	if (event == NULL)
		return;
	event->next = NULL;
	event->error = error;
	event->first = first;
	event->second = second;
	memcpy(event->message, message, strlen(message) + 1);
	pthread_mutex_lock(&events->guard);
	if (events->count < MOST) {
		*events->last = event;
		events->last = &event->next;
		events->count++;
		kept = true;
	}
	pthread_mutex_unlock(&events->guard);
	if (!kept)
		free(event);
	else if (write(events->descriptor, &one, sizeof one) < 0)
		return; /* it is readable already */
}

void events_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	add(&((engine *)arg)->events, false, (int)level, (int)event, message);
}

void events_error(void *arg, const penstock_result *result)
{
	add(&((engine *)arg)->events, true, (int)result->status, result->extended_code, result->message);
}

PyObject *events_take(PyObject *object, PyObject *unused)
{
	struct events *events = &((engine *)object)->events;
	struct event *first, *event;
	PyObject *list = PyList_New(0), *one;
	uint64_t count;

	(void)unused;
	pthread_mutex_lock(&events->guard);
	first = events->first;
	events->first = NULL;
	events->last = &events->first;
	events->count = 0;
	if (read(events->descriptor, &count, sizeof count) < 0)
		count = 0;
	pthread_mutex_unlock(&events->guard);
	for (event = first; list != NULL && event != NULL; event = event->next) {
		one = Py_BuildValue("(siiN)", event->error ? "error" : "log", event->first, event->second,
		                    py_text(event->message));
		if (one == NULL || PyList_Append(list, one) < 0)
			Py_CLEAR(list);
		Py_XDECREF(one);
	}
	drop(first);
	return list;
}

PyObject *events_fileno(PyObject *object, PyObject *unused)
{
	(void)unused;
	return PyLong_FromLong(((engine *)object)->events.descriptor);
}

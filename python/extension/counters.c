/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/counters.h"

#include <stdlib.h>

#include "python/extension/engine.h"

#define FIELDS(X)              \
	X(accepted)            \
	X(committed)           \
	X(failed)              \
	X(unknown)             \
	X(shutdown)            \
	X(expired)             \
	X(cancelled)           \
	X(batches)             \
	X(replayed_batches)    \
	X(replayed_statements) \
	X(alone)               \
	X(fused)               \
	X(queue_depth)         \
	X(queue_depth_max)     \
	X(queue_bytes)         \
	X(full_events)         \
	X(full_nsec)           \
	X(parks)               \
	X(wakes)               \
	X(busy_retries)        \
	X(wal_bytes)           \
	X(wal_bytes_peak)      \
	X(checkpoints)         \
	X(checkpoint_nsec)     \
	X(checkpoints_blocked) \
	X(wal_syncs)           \
	X(schema_reprepares)   \
	X(turns)               \
	X(turns_waited)        \
	X(turns_wait_nsec)     \
	X(turns_skipped)       \
	X(turns_succeeded)     \
	X(turns_missed)

static bool set(PyObject *dict, const char *name, uint64_t number)
{
	PyObject *value = PyLong_FromUnsignedLongLong(number);
	bool good = value != NULL && PyDict_SetItemString(dict, name, value) == 0;

	Py_XDECREF(value);
	return good;
}

static bool set_histogram(PyObject *dict, const char *name, const penstock_histogram *histogram)
{
	PyObject *value = Py_BuildValue("{sKsKsKsKsK}", "count", (unsigned long long)histogram->count, "sum",
	                                (unsigned long long)histogram->sum, "max", (unsigned long long)histogram->max, "p50",
	                                (unsigned long long)penstock_histogram_quantile(histogram, 0.5), "p99",
	                                (unsigned long long)penstock_histogram_quantile(histogram, 0.99));
	bool good = value != NULL && PyDict_SetItemString(dict, name, value) == 0;

	Py_XDECREF(value);
	return good;
}

static bool set_refused(PyObject *dict, const penstock_counters *counters)
{
	PyObject *refused = PyDict_New();
	bool good = refused != NULL;
	int status;

	for (status = 0; good && status < PENSTOCK_STATUS_LIMIT; status++) {
		if (counters->refused[status] > 0)
			good = set(refused, penstock_status_name(status), counters->refused[status]);
	}
	good = good && PyDict_SetItemString(dict, "refused", refused) == 0;
	Py_XDECREF(refused);
	return good;
}

PyObject *counters_read(PyObject *object, PyObject *unused)
{
	engine *self = (engine *)object;
	penstock_counters counters;
	PyObject *dict;
	int status;

	(void)unused;
	counters.struct_size = sizeof counters;
	if (!engine_usable(self))
		return NULL;
	status = penstock_counters_read(self->db, &counters);
	if (status != PENSTOCK_OK)
		return engine_raise(self, status);
	dict = PyDict_New();
#define SET(field)                                              \
	if (dict != NULL && !set(dict, #field, counters.field)) \
		Py_CLEAR(dict);
	FIELDS(SET)
#undef SET
	if (dict != NULL && (!set_refused(dict, &counters) || !set_histogram(dict, "batch_size", &counters.batch_size) ||
	                     !set_histogram(dict, "commit_nsec", &counters.commit_nsec) ||
	                     !set_histogram(dict, "outcome_nsec", &counters.outcome_nsec)))
		Py_CLEAR(dict);
	return dict;
}

/* The text of engines that the caller holds on to. */
static PyObject *text_of(penstock *const *engines, const char *const *names, size_t count)
{
	PyObject *result = NULL;
	size_t room = 0, length;
	int status = penstock_metrics_prometheus(engines, names, count, NULL, 0, &room);
	char *text = status == PENSTOCK_OK ? malloc(room) : NULL;

	if (status != PENSTOCK_OK)
		return py_raise_last(status);
	if (text == NULL)
		return PyErr_NoMemory();
	status = penstock_metrics_prometheus(engines, names, count, text, room, &length);
	result = status == PENSTOCK_OK ? PyUnicode_FromStringAndSize(text, (Py_ssize_t)length) : py_raise_last(status);
	free(text);
	return result;
}

PyObject *counters_metrics(PyObject *module, PyObject *args)
{
	PyObject *list, *names_list, *result = NULL, *name;
	penstock **engines;
	const char **names;
	size_t count, i;

	(void)module;
	if (!PyArg_ParseTuple(args, "O!O!:metrics", &PyList_Type, &list, &PyList_Type, &names_list))
		return NULL;
	count = (size_t)PyList_Size(list);
	engines = calloc(count + 1, sizeof *engines);
	names = calloc(count + 1, sizeof *names);
	for (i = 0; engines != NULL && names != NULL && i < count; i++) {
		engine *self = (engine *)PyList_GetItem(list, (Py_ssize_t)i);

		name = PyList_GetItem(names_list, (Py_ssize_t)i);
		if (name == NULL || !engine_usable(self) ||
		    (name != Py_None && (names[i] = PyUnicode_AsUTF8AndSize(name, NULL)) == NULL))
			break;
		engines[i] = self->db;
	}
	if (engines == NULL || names == NULL)
		PyErr_NoMemory();
	else if (i == count)
		result = text_of(engines, names, count);
	free(engines);
	free(names);
	return result;
}

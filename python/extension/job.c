/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/job.h"

#include <stdlib.h>

#include "python/extension/call.h"
#include "python/extension/wait.h"

static bool sql_of(penstock_submission *submission, PyObject *text)
{
	Py_ssize_t bytes;

	if (!PyUnicode_Check(text)) {
		PyErr_Format(PyExc_TypeError, "a statement is a str, not %R", Py_TYPE(text));
		return false;
	}
	submission->sql = PyUnicode_AsUTF8AndSize(text, &bytes);
	submission->sql_bytes = bytes;
	return submission->sql != NULL;
}

static bool member_of(struct job *job, size_t index)
{
	PyObject *what = PyTuple_GetItem(job->sequence, (Py_ssize_t)index), *params = NULL;
	penstock_submission *member = &job->members[index];
	size_t before = job->values.count;

	penstock_submission_init(member);
	if (!PyUnicode_Check(what)) {
		if (!PyTuple_Check(what) || PyTuple_Size(what) != 2) {
			PyErr_SetString(PyExc_TypeError, "a member of a group is a str, or a tuple of a str and its params");
			return false;
		}
		params = PyTuple_GetItem(what, 1);
		what = PyTuple_GetItem(what, 0);
	}
	if (!sql_of(member, what) || !values_add(&job->values, params))
		return false;
	member->value_count = job->values.count - before;
	return true;
}

static bool group_of(struct job *job, PyObject *what)
{
	const penstock_value *values;
	size_t i;

	job->sequence = PySequence_Tuple(what);
	if (job->sequence == NULL)
		return false;
	job->count = (size_t)PyTuple_Size(job->sequence);
	job->members = malloc((job->count + 1) * sizeof *job->members);
	if (job->members == NULL) {
		PyErr_NoMemory();
		return false;
	}
	for (i = 0; i < job->count; i++) {
		if (!member_of(job, i))
			return false;
	}
	/* They may have moved until now. */
	for (i = 0, values = job->values.all; i < job->count; i++) {
		job->members[i].values = values;
		values += job->members[i].value_count;
	}
	return true;
}

static bool statement_of(struct job *job, PyObject *what, PyObject *params)
{
	if (!sql_of(&job->whole, what) || !values_add(&job->values, params))
		return false;
	job->whole.values = job->values.all;
	job->whole.value_count = job->values.count;
	return true;
}

bool job_begin(struct job *job, engine *self, PyObject *what, PyObject *params, int flags, int64_t deadline_usec)
{
	job->db = self->db;
	job->members = NULL;
	job->sequence = NULL;
	job->call = NULL;
	values_begin(&job->values);
	penstock_submission_init(&job->whole);
	if ((flags & JOB_DURABLE) != 0)
		job->whole.ack = PENSTOCK_ACK_DURABLE;
	if ((flags & JOB_UNHEARD) != 0)
		job->whole.ack = PENSTOCK_ACK_NONE;
	if ((flags & JOB_ALONE) != 0)
		job->whole.flags |= PENSTOCK_RUN_ALONE;
	if ((flags & JOB_CANCELLABLE) != 0)
		job->whole.flags |= PENSTOCK_CANCELLABLE;
	job->whole.deadline_usec = deadline_usec;
	if (self->closing || self->db == NULL) {
		py_raise(PENSTOCK_STOPPED, "the database is closed", 0, 0);
		return false;
	}
	if (PyUnicode_Check(what))
		return statement_of(job, what, params);
	if (PyList_Check(what) || PyTuple_Check(what))
		return group_of(job, what);
	if (!PyCallable_Check(what)) {
		PyErr_Format(PyExc_TypeError, "%R is no statement, no group and no function", Py_TYPE(what));
		return false;
	}
	call_sweep(self, false);
	job->call = call_new(what);
	return job->call != NULL;
}

void job_end(struct job *job)
{
	values_free(&job->values);
	free(job->members);
	Py_CLEAR(job->sequence);
	if (job->call != NULL) {
		Py_DECREF(job->call->function);
		free(job->call);
	}
}

static int submit(void *arg, int64_t timeout_usec)
{
	struct job *job = arg;

	if (job->members != NULL)
		return penstock_submit_group(job->db, job->members, job->count, &job->whole, timeout_usec, job->handle);
	if (job->call != NULL)
		return penstock_call(job->db, call_run, job->call, &job->whole, timeout_usec, job->handle);
	return penstock_submit(job->db, &job->whole, timeout_usec, job->handle);
}

int job_submit(struct job *job, engine *self, int64_t timeout_usec, penstock_handle **handle)
{
	int status;

	job->handle = handle;
	/* Adapters may have run Python since the job began. */
	status = self->closing ? PENSTOCK_STOPPED : submit(job, 0);
	if (status == PENSTOCK_FULL && timeout_usec != 0)
		status = py_wait(self, submit, job, timeout_usec);
	if (status == PENSTOCK_OK)
		job->call = NULL;
	return status;
}

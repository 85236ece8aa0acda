/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/gil.h"

static pthread_key_t thread_states;

/* By then the thread has forgotten what Python's own key led to, so PyGILState_Release would find nothing. */
static void give_back(void *thread_state)
{
	if (py_finalizing)
		return;
	PyEval_RestoreThread(thread_state);
	PyThreadState_Clear(thread_state);
	PyEval_SaveThread();
	PyThreadState_Delete(thread_state);
}

bool gil_begin(void)
{
	static bool begun;

	if (!begun && pthread_key_create(&thread_states, give_back) != 0) {
		PyErr_NoMemory();
		return false;
	}
	begun = true;
	return true;
}

bool gil_enter(PyGILState_STATE *state)
{
	if (py_finalizing)
		return false;
	if (PyGILState_GetThisThreadState() == NULL) {
		PyGILState_Ensure();
		/* Its count stays at one, so the pairs below never bring the thread state to its end. */
		pthread_setspecific(thread_states, PyEval_SaveThread());
	}
	*state = PyGILState_Ensure();
	return true;
}

void gil_leave(PyGILState_STATE state)
{
	PyGILState_Release(state);
}

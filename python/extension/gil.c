/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/gil.h"

/*
 * glibc's own, behind C++'s thread_local. These run before the destructors of pthread's keys, and so while Python's key still leads to the
 * thread state: without it PyGILState_Release finds nothing, and Python's debugging allocator takes the GIL for not held.
 */
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library);
extern void *__dso_handle;

static void give_back(void *thread_state)
{
	if (py_finalizing)
		return;
	PyEval_RestoreThread(thread_state);
	PyGILState_Release(PyGILState_UNLOCKED);
}

static _Thread_local unsigned depth;

bool gil_inside(void)
{
	return depth > 0;
}

bool gil_enter(PyGILState_STATE *state)
{
	if (py_finalizing)
		return false;
	if (PyGILState_GetThisThreadState() == NULL) {
		PyGILState_Ensure();
		/* Its count stays at one, so the pairs below never bring the thread state to its end. */
		__cxa_thread_atexit_impl(give_back, PyEval_SaveThread(), &__dso_handle);
	}
	*state = PyGILState_Ensure();
	depth++;
	return true;
}

void gil_leave(PyGILState_STATE state)
{
	depth--;
	PyGILState_Release(state);
}

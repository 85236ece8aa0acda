/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h - the message of the last failing call, per thread
 *
 * A public call that fails returns ps_error(status, format, ...): the text goes to a buffer of the calling thread (thread.h),
 * where penstock_error_message finds it; without memory for that buffer it is the status's own sentence. A refusal on the submit path returns ps_refuse(status), which only remembers the number:
 * the sentence of the status list is looked up when somebody asks.
 */
#ifndef PENSTOCK_ERROR_H
#define PENSTOCK_ERROR_H

#include "core/penstock.h"

/* Sets the thread's message and returns status, so that `return ps_error(...)` reads well. */
int ps_error(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
int ps_refuse(int status);
/*
 * What this library does not know of a struct of the program's must be zero: OK, or MISUSE. prefix and what begin and name it in the
 * message.
 */
int ps_check_tail(const char *prefix, const char *what, const void *given, size_t size, size_t known);

#endif

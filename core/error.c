/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/thread.h"

int ps_error(int status, const char *format, ...)
{
	struct ps_thread_heap *heap = ps_thread_heap();
	va_list arguments;

	if (heap == NULL)
		return ps_refuse(status);
	va_start(arguments, format);
	vsnprintf(heap->message, sizeof heap->message, format, arguments);
	va_end(arguments);
	ps_thread.refused = 0;
	return status;
}

int ps_refuse(int status)
{
	ps_thread.refused = status;
	return status;
}

int ps_check_tail(const char *prefix, const char *what, const void *given, size_t size, size_t known)
{
	for (size_t i = known; i < size; i++) {
		if (((const char *)given)[i] != 0)
			return ps_error(PENSTOCK_MISUSE,
			                "%sbyte %zu of %s is set, but this library, %s, knows only %zu: it is older than the"
			                " penstock.h of the program",
			                prefix, i, what, PENSTOCK_VERSION, known);
	}
	return PENSTOCK_OK;
}

const char *penstock_error_message(void)
{
	if (ps_thread.refused != 0)
		return penstock_status_text(ps_thread.refused);
	return ps_thread.heap != NULL ? ps_thread.heap->message : "";
}

const char *penstock_status_name(int status)
{
	switch (status) {
#define NAME(name, number, sentence) \
	case number:                 \
		return "PENSTOCK_" #name;
		PENSTOCK_STATUS_LIST(NAME)
#undef NAME
	}
	return "PENSTOCK_?";
}

const char *penstock_status_text(int status)
{
	switch (status) {
#define TEXT(name, number, sentence) \
	case number:                 \
		return sentence;
		PENSTOCK_STATUS_LIST(TEXT)
#undef TEXT
	}
	return "no such status";
}

/* clang-format off */
/* sqlite3.h of 3.40.1, "Result Codes" and "Extended Result Codes"; newer codes are guarded. */
#define SQLITE_CODES(X)                                                                                                \
	X(SQLITE_OK) X(SQLITE_ERROR) X(SQLITE_INTERNAL) X(SQLITE_PERM) X(SQLITE_ABORT) X(SQLITE_BUSY) X(SQLITE_LOCKED) \
	X(SQLITE_NOMEM) X(SQLITE_READONLY) X(SQLITE_INTERRUPT) X(SQLITE_IOERR) X(SQLITE_CORRUPT) X(SQLITE_NOTFOUND)    \
	X(SQLITE_FULL) X(SQLITE_CANTOPEN) X(SQLITE_PROTOCOL) X(SQLITE_EMPTY) X(SQLITE_SCHEMA) X(SQLITE_TOOBIG)         \
	X(SQLITE_CONSTRAINT) X(SQLITE_MISMATCH) X(SQLITE_MISUSE) X(SQLITE_NOLFS) X(SQLITE_AUTH) X(SQLITE_FORMAT)       \
	X(SQLITE_RANGE) X(SQLITE_NOTADB) X(SQLITE_NOTICE) X(SQLITE_WARNING) X(SQLITE_ROW) X(SQLITE_DONE)               \
	X(SQLITE_ERROR_MISSING_COLLSEQ) X(SQLITE_ERROR_RETRY) X(SQLITE_ERROR_SNAPSHOT) X(SQLITE_IOERR_READ)            \
	X(SQLITE_IOERR_SHORT_READ) X(SQLITE_IOERR_WRITE) X(SQLITE_IOERR_FSYNC) X(SQLITE_IOERR_DIR_FSYNC)               \
	X(SQLITE_IOERR_TRUNCATE) X(SQLITE_IOERR_FSTAT) X(SQLITE_IOERR_UNLOCK) X(SQLITE_IOERR_RDLOCK)                   \
	X(SQLITE_IOERR_DELETE) X(SQLITE_IOERR_BLOCKED) X(SQLITE_IOERR_NOMEM) X(SQLITE_IOERR_ACCESS)                    \
	X(SQLITE_IOERR_CHECKRESERVEDLOCK) X(SQLITE_IOERR_LOCK) X(SQLITE_IOERR_CLOSE) X(SQLITE_IOERR_DIR_CLOSE)         \
	X(SQLITE_IOERR_SHMOPEN) X(SQLITE_IOERR_SHMSIZE) X(SQLITE_IOERR_SHMLOCK) X(SQLITE_IOERR_SHMMAP)                 \
	X(SQLITE_IOERR_SEEK) X(SQLITE_IOERR_DELETE_NOENT) X(SQLITE_IOERR_MMAP) X(SQLITE_IOERR_GETTEMPPATH)             \
	X(SQLITE_IOERR_CONVPATH) X(SQLITE_IOERR_VNODE) X(SQLITE_IOERR_AUTH) X(SQLITE_IOERR_BEGIN_ATOMIC)               \
	X(SQLITE_IOERR_COMMIT_ATOMIC) X(SQLITE_IOERR_ROLLBACK_ATOMIC) X(SQLITE_IOERR_DATA)                             \
	X(SQLITE_IOERR_CORRUPTFS) X(SQLITE_LOCKED_SHAREDCACHE) X(SQLITE_LOCKED_VTAB) X(SQLITE_BUSY_RECOVERY)           \
	X(SQLITE_BUSY_SNAPSHOT) X(SQLITE_BUSY_TIMEOUT) X(SQLITE_CANTOPEN_NOTEMPDIR) X(SQLITE_CANTOPEN_ISDIR)           \
	X(SQLITE_CANTOPEN_FULLPATH) X(SQLITE_CANTOPEN_CONVPATH) X(SQLITE_CANTOPEN_DIRTYWAL)                            \
	X(SQLITE_CANTOPEN_SYMLINK) X(SQLITE_CORRUPT_VTAB) X(SQLITE_CORRUPT_SEQUENCE) X(SQLITE_CORRUPT_INDEX)           \
	X(SQLITE_READONLY_RECOVERY) X(SQLITE_READONLY_CANTLOCK) X(SQLITE_READONLY_ROLLBACK)                            \
	X(SQLITE_READONLY_DBMOVED) X(SQLITE_READONLY_CANTINIT) X(SQLITE_READONLY_DIRECTORY)                            \
	X(SQLITE_ABORT_ROLLBACK) X(SQLITE_CONSTRAINT_CHECK) X(SQLITE_CONSTRAINT_COMMITHOOK)                            \
	X(SQLITE_CONSTRAINT_FOREIGNKEY) X(SQLITE_CONSTRAINT_FUNCTION) X(SQLITE_CONSTRAINT_NOTNULL)                     \
	X(SQLITE_CONSTRAINT_PRIMARYKEY) X(SQLITE_CONSTRAINT_TRIGGER) X(SQLITE_CONSTRAINT_UNIQUE)                       \
	X(SQLITE_CONSTRAINT_VTAB) X(SQLITE_CONSTRAINT_ROWID) X(SQLITE_CONSTRAINT_PINNED)                               \
	X(SQLITE_CONSTRAINT_DATATYPE) X(SQLITE_NOTICE_RECOVER_WAL) X(SQLITE_NOTICE_RECOVER_ROLLBACK)                   \
	X(SQLITE_WARNING_AUTOINDEX) X(SQLITE_AUTH_USER)
/* clang-format on */

const char *penstock_code_name(int sqlite_code)
{
	switch (sqlite_code) {
#define CODE(code) \
	case code: \
		return #code;
		SQLITE_CODES(CODE)
#undef CODE
	}
	return NULL;
}

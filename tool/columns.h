/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * columns.h - which field of a record goes to which parameter
 *
 * Without a header, field n goes to parameter n. With one, a statement's named parameters (:name, @name, $name) and the columns of
 * --table get the field of that name, in whatever order a file has them; upper and lower case are the same, as in SQLite. Each input has
 * a header of its own.
 *
 * The statement itself is looked at by a reader's connection, before any record is run: what cannot be prepared, is more than one
 * statement or has no parameters is said once, and not for each record.
 */
#ifndef PENSTOCK_TOOL_COLUMNS_H
#define PENSTOCK_TOOL_COLUMNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "core/penstock.h"
#include "tool/records.h"

/* What a statement wants. */
struct target {
	size_t count; /* parameters */
	char **names; /* count of them; NULL for one without a name */
	bool named;   /* any has one */
};

/* Says what is wrong with the statement and returns false; what: the option it comes from. Free in any case. */
bool target_init(struct target *target, sqlite3 *reader, const char *what, const char *sql);
/* Its parameters are the columns of the header, in their order: those of columns_insert_sql. False: no memory. */
bool target_name_after(struct target *target, const struct batch *first);
void target_free(struct target *target);

/* Where an input's fields go. Zeroed, it changes nothing. */
struct columns {
	const char *null_text; /* a field of these bytes is NULL; or NULL */
	const size_t *fields;  /* for each parameter its field; NULL: in their order */
	size_t count;          /* parameters */
	size_t header_count;   /* fields that a record must have; 0: any */
	bool lax;              /* what is missing is NULL, and what is too much is left out */
	atomic_bool told;      /* that something was too much */
};

/* By the header, the batch's first record, if it is one. False: said, as for target_init. Free in any case. */
bool columns_init(struct columns *columns, const struct target *target, const struct batch *first, const char *file);
void columns_free(struct columns *columns);
/*
 * Puts a record's values where they belong: into `placed`, which has room for columns->count of them. NULL, or why the record
 * cannot be used. *extra: fields were left out, which is to be told.
 */
const char *columns_place(const struct columns *columns, const penstock_value *values, size_t count, penstock_value *placed,
                          bool *extra);

/*
 * The statements that --table and --create stand for; free with sqlite3_free, NULL without memory. By the header, or else by the number
 * of fields of the first record: then the columns of a new table are c1, c2 and so on. guess: INTEGER or REAL for a column that has
 * nothing else in `first`; otherwise all are TEXT.
 */
char *columns_create_sql(const char *table, const struct batch *first, bool guess);
char *columns_insert_sql(const char *table, const struct batch *first, size_t table_columns);

/* Whether the first record of an input that has no header looks like one. */
bool columns_look_named(const struct batch *first);

#endif

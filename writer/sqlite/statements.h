/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * statements.h - prepared statements: registered ones, and a cache of those that come as text
 *
 * A registered statement keeps its prepared form; text is looked up in a least recently used cache (a hash set and a list). Kept
 * is what inserts, updates, deletes or selects. Everything else is prepared for one use: it may act when it is prepared (a
 * pragma), do nothing because of what was there then (IF EXISTS), or put SQLite's picture of the schema in order before it runs
 * (DROP, which has views looked at anew). And once it has run, names may mean something else: a new table in temp goes before one
 * of the same name in main. SQLite does not notice that of a statement that it has prepared, so nothing is kept over it.
 *
 * Invariants
 *   1. Only the writer thread touches a prepared form; a registered statement's text never changes.
 *   2. Every prepared form is on one list of the store, so a disconnect finalizes them all.
 *   3. Nothing is prepared that the authorizer refuses: transaction control and the pragmas the engine depends on. Inside a
 *      batch that goes for what a function of the program prepares, too. (Not for what it prepared before.)
 *   4. What is kept means what it would mean if it were prepared now.
 *
 * Failure modes: an error in the text is the outcome of the submission; without memory the text is prepared uncached.
 */
#ifndef PENSTOCK_STATEMENTS_H
#define PENSTOCK_STATEMENTS_H

#include <stdbool.h>
#include <urcu/list.h>

#include "core/atomic.h"
#include "core/penstock.h"
#include "queue/record.h"
#include "writer/registry.h"
#include "writer/syntax.h"

struct ps_prepared {
	sqlite3_stmt *statement;   /* NULL: not prepared */
	struct cds_list_head link; /* in ps_statements.prepared, while prepared */
	int parameters;
	int columns;
	bool alone;        /* must not run in a batch */
	bool dml;          /* changes() is this statement's */
	bool read_only;    /* as sqlite3_stmt_readonly has it */
	bool inserts;      /* it inserts into one table of main, and does nothing besides (no trigger either) */
	bool kept;         /* it may be used again */
	bool renames;      /* when it has run, names may mean something else */
	bool synchronizes; /* it may have set PRAGMA synchronous */
	bool checkpoints;  /* it is PRAGMA wal_checkpoint */
	bool cached;       /* it is part of a cache's entry, or of what would be one */
	bool may_lack_temp; /* it failed within a transaction; maybe for want of a temporary file, which alone it does not need */
	uint32_t apart;     /* it did: so many runs are still to be alone */
	/* what the store asks of its program, once */
	bool asked;
	bool hides_violations; /* it may count violated deferred keys below zero */
	bool writes_virtual;   /* a virtual table, which may hold it back */
};

/* A registered plain insert as an insert of many rows (fuse.h). */
#define PS_FUSE_WIDTHS 3
struct ps_fuse {
	struct ps_prepared widths[PS_FUSE_WIDTHS]; /* the widest first */
	bool unfit;                                /* the table does not allow it... */
	uint64_t unfit_at;                         /* ...as the schema was after so many changes */
	bool numbers;                              /* it is AUTOINCREMENT, and keeps its number at a statement's end */
	bool rowless;                              /* it may be WITHOUT ROWID, as of what is prepared */
	uint32_t pause;                            /* rows to run one by one, after one that failed */
};

/* A registered statement, and what the writer keeps of it. */
struct ps_registered {
	/* read by producers, written once */
	struct penstock_statement base;
	enum { PS_BATCHED, PS_ALONE } place; /* from its first keyword */
	struct ps_syntax_row row;            /* of a plain insert; bytes 0: it is none */
	/* the writer's */
	struct ps_prepared prepared PS_OWN_LINE;
	struct ps_fuse fuse;
};

/* The store's part of a record's statement, or NULL. */
static inline struct ps_registered *ps_registered_of(const struct ps_record *record)
{
	return (struct ps_registered *)record->statement;
}

/* With the number that the statement takes, and how many there were. */
#define PS_VALUE_COUNT_FORMAT "the statement takes %d values, not %u"

/* What a function has prepared while the statement that called it ran. */
enum ps_meddling {
	PS_MEDDLED = 1, /* what is another thing within the transaction of a batch, where it was denied */
	PS_WROTE = 2,   /* a write */
	PS_SET = 4,     /* what changes the connection */
	PS_RENAMED = 8, /* what may change the meaning of names */
};

/* The writer's side of it, for one connection. */
struct ps_statements {
	sqlite3 *connection;
	struct cds_list_head prepared;
	struct cds_list_head recent; /* cached entries, the most recently used first */
	ck_hs_t by_text;
	size_t cached;
	size_t capacity;
	bool keep;                /* prepared forms may be kept */
	bool any_apart;           /* some statement was ever to run alone for a while */
	bool preparing;           /* the authorizer's word counts */
	bool running;             /* a statement runs */
	bool hooking;             /* a connect hook that came late */
	struct ps_call *call;     /* the function that is being called (call.h), or NULL */
	bool (*admit)(void *arg); /* whether a function may checkpoint now, until it has returned */
	void *admit_arg;
	bool batched;               /* in a transaction with others */
	bool grouped;               /* in a group's transaction */
	unsigned meddled;           /* what functions that it called have prepared: enum ps_meddling */
	struct ps_prepared *target; /* what the authorizer describes */
	char **virtual_tables;      /* names, which begin those of the tables that such a one writes for itself */
	size_t virtual_count;
	char inserted[128]; /* the one table of main that the target inserts into, or "" */
	char refusal[256];  /* why it refused, or "" */
};

/* False without memory. Installs the authorizer. */
bool ps_statements_init(struct ps_statements *statements, sqlite3 *connection, size_t capacity);
/* Finalizes every statement; each is prepared anew when it comes again. None may be in use. How many there were. */
unsigned ps_statements_forget_all(struct ps_statements *statements);
/* Finalizes everything. */
void ps_statements_destroy(struct ps_statements *statements);

/* The names of the schema's virtual tables. One that is left out, for lack of memory, only makes its writes run alone. */
void ps_statements_forget_virtual(struct ps_statements *statements);
void ps_statements_add_virtual(struct ps_statements *statements, const char *name);

/* Whether the statement may act when it is prepared, so that it must not be inside a transaction. */
bool ps_statements_act_early(const struct ps_record *record);
/* Around a connect hook that comes late. Why something was refused that it prepared, until the next refusal; or NULL. */
void ps_statements_begin_hook(struct ps_statements *statements);
const char *ps_statements_end_hook(struct ps_statements *statements);

/*
 * The prepared form of a record's statement, or NULL with *code and *message (valid until the next call) saying why.
 */
struct ps_prepared *ps_statements_get(struct ps_statements *statements, const struct ps_record *record, int *code,
                                      const char **message);
/* Whether it is to run alone for a while, as far as can be told without preparing it. */
bool ps_statements_is_apart(const struct ps_statements *statements, const struct ps_record *record);
/* Around a statement's run, in a batch or not. What functions that it called have prepared: enum ps_meddling. */
void ps_statements_begin_run(struct ps_statements *statements, bool batched);
unsigned ps_statements_end_run(struct ps_statements *statements);
/* Takes the connection's authorizer, which ps_statements_init has done first. Statements are prepared again by that. */
void ps_statements_authorize(struct ps_statements *statements);
/* Prepares a text as a submission would be. False: *code and *message say why. */
bool ps_statements_prepare(struct ps_statements *statements, struct ps_prepared *prepared, const char *sql, size_t bytes,
                           uint32_t values, int *code, const char **message);
/* Finalizes what ps_statements_prepare prepared. */
void ps_statements_unprepare(struct ps_prepared *prepared);
/* Must follow each use: resets what is kept, and finalizes what is not. */
void ps_statements_done(struct ps_prepared *prepared);

#endif

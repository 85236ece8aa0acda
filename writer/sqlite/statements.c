/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "writer/sqlite/call.h"
#include "writer/syntax.h"
#include "writer/store.h"

/* ---- registered statements ---- */

static bool must_be_alone(const char *sql)
{
	enum ps_keyword keyword = ps_syntax_keyword(sql);

	return keyword == PS_KEYWORD_ALONE || keyword == PS_KEYWORD_PRAGMA;
}

struct penstock_statement *ps_store_statement_new(const char *sql, size_t bytes)
{
	struct ps_registered *registered = aligned_alloc(PS_LINE_BYTES, sizeof *registered);

	if (registered == NULL)
		return NULL;
	memset(registered, 0, sizeof *registered);
	registered->place = must_be_alone(sql) ? PS_ALONE : PS_BATCHED;
	/* A NUL byte in the text is an error that its preparation reports. */
	if (strlen(sql) != bytes || !ps_syntax_plain_insert(sql, &registered->row))
		registered->row.bytes = 0;
	return &registered->base;
}

void ps_store_statement_free(struct penstock_statement *statement)
{
	free(caa_container_of(statement, struct ps_registered, base));
}

/* ---- the authorizer ---- */

static int refuse(struct ps_statements *statements, const char *what, const char *why)
{
	snprintf(statements->refusal, sizeof statements->refusal, "%s is refused: %s", what, why);
	return SQLITE_DENY;
}

static int authorize_pragma(struct ps_statements *statements, const char *name, const char *value)
{
	if (value == NULL)
		return SQLITE_OK;
	if (sqlite3_stricmp(name, "journal_mode") == 0 && sqlite3_stricmp(value, "wal") != 0)
		return refuse(statements, "PRAGMA journal_mode", "Penstock needs WAL; stop or pause it to change the mode");
	if (sqlite3_stricmp(name, "wal_autocheckpoint") == 0)
		return refuse(statements, "PRAGMA wal_autocheckpoint",
		              "the writer checkpoints by itself; use the key wal_bytes_max");
	return SQLITE_OK;
}

/* SQLite ignores it in a transaction, or does as if there were none. */
static int authorize_pragma_in_group(struct ps_statements *statements, const char *name, const char *value)
{
	static const struct {
		const char *name, *pragma;
	} none[] = { { "foreign_keys", "PRAGMA foreign_keys" }, { "journal_mode", "PRAGMA journal_mode" } };

	for (size_t i = 0; value != NULL && i < sizeof none / sizeof none[0]; i++) {
		if (sqlite3_stricmp(name, none[i].name) == 0)
			return refuse(statements, none[i].pragma,
			              "it cannot be set in a transaction; submit it by itself, before the group");
	}
	return SQLITE_OK;
}

/* An insert of many rows is a SELECT of them to SQLite. */
static void note_inserts(struct ps_statements *statements, int action, const char *table, const char *database,
                         const char *trigger)
{
	if (trigger != NULL || (action != SQLITE_INSERT && action != SQLITE_SELECT)) {
		statements->target->inserts = false;
	} else if (action == SQLITE_INSERT) {
		if (statements->inserted[0] != '\0' || strcmp(database, "main") != 0 ||
		    strlen(table) >= sizeof statements->inserted)
			statements->target->inserts = false;
		else
			memcpy(statements->inserted, table, strlen(table) + 1);
	}
}

/* Within a batch's transaction it would be lost, concern the others or end theirs: the statement is to run alone. */
static int keep_out_of_batch(struct ps_statements *statements)
{
	if (!statements->batched)
		return SQLITE_OK;
	statements->meddled |= PS_MEDDLED;
	return SQLITE_DENY;
}

static bool changes_names(int action)
{
	switch (action) {
	case SQLITE_CREATE_TABLE:
	case SQLITE_CREATE_TEMP_TABLE:
	case SQLITE_CREATE_VIEW:
	case SQLITE_CREATE_TEMP_VIEW:
	case SQLITE_CREATE_VTABLE:
	case SQLITE_CREATE_TRIGGER:
	case SQLITE_CREATE_TEMP_TRIGGER:
	case SQLITE_DROP_TABLE:
	case SQLITE_DROP_TEMP_TABLE:
	case SQLITE_DROP_VIEW:
	case SQLITE_DROP_TEMP_VIEW:
	case SQLITE_DROP_VTABLE:
	case SQLITE_DROP_TRIGGER:
	case SQLITE_DROP_TEMP_TRIGGER:
	case SQLITE_ALTER_TABLE:
	case SQLITE_ATTACH:
	case SQLITE_DETACH:
		return true;
	default:
		return false;
	}
}

/* Whether it is a table of a virtual table's own: that writes it, and no function may (SQLITE_DBCONFIG_DEFENSIVE). */
static bool is_shadow_table(const struct ps_statements *statements, const char *table)
{
	for (size_t i = 0; i < statements->virtual_count; i++) {
		size_t length = strlen(statements->virtual_tables[i]);

		if (sqlite3_strnicmp(table, statements->virtual_tables[i], (int)length) == 0 && table[length] == '_')
			return true;
	}
	return false;
}

/* Within a transaction SQLite refuses it, if that has begun. */
static int authorize_checkpoint(struct ps_statements *statements)
{
	if (keep_out_of_batch(statements) != SQLITE_OK)
		return SQLITE_DENY;
	if (!sqlite3_get_autocommit(statements->connection))
		return SQLITE_OK;
	return statements->admit != NULL && statements->admit(statements->admit_arg) ? SQLITE_OK : SQLITE_DENY;
}

/* What a statement of a function's may. */
static int authorize_function(struct ps_statements *statements, int action, const char *first, const char *second)
{
	static const char *const settings[] = { "foreign_keys", "defer_foreign_keys", "temp_store" };

	if (changes_names(action))
		statements->meddled |= PS_RENAMED;
	switch (action) {
	case SQLITE_TRANSACTION:
		return statements->grouped ? SQLITE_DENY : keep_out_of_batch(statements);
	case SQLITE_SAVEPOINT:
		return keep_out_of_batch(statements);
	case SQLITE_INSERT:
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
		if (is_shadow_table(statements, first))
			return SQLITE_OK;
		/* Its OR ROLLBACK would end the batch, and what it and the statement write behind that would be committed at once. */
		statements->meddled |= PS_WROTE;
		return keep_out_of_batch(statements);
	case SQLITE_ATTACH:
	case SQLITE_DETACH:
		statements->meddled |= PS_SET;
		return keep_out_of_batch(statements);
	case SQLITE_PRAGMA:
		if (sqlite3_stricmp(first, "wal_checkpoint") == 0)
			return authorize_checkpoint(statements);
		for (size_t i = 0; second != NULL && i < sizeof settings / sizeof settings[0]; i++) {
			if (sqlite3_stricmp(first, settings[i]) == 0) {
				statements->meddled |= PS_SET;
				return keep_out_of_batch(statements);
			}
		}
		/* What would be OFF cannot be told before; the commit of the statement would follow it. */
		if (second != NULL && sqlite3_stricmp(first, "synchronous") == 0)
			return SQLITE_DENY;
		return authorize_pragma(statements, first, second);
	default:
		return SQLITE_OK;
	}
}

/* What a connect hook may that comes late, when the log is in use. */
static int authorize_hook(struct ps_statements *statements, int action, const char *first, const char *second)
{
	if (action != SQLITE_PRAGMA || second == NULL || sqlite3_stricmp(first, "journal_mode") != 0)
		return SQLITE_OK;
	return authorize_pragma(statements, first, second);
}

void ps_statements_begin_hook(struct ps_statements *statements)
{
	statements->hooking = true;
	statements->refusal[0] = '\0';
}

const char *ps_statements_end_hook(struct ps_statements *statements)
{
	statements->hooking = false;
	return statements->refusal[0] != '\0' ? statements->refusal : NULL;
}

static const char alternative[] =
	"each submission is a transaction of its own; put the changes into one statement, or submit them as a group";

static int authorize(void *arg, int action, const char *first, const char *second, const char *database, const char *trigger)
{
	struct ps_statements *statements = arg;

	if (statements->call != NULL)
		return ps_call_authorize(statements->call, action, first, second, database);
	/* Statements that SQLite prepares by itself (VACUUM, table-valued pragmas, other people's in the connect hook's
	 * functions) are not submissions. */
	if (!statements->preparing && statements->hooking)
		return authorize_hook(statements, action, first, second);
	if (!statements->preparing)
		return statements->running ? authorize_function(statements, action, first, second) : SQLITE_OK;
	note_inserts(statements, action, first, database, trigger);
	switch (action) {
	/* Denied once it is prepared, which does nothing yet: what only begins like it is a syntax error. */
	case SQLITE_TRANSACTION:
		refuse(statements, first, alternative);
		return SQLITE_OK;
	case SQLITE_SAVEPOINT:
		refuse(statements, "SAVEPOINT, RELEASE or ROLLBACK TO", alternative);
		return SQLITE_OK;
	case SQLITE_PRAGMA:
		/* It drops what is in temp. */
		if (second != NULL && sqlite3_stricmp(first, "temp_store") == 0)
			statements->target->renames = true;
		if (second != NULL && sqlite3_stricmp(first, "synchronous") == 0)
			statements->target->synchronizes = true;
		if (sqlite3_stricmp(first, "wal_checkpoint") == 0)
			statements->target->checkpoints = true;
		if (statements->grouped && authorize_pragma_in_group(statements, first, second) != SQLITE_OK)
			return SQLITE_DENY;
		return authorize_pragma(statements, first, second);
	case SQLITE_ATTACH:
	case SQLITE_DETACH:
	case SQLITE_CREATE_TEMP_INDEX:
	case SQLITE_CREATE_TEMP_TABLE:
	case SQLITE_CREATE_TEMP_TRIGGER:
	case SQLITE_CREATE_TEMP_VIEW:
	/* With foreign keys it deletes the rows first, which sets changes(): behind a rollback nobody could tell. */
	case SQLITE_DROP_TABLE:
	case SQLITE_DROP_TEMP_TABLE:
		statements->target->alone = true;
		break;
	}
	return SQLITE_OK;
}

/* ---- preparing ---- */

void ps_statements_unprepare(struct ps_prepared *prepared)
{
	sqlite3_finalize(prepared->statement);
	prepared->statement = NULL;
	cds_list_del(&prepared->link);
}

static const char one_at_a_time[] = "there is more than one statement in the SQL text; submit each by itself";

/* What acts when prepared must be right before. */
static bool check_early(struct ps_statements *statements, enum ps_keyword keyword, const char *sql, size_t bytes,
                        uint32_t values, int *code, const char **message)
{
	statements->refusal[0] = '\0';
	if (strlen(sql) != bytes) {
		*code = SQLITE_ERROR;
		*message = "the SQL text holds a NUL byte; bind values instead of writing them into the text";
		return false;
	}
	if (keyword == PS_KEYWORD_PRAGMA && !ps_syntax_single(sql)) {
		*code = SQLITE_ERROR;
		*message = one_at_a_time;
		return false;
	}
	if (keyword == PS_KEYWORD_PRAGMA && values != 0) {
		snprintf(statements->refusal, sizeof statements->refusal, PS_VALUE_COUNT_FORMAT, 0, values);
		*code = SQLITE_RANGE;
		*message = statements->refusal;
		return false;
	}
	return true;
}

bool ps_statements_prepare(struct ps_statements *statements, struct ps_prepared *prepared, const char *sql, size_t bytes,
                           uint32_t values, int *code, const char **message)
{
	enum ps_keyword keyword = ps_syntax_keyword(sql);
	const char *tail = NULL;
	int rc;

	memset(prepared, 0, sizeof *prepared);
	if (!check_early(statements, keyword, sql, bytes, values, code, message))
		return false;
	statements->preparing = true;
	statements->target = prepared;
	statements->inserted[0] = '\0';
	prepared->inserts = true;
	rc = sqlite3_prepare_v3(statements->connection, sql, (int)bytes + 1, SQLITE_PREPARE_PERSISTENT, &prepared->statement,
	                        &tail);
	statements->preparing = false;
	if (rc != SQLITE_OK) {
		*code = sqlite3_extended_errcode(statements->connection);
		*message = rc == SQLITE_AUTH && statements->refusal[0] != '\0' ? statements->refusal
		                                                               : sqlite3_errmsg(statements->connection);
		return false;
	}
	if (statements->refusal[0] != '\0') {
		sqlite3_finalize(prepared->statement);
		prepared->statement = NULL;
		*code = SQLITE_AUTH;
		*message = statements->refusal;
		return false;
	}
	if (prepared->statement == NULL) {
		*code = SQLITE_ERROR;
		*message = "there is no statement in the SQL text, only white space or comments";
		return false;
	}
	if (!ps_syntax_blank(tail)) {
		sqlite3_finalize(prepared->statement);
		prepared->statement = NULL;
		*code = SQLITE_ERROR;
		*message = one_at_a_time;
		return false;
	}
	prepared->parameters = sqlite3_bind_parameter_count(prepared->statement);
	prepared->columns = sqlite3_column_count(prepared->statement);
	prepared->read_only = sqlite3_stmt_readonly(prepared->statement) != 0;
	prepared->dml = keyword == PS_KEYWORD_DML || (keyword == PS_KEYWORD_WITH && !prepared->read_only);
	if (keyword == PS_KEYWORD_ALONE || keyword == PS_KEYWORD_PRAGMA)
		prepared->alone = true;
	if (keyword == PS_KEYWORD_ALONE || keyword == PS_KEYWORD_OTHER)
		prepared->renames = true;
	prepared->kept = statements->keep && !prepared->alone && !prepared->renames;
	cds_list_add(&prepared->link, &statements->prepared);
	return true;
}

/* ---- the cache ---- */

/* Longer text is data rather than a statement to come again; without a bound 128 of them could take gigabytes. */
#define CACHED_TEXT_BYTES_MAX 65536

struct entry {
	struct ps_text text; /* of sql below */
	struct ps_prepared prepared;
	struct cds_list_head recent;
	char sql[];
};

bool ps_statements_init(struct ps_statements *statements, sqlite3 *connection, size_t capacity)
{
	memset(statements, 0, sizeof *statements);
	CDS_INIT_LIST_HEAD(&statements->prepared);
	CDS_INIT_LIST_HEAD(&statements->recent);
	statements->connection = connection;
	statements->capacity = capacity;
	statements->keep = true;
	if (!ps_text_set_init(&statements->by_text, capacity))
		return false;
	ps_statements_authorize(statements);
	return true;
}

void ps_statements_authorize(struct ps_statements *statements)
{
	sqlite3_set_authorizer(statements->connection, authorize, statements);
}

static void forget(struct ps_statements *statements, struct entry *entry)
{
	ps_text_set_remove(&statements->by_text, &entry->text);
	cds_list_del(&entry->recent);
	statements->cached--;
	ps_statements_unprepare(&entry->prepared);
	free(entry);
}

unsigned ps_statements_forget_all(struct ps_statements *statements)
{
	unsigned count = 0;

	for (; !cds_list_empty(&statements->recent); count++)
		forget(statements, cds_list_entry(statements->recent.prev, struct entry, recent));
	for (; !cds_list_empty(&statements->prepared); count++)
		ps_statements_unprepare(cds_list_entry(statements->prepared.next, struct ps_prepared, link));
	return count;
}

void ps_statements_forget_virtual(struct ps_statements *statements)
{
	while (statements->virtual_count > 0)
		free(statements->virtual_tables[--statements->virtual_count]);
	free(statements->virtual_tables);
	statements->virtual_tables = NULL;
}

void ps_statements_add_virtual(struct ps_statements *statements, const char *name)
{
	char *copy = strdup(name);
	char **more = realloc(statements->virtual_tables, (statements->virtual_count + 1) * sizeof *more);

	if (more != NULL)
		statements->virtual_tables = more;
	if (more != NULL && copy != NULL)
		more[statements->virtual_count++] = copy;
	else
		free(copy);
}

void ps_statements_destroy(struct ps_statements *statements)
{
	ps_statements_forget_virtual(statements);
	ps_statements_forget_all(statements);
	ps_text_set_destroy(&statements->by_text);
	sqlite3_set_authorizer(statements->connection, NULL, NULL);
}

void ps_statements_begin_run(struct ps_statements *statements, bool batched)
{
	statements->running = true;
	statements->batched = batched;
	statements->meddled = 0;
}

unsigned ps_statements_end_run(struct ps_statements *statements)
{
	statements->running = false;
	return statements->meddled;
}

bool ps_statements_act_early(const struct ps_record *record)
{
	size_t bytes;

	if (record->statement != NULL)
		return ps_registered_of(record)->place == PS_ALONE;
	return must_be_alone(ps_record_sql(record, &bytes));
}

bool ps_statements_is_apart(const struct ps_statements *statements, const struct ps_record *record)
{
	struct ps_text text, *found;
	size_t bytes;
	const char *sql;

	if (!statements->any_apart)
		return false;
	if (record->statement != NULL)
		return ps_registered_of(record)->prepared.apart > 0;
	sql = ps_record_sql(record, &bytes);
	text = ps_text_of(sql, bytes);
	found = ps_text_set_get((ck_hs_t *)&statements->by_text, &text);
	return found != NULL && caa_container_of(found, struct entry, text)->prepared.apart > 0;
}

static struct ps_prepared *get_text(struct ps_statements *statements, const char *sql, size_t bytes, uint32_t values, int *code,
                                    const char **message)
{
	struct ps_text text = ps_text_of(sql, bytes), *found = ps_text_set_get(&statements->by_text, &text);
	struct entry *entry;

	if (found != NULL) {
		entry = caa_container_of(found, struct entry, text);
		cds_list_move(&entry->recent, &statements->recent);
		return &entry->prepared;
	}
	entry = malloc(sizeof *entry + bytes + 1);
	if (entry == NULL) {
		*code = SQLITE_NOMEM;
		*message = "out of memory";
		return NULL;
	}
	memcpy(entry->sql, sql, bytes + 1);
	entry->text = text;
	entry->text.data = entry->sql;
	if (!ps_statements_prepare(statements, &entry->prepared, entry->sql, bytes, values, code, message)) {
		free(entry);
		return NULL;
	}
	entry->prepared.cached = true;
	if (!entry->prepared.kept || statements->capacity == 0 || bytes > CACHED_TEXT_BYTES_MAX ||
	    !ps_text_set_put(&statements->by_text, &entry->text)) {
		entry->prepared.kept = false;
		return &entry->prepared;
	}
	cds_list_add(&entry->recent, &statements->recent);
	if (++statements->cached > statements->capacity)
		forget(statements, cds_list_entry(statements->recent.prev, struct entry, recent));
	return &entry->prepared;
}

struct ps_prepared *ps_statements_get(struct ps_statements *statements, const struct ps_record *record, int *code,
                                      const char **message)
{
	struct ps_registered *registered = ps_registered_of(record);
	const char *sql;
	size_t bytes;

	if (registered == NULL) {
		sql = ps_record_sql(record, &bytes);
		return get_text(statements, sql, bytes, record->value_count, code, message);
	}
	if (registered->prepared.statement == NULL &&
	    !ps_statements_prepare(statements, &registered->prepared, registered->base.text.data, registered->base.text.bytes,
	                           record->value_count, code, message))
		return NULL;
	return &registered->prepared;
}

void ps_statements_done(struct ps_prepared *prepared)
{
	if (prepared->kept) {
		sqlite3_reset(prepared->statement);
		return;
	}
	ps_statements_unprepare(prepared);
	if (prepared->cached)
		free(caa_container_of(prepared, struct entry, prepared));
}

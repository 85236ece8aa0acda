/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fork.h"
#include "core/fault.h"
#include "core/hooks.h"
#include "core/thread.h"
#include "writer/sqlite/open_files.h"
#include "writer/sqlite/path.h"
#include "writer/sqlite/trust.h"
#include "writer/sqlite/wal_repair.h"

bool ps_connection_met_lock(int code)
{
	/* PROTOCOL: other processes kept the WAL's locks moving for ten seconds. */
	return (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_PROTOCOL;
}

static int explain_code(int code, const char *message, const char *path, const char *doing)
{
	/* The index tells of frames that the log does not have. */
	if (code == SQLITE_IOERR_SHORT_READ)
		return ps_error(PENSTOCK_CANTOPEN,
		                "%s: %s: its -wal was removed or cut short while connections still use it; close them all",
		                path, doing);
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	case SQLITE_NOTADB:
		return ps_error(PENSTOCK_CANTOPEN, "%s is not an SQLite database (or it is encrypted); name another file",
		                path);
	case SQLITE_BUSY:
	case SQLITE_PROTOCOL:
		return ps_error(
			PENSTOCK_CANTOPEN,
			"%s is locked by another process that will not let go (%s); stop it, or raise busy_limit_ms (for a "
			"reader busy_timeout_ms)",
			path, doing);
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		return ps_error(PENSTOCK_CANTOPEN,
		                "%s: %s: %s; the file, its -wal and -shm and their folder must be writable for this user", path,
		                doing, message);
	default:
		return ps_error(PENSTOCK_CANTOPEN, "%s: %s: %s", path, doing, message);
	}
}

static int explain(sqlite3 *connection, const char *path, const char *doing)
{
	return explain_code(sqlite3_extended_errcode(connection), sqlite3_errmsg(connection), path, doing);
}

static int run(sqlite3 *connection, const char *path, const char *sql)
{
	return sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK ? PENSTOCK_OK : explain(connection, path, sql);
}

static bool is_listed(sqlite3_stmt *list, const char *name)
{
	while (sqlite3_step(list) == SQLITE_ROW) {
		const char *known = (const char *)sqlite3_column_text(list, 0);

		if (known != NULL && sqlite3_stricmp(known, name) == 0)
			return true;
	}
	return false;
}

/* The value as SQLite hands it on: without its quotes. NULL without memory. */
static char *bare_value(const char *value)
{
	char quote = value[0] == '\'' || value[0] == '"' ? value[0] : '\0';
	char *bare = malloc(strlen(value) + 1), *end = bare;

	if (bare == NULL)
		return NULL;
	for (value += quote != '\0'; *value != '\0'; value++) {
		/* Doubled, it is one of the text. */
		if (quote != '\0' && *value == quote && *++value != quote)
			break;
		*end++ = *value;
	}
	*end = '\0';
	return bare;
}

/*
 * A VFS, of an encryption for one, may have pragmas of its own, which SQLite hands on just so. Nothing is asked without the value, where
 * a pragma may do something else. SQLITE_NOTFOUND: it has none of this name.
 */
static int set_pragma_of_vfs(sqlite3 *connection, const struct ps_pragma *pragma)
{
	char *value = bare_value(pragma->value), *arguments[] = { NULL, pragma->name, value, NULL };
	int rc = SQLITE_NOMEM;

	if (value != NULL)
		rc = sqlite3_file_control(connection, "main", SQLITE_FCNTL_PRAGMA, arguments);
	sqlite3_free(arguments[0]);
	free(value);
	return rc;
}

/*
 * SQLite ignores a pragma it does not know; here that is an error, since it is a slip of the pen. SQLite's list is asked for by a
 * statement that does not read the file, which may need a key first: the table-valued pragma would.
 */
static int pragma_is_listed(sqlite3 *connection, const char *name, bool *listed)
{
	sqlite3_stmt *list;
	int rc;

	rc = sqlite3_prepare_v2(connection, "PRAGMA pragma_list", -1, &list, NULL);
	if (rc != SQLITE_OK)
		return rc;
	*listed = is_listed(list, name);
	rc = sqlite3_errcode(connection);
	sqlite3_finalize(list);
	return rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* SQLite's code. */
static int run_pragma(sqlite3 *connection, const struct ps_pragma *pragma)
{
	char *sql;
	int rc;

	/* A value that comes quoted is one token (options.c); another is quoted here. */
	if (strchr("'\"`[", pragma->value[0]) != NULL && pragma->value[0] != '\0')
		sql = sqlite3_mprintf("PRAGMA \"%w\"=%s", pragma->name, pragma->value);
	else
		sql = sqlite3_mprintf("PRAGMA \"%w\"=%Q", pragma->name, pragma->value);
	if (sql == NULL)
		return SQLITE_NOMEM;
	rc = sqlite3_exec(connection, sql, NULL, NULL, NULL);
	sqlite3_free(sql);
	return rc;
}

/* role: a reader leaves out what would write to the database (user_version), which would undo what was written since the start. */
static int set_pragma(sqlite3 *connection, const char *path, const struct ps_pragma *pragma, enum ps_role role)
{
	int rc = SQLITE_NOTFOUND;
	bool listed;

	if (pragma_is_listed(connection, pragma->name, &listed) != SQLITE_OK)
		return explain(connection, path, "listing the pragmas");
	if (!listed)
		rc = set_pragma_of_vfs(connection, pragma);
	/* SQLCipher has pragmas that it does not list. */
	if (rc == SQLITE_NOTFOUND && (listed || sqlite3_compileoption_used("HAS_CODEC")))
		rc = run_pragma(connection, pragma);
	if (role == PS_READER && (rc & 0xff) == SQLITE_READONLY)
		rc = SQLITE_OK;
	switch (rc & 0xff) {
	case SQLITE_OK:
		return PENSTOCK_OK;
	case SQLITE_NOTFOUND:
		return ps_error(PENSTOCK_CONFIG, "%s: SQLite %s has no pragma '%s'", pragma->origin, sqlite3_libversion(),
		                pragma->name);
	case SQLITE_NOTADB:
	case SQLITE_NOMEM:
	case SQLITE_BUSY:
	case SQLITE_PROTOCOL:
	case SQLITE_CANTOPEN:
		return explain_code(rc, sqlite3_errstr(rc), path, pragma->name);
	default:
		/* Neither the value nor SQLite's message, which may hold it. */
		return ps_error(PENSTOCK_CONFIG, "%s: PRAGMA %s does not take this value: %s", pragma->origin, pragma->name,
		                sqlite3_errstr(rc));
	}
}

static int switch_to_wal(sqlite3 *connection, const char *path)
{
	sqlite3_stmt *statement;
	const char *mode;
	int status = PENSTOCK_OK;

	if (sqlite3_prepare_v2(connection, "PRAGMA journal_mode=WAL", -1, &statement, NULL) != SQLITE_OK)
		return explain(connection, path, "switching to WAL");
	if (sqlite3_step(statement) != SQLITE_ROW) {
		status = explain(connection, path, "switching to WAL");
	} else {
		mode = (const char *)sqlite3_column_text(statement, 0);
		if (mode == NULL || sqlite3_stricmp(mode, "wal") != 0)
			status = ps_error(
				PENSTOCK_CANTOPEN,
				"%s cannot have a write-ahead log: its journal mode stays '%s', and Penstock needs WAL; "
				"use a file on a local file system",
				path, mode != NULL ? mode : "?");
		else if (sqlite3_step(statement) != SQLITE_DONE) /* the new mode is written behind the row that names it */
			status = explain(connection, path, "switching to WAL");
	}
	sqlite3_finalize(statement);
	return status;
}

static bool is_to_repair(enum ps_role role, const struct ps_options *options)
{
	return role != PS_READER && options->keys.synchronous != PENSTOCK_SYNCHRONOUS_OFF;
}

/* In a transaction. */
static int repair_wal(sqlite3 *connection, const char *path)
{
	int rc = ps_fault(PS_FAULT_SKIP_REPAIR) ? SQLITE_OK : ps_wal_repair(connection);

	if (rc == SQLITE_NOMEM)
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	if (rc != SQLITE_OK)
		return ps_error(PENSTOCK_CANTOPEN, "%s: writing the write-ahead log anew that was left behind: %s", path,
		                sqlite3_errstr(rc));
	sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	return PENSTOCK_OK;
}

static int configure_writer(sqlite3 *connection, const char *path, const struct ps_options *options, enum ps_role role)
{
	static const char *const levels[] = { "PRAGMA synchronous=OFF", "PRAGMA synchronous=NORMAL", "PRAGMA synchronous=FULL",
		                              "PRAGMA synchronous=EXTRA" };
	char limit[64];
	int status;

	if (sqlite3_db_readonly(connection, "main") == 1)
		return ps_error(PENSTOCK_CANTOPEN, "%s is read-only for this user; make it writable, or name another file",
		                path);
	status = switch_to_wal(connection, path);
	if (status != PENSTOCK_OK)
		return status;
	/* The writer checkpoints by itself, after outcomes were delivered; and a WAL that readers made long shrinks again. */
	sqlite3_wal_autocheckpoint(connection, 0);
	snprintf(limit, sizeof limit, "PRAGMA journal_size_limit=%lld", (long long)options->keys.wal_bytes_max);
	status = run(connection, path, limit);
	if (status == PENSTOCK_OK)
		status = run(connection, path, levels[options->keys.synchronous]);
	/* Reads the first page, and creates the -wal and -shm files: what is wrong with them shows now. */
	if (status == PENSTOCK_OK)
		status = run(connection, path, "BEGIN IMMEDIATE");
	if (status == PENSTOCK_OK && is_to_repair(role, options))
		status = repair_wal(connection, path);
	if (status == PENSTOCK_OK)
		status = run(connection, path, "COMMIT");
	return status;
}

static int configure_reader(sqlite3 *connection, const char *path)
{
	sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_wal_autocheckpoint(connection, 0);
	return run(connection, path, "SELECT 1 FROM sqlite_schema LIMIT 1");
}

/* late: those that must come behind the first reading of the schema. */
static int set_pragmas(sqlite3 *connection, const char *path, const struct ps_options *options, enum ps_role role, bool late)
{
	int status = PENSTOCK_OK;

	for (size_t i = 0; i < options->pragma_count && status == PENSTOCK_OK; i++) {
		if (ps_options_is_late_pragma(options->pragmas[i].name) == late)
			status = set_pragma(connection, path, &options->pragmas[i], role);
	}
	return status;
}

static int call_hook(sqlite3 *connection, const char *path, const struct ps_options *options)
{
	const struct ps_hook *late = NULL;
	int code = SQLITE_OK;

	if (options->connect_hook == NULL && ps_hooks_next(options->hooks, NULL) == NULL)
		return PENSTOCK_OK;
	ps_callback_begin();
	if (options->connect_hook != NULL)
		code = options->connect_hook(connection, options->connect_arg);
	while (code == SQLITE_OK && (late = ps_hooks_next(options->hooks, late)) != NULL)
		code = late->function(connection, late->arg);
	ps_callback_end();
	if (code == SQLITE_OK)
		return ps_trust_note_functions(connection) == SQLITE_OK ? PENSTOCK_OK
		                                                        : explain(connection, path, "reading the schema");
	return ps_error(PENSTOCK_CANTOPEN, "%s: the connect hook refused the connection: %s", path, sqlite3_errstr(code));
}

/* What reads the file, and writes it. */
static int set_up_file(sqlite3 *connection, const char *path, const struct ps_options *options, enum ps_role role)
{
	/* It reads nothing of the file, so it may come before a key. */
	int status = role == PS_READER ? run(connection, path, "PRAGMA query_only=ON") : PENSTOCK_OK;

	if (status == PENSTOCK_OK)
		status = set_pragmas(connection, path, options, role, false);
	if (status == PENSTOCK_OK)
		status = role == PS_READER ? configure_reader(connection, path)
		                           : configure_writer(connection, path, options, role);
	/* By now the schema has been read. */
	sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, (int)options->keys.trusted_schema, NULL);
	if (status == PENSTOCK_OK)
		status = set_pragmas(connection, path, options, role, true);
	return status;
}

static bool is_wanted(void *patience)
{
	return !ps_patience_gives_up(patience);
}

/* The same at its turn among the engines of other processes, unless one of them has paused all. */
static int set_up_among(struct ps_peers *peers, sqlite3 *connection, const char *path, const struct ps_options *options,
                        enum ps_role role, struct ps_busy *busy)
{
	enum ps_entry entry;
	int status;

	ps_peers_open(peers, sqlite3_db_filename(connection, "main"), options->keys.turns != 0);
	entry = ps_peers_enter(peers);
	if (entry != PS_ENTRY_IN)
		return ps_error(PENSTOCK_CANTOPEN,
		                entry == PS_ENTRY_PAUSED ? "%s: another process has paused all engines (penstock_pause_all)"
		                                         : "%s: no lock of its side file is to be had",
		                path);
	if (peers->takes_turns && busy != NULL)
		busy->at_turn = ps_turns_take(&peers->turns, is_wanted, busy->patience);
	status = set_up_file(connection, path, options, role);
	if (busy != NULL)
		busy->at_turn = false;
	ps_turns_end(&peers->turns);
	return status;
}

static int configure(sqlite3 *connection, const char *path, const struct ps_options *options, enum ps_role role,
                     struct ps_busy *busy, struct ps_peers *peers)
{
	const char *file = sqlite3_db_filename(connection, "main"), *cache;
	int status;

	if (file == NULL || file[0] == '\0')
		return ps_error(
			PENSTOCK_CANTOPEN,
			"'%s' is a database in memory or a temporary one, which cannot have a write-ahead log; name a file",
			path);
	/* With it the readers' locks would stand in the writer's way, and no busy timeout waits for those. */
	cache = sqlite3_uri_parameter(file, "cache");
	if (cache != NULL && strcmp(cache, "shared") == 0)
		return ps_error(PENSTOCK_CANTOPEN,
		                "%s is refused: with cache=shared readers lock the writer out; leave that out", path);
	if (!ps_path_is_plain(path)) {
		status = ps_path_check_folder(path, file, options);
		if (status != PENSTOCK_OK)
			return status;
	}
	status = ps_open_files_enter(connection, path);
	if (status != PENSTOCK_OK)
		return status;
	sqlite3_extended_result_codes(connection, 1);
	if (busy != NULL)
		ps_busy_install(busy, connection);
	else
		sqlite3_busy_timeout(connection, (int)options->keys.busy_timeout_ms);
	/* What follows, pragmas and hook, may lift each of these. */
	sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, (int)options->keys.defensive, NULL);
	if (is_to_repair(role, options))
		sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1, NULL);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	sqlite3_limit(connection, SQLITE_LIMIT_SQL_LENGTH, (int)options->keys.sql_bytes_max);
	sqlite3_limit(connection, SQLITE_LIMIT_LENGTH, (int)options->keys.value_bytes_max);
	/* Before anything that reads the file. */
	if (peers == NULL)
		return set_up_file(connection, path, options, role);
	return set_up_among(peers, connection, path, options, role, busy);
}

/* connection: as sqlite3_open_v2 left it; NULL without memory. */
static int explain_open(sqlite3 *connection, const char *path, bool create)
{
	int code = connection != NULL ? sqlite3_extended_errcode(connection) : SQLITE_NOMEM;

	if ((code & 0xff) == SQLITE_NOMEM)
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	if (code == SQLITE_CANTOPEN_SYMLINK)
		return ps_path_refuse_link(path);
	return ps_path_explain(path, create, sqlite3_system_errno(connection), sqlite3_errmsg(connection));
}

/* What points to the store, which goes before the connection may. */
static void release_handlers(sqlite3 *connection)
{
	sqlite3_busy_handler(connection, NULL, NULL);
	sqlite3_commit_hook(connection, NULL, NULL);
	sqlite3_update_hook(connection, NULL, NULL);
}

/*
 * Whether this copy of SQLite may be used by several threads, each with connections of its own. How it was compiled is easily
 * said; that sqlite3_config switched its mutexes off shows in a connection that is asked to have one.
 */
static int check_threads(const char *path)
{
	sqlite3 *probe;
	int rc, status = PENSTOCK_OK;

	if (!sqlite3_threadsafe())
		return ps_error(PENSTOCK_CANTOPEN,
		                "%s: this SQLite is compiled for one thread (SQLITE_THREADSAFE=0), and the writer is one more; "
		                "link one that is not",
		                path);
	rc = sqlite3_open_v2(":memory:", &probe, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
	if (rc != SQLITE_OK)
		status = ps_error(rc == SQLITE_NOMEM ? PENSTOCK_NOMEM : PENSTOCK_CANTOPEN, "%s: SQLite opens nothing: %s", path,
		                  sqlite3_errstr(rc));
	else if (sqlite3_db_mutex(probe) == NULL)
		status = ps_error(PENSTOCK_CANTOPEN,
		                  "%s: SQLite is configured for one thread (SQLITE_CONFIG_SINGLETHREAD), and the writer is one "
		                  "more; configure MULTITHREAD or SERIALIZED",
		                  path);
	sqlite3_close(probe);
	return status;
}

/* Which SQLite does without reading it. *connection is to be closed, or NULL, in either case. */
static int open_file(const char *path, const struct ps_options *options, enum ps_role role, sqlite3 **connection)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	bool create = role == PS_CREATING_WRITER;
	char *place;
	int rc, status;

	*connection = NULL;
	status = ps_path_find(path, options, create, &place);
	if (status != PENSTOCK_OK)
		return status;
	/* Also where the file is there: ATTACH goes by these flags, and may create files. Where it is not, the open fails. */
	if (create || (role != PS_READER && access(place, F_OK) == 0))
		flags |= SQLITE_OPEN_CREATE;
	if (!options->keys.follow_symlinks)
		flags |= SQLITE_OPEN_NOFOLLOW;
	rc = sqlite3_open_v2(place, connection, flags, NULL);
	free(place);
	return rc == SQLITE_OK ? PENSTOCK_OK : explain_open(*connection, path, create);
}

int ps_connection_find_file(const char *path, const struct ps_options *options, char **file)
{
	sqlite3 *connection;
	int status = open_file(path, options, PS_WRITER, &connection);
	const char *name;

	*file = NULL;
	if (status == PENSTOCK_OK) {
		name = sqlite3_db_filename(connection, "main");
		*file = strdup(name != NULL ? name : "");
		if (*file == NULL)
			status = ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	}
	sqlite3_close(connection);
	return status;
}

int ps_connection_open(const char *path, const struct ps_options *options, enum ps_role role, bool with_hook,
                       struct ps_busy *busy, struct ps_harm_watch *watch, struct ps_rowids *rowids, struct ps_peers *peers,
                       sqlite3 **connection, bool *locked)
{
	bool create = role == PS_CREATING_WRITER;
	int status;

	*connection = NULL;
	*locked = false;
	if (peers != NULL)
		ps_peers_init(peers);
	/* Once for an engine: SQLite takes no other configuration while it is in use. */
	status = create ? check_threads(path) : PENSTOCK_OK;
	if (status != PENSTOCK_OK)
		return status;
	ps_fork_holds_sqlite();
	status = open_file(path, options, role, connection);
	if (status == PENSTOCK_OK) {
		status = configure(*connection, path, options, role, busy, peers);
		*locked = status == PENSTOCK_CANTOPEN &&
		          (ps_connection_met_lock(sqlite3_errcode(*connection)) || (peers != NULL && ps_peers_is_out(peers)));
	}
	if (status == PENSTOCK_OK && watch != NULL)
		ps_harm_watch(watch, *connection);
	if (status == PENSTOCK_OK && rowids != NULL)
		ps_rowids_watch(rowids, *connection);
	if (status == PENSTOCK_OK && with_hook)
		status = call_hook(*connection, path, options);
	/* Nothing would be committed, and all be told so. */
	if (status == PENSTOCK_OK && role != PS_READER && !sqlite3_get_autocommit(*connection))
		status = ps_error(PENSTOCK_CANTOPEN, "%s: the connect hook has left a transaction open; end it there", path);
	if (status != PENSTOCK_OK) {
		if (*connection != NULL)
			release_handlers(*connection);
		/* _v2: should the connect hook have left a statement open, it goes with that. */
		sqlite3_close_v2(*connection);
		*connection = NULL;
	}
	return status;
}

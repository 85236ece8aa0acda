#include "writer/renew.h"

#include <stdlib.h>

#define PIECE_BYTES 65536

int ps_renew_log(sqlite3 *connection)
{
	sqlite3_file *log = NULL;
	sqlite3_int64 size = 0, at;
	void *piece;
	int rc;

	/* In WAL mode "the journal" is the log. SQLite's own: its first sync is also that of the folder, for the log's name. */
	rc = sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (rc != SQLITE_OK || log == NULL || log->pMethods == NULL)
		return rc;
	rc = log->pMethods->xFileSize(log, &size);
	if (rc != SQLITE_OK || size == 0)
		return rc;
	piece = malloc(PIECE_BYTES);
	if (piece == NULL)
		return SQLITE_NOMEM;
	for (at = 0; at < size && rc == SQLITE_OK; at += PIECE_BYTES) {
		int bytes = size - at < PIECE_BYTES ? (int)(size - at) : PIECE_BYTES;

		rc = log->pMethods->xRead(log, piece, bytes, at);
		if (rc == SQLITE_OK)
			rc = log->pMethods->xWrite(log, piece, bytes, at);
	}
	free(piece);
	return rc == SQLITE_OK ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : rc;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/sides.h"

#include <sys/stat.h>
#include <unistd.h>

/* Two folders whose names are equally long, since SQL text and messages hold them. */
const char *side_path(char side, const char *name)
{
	static __thread char paths[8][400];
	static __thread unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%c%s%s", harness_make_folder(), side, name[0] != '\0' ? "/" : "", name);
	return path;
}

void clear_side(char side)
{
	static const char *const names[] = { "main.db",  "main.db-wal",  "main.db-shm",  "main.db-journal",
		                             "other.db", "other.db-wal", "other.db-shm", "other.db-journal",
		                             "near.db",  "near.db-wal",  "near.db-shm",  "near.db-journal",
		                             "far.db",   "far.db-wal",   "far.db-shm",   "far.db-journal" };
	char name[32];
	size_t i;

	mkdir(side_path(side, ""), 0700);
	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		unlink(side_path(side, names[i]));
	for (i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "copy%zu.db", i);
		unlink(side_path(side, name));
	}
}

/* The SQL with $D filled in. */
char *text_for(const struct statement *statement, char side, size_t *bytes)
{
	const char *at = memmem(statement->sql, statement->bytes, "$D", 2);
	const char *folder = side_path(side, "");
	char *text;

	if (at == NULL) {
		*bytes = statement->bytes;
		return copy_of(statement->sql, statement->bytes);
	}
	*bytes = (size_t)asprintf(&text, "%.*s%s%s", (int)(at - statement->sql), statement->sql, folder, at + 2);
	return text;
}

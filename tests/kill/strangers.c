/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/kill/strangers.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/random.h"

/* As the shell does: a statement in each line, and what it selects. */
#define PYTHON                                                              \
	"import sqlite3, sys\n"                                             \
	"connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n" \
	"for line in sys.stdin:\n"                                          \
	"    for row in connection.execute(line):\n"                        \
	"        print(row[0], flush=True)\n"

static const struct {
	const char *name, *look;
	const char *arguments[8]; /* the path stands behind them */
} strangers[STRANGERS] = {
	[STRANGER_SHELL] = { "sqlite3",
	                     "command -v sqlite3 >/dev/null",
	                     { "sqlite3", "-batch", "-bail", "-init", "/dev/null" } },
	[STRANGER_PYTHON] = { "Python", "python3 -c 'import sqlite3' 2>/dev/null", { "python3", "-c", PYTHON } },
};

const char *stranger_name(enum stranger stranger)
{
	return strangers[stranger].name;
}

bool stranger_is_there(enum stranger stranger)
{
	return system(strangers[stranger].look) == 0;
}

static enum stranger self;
static FILE *to, *from;
static pid_t program;

_Noreturn static void be_program(const char *path, const int in[2], const int out[2])
{
	char *arguments[10] = { NULL };
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; strangers[self].arguments[i] != NULL; i++)
		arguments[i] = (char *)strangers[self].arguments[i];
	arguments[i] = (char *)path;
	if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
		execvp(arguments[0], arguments);
	_exit(127);
}

static void begin_program(const char *path)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		abort();
	program = fork();
	if (program == 0)
		be_program(path, in, out);
	close(in[0]);
	close(out[1]);
	to = fdopen(in[1], "w");
	from = fdopen(out[0], "r");
	if (program < 0 || to == NULL || from == NULL)
		abort();
}

/* Until it has done that, and answers so. */
static void tell(const char *sql, const char *answer)
{
	char line[100];

	fprintf(to, "%s\nSELECT '%s';\n", sql, answer);
	fflush(to);
	do {
		if (fgets(line, sizeof line, from) == NULL) {
			fprintf(stderr, "kill: %s has ended at: %s\n", strangers[self].name, sql);
			_exit(1);
		}
		line[strcspn(line, "\n")] = '\0';
	} while (strcmp(line, answer) != 0);
}

static void write_row(const struct stranger_task *task, uint64_t *random)
{
	char sql[200];

	snprintf(sql, sizeof sql, "BEGIN IMMEDIATE;\nINSERT INTO t VALUES(%u,0,%u,0);", task->life, *task->submitted);
	tell(sql, "written");
	usleep((useconds_t)random_below(random, 2000));
	*task->submitted += 1;
	tell("COMMIT;", "committed");
	*task->acknowledged += 1;
}

_Noreturn void stranger_write(enum stranger stranger, const struct stranger_task *task)
{
	uint64_t random = random_mix(task->life);
	char sql[200];
	int status;

	self = stranger;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	begin_program(task->path);
	snprintf(sql, sizeof sql, "PRAGMA busy_timeout=%u;\nPRAGMA wal_autocheckpoint=0;\nPRAGMA synchronous=OFF;",
	         task->hang_seconds * 1000);
	alarm(task->hang_seconds);
	tell(sql, "ready");
	while (!*task->ending) {
		alarm(task->hang_seconds);
		write_row(task, &random);
		/* Without a rest it would have the file nearly to itself. */
		usleep((useconds_t)random_below(&random, 10000));
	}
	fclose(to);
	if (waitpid(program, &status, 0) != program || status != 0) {
		fprintf(stderr, "kill: %s: status %#x\n", strangers[self].name, (unsigned)status);
		_exit(1);
	}
	_exit(0);
}

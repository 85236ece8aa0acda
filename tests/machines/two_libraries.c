/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * two_libraries.c - a process with musl and one with this system's C library take turns at one side file
 *
 * What lies in the side file is words, and no object of a C library's, since each lays these out in its own way. This program as it is built here, and
 * the same built by musl-gcc (PENSTOCK_MUSL names it; without it there is nothing to try), have a database's side file open. When
 * both are there each takes TURNS turns, one after the other. Nobody misses one, each can show that it lives, and the tickets that
 * were drawn are as many as both have had turns, at least, and all were served. The engines are left out: Debian has no SQLite for musl.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "writer/sqlite/peers.h"

#define TURNS 2000
#define HANG_SECONDS 300
#define WORDS_AT 128 /* in the side file */
#define SIDE "test.db" PS_BESIDE_SUFFIX

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "libraries: not so: %s\n", what);
	exit(1);
}

static void path_in(char path[4096], const char *folder, const char *name)
{
	must(snprintf(path, 4096, "%s/%s", folder, name) < 4096, "a path has room");
}

/* ---- one of the two ---- */

/* Each writes a byte there. */
static void await_both(const char *folder)
{
	char path[4096];
	struct stat info;
	int fd;

	path_in(path, folder, "ready");
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, "", 1) == 1, "it is ready");
	do {
		usleep(1000);
		must(fstat(fd, &info) == 0, "the other is looked for");
	} while (info.st_size < 2);
	close(fd);
}

static bool goes_on(void *arg)
{
	(void)arg;
	return true;
}

static int take_turns(const char *folder)
{
	struct ps_peers peers;
	uint64_t waited;
	char path[4096];

	alarm(HANG_SECONDS);
	path_in(path, folder, "test.db");
	ps_peers_open(&peers, path, true);
	must(peers.turns.words != NULL && peers.turns.place != PS_TURNS_NO_PLACE, "it has the words, and shows that it lives");
	await_both(folder);
	for (unsigned i = 0; i < TURNS; i++) {
		must(ps_peers_enter(&peers) == PS_ENTRY_IN, "it comes in");
		waited = peers.turns.counts.wait_nsec;
		if (!ps_turns_take(&peers.turns, goes_on, NULL)) {
			/* The machine has not run it for as long as a turn is waited for. */
			must(peers.turns.counts.wait_nsec - waited >= PS_TURNS_LONGEST, "it missed no turn");
			continue;
		}
		/* For so long that the other one waits. */
		usleep(10);
		ps_turns_end(&peers.turns);
	}
	must(peers.turns.counts.taken + peers.turns.counts.missed == TURNS, "it had each turn");
	printf("%" PRIu64 " ", peers.turns.counts.waited);
	ps_peers_close(&peers);
	return 0;
}

/* ---- both ---- */

static pid_t begin(const char *program, const char *folder)
{
	pid_t process = fork();

	must(process >= 0, "a process");
	if (process > 0)
		return process;
	execl(program, program, folder, (char *)NULL);
	_exit(127);
}

static void judge(const char *folder)
{
	struct ps_turns_words words;
	char path[4096];
	int fd;

	path_in(path, folder, SIDE);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && pread(fd, &words, sizeof words, WORDS_AT) == sizeof words, "the side file is there");
	close(fd);
	must(words.tail >= 2 * TURNS, "they have drawn from the same tickets");
	must(words.serving == words.tail, "no turn stands");
}

static void remove_folder(const char *folder)
{
	static const char *const names[] = { "ready", "test.db", SIDE };
	char path[4096];

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		path_in(path, folder, names[i]);
		must(unlink(path) == 0, "its files are there, and no others");
	}
	must(rmdir(folder) == 0, "its folder is empty");
}

int main(int count, char **arguments)
{
	const char *other = getenv("PENSTOCK_MUSL"), *temporary = getenv("TMPDIR");
	char folder[4096], path[4096];
	pid_t processes[2];
	int fd, status;

	if (count > 1)
		return take_turns(arguments[1]);
	if (other == NULL) {
		printf("# SKIP machines/two_libraries: there is no musl-gcc\n");
		return 77;
	}
	path_in(folder, temporary != NULL ? temporary : "/tmp", "penstock-libraries-XXXXXX");
	must(mkdtemp(folder) != NULL, "a folder");
	path_in(path, folder, "test.db");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && close(fd) == 0, "a database");
	printf("libraries: %d turns by a process with musl and as many by one with another, waited for ", TURNS);
	fflush(stdout);
	processes[0] = begin("/proc/self/exe", folder);
	processes[1] = begin(other, folder);
	for (unsigned i = 0; i < 2; i++)
		must(waitpid(processes[i], &status, 0) == processes[i] && status == 0, "both end well");
	judge(folder);
	remove_folder(folder);
	printf("times\nok machines/two_libraries\n");
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/drives.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/database.h"

#define KEYS_MAX 8

extern char **environ;

const char *bench_against;

bool bench_spawn(const char *const *arguments, struct bench_driver *driver)
{
	posix_spawn_file_actions_t files;
	int to[2], from[2];
	bool spawned;

	if (pipe2(to, O_CLOEXEC) != 0)
		return false;
	if (pipe2(from, O_CLOEXEC) != 0) {
		close(to[0]);
		close(to[1]);
		return false;
	}
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, to[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, from[1], STDOUT_FILENO);
	spawned = posix_spawn(&driver->id, arguments[0], &files, NULL, (char *const *)(uintptr_t)arguments, environ) == 0;
	posix_spawn_file_actions_destroy(&files);
	close(to[0]);
	close(from[1]);
	if (!spawned) {
		close(to[1]);
		close(from[0]);
		return false;
	}
	driver->to = fdopen(to[1], "w");
	driver->from = fdopen(from[0], "r");
	return true;
}

bool bench_drive_begin(struct bench_case *self, const struct bench_drive *drive, const char *path, struct bench_driver *driver)
{
	char seconds[32], number[32], ready[16] = "";
	const char *arguments[6 + KEYS_MAX + 1] = { drive->program == NULL ? BENCH_DRIVE : drive->program,
		                                    path,
		                                    seconds,
		                                    drive->durable ? "durable" : "default",
		                                    drive->load,
		                                    number };

	*driver = (struct bench_driver){ 0 };
	snprintf(seconds, sizeof seconds, "%.6f", drive->seconds);
	snprintf(number, sizeof number, "%llu", (unsigned long long)drive->number);
	for (size_t i = 0; i < KEYS_MAX && drive->keys[i] != NULL; i++)
		arguments[6 + i] = drive->keys[i];
	if (!bench_spawn(arguments, driver)) {
		bench_fail(self, "%s cannot be started", arguments[0]);
		return false;
	}
	if (fgets(ready, sizeof ready, driver->from) == NULL || strcmp(ready, "ready\n") != 0) {
		bench_fail(self, "%s does not begin", arguments[0]);
		return false;
	}
	return true;
}

void bench_drive_go(struct bench_driver *driver)
{
	fputs("go\n", driver->to);
	fflush(driver->to);
}

bool bench_drive_end(struct bench_case *self, struct bench_driver *driver, struct bench_driven *driven)
{
	int status = 0, found;

	if (driver->id == 0)
		return false;
	found = fscanf(driver->from, "%lf %lf %lf %lf %lf %lf %lf %lf %lf", &driven->rows, &driven->seconds, &driven->p50,
	               &driven->p99, &driven->p999, &driven->worst, &driven->longest_sync, &driven->syncs, &driven->late_p99);
	fclose(driver->to);
	waitpid(driver->id, &status, 0);
	fclose(driver->from);
	if (found == 9 && status == 0 && driven->rows > 0) {
		bench_note_sync((uint64_t)driven->longest_sync);
		return true;
	}
	bench_fail(self, "a driver failed");
	return false;
}

bool bench_drive(struct bench_case *self, const struct bench_drive *drive, struct bench_driven *driven)
{
	struct bench_driver driver;
	bool whole = bench_drive_begin(self, drive, bench_database_new(), &driver);

	if (whole)
		bench_drive_go(&driver);
	/* A failure is told once. */
	whole = whole ? bench_drive_end(self, &driver, driven) : false;
	bench_database_remove();
	return whole;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/cluster/nodes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The system gives a port to nobody else for a while. */
static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof address;
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (s < 0 || bind(s, (struct sockaddr *)&address, bytes) != 0 ||
	    getsockname(s, (struct sockaddr *)&address, &bytes) != 0)
		die("a port");
	close(s);
	return ntohs(address.sin_port);
}

static bool find_program(char *program, size_t bytes)
{
	const char *named = getenv("PENSTOCK_RQLITED"), *path = getenv("PATH");
	char *folders, *rest, *folder;
	bool found = false;

	if (named != NULL && *named != '\0') {
		snprintf(program, bytes, "%s", named);
		return access(program, X_OK) == 0;
	}
	folders = rest = strdup(path != NULL ? path : "");
	while (!found && (folder = strsep(&rest, ":")) != NULL) {
		snprintf(program, bytes, "%s/rqlited", folder);
		found = access(program, X_OK) == 0;
	}
	free(folders);
	return found;
}

void nodes_begin(struct nodes *nodes, size_t count)
{
	const char *tmp = getenv("TMPDIR");
	size_t length = 0, i;

	memset(nodes, 0, sizeof *nodes);
	if (!find_program(nodes->program, sizeof nodes->program)) {
		printf("SKIP there is no rqlited in PATH, and PENSTOCK_RQLITED names none: nothing was tried with a real cluster\n");
		exit(77);
	}
	snprintf(nodes->folder, sizeof nodes->folder, "%s/penstock-nodes-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(nodes->folder) == NULL)
		die(nodes->folder);
	nodes->count = count;
	for (i = 0; i < count; i++) {
		nodes->ports[i] = free_port();
		nodes->raft_ports[i] = free_port();
		length += (size_t)snprintf(nodes->path + length, sizeof nodes->path - length, "%s127.0.0.1:%d",
		                           i == 0 ? "rqlite://" : ",", nodes->ports[i]);
	}
	snprintf(nodes->path + length, sizeof nodes->path - length, "/");
}

void nodes_start(struct nodes *nodes, size_t which)
{
	char id[16], http[64], raft[64], join[128] = "", expect[16], data[300], log[300];
	const char *arguments[32] = { nodes->program, "-node-id", id, "-http-addr", http, "-raft-addr", raft, "-fk" };
	size_t count = 8, i;
	int out;

	snprintf(id, sizeof id, "%zu", which + 1);
	snprintf(http, sizeof http, "127.0.0.1:%d", nodes->ports[which]);
	snprintf(raft, sizeof raft, "127.0.0.1:%d", nodes->raft_ports[which]);
	snprintf(expect, sizeof expect, "%zu", nodes->count);
	snprintf(data, sizeof data, "%s/%s", nodes->folder, id);
	snprintf(log, sizeof log, "%s/%s.log", nodes->folder, id);
	for (i = 0; i < nodes->count; i++)
		snprintf(join + strlen(join), sizeof join - strlen(join), "%s127.0.0.1:%d", i == 0 ? "" : ",",
		         nodes->raft_ports[i]);
	if (nodes->count > 1) {
		arguments[count++] = "-bootstrap-expect";
		arguments[count++] = expect;
		arguments[count++] = "-join";
		arguments[count++] = join;
	}
	for (i = 0; nodes->arguments[i] != NULL; i++)
		arguments[count++] = nodes->arguments[i];
	arguments[count++] = data;
	out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	nodes->pids[which] = fork();
	if (nodes->pids[which] != 0)
		close(out);
	if (nodes->pids[which] < 0)
		die("fork");
	if (nodes->pids[which] > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, 1);
	dup2(out, 2);
	execv(nodes->program, (char **)arguments);
	_exit(127);
}

void nodes_signal(struct nodes *nodes, size_t which, int number)
{
	if (nodes->pids[which] == 0)
		return;
	kill(nodes->pids[which], number);
	if (number != SIGKILL)
		return;
	waitpid(nodes->pids[which], NULL, 0);
	nodes->pids[which] = 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	(void)walk;
	return remove(path);
}

void nodes_end(struct nodes *nodes)
{
	size_t i;

	for (i = 0; i < nodes->count; i++)
		nodes_signal(nodes, i, SIGKILL);
	nftw(nodes->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

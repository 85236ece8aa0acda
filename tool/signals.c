/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/signals.h"

#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

bool signals_take(struct signals *signals, int besides)
{
	const int numbers[] = { SIGINT, SIGTERM, SIGHUP, besides };
	struct sigaction action;
	size_t i;

	sigemptyset(&signals->ending);
	for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (numbers[i] != 0 && sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&signals->ending, numbers[i]);
	pthread_sigmask(SIG_BLOCK, &signals->ending, NULL);
	signals->descriptor = signalfd(-1, &signals->ending, SFD_CLOEXEC | SFD_NONBLOCK);
	return signals->descriptor >= 0;
}

int signals_next(const struct signals *signals)
{
	struct signalfd_siginfo info;

	if (read(signals->descriptor, &info, sizeof info) != sizeof info)
		return 0;
	return (int)info.ssi_signo;
}

void signals_release(const struct signals *signals)
{
	pthread_sigmask(SIG_UNBLOCK, &signals->ending, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/instructions.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int counter = -1;

static int bench_open_counter(void)
{
	struct perf_event_attr attributes = {
		.size = sizeof attributes,
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0UL);
}

const char *bench_instructions_how(void)
{
	static char how[200];
	int fd = bench_open_counter();

	if (fd >= 0)
		snprintf(how, sizeof how, "counted by the processor (perf_event_open)");
	else
		snprintf(how, sizeof how, "not counted here: perf_event_open: %s; bench/callgrind.sh counts them",
		         strerror(errno));
	if (fd >= 0)
		close(fd);
	return how;
}

bool bench_instructions_begin(void)
{
	counter = bench_open_counter();
	if (counter < 0)
		return false;
	ioctl(counter, PERF_EVENT_IOC_ENABLE, 0);
	return true;
}

uint64_t bench_instructions_end(void)
{
	uint64_t count = 0;

	ioctl(counter, PERF_EVENT_IOC_DISABLE, 0);
	if (read(counter, &count, sizeof count) != (ssize_t)sizeof count)
		count = 0;
	close(counter);
	counter = -1;
	return count;
}

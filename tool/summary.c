/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/summary.h"

#include <inttypes.h>
#include <stdio.h>

#include <sqlite3.h>

#include "tool/json.h"

uint64_t summary_failures(const struct summary *summary)
{
	const penstock_counters *counters = &summary->counters;

	return counters->failed + counters->unknown + counters->shutdown + summary->faults;
}

static uint64_t statements(const struct summary *summary)
{
	return summary->counters.accepted + summary->faults;
}

static double rate(const struct summary *summary)
{
	return summary->seconds > 0 ? (double)statements(summary) / summary->seconds : 0.0;
}

static double mean_batch(const struct summary *summary)
{
	const penstock_histogram *size = &summary->counters.batch_size;

	return size->count > 0 ? (double)size->sum / (double)size->count : 0.0;
}

static double latency_usec(const struct summary *summary, double fraction)
{
	return (double)penstock_histogram_quantile(&summary->counters.outcome_nsec, fraction) / 1e3;
}

static bool written(void)
{
	return fflush(stdout) == 0 && !ferror(stdout);
}

static void print_usec(const char *name, double usec)
{
	if (usec < 1e3)
		printf("%-16s%13.0f us\n", name, usec);
	else if (usec < 1e6)
		printf("%-16s%13.2f ms\n", name, usec / 1e3);
	else
		printf("%-16s%13.2f s\n", name, usec / 1e6);
}

bool summary_table(const struct summary *summary)
{
	printf("%-16s%13" PRIu64 "%s\n", "statements", statements(summary), summary->interrupted ? " (interrupted)" : "");
	printf("%-16s%13" PRIu64 "\n", "failures", summary_failures(summary));
	printf("%-16s%13.3f s\n", "time", summary->seconds);
	printf("%-16s%13.0f /s\n", "rate", rate(summary));
	printf("%-16s%13" PRIu64 "\n", "batches", summary->counters.batches);
	printf("%-16s%13.1f\n", "mean batch", mean_batch(summary));
	print_usec("outcome p50", latency_usec(summary, 0.5));
	print_usec("outcome p99", latency_usec(summary, 0.99));
	print_usec("outcome max", (double)summary->counters.outcome_nsec.max / 1e3);
	return written();
}

static void print_count(const char *name, uint64_t count)
{
	printf("  \"%s\": %" PRIu64 ",\n", name, count);
}

bool summary_json(const struct summary *summary)
{
	const penstock_counters *counters = &summary->counters;

	printf("{\n");
	print_count("statements", statements(summary));
	print_count("failures", summary_failures(summary));
	printf("  \"seconds\": %.6f,\n", summary->seconds);
	printf("  \"rate\": %.1f,\n", rate(summary));
	print_count("batches", counters->batches);
	printf("  \"mean_batch\": %.3f,\n", mean_batch(summary));
	printf("  \"p50_usec\": %.3f,\n", latency_usec(summary, 0.5));
	printf("  \"p99_usec\": %.3f,\n", latency_usec(summary, 0.99));
	printf("  \"max_usec\": %.3f,\n", (double)counters->outcome_nsec.max / 1e3);
	print_count("accepted", counters->accepted);
	print_count("committed", counters->committed);
	print_count("failed", counters->failed);
	print_count("unknown", counters->unknown);
	print_count("replayed_batches", counters->replayed_batches);
	print_count("busy_retries", counters->busy_retries);
	print_count("wal_bytes_peak", counters->wal_bytes_peak);
	print_count("checkpoints", counters->checkpoints);
	printf("  \"interrupted\": %s,\n", summary->interrupted ? "true" : "false");
	printf("  \"failure\": ");
	if (summary->failure[0] != '\0')
		json_string(summary->failure);
	else
		printf("null");
	printf(",\n  \"sqlite\": ");
	json_string(sqlite3_libversion());
	printf(",\n  \"penstock\": ");
	json_string(penstock_version());
	printf("\n}\n");
	return written();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.c - prints the metrics of two engines as a program would serve them; for test_promtool.sh
 *
 *   usage: metrics [each]
 *
 * The databases are made in the working folder. They have done a bit of everything, and one of them is paused. With `each` it
 * prints a text of each engine instead of one of both.
 */
#include <err.h>
#include <penstock.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int status)
{
	if (status != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
}

/* Writes, fails, replays, is refused, and comes back for an outcome. */
static void work(penstock *db)
{
	penstock_submission create = { .struct_size = sizeof create, .sql_bytes = -1, .sql = "CREATE TABLE t(a UNIQUE)" };
	penstock_submission insert = {
		.struct_size = sizeof insert, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(?)", .value_count = 1
	};
	int i;

	must(penstock_submit(db, &create, PENSTOCK_FOREVER, NULL));
	for (i = 0; i < 1000; i++) {
		penstock_value value = penstock_int64(i % 900);

		insert.values = &value;
		must(penstock_submit(db, &insert, PENSTOCK_FOREVER, NULL));
	}
	insert.sql = "SELECT 1";
	insert.value_count = 0;
	must(penstock_execute(db, &insert, PENSTOCK_FOREVER, NULL));
	insert.sql = NULL;
	if (penstock_submit(db, &insert, PENSTOCK_FOREVER, NULL) != PENSTOCK_MISUSE)
		errx(1, "a submission without a statement was not refused");
}

static void print(penstock *const *engines, const char *const *names, size_t count)
{
	size_t bytes;
	char *text;

	must(penstock_metrics_prometheus(engines, names, count, NULL, 0, &bytes));
	text = malloc(bytes);
	if (text == NULL)
		err(1, NULL);
	must(penstock_metrics_prometheus(engines, names, count, text, bytes, &bytes));
	fwrite(text, 1, bytes, stdout);
	free(text);
}

int main(int count, char **arguments)
{
	static const char *const names[] = { "a \"quoted\\\" \xC3\xA9t\xC3\xA9\n{x=\"1\"} 2", "no UTF-8: \xFF\xC3" };
	penstock *engines[2];

	(void)arguments;
	must(penstock_open("one.db", NULL, &engines[0]));
	must(penstock_open("two.db", NULL, &engines[1]));
	work(engines[0]);
	work(engines[1]);
	must(penstock_pause(engines[1], PENSTOCK_FOREVER));
	if (count == 1) {
		print(engines, names, 2);
	} else {
		print(&engines[0], &names[0], 1);
		print(&engines[1], &names[1], 1);
	}
	must(penstock_close(engines[0], PENSTOCK_FOREVER));
	must(penstock_close(engines[1], PENSTOCK_FOREVER));
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bank.c - several statements that happen together: by a group and by a call
 *
 *     bank DATABASE [TRANSFERS]       how many each thread tries; 1000 by default
 *
 * A transfer takes money from one account, gives it to another and is written down. All of it happens, or none. No account may be
 * overdrawn.
 *
 *   group  The statements are known beforehand. What must not be is refused by the tables: CHECK for an overdraft, REFERENCES for an
 *          account that does not exist. Groups share commits with everything else that is queued, so this is the fast way.
 *   call   A function runs on the writer thread. It reads the balance, decides, and says why it refuses. It has a transaction of
 *          its own.
 *
 * Four threads transfer at random, in both ways by turns. At the end every balance must follow from the transfers that are written down.
 */
#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <penstock.h>

#define ACCOUNTS 10
#define SUM 1000 /* each account begins with 100 */
#define THREADS 4

struct transfer {
	int64_t from, to, amount;
};

struct teller {
	pthread_t thread;
	penstock *db;
	unsigned seed;
	long tries;
	long done[2], refused[2]; /* by call, by group */
};

static penstock_submission statement(const char *sql, const penstock_value *values, size_t count)
{
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

	submission.sql = sql;
	submission.values = values;
	submission.value_count = count;
	return submission;
}

static int transfer_by_group(penstock *db, struct transfer *transfer, penstock_handle **handle)
{
	const penstock_value take[] = { penstock_int64(transfer->amount), penstock_int64(transfer->from) };
	const penstock_value give[] = { penstock_int64(transfer->amount), penstock_int64(transfer->to) };
	const penstock_value note[] = { penstock_int64(transfer->from), penstock_int64(transfer->to),
		                        penstock_int64(transfer->amount) };
	const penstock_submission members[] = {
		statement("UPDATE accounts SET balance = balance - ? WHERE id = ?", take, 2),
		statement("UPDATE accounts SET balance = balance + ? WHERE id = ?", give, 2),
		statement("INSERT INTO transfers(debit, credit, amount) VALUES(?, ?, ?)", note, 3),
	};

	return penstock_submit_group(db, members, sizeof members / sizeof *members, NULL, PENSTOCK_FOREVER, handle);
}

/* Runs one statement with up to three numbers; *answer is the first column of its row, if it has one. */
static int run(sqlite3 *connection, const char *sql, const int64_t *numbers, int count, int64_t *answer)
{
	sqlite3_stmt *prepared;
	int code = sqlite3_prepare_v2(connection, sql, -1, &prepared, NULL), i;

	if (code != SQLITE_OK)
		return code;
	for (i = 0; i < count; i++)
		sqlite3_bind_int64(prepared, i + 1, numbers[i]);
	code = sqlite3_step(prepared);
	if (code == SQLITE_ROW && answer != NULL)
		*answer = sqlite3_column_int64(prepared, 0);
	sqlite3_finalize(prepared);
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

/* On the writer thread. SQLITE_OK commits; anything else undoes it, and is the outcome with this message. */
static int decide_and_write(sqlite3 *connection, void *arg, char **message)
{
	const struct transfer *transfer = arg;
	const int64_t take[] = { transfer->amount, transfer->from }, give[] = { transfer->amount, transfer->to };
	const int64_t note[] = { transfer->from, transfer->to, transfer->amount };
	int64_t balance = -1, exists = 0;
	int code = run(connection, "SELECT balance FROM accounts WHERE id = ?", &transfer->from, 1, &balance);

	if (code == SQLITE_OK)
		code = run(connection, "SELECT 1 FROM accounts WHERE id = ?", &transfer->to, 1, &exists);
	if (code != SQLITE_OK)
		return code;
	if (balance < transfer->amount || !exists) {
		*message = exists ? sqlite3_mprintf("account %lld has only %lld", transfer->from, balance)
		                  : sqlite3_mprintf("there is no account %lld", transfer->to);
		return SQLITE_CONSTRAINT;
	}
	code = run(connection, "UPDATE accounts SET balance = balance - ? WHERE id = ?", take, 2, NULL);
	if (code == SQLITE_OK)
		code = run(connection, "UPDATE accounts SET balance = balance + ? WHERE id = ?", give, 2, NULL);
	if (code == SQLITE_OK)
		code = run(connection, "INSERT INTO transfers(debit, credit, amount) VALUES(?, ?, ?)", note, 3, NULL);
	return code;
}

/* *transfer must stay until the outcome. */
static int transfer_by_call(penstock *db, struct transfer *transfer, penstock_handle **handle)
{
	return penstock_call(db, decide_and_write, transfer, NULL, PENSTOCK_FOREVER, handle);
}

static void explain(const penstock_result *result)
{
	if (result->member_count > 0)
		printf("a group is refused at its statement %zu: %s\n", result->failed_member + 1, result->message);
	else
		printf("a call is refused: %s\n", result->message);
}

static void *work(void *arg)
{
	struct teller *teller = arg;
	long i;

	for (i = 0; i < teller->tries; i++) {
		struct transfer transfer = { .from = rand_r(&teller->seed) % ACCOUNTS + 1,
			                     .to = rand_r(&teller->seed) % (ACCOUNTS + 1) + 1, /* account 11 does not exist */
			                     .amount = rand_r(&teller->seed) % 100 + 1 };
		bool group = i % 2 == 0;
		penstock_handle *handle;
		int status;

		if ((group ? transfer_by_group : transfer_by_call)(teller->db, &transfer, &handle) != PENSTOCK_OK)
			errx(1, "%s", penstock_error_message());
		status = penstock_handle_wait(handle, PENSTOCK_FOREVER);
		if (status != PENSTOCK_OK && penstock_handle_result(handle)->code != SQLITE_CONSTRAINT)
			errx(1, "%s", penstock_error_message());
		if (status == PENSTOCK_OK)
			teller->done[group]++;
		else if (teller->refused[group]++ == 0)
			explain(penstock_handle_result(handle));
		penstock_handle_release(handle);
	}
	return NULL;
}

static void open_bank(const char *path, penstock **db)
{
	static const penstock_pragma foreign_keys = PENSTOCK_PRAGMA("foreign_keys", "1");
	static const char *const sql[] = {
		"CREATE TABLE IF NOT EXISTS accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK(balance >= 0))",
		("CREATE TABLE IF NOT EXISTS transfers(id INTEGER PRIMARY KEY, debit INTEGER NOT NULL REFERENCES accounts,"
		 " credit INTEGER NOT NULL REFERENCES accounts, amount INTEGER NOT NULL CHECK(amount > 0))"),
		"INSERT OR IGNORE INTO accounts SELECT value, 100 FROM json_each('[1,2,3,4,5,6,7,8,9,10]')",
	};
	penstock_config config;
	size_t i;

	penstock_config_init(&config);
	config.pragmas = &foreign_keys;
	config.pragma_count = 1;
	if (penstock_open(path, &config, db) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	for (i = 0; i < sizeof sql / sizeof *sql; i++) {
		penstock_submission prepare = statement(sql[i], NULL, 0);

		if (penstock_execute(*db, &prepare, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
			errx(1, "%s", penstock_error_message());
	}
}

static int64_t ask(sqlite3 *reader, const char *sql)
{
	int64_t answer = -1;

	if (run(reader, sql, NULL, 0, &answer) != SQLITE_OK)
		errx(1, "%s", sqlite3_errmsg(reader));
	return answer;
}

int main(int argc, char **argv)
{
	static struct teller tellers[THREADS];
	long by_group = 0, by_call = 0, refused = 0;
	int64_t sum, wrong, i;
	sqlite3 *reader;
	penstock *db;

	if (argc < 2 || argc > 3)
		errx(2, "usage: bank DATABASE [TRANSFERS]");
	open_bank(argv[1], &db);
	for (i = 0; i < THREADS; i++) {
		tellers[i].db = db;
		tellers[i].seed = (unsigned)i;
		tellers[i].tries = argc > 2 ? atol(argv[2]) : 1000;
		if (pthread_create(&tellers[i].thread, NULL, work, &tellers[i]) != 0)
			errx(1, "no thread");
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(tellers[i].thread, NULL);
		by_call += tellers[i].done[0];
		by_group += tellers[i].done[1];
		refused += tellers[i].refused[0] + tellers[i].refused[1];
	}
	if (penstock_reader_open(db, &reader) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	sum = ask(reader, "SELECT sum(balance) FROM accounts");
	wrong = ask(reader, "SELECT count(*) FROM accounts WHERE balance <> 100"
	                    " + (SELECT coalesce(sum(amount), 0) FROM transfers WHERE credit = accounts.id)"
	                    " - (SELECT coalesce(sum(amount), 0) FROM transfers WHERE debit = accounts.id)");
	sqlite3_close(reader);
	if (penstock_close(db, PENSTOCK_FOREVER) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	printf("%ld transfers by group, %ld by call, %ld refused; sum %lld, %lld balances wrong\n", by_group, by_call, refused,
	       (long long)sum, (long long)wrong);
	return sum == SUM && wrong == 0 ? 0 : 1;
}

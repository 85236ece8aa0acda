/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guestbook.cc - penstock.hpp at work
 *
 *     guestbook DATABASE
 *
 * Four threads sign a guest book, each page once. It shows the three ways to hear of an outcome (wait for it now, wait for it later,
 * be called back), an error as an exception, rows of RETURNING, and a reader.
 */
#include <atomic>
#include <cstdio>
#include <exception>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include <penstock.hpp>

using namespace std::string_literals;

namespace
{

const int guests = 4;
const int pages = 25;

/* Everything is queued first and waited for afterwards, so that many rows share one commit. */
void sign(const penstockpp::statement &insert, int guest)
{
	std::vector<penstockpp::handle> handles;

	for (int page = 0; page < pages; page++)
		handles.push_back(insert.submit(guest, page, "guest " + std::to_string(guest)));
	for (const penstockpp::handle &handle : handles)
		handle.wait();
}

/* The same page again: the table refuses it. */
bool signs_twice(const penstockpp::statement &insert)
{
	try {
		insert.execute(0, 0, "guest 0");
		return true;
	} catch (const penstockpp::error &error) {
		std::printf("%s (%s)\n", error.what(), penstock_code_name(error.sqlite_code()));
		return error.sqlite_code() != SQLITE_CONSTRAINT_PRIMARYKEY;
	}
}

std::int64_t count_entries(const penstockpp::engine &db)
{
	penstockpp::reader reader = db.open_reader();
	sqlite3_stmt *count = nullptr;
	std::int64_t entries = -1;

	if (sqlite3_prepare_v2(reader.get(), "SELECT count(*) FROM entries", -1, &count, nullptr) == SQLITE_OK &&
	    sqlite3_step(count) == SQLITE_ROW)
		entries = sqlite3_column_int64(count, 0);
	sqlite3_finalize(count);
	return entries;
}

int run(const char *path)
{
	std::atomic<int> updated{ 0 };
	penstockpp::engine db(path);

	db.execute(
		"CREATE TABLE IF NOT EXISTS entries(guest INTEGER, page INTEGER, name TEXT, stamp BLOB, PRIMARY KEY(guest, page))");
	db.execute("DELETE FROM entries");
	penstockpp::statement insert = db.prepare("INSERT INTO entries(guest, page, name) VALUES(?, ?, ?)");
	std::vector<std::future<void>> threads;
	for (int guest = 0; guest < guests; guest++)
		threads.push_back(std::async(std::launch::async, sign, std::cref(insert), guest));
	for (std::future<void> &thread : threads)
		thread.get();

	const unsigned char stamp[] = { 0, 1, 255 };
	penstockpp::statement update = db.prepare("UPDATE entries SET stamp = ? WHERE page = ?");
	for (int page = 0; page < pages; page++)
		update.submit_then(
			[&updated](penstockpp::result result) noexcept { updated += static_cast<int>(result.changes()); },
			penstockpp::blob{ stamp, sizeof stamp }, page);
	db.flush();

	penstockpp::handle last =
		db.execute("UPDATE entries SET name = name || ? WHERE guest = ? AND page = ? RETURNING name, stamp, NULL",
	                   " was here"s, guests - 1, pages - 1);
	const std::string_view name = std::get<std::string_view>(last.result().cell(0, 0));
	const penstockpp::blob bytes = std::get<penstockpp::blob>(last.result().cell(0, 1));
	std::printf("%.*s, with a stamp of %zu bytes\n", static_cast<int>(name.size()), name.data(), bytes.size);

	const bool twice = signs_twice(insert);
	const std::int64_t entries = count_entries(db);
	std::printf("%lld entries, %d stamped\n", static_cast<long long>(entries), updated.load());
	db.close(PENSTOCK_FOREVER);
	return entries == guests * pages && updated == guests * pages && !twice ? 0 : 1;
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::fprintf(stderr, "usage: guestbook DATABASE\n");
		return 2;
	}
	try {
		return run(argv[1]);
	} catch (const std::exception &exception) {
		std::fprintf(stderr, "guestbook: %s\n", exception.what());
		return 1;
	}
}

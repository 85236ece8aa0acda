/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * penstock.hpp - Penstock for C++17, in one header to copy
 *
 *     penstockpp::engine db("app.db");
 *     db.execute("CREATE TABLE IF NOT EXISTS t(a, b)");
 *     penstockpp::statement insert = db.prepare("INSERT INTO t VALUES(?, ?) RETURNING rowid");
 *     penstockpp::handle row = insert.execute(7, "seven");
 *     std::int64_t rowid = std::get<std::int64_t>(row.result().cell(0, 0));
 *
 * Engine, statement and handle own what they name: they move and do not copy. Whatever is not OK is thrown as a penstockpp::error;
 * only try_submit says "full" as a value, since that is not exceptional. A callback must be noexcept, and the compiler checks it:
 * an exception would have to cross the library's C.
 *
 * Strings and blobs are views. Bound ones are copied before the call returns; those of a result live as long as its handle, or
 * until the callback returns. The engine must outlive its statements; handles may outlive it. The manual is penstock.h.
 */
#ifndef PENSTOCK_HPP
#define PENSTOCK_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <penstock.h>

namespace penstockpp
{

/* The status says what may be done about it: see the table in penstock.h. */
class error : public std::runtime_error
{
public:
	error(int status, const std::string &message, int sqlite_code = SQLITE_OK)
	    : std::runtime_error(std::string(penstock_status_name(status)) + ": " + message), status_(status),
	      code_(sqlite_code)
	{
	}
	int status() const noexcept
	{
		return status_;
	}
	/* SQLite's extended code, such as SQLITE_CONSTRAINT_UNIQUE, when it is an outcome. */
	int sqlite_code() const noexcept
	{
		return code_;
	}

private:
	int status_;
	int code_;
};

/* For calls that fail on this thread. */
inline void check(int status)
{
	if (status != PENSTOCK_OK)
		throw error(status, penstock_error_message());
}

/* Somebody else's bytes. */
struct blob {
	const void *data;
	std::size_t size;
};

/* What a cell of a result holds; std::get throws std::bad_variant_access for another type. */
using cell_value = std::variant<std::nullptr_t, std::int64_t, double, std::string_view, blob>;

inline penstock_value to_value(std::nullptr_t) noexcept
{
	return penstock_null();
}
inline penstock_value to_value(double real) noexcept
{
	return penstock_double(real);
}
inline penstock_value to_value(std::string_view text) noexcept
{
	return penstock_text_bytes(text.data() == nullptr ? "" : text.data(), text.size());
}
inline penstock_value to_value(blob bytes) noexcept
{
	return penstock_blob(bytes.data, bytes.size);
}
/* Every integer that SQLite's 64 signed bits hold. */
template <class Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
penstock_value to_value(Integer integer) noexcept
{
	static_assert(std::is_signed_v<Integer> || sizeof integer < sizeof(std::int64_t),
	              "SQLite's integers have 64 bits and a sign");
	return penstock_int64(static_cast<std::int64_t>(integer));
}

/* What a submission came to: a view. */
class result
{
public:
	explicit result(const penstock_result *raw) noexcept : raw_(raw)
	{
	}
	int status() const noexcept
	{
		return raw_->status;
	}
	std::string_view message() const noexcept
	{
		return raw_->message;
	}
	std::int64_t changes() const noexcept
	{
		return raw_->changes;
	}
	std::int64_t last_insert_rowid() const noexcept
	{
		return raw_->last_insert_rowid;
	}
	std::size_t rows() const noexcept
	{
		return raw_->row_count;
	}
	std::size_t columns() const noexcept
	{
		return raw_->column_count;
	}
	cell_value cell(std::size_t row, std::size_t column) const
	{
		const penstock_value *value = penstock_result_cell(raw_, row, column);
		if (value == nullptr)
			throw std::out_of_range("the result has no such cell");
		switch (value->type) {
		case PENSTOCK_INTEGER:
			return value->as.integer;
		case PENSTOCK_FLOAT:
			return value->as.real;
		case PENSTOCK_TEXT:
			return std::string_view(static_cast<const char *>(value->as.data), value->bytes);
		case PENSTOCK_BLOB:
			return blob{ value->as.data, value->bytes };
		case PENSTOCK_NULL:
			break;
		}
		return nullptr;
	}
	void check() const
	{
		if (raw_->status != PENSTOCK_OK)
			throw error(raw_->status, raw_->message, raw_->extended_code);
	}

private:
	const penstock_result *raw_;
};

/* A claim on an outcome. Letting go of it neither cancels nor loses the write. */
class handle
{
public:
	handle() noexcept = default;
	explicit handle(penstock_handle *raw) noexcept : raw_(raw)
	{
	}
	/* The outcome, when it is OK. A timeout is thrown too (PENSTOCK_TIMEOUT): wait again. */
	penstockpp::result wait(std::int64_t timeout_usec = PENSTOCK_DEFAULT_TIMEOUT) const
	{
		int status = penstock_handle_wait(raw_.get(), timeout_usec);
		if (!ready())
			throw error(status, penstock_error_message());
		result().check();
		return result();
	}
	bool ready() const noexcept
	{
		return penstock_handle_result(raw_.get()) != nullptr;
	}
	/* Only when it is ready. */
	penstockpp::result result() const noexcept
	{
		return penstockpp::result(penstock_handle_result(raw_.get()));
	}
	std::uint64_t ticket() const noexcept
	{
		return penstock_handle_ticket(raw_.get());
	}
	explicit operator bool() const noexcept
	{
		return raw_ != nullptr;
	}

private:
	struct release {
		void operator()(penstock_handle *raw) const noexcept
		{
			penstock_handle_release(raw);
		}
	};
	std::unique_ptr<penstock_handle, release> raw_;
};

/* Registered once and used by all threads. */
class statement
{
public:
	statement(penstock *db, std::string_view sql, penstock_ack ack) : db_(db), ack_(ack)
	{
		check(penstock_statement_register(db, sql.data(), static_cast<std::int64_t>(sql.size()), &raw_));
	}
	statement(statement &&) noexcept = default;
	statement &operator=(statement &&) noexcept = default;

	/* Waits for the outcome; the handle has the rows. */
	template <class... Values> handle execute(const Values &...values) const
	{
		handle submitted = submit(values...);
		submitted.wait();
		return submitted;
	}
	/* Waits for room. */
	template <class... Values> handle submit(const Values &...values) const
	{
		penstock_handle *raw = nullptr;
		check(send(nullptr, nullptr, PENSTOCK_FOREVER, &raw, values...));
		return handle(raw);
	}
	/* Does not wait: no handle when there is no room. */
	template <class... Values> handle try_submit(const Values &...values) const
	{
		penstock_handle *raw = nullptr;
		int status = send(nullptr, nullptr, 0, &raw, values...);
		if (status != PENSTOCK_FULL)
			check(status);
		return handle(raw);
	}
	/* Calls back once, on the writer thread, with the outcome, unless this throws. */
	template <class Callback, class... Values> void submit_then(Callback callback, const Values &...values) const
	{
		static_assert(std::is_nothrow_invocable_v<Callback &, result>,
		              "write [](penstockpp::result r) noexcept { ... }");
		auto owned = std::make_unique<Callback>(std::move(callback));
		check(send(call<Callback>, owned.get(), PENSTOCK_FOREVER, nullptr, values...));
		owned.release(); /* call's now, and perhaps gone */
	}

private:
	template <class Callback> static void call(void *arg, const penstock_result *raw) noexcept
	{
		std::unique_ptr<Callback> callback(static_cast<Callback *>(arg));
		(*callback)(result(raw));
	}
	template <class... Values>
	int send(penstock_completion *on_complete, void *arg, std::int64_t timeout_usec, penstock_handle **handle,
	         const Values &...values) const
	{
		const std::array<penstock_value, sizeof...(Values)> bound = { to_value(values)... };
		penstock_submission submission = PENSTOCK_SUBMISSION_INIT;
		submission.statement = raw_;
		submission.values = bound.data();
		submission.value_count = bound.size();
		submission.ack = ack_;
		submission.on_complete = on_complete;
		submission.arg = arg;
		return penstock_submit(db_, &submission, timeout_usec, handle);
	}

	penstock *db_;
	penstock_ack ack_;
	penstock_statement *raw_ = nullptr;
};

/* Every key unset, as penstock_config_init leaves it. */
struct config : penstock_config {
	config() noexcept
	{
		penstock_config_init(this);
	}
};

struct close_reader {
	void operator()(sqlite3 *connection) const noexcept
	{
		sqlite3_close(connection);
	}
};
using reader = std::unique_ptr<sqlite3, close_reader>;

class engine
{
public:
	explicit engine(const std::string &path, const penstock_config &how = config())
	{
		penstock *db = nullptr;
		check(penstock_open(path.c_str(), &how, &db));
		db_.reset(db);
	}
	/* Throws when something keeps it from closing in time: it is then still open, and may be closed again. */
	void close(std::int64_t timeout_usec)
	{
		check(penstock_close(db_.get(), timeout_usec));
		static_cast<void>(db_.release());
	}
	statement prepare(std::string_view sql, penstock_ack ack = PENSTOCK_ACK_DEFAULT) const
	{
		return statement(db_.get(), sql, ack);
	}
	/* For what runs once, such as CREATE TABLE. */
	template <class... Values> handle execute(std::string_view sql, const Values &...values) const
	{
		return prepare(sql).execute(values...);
	}
	void flush(std::int64_t timeout_usec = PENSTOCK_FOREVER) const
	{
		check(penstock_flush(db_.get(), timeout_usec));
	}
	/* A read-only connection, for one thread at a time. */
	penstockpp::reader open_reader() const
	{
		sqlite3 *connection = nullptr;
		check(penstock_reader_open(db_.get(), &connection));
		return penstockpp::reader(connection);
	}
	/* For the calls that have no member here. */
	penstock *get() const noexcept
	{
		return db_.get();
	}

private:
	/* Waits for everything that was accepted. Not in a callback: nothing closes there. */
	struct closing {
		void operator()(penstock *db) const noexcept
		{
			penstock_close(db, PENSTOCK_FOREVER);
		}
	};
	std::unique_ptr<penstock, closing> db_;
};

static_assert(!std::is_copy_constructible_v<engine> && std::is_nothrow_move_constructible_v<engine>);
static_assert(!std::is_copy_constructible_v<statement> && std::is_nothrow_move_constructible_v<statement>);
static_assert(!std::is_copy_constructible_v<handle> && std::is_nothrow_move_constructible_v<handle>);

} // namespace penstockpp

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/log_book.h"

#include "core/fault.h"

void ps_log_book_commit(struct ps_log_book *book, uint64_t frames)
{
	book->frames = frames;
	book->commits++;
}

void ps_log_book_checkpoint(struct ps_log_book *book, int frames, int copied, bool blocked, bool well)
{
	book->whole = well && frames > 0 && copied == frames;
	/* When all of it is copied the next commit begins the log anew, unless a reader still looks into it; that commit tells. */
	if (frames >= 0)
		book->frames = blocked ? (uint64_t)frames : 0;
	book->copied = blocked && copied > 0 ? (uint64_t)copied : 0;
	book->commits_had = book->commits;
}

bool ps_log_book_is_pass_due(const struct ps_log_book *book)
{
	return ps_fault(PS_FAULT_PASS_ANYWAY) || book->commits != book->commits_had || book->frames > book->copied;
}

void ps_log_book_begin_pass(struct ps_log_book *book)
{
	book->commits_at_pass = book->commits;
}

/* Frames that may not be copied yet. When commits came, and fewer are there than were copied, the log has begun anew. */
static uint64_t rest_of(const struct ps_log_book *book)
{
	return book->frames > book->copied ? book->frames - book->copied : book->frames;
}

void ps_log_book_end_pass(struct ps_log_book *book, const struct ps_log_pass *pass, struct ps_log_pass_end *end)
{
	uint64_t before = book->copied;
	bool all = pass->code == SQLITE_OK && pass->frames > 0 && pass->copied == pass->frames;

	end->alone = book->commits == book->commits_at_pass;
	end->whole = all && (end->alone || ps_fault(PS_FAULT_WHOLE_EARLY));
	book->whole = end->whole;
	book->commits_had = book->commits;
	if (pass->is_known)
		book->copied = pass->copied;
	if (end->alone && pass->is_known)
		book->frames = pass->frames;
	if (end->whole)
		book->frames = book->copied = 0;
	end->stuck = book->copied == before;
	end->rest = rest_of(book);
}

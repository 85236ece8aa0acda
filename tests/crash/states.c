/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/crash/states.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/check.h"
#include "tests/crash/disk.h"
#include "writer/sqlite/disk.h"

#define SECTOR 512
#define EXHAUSTIVE_MAX 10 /* unsynced changes of which every subset is tried */
#define SAMPLE_BESIDE 12  /* torn and garbage states at a point that is otherwise exhaustive */
#define SAMPLE_INSTEAD 40 /* at a point that is not */
#define PENDING_MAX 8192
#define CHECKPOINT_EACH 16
#define MESSAGES_MAX 3

struct walk {
	const struct states_options *options;
	struct crash_tally *tally;
	uint64_t random;
	size_t event; /* the point is behind it */
	size_t told;  /* outcomes of events before this count */
	size_t outcomes;
	bool at_end;
	bool counting; /* the first time along */
	uint64_t to_look_at;
	bool newest_is_in; /* states without the newest change were looked at before */
	bool sampling;
	bool cache_is_lost; /* what a file has cannot be told from what was written to it, until it is synced again */
	bool stopped;
	unsigned messages;
	size_t pending_count;
	const struct trace_event *pending[PENDING_MAX];
	bool adrift[PENDING_MAX];
	char chosen[PENDING_MAX + 1];
	/* the states looked at: open addressing, 0 is free */
	uint64_t *known;
	size_t known_count, known_capacity;
};

/* ---- what was looked at before ---- */

static void grow_known(struct walk *walk)
{
	uint64_t *old = walk->known;
	size_t capacity = walk->known_capacity, i;

	walk->known_capacity = capacity == 0 ? 1 << 14 : capacity * 2;
	walk->known = calloc(walk->known_capacity, sizeof *walk->known);
	if (walk->known == NULL)
		crash_die("out of memory");
	for (i = 0; i < capacity; i++) {
		size_t at = old[i] & (walk->known_capacity - 1);

		if (old[i] == 0)
			continue;
		while (walk->known[at] != 0)
			at = (at + 1) & (walk->known_capacity - 1);
		walk->known[at] = old[i];
	}
	free(old);
}

/* False: it was known. */
static bool remember(struct walk *walk, uint64_t key)
{
	size_t at;

	if (key == 0)
		key = 1;
	if (walk->known_count * 2 >= walk->known_capacity)
		grow_known(walk);
	at = key & (walk->known_capacity - 1);
	while (walk->known[at] != 0) {
		if (walk->known[at] == key)
			return false;
		at = (at + 1) & (walk->known_capacity - 1);
	}
	walk->known[at] = key;
	walk->known_count++;
	return true;
}

/* ---- messages ---- */

static void keep_file(const char *folder, const char *name, const void *data, size_t bytes)
{
	char path[4200];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
		crash_die("%s cannot be written", path);
}

static void keep_state(struct walk *walk)
{
	const char *folder = walk->options->keep;
	char path[4200], line[160];
	enum trace_name name;
	FILE *file;
	size_t i;

	mkdir(folder, 0777);
	for (name = 0; name < TRACE_NAMES; name++) {
		int number = disk_named(name);

		snprintf(line, sizeof line, "crash.db%s", trace_suffix(name));
		if (number >= 0)
			keep_file(folder, line, disk_bytes(number), disk_size(number));
	}
	snprintf(path, sizeof path, "%s/trace.txt", folder);
	file = fopen(path, "w");
	if (file == NULL)
		crash_die("%s cannot be written", path);
	for (i = 0; i < trace.count; i++) {
		trace_describe(&trace.events[i], line, sizeof line);
		fprintf(file, "%zu %s%s\n", i + 1, line, i == walk->event ? "   <-- the crash" : "");
	}
	fclose(file);
}

static void report(struct walk *walk, const char *why)
{
	char event[160];

	if (walk->options->wanted != 0 || walk->messages++ >= MESSAGES_MAX)
		return;
	trace_describe(&trace.events[walk->event], event, sizeof event);
	fprintf(stderr, "%s, behind event %zu of %zu (%s), %s: %s\n", walk->options->what, walk->event + 1, trace.count, event,
	        walk->pending_count == 0 ? "all synced" : walk->chosen, why);
}

/* ---- one state ---- */

static void look(struct walk *walk)
{
	size_t mark = disk_mark(), i;
	enum check_how how = walk->cache_is_lost ? CHECK_POWER : CHECK_WHOLE;
	unsigned findings;
	char why[400];

	if (walk->stopped)
		return;
	for (i = 0; i < walk->pending_count; i++) {
		if (walk->chosen[i] != '1')
			how = CHECK_POWER;
	}
	if (how == CHECK_WHOLE && walk->at_end)
		how = CHECK_END;
	if (!remember(walk, disk_hash() ^ random_mix(walk->outcomes * 3 + (unsigned)how)))
		return;
	walk->chosen[walk->pending_count] = '\0';
	if (walk->sampling)
		walk->tally->sampled++;
	else
		walk->tally->exhaustive++;
	walk->tally->checkpointed += walk->known_count % CHECKPOINT_EACH == 0;
	findings = check_state(walk->told, how, walk->known_count % CHECKPOINT_EACH == 0, why, sizeof why);
	disk_undo(mark);
	if (findings == 0)
		return;
	for (i = 0; i < CRASH_FINDING_COUNT; i++)
		walk->tally->findings[i] += findings >> i & 1;
	if (walk->options->keep != NULL && walk->messages == 0)
		keep_state(walk);
	report(walk, why);
	walk->stopped = (findings & walk->options->wanted) != 0;
}

static void apply(const struct trace_event *event)
{
	switch (event->kind) {
	case TRACE_WRITE:
		disk_write(event->file, event->offset, trace.data + event->data, event->bytes);
		break;
	case TRACE_TRUNCATE:
		disk_truncate(event->file, event->offset);
		break;
	case TRACE_CREATE:
		disk_name(event->name, event->file);
		break;
	default:
		disk_name(event->name, -1);
		break;
	}
}

/* ---- all of them ---- */

static void every_subset(struct walk *walk, size_t i)
{
	size_t mark = disk_mark();

	if (i == walk->pending_count) {
		look(walk);
		return;
	}
	if (i + 1 < walk->pending_count || !walk->newest_is_in) {
		walk->chosen[i] = '0';
		every_subset(walk, i + 1);
	}
	walk->chosen[i] = '1';
	apply(walk->pending[i]);
	every_subset(walk, i + 1);
	disk_undo(mark);
}

/* ---- some of them ---- */

static void apply_garbage(uint64_t *random, const struct trace_event *event, uint64_t from, uint64_t to)
{
	unsigned char garbage[SECTOR];
	uint64_t word = 0;
	size_t i;

	if (trace.weak_sectors) {
		uint64_t end = from / SECTOR * SECTOR + SECTOR;
		uint64_t size = disk_size(event->file) > to ? disk_size(event->file) : to;

		from = from / SECTOR * SECTOR;
		to = end < size ? end : size;
	}
	for (i = 0; i < to - from; i++) {
		if (i % 8 == 0)
			word = crash_random(random);
		garbage[i] = (unsigned char)(word >> (i % 8 * 8));
	}
	disk_write(event->file, from, garbage, to - from);
}

/* Sector by sector: few of them are written, or most; and much of it is garbage, or little. */
static void apply_broken(uint64_t *random, const struct trace_event *event, bool garbage)
{
	static const unsigned densities[] = { 12, 50, 88 };
	uint64_t from = event->offset, end = event->offset + event->bytes, to;
	unsigned written = densities[crash_below(random, 3)];
	unsigned garbled = !garbage ? 0 : event->bytes <= SECTOR ? 75 : crash_chance(random, 50) ? 40 : 4;

	for (; from < end; from = to) {
		to = from / SECTOR * SECTOR + SECTOR;
		if (to > end)
			to = end;
		if (crash_chance(random, garbled))
			apply_garbage(random, event, from, to);
		else if (crash_chance(random, written))
			disk_write(event->file, from, trace.data + event->data + (from - event->offset), to - from);
	}
}

static void apply_somehow(uint64_t *random, const struct trace_event *event, char how)
{
	if (how == '1')
		apply(event);
	else if (how != '0')
		apply_broken(random, event, how == 'g');
}

static void choose(struct walk *walk, size_t i, char how)
{
	const struct trace_event *event = walk->pending[i];

	if (event->kind != TRACE_WRITE && how != '0')
		how = '1';
	walk->chosen[i] = how;
	apply_somehow(&walk->random, event, how);
}

static char any_way(uint64_t *random)
{
	return "01tg"[crash_below(random, 4)];
}

static char broken_way(struct walk *walk)
{
	return "0tg"[crash_below(&walk->random, 3)];
}

static void sample(struct walk *walk)
{
	static const unsigned densities[] = { 12, 50, 88 };
	size_t mark = disk_mark(), count = walk->pending_count, i;
	size_t cut = crash_below(&walk->random, count), second = crash_below(&walk->random, count);
	unsigned shape = (unsigned)crash_below(&walk->random, 4), density = densities[crash_below(&walk->random, 3)];

	for (i = 0; i < count; i++) {
		bool in = crash_chance(&walk->random, density);

		switch (shape) {
		case 0: /* each by itself */
			choose(walk, i, in ? '1' : '0');
			break;
		case 1: /* all up to one, that one somehow, then some */
			choose(walk, i, i < cut ? '1' : i == cut ? any_way(&walk->random) : in ? '1' : '0');
			break;
		case 2: /* all but one or two */
			choose(walk, i, i == cut || (i == second && in) ? broken_way(walk) : '1');
			break;
		default: /* anything */
			choose(walk, i, any_way(&walk->random));
			break;
		}
	}
	look(walk);
	disk_undo(mark);
}

/* Every write has happened: what a crash of the program alone leaves behind. */
static void look_at_whole(struct walk *walk)
{
	size_t mark = disk_mark(), i;

	for (i = 0; i < walk->pending_count; i++)
		choose(walk, i, '1');
	look(walk);
	disk_undo(mark);
}

/* How many states there are to look at from here, before equal ones are left out. */
static uint64_t states_from_here(const struct walk *walk, bool behind_a_change)
{
	if (walk->pending_count > EXHAUSTIVE_MAX)
		return 1 + SAMPLE_INSTEAD;
	return (UINT64_C(1) << walk->pending_count >> behind_a_change) + (walk->pending_count == 0 ? 0 : SAMPLE_BESIDE);
}

static void look_from_here(struct walk *walk, bool behind_a_change)
{
	unsigned samples = 0, i;

	if (walk->counting) {
		walk->to_look_at += states_from_here(walk, behind_a_change);
		return;
	}
	/* Where everything is synced a look is cheap, and the end tells of outcomes that came to nothing. */
	if (walk->pending_count > 0 && !walk->at_end && crash_below(&walk->random, walk->to_look_at) >= walk->options->states)
		return;

	walk->newest_is_in = behind_a_change;
	walk->sampling = false;
	if (walk->pending_count <= EXHAUSTIVE_MAX) {
		every_subset(walk, 0);
		samples = walk->pending_count == 0 ? 0 : SAMPLE_BESIDE;
		walk->sampling = true;
	} else {
		walk->sampling = true;
		look_at_whole(walk);
		samples = SAMPLE_INSTEAD;
	}
	for (i = 0; i < samples && !walk->stopped; i++)
		sample(walk);
}

/* ---- along the trace ---- */

static void add_pending(struct walk *walk, const struct trace_event *event)
{
	if (walk->pending_count == PENDING_MAX)
		crash_die("more than %d unsynced changes", PENDING_MAX);
	walk->adrift[walk->pending_count] = false;
	walk->pending[walk->pending_count++] = event;
}

static bool is_of_folder(const struct trace_event *change)
{
	return change->kind == TRACE_CREATE || change->kind == TRACE_DELETE;
}

static bool is_change(const struct trace_event *event)
{
	return event->kind == TRACE_WRITE || event->kind == TRACE_TRUNCATE || is_of_folder(event);
}

static void set_adrift(struct walk *walk, int file)
{
	size_t i;

	for (i = 0; i < walk->pending_count; i++)
		walk->adrift[i] = walk->adrift[i] || (!is_of_folder(walk->pending[i]) && walk->pending[i]->file == file);
}

/* Whether a later change of the same file, now permanent, has taken the place of (some of) what is adrift. */
static bool is_overtaken(const struct walk *walk, size_t i, const struct trace_event *sync)
{
	const struct trace_event *old = walk->pending[i];
	size_t k;

	for (k = i + 1; k < walk->pending_count; k++) {
		const struct trace_event *new = walk->pending[k];

		if (walk->adrift[k] || is_of_folder(new) || new->file != sync->file)
			continue;
		if (new->kind == TRACE_TRUNCATE || old->kind == TRACE_TRUNCATE ||
		    (new->offset < old->offset + old->bytes && old->offset < new->offset + new->bytes))
			return true;
	}
	return false;
}

static bool made_permanent(const struct trace_event *change, const struct trace_event *sync)
{
	if (sync->kind == TRACE_SYNC_FOLDER)
		return is_of_folder(change);
	return !is_of_folder(change) && change->file == sync->file;
}

static void settle(struct walk *walk, const struct trace_event *sync)
{
	size_t kept = 0, i;

	for (i = 0; i < walk->pending_count; i++) {
		const struct trace_event *change = walk->pending[i];

		if (!made_permanent(change, sync) || (walk->adrift[i] && !is_overtaken(walk, i, sync))) {
			walk->adrift[kept] = walk->adrift[i];
			walk->pending[kept++] = change;
		} else {
			apply(change);
		}
	}
	walk->pending_count = kept;
	disk_settle();
}

/*
 * Whoever reads a file from the disk itself knows from then on what became of that which a failed sync left adrift: it is
 * there or not, whole or broken, and stays so. Half of the time nothing of it is there.
 */
static void settle_what_is_adrift(struct walk *walk, const struct trace_event *read)
{
	uint64_t random = read->offset;
	bool nothing = crash_chance(&random, 50);
	size_t kept = 0, i;

	for (i = 0; i < walk->pending_count; i++) {
		const struct trace_event *change = walk->pending[i];

		if (!walk->adrift[i] || is_of_folder(change) || change->file != read->file) {
			walk->adrift[kept] = walk->adrift[i];
			walk->pending[kept++] = change;
		} else if (change->kind == TRACE_TRUNCATE) {
			apply(change);
		} else {
			apply_somehow(&random, change, nothing ? '0' : any_way(&random));
			walk->cache_is_lost = true;
		}
	}
	walk->pending_count = kept;
	disk_settle();
}

/* The trace is complete when it comes to the files that are really there. */
static void compare_with_real(const char *path)
{
	enum trace_name name;
	size_t i;

	/* As the system's cache has it. */
	disk_clear(trace.weak_sectors);
	for (i = 0; i < trace.count; i++) {
		if (is_change(&trace.events[i]))
			apply(&trace.events[i]);
	}
	for (name = 0; name < TRACE_NAMES; name++) {
		int number = disk_named(name);
		char real[4200];
		unsigned char *data;
		struct stat info;
		FILE *file;

		snprintf(real, sizeof real, "%s%s", path, trace_suffix(name));
		file = fopen(real, "rb");
		if ((file != NULL) != (number >= 0))
			crash_die("%s %s, and the trace says otherwise", real, file != NULL ? "is there" : "is not there");
		if (file == NULL)
			continue;
		if (fstat(fileno(file), &info) != 0 || (uint64_t)info.st_size != disk_size(number))
			crash_die("%s has %lld bytes, and the trace comes to %llu", real, (long long)info.st_size,
			          (unsigned long long)disk_size(number));
		data = malloc((size_t)info.st_size + 1);
		if (data == NULL || fread(data, 1, (size_t)info.st_size, file) != (size_t)info.st_size)
			crash_die("%s cannot be read", real);
		if (memcmp(data, disk_bytes(number), (size_t)info.st_size) != 0)
			crash_die("%s is not what the trace comes to", real);
		free(data);
		fclose(file);
	}
}

static void walk_along(struct walk *walk)
{
	size_t i;

	walk->pending_count = 0;
	walk->outcomes = 0;
	walk->cache_is_lost = false;
	disk_clear(trace.weak_sectors);
	for (i = 0; i < trace.count && !walk->stopped; i++) {
		const struct trace_event *event = &trace.events[i];
		bool is_sync = false;

		walk->event = i;
		walk->told = i + 1;
		walk->at_end = i + 1 == trace.count;
		switch (event->kind) {
		case TRACE_SYNC:
			walk->cache_is_lost = walk->cache_is_lost && event->name != TRACE_WAL;
			settle(walk, event);
			is_sync = true;
			break;
		case TRACE_SYNC_FOLDER:
			settle(walk, event);
			is_sync = true;
			break;
		case TRACE_SYNC_FAILED:
			if (trace.adrift)
				set_adrift(walk, event->file);
			is_sync = true;
			break;
		case TRACE_READ_DISK:
			settle_what_is_adrift(walk, event);
			is_sync = true;
			break;
		case TRACE_OUTCOME:
			walk->outcomes++;
			break;
		default:
			add_pending(walk, event);
			look_from_here(walk, true);
			continue;
		}
		/* A sync only takes states away; and the last of several outcomes promises the most. */
		if (walk->at_end || (!is_sync && trace.events[i + 1].kind != TRACE_OUTCOME))
			look_from_here(walk, false);
	}
}

/* ---- the engine reads the -wal from the disk (writer/sqlite/disk.h) ---- */

static struct {
	unsigned char *data;
	size_t bytes;
} on_disk;

bool __wrap_ps_disk_open(struct ps_disk *disk, const char *path);
size_t __wrap_ps_disk_read(struct ps_disk *disk, uint64_t offset, unsigned char *piece);
void __wrap_ps_disk_close(struct ps_disk *disk);

/* What is permanent by now. */
bool __wrap_ps_disk_open(struct ps_disk *disk, const char *path)
{
	int file = trace_read_disk(path);
	static struct walk walk;

	(void)disk;
	memset(&walk, 0, sizeof walk);
	walk.counting = true;
	walk_along(&walk);
	on_disk.bytes = disk_size(file);
	on_disk.data = malloc(on_disk.bytes + 1);
	if (on_disk.data == NULL)
		crash_die("out of memory");
	if (on_disk.bytes > 0)
		memcpy(on_disk.data, disk_bytes(file), on_disk.bytes);
	return true;
}

size_t __wrap_ps_disk_read(struct ps_disk *disk, uint64_t offset, unsigned char *piece)
{
	size_t there = offset < on_disk.bytes ? on_disk.bytes - offset : 0;

	(void)disk;
	if (there > PS_DISK_PIECE)
		there = PS_DISK_PIECE;
	memcpy(piece, on_disk.data + (there > 0 ? offset : 0), there);
	return there;
}

void __wrap_ps_disk_close(struct ps_disk *disk)
{
	(void)disk;
	free(on_disk.data);
}

/* ---- all of it ---- */

void states_walk(const struct states_options *options, const char *path, struct crash_tally *tally)
{
	static struct walk walk;
	unsigned findings;
	char why[400];
	size_t i;

	memset(&walk, 0, sizeof walk);
	walk.options = options;
	walk.tally = tally;
	walk.random = options->seed;
	check_prepare();
	walk.counting = true;
	walk_along(&walk);
	compare_with_real(path);
	walk.counting = false;
	walk_along(&walk);
	findings = check_outcomes(why, sizeof why);
	for (i = 0; i < CRASH_FINDING_COUNT; i++)
		tally->findings[i] += findings >> i & 1;
	if (findings != 0)
		report(&walk, why);
	tally->traces++;
	free(walk.known);
}

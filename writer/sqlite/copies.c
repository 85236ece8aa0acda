/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/copies.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

#define COPIES_MAX 4
#define NAME_BYTES 256

struct copies {
	uintptr_t within; /* ours is the object with this address in it */
	char ours[NAME_BYTES];
	char others[COPIES_MAX][NAME_BYTES];
	unsigned count;
};

/* The dynamic symbols of one object. */
struct symbols {
	const ElfW(Sym) * symbols;
	const char *names;
	const uint32_t *hash;
};

/* ---- one object ---- */

static bool holds(const struct dl_phdr_info *object, uintptr_t address)
{
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_LOAD && address - (object->dlpi_addr + part->p_vaddr) < part->p_memsz)
			return true;
	}
	return false;
}

/* The loader has turned offsets into addresses in most objects; not in the kernel's own, nor on every machine. */
static const void *address_of(const struct dl_phdr_info *object, ElfW(Addr) value)
{
	return (const void *)(value < object->dlpi_addr ? object->dlpi_addr + value : value);
}

static bool find_symbols(const struct dl_phdr_info *object, struct symbols *found)
{
	const ElfW(Dyn) *entry = NULL;

	memset(found, 0, sizeof *found);
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			entry = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
	}
	for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			found->symbols = address_of(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_STRTAB)
			found->names = address_of(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_GNU_HASH)
			found->hash = address_of(object, entry->d_un.d_ptr);
	}
	return found->symbols != NULL && found->names != NULL && found->hash != NULL;
}

static uint32_t hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name != '\0'; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* The table: counts, a Bloom filter, the buckets' first symbols, and the hash of each symbol, odd where a bucket ends. */
static bool defines(const struct symbols *object, const char *name)
{
	uint32_t buckets = object->hash[0], first = object->hash[1], filter_words = object->hash[2];
	const uint32_t *bucket = object->hash + 4 + filter_words * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
	const uint32_t *hashes = bucket + buckets;
	uint32_t hash = hash_of(name), i;

	if (buckets == 0)
		return false;
	for (i = bucket[hash % buckets]; i >= first; i++) {
		const ElfW(Sym) *symbol = &object->symbols[i];

		if ((hashes[i - first] | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF &&
		    strcmp(object->names + symbol->st_name, name) == 0)
			return true;
		if ((hashes[i - first] & 1) != 0)
			return false;
	}
	return false;
}

/* ---- all of them ---- */

static void copy_name(char *to, const struct dl_phdr_info *object)
{
	ssize_t bytes;

	snprintf(to, NAME_BYTES, "%s", object->dlpi_name);
	if (to[0] != '\0')
		return;
	bytes = readlink("/proc/self/exe", to, NAME_BYTES - 1);
	snprintf(to + (bytes > 0 ? bytes : 0), NAME_BYTES - (size_t)(bytes > 0 ? bytes : 0), "%s",
	         bytes > 0 ? "" : "the program itself");
}

static int look_at(struct dl_phdr_info *object, size_t size, void *arg)
{
	struct copies *copies = arg;
	struct symbols symbols;

	(void)size;
	if (holds(object, copies->within))
		copy_name(copies->ours, object);
	else if (copies->count < COPIES_MAX && find_symbols(object, &symbols) && defines(&symbols, "sqlite3_open_v2") &&
	         defines(&symbols, "sqlite3_libversion"))
		copy_name(copies->others[copies->count++], object);
	return 0;
}

void ps_copies_tell(const struct ps_options *options, const char *path)
{
	const sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
	struct copies copies = { 0 };

	if (vfs == NULL)
		return;
	/* Not a public function: the address of such a one may be the linker's own. */
	copies.within = (uintptr_t)vfs->xOpen;
	dl_iterate_phdr(look_at, &copies);
	for (unsigned i = 0; i < copies.count; i++)
		ps_log(options, PENSTOCK_EVENT_SECOND_SQLITE,
		       "a second SQLite is in this process: %s, beside %s, which the engine uses; do not open %s through it, since"
		       " its locks do not count here, and it would remove the -wal",
		       copies.others[i], copies.ours, path);
}

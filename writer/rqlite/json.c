/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/json.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <urcu/list.h>
#include <yajl/yajl_parse.h>

#define NONE UINT32_MAX

/* ---- events ---- */

/* What is open, when it is bytes so far. */
static struct ps_json_node *open_bytes(const struct ps_json *json)
{
	struct ps_json_node *node = json->open != NONE ? &json->nodes[json->open] : NULL;

	return node != NULL && node->type == PS_JSON_BYTES ? node : NULL;
}

/* NULL without memory. */
static struct ps_json_node *add(struct ps_json *json, enum ps_json_type type)
{
	struct ps_json_node *node;
	struct ps_json_node *bytes = open_bytes(json);
	uint32_t at = json->count;

	if (bytes != NULL)
		bytes->type = PS_JSON_ARRAY;
	if (at == json->capacity) {
		uint32_t capacity = json->capacity == 0 ? 64 : json->capacity * 2;
		struct ps_json_node *nodes = capacity > at ? reallocarray(json->nodes, capacity, sizeof *nodes) : NULL;

		if (nodes == NULL) {
			json->lacks_memory = true;
			return NULL;
		}
		json->nodes = nodes;
		json->capacity = capacity;
	}
	node = &json->nodes[json->count++];
	*node = (struct ps_json_node){ .type = type, .parent = json->open, .name = json->name };
	json->name = NULL;
	if (json->open != NONE) {
		struct ps_json_node *parent = &json->nodes[json->open];

		if (parent->count++ == 0)
			parent->first = at;
		else
			json->nodes[parent->last].next = at;
		parent->last = at;
	}
	return node;
}

static const char *keep(struct ps_json *json, const char *text, size_t bytes)
{
	char *copy = json->texts + json->used;

	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	json->used += bytes + 1;
	return copy;
}

static int add_text(struct ps_json *json, enum ps_json_type type, const char *text, size_t bytes)
{
	struct ps_json_node *node = add(json, type);

	if (node == NULL)
		return 0;
	node->text = keep(json, text, bytes);
	node->bytes = bytes;
	return 1;
}

static int on_null(void *json)
{
	return add(json, PS_JSON_NULL) != NULL;
}

static int on_boolean(void *json, int value)
{
	return add(json, value ? PS_JSON_TRUE : PS_JSON_FALSE) != NULL;
}

/* False: it is none. */
static bool add_byte(struct ps_json *json, const char *text, size_t bytes)
{
	struct ps_json_node *node = open_bytes(json);
	unsigned value = 0;
	size_t i;

	if (node == NULL || bytes > 3)
		return false;
	for (i = 0; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	if (value > UINT8_MAX)
		return false;
	json->texts[json->used++] = (char)value;
	node->bytes++;
	return true;
}

static int on_number(void *json, const char *text, size_t bytes)
{
	return add_byte(json, text, bytes) || add_text(json, PS_JSON_NUMBER, text, bytes);
}

static int on_string(void *json, const unsigned char *text, size_t bytes)
{
	return add_text(json, PS_JSON_STRING, (const char *)text, bytes);
}

static int on_name(void *context, const unsigned char *text, size_t bytes)
{
	struct ps_json *json = context;

	json->name = keep(json, (const char *)text, bytes);
	return 1;
}

static int begin(struct ps_json *json, enum ps_json_type type)
{
	uint32_t at = json->count;

	if (add(json, type) == NULL)
		return 0;
	json->open = at;
	return 1;
}

/* As a blob stands in a row, among rows. */
static bool may_be_bytes(const struct ps_json *json)
{
	const struct ps_json_node *row = json->open != NONE ? &json->nodes[json->open] : NULL;

	return row != NULL && row->type == PS_JSON_ARRAY && row->parent != NONE &&
	       json->nodes[row->parent].type == PS_JSON_ARRAY;
}

static int on_array(void *context)
{
	struct ps_json *json = context;

	if (!may_be_bytes(json))
		return begin(json, PS_JSON_ARRAY);
	if (!begin(json, PS_JSON_BYTES))
		return 0;
	json->nodes[json->open].text = json->texts + json->used;
	return 1;
}

static int on_object(void *json)
{
	return begin(json, PS_JSON_OBJECT);
}

static int on_end(void *context)
{
	struct ps_json *json = context;

	if (open_bytes(json) != NULL)
		json->texts[json->used++] = '\0';
	json->open = json->nodes[json->open].parent;
	return 1;
}

/* ---- yajl's memory ---- */

struct memory {
	jmp_buf none_left;
	struct cds_list_head blocks;
};

struct block {
	struct cds_list_head place;
	max_align_t bytes[];
};

static struct block *block_of(void *bytes)
{
	return caa_container_of(bytes, struct block, bytes);
}

static void *change(void *context, void *bytes, size_t size)
{
	struct memory *memory = context;
	struct block *block = bytes != NULL ? block_of(bytes) : NULL, *changed;

	if (block != NULL)
		cds_list_del(&block->place);
	changed = __builtin_add_overflow(size, sizeof *block, &size) ? NULL : realloc(block, size);
	if (changed != NULL)
		cds_list_add(&changed->place, &memory->blocks);
	else if (block != NULL)
		cds_list_add(&block->place, &memory->blocks);
	if (changed == NULL)
		longjmp(memory->none_left, 1);
	return changed->bytes;
}

static void *allocate(void *context, size_t size)
{
	return change(context, NULL, size);
}

static void give_back(void *context, void *bytes)
{
	(void)context;
	if (bytes == NULL)
		return;
	cds_list_del(&block_of(bytes)->place);
	free(block_of(bytes));
}

static void give_all_back(struct memory *memory)
{
	while (!cds_list_empty(&memory->blocks))
		give_back(memory, cds_list_first_entry(&memory->blocks, struct block, place)->bytes);
}

/* ---- reading ---- */

/* Leaves yajl's memory in the list; may leave it by a long jump. */
static bool parse(struct ps_json *json, const char *text, size_t bytes, struct memory *memory)
{
	static const yajl_callbacks callbacks = {
		.yajl_null = on_null,
		.yajl_boolean = on_boolean,
		.yajl_number = on_number,
		.yajl_string = on_string,
		.yajl_start_map = on_object,
		.yajl_map_key = on_name,
		.yajl_end_map = on_end,
		.yajl_start_array = on_array,
		.yajl_end_array = on_end,
	};
	yajl_alloc_funcs functions = { .malloc = allocate, .realloc = change, .free = give_back, .ctx = memory };
	yajl_handle handle = yajl_alloc(&callbacks, &functions, json);

	return handle != NULL && yajl_parse(handle, (const unsigned char *)text, bytes) == yajl_status_ok &&
	       yajl_complete_parse(handle) == yajl_status_ok && json->count > 0;
}

static bool parse_or_leave(struct ps_json *json, const char *text, size_t bytes, struct memory *memory)
{
	if (setjmp(memory->none_left) == 0)
		return parse(json, text, bytes, memory);
	json->lacks_memory = true;
	return false;
}

bool ps_json_read(struct ps_json *json, const char *text, size_t bytes)
{
	struct memory memory = { .blocks = CDS_LIST_HEAD_INIT(memory.blocks) };
	bool whole, lacks_memory;

	/* One more than what is read: a lone number has no sign behind it. */
	*json = (struct ps_json){ .open = NONE, .texts = malloc(bytes + 1) };
	json->lacks_memory = json->texts == NULL;
	whole = !json->lacks_memory && parse_or_leave(json, text, bytes, &memory);
	give_all_back(&memory);
	if (whole)
		return true;
	lacks_memory = json->lacks_memory;
	ps_json_free(json);
	json->lacks_memory = lacks_memory;
	return false;
}

void ps_json_free(struct ps_json *json)
{
	free(json->nodes);
	free(json->texts);
	*json = (struct ps_json){ .open = NONE };
}

const struct ps_json_node *ps_json_first(const struct ps_json *json, const struct ps_json_node *node)
{
	return node->first != 0 ? &json->nodes[node->first] : NULL;
}

const struct ps_json_node *ps_json_next(const struct ps_json *json, const struct ps_json_node *node)
{
	return node->next != 0 ? &json->nodes[node->next] : NULL;
}

const struct ps_json_node *ps_json_member(const struct ps_json *json, const struct ps_json_node *object, const char *name)
{
	const struct ps_json_node *node;

	if (object == NULL || object->type != PS_JSON_OBJECT)
		return NULL;
	for (node = ps_json_first(json, object); node != NULL; node = ps_json_next(json, node)) {
		if (strcmp(node->name, name) == 0)
			return node;
	}
	return NULL;
}

bool ps_json_is(const struct ps_json_node *node, const char *text)
{
	return node != NULL && node->type == PS_JSON_STRING && node->bytes == strlen(text) &&
	       memcmp(node->text, text, node->bytes) == 0;
}

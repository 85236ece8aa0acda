/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/json.h"

#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#define NONE UINT32_MAX

/* ---- events ---- */

/* NULL without memory. */
static struct ps_json_node *add(struct ps_json *json, enum ps_json_type type)
{
	struct ps_json_node *node;
	uint32_t at = json->count;

	if (at == json->capacity) {
		uint32_t capacity = json->capacity == 0 ? 64 : json->capacity * 2;
		struct ps_json_node *nodes = capacity > at ? reallocarray(json->nodes, capacity, sizeof *nodes) : NULL;

		if (nodes == NULL)
			return NULL;
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

static int on_number(void *json, const char *text, size_t bytes)
{
	return add_text(json, PS_JSON_NUMBER, text, bytes);
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

static int on_array(void *json)
{
	return begin(json, PS_JSON_ARRAY);
}

static int on_object(void *json)
{
	return begin(json, PS_JSON_OBJECT);
}

static int on_end(void *context)
{
	struct ps_json *json = context;

	json->open = json->nodes[json->open].parent;
	return 1;
}

/* ---- reading ---- */

bool ps_json_read(struct ps_json *json, const char *text, size_t bytes)
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
	yajl_handle handle;
	bool whole;

	*json = (struct ps_json){ .open = NONE };
	/* One more than what is read: a lone number has no sign behind it. */
	json->texts = malloc(bytes + 1);
	handle = json->texts != NULL ? yajl_alloc(&callbacks, NULL, json) : NULL;
	whole = handle != NULL && yajl_parse(handle, (const unsigned char *)text, bytes) == yajl_status_ok &&
	        yajl_complete_parse(handle) == yajl_status_ok && json->count > 0;
	if (handle != NULL)
		yajl_free(handle);
	if (!whole)
		ps_json_free(json);
	return whole;
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

/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/registry.h"

#include <stdlib.h>
#include <string.h>

#include "writer/store.h"

/* Registered statements before the set grows for the first time. */
#define USUAL_COUNT 64

bool ps_registry_init(struct ps_registry *registry)
{
	CDS_INIT_LIST_HEAD(&registry->all);
	if (!ps_text_set_init(&registry->by_text, USUAL_COUNT))
		return false;
	if (pthread_mutex_init(&registry->mutex, NULL) == 0)
		return true;
	ps_text_set_destroy(&registry->by_text);
	return false;
}

static void free_statement(struct penstock_statement *statement)
{
	free((char *)statement->text.data);
	ps_store_statement_free(statement);
}

void ps_registry_destroy(struct ps_registry *registry)
{
	struct penstock_statement *statement, *next;

	cds_list_for_each_entry_safe (statement, next, &registry->all, link)
		free_statement(statement);
	ps_text_set_destroy(&registry->by_text);
	pthread_mutex_destroy(&registry->mutex);
}

static struct penstock_statement *new_statement(penstock *db, const struct ps_text *text)
{
	struct penstock_statement *statement;
	char *copy = malloc(text->bytes + 1);

	if (copy == NULL)
		return NULL;
	if (text->bytes != 0)
		memcpy(copy, text->data, text->bytes);
	copy[text->bytes] = '\0';
	statement = ps_store_statement_new(copy, text->bytes);
	if (statement == NULL) {
		free(copy);
		return NULL;
	}
	statement->db = db;
	statement->text = *text;
	statement->text.data = copy;
	return statement;
}

static struct penstock_statement *add_locked(struct ps_registry *registry, penstock *db, const struct ps_text *text)
{
	struct penstock_statement *statement = new_statement(db, text);

	if (statement == NULL)
		return NULL;
	if (!ps_text_set_put(&registry->by_text, &statement->text)) {
		free_statement(statement);
		return NULL;
	}
	cds_list_add(&statement->link, &registry->all);
	return statement;
}

struct penstock_statement *ps_registry_add(struct ps_registry *registry, penstock *db, const char *sql, size_t bytes)
{
	struct ps_text text = ps_text_of(sql, bytes), *found;
	struct penstock_statement *statement;

	pthread_mutex_lock(&registry->mutex);
	found = ps_text_set_get(&registry->by_text, &text);
	statement = found != NULL ? caa_container_of(found, struct penstock_statement, text) : add_locked(registry, db, &text);
	pthread_mutex_unlock(&registry->mutex);
	return statement;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/address.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

#define SCHEME "rqlite://"
#define PORT "4001"
#define TIMEOUT_MS 20000
#define TIMEOUT_MS_MAX 3600000

static int wrong(const char *what)
{
	return ps_error(PENSTOCK_CANTOPEN, "the path of a cluster is rqlite://[USER@]HOST[:PORT],.../[?KEY=VALUE&...]: %s",
	                what);
}

/* A name or an address of IPv4; or one of IPv6, which stands in brackets. */
static size_t host_bytes(const char *text)
{
	static const char name[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_",
			  ipv6[] = "0123456789ABCDEFabcdef:.";
	size_t bytes;

	if (*text != '[')
		return strspn(text, name);
	bytes = 1 + strspn(text + 1, ipv6);
	return bytes > 1 && text[bytes] == ']' ? bytes + 1 : 0;
}

static int add_host(struct ps_address *address, const char *text)
{
	const char *port = text + host_bytes(text);
	size_t digits;
	char *host;

	if (*port == ':' && strchr(port + 1, ':') != NULL)
		return wrong("a host has two ports; or it is an address of IPv6, which stands in [ and ]");
	if (port == text || (*port != '\0' && *port != ':'))
		return wrong("a host has no name, or one with a character that does not belong there");
	digits = *port == ':' ? strspn(port + 1, "0123456789") : 0;
	if (*port == ':' &&
	    (digits == 0 || digits > 5 || port[1 + digits] != '\0' || atoi(port + 1) < 1 || atoi(port + 1) > UINT16_MAX))
		return wrong("a port is a number from 1 to 65535");
	if (address->host_count == PS_HOSTS_MAX)
		return wrong("too many hosts");
	if (asprintf(&host, "%s%s", text, *port == '\0' ? ":" PORT : "") < 0)
		return ps_refuse(PENSTOCK_NOMEM);
	address->hosts[address->host_count++] = host;
	return PENSTOCK_OK;
}

static int set(struct ps_address *address, const char *name, const char *value)
{
	char *end;

	if (strcmp(name, "tls") == 0 && (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)) {
		address->tls = *value == 'y';
	} else if (strcmp(name, "ca") == 0) {
		address->ca = value;
	} else if (strcmp(name, "cert") == 0) {
		address->cert = value;
	} else if (strcmp(name, "key") == 0) {
		address->key = value;
	} else if (strcmp(name, "timeout_ms") == 0) {
		address->timeout_ms = strtol(value, &end, 10);
		if (*value == '\0' || *end != '\0' || address->timeout_ms < 1 || address->timeout_ms > TIMEOUT_MS_MAX)
			return wrong("timeout_ms is 1 to 3600000");
	} else {
		return wrong("behind ? only tls=yes, ca, cert, key and timeout_ms are known");
	}
	return PENSTOCK_OK;
}

static int read_options(struct ps_address *address, char *text)
{
	char *option, *value;
	int status = PENSTOCK_OK;

	while (status == PENSTOCK_OK && (option = strsep(&text, "&")) != NULL) {
		value = strchr(option, '=');
		if (value == NULL)
			return wrong("what is behind ? is KEY=VALUE&...");
		*value++ = '\0';
		status = set(address, option, value);
	}
	if (status == PENSTOCK_OK && !address->tls && (address->ca != NULL || address->cert != NULL || address->key != NULL))
		return wrong("ca, cert and key are for tls=yes");
	if (status == PENSTOCK_OK && (address->cert == NULL) != (address->key == NULL))
		return wrong("cert and key go together");
	return status;
}

static int read_whole(struct ps_address *address, char *text)
{
	char *options = strchr(text, '?'), *slash, *at, *host;
	int status = PENSTOCK_OK;

	if (options != NULL)
		*options++ = '\0';
	slash = strchr(text, '/');
	if (slash != NULL && slash[1] != '\0')
		return wrong("a cluster holds one database; nothing comes behind the /");
	if (slash != NULL)
		*slash = '\0';
	at = strrchr(text, '@');
	if (at != NULL) {
		*at = '\0';
		address->user = text;
		if (strchr(text, ':') != NULL)
			return wrong("the password goes to the configuration file ([cluster] password) or the environment "
			             "(PENSTOCK_CLUSTER_PASSWORD)");
		text = at + 1;
	}
	while (status == PENSTOCK_OK && (host = strsep(&text, ",")) != NULL)
		status = add_host(address, host);
	return status == PENSTOCK_OK && options != NULL ? read_options(address, options) : status;
}

int ps_address_read(struct ps_address *address, const char *path)
{
	int status;

	*address = (struct ps_address){ .timeout_ms = TIMEOUT_MS, .copy = strdup(path + strlen(SCHEME)) };
	if (address->copy == NULL)
		return ps_refuse(PENSTOCK_NOMEM);
	status = read_whole(address, address->copy);
	if (status != PENSTOCK_OK)
		ps_address_free(address);
	return status;
}

void ps_address_free(struct ps_address *address)
{
	while (address->host_count > 0)
		free(address->hosts[--address->host_count]);
	free(address->copy);
	*address = (struct ps_address){ .copy = NULL };
}

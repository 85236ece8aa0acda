/* SPDX-License-Identifier: BSD-2-Clause */
/* A library that needs BYTES of the static TLS block, as those with initial-exec variables do. */
char *hog_variable(void);

static __thread char variable[BYTES] __attribute__((tls_model("initial-exec"), aligned(1)));

char *hog_variable(void)
{
	return variable;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/locales.h"

#include <locale.h>

#include "tests/harness.h"

static void compile_locale(const char *name)
{
	const char *charset = strchr(name, '.');
	char command[1000];

	if (charset == NULL)
		return;
	snprintf(command, sizeof command, "localedef -i %.*s -f %s %s/%s >/dev/null 2>&1", (int)(charset - name), name,
	         charset + 1, harness_make_folder(), name);
	if (system(command) == 0)
		setenv("LOCPATH", harness_make_folder(), 1);
}

bool locale_enter(const char *name)
{
	if (setlocale(LC_ALL, name) != NULL)
		return true;
	compile_locale(name);
	return setlocale(LC_ALL, name) != NULL;
}

void locale_leave(void)
{
	setlocale(LC_ALL, "C");
}

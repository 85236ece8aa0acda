/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * base.h - the configuration that tuning starts from
 *
 * It is what `penstock run` would use with the same --config and --set. The library checks the file, and says what is
 * wrong with it, when an engine is opened on it; only then is it read here, so that what is not tuned can be written into
 * the new file. A file is therefore read twice and must not be a pipe.
 */
#ifndef PENSTOCK_TOOL_TUNE_BASE_H
#define PENSTOCK_TOOL_TUNE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/penstock.h"
#include "tool/options.h"
#include "tool/tune/space.h"
#include "tool/tune/trial.h"

struct tune_setting {
	bool pragma;
	char *name;
	char *value;
};

struct tune_base {
	penstock_config config;        /* file and --set in one */
	penstock_pragma *pragmas;      /* config's: those that are not tuned */
	struct tune_setting *settings; /* file and --set, each name once */
	size_t setting_count;
	int64_t values[SPACE_KEYS];   /* the base's */
	int64_t defaults[SPACE_KEYS]; /* the library's and SQLite's */
};

/* False after saying why. Opens the scratch database. Free in any case. */
bool tune_base_read(struct tune_base *base, const struct options *options, struct tune_bench *bench);
void tune_base_free(struct tune_base *base);
/* Whether a setting is one that is tuned. */
bool tune_base_is_tuned(const struct tune_setting *setting);

#endif

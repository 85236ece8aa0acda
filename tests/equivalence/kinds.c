/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/kinds.h"

const struct kind *const kinds[] = {
	&kind_general, &kind_conflicts, &kind_columns,   &kind_upserts, &kind_orphans,    &kind_deferred,
	&kind_views,   &kind_shadows,   &kind_existence, &kind_audit,   &kind_fts4,       &kind_fts5,
	&kind_rtree,   &kind_temporary, &kind_functions, &kind_pragmas, &kind_unprepared, &kind_locale,
	&kind_rowids,  &kind_ends,      &kind_heard,     &kind_taken,   &kind_locks,      NULL,
};

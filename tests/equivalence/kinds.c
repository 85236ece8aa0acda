#include "tests/equivalence/kinds.h"

extern const struct kind kind_general;

const struct kind *const kinds[] = { &kind_general, NULL };

/* SPDX-License-Identifier: BSD-2-Clause */
// The public header from C++: it compiles with every warning, and the names link as C.
#include <penstock.h>

int main()
{
	penstock_config config;
	penstock_value value = penstock_text("text");
	penstock *db = nullptr;

	penstock_config_init(&config);
	return value.bytes == 4 && penstock_open(nullptr, &config, &db) == PENSTOCK_MISUSE ? 0 : 1;
}

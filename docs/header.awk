# SPDX-License-Identifier: BSD-2-Clause
# What Doxygen sees of core/penstock.h: its comments as documentation, its headings as groups of what follows them. No line is added or taken
# away, so that Doxygen's messages have the header's line numbers.
/SPDX-License-Identifier/ { print; next }
# These two lists have their lines.
/^ \* (TERMS|WHICH CALL)$/ { print $0 " @verbatim"; list = 1; next }
list && /^ \* / { sub(/\*/, " ") }
list && /^ \*$/ { print "   @endverbatim"; list = 0; next }
/^ \* penstock\.h - / { sub(/penstock\.h - /, "@file penstock.h @brief "); print; next }
/^\/\* ---- / {
	heading = $0
	gsub(/^\/\* -* | -* \*\/$/, "", heading)
	print (open ? "/** @} */ " : "") "/** @name " heading " */ /** @{ */"
	open = 1
	next
}
open && /^#ifdef __cplusplus/ { ends = 1 }
open && ends && /^$/ { print "/** @} */"; open = 0; next }
/^[ \t]*\/\*([^*]|$)/ { sub(/\/\*/, "/**"); print; next }
/[;,][ \t]*\/\* / { sub(/\/\* /, "/**< "); print; next }
{ print }

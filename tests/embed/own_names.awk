# SPDX-License-Identifier: BSD-2-Clause
# nm's list of the objects' global names, made into a C file that defines each internal one anew. What is no name in C is the
# probes' (_.stapsdt.base).
BEGIN { print "#include <stdlib.h>" }
NF >= 3 && $NF !~ /^penstock_|\./ && !seen[$NF]++ { print "void " $NF "(void);\nvoid " $NF "(void)\n{\n\tabort();\n}" }

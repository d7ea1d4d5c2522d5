#!/bin/sh
# SPDX-License-Identifier: MIT
# Every function and type of the public headers is documented, and doxygen finds nothing wrong. The
# pages are in build-doc/html. (A struct's fields and macros may speak for themselves.)
set -eu
cd "$(dirname "$0")/../.."
rm -rf build-doc
mkdir build-doc
doxygen .ci/doc/Doxyfile || { echo "doxygen fails"; echo "    mend: .ci/doc"; exit 1; }
pages=$(find build-doc/html -name '*_8h.html' | wc -l)
[ "$pages" -ge 5 ] || { echo "doxygen sees $pages headers: doc.sh is broken"; exit 1; }
sed "s|$PWD/||" build-doc/warnings | grep -vE '\((variable|macro definition)\) of .* is not documented' || exit 0
echo "    mend: a comment before it: shapes, units, ownership, errors"
exit 1

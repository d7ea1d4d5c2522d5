#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs that the README shows are those of tests/examples, which install.sh builds and runs.
# A block of C begins with its program's comment.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk -v work="$work" '
    /^```/ { shown = $0 == "```c"; file = ""; next }
    shown && file == "" { file = work "/" $2; count++ }
    shown { print >file }
    END { if (count < 2) { print "README.md shows " count + 0 " programs, not 2"; exit 1 } }' README.md
bad=0
for shown in "$work"/*; do
    name=$(basename "$shown")
    sed 1d "tests/examples/$name" | diff "$shown" - || {
        echo "    mend: copy tests/examples/$name, without its first line, into README.md's block of C"
        bad=1
    }
done
exit $bad

#!/bin/sh
# SPDX-License-Identifier: MIT
# The program that the README shows is tests/examples/hello.c, which install.sh builds and runs.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' >"$work/README.md"
sed 1d tests/examples/hello.c >"$work/hello.c"
cmp -s "$work/README.md" "$work/hello.c" && exit 0
(cd "$work" && diff README.md hello.c)
echo "    mend: copy tests/examples/hello.c, without its first line, into README.md's block of C"
exit 1

#!/bin/sh
# SPDX-License-Identifier: MIT
# Every C and C++ file is as clang-format 14 would write it (.clang-format).
set -eu
cd "$(dirname "$0")/../.."
tool=
for name in clang-format-14 clang-format; do
    if command -v $name >/dev/null && $name --version | grep -q 'version 14\.'; then
        tool=$name
        break
    fi
done
if [ -z "$tool" ]; then
    echo "clang-format 14 is not here (other versions format differently)"
    echo "    mend: .ci/deps"
    exit 1
fi
if ! git ls-files '*.c' '*.h' '*.cpp' | xargs $tool --dry-run -Werror 2>&1 | grep -E 'error:|warning:'; then
    exit 0
fi
echo "    mend: $tool -i FILE..."
exit 1

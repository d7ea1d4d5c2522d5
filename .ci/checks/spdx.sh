#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source, script and meson file says its licence in its first line (scripts: the second).
set -eu
cd "$(dirname "$0")/../.."
bad=0
for file in $(git ls-files | grep -vE '^(LICENSE|\.gitignore|\.clang-format)$|\.(md|txt|json|csv)$|/\.keep$' |
    grep -vE '^tests/.*(fixtures|regressions)/|^bench/(shapes|tables)/'); do
    [ -f "$file" ] || continue
    if ! head -n 2 "$file" | awk 'NR == 1 && /^#!/ { next } { print; exit }' |
        grep -qF 'SPDX-License-Identifier: MIT'; then
        echo "$file: does not begin with its licence"
        bad=1
    fi
done
[ $bad = 0 ] || echo "    mend: first line /* SPDX-License-Identifier: MIT */, or # … after a script's #! line"
exit $bad

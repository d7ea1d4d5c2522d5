#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source, script and meson file says its licence in its first line (scripts: the second).
set -eu
cd "$(dirname "$0")/../.."
# one awk for all files: a process for each would take most of a minute
git ls-files | grep -vE '^(LICENSE|\.gitignore|\.clang-format)$|\.(md|txt|json|csv)$|/\.keep$' |
    grep -vE '^tests/.*(fixtures|regressions)/|^bench/(shapes|tables)/' | awk '
    {
        file = $0
        if ((getline line <file) < 0) # removed, and not yet committed
            next
        if (line ~ /^#!/)
            getline line <file
        close(file)
        seen++
        if (index(line, "SPDX-License-Identifier: MIT"))
            next
        print file ": does not begin with its licence"
        bad = 1
    }
    END {
        if (bad)
            print "    mend: first line /* SPDX-License-Identifier: MIT */, or # … after a script'\''s #! line"
        if (seen < 100) {
            print "spdx.sh sees " seen + 0 " files: it is broken"
            bad = 1
        }
        exit bad
    }'

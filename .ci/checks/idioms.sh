#!/bin/sh
# SPDX-License-Identifier: MIT
# One way of writing what is written everywhere:
#   a null test        if (!p), if (p), and p != NULL only to make a bool of it
#   a size             sizeof(x), sizeof(type)
#   a section          /* ---- what it has (file.c) ---- */ on one line
#   a line             at most 100 columns in C and meson files, comments included
set -eu
cd "$(dirname "$0")/../.."
bad=0
complain() {
    echo "    mend: $1"
    bad=1
}
sources='*.c *.h *.cpp'
# shellcheck disable=SC2086
{
    if git grep -nE '[^"]== NULL' -- $sources; then complain 'if (!p)'; fi
    if git grep -nE '\bsizeof [a-z_(*]' -- $sources; then complain 'sizeof(x)'; fi
    if git grep -nE '^ *(/\*|\*) -{3,}' -- $sources | grep -vE '/\* ---- [^-].* ---- \*/$'; then
        complain 'a section is /* ---- its words ---- */, on one line'
    fi
    if git grep -nE '^.{101,}$' -- $sources '*.build'; then
        complain 'break the line before column 101'
    fi
}
exit $bad

#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header compiles alone, twice in a row, and with what its macros say, as C11 and as C++17,
# without a warning, from a folder like the one that is installed.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/qzoo"
cp layers/qzoo*.h quant/qzoo*.h weights/qzoo*.h zoo/qzoo*.h zoo/qzoo*.inc "$work/qzoo"
bad=0
# the options' initializers are part of the interface
initializers=$(sed -n 's/^#define QZ_\([A-Z_]*\)_OPTIONS_INIT.*/\1/p' "$work"/qzoo/*.h)
{
    echo '#include <qzoo/qzoo.h>'
    for name in $initializers; do
        lower=$(echo "$name" | tr 'A-Z' 'a-z')
        echo "unsigned long qz_test_$lower(void);"
        echo "unsigned long qz_test_$lower(void) { qz_${lower}_options o = QZ_${name}_OPTIONS_INIT; return (unsigned long)o.size; }"
    done
} >"$work/initializers.c"
[ "$(echo "$initializers" | wc -w)" -ge 3 ] || { echo "headers.sh finds no QZ_…_OPTIONS_INIT: it is broken"; bad=1; }
warn="-pedantic -Wall -Wextra -Wshadow -Wconversion -Wundef -Werror"
for header in "$work"/qzoo/*.h; do
    name=$(basename "$header")
    printf '#include <qzoo/%s>\n#include <qzoo/%s>\ntypedef int qz_not_empty;\n' "$name" "$name" >"$work/one-$name.c"
done
for source in "$work"/one-*.c "$work/initializers.c"; do
    for compiler in 'gcc -std=c11 -Wstrict-prototypes -x c' 'clang -std=c11 -Wstrict-prototypes -x c' \
        'g++ -std=c++17 -x c++' 'clang++ -std=c++17 -x c++'; do
        command -v "${compiler%% *}" >/dev/null || { echo "${compiler%% *} is not here: .ci/deps"; bad=1; continue; }
        # shellcheck disable=SC2086
        if ! $compiler $warn -fsyntax-only -I"$work" "$source" 2>"$work/err"; then
            echo "$(basename "$source" .c) with ${compiler% -x*}:"
            sed "s|$work/||" "$work/err" | head -n 12
            bad=1
        fi
    done
done
[ $bad = 0 ] || echo "    mend: include what the header uses; positional initializers; extern \"C\"; no C-only syntax"
exit $bad

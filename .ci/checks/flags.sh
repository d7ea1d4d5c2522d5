#!/bin/sh
# SPDX-License-Identifier: MIT
# flags.sh [BUILD]: every file is compiled with -ffp-contract=off and -std=c11, and nothing (an option,
# a pragma, an attribute) lets the compiler change what floating-point arithmetic gives.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
commands=$build/compile_commands.json
[ -f "$commands" ] || { echo "$commands is missing"; echo "    mend: meson setup $build"; exit 1; }
bad=0
all=$(grep -c '"command":' "$commands")
for flag in -ffp-contract=off -std=c11 -fvisibility=hidden; do
    if grep '"command":' "$commands" | grep -ve " $flag " | grep -v 'c++' | grep -oE ' -c [^"]*'; then
        echo "    of $all commands, these lack $flag"
        echo "    mend: leave it in add_project_arguments of the root meson.build; no override_options"
        bad=1
    fi
done
loose='-ffast-math|-Ofast|-funsafe-math|-fassociative-math|-freciprocal-math|-ffinite-math|-fno-signed-zeros|-fcx-limited|-mdaz-ftz|-ffp-model|-fno-rounding-math -fno'
if grep -oE "(^|[ \"])($loose)[^ ]*" "$commands" | sort | uniq -c | grep .; then
    echo "    mend: take the option out: results must not depend on the compiler (CONTRACT.md)"
    bad=1
fi
if git grep -nE "(-ffast-math|-Ofast|-funsafe-math)" -- '*meson.build' '*meson_options.txt' '*.c' '*.h'; then
    echo "    mend: take it out: results must not depend on the compiler (CONTRACT.md)"
    bad=1
fi
if git grep -nE '#pragma +(GCC +optimize|STDC +FP_CONTRACT +ON|clang +fp|float_control)|__attribute__ *\(\( *(__)?optimize' -- '*.c' '*.h' '*.inc'; then
    echo "    mend: take the pragma or attribute out: flags are the same for all files"
    bad=1
fi
[ "$all" -gt 20 ] || { echo "$commands has $all commands only: flags.sh is broken"; bad=1; }
exit $bad

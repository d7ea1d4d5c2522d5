#!/bin/sh
# SPDX-License-Identifier: MIT
# symbols.sh [BUILD]: the shared library exports what the public headers declare, no more and no less;
# all global names of the static library begin qz_, qzi_ or qzk_; the library keeps no state of its own,
# takes memory only through the context's allocator, and never prints, aborts or exits.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
shared=$(find "$build" -maxdepth 1 -type f -name 'libqzoo.so.*.*' | head -n 1)
static=$build/libqzoo.a
[ -f "$shared" ] && [ -f "$static" ] || { echo "$build has no libqzoo"; echo "    mend: meson compile -C $build"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

nm -D --defined-only --without-symbol-versions "$shared" | awk '$2 != "A" { print $3 }' | sort >"$work/exported"
if grep -v '^qz_' "$work/exported"; then
    echo "    exported by $shared, without qz_"
    echo "    mend: make them static, or private (qzi_, no QZ_API)"
    bad=1
fi
# what the headers declare: the name before the first parenthesis after each QZ_API
${CC:-cc} -E -P -Ilayers -Iquant -Iweights -Izoo zoo/qzoo.h | tr '\n' ' ' |
    awk -v RS='__attribute__\\(\\(visibility\\("default"\\)\\)\\)' \
        'NR > 1 && match($0, /qz_[a-z0-9_]+ *\(/) { print substr($0, RSTART, RLENGTH - 1) }' |
    tr -d ' ' | sort -u >"$work/declared"
if comm -13 "$work/exported" "$work/declared" | grep .; then
    echo "    declared in public headers, not exported"
    echo "    mend: define them, or take the declarations away"
    bad=1
fi
if comm -23 "$work/exported" "$work/declared" | grep '^qz_'; then
    echo "    exported, declared in no public header"
    echo "    mend: declare them there, or take QZ_API away"
    bad=1
fi
[ "$(wc -l <"$work/declared")" -gt 50 ] || { echo "symbols.sh finds too few declarations: it is broken"; bad=1; }

if nm -g --defined-only "$static" | awk 'NF == 3 && $3 !~ /^(qz|qzi|qzk)_/ { print $3; n = 1 } END { exit !n }'; then
    echo "    global in $static, of no namespace of ours: they would collide with an application's"
    echo "    mend: make them static, or name them qzi_… (kernels: qzk_…)"
    bad=1
fi

# "file.c.o name": objects with their undefined symbols
nm -A -u "$static" 2>/dev/null | sed -E 's/^[^:]*:([^:]*): +[Uw] +/\1 /' >"$work/used"
talks='^(v?f?printf|v?dprintf|puts|fputs|putchar|fputc|putc|perror|psignal|abort|exit|_exit|_Exit|quick_exit|__(v?f?printf|vprintf|vfprintf)_chk|syslog|stdout|stderr|signal|sigaction|setlocale|atexit)$'
awk -v talks="$talks" '$2 ~ talks { print "    " $1 " uses " $2; n = 1 } END { exit !n }' "$work/used" && {
    echo "    the library never prints, aborts, exits or changes the process"
    echo "    mend: return qzi_fail(…); qzi_log for what is no failure"
    bad=1
}
takes='^(malloc|calloc|realloc|reallocarray|free|posix_memalign|aligned_alloc|strdup|strndup|asprintf|vasprintf)$'
# alloc.c is where memory comes from; the named others hand on what a library of others gave
awk -v takes="$takes" '$2 ~ takes && $1 !~ /(^|_)alloc\.c\.o$/ { print "    " $1 " uses " $2; n = 1 } END { exit !n }' "$work/used" && {
    echo "    memory must come from the context's allocator"
    echo "    mend: qzi_alloc and its kin"
    bad=1
}
# exact ones are missing here: sqrt, fma, floor, ceil, trunc, rint, nearbyint, fabs, ldexp, frexp, copysign, fmin, fmax
differs='^(exp|exp2|exp10|expm1|log|log2|log10|log1p|pow|cbrt|hypot|sin|cos|tan|sincos|asin|acos|atan|atan2|sinh|cosh|tanh|asinh|acosh|atanh|erf|erfc|tgamma|lgamma)f?$'
awk -v differs="$differs" '$2 ~ differs { print "    " $1 " uses " $2; n = 1 } END { exit !n }' "$work/used" && {
    echo "    gives other bits on other machines"
    echo "    mend: qzi_math_… (layers/base/math.c)"
    bad=1
}
[ "$(wc -l <"$work/used")" -gt 100 ] || { echo "symbols.sh finds too few used names: it is broken"; bad=1; }

# Mutable objects of static storage: .data and .bss, not .data.rel.ro (constant after loading), not
# thread-local ones. Allowed: what is filled once, under pthread_once or similar, and tables of
# stb_image_write that nothing writes to.
allowed='^(isa_once|isa_mask|cpu_once|cpu|(firstmap|mapping)(\.[0-9]+)?)$'
objdump -t "$static" 2>/dev/null |
    awk -v allowed="$allowed" '
        /^[^ ]+\.o:/ { file = $1 }
        / O (\.data|\.bss)/ && !/ O \.data\.rel\.ro/ {
            if ($NF !~ allowed && $NF !~ /^\.L/) { print "    " file " " $NF; n = 1 }
        }
        END { exit !n }' && {
    echo "    changes while the library runs: several contexts in several threads would share it"
    echo "    mend: put it into the context; if it is written once only, name it in .ci/checks/symbols.sh"
    bad=1
}
exit $bad

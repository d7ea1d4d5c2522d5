#!/bin/sh
# SPDX-License-Identifier: MIT
# circles.sh [BUILD]: no two files of the library or of the program use each other, directly or in a
# longer circle. A file uses another where its object needs a symbol that the other object defines.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# uses NAME ARCHIVE: "user used symbol" of its objects, one a line, into $work/uses
uses() {
    name=$1
    nm -A "$2" 2>/dev/null | awk '
        # archive:object: [address] type symbol
        { file = $1; sub(/^[^:]*:/, "", file); sub(/:.*$/, "", file) }
        NF >= 3 && $(NF - 1) ~ /^[TDRBVW]$/ { owner[$NF] = file }
        $(NF - 1) == "U" { needs[++n] = file; what[n] = $NF }
        END {
            for (i = 1; i <= n; i++)
                if (what[i] in owner && owner[what[i]] != needs[i])
                    print needs[i], owner[what[i]], what[i]
        }' >"$work/uses"
    edges=$(cut -d' ' -f1,2 "$work/uses" | sort -u | wc -l)
    [ "$edges" -ge 20 ] || { echo "circles.sh sees $edges uses in $name: it is broken"; bad=1; }
    cut -d' ' -f1,2 "$work/uses" | sort -u | tsort >/dev/null 2>"$work/loops" || true
    if [ -s "$work/loops" ]; then
        echo "$name: files that use each other:"
        sed -n 's/^tsort: \([^- ].*\)$/\1/p' "$work/loops" | sort -u >"$work/members"
        awk 'NR == FNR { member[$1] = 1; next }
            $1 in member && $2 in member { print "    " $1 " uses " $3 " of " $2 }' \
            "$work/members" "$work/uses" | sort -u | head -n 20
        echo "    mend: move what both need into a third file, below both"
        bad=1
    fi
}

[ -f "$build/libqzoo.a" ] || { echo "$build has no libqzoo.a"; echo "    mend: meson compile -C $build"; exit 1; }
uses libqzoo.a "$build/libqzoo.a"
[ ! -f "$build/tools/libqzoo_tool.a" ] || uses libqzoo_tool.a "$build/tools/libqzoo_tool.a"
exit $bad

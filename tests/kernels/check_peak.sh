#!/bin/sh
# SPDX-License-Identifier: MIT
# check_peak.sh CHECK_PEAK - the compiled loops that measure ceilings have one multiplication for each
# that they count: a compiler may multiply once, before the loop. Skipped without objdump.
set -u
command -v objdump >/dev/null || { echo "skipped: no objdump"; exit 77; }
bad=0 lines=$("$1" list)
[ -n "$lines" ] || { echo "skipped: no loop is known here"; exit 77; }
while read -r name mnemonic lanes macs; do
    # instructions between the last backward jump and where it goes: the loop
    found=$(objdump -d --no-show-raw-insn "--disassemble=$name" "$1" | awk -v m="^$mnemonic" '
        /^ *[0-9a-f]+:/ {
            sub("{vex} *", "")
            at = $1; sub(":", "", at); n++; address[n] = at; op[n] = $2; target[n] = $3; index_of[at] = n
        }
        END {
            for (i = n; i > 0; i--)
                if (op[i] ~ /^j/ && (target[i] in index_of) && index_of[target[i]] <= i) break
            for (k = index_of[target[i]]; i > 0 && k <= i; k++) if (op[k] ~ m) count++
            print count + 0
        }')
    # a compiler may unroll the loop, into whole rounds
    if [ "$found" = 0 ] || [ $((found * lanes % macs)) != 0 ]; then
        echo "FAIL: $name: $found instructions $mnemonic of $lanes, for rounds of $macs multiply-adds"
        bad=1
    else
        echo "$name: $found $mnemonic in the loop"
    fi
done <<END
$lines
END
exit $bad

#!/bin/sh
# SPDX-License-Identifier: MIT
# expect.sh - what the tests of the program share. A test says: . "$(dirname "$0")/expect.sh"
# and ends with `done_at_least N`. It then runs in an empty folder, with $1 as `qzoo`.
set -u
qzoo=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
# not the cache and the catalogue of the user who runs the test
export QZOO_HOME="$work/home" TORCH_HOME="$work/torch"
ran=0 bad=0

complain() {
    bad=$((bad + 1))
    echo "FAIL: $*"
    [ -s err ] && sed 's/^/  stderr: /' err | head -n 20
}

# expect STATUS PATTERN ARG...: runs qzoo; on failure stderr must be one line with PATTERN in it
expect() {
    want=$1 pattern=$2
    shift 2
    ran=$((ran + 1))
    "$qzoo" "$@" >out 2>err </dev/null
    got=$?
    if [ "$got" != "$want" ]; then
        complain "qzoo $*: status $got, expected $want"
    elif [ "$want" != 0 ] && [ "$(grep -c '' err)" != 1 ]; then
        complain "qzoo $*: stderr is not one line"
    elif [ "$want" != 0 ] && ! grep -q -e "$pattern" err; then
        complain "qzoo $*: stderr lacks '$pattern'"
    elif [ "$want" = 0 ] && [ -n "$pattern" ] && ! grep -q -e "$pattern" out; then
        complain "qzoo $*: stdout lacks '$pattern'"
    fi
}

same() {
    ran=$((ran + 1))
    cmp -s "$1" "$2" || complain "$1 and $2 differ"
}

differ() {
    ran=$((ran + 1))
    cmp -s "$1" "$2" && complain "$1 and $2 are the same"
}

# a 24-bit BMP image of noise: WIDTH HEIGHT SEED FILE
image() {
    printf "$(awk -v w="$1" -v h="$2" -v s="$3" '
        function byte(v) { printf "\\%03o", v }
        function le(v, n) { for (; n > 0; n--) { byte(v % 256); v = int(v / 256) } }
        BEGIN {
            srand(s); row = int((w * 3 + 3) / 4) * 4
            printf "BM"; le(54 + row * h, 4); le(0, 4); le(54, 4)
            le(40, 4); le(w, 4); le(h, 4); le(1, 2); le(24, 2); le(0, 4); le(row * h, 4)
            le(2835, 4); le(2835, 4); le(0, 4); le(0, 4)
            for (y = 0; y < h; y++)
                for (x = 0; x < row; x++) byte(x < w * 3 ? int(rand() * 256) : 0)
        }')" >"$4"
}

# has FILE PATTERN, lacks FILE PATTERN
has() {
    ran=$((ran + 1))
    grep -q -e "$2" "$1" || complain "$1 lacks '$2'"
}

lacks() {
    ran=$((ran + 1))
    grep -q -e "$2" "$1" && complain "$1 has '$2'"
}

# done_at_least N: the test's last word; fewer checks than N mean that a part was left out
done_at_least() {
    echo "$ran checks, $bad failed"
    [ "$ran" -ge "$1" ] && [ "$bad" = 0 ]
}

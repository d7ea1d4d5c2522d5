#!/bin/sh
# SPDX-License-Identifier: MIT
# test_limits.sh QZOO - what the program does where the system grants less than is asked for.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
chmod 755 "$work"

# check STATUS FILE PATTERN COMMAND...: runs it for 60 s at most; FILE (out or err) has PATTERN
check() {
    want=$1 file=$2 pattern=$3
    shift 3
    ran=$((ran + 1))
    timeout 60 "$@" >out 2>err </dev/null
    got=$?
    if [ "$got" != "$want" ] || ! grep -q -e "$pattern" "$file"; then
        bad=$((bad + 1))
        echo "FAIL: $*: status $got, expected $want and '$pattern' in $file"
        head -n 5 out err
    fi
}

# ---- threads: a limit of processes, as of a container; root has none
ordinary=
[ "$(id -u)" = 0 ] && ordinary='setpriv --reuid 65534 --regid 65534 --clear-groups'
# (the leak sanitizer starts a thread of its own)
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
# shellcheck disable=SC2086
if prlimit --nproc=1 $ordinary "$qzoo" --version >/dev/null 2>&1; then
    for more in '' --ptq; do
        check 0 err '2 threads were asked for, and the system grants 1 ' \
            prlimit --nproc=1 $ordinary "$qzoo" bench squeezenet1_1 --size 64 --threads 2 --runs 2 $more
        grep -q ', 1 thread$' out || { bad=$((bad + 1)); echo "FAIL: the threads are not those granted"; }
    done
    check 0 out 'squeezenet1_1' \
        prlimit --nproc=1 $ordinary "$qzoo" bench squeezenet1_1 --size 64 --threads 2 --runs 2 --quiet --json -
    if [ -s err ]; then bad=$((bad + 1)); echo "FAIL: --quiet is not quiet"; fi
else
    echo "process limit: skipped, the program cannot be run as an ordinary user here"
fi

# ---- threads: more than CPUs
check 0 err '^qzoo: warning: 1000 threads on [0-9]* usable CPU' "$qzoo" bench squeezenet1_1 --size 64 --threads 1000 --runs 2

# ---- memory: sizes are told before they are allocated, at once
refused() {
    pattern=$1
    shift
    check 1 err "$pattern" "$@"
    [ "$(grep -c '' err)" = 1 ] || { bad=$((bad + 1)); echo "FAIL: $*: not one line"; }
}
if prlimit --as=3000000000 "$qzoo" --version >/dev/null 2>&1; then
    limit='prlimit --as=3000000000'
    # shellcheck disable=SC2086
    {
        refused 'weights of 2.05 GB, .* packed: 4.11 GB, and 2.[0-9]* GB of memory are free' \
            $limit "$qzoo" bench squeezenet1_1 --num-classes 999999
        refused 'weights of 2.10 GB' $limit "$qzoo" export resnet18 --num-classes 999999 -o m.onnx
        refused 'a run takes at least 5.90 GB' $limit "$qzoo" bench squeezenet1_1 --size 8192 --ptq
        refused 'a run takes at least' $limit "$qzoo" bench squeezenet1_1 --batch 64 --size 1024
    }
else
    echo "memory: skipped, the program does not start in a limited address space (sanitizers)"
fi
check 2 err '(.* [GT]B) are more pixels' "$qzoo" bench squeezenet1_1 --batch 4096 --size 65535

done_at_least 1

#!/bin/sh
# SPDX-License-Identifier: MIT
# test_sizes.sh QZOO - images so small that windows of ceil-mode pools reach beyond them run as in
# PyTorch; smaller ones are refused with one line.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"

# size STATUS MODEL SIDE OPTION...
size() {
    want=$1 model=$2 side=$3
    shift 3
    ran=$((ran + 1))
    "$qzoo" bench "$model" --size "$side" --runs 1 --warmup 0 --threads 1 "$@" >out 2>err </dev/null
    got=$?
    [ "$got" = "$want" ] && { [ "$want" = 0 ] || [ "$(grep -c 'use a larger image' err)" = 1 ]; } && return
    bad=$((bad + 1))
    echo "FAIL: $model at $side: status $got, expected $want"
    cat err
}

# (torchvision 0.14: squeezenet1_1 runs from 17 on, squeezenet1_0 from 21 on)
size 0 squeezenet1_1 17
size 0 squeezenet1_1 24
size 0 squeezenet1_1 18x23
size 2 squeezenet1_1 16
size 2 squeezenet1_1 16x40
size 0 squeezenet1_0 28

done_at_least 6

#!/bin/sh
# SPDX-License-Identifier: MIT
# test_sizes.sh QZOO - images so small that windows of ceil-mode pools reach beyond them run as in
# PyTorch; smaller ones are refused with one line.
set -u
qzoo=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export QZOO_HOME="$work/home" TORCH_HOME="$work/torch"
ran=0 bad=0

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

echo "$ran commands, $bad faults"
[ "$bad" = 0 ]

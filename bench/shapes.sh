#!/bin/sh
# SPDX-License-Identifier: MIT
# shapes.sh BENCH_KERNELS [--check]: writes bench/shapes/MODEL.txt, the convolutions that
# bench_kernels times, from the graphs of the networks below. --check compares instead:
# status 1 if a file differs.
set -eu
program=$(realpath "$1") check=${2:-}
cd "$(dirname "$0")"
mkdir -p shapes
new=$(mktemp)
trap 'rm -f "$new"' EXIT
bad=0
for model in resnet18 resnet50 vgg16 squeezenet1_1 mobilenet_v2 mobilenet_v3_large mnasnet1_0 \
    regnet_x_3_2gf regnet_y_400mf resnext50_32x4d densenet121 shufflenet_v2_x1_0 efficientnet_b0 \
    convnext_tiny; do
    # MESON_EXE_WRAPPER: the command that runs programs of another machine (.ci/cross)
    # shellcheck disable=SC2086
    ${MESON_EXE_WRAPPER:-} "$program" --write "$model" >"$new"
    if [ "$check" = --check ]; then
        if ! cmp -s "$new" "shapes/$model.txt"; then
            echo "shapes/$model.txt: differs from the graph; run shapes.sh"
            bad=1
        fi
    else
        cp "$new" "shapes/$model.txt"
    fi
done
exit $bad

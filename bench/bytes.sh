#!/bin/sh
# SPDX-License-Identifier: MIT
# bytes.sh QZOO [MODEL...]: one line a file that QZOO makes: a SHA-256, and what it is of. For each model:
# outputs in fp32, the saved int8 model of each backend and its outputs, ONNX files. Two builds, machines or
# instruction sets (QZOO='qzoo --isa avx2' is not needed: ISA=avx2) must print the same lines.
set -eu
qzoo=$1
shift
[ $# -gt 0 ] || set -- resnet18 mobilenet_v2 mobilenet_v3_small densenet121 squeezenet1_1 shufflenet_v2_x0_5 \
    googlenet mnasnet0_5 regnet_y_400mf efficientnet_b0 convnext_tiny vgg11_bn
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sum() { # FILE NAME
    printf '%s  %s\n' "$(sha256sum <"$1" | cut -d' ' -f1)" "$2"
}
outputs() { # NAME MODEL-OR-FILE OPTION...
    name=$1
    shift
    rm -rf "$work/out"
    "$qzoo" run "$@" "$work/image.bmp" --isa "${ISA:-auto}" --dump-outputs "$work/out" >/dev/null 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
    for file in "$work"/out/*; do
        sum "$file" "$name $(basename "$file")"
    done
}
"$(dirname "$0")/../.ci/bmp" 5 >"$work/image.bmp"
for model; do
    outputs "$model fp32" "$model"
    for backend in fbgemm qnnpack native; do
        "$qzoo" quantize "$model" --backend $backend --calib synthetic:4 -o "$work/int8.safetensors" >/dev/null 2>"$work/log" ||
            { cat "$work/log" >&2; exit 1; }
        sum "$work/int8.safetensors" "$model $backend saved"
        outputs "$model $backend" "$work/int8.safetensors"
    done
    "$qzoo" export "$work/int8.safetensors" --precision int8 -o "$work/a.onnx" >/dev/null 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
    sum "$work/a.onnx" "$model native onnx"
    "$qzoo" export "$model" --precision fp32 -o "$work/a.onnx" >/dev/null 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
    sum "$work/a.onnx" "$model fp32 onnx"
done

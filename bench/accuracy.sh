#!/bin/sh
# SPDX-License-Identifier: MIT
# accuracy.sh QZOO DATA: prints top-1 and top-5 of real weights on real images, fp32 beside int8, as
# a markdown table. DATA is the oracle folder (imagenet/, weights/). QZOO_ROTATED: the folder that
# bench/rotate_images.py makes; the rows of mobilenet_v3_small need it.
set -eu
qzoo=$1 data=$2
images=$data/imagenet
table=$(mktemp)
trap 'rm -f "$table"' EXIT
# row MODEL WEIGHTS OPTION...
row() {
    model=$1 weights=$2
    shift 2
    "$qzoo" eval "$model" --weights "$data/weights/$weights" --data "$images" \
        --labels "$images/labels_val.csv" --ptq --calib "$images/images_cal" --threads 1 --quiet \
        --markdown "$table" "$@"
    [ -n "$started" ] || sed -n '1s/^/| weights | options /p; 2s/^/|---|---/p' "$table"
    started=yes
    sed "1,2d; s/^/| $weights | $* /" "$table"
}
started=''
row mobilenet_v2 mobilenet_v2-tvfp32.pth --backend fbgemm
row mobilenet_v2 mobilenet_v2-tvfp32.pth --backend fbgemm --reduce-range
row mobilenet_v2 mobilenet_v2-tvfp32.pth --backend qnnpack
row mobilenet_v2 mobilenet_v2-tvfp32.pth --backend qnnpack --per-channel
row mobilenet_v2 mobilenet_v2-tvfp32.pth --backend fbgemm --relu
row mobilenet_v2 mobilenet_v2-demo.pth --backend fbgemm
row mobilenet_v2 mobilenet_v2-demo.pth --backend qnnpack
row squeezenet1_1 squeezenet1_1-onnxzoo.pth --backend fbgemm
row squeezenet1_1 squeezenet1_1-onnxzoo.pth --backend qnnpack
row squeezenet1_1 squeezenet1_1-ncnn.pth --backend fbgemm
row squeezenet1_0 squeezenet1_0-deepcomp.pth --backend fbgemm
if [ -n "${QZOO_ROTATED:-}" ]; then
    images=$QZOO_ROTATED weights=mobilenet_v3_small-keras-rot180.pth
    row mobilenet_v3_small $weights --backend fbgemm
    row mobilenet_v3_small $weights --backend qnnpack --per-channel
    row mobilenet_v3_small $weights --backend qnnpack
    row mobilenet_v3_small $weights --backend native
    first=features.0,features.1,features.2
    row mobilenet_v3_small $weights --backend fbgemm --exclude $first
    first=$first,features.3,features.4,features.5,features.11
    row mobilenet_v3_small $weights --backend fbgemm --exclude $first
    row mobilenet_v3_small $weights --backend fbgemm --exclude $first,features.12,classifier
fi

#!/bin/sh
# SPDX-License-Identifier: MIT
# test_opencv.sh QZOO CHECK [MODEL...] - OpenCV's dnn module reads our ONNX files and computes what we do: one
# network of each family in fp32, and in int8 as QDQ (which OpenCV rounds its own way).
#
# Needs node and the npm package opencv-js-wasm (OpenCV 5): QZOO_OPENCV_NODE names its folder. Skipped without.
set -u
qzoo=$(realpath "$1") check=$(realpath "$2")
shift 2
here=$(cd "$(dirname "$0")" && pwd)
opencv=${QZOO_OPENCV_NODE:-}
if ! command -v node >/dev/null || [ ! -f "$opencv/package.json" ]; then
    echo "skipped: no opencv-js-wasm (QZOO_OPENCV_NODE=${opencv:-unset}; npm install opencv-js-wasm in a folder outside)"
    exit 77
fi
opencv=$(realpath "$opencv")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
[ $# -gt 0 ] || set -- resnet18 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large squeezenet1_1 densenet121 mnasnet1_0 \
    regnet_x_400mf regnet_y_400mf vgg11_bn shufflenet_v2_x1_0 googlenet inception_v3 efficientnet_b0 convnext_tiny \
    resnext50_32x4d wide_resnet50_2 efficientnet_v2_s
ran=0 bad=0

# compare MODEL FILE.onnx OURS TOLERANCE
compare() {
    ran=$((ran + 1))
    if node "$here/run_opencv.js" "$opencv" "$2" "in$side" result "$side" >out 2>&1 &&
        "$check" output "$3" "in$side" result "$4" >>out 2>&1; then
        echo "$1 $2:$(cat out)"
    else
        bad=$((bad + 1))
        echo "FAIL: $1 $2: $(cat out)"
    fi
}

for model in "$@"; do
    side=224
    [ "$model" != inception_v3 ] || side=299
    [ -f "in$side" ] || "$check" input 7 "$side" "$side" "in$side"
    "$qzoo" export "$model" -o fp32.onnx --quiet
    "$qzoo" quantize "$model" --calib synthetic:2 --observer minmax -o s.safetensors --quiet
    "$qzoo" export ./s.safetensors -o qdq.onnx --quiet
    compare "$model" fp32.onnx "$model" 1e-4
    compare "$model" qdq.onnx ./s.safetensors 0.2
done
echo "$ran checks, $bad failed"
[ "$bad" = 0 ]

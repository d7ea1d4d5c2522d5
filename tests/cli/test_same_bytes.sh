#!/bin/sh
# SPDX-License-Identifier: MIT
# test_same_bytes.sh QZOO - int8 models are the same file on every instruction set and with any
# threads: of each backend, recipe and observer. Some minutes.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
mkdir calib
for i in 1 2 3 4 5; do
    image 72 64 $i calib/$i.bmp
done
# quantized FILE OPTION...
quantized() {
    to=$1
    shift
    # shellcheck disable=SC2086
    "$qzoo" quantize $net --size 48 --calib calib "$@" -o "$to" --quiet >out 2>err ||
        complain "quantize $*"
}

# compared OPTION...
compared() {
    quantized ref.safetensors "$@" --isa ref --threads 1
    for run in '--isa avx2 --threads 3' '--threads 1' '--threads 2'; do
        # shellcheck disable=SC2086
        quantized other.safetensors "$@" $run
        same ref.safetensors other.safetensors
    done
}

net=mobilenet_v3_small # depthwise, squeeze-excitation, functions, sums
for backend in fbgemm qnnpack native; do
    for steps in '--recipe none' '--recipe fast' '--recipe fast --per-tensor'; do
        for observer in default minmax moving histogram percentile:99 entropy mse; do
            # shellcheck disable=SC2086
            compared --backend $backend --observer $observer $steps
        done
    done
done
for observer in default minmax percentile:99 entropy; do
    compared --backend native --observer $observer --equalize auto
done
compared --backend native --equalize 0.5
done_at_least 200

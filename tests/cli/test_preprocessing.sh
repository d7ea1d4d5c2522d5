#!/bin/sh
# SPDX-License-Identifier: MIT
# test_preprocessing.sh QZOO - the preprocessing of images by options: what each does, what is
# refused, what saved models and ONNX files keep.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
mkdir calib
image 64 64 1 calib/a.bmp
image 64 64 2 calib/b.bmp
image 90 70 3 wide.bmp
net=squeezenet1_1

# scores FILE OPTION...: the logits of wide.bmp or of a square, in FILE
scores() {
    to=$1
    shift
    "$qzoo" run "$@" --dump-outputs dump --quiet >out 2>err || complain "run $*"
    mv dump/output.npy "$to"
}

# ---- each option -------------------------------------------------------------------------------
scores size.npy $net calib/a.bmp --size 64
scores none.npy $net calib/a.bmp --resize none --crop 64
scores both.npy $net calib/a.bmp --resize 64 --crop 64x64
scores says.npy $net calib/a.bmp --resize 64 --size 64
same size.npy none.npy
same size.npy both.npy
same size.npy says.npy
scores explicit.npy $net calib/a.bmp --size 64 --mean 0.485,0.456,0.406 --std .229,.224,.225 \
    --interpolation bilinear --rgb --no-exif
same size.npy explicit.npy
scores wide.npy $net wide.bmp --size 48x64
for option in '--mean 0.5,0.5,0.5' '--std 1,1,1' '--interpolation bicubic' \
    '--interpolation nearest' --bgr '--resize 64' '--resize 70'; do
    # shellcheck disable=SC2086
    scores other.npy $net wide.bmp --size 48x64 $option
    differ wide.npy other.npy
done
# beyond the image the network sees black: a larger crop is no failure
expect 0 fp32 run $net calib/a.bmp --resize none --crop 80x96

# ---- refused -----------------------------------------------------------------------------------
for wrong in '--resize 0' '--resize -1' '--resize nan' '--resize 64x64' '--crop 0' '--crop none' \
    '--size 0x64' '--size 64x' '--mean 1,2' '--mean nan,0,0' '--mean 0,0,0,0' '--mean 0,0,' \
    '--mean -0.1,0,0' '--mean 123,117,104' '--mean 0,0x0,0' '--std 0,1,1' '--std 1,-1,1' \
    '--std inf,1,1' '--std 58,57,57' '--std 1e-60,1,1' '--interpolation cubic'; do
    # shellcheck disable=SC2086
    expect 2 "^qzoo: ${wrong%% *} " run $net wide.bmp $wrong
done
expect 2 '--bgr: does not go with --rgb' run $net wide.bmp --rgb --bgr
expect 2 '--crop 56x56: does not go with --size 64x64' run $net wide.bmp --size 64 --crop 56
expect 2 '--interpolation: does not go with' run $net wide.bmp --resize none --interpolation nearest
expect 2 '--size: ' run $net wide.bmp --size 8
expect 2 '--mean: goes with images only' run $net x.npy --mean 0,0,0
expect 2 '--no-exif: goes with images only' export $net -o x.onnx --no-exif
expect 2 '--std: goes with images only' bench $net --ptq --std 1,1,1
expect 2 '--size: not an option' list $net --size 64

# ---- what is kept ------------------------------------------------------------------------------
steps='--size 64 --mean 0.1,0.2,0.3 --std 0.4,0.5,0.6 --interpolation nearest --bgr'
# shellcheck disable=SC2086
expect 0 int8 quantize $net $steps --calib calib -o own.safetensors --json q.json
has q.json '"interpolation": "nearest"'
has q.json '"channels": "bgr"'
has q.json '"resize": "64x64"'
expect 0 int8 run own.safetensors wide.bmp --json r.json
lacks err .
has r.json '"crop": "64x64"'
scores kept.npy own.safetensors wide.bmp
# shellcheck disable=SC2086
scores direct.npy $net wide.bmp --ptq --calib calib $steps
same kept.npy direct.npy
expect 0 int8 run own.safetensors wide.bmp --resize 80
has err 'own.safetensors: the options change its preprocessing to: resize 80, crop 64x64, nearest'
lacks out 'the options change'
printf 'file,class_index\nwide.bmp,1\n' >labels.csv
# shellcheck disable=SC2086
expect 0 fp32 eval $net $steps --data . --labels labels.csv --json e.json
has e.json '"crop": "64x64"'
expect 0 fp32 bench $net --size 64 --runs 1 --ptq --calib calib --mean 0,0,0 --json b.json
has b.json '"resize": "64x64"'
# shellcheck disable=SC2086
if "$qzoo" export $net $steps -o m.onnx --quiet 2>err; then
    has m.onnx bgr
    has m.onnx nearest
    has m.onnx 64x64
fi

# ---- preprocessing that is only assumed --------------------------------------------------------
"$qzoo" weights --help >/dev/null
if command -v python3 >/dev/null; then
    python3 - <<'PY'
import json, struct
text = json.dumps({'features.0.bias': {'dtype': 'F32', 'shape': [64], 'data_offsets': [0, 256]}})
text += ' ' * (-len(text) % 8)
open('part.safetensors', 'wb').write(struct.pack('<Q', len(text)) + text.encode() + b'\0' * 256)
PY
    expect 0 fp32 run $net wide.bmp --weights ./part.safetensors --allow-missing
    has err 'part.safetensors: assumed preprocessing: resize 256, crop 224x224, bilinear'
    expect 0 fp32 run $net wide.bmp --weights ./part.safetensors --allow-missing --size 64
    lacks err 'assumed preprocessing'
    expect 0 '' run $net wide.bmp --weights ./part.safetensors --allow-missing --quiet
    lacks err .
fi
expect 0 fp32 run $net wide.bmp --size 64
lacks err .

done_at_least 60

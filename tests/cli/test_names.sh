#!/bin/sh
# SPDX-License-Identifier: MIT
# test_names.sh QZOO - files whose names are not UTF-8: no row of JSON is lost, each name is there as
# \xe9 in literal text, and two names never become one.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
e9=$(printf '\351')
photo=caf$e9.bmp
image 64 64 1 "$photo"
image 64 64 2 'caf\xe9.bmp'
image 64 64 3 'tab	and "quote".bmp'
net=squeezenet1_1

# the text in JSON, where a backslash is written twice
expect 0 '' run $net "$photo" 'caf\xe9.bmp' 'tab	and "quote".bmp' --json run.json --quiet
has run.json '"input": "caf\\\\xe9.bmp"'
has run.json '"input": "caf\\\\\\\\xe9.bmp"'
has run.json '"input": "tab\\tand \\"quote\\".bmp"'
ran=$((ran + 1))
[ "$(grep -c '"row"' run.json)" = 3 ] || complain 'run --json lost a row'

# folders of images, and a folder of such a name
mkdir "calib$e9"
cp "$photo" "calib$e9/$photo"
image 64 64 4 "calib$e9/b.bmp"
expect 0 '' quantize $net --calib "calib$e9" -o "m$e9.safetensors" --report "r$e9.json" \
    --json q.json
has q.json '"calib": "images:2"'
expect 0 '' bench "./m$e9.safetensors" --size 64 --runs 1 --json bench.json --quiet
has bench.json '"precision": "int8"'
expect 0 '' run "./m$e9.safetensors" "$photo" --json saved.json --quiet
has saved.json '"input": "caf\\\\xe9.bmp"'
expect 0 '"qzoo.list/1"' list "./m$e9.safetensors" --ops --json -
expect 0 '' weights show "m$e9.safetensors" --json show.json --quiet
has show.json '"file": "m\\\\xe9.safetensors"'

# eval: labels
printf 'file,class_index\ncaf\351.bmp,3\nb.bmp,7\n' >labels.csv
expect 0 '' eval "./m$e9.safetensors" --data "calib$e9" --labels labels.csv --json eval.json --quiet
has eval.json '"n": 2'

# weights of such a name: in rows, in saved models, in ONNX metadata
if command -v python3 >/dev/null; then
    python3 - <<'PY'
import json, struct
key, shape = 'features.0.bias', [64]
head = json.dumps({key: {'dtype': 'F32', 'shape': shape, 'data_offsets': [0, 256]}}).encode()
head += b' ' * (-len(head) % 8)
open(b'w\xe9.safetensors', 'wb').write(struct.pack('<Q', len(head)) + head + b'\0' * 256)
PY
    with="--weights ./w$e9.safetensors --allow-missing"
    text='"weights": "./w\\\\xe9.safetensors + random'
    base='"weights": "w\\\\xe9.safetensors + random'
    expect 0 '' run $net "$photo" $with --json w.json --quiet
    has w.json "$text"
    expect 0 '' bench $net $with --size 64 --runs 1 --json w.json --quiet
    has w.json "$text"
    expect 0 '' eval $net $with --data "calib$e9" --labels labels.csv --json w.json --quiet
    has w.json "$text"
    expect 0 '' quantize $net $with --calib "calib$e9" -o w8.safetensors --json w.json --quiet
    has w.json "$text"
    expect 0 '' run w8.safetensors "$photo" --json w.json --quiet
    has w.json "$base"
    expect 0 '' list $net $with --ops --json w.json --quiet
    has w.json "./w\\\\\\\\xe9"
    expect 0 '' weights show "w$e9.safetensors" --json w.json --quiet
    has w.json '"file": "w\\\\xe9.safetensors"'
    if "$qzoo" export $net $with -o "w$e9.onnx" --size 64 >out 2>err; then
        ran=$((ran + 1))
        LC_ALL=C grep -aq 'w\\xe9.safetensors' "w$e9.onnx" || complain 'ONNX lacks the weights'
        ran=$((ran + 1))
        LC_ALL=C grep -aFq "w$e9.safe" "w$e9.onnx" && complain 'ONNX metadata is not UTF-8'
        expect 2 'UTF-8' export $net $with -o "w$e9.onnx" --size 64 --external-data
    fi
else
    echo 'left out: files of weights (no python3)'
fi

# what a file's name has does not reach the terminal
esc=$(printf 'e\033[31m.safetensors')
"$qzoo" quantize squeezenet1_1 --calib synthetic:1 -o "$esc" >out 2>err
has out 'e\\x1b\[31m'
lacks out "$(printf '\033')"

done_at_least 20

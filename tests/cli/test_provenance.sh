#!/bin/sh
# SPDX-License-Identifier: MIT
# test_provenance.sh QZOO - what a figure was made with stands beside the figure: in tables, lines,
# JSON rows, saved models and ONNX files.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"

# a 64x64 BMP of one colour a file
mkdir photos
for i in 1 2; do
    {
        printf 'BM\066\060\000\000\000\000\000\000\066\000\000\000\050\000\000\000\100\000\000\000'
        printf '\100\000\000\000\001\000\030\000\000\000\000\000\000\060\000\000'
        printf '\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000'
        head -c 12288 /dev/zero | tr '\000' "\\10$i"
    } >photos/$i.bmp
done
printf 'file,class_index\n1.bmp,0\n' >labels.csv
net='squeezenet1_1' labelled='--data photos --labels labels.csv'

# random weights and synthetic calibration, which is what there is without files
"$qzoo" run $net photos/1.bmp --ptq >run.txt
has run.txt 'int8, random weights, synthetic calibration'
"$qzoo" run $net photos/1.bmp --ptq --json run.json --quiet
has run.json '"weights": "random:0"'
has run.json '"calib": "synthetic:32"'
"$qzoo" eval $net $labelled --ptq --calib synthetic:3 --json eval.json >eval.txt
has eval.txt 'fp32 .*random:0 *-$'
has eval.txt 'int8 .*random:0 *synthetic:3$'
has eval.txt 'random weights, synthetic calibration: these figures say nothing'
has eval.json '"calib": "synthetic:3"'
"$qzoo" bench $net --size 64 --runs 1 --ptq --calib synthetic:2 --json bench.json >bench.txt
has bench.txt 'int8 .*\*.*random:0 *synthetic:2$'
has bench.txt '^\* random weights or synthetic calibration'
has bench.json '"calib": "synthetic:2"'
"$qzoo" quantize $net --calib synthetic:2 -o s.safetensors --report s.txt --json s.json >q.txt
has q.txt 'random weights, synthetic calibration: these figures'
has s.txt 'random weights, synthetic calibration: these figures'
has s.json '"weights": "random:0"'
has s.json '"calib": "synthetic:2"'

# a saved model still knows it
"$qzoo" run s.safetensors photos/1.bmp --json saved.json >saved.txt
has saved.txt 'random weights, synthetic calibration'
has saved.json '"calib": "synthetic:2"'
"$qzoo" eval s.safetensors $labelled >saved-eval.txt
has saved-eval.txt 'synthetic:2$'

# images are no synthetic calibration
"$qzoo" quantize $net --calib photos -o i.safetensors >i.txt
lacks i.txt synthetic
"$qzoo" run i.safetensors photos/1.bmp --json i.json >i-run.txt
lacks i-run.txt synthetic
has i.json '"calib": "images:2"'

# weights of a file are not random, unless it lacks some
python=$(command -v python3) || { echo "left out: files of weights (no python3)"; python=; }
if [ -n "$python" ]; then
    "$python" - <<'PY'
import json, struct
# one parameter of squeezenet1_1, then all but none: the smallest file that lacks the rest
def save(name, shapes):
    at, head, body = 0, {}, b''
    for key, shape in shapes:
        n = 4
        for d in shape: n *= d
        head[key] = {'dtype': 'F32', 'shape': shape, 'data_offsets': [at, at + n]}
        at += n; body += b'\0' * n
    text = json.dumps(head).encode(); text += b' ' * (-len(text) % 8)
    open(name, 'wb').write(struct.pack('<Q', len(text)) + text + body)
save('part.safetensors', [('features.0.bias', [64])])
PY
    "$qzoo" run $net photos/1.bmp --weights ./part.safetensors --allow-missing --json part.json \
        >part.txt 2>part.err
    has part.txt 'fp32, random weights'
    has part.json '"weights": "./part.safetensors + random:0 (51 of 52 parameters)"'
    has part.json '"missing": 51'
    "$qzoo" eval $net $labelled --weights ./part.safetensors --allow-missing >part-eval.txt 2>&1
    has part-eval.txt 'random:0 (51 of 52'
    "$qzoo" quantize $net --weights ./part.safetensors --allow-missing --calib photos \
        -o part-int8.safetensors --quiet
    "$qzoo" run part-int8.safetensors photos/1.bmp >part-saved.txt
    has part-saved.txt 'int8, random weights'
fi

if "$qzoo" export $net --precision int8 --calib synthetic:2 --size 64 -o m.onnx >export.txt 2>err; then
    has export.txt 'weights random:0, calibrated on synthetic:2'
    has m.onnx 'random:0'
    has m.onnx 'synthetic:2'
fi

done_at_least 26

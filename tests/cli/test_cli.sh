#!/bin/sh
# SPDX-License-Identifier: MIT
# test_cli.sh QZOO - exit statuses, messages and outputs of the program.
#
# Every failure must be exactly one line on stderr that names the file or option, with the
# documented status. Runs on small images, so that sanitizer builds take seconds.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
mkdir calib empty
image 70 60 1 calib/a.bmp
image 60 80 2 calib/b.bmp
image 64 64 3 other.bmp
image 64 64 4 another.bmp

# ---- usage -------------------------------------------------------------------------------------
expect 0 'usage: qzoo COMMAND' --help
expect 0 '^qzoo [0-9]' --version
expect 0 '--ptq' bench --help
expect 2 'no command'
expect 2 'frobnicate: unknown command' frobnicate
expect 0 'IMAGENET1K_V2 \*' weights list resnet50
expect 2 'resnet51' weights list resnet51
expect 2 'weights frobnicate' weights frobnicate
expect 2 'list, fetch' weights
expect 2 'OUT.safetensors' weights convert x.pth
expect 3 'gone.pth' weights show gone.pth
expect 2 'not an option' weights list --ptq
expect 2 'needs a model' bench
expect 2 '--frob: unknown option' bench resnet18 --frob
expect 2 '--data: not an option of bench' bench resnet18 --data x
expect 5 '--dynamic: not built yet' bench resnet18 --dynamic
expect 2 'native' bench resnet18 --ptq --backend naive
expect 2 '--threads' bench resnet18 --threads 0
expect 2 '--threads' bench resnet18 --threads two
expect 2 '--threads: needs N' bench resnet18 --threads
expect 2 '--size' bench resnet18 --size 0x0
expect 2 '--seconds' bench resnet18 --seconds nan
expect 2 '--backend' bench resnet18 --backend tpu
expect 2 '--observer' bench resnet18 --ptq --observer crystal
for word in percentile: percentile:0 percentile:100.1 percentile:x mse:9 percentile:99.1234567; do
    expect 2 'one of these is needed: .*percentile, entropy, mse' bench resnet18 --ptq --observer $word
done
expect 2 '--isa' bench resnet18 --isa sse9
expect 2 '--fuse' bench resnet18 --fuse some
expect 2 'no transform_input' bench squeezenet1_1 --size 64 --transform-input
expect 2 'its activation is no option' list yolov5n --act silu --ops
expect 2 'no auxiliary heads' bench squeezenet1_1 --size 64 --no-aux-logits
expect 2 'resnet19' bench resnet19
expect 2 'resnet18' list resnet19 # the message lists the nearest names
for isa in avx2 avxvnni avx512 avx512vnni amx neon dotprod i8mm; do
    "$qzoo" cpu --json cpu.json --quiet || complain "qzoo cpu"
    if ! tr -d '\n ' <cpu.json | grep -q "\"isa\":\"$isa\",\"available\":true"; then
        expect 5 "$isa" cpu --isa $isa
    fi
done

# ---- list, cpu ---------------------------------------------------------------------------------
expect 0 'mobilenet_v2 ' list
expect 0 'conv1 ' list resnet18 --ops
expect 0 '"qzoo.list/1"' list squeezenet1_1 --json -
expect 0 'kernels under' cpu
expect 0 'strided_pointwise' list resnet18 --ops --fallback strided_pointwise
expect 2 'frob' list resnet18 --ops --fallback frob
expect 2 'layer9' list resnet18 --ops --exclude layer9

# ---- bench -------------------------------------------------------------------------------------
expect 0 'int8 ' bench squeezenet1_1 --ptq --size 64 --runs 2 --warmup 0 --calib calib --threads 1
expect 0 '"qzoo.bench/1"' bench squeezenet1_1 --size 48x64 --batch 2 --runs 2 --warmup 1 --json - \
    --threads 2
expect 0 'GB/s' bench squeezenet1_1 --ptq --size 64 --runs 2 --calib calib --profile --json p.json
expect 0 'alive at once' bench squeezenet1_1 --size 64 --runs 1 --profile
for key in tile_m share gmacs_per_s peak_share read_bytes packed_bytes written_bytes gb_per_s \
    planned_over_liveness scratch_bytes plain_read_gb_per_s model_canonical_bytes; do
    ran=$((ran + 1))
    grep -q "\"$key\"" p.json || complain "bench --profile --json has no $key"
done
expect 0 '' bench squeezenet1_1 --size 64 --runs 2 --table tables --quiet --json b.json
ls tables/*.json >/dev/null 2>&1 || complain "bench --table wrote nothing"
expect 0 '' bench squeezenet1_1 --size 64 --runs 3 --table tables --quiet
ran=$((ran + 1))
[ "$(grep -c '"model"' tables/*.json)" = 1 ] || complain "bench --table does not replace its rows"
quick='squeezenet1_1 --size 64 --runs 1'
expect 0 '^| squeezenet1_1 | int8 | fbgemm |' bench $quick --ptq --backend fbgemm --calib calib \
    --markdown -
expect 0 '^|---|---|---|---:|' bench $quick --markdown - --quiet
expect 0 '"qzoo.bench/1"' bench $quick --markdown t.md --json -
expect 0 '^model ' bench $quick --markdown t.md --json t.json
ran=$((ran + 1))
[ "$(grep -c '^|' t.md)" = 3 ] && [ "$(grep -c '"model"' t.json)" = 1 ] ||
    complain 'bench --markdown --json lacks rows'
expect 2 '--markdown -' bench $quick --markdown - --json -
expect 2 'not an option' run squeezenet1_1 other.bmp --markdown -
expect 3 'none/t.md' bench $quick --quiet --markdown none/t.md
expect 0 '' bench $quick --quiet --markdown /dev/null # a device is not replaced
expect 1 '/dev/full' bench $quick --quiet --markdown /dev/full
expect 2 'image' bench squeezenet1_1 --size 8 --runs 1
expect 3 'calib' bench squeezenet1_1 --ptq --calib missing-calib --size 64
expect 3 'empty' bench squeezenet1_1 --ptq --calib empty --size 64

# ---- run, saved models -------------------------------------------------------------------------
common="--threads 1"
expect 0 '%' run squeezenet1_1 other.bmp --dump-outputs d1 $common
expect 0 '%' run squeezenet1_1 another.bmp --dump-outputs d2 $common
expect 0 '%' run squeezenet1_1 other.bmp --dump-outputs d3 --isa ref $common
differ d1/output.npy d2/output.npy
same d1/output.npy d3/output.npy
expect 0 'worst nodes' quantize squeezenet1_1 --calib calib -o m1.safetensors --report r.txt $common
expect 0 '"qzoo.sqnr/1"' quantize squeezenet1_1 --calib calib -o m2.safetensors --json - \
    --threads 2 --report r.json
same m1.safetensors m2.safetensors
grep -q 'activation dB' r.txt || complain "quantize --report wrote no text"
for key in mse cosine kl min max int8_min int8_max clipped scales channels constant_channels \
    zero_channels; do
    has r.json "\"$key\": [-0-9]"
done
has r.txt 'cosine .* constant'
expect 0 'int8' run m1.safetensors other.bmp --dump-outputs d4
expect 0 'int8' run squeezenet1_1 other.bmp --ptq --calib calib --dump-outputs d5
same d4/output.npy d5/output.npy
expect 0 '' run squeezenet1_1 other.bmp --dump-outputs d6 --dump-node features.3 --dump-node \
    features.0
[ -s d6/features.3.npy ] && [ -s d6/features.0.npy ] || complain "--dump-node wrote nothing"
expect 0 '' run squeezenet1_1 other.bmp --dump-outputs d7 --dump-node all
[ "$(find d7 -name '*.npy' | wc -l)" -gt 30 ] && cmp -s d7/features.0.npy d6/features.0.npy ||
    complain "--dump-node all leaves nodes out"
expect 2 'features.99' run squeezenet1_1 other.bmp --dump-outputs d6 --dump-node features.99
expect 0 'int8 ' bench m1.safetensors --size 64 --runs 1
expect 2 'quantized again' quantize ./m1.safetensors -o x.safetensors
expect 2 '-o FILE' quantize squeezenet1_1

# ---- export ------------------------------------------------------------------------------------
expect 2 '-o FILE' export squeezenet1_1
expect 2 'one model' export -o x.onnx
expect 5 'alexnet: a known model, but not built yet' run alexnet x.jpg
expect 5 'not built yet' list alexnet
expect 0 'alexnet (not built yet)' weights list alexnet
expect 0 '"runs": false' weights list alexnet --json - --quiet
expect 0 '"runs": true' weights list resnet18 --json - --quiet
expect 2 '13 to 21' export squeezenet1_1 -o x.onnx --opset 12
expect 2 'fp32, fp16, int8' export squeezenet1_1 -o x.onnx --precision int4
expect 2 'qoperator' export squeezenet1_1 -o x.onnx --precision int8 --style onnx
expect 2 'style' export squeezenet1_1 -o x.onnx --style qdq
expect 2 'fp16' export squeezenet1_1 -o x.onnx --precision int8 --io fp16
expect 2 'saved int8' export ./m1.safetensors -o x.onnx --precision fp32
"$qzoo" export squeezenet1_1 -o x.onnx >out 2>err
if [ $? = 5 ]; then
    echo 'left out: export (built without ONNX)'
else
    expect 0 'opset 17' export squeezenet1_1 -o x.onnx --size 64
    expect 0 'qdq' export ./m1.safetensors -o q1.onnx
    expect 0 'qoperator' export ./m1.safetensors -o o1.onnx --style qoperator --opset 17
    expect 0 '' export ./m1.safetensors -o q2.onnx --quiet
    same q1.onnx q2.onnx
    expect 0 'fp16' export squeezenet1_1 -o h.onnx --precision fp16 --size 64
    expect 0 '' export squeezenet1_1 -o e.onnx --external-data --size 64
    [ "$(wc -c <e.onnx)" -lt 100000 ] && [ "$(wc -c <e.onnx.data)" -gt 4000000 ] ||
        complain 'export --external-data left the tensors where they were'
    expect 3 'none/x.onnx' export squeezenet1_1 -o none/x.onnx
fi
expect 2 '--weights' run m1.safetensors other.bmp --weights random
expect 2 '--transform-input' run m1.safetensors other.bmp --transform-input
expect 0 '%' run googlenet other.bmp --dump-outputs t1 $common
expect 0 '%' run googlenet other.bmp --dump-outputs t2 --transform-input $common
differ t1/output.npy t2/output.npy

# ---- eval --------------------------------------------------------------------------------------
printf 'file,class_index\na.bmp,3\n"b.bmp",7\n' >labels.csv
expect 0 ' int8 ' eval squeezenet1_1 --data calib --labels labels.csv --ptq --calib calib
labelled='--data calib --labels labels.csv'
expect 0 '^| squeezenet1_1 | int8 |' eval m1.safetensors $labelled --markdown -
expect 0 '"qzoo.eval/1"' eval m1.safetensors $labelled --markdown e.md --json -
grep -q '^|---|---|---|---:|' e.md || complain 'eval --markdown wrote no table'
expect 3 'none/e.md' eval m1.safetensors $labelled --quiet --markdown none/e.md
expect 0 '"qzoo.eval/1"' eval m1.safetensors --data calib --labels labels.csv --json -
expect 2 '--data' eval squeezenet1_1
expect 3 'folder for each class' eval squeezenet1_1 --data calib
printf 'name,class\na.bmp,3\n' >bad.csv
expect 3 'class_index' eval squeezenet1_1 --data calib --labels bad.csv
printf 'file,class_index\na.bmp,1000\n' >bad.csv
expect 3 'class 1000' eval squeezenet1_1 --data calib --labels bad.csv
printf 'file,class_index\nz.bmp,1\n' >bad.csv
expect 3 'z.bmp' eval squeezenet1_1 --data calib --labels bad.csv

# ---- bad input ---------------------------------------------------------------------------------
expect 3 'gone.bmp' run squeezenet1_1 gone.bmp
printf '\211PNG but not one' >fake.png
expect 3 'fake.png' run squeezenet1_1 fake.png
image 0 0 1 zero.bmp
expect 3 'zero.bmp' run squeezenet1_1 zero.bmp
: >nothing.png
expect 3 'nothing.png' run squeezenet1_1 nothing.png
expect 3 'gone.pth' bench gone.pth # a file by its suffix, as for --weights
expect 3 'gone.pth' bench squeezenet1_1 --weights gone.pth
: >nothing.pth
expect 3 'nothing.pth' bench squeezenet1_1 --weights nothing.pth
{ printf 'x'; head -c 3000 /dev/urandom; } >noise.pth # 0x80 first would be a bare pickle
expect 3 'noise.pth' bench squeezenet1_1 --weights noise.pth
head -c 5000 m1.safetensors >cut.safetensors
expect 3 'cut.safetensors' run cut.safetensors other.bmp
expect 3 'cut.safetensors' bench squeezenet1_1 --weights ./cut.safetensors
# an 8-byte header length of 2^63, and a 1 GB tensor claimed by a small file
printf '\000\000\000\000\000\000\000\200{}' >huge.safetensors
expect 3 'huge.safetensors' bench squeezenet1_1 --weights ./huge.safetensors
header='{"a":{"dtype":"F32","shape":[268435456],"data_offsets":[0,1073741824]}}    '
{ printf '\113\000\000\000\000\000\000\000'; printf '%s' "$header"; } >claim.safetensors
expect 3 'claim.safetensors' bench squeezenet1_1 --weights ./claim.safetensors
expect 3 'empty' bench squeezenet1_1 --weights ./empty
expect 4 'qzoo weights fetch squeezenet1_1:IMAGENET1K_V1' bench squeezenet1_1 --weights default
expect 2 'IMAGENET1K_V1' bench squeezenet1_1 --weights IMAGENET1K_V7
expect 4 'not in the cache' bench resnet18 --weights IMAGENET1K_FBGEMM_V1
expect 2 'random' bench squeezenet1_1 --weights random:x
# an int8 model is not a state dict of floats
expect 3 'm1.safetensors' bench squeezenet1_1 --weights ./m1.safetensors
printf 'not npy' >bad.npy
expect 3 'bad.npy' run squeezenet1_1 bad.npy
# float32 1x3x40x40: a header, then NaNs
{
    printf '\223NUMPY\001\000v\000'
    printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 40, 40), }"
    head -c 19200 /dev/zero | LC_ALL=C tr '\000' '\377'
} >nan.npy
expect 3 'NaN' run squeezenet1_1 nan.npy
expect 3 'NaN' bench squeezenet1_1 --ptq --calib nan.npy --size 64
expect 3 'cannot be' run squeezenet1_1 other.bmp --dump-outputs /dev/null/x
expect 3 'cannot' bench squeezenet1_1 --size 64 --runs 1 --quiet --json /dev/null/x

# a result that cannot be written leaves what the path held; the folder is not writable
mkdir closed && echo old >closed/t.md && chmod 500 closed
if [ "$(id -u)" != 0 ]; then
    expect 3 'closed/t.md' bench $quick --quiet --markdown closed/t.md
fi
chmod 700 closed
ran=$((ran + 1))
[ "$(cat closed/t.md)" = old ] && [ "$(ls closed)" = t.md ] || complain 'closed/t.md was lost'

# ---- names of the program ----------------------------------------------------------------------
ln -s "$qzoo" zoo-bench
ran=$((ran + 1))
./zoo-bench --help | grep -q 'usage: qzoo bench' || complain "zoo-bench is not qzoo bench"

done_at_least 81

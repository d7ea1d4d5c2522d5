#!/bin/sh
# SPDX-License-Identifier: MIT
# test_files.sh QZOO - what the program writes: whole or not at all, where it was asked to, and
# checked before the work; latency tables that many write; signals; --quiet.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
image 64 64 1 a.bmp
net='squeezenet1_1' quick='--size 64 --runs 1 --warmup 0'

# left FILE...: these and no other files are in the folder
left() {
    ran=$((ran + 1))
    for file in out err home torch a.bmp "$@"; do [ -e "$file" ] && echo "$file"; done |
        sort -u >../wanted.$$
    ls -A | sort >../found.$$
    cmp -s ../wanted.$$ ../found.$$ || complain "other files are left: $(ls -A | tr '\n' ' ')"
    rm -f ../wanted.$$ ../found.$$
}

# ---- known before the work ----------------------------------------------------------------------
# a refusal must cost less than 0.8 s of processor time, so these take no model's time
expect 2 'nonsense' bench resnet50 vgg16 resnet18 nonsense
expect 3 'gone.pth' bench resnet50 --weights ./gone.pth
expect 2 'IMAGENET1K_V1' bench resnet50 resnet18 --weights IMAGENET1K_V9
expect 3 'none/x' bench resnet50 --json none/x.json
expect 3 'none/x' quantize resnet50 -o none/x.safetensors
expect 3 'none/r' quantize resnet50 -o x.safetensors --report none/r.txt
expect 3 'none/x' export resnet50 -o none/x.onnx
expect 3 'none/t' bench resnet50 --table none/t
expect 3 'a.bmp' bench resnet50 --table a.bmp
expect 3 'gone.bmp' run resnet50 a.bmp gone.bmp
expect 3 'gone' run resnet50 a.bmp --ptq --calib gone
expect 3 'gone.csv' eval resnet50 --data . --labels gone.csv
left

# ---- two outputs, one file ------------------------------------------------------------------------
expect 2 '--report' quantize $net -o x --report x
expect 2 '--report' quantize $net -o x.safetensors --report ./x.safetensors
ln -s x.safetensors link
expect 2 '--report' quantize $net -o x.safetensors --report link
expect 2 '--json' bench $net $quick --json - --markdown -
expect 2 'given twice' bench $net $quick --json a.json --json b.json
expect 0 '' bench $net $quick --json /dev/null --markdown /dev/null
rm link
left

# ---- standard output, links, devices, pipes, names --------------------------------------------------
calib='--calib synthetic:1'
expect 0 '' quantize $net $calib -o m.safetensors
"$qzoo" quantize $net $calib -o - >piped 2>err
same m.safetensors piped
expect 0 '' quantize $net $calib -o second.safetensors --report -
has out 'activation dB'
rm second.safetensors piped
ln -s target.safetensors link.safetensors
expect 0 '' quantize $net $calib -o link.safetensors
same m.safetensors target.safetensors
[ -L link.safetensors ] || complain 'the link was replaced'
rm link.safetensors target.safetensors
long=$(printf '%0251d' 0)
expect 0 '' bench $net $quick --json "$long.jso"
rm "$long.jso"
mkfifo pipe
expect 3 'pipe' run $net pipe
expect 3 'pipe' run ./pipe a.bmp
expect 3 'pipe' bench $net --weights ./pipe
expect 3 'pipe' run $net a.bmp --ptq --calib pipe
expect 3 'pipe' eval $net --data . --labels pipe
expect 3 'pipe' bench $net --json pipe # nobody reads it
rm pipe
echo old >old
expect 3 'gone' quantize $net -o old --calib gone
has old old
left m.safetensors old

# ---- a full disk ------------------------------------------------------------------------------------
if [ -w /dev/full ]; then
    expect 1 '/dev/full' bench $net $quick --json /dev/full
    expect 1 '/dev/full' quantize $net $calib -o /dev/full
    expect 1 '/dev/full' run $net a.bmp --json /dev/full
    for words in --help --version list cpu 'bench --help' 'weights list'; do
        ran=$((ran + 1))
        # shellcheck disable=SC2086
        "$qzoo" $words >/dev/full 2>err
        [ $? = 1 ] && [ "$(grep -c '' err)" = 1 ] || complain "qzoo $words on a full disk"
    done
fi

# ---- what was measured is kept -------------------------------------------------------------------------
# an array that is whole, but too small for the network
{
    printf '\223NUMPY\001\000v\000'
    printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 4, 4), }"
    head -c 192 /dev/zero
} >small.npy
expect 3 'small.npy' run $net a.bmp small.npy --json rows.json
has rows.json '"input": "a.bmp"'
rm small.npy rows.json
left m.safetensors old

# ---- latency tables ---------------------------------------------------------------------------------------
pids=
for seed in 1 2 3 4 5 6 7 8 9 10 11 12; do
    "$qzoo" bench $net $quick --weights random:$seed --table tables --quiet >/dev/null 2>&1 &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid" || complain 'a run with --table failed beside others'; done
rows() { grep -c '"model"' tables/*.json; }
ran=$((ran + 1))
[ "$(rows)" = 12 ] || complain "twelve runs left $(rows) rows"
expect 0 '' bench $net $quick --weights random:1 --table tables # replaces its row
[ "$(rows)" = 12 ] || complain 'a row of the same key was added'
n=12
for option in --no-winograd '--fuse none' '--num-classes 5' '--threads 2' '--isa ref' '--batch 2'; do
    # shellcheck disable=SC2086
    expect 0 '' bench $net $quick --weights random:1 --table tables $option
    n=$((n + 1))
    [ "$(rows)" = $n ] || complain "$option took the place of another row"
done
for option in '' '--exclude features.0' --reduce-range --per-channel '--backend native --per-tensor' \
    '--weight-bits 4' '--rounding adaround' '--recipe best' '--observer minmax' --relu \
    '--fallback pool' '--calib synthetic:2' '--backend native'; do
    [ "$option" = '--fallback pool' ] && option='--fallback strided_pointwise'
    case $option in --calib*) c= ;; *) c=$calib ;; esac
    before=$(grep -c '"precision": "int8"' tables/*.json)
    # shellcheck disable=SC2086
    expect 0 '' bench $net $quick --ptq $c --table tables --backend qnnpack $option
    [ "$(grep -c '"precision": "int8"' tables/*.json)" = $((before + 1)) ] ||
        complain "'$option' took the place of another int8 row"
done
cat tables/*.json >table.json
for key in version commit date weights_sha256; do has table.json "\"$key\": \""; done
has table.json '"no-winograd": true'
head -n 12 table.json >head.json
lacks head.json '"isa":'
lacks head.json '"commit":'
expect 0 '' bench m.safetensors $quick --table tables --json saved.json
has saved.json '"weights_sha256": "[0-9a-f]\{64\}"'
echo broken >"$(ls tables/*.json)"
expect 3 'not a latency table' bench resnet50 --table tables # before the work
table=$(ls tables/*.json)
rm "$table"
mkfifo "$table"
expect 3 'no regular file' bench resnet50 --table tables
rm -r tables table.json head.json saved.json

# ---- signals ------------------------------------------------------------------------------------------------
# interrupted STATUS SIGNAL FILE ARG...: the run gets the signal when FILE is there
interrupted() {
    want=$1 signal=$2 file=$3
    shift 3
    ran=$((ran + 1))
    "$qzoo" "$@" >out 2>err </dev/null &
    pid=$!
    for _ in $(seq 600); do
        [ -s "$file" ] && break
        sleep 0.05
    done
    kill -s "$signal" $pid
    wait $pid
    got=$?
    [ $got = "$want" ] || complain "qzoo $* by SIG$signal: status $got, expected $want"
    [ "$(grep -c '' err)" = 1 ] || complain "qzoo $* by SIG$signal: stderr is not one line"
}
slow='--seconds 600 --size 64 --quiet'
# the first model's rows are there when the second, which takes ten times as long, is measured
both="$net resnet50 --size 64 --runs 2000 --quiet"
# shellcheck disable=SC2086
interrupted 143 TERM first.json bench $both --json first.json
has first.json '"median"'
rm -f first.json
# a parent that ignores SIGHUP (nohup) has the program ignore it too
case $(sed -n 's/^SigIgn:.*\(.\)$/\1/p' /proc/self/status) in
[13579bdf]) echo 'left out: SIGHUP (ignored by what runs the test)' ;;
*)
    # shellcheck disable=SC2086
    interrupted 129 HUP first.json bench $both --json first.json
    ;;
esac
"$qzoo" bench $net $slow --json measured.json >out 2>err </dev/null &
pid=$!
sleep 2
kill -s INT $pid 2>/dev/null # shells let background jobs ignore SIGINT: TERM ends it then
sleep 0.5
kill -s TERM $pid 2>/dev/null
wait $pid
has measured.json '"median"' # of the runs until then
rm -f first.json measured.json
(
    ulimit -f 8
    "$qzoo" quantize $net $calib -o big.safetensors >out 2>err
    echo $? >status
)
has status '^153$'
rm status
left m.safetensors old

# ---- quiet ----------------------------------------------------------------------------------------------------
expect 0 '%' run $net a.bmp --quiet
expect 0 'squeezenet1_1' bench $net $quick --quiet
expect 0 'squeezenet1_1' list --quiet
expect 0 'kernels' cpu --quiet
ran=$((ran + 1))
"$qzoo" bench $net $quick --table tables --quiet >out 2>err && [ ! -s err ] ||
    complain '--quiet wrote on stderr'

done_at_least 79

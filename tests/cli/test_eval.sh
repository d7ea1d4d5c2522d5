#!/bin/sh
# SPDX-License-Identifier: MIT
# test_eval.sh QZOO - what eval reports: intervals, agreement, classes, the files of --confusion and
# --changes; images that cannot be read, and outputs that are no numbers.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
net='squeezenet1_1 --threads 1 --num-classes 3'
mkdir -p data/0 data/1 data/2
seed=0
for class in 0 1 2; do
    for i in 1 2 3 4; do
        seed=$((seed + 1))
        image 64 64 $seed data/$class/$i.bmp
    done
done

# count FILE PATTERN N: lines with the pattern
count() {
    ran=$((ran + 1))
    [ "$(grep -c -e "$2" "$1")" = "$3" ] || complain "$1 has not $3 lines with '$2'"
}

expect 0 ' 95 % ' eval $net --data data --ptq --calib synthetic:2 --reduce-range --json e.json \
    --per-class --confusion c.csv --changes ch.jsonl
cp out e.txt
has e.txt 'agreement %'
has e.txt "McNemar's test"
has e.txt '^    0 .* fp32 '
for key in agreement wilson95 mcnemar_p skipped nonfinite seconds; do
    count e.json "^   \"$key\":" 2
done
has e.json '"n": 12'
count e.json '"per_class": ' 2
has e.json '"predicted": '
# a square with the numbers of the classes, which have no names; all images are in it
has c.csv '^true,0,1,2$'
ran=$((ran + 1))
[ "$(awk -F, 'NR > 1 { for (i = 2; i <= NF; i++) sum += $i } END { print NR, sum }' c.csv)" = '4 12' ] ||
    complain 'c.csv is not a matrix of 12 images'
ran=$((ran + 1))
[ "$(awk -F, 'NR > 1 && $2 + $3 + $4 != 4' c.csv)" = '' ] || complain 'c.csv: rows are not the true'
# what agrees is what did not change
agree=$(sed -n 's/^   "agreement": \([0-9.]*\),/\1/p' e.json | head -n 1)
ran=$((ran + 1))
awk -v a="$agree" -v n="$(grep -c '' ch.jsonl)" 'BEGIN { exit !((1 - a) * 12 - n < 0.01 && n - (1 - a) * 12 < 0.01) }' ||
    complain "agreement $agree, but $(grep -c '' ch.jsonl) changes"
if [ -s ch.jsonl ]; then
    has ch.jsonl '^{"file": "data/[012]/[1-4].bmp", "label": [012], "fp32": [012], "int8": [012], "fp32_score": '
fi

# one model alone has nothing to agree with
expect 0 '' eval $net --data data --json one.json --quiet
has one.json '"agreement": null'
has one.json '"mcnemar_p": null'
expect 2 '--changes' eval $net --data data --changes ch2.jsonl
[ -e ch2.jsonl ] && complain '--changes wrote a file before it was refused'
expect 0 '' quantize $net --calib synthetic:2 -o m.safetensors --quiet
expect 2 '--changes' eval m.safetensors --data data --changes ch2.jsonl
expect 0 '' eval m.safetensors --data data --json int8.json --quiet --confusion c8.csv
has int8.json '"agreement": null'
expect 3 'none/c.csv' eval m.safetensors --data data --quiet --confusion none/c.csv

# images that cannot be read
printf 'not an image' >data/1/5.bmp
expect 3 'data/1/5.bmp' eval m.safetensors --data data --quiet
expect 0 'left out: 1 image that' eval m.safetensors --data data --skip-bad --json s.json
has err 'data/1/5.bmp'
has s.json '"n": 12'
has s.json '"skipped": 1'
mkdir -p bad/0 bad/1 bad/2
for class in 0 1 2; do printf 'no' >bad/$class/x.bmp; done
"$qzoo" eval m.safetensors --data bad --skip-bad --json none.json >out 2>err
got=$? ran=$((ran + 1))
[ $got = 3 ] || complain 'eval of no image that can be read: not status 3'
has none.json '"top1": null'
lacks none.json nan
rm data/1/5.bmp

# outputs that are no numbers: one pixel of 3e38, float32 1x3x64x64
{
    printf '\223NUMPY\001\000v\000'
    printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 64, 64), }"
    printf '\346\261\141\177\346\261\141\177'
    head -c 49144 /dev/zero
} >huge.npy
deep='resnet18 --threads 1 --num-classes 3'
expect 1 'huge.npy: output of image 0 has NaN or infinity' run $deep huge.npy --json r.json
has r.json '"nonfinite": true'
lacks out 'nan'
# nor is anything calibrated or compared with such values
expect 3 'too far apart' run $deep data/0/1.bmp --ptq --calib huge.npy
expect 3 'too far apart' quantize $deep --calib huge.npy -o h.safetensors
[ -e h.safetensors ] && complain 'quantize wrote a model of values that are no numbers'
expect 1 'huge.npy' run $deep huge.npy data/0/1.bmp --json r2.json --dump-outputs d
has out '0/1.bmp'
ran=$((ran + 1))
[ -s d/0-output.npy ] && [ -s d/1-output.npy ] || complain 'run --dump-outputs lost an output'
cp huge.npy data/0/huge.npy
expect 1 'data/0/huge.npy' eval $deep --data data --json n.json --confusion cn.csv
has n.json '"n": 12'
has n.json '"nonfinite": 1'
has out 'left out: 0 images that cannot be read, 1 with'
rm -r data/0 data/1 data/2
mkdir -p data/0 data/1 data/2
for class in 0 1 2; do cp huge.npy data/$class/; done
"$qzoo" eval $deep --data data --json n.json --quiet >out 2>err
got=$? ran=$((ran + 1))
[ $got = 1 ] || complain 'eval where no output is a number: not status 1'
has n.json '"n": 0'
has n.json '"wilson95": '
lacks n.json '[^a-z]nan'

done_at_least 45

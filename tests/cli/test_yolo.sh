#!/bin/sh
# SPDX-License-Identifier: MIT
# test_yolo.sh QZOO - YOLO by the program: its options, what they change, arrays and photos, what is
# dumped. Weights are random, so that a threshold of 0.25 lets many objects through.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
net=yolov5n other=ssdlite320_mobilenet_v3_large
small='--size 64x96 --threads 1'
"$qzoo" list $net >/dev/null 2>&1 || exit 77 # not built
image 70 60 1 photo.bmp
image 90 30 2 wide.bmp

# npy NAME N HEIGHT WIDTH: an array of zeros
npy() {
    header="{'descr': '<f4', 'fortran_order': False, 'shape': ($2, 3, $3, $4), }"
    {
        printf '\223NUMPY\001\000\166\000%-117s\n' "$header"
        head -c $(($2 * 3 * $3 * $4 * 4)) /dev/zero
    } >"$1"
}

# shape FILE DIMS: the array's shape
shape() {
    ran=$((ran + 1))
    head -c 128 "$1" 2>/dev/null | tr -d '\0' | grep -aqF "'shape': ($2)" ||
        complain "$1 has not the shape ($2)"
}

# objects ARG...: the lines of the objects of photo.bmp, into out
objects() {
    # shellcheck disable=SC2086
    expect 0 '' run $net photo.bmp $small "$@"
}

# lines FROM TO: how many lines out has
lines() {
    ran=$((ran + 1))
    count=$(grep -c '^ ' out)
    { [ "$count" -ge "$1" ] && [ "$count" -le "$2" ]; } ||
        complain "out has $count objects, not $1 to $2"
}

# ---- refused -----------------------------------------------------------------------------------
for option in '--iou 0.3' --agnostic '--max-det 3' --rect '--decode v5' '--protocol coco'; do
    # shellcheck disable=SC2086
    expect 2 'goes with YOLO only' run $other photo.bmp $option
    # shellcheck disable=SC2086
    expect 2 'goes with YOLO only' run squeezenet1_1 photo.bmp $option
done
expect 2 'goes with YOLO only' quantize $other -o x.safetensors --score 0.3
expect 2 'numbers of classes' run $other photo.bmp --size 64 --classes 0,3
expect 2 'no class 80' run $net photo.bmp --size 64 --classes 0,80
expect 2 'numbers of classes are needed' run $net photo.bmp --size 64 --classes 0,,3
expect 2 'multiples of 32' run $net photo.bmp --size 100
expect 2 'already' run $net photo.bmp --iou 0.3 --set nms_thresh=0.4
expect 2 'already' run $net photo.bmp --rect --set rect=1
expect 2 'decode' run $net photo.bmp --set decode=2
expect 2 '--protocol' run $net photo.bmp --protocol yolo
expect 2 '--iou' run $net photo.bmp --iou 2
expect 2 '--max-det' run $net photo.bmp --max-det 0

# ---- each option changes what is found -----------------------------------------------------------
objects
cp out all
lines 30 300
objects --score 0.9
lines 1 100
differ out all
cp out sure
expect 0 '' run $net photo.bmp --size 64x96 --threads 1 --set score_thresh=0.9
same out sure
objects --max-det 7
lines 7 7
objects --iou 0.05
differ out all
cp out apart
objects --set nms_thresh=0.05
same out apart
objects --agnostic
differ out all
objects --decode darknet
differ out all
objects --decode v5
same out all
objects --protocol coco
differ out all
cp out coco
objects --protocol ultralytics
differ out all
differ out coco
lines 300 300
# both orders: what is said by name wins over the protocol
objects --protocol ultralytics --max-det 11
lines 11 11
first=$(sed -n '2s/^ *\([0-9]*\) .*/\1/p' all)
objects --classes "$first"
ran=$((ran + 1))
grep '^ ' out | grep -qv "^ *$first " && complain "--classes $first shows other classes"
lines 1 100
# of a photo of 3 to 1 the square is higher than the rectangle
expect 0 '' run $net wide.bmp --size 96 --threads 1 --dump-outputs square
expect 0 '' run $net wide.bmp --size 96 --threads 1 --rect --dump-outputs rect
shape square/head.0.npy '1, 255, 12, 12'
shape rect/head.0.npy '1, 255, 4, 12'

# ---- arrays --------------------------------------------------------------------------------------
npy one.npy 1 64 96
npy two.npy 2 32 64
npy odd.npy 1 60 96
expect 3 'multiples of 32' run $net odd.npy
expect 0 '' run $net one.npy --threads 1 --dump-outputs one
shape one/head.0.npy '1, 255, 8, 12'
shape one/head.1.npy '1, 255, 4, 6'
shape one/head.2.npy '1, 255, 2, 3'
shape one/decoded.npy '1, 378, 85'
for name in boxes scores labels; do
    has one/$name.npy NUMPY
done
expect 0 '' run $net two.npy --threads 1 --dump-outputs two
shape two/head.1.npy '2, 255, 2, 4'
shape two/decoded.npy '2, 126, 85'
expect 2 'arrays of one' run $net two.npy --draw x.png

# ---- int8, and what saved models keep ------------------------------------------------------------
expect 0 '' run $net photo.bmp --size 64x96 --threads 1 --ptq --calib synthetic:2 --json both.json
has both.json '"precision": "fp32"'
has both.json '"precision": "int8"'
expect 0 '' quantize $net --calib synthetic:2 --size 64x96 --threads 1 -o saved.safetensors \
    --score 0.5 --iou 0.3 --max-det 9 --agnostic --rect --decode darknet --json sqnr.json
has out '^boxes [0-9.]* dB, objectness [0-9.]* dB, classes [0-9.]* dB$'
tr -d ' \n' <sqnr.json >sqnr.flat
has sqnr.flat '"outputs_db":{"bbox_regression":[0-9.]*,"objectness":[0-9.]*,"cls_logits":[0-9.]*}'
for setting in score_thresh=5e-1 nms_thresh=3e-1 detections_per_img=9 agnostic=1 rect=1 decode=1 \
    size=64x96; do
    ran=$((ran + 1))
    head -c 4096 saved.safetensors | grep -aq -e "$setting" || complain "saved: no $setting"
done
expect 0 '' run saved.safetensors photo.bmp --threads 1
lines 1 9
# ---- eval ----------------------------------------------------------------------------------------
mkdir -p data/images data/labels
cp photo.bmp data/images/a.bmp
cp wide.bmp data/images/b.bmp
printf '0 0.5 0.5 0.5 0.5\n79 0.25 0.25 0.5 0.5\n' >data/labels/a.txt
printf '0 0.5 0.5 0.9 0.5\n' >data/labels/b.txt
eval="eval $net --threads 1 --size 64 --data"
expect 0 ' bbox  *2 ' $eval data --ptq --calib data/images --json y.json
has out 'boxes of fp32 from 0.25 on: [0-9]* of [0-9]* are found again; change 0'
tr -d ' \n' <y.json >flat.json
has flat.json '"score_drift":{"score":0.25,"boxes":[1-9][0-9]*,"matched":[1-9]'
has flat.json '"mean":0\.[0-9]*,"mean_signed":-\{0,1\}0\.[0-9]*,"largest":0\.'
# classes from 0, without a background: 79 is a class, 0 is one
has flat.json '"id":0,"name":"person","bbox_AP":[01]'
has flat.json '"id":79,"name":"toothbrush","bbox_AP":[01]'
has flat.json '"id":1,"name":"bicycle","bbox_AP":null'
printf '80 0.25 0.25 0.5 0.5\n' >>data/labels/b.txt
expect 3 'class 80' $eval data
printf '0 0.5 0.5 0.9 0.5\n' >data/labels/b.txt
# the protocol decides which boxes are scored: the truth is one that only ultralytics' finds, as the
# second best class of a box, and one whose score is low
photo="run $net photo.bmp --threads 1 --size 64"
expect 0 '' $photo --protocol coco
grep '^ ' out >coco
expect 0 '' $photo --protocol ultralytics
grep '^ ' out | grep -Fxv -f coco | head -n 1 >second
awk '$(NF - 4) < 0.2' coco | head -n 1 >weak
cat second weak | awk 'BEGIN { printf "{\"images\": [{\"id\": 1, \"file_name\": \"a.bmp\"}], \"annotations\": [" }
    { w = $(NF - 1) - $(NF - 3); h = $NF - $(NF - 2)
      c = c comma sprintf("{\"id\": %d, \"name\": \"%s\"}", $1, NR)
      printf "%s{\"id\": %d, \"image_id\": 1, \"category_id\": %d, \"iscrowd\": 0, \"area\": %g,",
          comma, NR, $1, w * h
      printf "\"bbox\": [%g, %g, %g, %g]}", $(NF - 3), $(NF - 2), w, h
      comma = "," }
    END { printf "], \"categories\": [" c "]}" }' >found.json
name() { sed 's/^ *[0-9]* *//; s/  .*//' "$1"; } # of the object in the file
sed -i "s/\"name\": \"1\"/\"name\": \"$(name second)\"/; s/\"name\": \"2\"/\"name\": \"$(name weak)\"/" found.json
# recall of the two objects: AR100
recall() {
    ar=$1
    shift
    expect 0 '' $eval data/images --annotations found.json --json r.json "$@"
    tr -d ' \n' <r.json >r.flat
    has r.flat "\"AR100\":$ar,"
}
recall "0.[1-6][0-9]*"
recall "0.[1-6][0-9]*" --protocol coco
recall '\(1.0\|0.[7-9][0-9]*\)' --protocol ultralytics --max-det 10000
recall 0.0 --score 0.9
# COCO's numbers of categories, by name: 18 is dog, the model's class 16
cat >gt.json <<'END'
{"images": [{"id": 3, "width": 70, "height": 60, "file_name": "a.bmp"}],
 "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 90, "name": "toothbrush"}],
 "annotations": [{"id": 1, "image_id": 3, "category_id": 90, "bbox": [0, 0, 35, 30],
 "area": 1050, "iscrowd": 0}]}
END
cp gt.json wombats.json
sed -i 's/person/wombat/; s/dog/wombat/; s/toothbrush/wombat/' wombats.json
expect 0 ' bbox  *1 ' $eval data/images --annotations gt.json --json named.json
tr -d ' \n' <named.json >named.flat
has named.flat '"id":90,"name":"toothbrush","bbox_AP":[01]'
expect 3 'none of its categories has the name' $eval data/images --annotations wombats.json
expect 2 'goes with YOLO only' eval $other --data data --protocol coco
expect 2 'goes with YOLO only' eval $other --data data --score 0.1

# ---- bench: a batch runs at once, and has the multiply-adds of its images ----
macs() {
    expect 0 '' bench $net $small --runs 1 --warmup 0 --batch "$1" --json bench.json
    tr -d ' \n' <bench.json | sed 's/.*"macs":\([0-9]*\).*/\1/'
}
one=$(macs 1) three=$(macs 3)
ran=$((ran + 1))
[ "$three" = $((3 * one)) ] || complain "bench --batch 3 counts $three multiply-adds, one image has $one"

# ---- result files: COCO's numbers of categories, by name ----
cp photo.bmp photo_0007.bmp
run7="run $net photo_0007.bmp --threads 1 --size 64 --quiet"
seq 80 | sed 's/^/thing/' >things.txt
# the class of the best object has the name of COCO's 90, which is the model's 79 otherwise
best=$(awk '{ print $1 + 1; exit }' coco)
sed "s/^thing$best\$/Toothbrush/" things.txt >one.txt
expect 0 '' $run7 --coco-results r.json --classes 79 --protocol ultralytics
has r.json '"category_id": 90'
lacks r.json '"category_id": 79'
expect 0 '' $run7 --coco-results r.json --classes one.txt
ran=$((ran + 1))
[ "$(grep -o '"category_id": [0-9]*' r.json | sort -u)" = '"category_id": 90' ] ||
    complain 'r.json has other categories than the one that a class has the name of'
expect 3 'no class of the model has the name' $run7 --coco-results r.json --classes things.txt
sed 's/"a.bmp"/"photo_0007.bmp"/; s/90/4711/g' gt.json >seven.json
expect 3 'none of its categories has the name' $run7 --coco-results r.json --annotations seven.json \
    --classes things.txt
expect 0 '' $run7 --coco-results r.json --annotations seven.json --classes one.txt
has r.json '"category_id": 4711'

# ---- ONNX --------------------------------------------------------------------------------------
"$qzoo" export $net $small --score 0.5 --iou 0.3 --max-det 9 --agnostic --decode darknet --postprocess \
    --classes 0,3 -o x.onnx --quiet >out 2>err
if [ $? = 5 ]; then
    echo 'left out: export (built without ONNX)'
else
    for setting in score_thresh=5e-1 nms_thresh=3e-1 detections_per_img=9 agnostic=1 decode=1 \
        'letterbox 64x96' 'only.*0,3'; do
        ran=$((ran + 1))
        grep -aq "$setting" x.onnx || complain "x.onnx lacks $setting"
    done
    expect 2 'no class 80' export $net $small --postprocess --classes 80 -o x.onnx
    expect 2 'go with --postprocess' export $net $small --classes 3 -o x.onnx
    expect 2 'go with YOLO only' export $other --postprocess --classes 3 -o x.onnx
    expect 2 'an ONNX file has one size' export $net $small --rect -o x.onnx
    expect 2 'multiples of 32' export $net --size 100 --postprocess -o x.onnx
    expect 2 '--protocol' export $net $small --protocol coco -o x.onnx
fi

done_at_least 125

#!/bin/sh
# SPDX-License-Identifier: MIT
# test_detect.sh QZOO - qzoo run with detectors: what is printed, dumped and drawn, and which options
# are refused. Weights are random, so that settings must let weak scores through.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
net=fasterrcnn_mobilenet_v3_large_320_fpn one_stage=ssdlite320_mobilenet_v3_large
small='--size 96x128 --threads 1'
weak='--set box_score_thresh=0 --set box_detections_per_img=5 --set rpn_post_nms_top_n_test=20'
"$qzoo" list $net >/dev/null 2>&1 || exit 77 # not built
mkdir photos more
image 70 60 1 photos/a.bmp
image 60 80 2 photos/b.bmp
image 64 64 3 more/a.bmp
cp photos/a.bmp photo.bmp

# shape FILE DIMS: the array's shape
shape() {
    ran=$((ran + 1))
    head -c 128 "$1" 2>/dev/null | tr -d '\0' | grep -aqF "'shape': ($2)" ||
        complain "$1 has not the shape ($2)"
}

# floats NAME DIMS: an .npy file; its bytes come from standard input
npy() {
    header="{'descr': '<f4', 'fortran_order': False, 'shape': ($2), }"
    {
        printf '\223NUMPY\001\000\166\000%-117s\n' "$header"
        cat
    } >"$1"
}

# size FILE WIDTH HEIGHT: of a PNG file
size() {
    ran=$((ran + 1))
    got=$(od -An -tu1 -j16 -N8 "$1" 2>/dev/null | tr -s ' ')
    [ "$got" = " 0 0 0 $2 0 0 0 $3" ] || complain "$1 is not $2 x $3 but$got"
}

# ---- refused before the work -------------------------------------------------------------------
expect 2 '--score: goes with detectors' run squeezenet1_1 photo.bmp --score 0.5
expect 2 '--draw: goes with detectors' run squeezenet1_1 photo.bmp --draw x.png
expect 2 '--set: goes with detectors' run squeezenet1_1 photo.bmp --set nms_thresh=0.5
expect 2 '--rois: goes with detectors' run squeezenet1_1 photo.bmp --rois x.npy
expect 2 '--head: goes with detectors' run squeezenet1_1 photo.bmp --ptq --head float
expect 2 '--head: goes with int8' run $net photo.bmp --head float
expect 2 'box_nms_thresh' run $net photo.bmp --set nms_thresh=0.5
expect 2 'NAME=VALUE' run $net photo.bmp --set box_nms_thresh
expect 2 'must be a number' run $net photo.bmp --set box_nms_thresh=half
expect 2 'must be a number' run $net photo.bmp --set box_nms_thresh=nan
expect 2 'box_nms_thresh' run $net photo.bmp --set box_nms_thresh=1.5
expect 2 'box_detections_per_img' run $net photo.bmp --set box_detections_per_img=2.5
expect 2 'box_detections_per_img' run $net photo.bmp --set box_detections_per_img=0
expect 2 '--score' run $net photo.bmp --score 1.5
expect 2 'one stage' run $one_stage photo.bmp --rois x.npy
expect 2 '--mean: does not go with detectors' run $net photo.bmp --mean 0,0,0
expect 2 '--crop: does not go with detectors' run $net photo.bmp --crop 64
expect 2 'PNG' run $net photo.bmp --draw x.jpg
expect 2 'one input' run $net photos --draw x.png
expect 2 'more/a.bmp' run $net photos more --draw drawn
expect 3 'gone.npy' run $net photo.bmp --rois gone.npy
expect 3 'no/such' run $net photo.bmp --draw no/such/x.png
expect 2 'goes there already' run $net photo.bmp --draw x --dump-outputs x/
expect 2 '--draw goes there already' run $net photo.bmp --draw x.png --dump-outputs x.png
if [ -d /proc/self ]; then # root may write there by its bits, but nobody can
    expect 3 '/proc/x.png: cannot be created' run $net photo.bmp --draw /proc/x.png
    expect 3 '/proc/x: cannot be created' run $net photo.bmp --draw /proc/x
fi
printf '' | npy none.npy '0, 4'
expect 3 'N x 4' run $net photo.bmp --rois none.npy
printf '\0\0\300\177\0\0\0\0\0\0\200\102\0\0\200\102' | npy nan.npy '1, 4'
expect 3 'box 0 has NaN' run $net photo.bmp --rois nan.npy
printf '\0\0\0\0\0\0\0\0\0\0\200\77\0\0\200\77\0\0\200\77\0\0\0\0\0\0\0\0\0\0\200\77' |
    npy turned.npy '2, 4'
expect 3 'turned.npy: box 1 is 1 0 0 1: a box is x1 y1 x2 y2' run $net photo.bmp --rois turned.npy
ran=$((ran + 1))
[ ! -e drawn ] && [ ! -e x.png ] || complain "a refused command wrote something"

# ---- what is printed ---------------------------------------------------------------------------
expect 0 'photo.bmp (fp32, random weights)' run $net photo.bmp $small $weak --json found.json
has out '^ *[0-9]*  .*  0\.[0-9]*  [0-9.]* [0-9.]* [0-9.]* [0-9.]*$'
has found.json '"schema": "qzoo.run/1"'
for key in input model precision detections label name score box; do has found.json "\"$key\":"; done
lacks found.json mask_area
ran=$((ran + 1))
[ "$(grep -c '"label":' found.json)" = 5 ] || complain "box_detections_per_img is not 5"
expect 0 ': no objects' run $net photo.bmp $small $weak --score 1 --json none.json
tr -d ' \n' <none.json >none.line
has none.line '"detections":\[\]'
# an image and an array, and two images, alike
expect 0 'photos/b.bmp' run $net photos $small $weak
cp photos/a.bmp again.bmp
expect 0 '' run $net again.bmp $small $weak --json again.json
sed 's/again.bmp/photo.bmp/' again.json >again.named
same found.json again.named

# ---- arrays ------------------------------------------------------------------------------------
expect 0 '' run $net photo.bmp $small $weak --dump-outputs raw
shape raw/boxes.npy '5, 4'
shape raw/scores.npy '5,'
shape raw/labels.npy '5,'
shape raw/proposals.npy '20, 4'
shape raw/roi_cls_logits.npy '20, 91'
shape raw/roi_bbox_regression.npy '20, 364'
for file in rpn_objectness.0 rpn_objectness.1 rpn_objectness.2 rpn_deltas.0 rpn_deltas.2; do
    ran=$((ran + 1))
    [ -s raw/$file.npy ] || complain "no raw/$file.npy"
done
ran=$((ran + 1))
[ ! -e raw/masks.npy ] || complain "there are masks of a detector without masks"
expect 0 '' run $net photo.bmp $small --score 1 --dump-outputs empty
shape empty/boxes.npy '0, 4'
shape empty/scores.npy '0,'
shape empty/labels.npy '0,'
expect 0 '' run $net photos $small $weak --dump-outputs two
shape two/0-boxes.npy '5, 4'
shape two/1-proposals.npy '20, 4'
printf '%b%b' '\0\0\0\0\0\0\0\0\0\0\0200\0102\0\0\0200\0102' \
    '\0\0\0200\0101\0\0\0\0\0\0\0200\0102\0\0\0\0102' | npy rois.npy '2, 4'
expect 0 '' run $net photo.bmp $small $weak --rois rois.npy --dump-outputs rois
shape rois/roi_cls_logits.npy '2, 91'
shape rois/roi_bbox_regression.npy '2, 364'
shape rois/proposals.npy '2, 4'
head -c $((3 * 48 * 40 * 4)) /dev/zero | npy black.npy '1, 3, 48, 40'
expect 0 '' run $net black.npy $small $weak --dump-outputs black --draw black.png
shape black/boxes.npy '5, 4'
size black.png 40 48
head -c $((2 * 3 * 48 * 40 * 4)) /dev/zero | npy two.npy '2, 3, 48, 40'
expect 0 'two.npy \[1\]' run $net two.npy $small $weak
expect 2 'two.npy: has 2 images' run $net two.npy $small --draw two.png

# ---- pictures ----------------------------------------------------------------------------------
expect 0 '' run $net photo.bmp $small $weak --draw drawn.png
size drawn.png 70 60
expect 0 '' run $net photo.bmp $small $weak --draw again.png
same drawn.png again.png
expect 0 '' run $net photo.bmp $small $weak --score 1 --draw plain.png
differ drawn.png plain.png
expect 0 '' run $net photos $small $weak --draw pictures
size pictures/a.png 70 60
size pictures/b.png 60 80
expect 2 'is the input itself' run $net drawn.png --draw drawn.png
if [ -w /dev/full ]; then
    expect 1 '/dev/full' run $net photo.bmp $small --draw /dev/full
fi

# ---- int8 --------------------------------------------------------------------------------------
expect 0 'photo.bmp (int8' run $net photo.bmp $small $weak --ptq --calib photos --json both.json
has out 'photo.bmp (fp32'
ran=$((ran + 1))
[ "$(grep -c '"precision":' both.json)" = 2 ] || complain "--ptq: not one float and one int8 row"
expect 0 'photo.bmp (int8' run $net photo.bmp $small $weak --ptq --calib photos --head float
expect 0 'box_predictor.cls_score .* fp32 .*heads in float were asked for' list $net --ops --head float
has out 'rpn.head.cls_logits@1 .* fp32 .*heads in float were asked for'
expect 0 'box_predictor.cls_score .* int8' list $net --ops
lacks out 'heads in float'
expect 0 '' quantize $net $small $weak --calib photos -o int8.safetensors
expect 0 'photo.bmp (int8' run ./int8.safetensors photo.bmp --json saved.json
ran=$((ran + 1))
[ "$(grep -c '"label":' saved.json)" = 5 ] || complain "a saved model has not kept its settings"
expect 2 'PNG' run ./int8.safetensors photo.bmp --draw x.gif
expect 2 'nms_thresh' run ./int8.safetensors photo.bmp --set nms_thresh=0.5

# damaged settings are named: FROM TO MESSAGE, of one length
damaged() {
    sed "s/$1/$2/" int8.safetensors >damaged.safetensors
    expect 3 "damaged.safetensors: damaged: .*$3" run ./damaged.safetensors photo.bmp
}
damaged 'box_score_thresh=0' 'box_score_thresh=7' 'box_score_thresh is 7; it must be from 0 to 1'
damaged 'box_score_thresh=0' 'box_score_thresh=x' "setting 'box_score_thresh' has no value: x"
damaged 'box_nms_thresh=' 'box_nms_thrush=' "setting 'box_nms_thresh' is missing before"
damaged 'box_detections_per_img=5 ' 'box_detections_per_img=0 ' 'box_detections_per_img is 0;'
# another network's name: blanks keep the length
spare=$(printf '%*s' $((${#net} - 21)) '')
damaged "\"arch\":\"$net\"" "\"arch\":\"maskrcnn_resnet50_fpn\"$spare" 'it says arch maskrcnn_resnet50_fpn, which has '

# ---- bench: the parts of a detector's time ----
expect 0 'medians of the parts in ms: transform [0-9.]*, image [0-9.]*, box [0-9.]*, post' \
    bench ./int8.safetensors --runs 2 --warmup 1 --json bench.json
ran=$((ran + 1))
grep -q '"parts_ms"' bench.json && grep -q '"mask": 0' bench.json || complain "bench's JSON lacks the parts"

# ---- ONNX --------------------------------------------------------------------------------------
"$qzoo" export $one_stage -o x.onnx --set nms_thresh=0.25 --set topk_candidates=7 --postprocess --quiet >out 2>err
if [ $? = 5 ]; then
    echo 'left out: export (built without ONNX)'
else
    expect 0 '' export ./int8.safetensors -o q.onnx --postprocess
    ran=$((ran + 1))
    grep -aq 'nms_thresh=25e-2 .*topk_candidates=7 ' x.onnx && grep -aq 'box_detections_per_img=5 ' q.onnx ||
        complain 'ONNX lacks the settings'
    expect 2 '--aux: goes with segmenters only' export $one_stage -o x.onnx --aux
    expect 2 'stage: goes with detectors of two stages only' export $one_stage -o x.onnx --stage box
    expect 2 '--stage: does not go with --postprocess' export $net -o x.onnx --stage box --postprocess
    expect 2 'has no masks' export ./int8.safetensors -o x.onnx --stage mask
    expect 0 'qdq' export ./int8.safetensors -o x.onnx --stage box
fi

expect 2 '--size sets min_size and max_size already' run fasterrcnn_mobilenet_v3_large_320_fpn a.bmp --size 96x128 --set min_size=64
expect 2 'it has rpn_pre_nms_top_n_test, .*, max_size$' run fasterrcnn_mobilenet_v3_large_320_fpn a.bmp --set wrong=1

done_at_least 99

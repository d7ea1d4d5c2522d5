#!/bin/sh
# SPDX-License-Identifier: MIT
# test_onnxruntime.sh QZOO CHECK fast|detect|long [MODEL...] - what others say of our ONNX files: onnx's checker
# accepts them, onnxruntime runs them, fuses them to integer kernels and computes what we do.
#
# Needs onnxruntime-node: QZOO_ORT_NODE names its folder (bench/peers/install puts it somewhere); without
# it the test is skipped. onnx's checker is Debian's python3-onnx; without it that part is left out.
set -u
qzoo=$(realpath "$1") check=$(realpath "$2") suite=$3
find=$(dirname "$check")/check_detections
shift 3
here=$(cd "$(dirname "$0")" && pwd)
ort=${QZOO_ORT_NODE:-}
data=${QZOO_TEST_DATA:-}
if ! command -v node >/dev/null || [ ! -f "$ort/package.json" ]; then
    echo "skipped: no onnxruntime-node (QZOO_ORT_NODE=${ort:-unset}; bench/peers/install FOLDER gets it)"
    exit 77
fi
ort=$(realpath "$ort")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
ran=0 bad=0

python=
/usr/bin/python3 -c 'import onnx' 2>/dev/null && python=/usr/bin/python3
[ -n "$python" ] || echo "left out: onnx's checker (no python3-onnx)"

# step WHAT COMMAND...: one check, named
step() {
    what=$1
    shift
    ran=$((ran + 1))
    "$@" >out 2>&1 && { grep -q . out && { echo "$what"; cat out; }; return 0; }
    bad=$((bad + 1))
    echo "FAIL: $what"
    head -n 20 out
    return 1
}
# shapes too, where all ops are ONNX's own
accepted() {
    [ -z "$python" ] || "$python" -c '
import onnx, sys
model = onnx.load(sys.argv[1], load_external_data=False)
onnx.checker.check_model(sys.argv[1], full_check=all(node.domain == "" for node in model.graph.node))' "$1"
}
# files above operator set 17 are newer than Debian's checker
checked() {
    case $2 in *' --opset 1'[89]*|*' --opset 2'*) return 0 ;; esac
    step "$2: onnx's checker" accepted "$1"
}
node_run() { node "$here/run_onnxruntime.js" "$ort" "$@"; }

# input SIDE: a synthetic image of that size
input() {
    [ -f "in$1" ] || "$check" input 7 "$1" "$1" "in$1"
}

# values WHAT MODEL FILE.onnx SIDE: every value of the file beside ours
values() {
    rm -rf values
    mkdir values
    step "$1: onnxruntime runs it" node_run "$3" values "in$4" values &&
        step "$1: values" "$check" values "$2" "in$4" values
}

side_of() {
    "$qzoo" list "$1" --quiet --json - | tr -d '\n ' | sed -E 's/.*"input":\[[0-9]+,[0-9]+,([0-9]+).*/\1/'
}

# one NAME FORMAT...: that model in these formats
one() {
    name=$1
    shift
    side=$(side_of "$name")
    input "$side"
    case " $* " in *' fp32 '*)
        step "$name fp32" "$qzoo" export "$name" --outputs all -o f.onnx --quiet &&
            step "$name fp32: onnx's checker" accepted f.onnx && values "$name fp32" "$name" f.onnx "$side" ;;
    esac
    case " $* " in *' qdq '*|*' qoperator '*)
        step "$name int8" "$qzoo" quantize "$name" --calib synthetic:2 --observer minmax -o s.safetensors --quiet || return ;;
    esac
    for format in "$@"; do
        [ "$format" != fp32 ] || continue
        step "$name $format" "$qzoo" export ./s.safetensors --style "$format" --outputs all -o f.onnx --quiet &&
            step "$name $format: onnx's checker" accepted f.onnx &&
            values "$name $format" ./s.safetensors f.onnx "$side"
    done
}

# float_as NAME OPTION...: the float network in another form. Unfused values differ from ours, so outputs only.
float_as() {
    name=$1
    shift
    side=$(side_of "$name")
    input "$side"
    step "$name $*" "$qzoo" export "$name" "$@" -o f.onnx --quiet && checked f.onnx "$name $*" &&
        step "$name $*: onnxruntime" node_run f.onnx output "in$side" f.out &&
        step "$name $*: output" "$check" output "$name" "in$side" f.out 1e-4
}

# int8_as NAME FORMAT OPTION...: quantized with these options
int8_as() {
    name=$1 format=$2
    shift 2
    side=$(side_of "$name")
    input "$side"
    step "$name int8 $*" "$qzoo" quantize "$name" --calib synthetic:2 --observer minmax "$@" -o s.safetensors --quiet &&
        step "$name $format $*" "$qzoo" export ./s.safetensors --style "$format" --outputs all -o f.onnx --quiet &&
        step "$name $format $*: onnx's checker" accepted f.onnx &&
        values "$name $format $*" ./s.safetensors f.onnx "$side"
}

# small NAME SIDE: images so small that windows of ceil-mode pools reach beyond them
small() {
    input "$2"
    step "$1 of $2x$2" "$qzoo" export "$1" --size "$2" --outputs all -o f.onnx --quiet &&
        step "$1 of $2x$2: onnx's checker" accepted f.onnx && values "$1 of $2x$2" "$1" f.onnx "$2"
    step "$1 int8" "$qzoo" quantize "$1" --calib synthetic:2 --observer minmax -o s.safetensors --quiet || return
    for format in qdq qoperator; do
        step "$1 $format of $2x$2" "$qzoo" export ./s.safetensors --size "$2" --style $format --outputs all -o f.onnx --quiet &&
            step "$1 $format of $2x$2: onnx's checker" accepted f.onnx &&
            values "$1 $format of $2x$2" ./s.safetensors f.onnx "$2"
    done
}

# saved NAME SIDE [OPTION...]: quantized on an image of that size, as s.safetensors
saved() {
    name=$1 side=$2
    shift 2
    # shellcheck disable=SC2046
    step "$name int8 $*" "$qzoo" quantize "$name" --calib synthetic:1 --observer minmax "$@" \
        $(smaller "$name" "$side") -o s.safetensors --quiet
}

# smaller NAME SIDE: options with which calibration is quick
smaller() {
    case $1 in
    ssd*) ;;
    yolo*) echo "--size $2" ;;
    *rcnn*) echo "--set min_size=$2 --set max_size=$2 --set rpn_post_nms_top_n_test=50" ;;
    retinanet*|fcos*) echo "--set min_size=$2 --set max_size=$2" ;;
    *) echo "--size $2" ;;
    esac
}

# sized NAME SIDE FORMAT...: raw values of a detector or segmenter for a small image; the later stages of a detector
# on boxes of all kinds. int8 is of s.safetensors. In half precision values are within a fiftieth.
sized() {
    name=$1 side=$2
    shift 2
    input "$side"
    "$find" rois "$side" rois
    case $name in *rcnn*) boxes=rois ;; *) boxes=- ;; esac
    for format in "$@"; do
        model=$name tolerance=1e-4
        case $format in q*) model=./s.safetensors ;; esac
        [ "$format" != fp16 ] || tolerance=2e-2
        rm -rf values
        mkdir values
        step "$name $format" "$check" export "$model" "$format" "$side" all f.onnx &&
            { [ "$suite$format" = detectfp32 ] || step "$name $format: onnx's checker" accepted f.onnx; } &&
            step "$name $format: onnxruntime runs it" env ROIS=rois node "$here/run_onnxruntime.js" "$ort" f.onnx values "in$side" values &&
            step "$name $format: values" "$check" values "$model" "in$side" values $boxes $tolerance
    done
}

# finds NAME SIDE FORMAT: a file that finds objects by itself. Of what onnxruntime had read, every node gives the same
# within a step, and the objects are the same. In fp32 those of the whole file are nearly all ours too; in int8 with
# random weights one step at the first node may become anything at the last.
finds() {
    model=$1
    [ "$3" != qdq ] || model=./s.safetensors
    title="$1 $3 --postprocess"
    rm -rf values
    mkdir values
    "$find" input "$1" "$2" unit
    step "$title" "$find" export "$model" "$3" "$2" f.onnx all &&
        step "$title: onnx's checker" accepted f.onnx &&
        step "$title: onnxruntime runs it" node_run f.onnx values unit values &&
        step "$title: each step" "$find" heads "$model" "$2" values 1 &&
        { [ "$3" = qdq ] || step "$title: objects" "$find" compare "$model" "$2" values 0.9; }
}

# settings_of NAME SIDE LEAST: the same objects as here, with SETTINGS and ONLY of the environment
settings_of() {
    title="$1 --postprocess, ${SETTINGS:-}, ${ONLY:-all}"
    rm -rf values
    mkdir values
    "$find" input "$1" "$2" unit
    step "$title" "$find" export "$1" fp32 "$2" f.onnx &&
        step "$title: onnxruntime runs it" node_run f.onnx values unit values &&
        step "$title: objects" "$find" compare "$1" "$2" values "$3"
}

# finding NAME: whether files of that model can find objects
finding() {
    case $1 in fcn*|deeplab*|lraspp*) return 1 ;; esac
}

# whole NAME FORMAT...: as the model's kind asks for
whole() {
    name=$1
    case $name in
    ssdlite*) side=320 ;;
    ssd*) side=300 ;;
    retinanet*|fcos*|*rcnn*|yolo*) side=128 ;;
    fcn*|deeplab*|lraspp*) side=97 ;;
    *) one "$@"; return ;;
    esac
    sized "$name" "$side" fp32 fp16
    for backend in fbgemm qnnpack native; do
        saved "$name" "$side" --backend $backend || continue
        case $name in yolo*) sized "$name" "$side" qdq qoperator ;; *) sized "$name" "$side" qdq ;; esac
        finding "$name" && finds "$name" "$side" qdq
    done
    finding "$name" && finds "$name" "$side" fp32
}

# with_aux NAME SIDE FORMAT TOLERANCE: the auxiliary head's output, behind the first
with_aux() {
    input "$2"
    step "$1 --aux $3" "$qzoo" export "$1" --aux --size "$2" --precision "$3" --calib synthetic:1 -o f.onnx --quiet &&
        step "$1 --aux $3: onnx's checker" accepted f.onnx &&
        step "$1 --aux $3: onnxruntime runs it" node_run f.onnx output "in$2" f.out &&
        step "$1 --aux $3: output" "$check" output "$1" "in$2" f.out "$4"
}

# fused NAME: onnxruntime makes integer kernels of all convolutions
fused() {
    step "$1 qdq" "$qzoo" export "$1" --precision int8 --calib synthetic:1 --observer minmax -o f.onnx --quiet || return
    step "$1: onnxruntime optimizes it" node_run f.onnx optimize g.onnx || return
    ran=$((ran + 1))
    "$check" ops g.onnx >ops
    if ! grep -q '^QLinearConv' ops || grep -qE '^(Conv|FusedConv) ' ops; then
        bad=$((bad + 1))
        echo "FAIL: $1: convolutions were not fused:" && cat ops
    fi
}

# real NAME WEIGHTS: trained weights, images: the same classes
real() {
    weights=$data/weights/$2 images=$data/imagenet
    [ -f "$weights" ] && [ -d "$images/images_val" ] || { echo "left out: $1 (no $2)"; return; }
    # shellcheck disable=SC2046
    step "$1 int8" "$qzoo" quantize "$1" --weights "$weights" --observer minmax -o s.safetensors --quiet \
        --calib $(find "$images/images_cal" -name '*.[jJpP]*' | sort | head -n 16) || return
    pairs=
    for image in $(find "$images/images_val" -name '*.[jJpP]*' | sort | head -n "$3"); do
        base=$(basename "$image")
        "$check" image ./s.safetensors "$image" "i-$base" && pairs="$pairs i-$base o-$base"
    done
    for format in qdq qoperator; do
        # shellcheck disable=SC2086
        step "$1 $format" "$qzoo" export ./s.safetensors --style $format -o f.onnx --quiet &&
            step "$1 $format: onnxruntime" node_run f.onnx output $pairs &&
            step "$1 $format: classes" "$check" top1 ./s.safetensors $pairs
    done
    # half precision: a hundredth, in half of the bytes
    step "$1 fp32" "$qzoo" export "$1" --weights "$weights" -o f.onnx --quiet
    step "$1 fp16" "$qzoo" export "$1" --weights "$weights" --precision fp16 -o h.onnx --quiet
    # shellcheck disable=SC2086
    set -- "$1" "$weights" $pairs
    step "$1 fp16: onnx's checker" accepted h.onnx
    step "$1 fp16: onnxruntime" node_run h.onnx output "$3" h.out &&
        step "$1 fp16: output" "$check" output "$1=$2" "$3" h.out 1e-2
    step "$1 fp16, fp16 inputs" "$qzoo" export "$1" --weights "$2" --precision fp16 --io fp16 --opset 17 -o i.onnx --quiet
    step "$1 fp16, fp16 inputs: onnxruntime" node_run i.onnx output "$3" i.out &&
        step "$1 fp16, fp16 inputs: output" "$check" output "$1=$2" "$3" i.out 1e-2
    step "$1 fp32: onnxruntime" node_run f.onnx output "$3" f.out &&
        step "$1 fp32: output" "$check" output "$1=$2" "$3" f.out 1e-4
    ran=$((ran + 1))
    full=$(wc -c <f.onnx) half=$(wc -c <h.onnx)
    [ $((half * 100)) -lt $((full * 51)) ] || { bad=$((bad + 1)); echo "FAIL: $1: fp16 has $half of $full bytes"; }
}

# compared NAME: the comparison of speed runs and says so
compared() {
    QZOO_ORT_NODE=$ort
    export QZOO_ORT_NODE
    step "bench/peers/compare" "$here/../../bench/peers/compare" --qzoo "$qzoo" --rounds 1 --seconds 0.05 --threads 1 \
        --json peers.json "$1"
    ran=$((ran + 1))
    [ "$(grep -c '"ratio":' peers.json)" = 2 ] || { bad=$((bad + 1)); echo "FAIL: bench/peers/compare has not two rows"; }
}

if [ $# -gt 0 ]; then
    for model in "$@"; do whole "$model" fp32 qdq qoperator; done
elif [ "$suite" = detect ]; then
    name=ssdlite320_mobilenet_v3_large
    finds "$name" 320 fp32
    saved "$name" 320 && finds "$name" 320 qdq
    name=fasterrcnn_mobilenet_v3_large_320_fpn
    sized "$name" 320 fp32
    saved "$name" 320 --backend native && finds "$name" 320 qdq
    name=lraspp_mobilenet_v3_large
    sized "$name" 97 fp16
    saved "$name" 97 && sized "$name" 97 qdq
    sized yolov5n 128 fp32
    finds yolov5n 128 fp32
    saved yolov5n 128 && sized yolov5n 128 qdq && finds yolov5n 128 qdq
    SETTINGS='decode=1 agnostic=1 detections_per_img=20' settings_of yolov5n 128 1
    SETTINGS='multi_label=1 topk_candidates=200' ONLY=3,22 settings_of yolov5n 96 1
    SETTINGS='topk_candidates=50 nms_thresh=0.2' settings_of yolov5n 96 1
    SETTINGS='score_thresh=1' settings_of yolov5n 64 none
elif [ "$suite" = fast ]; then
    one squeezenet1_1 fp32 qdq qoperator
    one mobilenet_v3_small fp32 qdq qoperator
    one shufflenet_v2_x0_5 fp32 qdq
    one regnet_y_400mf qdq
    float_as mobilenet_v3_small --fuse none --opset 17
    float_as squeezenet1_1 --external-data --opset 21
    int8_as mobilenet_v3_small qdq --backend qnnpack
    small squeezenet1_1 18
    fused mobilenet_v2
    compared squeezenet1_1
    real squeezenet1_1 squeezenet1_1-onnxzoo.pth 8
else
    for model in $("$qzoo" list --quiet --json - | sed -nE 's/.*"name": "([^"]+)".*/\1/p'); do
        case $model in
        resnet18|resnet50|mobilenet_v2|mobilenet_v3_*|densenet121|regnet_y_400mf|squeezenet1_1)
            one "$model" fp32 qdq qoperator ;;
        *) whole "$model" fp32 qdq ;;
        esac
    done
    for model in resnet50 mobilenet_v2 densenet121; do fused $model; done
    for opset in 14 17 18 20 21; do
        float_as convnext_tiny --opset $opset
        float_as mobilenet_v3_large --opset $opset
    done
    for model in densenet121 inception_v3 efficientnet_b0; do float_as $model --fuse none; done
    for backend in qnnpack native; do
        for model in convnext_tiny googlenet mobilenet_v2 resnet18 shufflenet_v2_x1_0; do
            int8_as $model qdq --backend $backend
            int8_as $model qoperator --backend $backend
        done
    done
    with_aux deeplabv3_mobilenet_v3_large 65 fp32 1e-4
    with_aux deeplabv3_mobilenet_v3_large 65 fp16 2e-2
    for side in 17 24 33; do small squeezenet1_1 $side; done
    small squeezenet1_0 28
    small googlenet 33
    compared squeezenet1_1
    real mobilenet_v2 mobilenet_v2-tvfp32.pth 200
    real squeezenet1_1 squeezenet1_1-onnxzoo.pth 200
fi
echo "$ran checks, $bad failed"
[ "$ran" -gt 0 ] && [ "$bad" = 0 ]

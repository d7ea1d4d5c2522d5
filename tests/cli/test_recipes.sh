#!/bin/sh
# SPDX-License-Identifier: MIT
# test_recipes.sh QZOO - how int8 is made: recipes, their steps, observers, and statistics of
# calibration images. Each option must change the numbers; what must not change them does not.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
mkdir calib first second shuffled
for i in 1 2 3 4; do
    image 40 40 $i calib/$i.bmp
    ln calib/$i.bmp "shuffled/$((9 - i)).bmp"
done
ln calib/1.bmp calib/4.bmp first
ln calib/2.bmp calib/3.bmp second
net='shufflenet_v2_x0_5 --size 32 --num-classes 10'

# scores NAME OPTION...: the logits of an image in int8, in NAME.npy
scores() {
    to=$1
    shift
    # shellcheck disable=SC2086
    "$qzoo" run $net calib/1.bmp --ptq "$@" --dump-outputs dump --quiet >out 2>err ||
        complain "run --ptq $*"
    mv dump/output.npy "$to.npy"
}

# all_differ NAME...: no two of these logits are alike
all_differ() {
    ran=$((ran + 1))
    for name; do cksum <"$name.npy"; done | sort | uniq -d | grep -q . &&
        complain "some of $* are the same"
}

# ---- statistics --------------------------------------------------------------------------------
# shellcheck disable=SC2086
{
    expect 0 '' calibrate $net --calib calib -o all.qzstats
    has err 'of images:4'
    lacks err 'had one value' # of so few images that says nothing
    has err 'warning: shufflenet_v2_x0_5: calibrated on 4 images'
    expect 0 '' calibrate $net --calib shuffled -o shuffled.qzstats
    expect 0 '' calibrate $net --calib first -o a.qzstats
    expect 0 '' calibrate $net --calib second -o b.qzstats
    expect 0 '' calibrate $net --calib b.qzstats a.qzstats -o merged.qzstats --quiet
    expect 0 '' calibrate $net --calib a.qzstats --calib second -o mixed.qzstats --quiet
    for other in shuffled merged mixed; do
        same all.qzstats $other.qzstats
    done
    differ all.qzstats a.qzstats

    expect 2 '-o FILE.qzstats' calibrate $net --calib calib -o x.safetensors
    expect 2 'needs --calib' calibrate $net -o x.qzstats
    expect 2 'backend: goes with int8 only' calibrate $net --calib calib -o x.qzstats --backend native
    expect 3 'of shufflenet_v2_x0_5, not of squeezenet1_1' quantize squeezenet1_1 --observer mse \
        --calib all.qzstats -o x.safetensors
    for order in moving histogram; do
        expect 5 'depends on the order of images' quantize $net --calib all.qzstats \
            --observer $order -o x.safetensors
    done
    for needs_images in '--backend native' '--backend fbgemm --recipe fast' \
        '--backend qnnpack --bias-correction images'; do
        expect 2 'images beside them, or give --recipe none' quantize $net --calib all.qzstats \
            $needs_images -o x.safetensors
    done
    expect 2 'compares int8 and fp32 on images' quantize $net --calib all.qzstats --observer mse \
        -o x.safetensors --json -
    for wrong in percentile:0 percentile:100.1 percentile:x percentile: mse:3; do
        expect 2 "observer $wrong" quantize $net --calib calib -o x.safetensors --observer $wrong
    done
}

# ---- observers ---------------------------------------------------------------------------------
observers='minmax moving histogram percentile percentile:90 entropy mse'
for word in $observers; do
    scores "$word" --calib calib --backend native --recipe none --observer "$word"
done
# shellcheck disable=SC2086
all_differ $observers
scores statistics --calib all.qzstats --backend native --recipe none --observer percentile:90
same percentile:90.npy statistics.npy

# ---- recipes and their steps -------------------------------------------------------------------
scores native --calib calib --backend native
scores fast --calib shuffled --backend native --recipe fast
scores steps --calib calib --backend native --recipe none --observer mse --bias-correction images \
    --equalize none
scores undone --calib calib --backend native --bias-correction none
scores equal --calib all.qzstats --backend native --recipe none --equalize auto
scores equal_fast --calib calib --backend native --equalize auto
scores quarter --calib all.qzstats --backend native --recipe none --equalize 0.25
scores zero --calib all.qzstats --backend native --recipe none --equalize 0
same native.npy fast.npy
same native.npy steps.npy
same mse.npy undone.npy
same mse.npy zero.npy
all_differ native mse equal equal_fast quarter
expect 2 "equalize" quantize $net --calib calib --backend qnnpack --equalize auto -o x.safetensors
expect 2 "equalize" quantize $net --calib calib --backend native --equalize 2 -o x.safetensors
scores best --calib calib --backend native --recipe best
scores rounded --calib calib --backend native --rounding adaround --equalize auto
scores bits --calib calib --backend native --weight-bits 4
all_differ native best bits mse
same best.npy rounded.npy
scores fbgemm --calib calib --backend fbgemm
scores none --calib calib --backend fbgemm --recipe none --observer histogram
scores better --calib calib --backend fbgemm --recipe fast
scores corrected --calib calib --backend fbgemm --bias-correction images
same fbgemm.npy none.npy
all_differ native mse fbgemm better corrected

# ---- weights -----------------------------------------------------------------------------------
scores tensor --calib calib --backend fbgemm --per-tensor
scores channel --calib calib --backend qnnpack --per-channel
all_differ fbgemm tensor
same fbgemm.npy channel.npy

# ---- what is kept ------------------------------------------------------------------------------
kept='--backend native --equalize auto --observer percentile:99.5 --quiet'
# shellcheck disable=SC2086
{
    expect 0 '' quantize $net --calib calib $kept -o one.safetensors --json q.json
    expect 0 '' quantize $net --calib shuffled $kept -o two.safetensors
    same one.safetensors two.safetensors
    for word in '"recipe": *"fast"' '"bias_correction": *"images"' '"equalize": *"auto"' \
        '"observer": *"percentile:99.5"' '"calibration_hash": *"[0-9a-f]\{16\}"'; do
        has one.safetensors "$word"
    done
    has q.json '"step": "equalization"'
    has q.json '"step": "bias correction"'
    has q.json 'calibrated on 4 images'
    expect 0 '' bench one.safetensors --runs 1 --warmup 0 --json b.json --quiet
    for word in '"recipe": "fast"' '"bias_correction": "images"' '"equalize": "auto"' \
        '"observer": "percentile:99.5"'; do
        has b.json "$word"
    done
    scores whole --calib calib $kept
    "$qzoo" run one.safetensors calib/1.bmp --dump-outputs dump --quiet >out 2>err
    same whole.npy dump/output.npy
}

done_at_least 50

#!/bin/sh
# SPDX-License-Identifier: MIT
# heads.sh QZOO [MODEL...]: prints the SQNR of the worst head of each detector and segmenter in int8
# beside float, by backend, as a markdown table (bench/ACCURACY.md). Without models: all of
# torchvision's.
#
# Seeded random weights, 8 synthetic images for calibration and comparison, which also go through
# the stages for boxes. QZOO_SIZE: the side of images, unless the network's is fixed; the
# decibels of 800 pixels are about those of 320. An entry below QZOO_ASKED (15 dB) is followed by
# that of the same network with its heads in float: what the int8 features leave of it.
set -eu
qzoo=$1
shift
out=$(mktemp)
trap 'rm -f "$out" "$out.safetensors"' EXIT
# shellcheck disable=SC2046 # names of models have no spaces
[ $# -gt 0 ] || set -- $("$qzoo" list --quiet --json - | awk -F'"' '
    $2 == "name" { name = $4 }
    $2 == "task" && ($4 == "detection" || $4 == "segmentation") && name !~ /^yolo/ { print name }')

# decibels MODEL OPTION...
decibels() {
    "$qzoo" quantize "$@" --calib synthetic:8 -o "$out.safetensors" >"$out" 2>&1 || return 1
    sed -n 's/^\(worst \)*output \([-0-9.]*\) dB.*/\2/p' "$out"
}

echo "| model | side | fbgemm | qnnpack | native |"
echo "|---|---|---|---|---|"
for model; do
    case $model in
    ssd300*) size=300 ;;
    ssdlite320*) size=320 ;;
    *) size=${QZOO_SIZE:-320} ;;
    esac
    row="| $model | $size |"
    for backend in fbgemm qnnpack native; do
        db=$(decibels "$model" --size "$size" --backend $backend) || db=-
        if awk "BEGIN { exit !(\"$db\" != \"-\" && 0$db < ${QZOO_ASKED:-15}) }"; then
            float=$(decibels "$model" --size "$size" --backend $backend --head float)
            db="$db, heads in float $float"
        fi
        row="$row $db |"
    done
    echo "$row"
done

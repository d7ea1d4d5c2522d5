#!/bin/sh
# SPDX-License-Identifier: MIT
# test_segment.sh QZOO - qzoo run and qzoo eval with segmenters: shares of pixels, dumps, overlays,
# and scores against masks that are made here from the dumped scores. Weights are random.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
net=lraspp_mobilenet_v3_large with_aux=deeplabv3_mobilenet_v3_large
small='--size 32x48 --threads 1'
"$qzoo" list $net >/dev/null 2>&1 || exit 77 # not built
mkdir photos masks
image 48 32 1 photos/a.bmp
image 48 32 2 photos/b.bmp
image 40 50 3 photo.bmp

# shape FILE DIMS: the array's shape
shape() {
    ran=$((ran + 1))
    head -c 128 "$1" 2>/dev/null | tr -d '\0' | grep -aqF "'shape': ($2)" ||
        complain "$1 has not the shape ($2)"
}

# size FILE WIDTH HEIGHT: of a PNG file
size() {
    ran=$((ran + 1))
    got=$(od -An -tu1 -j16 -N8 "$1" 2>/dev/null | tr -s ' ')
    [ "$got" = " 0 0 0 $2 0 0 0 $3" ] || complain "$1 is not $2 x $3 but$got"
}

# best FILE.npy PLANE: the best class of each pixel of 21 planes, a line each
best() {
    tail -c $(($2 * 21 * 4)) "$1" | od -An -v -tf4 -w4 | awk -v n="$2" '
        { v = $1 + 0; p = (NR - 1) % n; c = int((NR - 1) / n) }
        c == 0 || v > top[p] { top[p] = v; class[p] = c }
        END { for (p = 0; p < n; p++) print class[p] }'
}

# png WIDTH HEIGHT DEPTH COLOR FILE: a PNG of the samples on standard input, one a line, rows packed
# to bytes. COLOR 0 is gray, 2 is three times the sample, 3 a palette of arbitrary colors.
png() {
    printf "$(awk -v w="$1" -v h="$2" -v depth="$3" -v color="$4" '
        function bits_xor(a, b,   r, bit) {
            r = 0
            for (bit = 1; a > 0 || b > 0; bit *= 2) {
                if (a % 2 != b % 2) r += bit
                a = int(a / 2); b = int(b / 2)
            }
            return r
        }
        function byte(v) { out = out sprintf("\\%03o", v); sum = bits_xor(int(sum / 256), table[bits_xor(sum % 256, v)]) }
        function be(v, n,   i) { for (i = n - 1; i >= 0; i--) byte(int(v / 256 ^ i) % 256) }
        function begin(name, length_,   i) {
            be(length_, 4); sum = 4294967295
            for (i = 1; i <= 4; i++) byte(index(ascii, substr(name, i, 1)) + 64)
        }
        function end() { be(4294967295 - sum, 4) }
        function data(v) { raw[n++] = v; a = (a + v) % 65521; b = (b + a) % 65521 }
        BEGIN {
            ascii = "ABCDEFGHIJKLMNOPQRSTUVWXYZ......abcdefghijklmnopqrstuvwxyz"
            for (i = 0; i < 256; i++) {
                v = i
                for (k = 0; k < 8; k++) v = v % 2 ? bits_xor(int(v / 2), 3988292384) : v / 2
                table[i] = v
            }
            a = 1
        }
        { sample[NR - 1] = $1 }
        END {
            for (y = 0; y < h; y++) {
                data(0); v = 0; bits = 0
                for (x = 0; x < w; x++) {
                    v = v * 2 ^ depth + sample[y * w + x]; bits += depth
                    if (x == w - 1) { v *= 2 ^ ((8 - bits % 8) % 8); bits += (8 - bits % 8) % 8 }
                    if (bits % 8 == 0) {
                        for (k = bits - 8; k >= 0; k -= 8) data(int(v / 2 ^ k) % 256)
                        if (color == 2) { data(v % 256 > 0); data(0) }
                        v = 0; bits = 0
                    }
                }
            }
            out = "\\211PNG\\r\\n\\032\\n"
            begin("IHDR", 13); be(w, 4); be(h, 4); byte(depth); byte(color); be(0, 3); end()
            if (color == 3) {
                begin("PLTE", 3 * 2 ^ depth)
                for (i = 0; i < 3 * 2 ^ depth; i++) byte((i * 67 + 5) % 256)
                end()
                begin("tRNS", 2); byte(0); byte(255); end()
            }
            begin("IDAT", n + 11); byte(120); byte(1); byte(1)
            byte(n % 256); byte(int(n / 256)); byte(255 - n % 256); byte(255 - int(n / 256))
            for (i = 0; i < n; i++) byte(raw[i])
            be(b, 2); be(a, 2); end()
            begin("IEND", 0); end()
            print out
        }')" >"$5"
}

# scores PREDICTIONS MASKS: pixel_accuracy, mean_iou and lines of class, IoU and pixels
scores() {
    paste -d' ' "$1" "$2" | awk '
        $2 == 255 { next }
        { n++; truth[$2]++; said[$1]++; if ($1 == $2) { both[$1]++; right++ } }
        END {
            for (c = 0; c < 21; c++) {
                any = truth[c] + said[c] - both[c]
                if (any > 0) { iou[c] = both[c] / any; total += iou[c]; kinds++ }
            }
            printf "accuracy %.7f\nmean %.7f\n", right / n, total / kinds
            for (c = 0; c < 21; c++)
                if (c in iou) printf "%d %.7f %d\n", c, iou[c], truth[c]
                else printf "%d null 0\n", c
        }'
}

# reported FILE.json ROW: the same of a row (from 1) of eval's JSON
reported() {
    tr -d ' "{},' <"$1" | awk -F: -v row="$2" '
        $1 == "model" { at++ }
        at != row { next }
        $1 == "pixel_accuracy" { accuracy = $2 }
        $1 == "mean_iou" { mean = $2 }
        $1 == "id" { c = $2 }
        $1 == "iou" { iou[c] = $2 == "null" ? "null" : sprintf("%.7f", $2) }
        $1 == "pixels" { pixels[c] = $2 }
        END {
            printf "accuracy %.7f\nmean %.7f\n", accuracy, mean
            for (c = 0; c < 21; c++) print c, iou[c], pixels[c]
        }'
}

# ---- refused before the work -------------------------------------------------------------------
expect 2 '--aux: goes with segmenters only' run squeezenet1_1 photo.bmp --aux
expect 2 '--aux: lraspp_mobilenet_v3_large has no auxiliary head' run $net photo.bmp $small --aux
expect 2 '--score: goes with detectors' run $net photo.bmp --score 0.5
expect 2 '--set: goes with detectors' run $net photo.bmp --set nms_thresh=0.5
expect 2 '--rois: goes with detectors' run $net photo.bmp --rois x.npy
expect 2 'PNG' run $net photo.bmp --draw x.jpg
expect 2 'one input' run $net photos --draw x.png
expect 2 '--masks: goes with segmenters only' eval squeezenet1_1 --data photos --masks masks
expect 2 '--labels' eval $net --data photos --labels photo.bmp --masks masks
expect 2 'is a segmenter; give --masks' eval $net --data photos
expect 2 '--annotations: does not go with --masks' eval $net --data photos --masks masks --annotations photo.bmp
expect 2 '--confusion' eval $net --data photos --masks masks --confusion c.csv
expect 3 'gone' eval $net --data photos --masks gone
ran=$((ran + 1))
[ ! -e x.png ] || complain 'a refused command wrote a picture'

# ---- what is printed, dumped and drawn ---------------------------------------------------------
expect 0 'photo.bmp (fp32, random weights)' run $net photo.bmp $small --json run.json --dump-outputs raw
has out '^ *[0-9.]* %  *[0-9]*  [a-z_]'
has run.json '"schema": "qzoo.run/1"'
for key in input model precision segmentation id name pixels share; do has run.json "\"$key\":"; done
has run.json '"width": 40'
has run.json '"height": 50'
ran=$((ran + 1))
tr -d ' ,' <run.json | awk -F: '$1 == "\"pixels\"" { n += $2 } $1 == "\"share\"" { s += $2 }
    END { exit !(n == 2000 && s > 0.999999 && s < 1.000001) }' || complain 'pixels are not 2000'
shape raw/out.npy '1, 21, 32, 48'
ran=$((ran + 1))
[ ! -e raw/aux.npy ] || complain 'aux was computed, which nobody named'
expect 0 '' run $with_aux photo.bmp $small --aux --dump-outputs aux
shape aux/out.npy '1, 21, 32, 48'
shape aux/aux.npy '1, 21, 32, 48'
differ aux/out.npy aux/aux.npy
expect 0 '' run $with_aux photo.bmp $small --dump-outputs plain
same aux/out.npy plain/out.npy
expect 0 '' run $net photo.bmp $small --draw drawn.png
size drawn.png 40 50
expect 0 '' run $net photo.bmp photos $small --draw pictures
size pictures/photo.png 40 50
size pictures/a.png 48 32
size pictures/b.png 48 32
same drawn.png pictures/photo.png
differ pictures/a.png pictures/b.png
expect 2 'is the input itself' run $net drawn.png $small --draw drawn.png
header="{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 48), }"
{
    printf '\223NUMPY\001\000\166\000%-117s\n' "$header"
    head -c $((3 * 32 * 48 * 4)) /dev/zero
} >array.npy
expect 0 'array.npy (fp32' run $net array.npy --threads 1
expect 2 'not with arrays' run $net array.npy --threads 1 --draw array.png

# ---- scores against masks ----------------------------------------------------------------------
expect 0 '' run $net photos $small --dump-outputs truth --json photos.json
plane=$((48 * 32))
for k in 0 1; do best truth/$k-out.npy $plane >said.$k; done
# the network's own pixels are those of the input here, so that the shares are known, too
ran=$((ran + 1))
cat said.0 said.1 | sort -n | uniq -c | awk '{ print $2 ":" $1 }' | sort >want
tr -d ' ",' <photos.json | awk -F: '$1 == "id" { c = $2 } $1 == "pixels" { n[c] += $2 }
    END { for (c in n) print c ":" n[c] }' | sort >got
cmp -s want got || complain 'the shares are not those of the best scores'
# the truth: what the network says, but for a stripe of class 9, one of 255, and other classes
awk '{ x = (NR - 1) % 48; print x < 6 ? 255 : x < 20 ? 9 : x % 7 == 0 ? ($1 + 5) % 21 : $1 }' \
    said.0 >mask.0
awk 'NR <= 96 { print 255; next } { print NR % 3 ? $1 : 2 }' said.1 >mask.1
png 48 32 8 0 masks/a.png <mask.0
png 48 32 8 0 masks/b.png <mask.1
cat said.0 said.1 >said
cat mask.0 mask.1 >mask
eval_small="eval $net --data photos --masks masks $small"
expect 0 'pixel accuracy' $eval_small --json e.json --markdown e.md
has e.json '"schema": "qzoo.eval/1"'
has e.json '"n": 2'
scores said mask >want
reported e.json 1 >got
same want got
has e.md '| fp32 |'
lacks out background
expect 0 'aeroplane' $eval_small --per-class

# palettes: their colors do not count; samples of 1, 2 and 4 bits are classes as they are
png 48 32 8 3 masks/a.png <mask.0
expect 0 '' $eval_small --json e.json
reported e.json 1 >got
same want got
rm masks/b.png photos/b.bmp
for form in '4 3 16' '2 3 4' '1 3 2' '4 0 16' '2 0 4' '1 0 2'; do
    # shellcheck disable=SC2086 # three words
    set -- $form
    awk -v n="$3" '{ print (NR * 7 + int(NR / 48)) % n }' said.0 >mask.small
    png 48 32 "$1" "$2" masks/a.png <mask.small
    expect 0 '' $eval_small --json e.json
    scores said.0 mask.small >want
    reported e.json 1 >got
    same want got
done

# ---- masks that do not fit ---------------------------------------------------------------------
cp photos/a.bmp photos/b.bmp
png 48 32 8 0 masks/a.png <mask.0
refused() { # MASK PATTERN
    cp "$1" masks/b.png
    expect 3 "masks/b.png: $2" $eval_small
    expect 0 'left out: 1 image' $eval_small --skip-bad --json e.json
    has err "masks/b.png: $2"
    has e.json '"n": 1'
    has e.json '"skipped": 1'
}
expect 3 'masks/b.png' $eval_small
expect 0 'left out: 1 image' $eval_small --skip-bad
has err 'masks/b.png'
png 32 48 8 0 turned.png <mask.0
refused turned.png 'the mask is 32x48, its image 48x32'
awk 'NR == 700 { print 21; next } { print }' mask.0 | png 48 32 8 0 many.png
refused many.png 'the mask has class 21; the model has 21 classes'
png 48 32 8 2 colors.png <mask.0
refused colors.png 'the mask has colors; save it with a palette'
png 48 32 16 0 deep.png <mask.0
refused deep.png 'indices of 16 bits'
head -c 900 masks/a.png >short.png
refused short.png '.*truncated'
png 48 32 8 3 whole.png <mask.0
head -c 1500 whole.png >short.png
refused short.png '.*truncated'
{ head -c 60 whole.png; printf '\001\002'; tail -c +63 whole.png; } >broken.png
refused broken.png '.*checksum'
printf 'no picture' >text.png
refused text.png '.*not a JPEG, PNG'
# nothing is left
rm masks/a.png
cp text.png masks/a.png
"$qzoo" $eval_small --skip-bad >out 2>err
got=$? ran=$((ran + 1))
[ $got = 3 ] || complain 'eval without any mask that can be read: not status 3'
# all of it is ignored: nothing to divide by
rm masks/b.png photos/b.bmp
awk '{ print 255 }' mask.0 | png 48 32 8 0 masks/a.png
expect 0 '' $eval_small --json e.json
has e.json '"pixel_accuracy": null'
has e.json '"mean_iou": null'

# ---- int8 --------------------------------------------------------------------------------------
png 48 32 8 0 masks/a.png <mask.0
expect 0 'int8 minus fp32' $eval_small --ptq --calib photos --json both.json
expect 0 '' quantize $net $small --calib photos -o int8.safetensors
expect 0 'a.bmp (int8' run ./int8.safetensors photos/a.bmp --dump-outputs int8
best int8/out.npy $plane >said.int8
scores said.int8 mask.0 >want
reported both.json 2 >got
same want got
expect 0 '' eval ./int8.safetensors --data photos --masks masks --json saved.json
reported saved.json 1 >got
same want got

done_at_least 120

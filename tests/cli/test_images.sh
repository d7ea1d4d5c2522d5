#!/bin/sh
# SPDX-License-Identifier: MIT
# test_images.sh QZOO - folders, patterns, lists and arrays of images: what is taken, in which
# order, what is left out and said, what is refused and by which name.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
net=squeezenet1_1 small='--size 64'
mkdir -p 'tree/b class' tree/a-class tree/a/deep flat tree/empty tree/__MACOSX mixed
image 64 64 1 tree/a/deep/1.bmp
image 64 64 2 tree/a-class/2.bmp
image 64 64 3 'tree/b class/3.BMP'
cp tree/a-class/2.bmp tree/__MACOSX/._2.bmp
echo x >tree/.DS_Store
echo x >tree/Thumbs.db
echo x >tree/a/x.tiff
echo x >tree/a/y.gif
echo x >tree/a/notes.txt

# quantize CALIB... -> hash of the saved model in $hash
saved() {
    to=$1
    shift
    "$qzoo" quantize $net $small --calib "$@" -o "$to" --quiet >out 2>err || complain "quantize $*"
}

# ---- what is taken -----------------------------------------------------------------------------
expect 0 'calibrated on images:3' quantize $net $small --calib tree -o tree.safetensors
has err 'skipped 3 files that cannot be read: '
has err 'ignored 3 hidden or system files: '
has err 'ignored 1 folder without images: tree/empty'
has err 'warning: .*calibrated on 3 images'
[ "$(grep -c '^qzoo: [si]' err)" = 3 ] || complain "quantize --calib tree: notes are said once"
saved files.safetensors tree/a-class/2.bmp tree/a/deep/1.bmp 'tree/b class/3.BMP'
same tree.safetensors files.safetensors
printf '\357\273\277a-class/2.bmp\r\n\r\na/deep/1.bmp\r\nb class/3.BMP' >tree/list.txt
saved list.safetensors tree/list.txt
same tree.safetensors list.safetensors
saved other.safetensors tree/a/deep/1.bmp tree/a-class/2.bmp 'tree/b class/3.BMP'
# the order in which they are listed does not matter
same tree.safetensors other.safetensors
cp tree/a-class/2.bmp flat/10.bmp
cp tree/a/deep/1.bmp flat/9.bmp
saved pattern.safetensors 'flat/*.b?p'
saved folder.safetensors flat
same pattern.safetensors folder.safetensors
expect 0 'flat/9.bmp (fp32' run $net 'flat/[0-9]*' $small
expect 0 'tree/b class/3.BMP (fp32' run $net tree $small
cp tree/a-class/2.bmp 'flat/*.bmp' # a name with a star is that file
expect 0 'calibrated on images:1' quantize $net $small --calib 'flat/*.bmp' -o s.safetensors
rm 'flat/*.bmp'

# ---- what is not -------------------------------------------------------------------------------
ln -s nowhere mixed/dangling.bmp
ln -s .. mixed/up
ln -s . mixed/self
mkfifo mixed/pipe.bmp
cp flat/9.bmp mixed/
expect 0 'images:' quantize $net $small --calib mixed -o s.safetensors
has err 'of no file (pipes, devices'
expect 3 'mixed/pipe.bmp' run $net mixed/pipe.bmp
expect 3 'mixed/dangling.bmp' run $net mixed/dangling.bmp
expect 3 'no image matches' run $net 'flat/*.png'
mkdir gifs && cp tree/a/y.gif gifs/
expect 3 'gifs: contains no images (jpg, png, bmp, npy), but 1 other file: y.gif' run $net gifs
printf 'a-class/2.bmp\ngone.bmp\n' >tree/wrong.txt
expect 3 'wrong.txt: line 2: .*gone.bmp: No such' run $net tree/wrong.txt
: >tree/nothing.txt
expect 3 'nothing.txt: lists no images' run $net tree/nothing.txt

# ---- bad images: the first is named before the work --------------------------------------------
mkdir damaged
cp flat/9.bmp damaged/1.bmp
head -c 5000 flat/9.bmp >damaged/2.bmp
echo text >damaged/3.png
cp flat/10.bmp damaged/4.bmp
for work in "quantize $net --calib damaged -o s.safetensors" "run $net damaged" \
    "bench $net --ptq --calib damaged"; do
    # shellcheck disable=SC2086
    expect 3 'damaged/2.bmp: the file is truncated' $work
done
expect 0 'images:2' quantize $net $small --calib damaged -o s.safetensors --skip-bad
has err 'damaged/2.bmp: the file is truncated'
has err 'damaged/3.png'
has err 'left out 2 of 4 images'
expect 0 'damaged/4.bmp (fp32' run $net damaged --skip-bad $small
lacks out 'damaged/3.png'
saved skipped.safetensors damaged --skip-bad
saved good.safetensors damaged/1.bmp damaged/4.bmp
same skipped.safetensors good.safetensors
"$qzoo" run $net damaged/3.png --skip-bad >out 2>err
[ $? = 3 ] || complain "run with no good image: status"
has err 'none of the images can be read'

# ---- --calib-limit -----------------------------------------------------------------------------
mkdir many
for i in 10 11 12 13 14 15 16 17 18 19; do image 16 16 $i many/$i.bmp; done
expect 0 'images:3' quantize $net $small --calib many --calib-limit 3 -o 3.safetensors
saved again.safetensors many --calib-limit 3
same 3.safetensors again.safetensors
saved first.safetensors many/10.bmp many/11.bmp many/12.bmp
cmp -s 3.safetensors first.safetensors && complain "--calib-limit takes the first"
expect 0 'images:10' quantize $net $small --calib many --calib-limit 99 -o s.safetensors
expect 2 '--calib-limit' quantize $net --calib synthetic:4 --calib-limit 2 -o s.safetensors
expect 2 '--calib-limit' quantize $net --calib many --calib-limit 0 -o s.safetensors

# ---- arrays ------------------------------------------------------------------------------------
# array SHAPE BYTES-IN-OCTAL FILE: float32, each element these four bytes
array() {
    header="{'descr': '<f4', 'fortran_order': False, 'shape': ($1), }"
    {
        printf '\223NUMPY\001\000v\000%-117s\n' "$header"
        count=$(echo "$1" | tr -d ' ' | tr ',' '\n' | awk 'BEGIN { n = 1 } NF { n *= $1 } END { print n }')
        awk -v n="$count" -v b="$2" 'BEGIN { for (; n > 0; n--) printf "%s", b }' |
            sed 's/[0-9][0-9][0-9]/\\&/g' >octal
        # shellcheck disable=SC2059
        printf "$(cat octal)"
    } >"$3"
}
mkdir arrays
array '1, 3, 32, 32' '000000000077' arrays/1.npy # 0.5
array '3, 32, 32' '000000000077' arrays/2.npy
expect 0 'images:2' quantize $net --calib arrays -o s.safetensors
array '1, 32, 32, 3' '000000000077' nhwc.npy
array '1, 4, 8, 8' '000000000077' four.npy
array '8, 8' '000000000077' plane.npy
array '1, 3, 4, 4' '000000000077' tiny.npy
array '1, 3, 32, 32' '000000300177' arrays/5.npy # NaN
for work in "quantize $net -o s.safetensors --calib" "run $net"; do
    # shellcheck disable=SC2086
    {
        expect 3 'nhwc.npy: the array is 1x32x32x3; needed is N x 3 x H x W (this looks like' $work nhwc.npy
        expect 3 'four.npy: the array is 1x4x8x8; needed is N x 3 x H x W' $work four.npy
        expect 3 'plane.npy: the array is 8x8; needed' $work plane.npy
        expect 3 'arrays/5.npy: image 0, channel 0, row 0, column 0 is NaN' $work arrays
        expect 3 'tiny.npy: ' $work tiny.npy
    }
done
rm arrays/5.npy
array '1, 3, 40, 40' '000000000077' arrays/3.npy
expect 0 'images:3' quantize $net --calib arrays -o s.safetensors
has out 'worst nodes over 3 images'
expect 0 '' export $net --calib arrays --precision fp16 -o s.onnx
has err 'without 1 calibration image of another size than 32x32'

done_at_least 45

#!/bin/sh
# SPDX-License-Identifier: MIT
# test_eval_detection.sh QZOO - eval of detectors: COCO's annotations, YOLO's labels, fp32 and int8,
# images that are not there, options that are about classes of images.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
"$qzoo" list | grep -q '^ssdlite320' || { echo 'skipped: no detectors yet'; exit 77; }
net='ssdlite320_mobilenet_v3_large --threads 1'
mkdir -p data/images data/labels part
image 64 48 1 data/images/a.bmp
image 40 60 2 data/images/b.bmp
cp data/images/a.bmp part/
printf '0 0.5 0.5 0.5 0.5\n16 0.25 0.25 0.5 0.5\n' >data/labels/a.txt
printf '{"images": [{"id": 3, "width": 64, "height": 48, "file_name": "a.bmp"},
    {"id": 5, "width": 40, "height": 60, "file_name": "b.bmp"}],
    "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 3, "category_id": 18, "bbox": [1, 1, 50, 40],
    "area": 2000, "iscrowd": 0, "segmentation": [[1, 1, 51, 1, 51, 41, 1, 41]]}]}' >gt.json
coco="eval $net --data data/images --annotations gt.json"

expect 0 'AR100' $coco --ptq --calib synthetic:1 --json e.json --markdown e.md --per-class
has out '^ *18  dog  *fp32 '
has out '^ *18  dog  *int8 '
has out 'bbox AP, int8 minus fp32: '
has e.md '| fp32 |  | bbox | 2 | '
has e.md '| int8 | .* | bbox | 2 | '
has e.md '^| 18 | dog | int8 | '
ran=$((ran + 1))
grep '"precision"' e.json | tr -d ' \n' | grep -q '^"precision":"fp32","precision":"int8",$' ||
    complain 'rows are not fp32 and then int8'
has e.json '"n": 2'
has e.json '"APlarge": null'
has e.json '"difference": {'
has e.json '"bbox_AP": '
lacks e.json 'segm' # the model has no masks

# run's result file scores as the model does, however the ids are found
scores() { sed -n '/"bbox": {/,/}/p' "$1"; }
expect 0 'a.bmp' run $net data/images/a.bmp data/images/b.bmp --annotations gt.json \
    --coco-results found.json
expect 0 'AR100' eval --detections found.json --annotations gt.json --json file.json
expect 0 'AR100' $coco --json model.json
ran=$((ran + 1))
[ -n "$(scores file.json)" ] && [ "$(scores file.json)" = "$(scores model.json)" ] ||
    complain 'the result file scores otherwise than the model'
cp data/images/a.bmp COCO_x_0000000003.bmp
mkdir -p more
cp data/images/a.bmp more/c3.bmp
expect 0 '' run $net COCO_x_0000000003.bmp --coco-results - --quiet
has out '"image_id": 3'
expect 3 'images/a.bmp: its name ends in no number' run $net data/images/a.bmp --coco-results x.json
expect 3 'more/c3.bmp: gt.json has no image of this name' run $net more/c3.bmp --coco-results x.json \
    --annotations gt.json
expect 2 'goes with --coco-results FILE' run $net data/images/a.bmp --annotations gt.json
expect 2 'goes with detectors only' run squeezenet1_1 data/images/a.bmp --coco-results x.json

# categories are the model's classes
renumbered() { sed "s/\"id\": 1, \"name\"/\"id\": $1, \"name\"/; s/\"id\": 18, \"name\"/\"id\": $2, \"name\"/
    s/_id\": 18/_id\": $2/" gt.json >wrong.json; }
wrong="eval $net --data data/images --annotations wrong.json"
renumbered 0 18
expect 3 'wrong.json: category 0 (person): the model.s class 0 is the background' $wrong
sed 's/"person"/"wolf"/; s/"dog"/"person"/; s/"wolf"/"dog"/' gt.json >wrong.json
expect 3 'wrong.json: category 1 is dog, but the model.s class 1 is person and its class 18 is dog' $wrong
renumbered 101 118
expect 3 'wrong.json: none of its categories is a class of the model, which has 1 to 90' $wrong
renumbered 101 18
expect 0 'AR100' $wrong
has err '1 of 2 categories are no classes of the model'

# YOLO's labels: b.bmp has no file, and so no object; class 16 is dog, of COCO's 80
expect 0 ' bbox  *2 ' eval $net --data data --json y.json --quiet
ran=$((ran + 1))
[ ! -s err ] || complain "--quiet: a note"
expect 0 ' bbox  *2 ' eval $net --data data
has err '^1 of 2 images have no file of labels.*data/labels/b.txt'
mkdir -p other/images other/labels
cp data/images/a.bmp other/images/
cp data/labels/a.txt other/labels/b.txt
expect 3 'other/labels: no image has its.*other/labels/a.txt' eval $net --data other
ran=$((ran + 1))
tr -d ' \n' <y.json | grep -q '"id":18,"name":"dog","bbox_AP":[01]' || complain 'no object is a dog'
ran=$((ran + 1))
tr -d ' \n' <y.json | grep -q '"id":2,"name":"bicycle","bbox_AP":null' || complain 'a bicycle'
printf 'dog\nperson\n' >data/classes.txt
expect 3 'labels/a.txt: line 2: class 16, but there are 2 classes' eval $net --data data
printf 'dog\nwombat\n' >data/classes.txt
expect 3 'classes.txt: the model has no class wombat' eval $net --data data
rm data/classes.txt
printf '0 0.5 0.5 0.5\n' >data/labels/a.txt
expect 3 'labels/a.txt: line 1: ' eval $net --data data
printf '0 0.5 nan 0.5 0.5\n' >data/labels/a.txt
expect 3 'labels/a.txt: line 1: ' eval $net --data data
printf '80 0.5 0.5 0.5 0.5\n' >data/labels/a.txt
expect 3 'class 80' eval $net --data data
expect 3 'no folder labels' eval $net --data part

# images that are not there, or of another size
expect 3 'part/b.bmp' eval $net --data part --annotations gt.json
expect 0 'left out: 1 image that' eval $net --data part --annotations gt.json --skip-bad --json s.json
has err 'part/b.bmp'
has s.json '"n": 1'
has s.json '"skipped": 1'
rm part/a.bmp
"$qzoo" eval $net --data part --annotations gt.json --skip-bad --json s.json >out 2>err
got=$? ran=$((ran + 1))
[ $got = 3 ] || complain 'eval of no image that can be read: not status 3'
has s.json '"AP": null'
cp data/images/b.bmp part/a.bmp
cp data/images/b.bmp part/
expect 3 'part/a.bmp: is 40x60, but 64x48 in the annotations' eval $net --data part --annotations gt.json

# what goes with classifiers, and what with detectors
expect 2 '--labels' eval $net --data data --labels gt.json
expect 2 '--confusion' eval $net --data data --confusion c.csv
expect 2 '--annotations' eval squeezenet1_1 --threads 1 --data data --annotations gt.json
printf '{"images": [], "categories": [], "annotations": []}' >empty.json
expect 3 'empty.json: it has no images' eval $net --data data --annotations empty.json --ptq
for name in /etc/a.bmp ../a.bmp a/../../a.bmp ''; do
    sed "s|\"a.bmp\"|\"$name\"|" gt.json >names.json
    expect 3 'names.json: image 3.*file_name' eval $net --data data/images --annotations names.json
done
sed 's|"a.bmp"|"./../images/./a.bmp"|' gt.json >names.json
expect 3 'relative to --data' eval $net --data data/images --annotations names.json
expect 3 'gt2.json' eval $net --data data --annotations gt2.json

done_at_least 43

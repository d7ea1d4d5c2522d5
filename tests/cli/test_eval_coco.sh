#!/bin/sh
# SPDX-License-Identifier: MIT
# test_eval_coco.sh QZOO - eval --detections: pycocotools' numbers, what is absent, what is refused.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"

images='"images": [{"id": 7, "width": 20, "height": 10, "file_name": "a.bmp"},
    {"id": 9, "width": 20, "height": 10, "file_name": "b.bmp"}]'
categories='"categories": [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]'
object='{"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0,
    "segmentation": [[1, 1, 6, 1, 6, 6, 1, 6]]}'
# truth OBJECTS, found MORE: write gt.json and dt.json
truth() { printf '{%s, %s, "annotations": [%s]}' "$images" "$categories" "$1" >gt.json; }
found() { printf '[{"image_id": 7, "category_id": 1, "score": 0.5%s}]' "$1" >dt.json; }
score='eval --detections dt.json --annotations gt.json'

truth "$object"
found ', "bbox": [1, 1, 5, 5]'
expect 0 'bbox  *2  1.0000' $score --json s.json --per-class --markdown s.md
has out ' 1  cat  .*1.0000 *-$'
has out ' 3  dog .* - *-$'
has s.md '| bbox | 2 | 1.0000 |'
has s.json '"schema": "qzoo.eval/1"'
has s.json '"model": null'
has s.json '"precision": null'
has s.json '"n": 2'
has s.json '"APlarge": null'
has s.json '"bbox_AP": 1.0'
has s.json '"bbox_AP": null'
lacks s.json 'segm'
found ', "segmentation": {"size": [10, 20], "counts": [11, 5, 5, 5, 5, 5, 5, 5, 5, 5, 144]}'
expect 0 'segm  *2  1.0000' $score --json s.json
lacks s.json 'bbox'
has s.json '"segm_AP": 1.0'
found ', "bbox": [1, 1, 5, 5], "segmentation": [[1, 1, 6, 1, 6, 6, 1, 6]]'
expect 0 'segm  *2  1.0000' $score
has out 'bbox  *2  1.0000'
# nothing found; nothing to find
printf '[]' >dt.json
expect 0 'bbox  *2  0.0000' $score --json s.json
has out 'segm  *2  0.0000'
has s.json '"AP": 0.0'
truth ''
expect 0 '"qzoo.eval/1"' $score --json - --markdown s.md
has s.md '| bbox | 2 | - |'
has out '"AP": null'
# quiet: the table is the result, and stays
truth "$object"
expect 0 'bbox  *2  0.0000' $score --quiet

# what is damaged is one line with the file and the entry
printf '[{"image_id": 7, "category_id": 1, "score": NaN, "bbox": [1, 1, 5, 5]}]' >dt.json
expect 3 'dt.json: detections\[0\]: line 1' $score
printf '[{"image_id": 8, "category_id": 1, "score": 1, "bbox": [1, 1, 5, 5]}]' >dt.json
expect 3 'dt.json: detections\[0\]: .*image of id 8' $score
printf '[{"image_id": 7, "category_id": 2, "score": 1, "bbox": [1, 1, 5, 5]}]' >dt.json
expect 3 'dt.json: detections\[0\]: .*category of id 2' $score
found ', "segmentation": {"size": [10, 20], "counts": [11, 5]}'
expect 3 'dt.json: detections\[0\]: .*sum up' $score
found ', "bbox": [100, 1, 5, 5]'
expect 3 'dt.json: detections\[0\]: .*outside' $score
found ', "bbox": [1, 1, 5, 5]'
truth '{"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 1, 5, 5]}'
expect 3 "gt.json: annotations\[0\]: 'area' is missing" $score
truth '{"id": 1, "image_id": 7, "category_id": 1, "area": 5, "segmentation": [[1, 1, 2, 2]]}'
expect 3 'gt.json: annotations\[0\]: a polygon has fewer than three points' $score
printf 'no' >gt.json
expect 3 'gt.json' $score
printf '[[[[' >gt.json
expect 3 'gt.json: annotations\[0\]: line 1' $score
truth "$object"
sed 's/a.bmp/a\\u0000.bmp/' gt.json >null.json
expect 3 'null.json: images\[0\]: line 1: a text has .*u0000' eval --detections dt.json --annotations null.json
# Windows' editors write a byte order mark, and UTF-16
{ printf '\357\273\277' && cat gt.json; } >mark.json
expect 0 'bbox  *2  1.0000' eval --detections dt.json --annotations mark.json
printf '\377\376{\0' >wide.json
expect 3 'wide.json: is UTF-16; save it as UTF-8' eval --detections dt.json --annotations wide.json
printf '\0{\0}' >wide.json
expect 3 'wide.json: is UTF-16' eval --detections dt.json --annotations wide.json
printf '{"images": [], %s, "annotations": []}' "$categories" >gt.json
expect 3 'gt.json: it has no images' $score
truth "$object"
printf '{}' >dt.json
expect 3 'dt.json: must be a list' $score
expect 3 'none.json' eval --detections none.json --annotations gt.json
expect 3 'none.json' eval --detections dt.json --annotations none.json
expect 2 '--annotations' eval --detections dt.json
expect 2 '--data' $score --data .
expect 2 'resnet18' $score resnet18
expect 2 'one model' eval --annotations gt.json --data .

# pycocotools' numbers, to the digits that JSON has
data=${QZOO_TEST_DATA:-}/coco-eval
if [ -r "$data/expected.json" ]; then
    for kind in bbox segm; do
        expect 0 '' eval --detections "$data/dt_$kind.json" --annotations "$data/gt.json" \
            --json k.json --quiet
        ran=$((ran + 1))
        # the first twelve numbers of the kind, one a line
        sed -n "/\"$kind\": {/,/}/p" k.json | sed -n 's/.*": \([0-9.]*\),*$/\1/p' >is
        tr -d ' \n' <"$data/expected.json" | sed "s/.*\"$kind\":\[\([^]]*\)\].*/\1/" |
            tr ',' '\n' >should
        paste is should | awk '{ d = $1 - $2; if (d > 1e-6 || d < -1e-6) bad = 1 }
            END { exit bad || NR != 12 }' || complain "$kind differs from pycocotools"
    done
else
    echo "skipped: no $data (set QZOO_TEST_DATA)"
fi

done_at_least 45

#!/bin/sh
# SPDX-License-Identifier: MIT
# test_classes.sh QZOO - the names of classes, from files, folders and saved models: which class a
# label, a folder and an answer are. Nothing is guessed that could be wrong.
# shellcheck source=tests/cli/expect.sh
. "$(dirname "$0")/expect.sh"
five='squeezenet1_1 --threads 1 --num-classes 5'
three='squeezenet1_1 --threads 1 --num-classes 3'
image 64 64 1 a.bmp

# top FILE: the classes of a run's five best, sorted
top() {
    ran=$((ran + 1))
    names=$(sed -n 's/.*"class": "\(.*\)",*/\1/p' "$1" | sort | tr '\n' ' ')
    [ "$names" = "$2" ] || complain "$1 has the classes $names"
}
# each form of a file of names
good() {
    expect 0 '' run $three a.bmp --classes "$1" --json r.json --quiet
    top r.json 'cat dog owl '
    ran=$((ran + 1))
    awk '/"index"/ { i = $2 } /"class"/ { print i, $2 }' r.json | tr -d '",' | sort |
        tr '\n' ' ' | grep -q '^0 dog 1 cat 2 owl $' || complain "$1: names in another order"
}
printf 'dog\ncat\nowl\n' >c.txt
good c.txt
printf '\357\273\277dog\r\n  cat \r\nowl\r\n\r\n\r\n' >bom.txt
good bom.txt
printf 'dog\ncat\nowl' >cut.names
good cut.names
printf '["dog", "cat", "owl"]' >list.json
good list.json
printf '\357\273\277{"0": "dog", "2": "owl", "1": "cat"}' >numbered.json
good numbered.json
printf '{"cat": 1, "dog": 0, "owl": 2}' >named.json
good named.json
printf '{"0": ["n01", "dog"], "1": ["n02", "cat"], "2": ["n03", "owl"]}' >pairs.json
good pairs.json
printf '[["n01", "dog"], ["n02", "cat"], ["n03", "owl"]]' >pairs2.json
good pairs2.json
printf 'class_index,name\n1,cat\n0,dog\n2,owl\n' >c.csv
good c.csv
printf '\357\273\277name;class_index\r\n"cat";1\r\n"dog";0\r\n"owl";2\r\n' >semicolons.csv
good semicolons.csv
printf '0\tdog\n1\tcat\n2\towl\n' >plain.tsv
good plain.tsv
mkdir -p order/a order/b order/c order/.hidden order/__MACOSX
expect 0 '' run $three a.bmp --classes order --json r.json --quiet
top r.json 'a b c '

# a wrong count or a name given twice: both numbers
expect 3 'c.txt: has 3 names, but squeezenet1_1 has 5 classes' run $five a.bmp --classes c.txt
printf 'dog\ncat\ndog\n' >twice.txt
expect 3 'classes 0 and 2 have the same name, dog' run $three a.bmp --classes twice.txt
printf '0,dog\n1,cat\n1,owl\n' >twice.csv
expect 3 'lines 2 and 3: both are class 1' run $three a.bmp --classes twice.csv
printf '{"dog": 0, "cat": 1, "owl": 1}' >twice.json
expect 3 'are both class 1' run $three a.bmp --classes twice.json
printf '{"0": "dog", "0": "cat", "1": "owl"}' >keys.json
expect 3 'keys.json' run $three a.bmp --classes keys.json
printf '{"0": "dog", "1": "cat", "3": "owl"}' >gap.json
expect 3 'lacks class 2 of 3' run $three a.bmp --classes gap.json
printf 'dog\n\nowl\n' >gap.txt
expect 3 'line 2 is empty' run $three a.bmp --classes gap.txt
printf 'dog\nc\033[2Jat\nowl\n' >escape.txt
expect 3 'class 1 has a control character' run $three a.bmp --classes escape.txt
printf '[1, 2, 3]' >numbers.json
expect 3 'class 0: a name' run $three a.bmp --classes numbers.json
printf '"dog"' >text.json
expect 3 'text.json' run $three a.bmp --classes text.json
printf '{' >half.json
expect 3 'half.json' run $three a.bmp --classes half.json
printf 'a,b\nx,y\n' >wrong.csv
expect 3 'class_index and name' run $three a.bmp --classes wrong.csv
: >empty.txt
expect 3 'contains no names' run $three a.bmp --classes empty.txt
printf 'a\0b\n' >zero.txt
expect 3 'is no text' run $three a.bmp --classes zero.txt
expect 3 'gone.txt' run $three a.bmp --classes gone.txt
expect 3 'no regular file' run $three a.bmp --classes /dev/null
mkdir bare
expect 3 'no folder for each class' run $three a.bmp --classes bare
expect 2 'not an option of bench' bench $three --classes c.txt

# saved models keep them, and may get others
expect 0 '' quantize $three --classes c.txt --calib synthetic:1 -o m.safetensors --quiet
expect 0 '' run m.safetensors a.bmp --json r.json --quiet
top r.json 'cat dog owl '
expect 0 ' owl ' run m.safetensors a.bmp
expect 0 '' run m.safetensors a.bmp --classes order --json r.json --quiet
top r.json 'a b c '
expect 0 'classes: 3: dog, cat, owl' list ./m.safetensors --ops --json l.json
has l.json '"class_names": '
if "$qzoo" export $three --classes c.txt -o m.onnx --size 64 --quiet 2>err; then
    ran=$((ran + 1))
    tr '\n' '|' <m.onnx | grep -aq 'classes.*dog|cat|owl' || complain 'ONNX lacks the classes'
fi

# folders are the classes that they are called
mkdir -p data/cat data/owl
cp a.bmp data/cat/1.bmp
image 64 64 2 data/owl/2.bmp
classes_of() { # FILE OPTION...: the true classes that a confusion matrix has images of
    csv=$1
    shift
    expect 0 '' eval "$@" --confusion "$csv" --quiet
    awk -F, 'NR == 1 { split($0, name) } NR > 1 { s = 0; for (i = 2; i <= NF; i++) s += $i
        if (s) printf "%s:%d ", $1, s }' "$csv"
}
is() {
    ran=$((ran + 1))
    [ "$1" = "$2" ] || complain "classes $1, expected $2"
}
is "$(classes_of x.csv m.safetensors --data data)" 'cat:1 owl:1 '
has x.csv '^true,dog,cat,owl$'
mkdir data/__MACOSX data/empty
cp a.bmp data/__MACOSX
expect 0 '' eval m.safetensors --data data
has err '__MACOSX: not a class'
has err 'data/empty: contains no images'
rm -r data/__MACOSX data/empty
mkdir data/bird
cp a.bmp data/bird
expect 3 'data/bird: no class of the model is called bird' eval m.safetensors --data data
rm -r data/bird
mkdir data/0
cp a.bmp data/0
is "$(classes_of x.csv m.safetensors --data data)" 'dog:1 cat:1 owl:1 '
mv data/0 data/7
expect 3 'data/7: class 7; the model has 3 classes' eval m.safetensors --data data
rm -r data/7
mkdir -p wn/n02/deep wn/n03
cp a.bmp wn/n02/deep
cp a.bmp wn/n03
is "$(classes_of x.csv $three --classes pairs.json --data wn)" 'cat:1 owl:1 '
# ImageNet's own folders, a part of them, by wnid and by name
mkdir -p imagenet/n02123045 imagenet/tench
cp a.bmp imagenet/n02123045
cp a.bmp imagenet/tench
is "$(classes_of x.csv squeezenet1_1 --data imagenet)" 'tench:1 tabby:1 '
mkdir imagenet/n99999999
cp a.bmp imagenet/n99999999
expect 3 'imagenet/n99999999: no class' eval squeezenet1_1 --data imagenet
# without names: numbers, or as many folders as classes
mkdir -p three/x three/y three/z
for f in x y z; do cp a.bmp three/$f; done
expect 3 '3 folders with images (the first is x), but 5 classes' eval $five --data three
is "$(classes_of x.csv $three --data three)" '0:1 1:1 2:1 '
expect 0 '' eval $three --data three
has err 'the order of the folders counts: x is class 0'
mv three/x three/3
mv three/y three/1
mv three/z three/4
is "$(classes_of x.csv $five --data three)" '1:1 3:1 4:1 '
expect 3 'three/3: class 3; the model has 3 classes' eval $three --data three

# labels
image 64 64 3 'data/b c.bmp'
cp a.bmp data/a.bmp
cp a.bmp 'data/d,e.bmp'
labels() { # TEXT: the true classes of the labels
    printf "$1" >l.csv
    classes_of x.csv m.safetensors --data data --labels l.csv
}
is "$(labels 'file,class_index\na.bmp,2\nb c.bmp,0\n')" 'dog:1 owl:1 '
is "$(labels 'class_index;x;file\r\n2;;a.bmp\r\n0;;b c.bmp\r\n')" 'dog:1 owl:1 '
is "$(labels '\357\273\277File\tLabel\nb c.bmp\tdog\n\na.bmp\towl')" 'dog:1 owl:1 '
is "$(labels 'a.bmp 2\n"b c.bmp"  0 \n')" 'dog:1 owl:1 '
is "$(labels 'a.bmp,owl\n"d,e.bmp",cat\n')" 'cat:1 owl:1 '
is "$(labels 'file,label,class_index\na.bmp,whatever,1\n')" 'cat:1 '
is "$(labels './a.bmp,1,more\n')" 'cat:1 '
is "$(labels "$work/a.bmp,1\n")" 'cat:1 '
printf 'file,wnid\na.bmp,n02\n' >wnid.csv
is "$(classes_of x.csv $three --classes pairs.json --data data --labels wnid.csv)" 'cat:1 '
is "$(labels 'a.bmp,1\na.bmp,cat\nb c.bmp,0\n')" 'dog:1 cat:1 '
expect 0 '' eval m.safetensors --data data --labels l.csv
has err 'l.csv: line 2: data/a.bmp again, as in line 1; it counts once'
wrong() { # TEXT PATTERN
    printf "$1" >l.csv
    expect 3 "$2" eval $three --ptq --classes c.txt --data data --labels l.csv
}
wrong 'file,class_index\na.bmp,1\n./a.bmp,2\n' 'line 3: data/a.bmp is class 2 here and class 1 in line 2'
wrong 'file,label\n\na.bmp,bird\n' 'l.csv: line 3: no class is called bird'
wrong 'file,class_index\na.bmp,3\n' 'l.csv: line 2: class 3; the model has 3 classes'
wrong 'file,class_index\na.bmp,cat\n' 'l.csv: line 2: class_index cat is not a number'
wrong 'file,class_index\na.bmp,-1\n' 'line 2: class_index -1'
wrong 'file,class_index\na.bmp,99999999999\n' 'line 2: class_index 99999999999'
wrong 'file,class_index\na.bmp,1\nz.bmp,1\n' 'l.csv: line 3: data/z.bmp: No such file'
wrong 'file,class_index\na.bmp\n' 'line 2 has too few columns'
wrong 'file,class_index\n"a.bmp,1\n' 'line 2: a quote'
wrong 'file,class\na.bmp,1\n' 'file and class_index or label'
wrong 'name,label\na.bmp,1\n' 'file and class_index or label'
wrong 'name,class\na.bmp,1\n' 'class_index'
wrong 'a.bmp 1\nb c.bmp 0\n' 'line 2 has 3 columns'
wrong 'file,class_index\n' 'contains no rows'
wrong '' 'contains no rows'
wrong '\377\376f\0i\0' 'UTF-16'
printf 'a.bmp,cat\n' >l.csv
expect 3 'line 1: no class is called cat; name the model' eval $three --data data --labels l.csv

# ---- the model's own names -----------------------------------------------------------------------
printf 'cat\ndog\nmouse\n' >own.txt
printf 'mouse\ncat\ndog\n' >moved.txt
printf 'Katze\nHund\nMaus\n' >other.txt
expect 0 '' quantize $three --calib synthetic:1 --classes own.txt -o own.safetensors
expect 3 'class 0 is mouse, but cat' run ./own.safetensors a.bmp --classes moved.txt
expect 0 'Katze' run ./own.safetensors a.bmp --classes other.txt
expect 2 'qzoo export' quantize $three --calib synthetic:1 -o own.onnx
expect 2 'qzoo quantize' export $three -o own2.safetensors

done_at_least 100

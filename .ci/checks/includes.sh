#!/bin/sh
# SPDX-License-Identifier: MIT
# Includes run one way: tools see public headers only; zoo may use quant, weights, layers; quant uses
# layers; weights uses layers/base; inside layers graph uses ops, ops uses kernels, kernels uses base.
# Architectures (zoo/*, zoo/detection, zoo/segmentation) know nothing of a model's life (zoo/model);
# pixels (zoo/image) know nothing of models.
# No files include each other in a circle, where a header and the source of its name are one.
# Libraries that others wrote are included in one place each.
set -eu
cd "$(dirname "$0")/../.."
git ls-files layers quant weights zoo tools bench tests/examples | grep -E '\.(c|h|inc|cpp)$' |
    xargs grep -nE '^[[:space:]]*#[[:space:]]*include' | awk '
    # the part of the house that a path belongs to
    function part(path) {
        if (path in public) return "public"
        if (path ~ /^layers\//) { split(path, p, "/"); return p[2] }
        if (path ~ /^zoo\/image\//) return "image"
        if (path ~ /^zoo\/([^\/]*|(detection|segmentation)\/.*)$/) return "arch"
        split(path, p, "/")
        return p[1]
    }
    function complain(what, mend) {
        printf "%s:%s: includes %s: %s\n    mend: %s\n", file, line, target, what, mend
        bad = 1
    }
    function exists(path,   dummy, there) {
        there = (getline dummy < path) >= 0
        close(path)
        return there
    }
    # where the compiler finds it: beside the file, or by one of the include directories
    function resolve(name, dir,   i) {
        if (exists(dir "/" name)) return dir "/" name
        for (i = 1; i <= dirs; i++)
            if (exists(roots[i] name)) return roots[i] name
        return ""
    }
    BEGIN {
        dirs = split("|layers/|quant/|weights/|zoo/", roots, "|")
        headers_of_all = "git ls-files \"*/qzoo*.h\" \"*/qzoo*.inc\""
        while ((headers_of_all | getline path) > 0)
            public[path] = 1
        close(headers_of_all)
        # which parts a part may use, itself apart; "public" is looked at below
        may["base"] = ""
        may["kernels"] = "base"
        may["ops"] = "kernels base"
        may["grad"] = "ops kernels base"
        may["graph"] = "ops grad kernels base"
        may["weights"] = "base"
        may["quant"] = "graph ops grad kernels base"
        may["image"] = "weights kernels base"
        may["arch"] = "image quant graph ops grad kernels base"
        may["zoo"] = "arch image quant weights graph ops grad kernels base"
        may["tools"] = ""
        # public headers stand on each other, and parts on those of the parts that they may use
        headers["base"] = "layers/qzoo_base.h layers/qzoo_cpu.h"
        headers["weights"] = headers["base"] " weights/qzoo_weights.h"
        headers["kernels"] = headers["ops"] = headers["graph"] = headers["grad"] = \
            headers["base"] " layers/qzoo_graph.h"
        headers["quant"] = headers["graph"] " quant/qzoo_quant.h"
        # <header> of another library: where alone it may stand
        only["pthread.h"] = only["pthreadpool.h"] = only["cpuinfo.h"] = only["sched.h"] = "layers/base/"
        only["zlib.h"] = "weights/"
        only["curl/curl.h"] = "weights/"
        only["webp/decode.h"] = "zoo/image/"
        only["stb_image.h"] = only["stb_image_write.h"] = "zoo/image/"
        only["onnx.pb-c.h"] = only["protobuf-c/protobuf-c.h"] = "zoo/onnx/"
        only["jansson.h"] = "tools/"
        only["immintrin.h"] = "layers/kernels/x86/"
        only["arm_neon.h"] = "layers/kernels/arm/"
    }
    {
        split($0, field, ":")
        file = field[1]; line = field[2]
        if (file ~ /^bench\//) next # sees everything, as tests do
        match($0, /["<][^">]*[">]/)
        target = substr($0, RSTART, RLENGTH)
        name = substr(target, 2, RLENGTH - 2)
        seen++
        if (file ~ /^tests\/examples\//) {
            if (target ~ /^"/ || (name ~ /qzoo/ && name != "qzoo/qzoo.h"))
                complain("an example is an application", "include <qzoo/qzoo.h>")
            next
        }
        if (target ~ /^</) {
            if (name == "jansson.h" && file == "weights/catalogue/catalogue_user.c") next # JSON of the user
            if (name == "jansson.h" && file == "zoo/eval/coco_json.h") next # files of COCO are JSON
            if (name in only && index(file, only[name]) != 1)
                complain("only " only[name] " may", "call a function of that part instead")
            next
        }
        dir = file; sub(/\/[^\/]*$/, "", dir)
        path = resolve(name, dir)
        if (path == "") {
            if (name !~ /^qzoo_commit\.h$/) # made by meson
                complain("there is no such file", "name it from the root of the repository")
            next
        }
        from = part(file); to = part(path)
        if (from == "public") {
            if (to != "public")
                complain("a public header shows private ones", "move what it needs into a public header")
            from = file ~ /qzoo_base/ ? "base" : file ~ /^layers/ ? "graph" : dir
        }
        if (to == "public") {
            if (from in headers && index(" " headers[from] " ", " " path " ") == 0)
                complain(from " is below that header", "move the code up, or the type down")
        } else if (to != from && index(" " may[from] " ", " " to " ") == 0) {
            complain(from " may use " (may[from] == "" ? "public headers only" : may[from]),
                     "move the code to the part that it belongs to, or the shared piece down")
        }
    }
    END {
        if (seen < 100) { print "includes.sh saw " seen " includes only: it is broken"; bad = 1 }
        exit bad
    }'

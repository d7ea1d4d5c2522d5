/* SPDX-License-Identifier: MIT */
/* test_options_apply.c - an option that would have no effect is refused by name, and only then. */
#include "tools/commands.h"
#include "tools/messages.h"
#include "tools/options_apply.h"
#include "tools/options_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture.h"

static char message[4096]; /* of the last line, from stderr */

/* Parses and checks a command line, words separated by spaces. */
static int apply(const char *line)
{
    char text[256], *words[32];
    int count = 0, status = EXIT_USAGE;
    snprintf(text, sizeof(text), "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        words[count++] = word;
    capture err = capture_begin(stderr);
    for (const tool_command *c = tool_commands; c->name; c++) {
        tool_options o;
        if (strcmp(c->name, words[0]) != 0)
            continue;
        status = options_parse(c->name, c->options, count - 1, words + 1, &o);
        if (status == EXIT_DONE)
            status = options_apply(&o);
        options_free(&o);
    }
    capture_end(&err, message, sizeof(message));
    return status;
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"run m x.png --backend qnnpack", "--backend"},
        {"bench m --calib photos", "--calib"},
        {"eval m --data d --observer minmax", "--observer"},
        {"run m x.png --reduce-range", "--reduce-range"},
        {"bench m --recipe fast", "--recipe"},
        {"eval m --data d --bias-correction images", "--bias-correction"},
        {"eval m --data d --equalize auto", "--equalize"},
        {"quantize m -o x.safetensors --equalize auto", "--equalize"},
        {"quantize m -o x.safetensors --equalize 0.5 --backend fbgemm", "--equalize"},
        {"quantize m -o x.safetensors --equalize 1.1 --backend native", "a number from 0 to 1"},
        {"quantize m -o x.safetensors --equalize default --backend native", "--equalize"},
        {"quantize m -o x.safetensors --equalize auto --backend native --observer moving",
         "--equalize"},
        {"list m --ops --recipe none", "--recipe"},
        {"bench m --per-channel", "--per-channel"},
        {"bench m --per-tensor", "--per-tensor"},
        {"bench m --rounding adaround", "--rounding"},
        {"bench m --weight-bits 4", "--weight-bits"},
        {"bench m --ptq --weight-bits 5", "--weight-bits"},
        {"bench m --ptq --recipe fast --iterations 5", "--iterations"},
        {"bench m --ptq --per-channel --per-tensor", "--per-tensor"},
        {"run ./m.safetensors x.png --per-tensor", "--per-tensor"},
        {"bench m --exclude conv1", "--exclude"},
        {"bench m --fallback strided_pointwise", "--fallback"},
        {"export m -o x.onnx --backend native", "--backend"},
        {"export m -o x.onnx --precision fp16 --exclude conv1", "--exclude"},
        {"export m -o x.onnx --calib photos", "--calib"},
        {"run m x.png --ptq --no-winograd", "--no-winograd"},
        {"run ./m.safetensors x.png --no-winograd", "--no-winograd"},
        {"bench m --runs 3 --seconds 2", "--seconds"},
        {"bench m --quiet --verbose", "--verbose"},
        {"bench m --mirror http://x/", "--mirror"},
        {"bench m --weights random:2 --fetch", "--fetch"},
        {"bench m --weights ./f.pth --offline", "--offline"},
        {"bench m --weights default --offline --fetch", "--fetch"},
        {"bench m --allow-missing", "--allow-missing"},
        {"weights list --f32", "--f32"},
        {"weights show x.pth --all", "--all"},
        {"weights prune --json x.json", "--json"},
        {"list m --num-classes 5", "--num-classes"},
        {"list m --backend native", "--backend"},
        {"weights verify --update-keys", "--update-keys"},
        {"weights list --mirror http://x/", "--mirror"},
        {"run ./m.safetensors x.png --observer minmax", "--observer"},
        {"run ./m.safetensors x.png --num-classes 5", "--num-classes"},
        {"eval ./m.safetensors --data d --fuse none", "--fuse"},
        {"bench m ./m.safetensors --ptq --weights random", "--weights"},
        {"eval --detections d.json", "--detections"},
        {"eval m --detections d.json --annotations g.json", "m: "},
        {"eval --detections d.json --annotations g.json --data d", "--data"},
        {"eval --detections d.json --annotations g.json --ptq", "--ptq"},
        {"eval --detections d.json --annotations g.json --threads 1", "--threads"},
        {"eval --detections d.json --annotations g.json --skip-bad", "--skip-bad"},
        {"eval --detections d.json --annotations g.json --weights default", "--weights"},
        {"eval --detections d.json --annotations g.json --size 320", "--size"},
        {"eval m --data d --annotations g.json --labels l.csv", "--labels"},
        {"eval m --data d --annotations g.json --confusion c.csv", "--confusion"},
        {"eval m --data d --annotations g.json --ptq --changes c.jsonl", "--changes"},
        {"run resnet18 x.png --score 0.5", "--score"},
        {"run resnet18 x.png --draw y.png", "--draw"},
        {"run resnet18 x.png --set nms_thresh=0.5", "--set"},
        {"bench resnet18 --set nms_thresh=0.5", "--set"},
        {"quantize resnet18 -o x.safetensors --set nms_thresh=0.5", "--set"},
        {"run resnet18 x.png --rois y.npy", "--rois"},
        {"run resnet18 x.png --ptq --head float", "--head"},
        {"run m x.png --head float", "--head"},
        {"run ./m.safetensors x.png --head float", "--head"},
        {"run m x.png --draw y.jpg", "PNG"},
        {"run m x.png --draw y.TIFF", "PNG"},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        if (apply(lines[i][0]) != EXIT_USAGE || !strstr(message, lines[i][1]))
            fail_msg("%s: not refused by %s: %s", lines[i][0], lines[i][1], message);
    }
}

static void test_accepted(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "run m x.png --ptq --backend qnnpack",
        "run m x.png --weights ./int8.pt --backend qnnpack",
        "run m x.png --no-winograd --relu",
        "bench m --ptq --no-winograd --calib photos",
        "bench m ./m.safetensors --no-winograd",
        "bench m --runs 3 --quiet",
        "bench m --weights default --mirror http://x/ --fetch",
        "bench m --weights ./f.pth --allow-missing",
        "export m -o x.onnx --precision int8 --exclude conv1",
        "export m -o x.onnx --precision fp16 --calib photos",
        "export ./m.safetensors -o x.onnx --backend fbgemm",
        "quantize m -o x.safetensors --reduce-range",
        "quantize m -o x.safetensors --backend native --per-tensor",
        "quantize m -o x.safetensors --recipe best --iterations 5 --weight-bits 4",
        "quantize m -o x.safetensors --rounding adaround --iterations 5",
        "quantize m -o x.safetensors --backend fbgemm --per-channel",
        "quantize m -o x.safetensors --recipe none --bias-correction images",
        "quantize m -o x.safetensors --equalize 0.25 --backend native --observer minmax",
        "quantize m -o x.safetensors --equalize none --backend qnnpack",
        "list m --ops --backend native",
        "list --catalogue c.json",
        "weights convert a.pth b.safetensors --f32 --update-keys",
        "weights show a.pth --update-keys",
        "weights fetch m --mirror http://x/ --timeout 3",
        "weights prune --all",
        "run ./m.safetensors x.png --ptq --threads 1",
        "eval --detections d.json --annotations g.json --json - --markdown m.md --quiet",
        "eval --detections d.json --annotations g.json --per-class --verbose",
        "eval m --data d --annotations g.json --ptq --skip-bad --per-class",
        "run ./m.safetensors x.png --score 0.5 --draw y.PNG --set nms_thresh=0.5 --rois y.npy",
        "run m x.png --draw pictures",
        "run m x.png --draw -",
        "quantize ./f.pth -o x.safetensors --set nms_thresh=0.5",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        if (apply(lines[i]) != EXIT_DONE)
            fail_msg("%s: %s", lines[i], message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_accepted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * options.c - the one table of options. The parser, --help, the manual pages and the completion
 * read the table. Words that the library knows come from the library.
 */
#include "options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

static const char *backend_word(int i)
{
    return qz_backend_name((qz_backend)i);
}

static const char *observer_word(int i)
{
    return qz_observer_name((qz_observer_kind)i);
}

static const char *recipe_word(int i)
{
    return qz_recipe_name((qz_recipe)(i + 1)); /* without "default" */
}

static const char *bias_correction_word(int i)
{
    return qz_bias_correction_name((qz_bias_correction)(i + 1));
}

static const char *rounding_word(int i)
{
    return qz_rounding_name((qz_rounding)(i + 1));
}

static const char *isa_word(int i)
{
    return qz_isa_name((qz_isa)i);
}

static const char *fuse_word(int i)
{
    return i == FUSE_ALL ? "all" : i == FUSE_NONE ? "none" : NULL;
}

static const char *precision_word(int i)
{
    return i == PRECISION_FP32   ? qz_onnx_format_name(QZ_ONNX_FP32)
           : i == PRECISION_FP16 ? qz_onnx_format_name(QZ_ONNX_FP16)
           : i == PRECISION_INT8 ? "int8"
                                 : NULL;
}

static const char *io_word(int i)
{
    return i == PRECISION_INT8 ? NULL : precision_word(i);
}

static const char *style_word(int i)
{
    return i == STYLE_QDQ         ? qz_onnx_format_name(QZ_ONNX_QDQ)
           : i == STYLE_QOPERATOR ? qz_onnx_format_name(QZ_ONNX_QOPERATOR)
                                  : NULL;
}

static const char *stage_word(int i)
{
    static const char *const words[] = {"image", "box", "mask"};
    return i >= 0 && (size_t)i < sizeof(words) / sizeof(*words) ? words[i] : NULL;
}

static const char *outputs_word(int i)
{
    return i == OUTPUTS_OWN ? "own" : i == OUTPUTS_ALL ? "all" : NULL;
}

static const char *head_word(int i)
{
    return i == HEAD_INT8 ? "int8" : i == HEAD_FLOAT ? "float" : NULL;
}

static const char *act_word(int i)
{
    return i == 0 ? "leaky" : i == 1 ? "silu" : NULL;
}

static const char *decode_word(int i)
{
    return i == QZ_YOLO_DECODE_V5 ? "v5" : i == QZ_YOLO_DECODE_DARKNET ? "darknet" : NULL;
}

static const char *protocol_word(int i)
{
    return i == 0 ? "coco" : i == 1 ? "ultralytics" : NULL;
}

static const char *interpolation_word(int i)
{
    return qz_interpolation_name((qz_interpolation)i);
}

static const option_words interpolation_words = {.word = interpolation_word};
static const option_words backend_words = {.word = backend_word};
static const option_words observer_words = {observer_word, NULL, "percentile",
                                            offsetof(tool_options, quant.percentile)};
static const option_words recipe_words = {.word = recipe_word};
static const option_words bias_correction_words = {.word = bias_correction_word,
                                                   .later = "analytic"};
static const option_words rounding_words = {.word = rounding_word};
static const option_words isa_words = {.word = isa_word};
static const option_words fuse_words = {.word = fuse_word};
static const option_words precision_words = {.word = precision_word};
static const option_words io_words = {.word = io_word};
static const option_words style_words = {.word = style_word};
static const option_words outputs_words = {.word = outputs_word};
static const option_words stage_words = {.word = stage_word};
static const option_words act_words = {.word = act_word};
static const option_words decode_words = {.word = decode_word};
static const option_words protocol_words = {.word = protocol_word};
static const option_words head_words = {.word = head_word};

/* ---- the table ---- */

/* The offset of a field; a field of another type does not compile. */
#define AT(type, field) _Generic(((tool_options *)0)->field, type : offsetof(tool_options, field))
#define TARGET(kind, offset, min, max, preset, words) \
    {                                                 \
        kind, offset, min, max, preset, words         \
    }
#define LATER TARGET(OPTION_LATER, 0, 0, 0, 0, NULL)
#define EARLY TARGET(OPTION_EARLY, 0, 0, 0, 0, NULL)
#define FLAG(field) TARGET(OPTION_FLAG, AT(bool, field), 0, 0, 0, NULL)
#define WHOLE(field, min, max, preset) TARGET(OPTION_WHOLE, AT(long, field), min, max, preset, NULL)
#define REAL(field, min, max, preset) TARGET(OPTION_REAL, AT(double, field), min, max, preset, NULL)
#define SIZE(field, min, max) TARGET(OPTION_SIZE, AT(option_size, field), min, max, 0, NULL)
#define WORD(field, words, preset) TARGET(OPTION_WORD, AT(int, field), 0, 0, preset, words)
#define TEXT(field) TARGET(OPTION_TEXT, AT(const char *, field), 0, 0, 0, NULL)
#define TEXTS(field) TARGET(OPTION_TEXTS, AT(option_list, field), 0, 0, 0, NULL)
#define NAMES(field) TARGET(OPTION_NAMES, AT(option_list, field), 0, 0, 0, NULL)

/* A preset below the least value means that the library or the model decides. */
const tool_option tool_option_table[] = {
    {"--ptq", NULL, OPT_PTQ, FLAG(quant.ptq), "also calibrate and convert the model to int8"},
    {"--weights", "W", OPT_MODEL, TEXT(model.weights),
     "random[:SEED] (default), default or a TAG of published weights, or a file"},
    {"--key", "NAME", OPT_MODEL | OPT_WEIGHTS, TEXT(model.key),
     "the state dict to take of a checkpoint that has several, such as ema or a.b"},
    {"--prefix", "P", OPT_MODEL, TEXT(model.prefix),
     "the leading part below which the file has the network's keys (default: it is found)"},
    {"--map", "FROM=TO", OPT_MODEL, TEXTS(model.map),
     "replace a leading part of the file's keys, after --prefix; may be given several times"},
    {"--head-key", "NAME", OPT_MODEL, TEXT(model.head_key),
     "the file's layer that makes the classes, such as fc.1 (default: it is found)"},
    {"--allow-unexpected", NULL, OPT_MODEL, FLAG(model.allow_unexpected),
     "load a file that has parameters in the network's modules which the network lacks"},
    {"--allow-missing", NULL, OPT_MODEL, FLAG(model.allow_missing),
     "keep random values for parameters that the file lacks"},
    {"--num-classes", "N", OPT_MODEL, WHOLE(model.num_classes, 1, 1000000, 0),
     "classes of the last layer (default: those of the file, or the architecture's)"},
    {"--classes", "FILE|DIR", OPT_CLASSES, TEXT(model.classes),
     "names of the classes: a name a line, .json, .csv, or the folders of the training images; "
     "of torchvision's detectors and segmenters the first is the background; run, and export "
     "--postprocess, with YOLO: 0,3 keeps these classes alone"},
    {"--transform-input", NULL, OPT_MODEL, FLAG(model.transform_input),
     "googlenet, inception_v3: mean and std 0.5, which the published weights expect"},
    {"--no-aux-logits", NULL, OPT_MODEL, FLAG(model.no_aux_logits),
     "googlenet, inception_v3: leave out the parameters of the auxiliary heads"},
    {"--act", "WORD", OPT_MODEL, WORD(model.activation, &act_words, -1),
     "yolov3: the activation that the weights were trained with (default: leaky)"},
    {"--fuse", "WORD", OPT_MODEL, WORD(model.fuse, &fuse_words, FUSE_ALL),
     "fuse batch norms and activations into convolutions"},
    {"--backend", "WORD", OPT_QUANT, WORD(quant.backend, &backend_words, QZ_BACKEND_AUTO),
     "arithmetic of int8"},
    {"--calib", "C", OPT_QUANT, TEXTS(quant.calib),
     "calibration images: a folder, files, a 'pattern', a .txt list, a .npy, synthetic[:N] "
     "(default: synthetic:32), or .qzstats files of calibrate, which are merged"},
    {"--calib-limit", "N", OPT_QUANT, WHOLE(quant.calib_limit, 1, 10000000, 0),
     "use N files of --calib, spread over all and the same everywhere"},
    {"--observer", "WORD", OPT_QUANT, WORD(quant.observer, &observer_words, QZ_OBSERVER_DEFAULT),
     "how calibration finds ranges; percentile:P: P % of the values lie inside (default: 99.99)"},
    {"--recipe", "WORD", OPT_QUANT, WORD(quant.recipe, &recipe_words, -1),
     "steps that make int8 better (default: native fast, others none); fast: --observer mse and "
     "--bias-correction images, with few bits ranges of weights by error; best: also --rounding "
     "adaround and, native, --equalize auto"},
    {"--equalize", "A", OPT_QUANT, TEXT(quant.equalize),
     "native: give quiet channels of values finer scales: none, auto (how much is chosen by value) "
     "or a number from 0 to 1 for all (default: auto with --recipe best, or fast and --per-tensor; "
     "else none)"},
    {"--bias-correction", "WORD", OPT_QUANT,
     WORD(quant.bias_correction, &bias_correction_words, -1),
     "add the mean error of each layer's output to its bias (default: as --recipe)"},
    {"--rounding", "WORD", OPT_QUANT, WORD(quant.rounding, &rounding_words, -1),
     "round weights to nearest, or by the error of the layer's output (default: as --recipe)"},
    {"--iterations", "N", OPT_QUANT, WHOLE(quant.iterations, 1, 1000000, 0),
     "rounds of --rounding adaround over a layer's weights, at most (default: 20)"},
    {"--weight-bits", "8|7|4", OPT_QUANT, WHOLE(quant.weight_bits, 4, 8, 0),
     "steps of the weights; run as 8 bits (default: 8)"},
    {"--reduce-range", NULL, OPT_QUANT, FLAG(quant.reduce_range),
     "use 7-bit activations, as torch's fbgemm does"},
    {"--per-channel", NULL, OPT_QUANT, FLAG(quant.per_channel),
     "one weight scale for each output channel (default of fbgemm and native)"},
    {"--per-tensor", NULL, OPT_QUANT, FLAG(quant.per_tensor),
     "one weight scale for each layer (default of qnnpack)"},
    {"--relu", NULL, OPT_QUANT, FLAG(quant.relu),
     "use ReLU in place of ReLU6, as torchvision's quantizable models do"},
    {"--exclude", "NODE,...", OPT_QUANT, NAMES(quant.exclude), "keep these nodes in fp32"},
    {"--fallback", "OP,...", OPT_QUANT, NAMES(quant.fallback),
     "keep these ops in fp32, such as strided_pointwise"},
    {"--head", "WORD", OPT_QUANT, WORD(quant.head, &head_words, HEAD_INT8),
     "detectors, segmenters: precision of the last layers of the heads"},
    {"--threads", "N", OPT_RUN, WHOLE(run.threads, 1, 1024, 0),
     "threads of a run (default: physical cores)"},
    {"--isa", "WORD", OPT_RUN, WORD(run.isa, &isa_words, QZ_ISA_AUTO),
     "use no instruction set above this one"},
    {"--no-winograd", NULL, OPT_FLOAT, FLAG(run.no_winograd),
     "compute fp32 3x3 convolutions directly: slower, with less rounding, as calibration does"},
    {"--batch", "N", OPT_BENCH, WHOLE(bench.batch, 1, 4096, 1), "images of a run"},
    {"--warmup", "N", OPT_BENCH, WHOLE(bench.warmup, 0, 1000000, 3),
     "runs before the measured runs"},
    {"--runs", "N", OPT_BENCH, WHOLE(bench.runs, 1, 10000000, 0), "measured runs"},
    {"--seconds", "S", OPT_BENCH, REAL(bench.seconds, 1e-6, 86400, 2),
     "measure for this time when --runs is not given"},
    {"--profile", NULL, OPT_BENCH, FLAG(bench.profile),
     "show time, rates and bytes of each node, and the memory of model and session"},
    {"--table", "DIR", OPT_BENCH, TEXT(out.table),
     "add the rows to DIR's latency table of this CPU"},
    {"--size", "H[xW]", OPT_IMAGES, SIZE(run.size, 1, 65535),
     "the network's input; alone, images are resized to it (default: the model's own)"},
    {"--resize", "N|none", OPT_IMAGES, TEXT(images.resize),
     "resize the shorter side of images to N, or do not resize"},
    {"--crop", "N|HxW", OPT_IMAGES, SIZE(images.crop, 1, 65535),
     "cut out the centre of images, black where the image is smaller"},
    {"--mean", "R,G,B", OPT_IMAGES, TEXT(images.mean), "subtract from pixels of 0 to 1"},
    {"--std", "R,G,B", OPT_IMAGES, TEXT(images.std), "divide pixels of 0 to 1 by, after --mean"},
    {"--interpolation", "WORD", OPT_IMAGES, WORD(images.interpolation, &interpolation_words, -1),
     "of resizing"},
    {"--rgb", NULL, OPT_IMAGES, FLAG(images.rgb), "the network's first channel is red"},
    {"--bgr", NULL, OPT_IMAGES, FLAG(images.bgr), "the network's first channel is blue"},
    {"--no-exif", NULL, OPT_IMAGES, FLAG(images.no_exif),
     "do not turn images by their EXIF orientation"},
    {"--dump-outputs", "DIR", OPT_DUMP, TEXT(out.dump), "write each raw output as DIR/NAME.npy"},
    {"--dump-node", "NAME", OPT_DUMP, TEXTS(out.dump_nodes),
     "also write a node's output, or all; may be given several times"},
    {"--aux", NULL, OPT_DUMP | OPT_EXPORT, FLAG(out.aux),
     "segmenters: also compute the auxiliary head's output"},
    {"--draw", "FILE|DIR", OPT_DETECT, TEXT(out.draw),
     "draw what was found into FILE.png; of several inputs into DIR, as the input's name .png"},
    {"--score", "X", OPT_DETECT | OPT_SETTINGS, REAL(detect.score, 0, 1, -1),
     "run: print, draw and dump detections of this score and above (default: all; YOLO: look for "
     "those above, 0.25)"},
    {"--iou", "X", OPT_SETTINGS, REAL(detect.iou, 0, 1, -1),
     "YOLO: a box goes where a better one overlaps it by more (default: 0.45)"},
    {"--agnostic", NULL, OPT_SETTINGS, FLAG(detect.agnostic),
     "YOLO: boxes of all classes suppress one another"},
    {"--max-det", "N", OPT_SETTINGS, WHOLE(detect.max_det, 1, 1000000, 0),
     "YOLO: most objects of an image (default: 300)"},
    {"--rect", NULL, OPT_SETTINGS, FLAG(detect.rect),
     "YOLO: letterbox to the smallest multiple of 32, not to a square"},
    {"--decode", "WORD", OPT_SETTINGS, WORD(detect.decode, &decode_words, -1),
     "YOLO: what the raw values mean (default: as the weights file's kind)"},
    {"--protocol", "WORD", OPT_DETECT | OPT_EVAL, WORD(detect.protocol, &protocol_words, -1),
     "YOLO: which boxes count: of score 0.001 and the best class of each, or also every class and "
     "IoU 0.6 (default in eval: coco)"},
    {"--coco-results", "FILE", OPT_DETECT, TEXT(out.coco),
     "write what was found as a result file in COCO's format, for eval --detections; images have "
     "the ids of --annotations, or the numbers in their names"},
    {"--set", "NAME=VALUE", OPT_SETTINGS, TEXTS(detect.set),
     "change a detector's setting, such as nms_thresh; may be given several times"},
    {"--rois", "FILE", OPT_DETECT, TEXT(detect.rois),
     "run the second stage on these boxes: an N x 4 .npy, x1 y1 x2 y2 in the resized image"},
    {"--data", "DIR", OPT_EVAL, TEXT(eval.data),
     "images: one folder a class, or the files of --labels or --annotations"},
    {"--labels", "FILE", OPT_EVAL, TEXT(eval.labels),
     "table with the columns file and class_index or label (a name)"},
    {"--annotations", "FILE", OPT_EVAL | OPT_DETECT, TEXT(eval.annotations),
     "detectors: the objects in the images, JSON in COCO's format (default: DATA/labels in "
     "YOLO's)"},
    {"--masks", "DIR", OPT_EVAL, TEXT(eval.masks),
     "segmenters: the classes of each image's pixels, STEM.png of class indices, gray or with a "
     "palette; 255: none"},
    {"--detections", "FILE", OPT_EVAL, TEXT(eval.detections),
     "score this result file in COCO's format, of any program, against --annotations; no MODEL"},
    {"--skip-bad", NULL, OPT_EVAL | OPT_IMAGES, FLAG(eval.skip_bad),
     "leave out images that cannot be read, name them and count them as skipped"},
    {"--per-class", NULL, OPT_EVAL, FLAG(eval.per_class), "also show each class"},
    {"--confusion", "FILE", OPT_EVAL, TEXT(out.confusion),
     "write the confusion matrix as csv, rows true and columns predicted; of int8 with --ptq"},
    {"--changes", "FILE", OPT_EVAL, TEXT(out.changes),
     "write the images whose answer int8 changed, one JSON object a line"},
    {"-o", "FILE", OPT_QUANTIZE | OPT_EXPORT | OPT_CALIBRATE, TEXT(out.output),
     "the file to write: .safetensors, .onnx or .qzstats"},
    {"--report", "FILE", OPT_QUANTIZE, TEXT(out.report),
     "write the SQNR of each node, worst first (.json or text)"},
    {"--precision", "WORD", OPT_EXPORT, WORD(onnx.precision, &precision_words, -1),
     "of weights and arithmetic (default: fp32, and int8 for a saved model)"},
    {"--style", "WORD", OPT_EXPORT, WORD(onnx.style, &style_words, -1),
     "int8 as float ops between DequantizeLinear and QuantizeLinear (default), or as integer ops"},
    {"--opset", "N", OPT_EXPORT,
     WHOLE(onnx.opset, QZ_ONNX_OPSET_MIN, QZ_ONNX_OPSET_MAX, QZ_ONNX_OPSET_DEFAULT),
     "version of the operator set"},
    {"--io", "WORD", OPT_EXPORT, WORD(onnx.io, &io_words, PRECISION_FP32),
     "precision of inputs and outputs of an fp16 model"},
    {"--outputs", "WORD", OPT_EXPORT, WORD(onnx.outputs, &outputs_words, OUTPUTS_OWN),
     "all: make every node's value an output"},
    {"--external-data", NULL, OPT_EXPORT, FLAG(onnx.external_data),
     "write tensors to FILE.data, as is always done above 2 GB"},
    {"--stage", "WORD", OPT_EXPORT, WORD(onnx.stage, &stage_words, -1),
     "detectors of two stages: one stage alone, from what is pooled in boxes"},
    {"--postprocess", NULL, OPT_EXPORT, FLAG(onnx.postprocess),
     "detectors: boxes, scores and labels (and masks) as outputs, not the raw values of the heads"},
    {"--ops", NULL, OPT_LIST, FLAG(list.ops), "list each node: int8 or fp32, and why"},
    {"--fetch", NULL, OPT_ASK, FLAG(fetch.allow),
     "download published weights that are not in the cache"},
    {"--mirror", "URL", OPT_FETCH, TEXT(fetch.mirror),
     "fetch from this folder instead of the publisher (default: $QZOO_MIRROR)"},
    {"--offline", NULL, OPT_FETCH, FLAG(fetch.offline), "use the cache only"},
    {"--catalogue", "FILE", OPT_CATALOGUE, TEXT(fetch.catalogue),
     "more published weights (default: catalogue.json in the cache)"},
    {"--allow-http", NULL, OPT_FETCH, FLAG(fetch.allow_http),
     "also fetch over http, without encryption"},
    {"--ca-file", "FILE", OPT_FETCH, TEXT(fetch.ca_file),
     "certificates to trust (default: the system's)"},
    {"--timeout", "S", OPT_FETCH, WHOLE(fetch.timeout, 1, 3600, 0),
     "give a transfer up after S seconds without a byte (default: 30)"},
    {"--retries", "N", OPT_FETCH, WHOLE(fetch.retries, 0, 100, -1),
     "further tries after a failure that may pass (default: 3)"},
    {"--all", NULL, OPT_WEIGHTS, FLAG(weights.all),
     "fetch: the whole catalogue; prune: every file"},
    {"--f32", NULL, OPT_WEIGHTS, FLAG(weights.f32), "convert: write all real tensors as float32"},
    {"--update-keys", NULL, OPT_WEIGHTS, FLAG(weights.update_keys),
     "show, convert: replace old torchvision keys by today's"},
    {"--json", "FILE|-", OPT_JSON, TEXT(out.json), "write results as JSON; -: to standard output"},
    {"--markdown", "FILE|-", OPT_MARKDOWN, TEXT(out.markdown),
     "write the table as markdown; -: to standard output"},
    {"--quiet", NULL, OPT_COMMON, FLAG(quiet),
     "print results only: no notes, warnings or progress"},
    {"--verbose", NULL, OPT_COMMON, FLAG(verbose), "print the library's log on standard error"},
    {"--help", NULL, OPT_COMMON, EARLY, "print this text"},
    {"--version", NULL, OPT_COMMON, EARLY, "print the version"},
    {"--dynamic", NULL, 0, LATER, ""},
    {"--qat", NULL, 0, LATER, ""},
    {"--html", "FILE", 0, LATER, ""},
    {NULL, NULL, 0, LATER, NULL},
};

_Static_assert(sizeof(tool_option_table) / sizeof(*tool_option_table) <=
                   sizeof(((tool_options *)0)->given),
               "tool_options.given needs more entries");

const tool_option *option_find(const char *name, size_t length)
{
    for (const tool_option *o = tool_option_table; o->name; o++) {
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0)
            return o;
    }
    return NULL;
}

size_t options_model_count(const tool_options *options)
{
    const size_t count = options->args.count;
    return strcmp(options->command, "bench") == 0 ? count : count ? 1 : 0;
}

bool option_given(const tool_options *options, const char *name)
{
    const tool_option *option = option_find(name, strlen(name));
    return option && options->given[option - tool_option_table];
}

void *option_value(tool_options *options, const tool_option *option)
{
    return (char *)options + option->target.offset;
}

void option_list_words(const tool_option *option, const char *separator, char *text, size_t size)
{
    const char *word;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; used < size && (word = option->target.words->word(i)); i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? separator : "", word);
}

void option_help(const tool_option *option, char *text, size_t size)
{
    const option_target *t = &option->target;
    const bool number = t->kind == OPTION_WHOLE || t->kind == OPTION_REAL;
    char words[160], preset[32] = "";
    if (number && t->preset >= t->min)
        snprintf(preset, sizeof(preset), " (default: %g)", t->preset);
    if (t->kind == OPTION_WORD) {
        const char *word = t->words->word((int)t->preset);
        if (word && strcmp(word, "default") != 0)
            snprintf(preset, sizeof(preset), " (default: %s)", word);
        option_list_words(option, ", ", words, sizeof(words));
        snprintf(text, size, "%s: %s%s", option->help, words, preset);
    } else if (number) {
        snprintf(text, size, "%s%s; %.10g to %.10g", option->help, preset, t->min, t->max);
    } else {
        snprintf(text, size, "%s", option->help);
    }
}

void options_free(tool_options *options)
{
    for (const tool_option *o = tool_option_table; o->name; o++) {
        if (o->target.kind == OPTION_TEXTS || o->target.kind == OPTION_NAMES)
            free(((option_list *)option_value(options, o))->items);
    }
    for (size_t i = 0; i < options->owned_count; i++)
        free(options->owned[i]);
    free(options->quant.statistics.items);
    free(options->owned);
    free(options->args.items);
}

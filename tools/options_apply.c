/* SPDX-License-Identifier: MIT */
/*
 * options_apply.c - refuses options that would have no effect. A user who gives an option believes
 * that it does something: a figure made without it would be taken for one made with it.
 */
#include "options_apply.h"

#include "image_names.h"
#include "messages.h"
#include "picture.h"
#include "preprocessing.h"

#include <string.h>

/* ---- what a command does ---- */

static bool is_command(const tool_options *o, const char *name)
{
    return strcmp(o->command, name) == 0;
}

/* How many of the command's models are saved int8 models. */
static size_t file_count(const tool_options *o)
{
    size_t count = 0;
    for (size_t i = 0; i < options_model_count(o); i++)
        count += qz_model_is_file(o->args.items[i]);
    return count;
}

/* Weights from elsewhere may be those of an int8 model: only opening them shows that. */
static bool may_be_int8(const tool_options *o)
{
    return !qz_weights_is_random(o->model.weights) || file_count(o) > 0;
}

static bool exports_int8(const tool_options *o)
{
    return o->onnx.precision == PRECISION_INT8 || (o->onnx.precision < 0 && file_count(o) > 0);
}

static bool quantizes(const tool_options *o)
{
    if (is_command(o, "export"))
        return exports_int8(o);
    if (is_command(o, "calibrate"))
        return false;
    return o->quant.ptq || is_command(o, "quantize") || is_command(o, "list") || may_be_int8(o);
}

/* The graph that `list` shows depends on no values. */
static bool converts_float(const tool_options *o)
{
    return quantizes(o) && !is_command(o, "list");
}

/* Half precision looks for values that are too large for it on the images of --calib. */
static bool calibrates_half(const tool_options *o)
{
    return is_command(o, "export") && o->onnx.precision == PRECISION_FP16;
}

static bool calibrates(const tool_options *o)
{
    return is_command(o, "calibrate") || quantizes(o) || calibrates_half(o);
}

static bool has_both(const tool_options *o)
{
    return o->quant.ptq && file_count(o) == 0;
}

/* Whether the first model has a name, and this task. */
static bool is_task(const tool_options *o, const char *task)
{
    qz_arch_info arch;
    return o->args.count > 0 && !qz_model_is_file(o->args.items[0]) &&
           qz_arch_find(NULL, o->args.items[0], &arch) == QZ_OK && strcmp(arch.task, task) == 0;
}

static bool runs_float(const tool_options *o)
{
    const bool only_files = options_model_count(o) > 0 && file_count(o) == options_model_count(o);
    return !only_files && !(is_command(o, "run") && o->quant.ptq && !is_task(o, "detection"));
}

static bool uses_a_tag(const tool_options *o)
{
    return is_command(o, "weights") || is_command(o, "list") ||
           (!qz_weights_is_random(o->model.weights) && !qz_weights_is_file(o->model.weights));
}

static bool reads_weights(const tool_options *o)
{
    return !qz_weights_is_random(o->model.weights);
}

static bool counts_no_runs(const tool_options *o)
{
    return o->bench.runs == 0;
}

static bool is_not_quiet(const tool_options *o)
{
    return !o->quiet;
}

static bool may_download(const tool_options *o)
{
    return !o->fetch.offline;
}

static bool weights_does(const tool_options *o, const char *what, const char *or_what)
{
    const char *first = o->args.count ? o->args.items[0] : "";
    return strcmp(first, what) == 0 || strcmp(first, or_what) == 0;
}

static bool fetches_or_prunes(const tool_options *o)
{
    return weights_does(o, "fetch", "prune");
}

static bool converts(const tool_options *o)
{
    return weights_does(o, "convert", "convert");
}

static bool reads_keys(const tool_options *o)
{
    return weights_does(o, "convert", "show");
}

static bool has_json(const tool_options *o)
{
    return !is_command(o, "weights") || weights_does(o, "list", "show");
}

static bool takes_key(const tool_options *o)
{
    return is_command(o, "weights") ? reads_keys(o) : reads_weights(o);
}

static bool fetches(const tool_options *o)
{
    return !is_command(o, "weights") || weights_does(o, "fetch", "fetch");
}

/* ---- images ---- */

/* Whether any of the words from `first` on may be an image. */
static bool has_image(const option_list *words, size_t first)
{
    for (size_t i = first; i < words->count; i++) {
        if (!images_is_array(words->items[i]) && strncmp(words->items[i], "synthetic", 9) != 0)
            return true;
    }
    return false;
}

/* Whether images of files are read. */
static bool reads_images(const tool_options *o)
{
    return (o->quant.calib.count && has_image(&o->quant.calib, 0)) || is_command(o, "eval") ||
           (is_command(o, "run") && has_image(&o->args, 1));
}

/* Saved models and ONNX files keep the preprocessing, also where no image is read. */
static bool preprocesses(const tool_options *o)
{
    return reads_images(o) || is_command(o, "quantize") || is_command(o, "export") ||
           is_command(o, "calibrate");
}

/* Synthetic images and measured inputs have that size, too. */
static bool uses_size(const tool_options *o)
{
    return preprocesses(o) || is_command(o, "bench") || is_task(o, "detection") ||
           (o->quant.ptq && !images_is_array(o->quant.calib.count ? o->quant.calib.items[0] : ""));
}

static bool limits(const tool_options *o)
{
    return o->quant.calib.count && strncmp(o->quant.calib.items[0], "synthetic", 9) != 0;
}

/* fp16 looks at images. */
static bool has_images(const tool_options *o)
{
    return !calibrates_half(o) || o->quant.statistics.count == 0;
}

/* Statistics alone are no images, which recipes look at. */
static bool has_images_to_correct(const tool_options *o)
{
    const qz_bias_correction bias = (qz_bias_correction)(o->quant.bias_correction + 1);
    const qz_recipe recipe = (qz_recipe)(o->quant.recipe + 1);
    const qz_rounding rounding = (qz_rounding)(o->quant.rounding + 1);
    const bool corrects = bias == QZ_BIAS_CORRECTION_IMAGES || rounding == QZ_ROUNDING_ADAROUND ||
                          (recipe != QZ_RECIPE_DEFAULT ? recipe >= QZ_RECIPE_FAST
                                                       : o->quant.backend == QZ_BACKEND_NATIVE);
    return !corrects || o->quant.statistics.count == 0 || o->quant.calib.count > 0;
}

static bool rounds(const tool_options *o)
{
    const qz_rounding rounding = (qz_rounding)(o->quant.rounding + 1);
    return rounding != QZ_ROUNDING_DEFAULT ? rounding == QZ_ROUNDING_ADAROUND
                                           : (qz_recipe)(o->quant.recipe + 1) == QZ_RECIPE_BEST;
}

static bool has_known_bits(const tool_options *o)
{
    return o->quant.weight_bits == 8 || o->quant.weight_bits == 7 || o->quant.weight_bits == 4;
}

static bool has_no_channels(const tool_options *o)
{
    return !o->quant.per_channel;
}

static bool is_equalization(const tool_options *o)
{
    qz_equalization kind = QZ_EQUALIZATION_DEFAULT;
    double alpha;
    return !o->quant.equalize || (qz_equalization_parse_word(o->quant.equalize, &kind, &alpha) &&
                                  kind != QZ_EQUALIZATION_DEFAULT);
}

static bool can_equalize(const tool_options *o)
{
    return !o->quant.equalize || strcmp(o->quant.equalize, "none") == 0 ||
           (o->quant.backend == QZ_BACKEND_NATIVE && o->quant.observer != QZ_OBSERVER_MOVING &&
            o->quant.observer != QZ_OBSERVER_HISTOGRAM);
}

/* ---- evaluation ---- */

static bool has_annotations(const tool_options *o)
{
    return o->eval.annotations != NULL;
}

static bool names_images(const tool_options *o)
{
    return !is_command(o, "run") || o->out.coco;
}

static bool counts_classes(const tool_options *o)
{
    return !has_annotations(o) && !o->eval.masks;
}

static bool has_no_masks(const tool_options *o)
{
    return !o->eval.masks;
}

/* ---- the rules ---- */

typedef struct rule {
    const char *option;
    bool (*applies)(const tool_options *options);
    const char *needs;
} rule;

static const char needs_int8[] = "goes with int8 only; give --ptq (export: --precision int8)";
static const char needs_tag[] = "goes with --weights TAG only: nothing else is fetched";
static const char needs_weights[] = "goes with --weights FILE or TAG only";
static const char needs_images[] =
    "goes with images only: .npy arrays and synthetic images are used as they are";
static const char needs_classes[] = "goes with classifiers only, not with --annotations or --masks";
static const char needs_online[] = "does not go with --offline";

static const rule rules[] = {
    {"--backend", quantizes, needs_int8},
    {"--calib", calibrates, needs_int8},
    {"--calib", has_images_to_correct,
     "the recipe needs images, which statistics do not hold; name images beside them, or give "
     "--recipe none"},
    {"--calib", has_images, "statistics do not go with --precision fp16; name images"},
    {"--calib-limit", limits, "goes with --calib IMAGES only"},
    {"--observer", quantizes, needs_int8},
    {"--recipe", converts_float, needs_int8},
    {"--bias-correction", converts_float, needs_int8},
    {"--equalize", converts_float, needs_int8},
    {"--equalize", is_equalization, "none, auto or a number from 0 to 1 is needed"},
    {"--equalize", can_equalize,
     "goes with --backend native, and with no --observer that looks at the order of images"},
    {"--reduce-range", quantizes, needs_int8},
    {"--rounding", converts_float, needs_int8},
    {"--iterations", converts_float, needs_int8},
    {"--iterations", rounds, "goes with --rounding adaround only"},
    {"--weight-bits", converts_float, needs_int8},
    {"--weight-bits", has_known_bits, "is 8, 7 or 4"},
    {"--per-channel", quantizes, needs_int8},
    {"--per-tensor", quantizes, needs_int8},
    {"--per-tensor", has_no_channels, "contradicts --per-channel; give one of them"},
    {"--exclude", quantizes, needs_int8},
    {"--fallback", quantizes, needs_int8},
    {"--head", quantizes, needs_int8},
    {"--size", uses_size, needs_images},
    {"--resize", preprocesses, needs_images},
    {"--crop", preprocesses, needs_images},
    {"--mean", preprocesses, needs_images},
    {"--std", preprocesses, needs_images},
    {"--interpolation", preprocesses, needs_images},
    {"--rgb", preprocesses, needs_images},
    {"--bgr", preprocesses, needs_images},
    {"--no-exif", reads_images, needs_images},
    {"--no-winograd", runs_float, "goes with fp32 only, and this command runs int8 alone"},
    {"--seconds", counts_no_runs, "does not go with --runs, which says how often to measure"},
    {"--verbose", is_not_quiet, "does not go with --quiet"},
    {"--allow-missing", reads_weights,
     "goes with --weights FILE or TAG only: random lacks nothing"},
    {"--allow-unexpected", reads_weights, needs_weights},
    {"--prefix", reads_weights, needs_weights},
    {"--map", reads_weights, needs_weights},
    {"--head-key", reads_weights, needs_weights},
    {"--key", takes_key, "goes with --weights FILE, weights show and weights convert only"},
    {"--fetch", uses_a_tag, needs_tag},
    {"--mirror", uses_a_tag, needs_tag},
    {"--offline", uses_a_tag, needs_tag},
    {"--catalogue", uses_a_tag, needs_tag},
    {"--allow-http", uses_a_tag, needs_tag},
    {"--ca-file", uses_a_tag, needs_tag},
    {"--timeout", uses_a_tag, needs_tag},
    {"--retries", uses_a_tag, needs_tag},
    {"--fetch", may_download, needs_online},
    {"--allow-http", may_download, needs_online},
    {"--mirror", may_download, needs_online},
    {"--mirror", fetches, "goes with weights fetch only"},
    {"--allow-http", fetches, "goes with weights fetch only"},
    {"--ca-file", fetches, "goes with weights fetch only"},
    {"--timeout", fetches, "goes with weights fetch only"},
    {"--retries", fetches, "goes with weights fetch only"},
    {"--offline", fetches, "goes with weights fetch only"},
    {"--json", has_json, "goes with weights list and weights show only"},
    {"--all", fetches_or_prunes, "goes with weights fetch and weights prune only"},
    {"--detections", has_annotations, "needs --annotations FILE, which has the objects"},
    {"--annotations", names_images, "goes with --coco-results FILE"},
    {"--annotations", has_no_masks, "does not go with --masks"},
    {"--labels", counts_classes, needs_classes},
    {"--confusion", counts_classes, needs_classes},
    {"--changes", counts_classes, needs_classes},
    {"--changes", has_both, "compares fp32 and int8; give a model's name and --ptq"},
    {"--f32", converts, "goes with weights convert only"},
    {"--update-keys", reads_keys, "goes with weights show and weights convert only"},
};

static const char own_images[] =
    "does not go with detectors, which resize and normalise images by themselves";

static const char yolo_only[] = "goes with YOLO only";

/* Options that models of some tasks have no use for. */
static const struct task_rule {
    const char *option, *tasks; /* separated by spaces */
    const char *needs;
} task_rules[] = {
    {"--score", "detection", "goes with detectors only"},
    {"--set", "detection", "goes with detectors only"},
    {"--coco-results", "detection", "goes with detectors only"},
    {"--iou", "detection", yolo_only},
    {"--agnostic", "detection", yolo_only},
    {"--max-det", "detection", yolo_only},
    {"--rect", "detection", yolo_only},
    {"--decode", "detection", yolo_only},
    {"--protocol", "detection", yolo_only},
    {"--rois", "detection", "goes with detectors of two stages only, such as Faster R-CNN"},
    {"--aux", "segmentation", "goes with segmenters only"},
    {"--postprocess", "detection", "goes with detectors only"},
    {"--stage", "detection", "goes with detectors of two stages only, such as Faster R-CNN"},
    {"--draw", "detection segmentation", "goes with detectors and segmenters only"},
    {"--head", "detection segmentation", "goes with detectors and segmenters only"},
    {"--resize", "classification segmentation", own_images},
    {"--mean", "classification segmentation", own_images},
    {"--std", "classification segmentation", own_images},
    {"--rgb", "classification segmentation", own_images},
    {"--bgr", "classification segmentation", own_images},
    {"--interpolation", "classification segmentation", own_images},
    {"--crop", "classification segmentation", own_images},
};

int options_apply_task(const tool_options *o, const char *task)
{
    for (size_t i = 0; i < sizeof(task_rules) / sizeof(*task_rules); i++) {
        if (option_given(o, task_rules[i].option) && !strstr(task_rules[i].tasks, task))
            return tool_fail(EXIT_USAGE, "%s: %s", task_rules[i].option, task_rules[i].needs);
    }
    return EXIT_DONE;
}

/* A saved model has been built, loaded and quantized already. */
static int check_file(const tool_options *o, const char *file)
{
    for (const tool_option *option = tool_option_table; option->name; option++) {
        if (!o->given[option - tool_option_table] || !(option->group & (OPT_MODEL | OPT_QUANT)) ||
            strcmp(option->name, "--backend") == 0) /* refused where it is another backend */
            continue;
        return tool_fail(EXIT_USAGE,
                         "%s: does not go with %s: a saved int8 model has its own weights, "
                         "options and calibration",
                         option->name, file);
    }
    return EXIT_DONE;
}

int options_apply_float(const tool_options *o)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        if (rules[i].needs == needs_int8 && option_given(o, rules[i].option) && !calibrates_half(o))
            return tool_fail(EXIT_USAGE, "%s: %s", rules[i].option, needs_int8);
    }
    return EXIT_DONE;
}

/* The plain list shows what an architecture is, not what options would make of it. */
static int check_list(const tool_options *o)
{
    for (const tool_option *option = tool_option_table; option->name; option++) {
        if (o->given[option - tool_option_table] && (option->group & (OPT_MODEL | OPT_QUANT)))
            return tool_fail(EXIT_USAGE, "%s: goes with list MODEL --ops only", option->name);
    }
    return EXIT_DONE;
}

/* A result file is scored without a model. */
static int check_detections(const tool_options *o)
{
    static const char *const used[] = {"--detections", "--annotations", "--per-class", "--json",
                                       "--markdown",   "--quiet",       "--verbose"};
    const size_t count = sizeof(used) / sizeof(*used);
    for (const tool_option *option = tool_option_table; option->name; option++) {
        size_t i = 0;
        while (i < count && strcmp(used[i], option->name) != 0)
            i++;
        if (o->given[option - tool_option_table] && i == count)
            return tool_fail(EXIT_USAGE, "%s: does not go with --detections: no model is run",
                             option->name);
    }
    if (o->args.count)
        return tool_fail(EXIT_USAGE, "%s: --detections scores a file, and takes no model",
                         o->args.items[0]);
    return EXIT_DONE;
}

int options_apply(const tool_options *o)
{
    int status = EXIT_DONE;
    if (o->eval.detections)
        status = check_detections(o);
    if (status == EXIT_DONE && is_command(o, "list") && !o->list.ops && file_count(o) == 0)
        status = check_list(o);
    for (size_t i = 0; i < options_model_count(o) && status == EXIT_DONE; i++) {
        qz_arch_info arch;
        const char *name = o->args.items[i];
        if (is_command(o, "weights"))
            break;
        if (!qz_model_is_file(name)) /* an unknown name is refused by checks.c */
            status = qz_arch_find(NULL, name, &arch) == QZ_OK ? options_apply_task(o, arch.task)
                                                              : EXIT_DONE;
        else if (!is_command(o, "quantize"))
            status = check_file(o, name);
    }
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules) && status == EXIT_DONE; i++) {
        if (option_given(o, rules[i].option) && !rules[i].applies(o))
            status = tool_fail(EXIT_USAGE, "%s: %s", rules[i].option, rules[i].needs);
    }
    if (status == EXIT_DONE)
        status = picture_check_name(o);
    return status == EXIT_DONE ? preprocessing_check(o) : status;
}

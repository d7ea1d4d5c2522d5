/* SPDX-License-Identifier: MIT */
/* settings_yolo.c - YOLO's own options as settings of the model, and the classes to look for. */
#include "settings_yolo.h"

#include "messages.h"

#include <stdlib.h>
#include <string.h>

enum { PROTOCOL_COCO, PROTOCOL_ULTRALYTICS };

/* Scores from here on count for average precision, which looks at all of them in their order. */
#define EVAL_SCORE 0.001

bool settings_is_yolo(qz_context *ctx, const char *model)
{
    qz_detection_options settings;
    return qz_detection_options_default(ctx, model, &settings) == QZ_OK &&
           qz_detection_options_set(ctx, model, &settings, "agnostic", 0) == QZ_OK;
}

static bool is_eval(const tool_options *o)
{
    return strcmp(o->command, "eval") == 0;
}

/* ---- settings ---- */

/* Options that are settings of another name. */
static const struct {
    const char *option, *setting;
} same[] = {
    {"--score", "score_thresh"}, {"--iou", "nms_thresh"}, {"--max-det", "detections_per_img"},
    {"--agnostic", "agnostic"},  {"--rect", "rect"},      {"--decode", "decode"},
};

bool settings_yolo_given(const tool_options *o)
{
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        if (option_given(o, same[i].option))
            return true;
    return option_given(o, "--protocol") || is_eval(o);
}

/* --score of `run` is every detector's. */
static int refuse(const tool_options *o, const char *model)
{
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        const char *option = same[i].option;
        if (option_given(o, option) &&
            (strcmp(option, "--score") != 0 || strcmp(o->command, "run") != 0))
            return tool_fail(EXIT_USAGE, "%s: goes with YOLO only, and %s is none%s", option, model,
                             strcmp(option, "--score") == 0 ? "; use --set" : "");
    }
    if (option_given(o, "--protocol"))
        return tool_fail(EXIT_USAGE, "--protocol: goes with YOLO only, and %s is none", model);
    return EXIT_DONE;
}

/* An option and --set of the same setting. */
static int check_twice(const tool_options *o)
{
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        const size_t length = strlen(same[i].setting);
        for (size_t k = 0; k < o->detect.set.count && option_given(o, same[i].option); k++) {
            const char *set = o->detect.set.items[k];
            if (strncmp(set, same[i].setting, length) == 0 && set[length] == '=')
                return tool_fail(EXIT_USAGE, "--set %s: %s sets %s already; leave one out", set,
                                 same[i].option, same[i].setting);
        }
    }
    return EXIT_DONE;
}

/* Which boxes are scored: the best class of a box, or every class above the threshold. */
static void apply_protocol(const tool_options *o, qz_detection_options *settings)
{
    if (!option_given(o, "--protocol") && !is_eval(o))
        return;
    settings->score_thresh = EVAL_SCORE;
    if (o->detect.protocol != PROTOCOL_ULTRALYTICS)
        return;
    settings->nms_thresh = 0.6;
    settings->multi_label = 1;
    settings->agnostic = 0;
    settings->detections_per_img = 300;
    settings->topk_candidates = 30000;
}

int settings_yolo(const tool_options *o, qz_context *ctx, const char *model,
                  qz_detection_options *settings)
{
    if (!settings_is_yolo(ctx, model))
        return refuse(o, model);
    const int status = check_twice(o);
    if (status)
        return status;
    apply_protocol(o, settings);
    if (o->detect.score >= 0.0)
        settings->score_thresh = o->detect.score;
    if (o->detect.iou >= 0.0)
        settings->nms_thresh = o->detect.iou;
    if (o->detect.max_det > 0)
        settings->detections_per_img = (int32_t)o->detect.max_det;
    if (o->detect.agnostic)
        settings->agnostic = 1;
    if (o->detect.rect && strcmp(o->command, "export") == 0)
        return tool_fail(EXIT_USAGE, "--rect: an ONNX file has one size; give it as --size HxW");
    if (o->detect.rect)
        settings->rect = 1;
    if (o->detect.decode >= 0)
        settings->decode = o->detect.decode;
    if (settings->fixed_h % 32 || settings->fixed_w % 32)
        return tool_fail(EXIT_USAGE, "--size %dx%d: both sides must be multiples of 32 for %s",
                         (int)settings->fixed_h, (int)settings->fixed_w, model);
    return EXIT_DONE;
}

/* ---- classes ---- */

bool settings_has_class_numbers(const tool_options *o)
{
    const char *text = o->model.classes;
    return text && (strcmp(o->command, "run") == 0 || strcmp(o->command, "export") == 0) && *text &&
           strspn(text, "0123456789,") == strlen(text);
}

int settings_class_numbers(const tool_options *o, int32_t **classes, size_t *count)
{
    const char *text = o->model.classes;
    *count = 0;
    *classes = malloc((strlen(text) + 1) * sizeof(**classes));
    if (!*classes)
        return tool_fail_memory();
    for (const char *at = text;; at++) {
        char *end;
        const long number = strtol(at, &end, 10);
        if (end == at || number > INT32_MAX || (*end && *end != ','))
            return tool_fail(EXIT_USAGE, "--classes %s: numbers of classes are needed, as 0,3",
                             text);
        (*classes)[(*count)++] = (int32_t)number;
        at = end;
        if (!*at)
            return EXIT_DONE;
    }
}

int settings_classes(const tool_options *o, qz_context *ctx, qz_session *session)
{
    int32_t *classes = NULL;
    size_t count = 0;
    if (!settings_has_class_numbers(o))
        return EXIT_DONE;
    int status = settings_class_numbers(o, &classes, &count);
    if (status == EXIT_DONE) {
        const qz_status st = qz_session_set_classes(session, classes, count);
        if (st == QZ_ERR_UNSUPPORTED)
            status = tool_fail(EXIT_USAGE,
                               "--classes %s: numbers of classes go with YOLO only; others take a "
                               "file or folder of names",
                               o->model.classes);
        else if (st == QZ_ERR_ARGUMENT)
            status = tool_fail(EXIT_USAGE, "--classes: %s", qz_context_message(ctx));
        else if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
    }
    free(classes);
    return status;
}

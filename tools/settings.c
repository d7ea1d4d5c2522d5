/* SPDX-License-Identifier: MIT */
/* settings.c - changes a detector's settings by --set and --size; reads the boxes of --rois. */
#include "settings.h"

#include "messages.h"
#include "settings_yolo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The option and the library's message. */
static int fail_setting(qz_context *ctx, const char *option, const char *value)
{
    char message[1024];
    snprintf(message, sizeof(message), "%s", qz_context_message(ctx));
    return tool_fail(EXIT_USAGE, "%s %s: %s", option, value, message);
}

/* NAME=VALUE */
static int set_one(qz_context *ctx, const char *model, const char *text,
                   qz_detection_options *settings)
{
    char name[64], *end = NULL;
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name))
        return tool_fail(EXIT_USAGE, "--set %s: NAME=VALUE is needed, such as score_thresh=0.3",
                         text);
    const char *number = equals + 1;
    snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    const double value = strtod(number, &end);
    /* strtod also takes spaces, nan, inf and hexadecimal digits */
    if (!*number || *end || strspn(number, "-+.eE0123456789") != strlen(number) || !isfinite(value))
        return tool_fail(EXIT_USAGE, "--set %s: the value of %s must be a number", text, name);
    if (qz_detection_options_set(ctx, model, settings, name, value) != QZ_OK)
        return fail_setting(ctx, "--set", text);
    return EXIT_DONE;
}

/* --size is the input of SSD and YOLO; of others both sides' bounds. */
static int set_size(const tool_options *o, qz_context *ctx, const char *model,
                    qz_detection_options *settings)
{
    const long h = o->run.size.height, w = o->run.size.width;
    char text[32];
    if (!h)
        return EXIT_DONE;
    if (settings->fixed_h > 0) {
        settings->fixed_h = (int32_t)h;
        settings->fixed_w = (int32_t)w;
        return EXIT_DONE;
    }
    for (size_t i = 0; i < o->detect.set.count; i++) {
        const char *set = o->detect.set.items[i];
        if (strncmp(set, "min_size=", 9) == 0 || strncmp(set, "max_size=", 9) == 0)
            return tool_fail(EXIT_USAGE,
                             "--set %s: --size sets min_size and max_size already; leave one out",
                             set);
    }
    snprintf(text, sizeof(text), "%ldx%ld", h, w);
    if (qz_detection_options_set(ctx, model, settings, "min_size", (double)(h < w ? h : w)) !=
            QZ_OK ||
        qz_detection_options_set(ctx, model, settings, "max_size", (double)(h < w ? w : h)) !=
            QZ_OK)
        return fail_setting(ctx, "--size", text);
    return EXIT_DONE;
}

static int change(const tool_options *o, qz_context *ctx, const char *model,
                  qz_detection_options *settings)
{
    int status = set_size(o, ctx, model, settings);
    if (status == EXIT_DONE)
        status = settings_yolo(o, ctx, model, settings);
    for (size_t i = 0; i < o->detect.set.count && status == EXIT_DONE; i++)
        status = set_one(ctx, model, o->detect.set.items[i], settings);
    return status;
}

/* ---- boxes ---- */

static int check_rois(const char *path, const qz_tensor *boxes)
{
    if (boxes->ndim != 2 || boxes->dims[0] < 1 || boxes->dims[1] != 4)
        return tool_fail(EXIT_INPUT, "--rois %s: an array of N x 4 is needed, N of 1 or more",
                         path);
    const float *at = boxes->data;
    for (int64_t i = 0; i < boxes->dims[0]; i++, at += 4) {
        if (!isfinite(at[0]) || !isfinite(at[1]) || !isfinite(at[2]) || !isfinite(at[3]))
            return tool_fail(EXIT_INPUT, "--rois %s: box %lld has NaN or infinity", path,
                             (long long)i);
        if (at[0] > at[2] || at[1] > at[3])
            return tool_fail(EXIT_INPUT,
                             "--rois %s: box %lld is %g %g %g %g: a box is x1 y1 x2 y2, x1 at most "
                             "x2 and y1 at most y2",
                             path, (long long)i, (double)at[0], (double)at[1], (double)at[2],
                             (double)at[3]);
    }
    return EXIT_DONE;
}

/* Reads the boxes; the caller frees them (qz_npy_free), after a failure too. */
static int load_rois(const char *path, qz_context *ctx, qz_tensor *boxes)
{
    const qz_status st = qz_npy_load(ctx, path, boxes);
    return st == QZ_OK ? check_rois(path, boxes) : tool_fail_status(ctx, st);
}

/* Only detectors of two stages have settings of the second stage. */
static bool has_two_stages(qz_context *ctx, const char *model, const qz_detection_options *settings)
{
    qz_detection_options copy = *settings;
    return qz_detection_options_set(ctx, model, &copy, "box_nms_thresh", 0.5) == QZ_OK;
}

static int fail_one_stage(const char *model)
{
    return tool_fail(EXIT_USAGE,
                     "--rois: %s has one stage; detectors of two stages are Faster R-CNN and "
                     "Mask R-CNN",
                     model);
}

int settings_rois(const tool_options *o, qz_context *ctx, qz_session *session)
{
    qz_tensor boxes = {0};
    if (!o->detect.rois)
        return EXIT_DONE;
    int status = load_rois(o->detect.rois, ctx, &boxes);
    if (status == EXIT_DONE) {
        const qz_status st = qz_session_set_rois(session, boxes.data, (size_t)boxes.dims[0]);
        if (st == QZ_ERR_UNSUPPORTED) /* of a model file: of names it is known before */
            status = fail_one_stage("the model");
        else if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
    }
    qz_npy_free(ctx, &boxes);
    return status;
}

/* ---- before the work, and at work ---- */

int settings_check(const tool_options *o, qz_context *ctx, const char *name)
{
    qz_detection_options settings = {.size = sizeof(settings)};
    if (qz_detection_options_default(ctx, name, &settings) != QZ_OK)
        return EXIT_DONE;
    if (o->detect.rois && !has_two_stages(ctx, name, &settings))
        return fail_one_stage(name);
    int status = change(o, ctx, name, &settings);
    if (status == EXIT_DONE && o->detect.rois) {
        qz_tensor boxes = {0};
        status = load_rois(o->detect.rois, ctx, &boxes);
        qz_npy_free(ctx, &boxes);
    }
    return status;
}

int settings_apply(const tool_options *o, qz_context *ctx, qz_model *model)
{
    qz_detection_options settings = {.size = sizeof(settings)};
    qz_model_info info;
    if (!o->detect.set.count && !o->run.size.height && !settings_yolo_given(o))
        return EXIT_DONE;
    qz_model_get_info(model, &info);
    if (strcmp(info.task, "detection") != 0)
        return EXIT_DONE;
    qz_status st = qz_model_get_detection_options(model, &settings);
    int status = st == QZ_OK ? change(o, ctx, info.name, &settings) : tool_fail_status(ctx, st);
    if (status == EXIT_DONE && (st = qz_model_set_detection_options(model, &settings)) != QZ_OK)
        status = st == QZ_ERR_ARGUMENT ? tool_fail(EXIT_USAGE, "%s", qz_context_message(ctx))
                                       : tool_fail_status(ctx, st);
    return status;
}

/* SPDX-License-Identifier: MIT */
/*
 * preprocessing.c - how images are prepared. The options change the model's way one by one: what
 * no option names stays. --size alone is Resize((H, W)) without a crop; beside --resize or --crop
 * it only says the network's input, which is the crop.
 */
#include "preprocessing.h"

#include "messages.h"
#include "options_parse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_MAX 65535
/* A mean of 0 to 1; a std above 0. Larger values are those of bytes, a frequent mistake. */
#define MEAN_MAX 1.0
#define STD_MAX 10.0

/* Three numbers between commas. */
static int parse_three(const char *option, const char *text, double max, bool zero, float out[3])
{
    const char *at = text;
    for (int c = 0; c < 3; c++) {
        char *end;
        const size_t length = strcspn(at, ",");
        const double value = strtod(at, &end);
        /* strtod also takes spaces, nan, inf and hexadecimal digits */
        const bool number = length > 0 && end == at + length && strchr("+-.0123456789", *at) &&
                            !memchr(at, 'x', length) && !memchr(at, 'X', length);
        if (!number || (at[length] == ',') != (c < 2))
            return tool_fail(EXIT_USAGE,
                             "%s %s: three numbers R,G,B are needed, such as 0.5,0.5,0.5", option,
                             text);
        out[c] = (float)value;
        if (!(value <= max) || value < 0.0 || (!zero && !(out[c] > 0.0f)))
            return tool_fail(EXIT_USAGE,
                             "%s %s: numbers %s 0 to %g are needed, for pixels of 0 to 1 (divide "
                             "those for bytes by 255)",
                             option, text, zero ? "from" : "above", max);
        at += length + 1;
    }
    return EXIT_DONE;
}

static int parse_resize(const char *text, long *out)
{
    if (strcmp(text, "none") == 0)
        *out = 0;
    else if (!parse_whole(text, 1, SIDE_MAX, out))
        return tool_fail(EXIT_USAGE, "--resize %s: a whole number from 1 to %d, or none, is needed",
                         text, SIDE_MAX);
    return EXIT_DONE;
}

/* Changes *p by the options. */
static int change(const tool_options *o, qz_preprocess *p)
{
    const option_size size = o->run.size, crop = o->images.crop;
    int status = EXIT_DONE;
    if (size.height) {
        p->crop_h = (int32_t)size.height;
        p->crop_w = (int32_t)size.width;
    }
    if (crop.height) {
        p->crop_h = (int32_t)crop.height;
        p->crop_w = (int32_t)crop.width;
    }
    if (o->images.resize) {
        long resize;
        status = parse_resize(o->images.resize, &resize);
        if (status)
            return status;
        p->resize = (int32_t)resize;
        p->resize_h = p->resize_w = 0;
    } else if (size.height && !crop.height) {
        p->resize = 0;
        p->resize_h = p->crop_h;
        p->resize_w = p->crop_w;
    }
    if (o->images.mean)
        status = parse_three("--mean", o->images.mean, MEAN_MAX, true, p->mean);
    if (status == EXIT_DONE && o->images.std)
        status = parse_three("--std", o->images.std, STD_MAX, false, p->std);
    if (o->images.interpolation >= 0)
        p->interpolation = (qz_interpolation)o->images.interpolation;
    if (o->images.rgb || o->images.bgr)
        p->bgr = o->images.bgr;
    return status;
}

/* The option that changes the size of images, for messages. */
static const char *size_option(const tool_options *o)
{
    return o->images.crop.height ? "--crop" : o->run.size.height ? "--size" : "--resize";
}

static bool given(const tool_options *o)
{
    return o->run.size.height || o->images.crop.height || o->images.resize || o->images.mean ||
           o->images.std || o->images.interpolation >= 0 || o->images.rgb || o->images.bgr;
}

int preprocessing_check(const tool_options *o)
{
    const option_size size = o->run.size, crop = o->images.crop;
    qz_preprocess unused = {0};
    if (o->images.rgb && o->images.bgr)
        return tool_fail(EXIT_USAGE, "--bgr: does not go with --rgb");
    if (size.height && crop.height && (size.height != crop.height || size.width != crop.width))
        return tool_fail(EXIT_USAGE,
                         "--crop %ldx%ld: does not go with --size %ldx%ld: the crop is what the "
                         "network takes",
                         crop.height, crop.width, size.height, size.width);
    if (o->images.interpolation >= 0 && o->images.resize && strcmp(o->images.resize, "none") == 0)
        return tool_fail(EXIT_USAGE, "--interpolation: does not go with --resize none");
    return change(o, &unused);
}

int preprocessing_apply(const tool_options *o, qz_context *ctx, qz_model *model, const char *file)
{
    qz_model_info info;
    char text[512];
    if (!given(o))
        return EXIT_DONE;
    qz_model_get_info(model, &info);
    if (strcmp(info.task, "detection") == 0) /* --size is a setting (settings.c) */
        return EXIT_DONE;
    qz_preprocess preprocess = info.preprocess;
    int status = change(o, &preprocess);
    if (status)
        return status;
    if (o->images.interpolation >= 0 && preprocess.resize == 0 && preprocess.resize_h == 0)
        return tool_fail(
            EXIT_USAGE,
            "--interpolation: the preprocessing of %s resizes no image; give --resize N",
            info.name);
    if (qz_model_set_preprocess(model, &preprocess) != QZ_OK) {
        snprintf(text, sizeof(text), "%s", qz_context_message(ctx));
        return tool_fail(EXIT_USAGE, "%s: %s", size_option(o), text);
    }
    if (file) {
        preprocessing_text(&preprocess, text, sizeof(text));
        tool_note(o->quiet, "qzoo: %s: the options change its preprocessing to: %s", file, text);
    }
    return EXIT_DONE;
}

void preprocessing_note(const tool_options *o, const qz_model_info *info)
{
    char text[512], which[32];
    const bool size = o->run.size.height || o->images.crop.height || o->images.resize;
    const bool mean = o->images.mean, std = o->images.std;
    /* a tag brings its preprocessing; a file has none, so that what no option gives is assumed */
    if (!*info->weights_file || !qz_weights_is_file(o->model.weights) || (size && mean && std))
        return;
    preprocessing_text(&info->preprocess, text, sizeof(text));
    snprintf(which, sizeof(which), "%s%s%s%s%s", size ? "" : "size", !size && !mean ? ", " : "",
             mean ? "" : "mean", (!size || !mean) && !std ? ", " : "", std ? "" : "std");
    tool_note(o->quiet,
              "qzoo: %s: assumed %s: %s; --size, --resize, --crop, --mean, --std, "
              "--interpolation, --bgr change it",
              info->weights_file, given(o) ? which : "preprocessing", text);
}

/* "256", "64x64" or "none". */
static void resize_text(const qz_preprocess *p, char text[32])
{
    if (p->resize_h > 0)
        snprintf(text, 32, "%dx%d", p->resize_h, p->resize_w);
    else if (p->resize > 0)
        snprintf(text, 32, "%d", p->resize);
    else
        snprintf(text, 32, "none");
}

/* "224x224" or "none". */
static void crop_text(const qz_preprocess *p, char text[32])
{
    if (p->crop_h > 0)
        snprintf(text, 32, "%dx%d", p->crop_h, p->crop_w);
    else
        snprintf(text, 32, "none");
}

void preprocessing_text(const qz_preprocess *p, char *text, size_t size)
{
    char resize[32], crop[32];
    resize_text(p, resize);
    crop_text(p, crop);
    snprintf(text, size, "resize %s, crop %s, %s, mean %.6g,%.6g,%.6g, std %.6g,%.6g,%.6g%s",
             resize, crop, qz_interpolation_name(p->interpolation), (double)p->mean[0],
             (double)p->mean[1], (double)p->mean[2], (double)p->std[0], (double)p->std[1],
             (double)p->std[2], p->bgr ? ", bgr" : "");
}

/* A float's shortest number, not the double's: 0.485 and not 0.485000014…. */
static json_t *json_float(float value)
{
    char text[32];
    snprintf(text, sizeof(text), "%.6g", (double)value);
    if (strtof(text, NULL) != value)
        snprintf(text, sizeof(text), "%.9g", (double)value);
    return json_number(strtod(text, NULL));
}

json_t *preprocessing_json(const qz_preprocess *p)
{
    char resize[32], crop[32];
    json_t *mean = json_array(), *std = json_array();
    resize_text(p, resize);
    crop_text(p, crop);
    for (int c = 0; c < 3; c++) {
        json_add(mean, json_float(p->mean[c]));
        json_add(std, json_float(p->std[c]));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "resize", resize, "crop", crop,
                     "interpolation", qz_interpolation_name(p->interpolation), "channels",
                     p->bgr ? "bgr" : "rgb", "mean", mean, "std", std);
}

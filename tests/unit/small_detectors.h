/* SPDX-License-Identifier: MIT */
/*
 * small_detectors.h - detectors of the registry that run in milliseconds: random weights, few
 * classes, small images, few proposals; and all that a session found, as bytes.
 */
#ifndef QZOO_TESTS_UNIT_SMALL_DETECTORS_H
#define QZOO_TESTS_UNIT_SMALL_DETECTORS_H

#include "assert_ok.h"
#include "zoo/qzoo_detection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SSDLITE "ssdlite320_mobilenet_v3_large"
#define FASTER_RCNN "fasterrcnn_mobilenet_v3_large_320_fpn"
#define MASK_RCNN "maskrcnn_resnet50_fpn"

/* ---- models ---- */

/* Settings under which random weights find a few objects in a small image. */
static inline qz_status small_detector_options(qz_context *ctx, const char *name,
                                               qz_detection_options *o)
{
    const qz_status st = qz_detection_options_default(ctx, name, o);
    if (st != QZ_OK)
        return st;
    if (strcmp(name, SSDLITE) == 0) {
        o->fixed_h = 96;
        o->fixed_w = 128;
        o->score_thresh = 0.1;
        o->detections_per_img = 12;
        o->topk_candidates = 40;
        return QZ_OK;
    }
    o->min_size = 64;
    o->max_size = 96;
    o->rpn_pre_nms_top_n_test = 16;
    o->rpn_post_nms_top_n_test = 6;
    o->rpn_score_thresh = 0.0;
    o->box_score_thresh = 0.01;
    o->box_detections_per_img = 3;
    return QZ_OK;
}

/* Prepared when `quantize`; *model is the caller's, also after a failure. */
static inline qz_status small_detector_create(qz_context *ctx, const char *name, bool quantize,
                                              qz_model **model)
{
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    qz_detection_options d;
    o.quantize = quantize;
    o.num_classes = 4;
    o.threads = 1;
    qz_status st = qz_model_create(ctx, name, &o, model);
    if (st == QZ_OK)
        st = small_detector_options(ctx, name, &d);
    return st == QZ_OK ? qz_model_set_detection_options(*model, &d) : st;
}

static inline qz_model *small_detector(qz_context *ctx, const char *name, bool int8)
{
    qz_model *model = NULL;
    ASSERT_OK(ctx, small_detector_create(ctx, name, int8, &model));
    if (int8) {
        ASSERT_OK(ctx, qz_model_calibrate_synthetic(model, 2));
        ASSERT_OK(ctx, qz_model_convert(model));
    }
    return model;
}

/* ---- images ---- */

/* Coarse blocks and noise; the caller frees .data. */
static inline qz_pixels block_image(uint32_t seed, int32_t width, int32_t height)
{
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    assert_non_null(rgb);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            for (int32_t c = 0; c < 3; c++) {
                const uint32_t block = (uint32_t)(y / 12 * 31 + x / 12 * 7 + c) + seed * 97;
                const uint32_t pixel = (uint32_t)((y * width + x) * 3 + c);
                rgb[pixel] = (uint8_t)((block * 2654435761u >> 25) + (pixel * 2246822519u >> 27) +
                                       16 * (seed % 5));
            }
    return (qz_pixels){.format = QZ_PIXELS_RGB, .width = width, .height = height, .data = rgb};
}

static inline void free_pixels(const qz_pixels *image)
{
    free((void *)(uintptr_t)image->data);
}

static inline qz_status run_pixels(qz_session *s, const qz_pixels *image)
{
    return qz_session_run_u8(s, image->data, image->width, image->height, (size_t)image->width * 3);
}

/* ---- all that was found, as bytes ---- */

typedef struct found_bytes {
    uint8_t *data;
    size_t size, room;
    size_t objects, rois; /* of the images and of the box stage */
} found_bytes;

static inline void found_add(found_bytes *f, const void *data, size_t size)
{
    if (f->size + size > f->room) {
        f->room = 2 * (f->size + size);
        f->data = realloc(f->data, f->room);
        assert_non_null(f->data);
    }
    if (size > 0)
        memcpy(f->data + f->size, data, size);
    f->size += size;
}

/* Boxes, scores, labels and masks of one image of the last run, of `width` x `height`. */
static inline void found_image(qz_context *ctx, qz_session *s, bool masks, size_t image,
                               int32_t width, int32_t height, found_bytes *f)
{
    const qz_detection *list = NULL;
    const size_t pixels = (size_t)width * (size_t)height;
    size_t count = 0;
    ASSERT_OK(ctx, qz_session_detections(s, image, &list, &count));
    found_add(f, &count, sizeof(count));
    found_add(f, list, count * sizeof(*list));
    f->objects += count;
    if (!masks)
        return;
    uint8_t *bytes = malloc(pixels);
    float *prob = malloc(pixels * sizeof(*prob));
    assert_true(bytes && prob);
    for (size_t i = 0; i < count; i++) {
        ASSERT_OK(ctx, qz_session_detection_mask(s, image, i, bytes));
        ASSERT_OK(ctx, qz_session_detection_mask_prob(s, image, i, prob));
        found_add(f, bytes, pixels);
        found_add(f, prob, pixels * sizeof(*prob));
    }
    free(bytes);
    free(prob);
}

/* The raw values of the last image. */
static inline void found_outputs(qz_context *ctx, qz_session *s, found_bytes *f)
{
    for (size_t i = 0; i < qz_session_output_count(s); i++) {
        const char *name = NULL;
        const qz_tensor *t = NULL;
        ASSERT_OK(ctx, qz_session_output(s, i, &name, &t));
        size_t numel = 1;
        for (int d = 0; d < t->ndim; d++)
            numel *= (size_t)t->dims[d];
        found_add(f, name, strlen(name) + 1);
        found_add(f, t->dims, (size_t)t->ndim * sizeof(t->dims[0]));
        found_add(f, t->data, numel * sizeof(float));
        if (strcmp(name, "proposals") == 0)
            f->rois = (size_t)t->dims[0];
    }
}

static inline found_bytes found_run(qz_context *ctx, qz_session *s, bool masks,
                                    const qz_pixels *image)
{
    found_bytes f = {0};
    ASSERT_OK(ctx, run_pixels(s, image));
    found_image(ctx, s, masks, 0, image->width, image->height, &f);
    found_outputs(ctx, s, &f);
    return f;
}

#define ASSERT_FOUND_EQUAL(a, b, ...)                                               \
    do {                                                                            \
        if ((a)->size != (b)->size || memcmp((a)->data, (b)->data, (a)->size) != 0) \
            fail_msg(__VA_ARGS__);                                                  \
    } while (0)

/* ---- refusals ---- */

/* The call is refused by `want`, and the message has `text`. */
#define REFUSED(ctx, want, call, text)                                            \
    do {                                                                          \
        const qz_status refused_status = (call);                                  \
        if (refused_status != (want) || !strstr(qz_context_message(ctx), (text))) \
            fail_msg("%s: %s: %s", #call, qz_status_name(refused_status),         \
                     qz_context_message(ctx));                                    \
    } while (0)

#endif

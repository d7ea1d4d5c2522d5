/* SPDX-License-Identifier: MIT */
/*
 * preprocess.c - torchvision 0.14's ImageClassification preset on an 8-bit image, to the bit:
 * shorter side to `resize`, centre crop (black where the image is smaller), / 255, - mean, / std.
 */
#include "zoo/image/preprocess.h"

#include <math.h>

/* One axis of the centre crop. */
typedef struct span {
    int64_t from;   /* first pixel of the image that is taken */
    int32_t count;  /* how many */
    int32_t margin; /* black pixels before them */
} span;

static span crop_span(int64_t size, int32_t crop)
{
    if (size < crop)
        return (span){0, (int32_t)size, (int32_t)((crop - size) / 2)};
    /* Python's round((size - crop) / 2): half to even */
    int64_t spare = size - crop, half = spare / 2;
    if ((spare & 1) != 0 && (half & 1) != 0)
        half++;
    return (span){half, crop, 0};
}

/* What each byte becomes: (v / 255 - mean) / std in three float32 operations, as torch does. */
void qzi_preprocess_table(const qz_preprocess *recipe, float table[3][256])
{
    for (int c = 0; c < 3; c++) {
        for (int v = 0; v < 256; v++) {
            float x = (float)v / 255.0f;
            x = x - recipe->mean[c];
            table[c][v] = x / recipe->std[c];
        }
    }
}

qz_status qzi_preprocess_check_recipe(const qz_context *ctx, const qz_preprocess *recipe)
{
    const bool stretched = recipe->resize_h != 0 || recipe->resize_w != 0;
    const bool cropped = recipe->crop_h != 0 || recipe->crop_w != 0;
    if (recipe->resize < 0 || (cropped && (recipe->crop_h < 1 || recipe->crop_w < 1)) ||
        recipe->resize > QZI_IMAGE_SIDE_MAX || recipe->crop_h > QZI_IMAGE_SIDE_MAX ||
        recipe->crop_w > QZI_IMAGE_SIDE_MAX)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "preprocessing of images: resize %d and crop %d x %d are no sizes",
                        recipe->resize, recipe->crop_h, recipe->crop_w);
    if (stretched &&
        (recipe->resize_h < 1 || recipe->resize_w < 1 || recipe->resize_h > QZI_IMAGE_SIDE_MAX ||
         recipe->resize_w > QZI_IMAGE_SIDE_MAX))
        return qzi_fail(
            ctx, QZ_ERR_ARGUMENT,
            "preprocessing of images: resize %d x %d is no size; both are 0 or both are set",
            recipe->resize_h, recipe->resize_w);
    if (!qz_interpolation_name(recipe->interpolation))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "preprocessing of images: there is no interpolation number %d",
                        (int)recipe->interpolation);
    for (int c = 0; c < 3; c++) {
        if (!(recipe->std[c] > 0.0f) || !isfinite(recipe->std[c]) || !isfinite(recipe->mean[c]))
            return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                            "preprocessing of images: std[%d] must be above 0, mean[%d] a number",
                            c, c);
    }
    return QZ_OK;
}

qz_status qzi_preprocess_check(const qz_context *ctx, const char *function, const qzi_pixels *in,
                               const qz_preprocess *recipe)
{
    QZI_TRY(qzi_check_pixels(ctx, function, in));
    return qzi_preprocess_check_recipe(ctx, recipe);
}

/* The whole image after resizing. */
static void resized_size(const qz_preprocess *recipe, int64_t *width, int64_t *height)
{
    if (recipe->resize_h > 0) {
        *width = recipe->resize_w;
        *height = recipe->resize_h;
    } else if (recipe->resize > 0) {
        /* the longer side is truncated */
        const int64_t longer =
            (int64_t)recipe->resize * QZI_MAX(*width, *height) / QZI_MIN(*width, *height);
        const bool upright = *width <= *height;
        *width = upright ? recipe->resize : longer;
        *height = upright ? longer : recipe->resize;
    }
}

qz_status qz_preprocess_size(qz_context *context, const qz_preprocess *recipe, int32_t width,
                             int32_t height, int32_t *out_width, int32_t *out_height)
{
    int64_t w = width, h = height;
    if (!recipe || !out_width || !out_height || width < 1 || height < 1)
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_preprocess_size: there is no recipe, no image or no room");
    QZI_TRY(qzi_preprocess_check_recipe(context, recipe));
    if (recipe->crop_h > 0) {
        w = recipe->crop_w;
        h = recipe->crop_h;
    } else {
        resized_size(recipe, &w, &h);
        if (w > QZI_IMAGE_SIDE_MAX || h > QZI_IMAGE_SIDE_MAX)
            return qzi_fail(context, QZ_ERR_ARGUMENT,
                            "the image of %dx%d becomes %lldx%lld, more than %d on a side; crop it "
                            "or give it a size",
                            (int)width, (int)height, (long long)w, (long long)h,
                            QZI_IMAGE_SIDE_MAX);
    }
    *out_width = (int32_t)w;
    *out_height = (int32_t)h;
    return QZ_OK;
}

void qzi_preprocess_usual(const qz_preprocess *recipe, int32_t *height, int32_t *width)
{
    if (recipe->crop_h > 0) {
        *height = recipe->crop_h;
        *width = recipe->crop_w;
    } else if (recipe->resize_h > 0) {
        *height = recipe->resize_h;
        *width = recipe->resize_w;
    } else if (recipe->resize > 0) {
        *height = *width = recipe->resize;
    }
}

qz_status qzi_preprocess_crop(const qz_context *ctx, const qzi_pixels *in,
                              const qz_preprocess *recipe, qzi_crop *crop)
{
    int64_t width = in->width, height = in->height;
    resized_size(recipe, &width, &height);
    const bool whole = recipe->crop_h == 0;
    span across = whole ? (span){0, (int32_t)width, 0} : crop_span(width, recipe->crop_w);
    span down = whole ? (span){0, (int32_t)height, 0} : crop_span(height, recipe->crop_h);
    *crop = (qzi_crop){.width = across.count,
                       .height = down.count,
                       .left = across.margin,
                       .top = down.margin,
                       .out_width = whole ? across.count : recipe->crop_w,
                       .out_height = whole ? down.count : recipe->crop_h};
    if (recipe->resize == 0 && recipe->resize_h == 0) {
        crop->rows = in->rgb + (size_t)down.from * in->stride + (size_t)across.from * 3;
        crop->stride = in->stride;
        return QZ_OK;
    }
    size_t bytes;
    if (!qzi_mul_size((size_t)across.count, 3, &crop->stride) ||
        !qzi_mul_size(crop->stride, (size_t)down.count, &bytes))
        return qzi_fail_memory(ctx, SIZE_MAX);
    crop->resized = qzi_alloc(ctx, bytes);
    if (!crop->resized)
        return QZ_ERR_MEMORY;
    const qzi_window window = {width, height, across.from, down.from, across.count, down.count};
    qz_status st = qzi_resize_window(ctx, in, &window, recipe->interpolation, crop->resized);
    if (st != QZ_OK)
        qzi_free(ctx, crop->resized);
    crop->rows = crop->resized;
    return st;
}

static void write_planes(const qzi_crop *crop, const qz_preprocess *recipe, float *out)
{
    float table[3][256];
    qzi_preprocess_table(recipe, table);
    const int32_t width = crop->out_width, height = crop->out_height;
    size_t plane = (size_t)height * (size_t)width;
    for (int c = 0; c < 3; c++) {
        const float *values = table[c];
        float *to = out + (size_t)(recipe->bgr ? 2 - c : c) * plane;
        for (int32_t y = 0; y < height; y++, to += width) {
            bool inside = y >= crop->top && y - crop->top < crop->height;
            int32_t left = inside ? crop->left : width;
            int32_t right = inside ? crop->left + crop->width : width;
            for (int32_t x = 0; x < left; x++)
                to[x] = values[0];
            if (inside) {
                const uint8_t *from = crop->rows + (size_t)(y - crop->top) * crop->stride + c;
                for (int32_t x = 0; x < crop->width; x++)
                    to[left + x] = values[from[(size_t)x * 3]];
            }
            for (int32_t x = right; x < width; x++)
                to[x] = values[0];
        }
    }
}

qz_status qz_image_preprocess(qz_context *context, const uint8_t *rgb, int32_t width,
                              int32_t height, size_t stride, const qz_preprocess *recipe,
                              float *out)
{
    const qzi_pixels in = {rgb, width, height, stride};
    qzi_crop crop;
    if (!recipe || !out)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_image_preprocess: recipe or out is NULL");
    int32_t out_width, out_height;
    QZI_TRY(qzi_preprocess_check(context, "qz_image_preprocess", &in, recipe));
    QZI_TRY(qz_preprocess_size(context, recipe, width, height, &out_width, &out_height));
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = qzi_preprocess_crop(context, &in, recipe, &crop);
    if (st == QZ_OK) {
        write_planes(&crop, recipe, out);
        qzi_free(context, crop.resized);
    }
    qzi_fpenv_leave(env);
    return st;
}

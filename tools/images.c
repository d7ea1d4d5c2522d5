/* SPDX-License-Identifier: MIT */
/*
 * images.c - the images of --calib and INPUT: files, .npy arrays, synthetic images; found by
 * images_find.c, checked before the work, loaded one by one.
 */
#include "images.h"

#include "messages.h"
#include "preprocessing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the command, of which a process has one. */
static struct {
    const tool_options *options;
    bool said;
} reading;

void images_begin(const tool_options *options)
{
    reading.options = options;
    reading.said = false;
}

void images_note_preprocessing(const qz_model_info *info)
{
    if (reading.options && !reading.said && !info->unit_images)
        preprocessing_note(reading.options, info);
    reading.said = true;
}

static int alloc_image(int64_t h, int64_t w, qz_tensor *tensor)
{
    *tensor = (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, h, w}};
    tensor->data = malloc((size_t)(3 * h * w) * sizeof(float));
    return tensor->data ? EXIT_DONE : tool_fail_memory();
}

/* "1x224x224x3" */
static void shape_text(const qz_tensor *t, char text[128])
{
    size_t used = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < t->ndim && used < 128; i++)
        used += (size_t)snprintf(text + used, 128 - used, "%s%lld", i ? "x" : "",
                                 (long long)t->dims[i]);
}

/* N x 3 x H x W, after one image got its batch dimension. */
static int check_shape(const char *path, const qz_tensor *npy, const qz_tensor *tensor)
{
    char shape[128];
    const int64_t *dims = tensor->dims;
    if (tensor->ndim == 4 && dims[1] == 3 && dims[0] > 0 && dims[2] > 0 && dims[3] > 0)
        return EXIT_DONE;
    shape_text(npy, shape);
    const bool nhwc = tensor->ndim == 4 && dims[3] == 3;
    return tool_fail(EXIT_INPUT, "%s: the array is %s; needed is N x 3 x H x W%s", path,
                     *shape ? shape : "one number",
                     nhwc ? " (this looks like N x H x W x 3: transpose it with "
                            "numpy.moveaxis(a, -1, -3))"
                          : "");
}

static int check_finite(const char *path, const qz_tensor *t, const float *data)
{
    const int64_t w = t->dims[3], h = t->dims[2], numel = qz_tensor_numel(t);
    for (int64_t i = 0; i < numel; i++) {
        if (!isfinite(data[i]))
            return tool_fail(EXIT_INPUT,
                             "%s: image %lld, channel %lld, row %lld, column %lld is %s; every "
                             "value must be a finite number",
                             path, (long long)(i / (3 * h * w)), (long long)(i / (h * w) % 3),
                             (long long)(i / w % h), (long long)(i % w),
                             isnan(data[i]) ? "NaN" : "infinite");
    }
    return EXIT_DONE;
}

static int load_npy(qz_context *ctx, const char *path, qz_tensor *tensor)
{
    qz_tensor npy;
    qz_status st = qz_npy_load(ctx, path, &npy);
    if (st != QZ_OK)
        return tool_fail_status(ctx, st);
    *tensor = npy;
    tensor->data = NULL;
    if (npy.ndim == 3) { /* one image without its batch dimension */
        tensor->ndim = 4;
        memmove(tensor->dims + 1, npy.dims, 3 * sizeof(npy.dims[0]));
        tensor->dims[0] = 1;
    }
    int64_t numel = qz_tensor_numel(&npy);
    int status = check_shape(path, &npy, tensor);
    if (status == EXIT_DONE)
        status = check_finite(path, tensor, npy.data);
    if (status == EXIT_DONE && !(tensor->data = malloc((size_t)numel * sizeof(float))))
        status = tool_fail_memory();
    if (status == EXIT_DONE)
        memcpy(tensor->data, npy.data, (size_t)numel * sizeof(float));
    qz_npy_free(ctx, &npy);
    return status;
}

/* ---- before the work ---- */

static int check_file(qz_context *ctx, const char *path)
{
    if (!images_is_array(path)) {
        qz_status st = qz_image_check(ctx, path, NULL, NULL);
        return st == QZ_OK ? EXIT_DONE : tool_fail_status(ctx, st);
    }
    qz_tensor array = {0};
    int status = load_npy(ctx, path, &array);
    images_release(&array);
    return status;
}

int images_check(const tool_options *options, qz_context *ctx, const image_list *list)
{
    size_t bad = 0;
    for (size_t i = 0; !list->synthetic && i < list->count; i++) {
        int status = check_file(ctx, list->paths[i]);
        if (status == EXIT_DONE)
            continue;
        if (status == EXIT_FAILED || !options->eval.skip_bad)
            return status;
        if ((status = images_mark_bad(list->paths[i]))) /* the message has named the file */
            return status;
        bad++;
    }
    if (bad && bad == list->count)
        return tool_fail(EXIT_INPUT, "--skip-bad: none of the images can be read");
    if (bad)
        tool_note(options->quiet, "qzoo: --skip-bad: left out %zu of %zu images", bad, list->count);
    return EXIT_DONE;
}

/* ---- loading ---- */

int images_load_rgb(qz_context *ctx, const char *path, qz_image *image)
{
    qz_image_options how = QZ_IMAGE_OPTIONS_INIT;
    how.no_exif = reading.options && reading.options->images.no_exif;
    const qz_status st = qz_image_load_with(ctx, path, &how, image);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(ctx, st);
}

/* At its own size, from 0 to 1. */
static int load_unit_image(const qz_image *image, qz_tensor *tensor)
{
    const int status = alloc_image(image->height, image->width, tensor);
    const size_t plane = (size_t)image->height * (size_t)image->width;
    float *to = tensor->data;
    for (size_t i = 0; status == EXIT_DONE && i < plane; i++)
        for (size_t c = 0; c < 3; c++)
            to[c * plane + i] = (float)image->rgb[3 * i + c] / 255.0f;
    return status;
}

/* A photo as YOLO sees it, in place of the photo. */
static int letterbox(qz_context *ctx, const qz_model_info *info, qz_image *image)
{
    qz_letterbox box;
    uint8_t *rgb = NULL;
    qz_status st = qz_yolo_letterbox_size(ctx, image->width, image->height, info->input_w,
                                          info->input_h, info->letterbox_stride, &box);
    if (st == QZ_ERR_ARGUMENT)
        return tool_fail(EXIT_INPUT, "%s", qz_context_message(ctx));
    if (st == QZ_OK) {
        rgb = malloc((size_t)box.width * (size_t)box.height * 3);
        if (!rgb)
            return tool_fail_memory();
        st = qz_yolo_letterbox(ctx, image->rgb, image->width, image->height,
                               (size_t)image->width * 3, &box, rgb);
    }
    if (st != QZ_OK) {
        free(rgb);
        return tool_fail_status(ctx, st);
    }
    *image = (qz_image){box.width, box.height, rgb};
    return EXIT_DONE;
}

static int load_letterboxed(qz_context *ctx, const qz_model_info *info, const qz_image *photo,
                            qz_tensor *tensor)
{
    qz_image image = *photo;
    int status = letterbox(ctx, info, &image);
    if (status)
        return status;
    status = load_unit_image(&image, tensor);
    free(image.rgb);
    return status;
}

int images_load(qz_context *ctx, const image_list *list, size_t index, const qz_model_info *info,
                qz_tensor *tensor)
{
    int status;
    *tensor = (qz_tensor){0}; /* callers release it after a failure too */
    if (list->synthetic) {
        if ((status = alloc_image(info->input_h, info->input_w, tensor)))
            return status;
        (info->unit_images ? qz_synthetic_unit_image : qz_synthetic_image)(
            (int64_t)index, info->input_h, info->input_w, tensor->data);
        return EXIT_DONE;
    }
    const char *path = list->paths[index];
    if (images_is_array(path))
        return load_npy(ctx, path, tensor);
    qz_image image;
    if ((status = images_load_rgb(ctx, path, &image)))
        return status;
    if (info->unit_images) {
        status = info->letterbox ? load_letterboxed(ctx, info, &image, tensor)
                                 : load_unit_image(&image, tensor);
        qz_image_free(ctx, &image);
        return status;
    }
    images_note_preprocessing(info);
    int32_t width, height; /* of the image's own size where the preprocessing does not crop */
    if (qz_preprocess_size(ctx, &info->preprocess, image.width, image.height, &width, &height) !=
        QZ_OK)
        status = tool_fail(EXIT_INPUT, "%s: %s", path, qz_context_message(ctx));
    else
        status = alloc_image(height, width, tensor);
    if (status == EXIT_DONE) {
        const qz_status st =
            qz_image_preprocess(ctx, image.rgb, image.width, image.height, (size_t)image.width * 3,
                                &info->preprocess, tensor->data);
        if (st != QZ_OK) {
            status = tool_fail_status(ctx, st);
            images_release(tensor);
        }
    }
    qz_image_free(ctx, &image);
    return status;
}

void images_release(qz_tensor *tensor)
{
    free(tensor->data);
    tensor->data = NULL;
}

int images_of_calib(const tool_options *options, image_list *list)
{
    static const char *const synthetic[] = {"synthetic"};
    bool given = options->quant.calib.count > 0;
    int status = images_find(given ? options->quant.calib.items : synthetic,
                             given ? options->quant.calib.count : 1, list);
    if (status == EXIT_DONE)
        images_sort(list);
    if (status == EXIT_DONE && options->quant.calib_limit && list->synthetic)
        return tool_fail(EXIT_USAGE, "--calib-limit: goes with images only; synthetic:N says how "
                                     "many");
    if (status == EXIT_DONE && options->quant.calib_limit)
        images_limit(list, (size_t)options->quant.calib_limit);
    if (status == EXIT_DONE)
        images_drop_bad(list);
    return status;
}

static int check_found(const tool_options *options, qz_context *ctx, int status, image_list *list)
{
    if (status == EXIT_DONE)
        status = images_check(options, ctx, list);
    images_free(list);
    return status;
}

int images_check_all(const tool_options *options, qz_context *ctx)
{
    image_list list = {0};
    int status = EXIT_DONE;
    if (options->quant.calib.count) {
        status = images_of_calib(options, &list);
        status = check_found(options, ctx, status, &list);
    }
    if (status == EXIT_DONE && strcmp(options->command, "run") == 0 && options->args.count > 1) {
        status = images_find(options->args.items + 1, options->args.count - 1, &list);
        status = check_found(options, ctx, status, &list);
    }
    if (status == EXIT_DONE)
        images_say_skipped(options->quiet);
    return status;
}

int images_gather(const tool_options *options, qz_context *ctx, const qz_model_info *info,
                  size_t most, image_tensors *images)
{
    image_list list;
    int64_t taken = 0;
    int status = images_of_calib(options, &list);
    size_t count = list.count < most ? list.count : most;
    *images = (image_tensors){.list = calloc(count + 1, sizeof(*images->list))};
    if (status == EXIT_DONE && !images->list)
        status = tool_fail_memory();
    for (size_t i = 0; i < count && status == EXIT_DONE && taken < (int64_t)most; i++) {
        qz_tensor *image = &images->list[images->count];
        tool_progress(options->quiet, "reading image", i + 1, count);
        status = images_load(ctx, &list, i, info, image);
        if (status == EXIT_DONE && image->dims[0] > (int64_t)most - taken)
            image->dims[0] = (int64_t)most - taken; /* the first images of an array */
        taken += image->dims[0];
        images->count++;
    }
    images_free(&list);
    return status;
}

void images_gather_free(image_tensors *images)
{
    for (size_t i = 0; images->list && i < images->count; i++)
        images_release(&images->list[i]);
    free(images->list);
    *images = (image_tensors){0};
}

int images_gather_batch(const tool_options *options, qz_context *ctx, const qz_model_info *info,
                        size_t most, qz_tensor *batch)
{
    image_tensors all;
    size_t used = 0;
    int64_t other = 0;
    int status = images_gather(options, ctx, info, most, &all);
    *batch = (qz_tensor){0};
    for (size_t i = 0; i < all.count && status == EXIT_DONE; i++) {
        const qz_tensor *image = &all.list[i];
        const size_t elements = (size_t)qz_tensor_numel(image);
        if (i > 0 && memcmp(batch->dims + 1, image->dims + 1, 3 * sizeof(image->dims[0])) != 0) {
            other += image->dims[0];
            continue;
        }
        float *grown = realloc(batch->data, (used + elements) * sizeof(*grown));
        if (!grown) {
            status = tool_fail_memory();
            break;
        }
        memcpy(grown + used, image->data, elements * sizeof(*grown));
        used += elements;
        const int64_t n = batch->dims[0] + image->dims[0];
        *batch = *image;
        batch->dims[0] = n;
        batch->data = grown;
    }
    images_gather_free(&all);
    if (other && status == EXIT_DONE)
        tool_note(options->quiet,
                  "qzoo: ranges are measured without %lld calibration image%s of another size than "
                  "%lldx%lld",
                  (long long)other, other > 1 ? "s" : "", (long long)batch->dims[2],
                  (long long)batch->dims[3]);
    return status;
}

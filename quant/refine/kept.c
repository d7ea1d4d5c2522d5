/* SPDX-License-Identifier: MIT */
/* kept.c - keeps the images with the smallest content hashes. */
#include "quant/refine/kept.h"

#include <string.h>

void qzi_kept_init(qzi_kept *kept, const qz_context *ctx)
{
    memset(kept, 0, sizeof(*kept));
    kept->ctx = ctx;
}

void qzi_kept_free(qzi_kept *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        qzi_free(kept->ctx, kept->image[i].data);
    kept->count = 0;
}

static size_t bytes_of(const qz_tensor *image)
{
    return (size_t)qz_tensor_numel(image) * sizeof(float);
}

/* The place of a new image: behind those with smaller hashes, and the same one's copies. */
static size_t place_of(const qzi_kept *kept, uint64_t hash)
{
    size_t at = 0;
    while (at < kept->count && kept->hash[at] <= hash)
        at++;
    return at;
}

/* Drops what is beyond the limits. What is dropped could never come back: an image that is added
 * later only moves others further away. */
static void cut(qzi_kept *kept)
{
    size_t bytes = 0, count = 0;
    while (count < kept->count && count < QZI_KEPT_MAX &&
           (count == 0 || bytes + bytes_of(&kept->image[count]) <= QZI_KEPT_BYTES))
        bytes += bytes_of(&kept->image[count++]);
    for (size_t i = count; i < kept->count; i++)
        qzi_free(kept->ctx, kept->image[i].data);
    kept->count = count;
}

static qz_status copy_image(const qz_context *ctx, const qzk_view *view, qz_tensor *image)
{
    const size_t c = (size_t)view->c, plane = (size_t)view->h * (size_t)view->w;
    *image = (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {1, view->c, view->h, view->w}};
    float *to = qzi_alloc(ctx, plane * c * sizeof(*to));
    if (!to)
        return QZ_ERR_MEMORY;
    for (size_t p = 0; p < plane; p++) {
        const float *from = (const float *)view->data + (int64_t)p * view->pixel_stride;
        for (size_t k = 0; k < c; k++)
            to[k * plane + p] = from[k];
    }
    image->data = to;
    return QZ_OK;
}

qz_status qzi_kept_add(qzi_kept *kept, const qzk_view *image)
{
    qz_tensor copy;
    QZI_TRY(copy_image(kept->ctx, image, &copy));
    const uint64_t size = qzi_fnv1a_numbers(copy.dims, 4, sizeof(*copy.dims), QZI_FNV_OFFSET);
    const uint64_t hash =
        qzi_fnv1a_numbers(copy.data, (size_t)qz_tensor_numel(&copy), sizeof(float), size);
    const size_t at = place_of(kept, hash);
    if (at == QZI_KEPT_MAX) {
        qzi_free(kept->ctx, copy.data);
        return QZ_OK;
    }
    if (kept->count == QZI_KEPT_MAX)
        qzi_free(kept->ctx, kept->image[--kept->count].data);
    memmove(&kept->image[at + 1], &kept->image[at], (kept->count - at) * sizeof(copy));
    memmove(&kept->hash[at + 1], &kept->hash[at], (kept->count - at) * sizeof(hash));
    kept->image[at] = copy;
    kept->hash[at] = hash;
    kept->count++;
    cut(kept);
    return QZ_OK;
}

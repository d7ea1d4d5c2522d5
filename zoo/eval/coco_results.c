/* SPDX-License-Identifier: MIT */
/* coco_results.c - the detections of a model, image by image. */
#include "zoo/eval/coco.h"

#include <math.h>
#include <string.h>

qz_status qz_coco_results_create(qz_coco *coco, qz_coco_results **results)
{
    if (results)
        *results = NULL;
    if (!coco || !results)
        return qzi_fail(coco ? coco->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_coco_results_create: NULL argument");
    QZI_TRY(qzi_coco_index_ids(coco));
    qz_coco_results *made = qzi_calloc(coco->ctx, 1, sizeof(*made));
    if (!made)
        return QZ_ERR_MEMORY;
    made->coco = coco;
    made->counts = qzi_calloc(coco->ctx, coco->image_count, sizeof(*made->counts));
    made->dropped = qzi_calloc(coco->ctx, coco->image_count, sizeof(*made->dropped));
    if (!made->counts || !made->dropped) {
        qz_coco_results_destroy(made);
        return QZ_ERR_MEMORY;
    }
    *results = made;
    return QZ_OK;
}

void qz_coco_results_destroy(qz_coco_results *results)
{
    if (!results)
        return;
    const qz_context *ctx = results->coco->ctx;
    qzi_coco_items_free(ctx, &results->items);
    qzi_free(ctx, results->counts);
    qzi_free(ctx, results->dropped);
    qzi_free(ctx, results);
}

static qz_status add_one(qz_coco_results *results, uint32_t image, const qz_coco_detection *d)
{
    const qz_coco *coco = results->coco;
    const qz_coco_image *where = &coco->images[image];
    const uint64_t pixels = (uint64_t)where->width * (uint64_t)where->height;
    qzi_coco_item item = {.image = image,
                          .category = qzi_coco_find_category(coco, d->category),
                          .has_box = true,
                          .score = d->score};
    memcpy(item.box, d->box, sizeof(item.box));
    item.area[0] = d->box[2] * d->box[3];
    const qz_coco_image anywhere = {0};
    const char *fault = qzi_coco_box_fault(d->box, &anywhere);
    if (!fault && !isfinite(d->score))
        fault = "its score is no finite number";
    if (!fault && d->mask && (pixels == 0 || pixels > QZI_COCO_PIXELS_MAX))
        fault = "an image of this size has no masks";
    if (fault)
        return qzi_fail(coco->ctx, QZ_ERR_ARGUMENT, "a detection on image %lld: %s",
                        (long long)where->id, fault);
    if (item.category == QZI_COCO_NONE)
        return QZ_OK;
    if (d->mask) {
        QZI_TRY(
            qzi_coco_mask_of_bytes(coco->ctx, d->mask, where->width, where->height, &item.mask));
        item.has_mask = true;
        item.area[1] = (double)qzi_coco_mask_area(&item.mask, (uint32_t)pixels);
    }
    return qzi_coco_items_add(coco->ctx, &results->items, &item);
}

qz_status qz_coco_results_add(qz_coco_results *results, int64_t image,
                              const qz_coco_detection *detections, size_t count)
{
    if (!results || (count && !detections))
        return qzi_fail(results ? results->coco->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_coco_results_add: NULL argument");
    const uint32_t at = qzi_coco_find_image(results->coco, image);
    if (at == QZI_COCO_NONE || results->dropped[at])
        return qzi_fail(results->coco->ctx, QZ_ERR_ARGUMENT,
                        "qz_coco_results_add: image %lld is unknown, or was dropped",
                        (long long)image);
    for (size_t i = 0; i < count; i++)
        QZI_TRY(add_one(results, at, &detections[i]));
    results->counts[at] = true;
    return QZ_OK;
}

void qz_coco_results_drop(qz_coco_results *results, int64_t image)
{
    const uint32_t at = results ? qzi_coco_find_image(results->coco, image) : QZI_COCO_NONE;
    if (at == QZI_COCO_NONE)
        return;
    results->counts[at] = false;
    results->dropped[at] = true;
}

/* SPDX-License-Identifier: MIT */
/* coco_results_read.c - reads a result file, as pycocotools' loadRes does. */
#include "zoo/eval/coco.h"

#ifdef QZ_HAVE_COCO

#include "zoo/eval/coco_json.h"

#include <string.h>

typedef struct results_reader {
    qzi_coco_reader at;
    qz_coco_results *results;
    bool boxes; /* the first entry has a box: all must have one, and areas are those of boxes */
    bool masks; /* an entry has a mask */
} results_reader;

static qz_status read_ids(const results_reader *t, const json_t *entry, qzi_coco_item *item)
{
    const qzi_coco_reader *r = &t->at;
    int64_t image, category;
    QZI_TRY(qzi_coco_id(r, entry, "image_id", &image));
    QZI_TRY(qzi_coco_id(r, entry, "category_id", &category));
    item->image = qzi_coco_find_image(t->results->coco, image);
    item->category = qzi_coco_find_category(t->results->coco, category);
    if (item->image == QZI_COCO_NONE)
        return qzi_coco_wrong(r, "the annotations have no image of id %lld", (long long)image);
    if (item->category == QZI_COCO_NONE)
        return qzi_coco_wrong(r, "the annotations have no category of id %lld",
                              (long long)category);
    return QZ_OK;
}

static qz_status read_detection(results_reader *t, const json_t *entry)
{
    const qzi_coco_reader *r = &t->at;
    const qz_context *ctx = r->ctx;
    qzi_coco_item item = {0};
    QZI_TRY(qzi_check_cancelled(ctx));
    QZI_TRY(read_ids(t, entry, &item));
    const qz_coco_image *image = &t->results->coco->images[item.image];
    QZI_TRY(qzi_coco_number(r, entry, "score", &item.score));
    QZI_TRY(qzi_coco_box(r, entry, image, &item.has_box, item.box));
    if (r->index == 0)
        t->boxes = item.has_box;
    item.has_box = item.has_box && t->boxes;
    if (t->boxes && !item.has_box)
        return qzi_coco_wrong(r, "'bbox' is missing");
    QZI_TRY(qzi_coco_segmentation(r, entry, image, &item.has_mask, &item.mask));
    if (!t->boxes && !item.has_mask) {
        qzi_coco_mask_free(ctx, &item.mask);
        return qzi_coco_wrong(r, image->width ? "'bbox' or 'segmentation' is missing"
                                              : "the annotations lack the size of its image");
    }
    const uint32_t pixels = (uint32_t)image->width * (uint32_t)image->height;
    item.area[0] = item.box[2] * item.box[3];
    item.area[1] = t->boxes ? item.area[0] : (double)qzi_coco_mask_area(&item.mask, pixels);
    t->masks = t->masks || item.has_mask;
    return qzi_coco_items_add(ctx, &t->results->items, &item);
}

/* Where some have a mask, those without have that of their box. */
static qz_status mask_boxes(const results_reader *t)
{
    const qzi_coco_items *list = &t->results->items;
    for (size_t i = 0; i < list->count && t->masks; i++) {
        qzi_coco_item *item = &list->items[i];
        const qz_coco_image *image = &t->results->coco->images[item->image];
        const double *b = item->box;
        const double xy[8] = {b[0],        b[1],        b[0],        b[1] + b[3],
                              b[0] + b[2], b[1] + b[3], b[0] + b[2], b[1]};
        if (item->has_mask || !image->width ||
            (int64_t)image->width * image->height > (int64_t)QZI_COCO_PIXELS_MAX)
            continue;
        QZI_TRY(
            qzi_coco_mask_of_polygon(t->at.ctx, xy, 4, image->width, image->height, &item->mask));
        item->has_mask = true;
    }
    return QZ_OK;
}

static qz_status read_root(results_reader *t, const json_t *root)
{
    if (!json_is_array(root))
        return qzi_fail(t->at.ctx, QZ_ERR_FORMAT,
                        "%s: must be a list of detections, in COCO's format of results",
                        t->at.path);
    for (t->at.index = 0; t->at.index < json_array_size(root); t->at.index++) {
        const json_t *entry = json_array_get(root, t->at.index);
        if (!json_is_object(entry))
            return qzi_coco_wrong(&t->at, "must be an object");
        QZI_TRY(read_detection(t, entry));
    }
    memset(t->results->counts, 1, t->results->coco->image_count);
    return mask_boxes(t);
}

qz_status qz_coco_results_read(qz_coco_results *results, const char *path)
{
    json_t *root = NULL;
    if (!results || !path || results->items.count)
        return qzi_fail(results ? results->coco->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_coco_results_read: NULL, or results that have detections already");
    results_reader t = {
        .at = {.ctx = results->coco->ctx, .path = path, .list = "detections"},
        .results = results,
    };
    qz_status st = qzi_coco_load(t.at.ctx, path, t.at.list, &root);
    if (st == QZ_OK)
        st = read_root(&t, root);
    json_decref(root);
    return st;
}

#else

qz_status qz_coco_results_read(qz_coco_results *results, const char *path)
{
    return qzi_fail(results ? results->coco->ctx : NULL, QZ_ERR_UNSUPPORTED,
                    "%s: this build reads no detections; rebuild it with -Dcoco=enabled",
                    path ? path : "qz_coco_results_read");
}

#endif

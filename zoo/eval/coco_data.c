/* SPDX-License-Identifier: MIT */
/* coco_data.c - ground truth and lists of detections in memory: making, finding, releasing. */
#include "weights/bytes.h"
#include "zoo/eval/coco.h"

#include <math.h>

/* ---- items ---- */

qz_status qzi_coco_items_add(const qz_context *ctx, qzi_coco_items *list, qzi_coco_item *item)
{
    qz_status st = qzi_grow(ctx, &list->items, &list->capacity, list->count, sizeof(*list->items));
    if (st == QZ_OK)
        list->items[list->count++] = *item;
    else
        qzi_coco_mask_free(ctx, &item->mask);
    return st;
}

void qzi_coco_items_free(const qz_context *ctx, qzi_coco_items *list)
{
    for (size_t i = 0; i < list->count; i++)
        qzi_coco_mask_free(ctx, &list->items[i].mask);
    qzi_free(ctx, list->items);
    *list = (qzi_coco_items){0};
}

const char *qzi_coco_box_fault(const double box[4], const qz_coco_image *image)
{
    for (int i = 0; i < 4; i++) {
        if (!isfinite(box[i]) || fabs(box[i]) > QZI_COCO_COORDINATE_MAX)
            return "its box has a number that no image has";
    }
    if (box[2] < 0 || box[3] < 0)
        return "its box has a negative size";
    if (image->width && (box[0] > image->width || box[1] > image->height || box[0] + box[2] < 0 ||
                         box[1] + box[3] < 0))
        return "its box is outside the image";
    return NULL;
}

/* ---- ids ---- */

static bool image_before(const void *arg, size_t a, size_t b)
{
    const qz_coco_image *images = arg;
    return images[a].id != images[b].id ? images[a].id < images[b].id : a < b;
}

static bool category_before(const void *arg, size_t a, size_t b)
{
    const qz_coco_category *categories = arg;
    return categories[a].id != categories[b].id ? categories[a].id < categories[b].id : a < b;
}

static qz_status sort_ids(const qz_context *ctx, qzi_coco_index *index, size_t count,
                          bool (*before)(const void *, size_t, size_t), const void *arg)
{
    if (index->order && index->count == count)
        return QZ_OK;
    size_t *order = qzi_calloc(ctx, count, sizeof(*order));
    if (!order)
        return QZ_ERR_MEMORY;
    qzi_sort_indices(order, count, before, arg);
    qzi_free(ctx, index->order);
    *index = (qzi_coco_index){order, count};
    return QZ_OK;
}

static qz_status check_ids(qz_coco *coco)
{
    const size_t *order = coco->by_image.order;
    for (size_t i = 1; i < coco->image_count; i++) {
        const qz_coco_image *image = &coco->images[order[i]];
        if (image->id == coco->images[order[i - 1]].id)
            return qzi_fail(coco->ctx, QZ_ERR_FORMAT, "%s: images[%zu]: id %lld is there twice",
                            coco->name, order[i], (long long)image->id);
    }
    order = coco->by_category.order;
    for (size_t i = 1; i < coco->category_count; i++) {
        const qz_coco_category *category = &coco->categories[order[i]];
        if (category->id == coco->categories[order[i - 1]].id)
            return qzi_fail(coco->ctx, QZ_ERR_FORMAT, "%s: categories[%zu]: id %lld is there twice",
                            coco->name, order[i], (long long)category->id);
    }
    return QZ_OK;
}

qz_status qzi_coco_index_ids(qz_coco *coco)
{
    qzi_coco_index *images = &coco->by_image, *categories = &coco->by_category;
    if (images->order && images->count == coco->image_count && categories->order &&
        categories->count == coco->category_count)
        return QZ_OK;
    QZI_TRY(sort_ids(coco->ctx, images, coco->image_count, image_before, coco->images));
    QZI_TRY(
        sort_ids(coco->ctx, categories, coco->category_count, category_before, coco->categories));
    const qz_status st = check_ids(coco);
    if (st != QZ_OK)
        images->count = categories->count = 0; /* nothing is found, and the next call fails, too */
    return st;
}

uint32_t qzi_coco_find_image(const qz_coco *coco, int64_t id)
{
    size_t begin = 0, end = coco->by_image.count;
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2, at = coco->by_image.order[middle];
        if (coco->images[at].id == id)
            return (uint32_t)at;
        if (coco->images[at].id < id)
            begin = middle + 1;
        else
            end = middle;
    }
    return QZI_COCO_NONE;
}

uint32_t qzi_coco_find_category(const qz_coco *coco, int64_t id)
{
    size_t begin = 0, end = coco->by_category.count;
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2, at = coco->by_category.order[middle];
        if (coco->categories[at].id == id)
            return (uint32_t)at;
        if (coco->categories[at].id < id)
            begin = middle + 1;
        else
            end = middle;
    }
    return QZI_COCO_NONE;
}

/* ---- the public interface ---- */

qz_status qz_coco_create(qz_context *context, const char *name, qz_coco **coco)
{
    if (coco)
        *coco = NULL;
    if (!context || !name || !coco)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_coco_create: NULL argument");
    qz_coco *made = qzi_calloc(context, 1, sizeof(*made));
    if (!made)
        return QZ_ERR_MEMORY;
    made->ctx = context;
    qzi_arena_init(&made->arena, context);
    made->name = qzi_arena_strdup(&made->arena, name);
    if (!made->name) {
        qz_coco_close(made);
        return QZ_ERR_MEMORY;
    }
    *coco = made;
    return QZ_OK;
}

void qz_coco_close(qz_coco *coco)
{
    if (!coco)
        return;
    const qz_context *ctx = coco->ctx;
    qzi_coco_items_free(ctx, &coco->objects);
    qzi_free(ctx, coco->images);
    qzi_free(ctx, coco->categories);
    qzi_free(ctx, coco->by_image.order);
    qzi_free(ctx, coco->by_category.order);
    qzi_arena_free(&coco->arena);
    qzi_free(ctx, coco);
}

qz_status qz_coco_add_category(qz_coco *coco, int64_t id, const char *name)
{
    if (!coco || !name)
        return qzi_fail(coco ? coco->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_coco_add_category: NULL argument");
    qz_coco_category category = {id, qzi_arena_strdup(&coco->arena, name)};
    if (!category.name)
        return QZ_ERR_MEMORY;
    QZI_TRY(qzi_grow(coco->ctx, &coco->categories, &coco->category_capacity, coco->category_count,
                     sizeof(category)));
    coco->categories[coco->category_count++] = category;
    return QZ_OK;
}

qz_status qz_coco_add_image(qz_coco *coco, const qz_coco_image *image)
{
    if (!coco || !image || image->width < 0 || image->height < 0 || !image->width != !image->height)
        return qzi_fail(coco ? coco->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_coco_add_image: NULL, or a size that is none");
    qz_coco_image copy = *image;
    copy.file_name = qzi_arena_strdup(&coco->arena, image->file_name ? image->file_name : "");
    if (!copy.file_name)
        return QZ_ERR_MEMORY;
    QZI_TRY(
        qzi_grow(coco->ctx, &coco->images, &coco->image_capacity, coco->image_count, sizeof(copy)));
    coco->images[coco->image_count++] = copy;
    return QZ_OK;
}

qz_status qz_coco_add_object(qz_coco *coco, int64_t image, int64_t category, const double box[4])
{
    if (!coco || !box)
        return qzi_fail(coco ? coco->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_coco_add_object: NULL argument");
    QZI_TRY(qzi_coco_index_ids(coco));
    qzi_coco_item item = {.image = qzi_coco_find_image(coco, image),
                          .category = qzi_coco_find_category(coco, category),
                          .has_box = true,
                          .box = {box[0], box[1], box[2], box[3]},
                          .area = {box[2] * box[3], box[2] * box[3]}};
    if (item.image == QZI_COCO_NONE)
        return qzi_fail(coco->ctx, QZ_ERR_FORMAT, "%s: there is no image of id %lld", coco->name,
                        (long long)image);
    if (item.category == QZI_COCO_NONE)
        return qzi_fail(coco->ctx, QZ_ERR_FORMAT, "%s: there is no category of id %lld", coco->name,
                        (long long)category);
    const char *fault = qzi_coco_box_fault(box, &coco->images[item.image]);
    if (fault)
        return qzi_fail(coco->ctx, QZ_ERR_FORMAT, "%s: an object of image %lld: %s", coco->name,
                        (long long)image, fault);
    return qzi_coco_items_add(coco->ctx, &coco->objects, &item);
}

bool qz_coco_has_masks(const qz_coco *coco)
{
    for (size_t i = 0; coco && i < coco->objects.count; i++) {
        if (coco->objects.items[i].has_mask)
            return true;
    }
    return false;
}

size_t qz_coco_image_count(const qz_coco *coco)
{
    return coco ? coco->image_count : 0;
}

const qz_coco_image *qz_coco_image_at(const qz_coco *coco, size_t index)
{
    return index < qz_coco_image_count(coco) ? &coco->images[index] : NULL;
}

size_t qz_coco_category_count(const qz_coco *coco)
{
    return coco ? coco->category_count : 0;
}

const qz_coco_category *qz_coco_category_at(const qz_coco *coco, size_t index)
{
    return index < qz_coco_category_count(coco) ? &coco->categories[index] : NULL;
}

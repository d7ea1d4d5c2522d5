/* SPDX-License-Identifier: MIT */
/* coco_truth.c - reads an annotation file: images, categories, objects. */
#include "zoo/eval/coco.h"

#ifdef QZ_HAVE_COCO

#include "weights/bytes.h"
#include "zoo/eval/coco_json.h"

typedef struct truth_reader {
    qzi_coco_reader at;
    qz_coco *coco;
    int64_t *ids; /* of the annotations */
} truth_reader;

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

static qz_status read_side(const qzi_coco_reader *r, const json_t *entry, const char *key,
                           int32_t *side)
{
    int64_t number;
    *side = 0;
    if (!json_object_get(entry, key))
        return QZ_OK;
    QZI_TRY(qzi_coco_id(r, entry, key, &number));
    if (number < 1 || number > (int64_t)QZI_COCO_COORDINATE_MAX)
        return qzi_coco_wrong(r, "'%s' must be from 1 to %d", key, (int)QZI_COCO_COORDINATE_MAX);
    *side = (int32_t)number;
    return QZ_OK;
}

static qz_status read_image(truth_reader *t, const json_t *entry)
{
    qz_coco_image image = {.file_name = text_of(entry, "file_name")};
    QZI_TRY(qzi_coco_id(&t->at, entry, "id", &image.id));
    QZI_TRY(read_side(&t->at, entry, "width", &image.width));
    QZI_TRY(read_side(&t->at, entry, "height", &image.height));
    if (!image.width != !image.height)
        return qzi_coco_wrong(&t->at, "'width' and 'height' go together");
    return qz_coco_add_image(t->coco, &image);
}

static qz_status read_category(truth_reader *t, const json_t *entry)
{
    int64_t id;
    QZI_TRY(qzi_coco_id(&t->at, entry, "id", &id));
    return qz_coco_add_category(t->coco, id, text_of(entry, "name"));
}

static qz_status read_crowd(const qzi_coco_reader *r, const json_t *entry, bool *crowd)
{
    const json_t *value = json_object_get(entry, "iscrowd");
    *crowd = json_is_true(value) || json_integer_value(value) == 1;
    if (value && !*crowd && !json_is_false(value) &&
        !(json_is_integer(value) && json_integer_value(value) == 0))
        return qzi_coco_wrong(r, "'iscrowd' must be 0 or 1");
    return QZ_OK;
}

static qz_status read_object(truth_reader *t, const json_t *entry)
{
    const qzi_coco_reader *r = &t->at;
    qzi_coco_item item = {0};
    int64_t id, image, category;
    QZI_TRY(qzi_check_cancelled(r->ctx));
    QZI_TRY(qzi_coco_id(r, entry, "id", &id));
    QZI_TRY(qzi_coco_id(r, entry, "image_id", &image));
    QZI_TRY(qzi_coco_id(r, entry, "category_id", &category));
    QZI_TRY(qzi_coco_number(r, entry, "area", &item.area[0]));
    QZI_TRY(read_crowd(r, entry, &item.crowd));
    item.image = qzi_coco_find_image(t->coco, image);
    item.category = qzi_coco_find_category(t->coco, category);
    if (item.image == QZI_COCO_NONE)
        return qzi_coco_wrong(r, "there is no image of id %lld", (long long)image);
    if (item.category == QZI_COCO_NONE)
        return qzi_coco_wrong(r, "there is no category of id %lld", (long long)category);
    if (item.area[0] < 0)
        return qzi_coco_wrong(r, "its area is negative");
    item.area[1] = item.area[0];
    item.zero_id = id == 0;
    t->ids[r->index] = id;
    const qz_coco_image *where = &t->coco->images[item.image];
    QZI_TRY(qzi_coco_box(r, entry, where, &item.has_box, item.box));
    QZI_TRY(qzi_coco_segmentation(r, entry, where, &item.has_mask, &item.mask));
    return qzi_coco_items_add(r->ctx, &t->coco->objects, &item);
}

static qz_status read_list(truth_reader *t, const json_t *root, const char *key,
                           qz_status (*read)(truth_reader *, const json_t *))
{
    const json_t *list = json_object_get(root, key);
    if (!json_is_array(list))
        return qzi_fail(t->at.ctx, QZ_ERR_FORMAT,
                        "%s: '%s' must be a list; is it an annotation "
                        "file of COCO's format?",
                        t->at.path, key);
    t->at.list = key;
    for (t->at.index = 0; t->at.index < json_array_size(list); t->at.index++) {
        const json_t *entry = json_array_get(list, t->at.index);
        if (!json_is_object(entry))
            return qzi_coco_wrong(&t->at, "must be an object");
        QZI_TRY(read(t, entry));
    }
    return QZ_OK;
}

static bool id_before(const void *arg, size_t a, size_t b)
{
    const int64_t *ids = arg;
    return ids[a] != ids[b] ? ids[a] < ids[b] : a < b;
}

static qz_status check_ids(truth_reader *t)
{
    const size_t count = t->coco->objects.count;
    qz_status st = QZ_OK;
    size_t *order = qzi_calloc(t->at.ctx, count, sizeof(*order));
    if (!order)
        return QZ_ERR_MEMORY;
    qzi_sort_indices(order, count, id_before, t->ids);
    for (size_t i = 1; i < count && st == QZ_OK; i++) {
        t->at.index = order[i];
        if (t->ids[order[i]] == t->ids[order[i - 1]])
            st = qzi_coco_wrong(&t->at, "id %lld is there twice", (long long)t->ids[order[i]]);
    }
    qzi_free(t->at.ctx, order);
    return st;
}

static qz_status read_root(truth_reader *t, const json_t *root)
{
    if (!json_is_object(root))
        return qzi_fail(t->at.ctx, QZ_ERR_FORMAT,
                        "%s: must be an object with images, categories and annotations",
                        t->at.path);
    QZI_TRY(read_list(t, root, "images", read_image));
    QZI_TRY(read_list(t, root, "categories", read_category));
    QZI_TRY(qzi_coco_index_ids(t->coco));
    const size_t count = json_array_size(json_object_get(root, "annotations"));
    t->ids = qzi_calloc(t->at.ctx, count, sizeof(*t->ids));
    if (!t->ids)
        return QZ_ERR_MEMORY;
    QZI_TRY(read_list(t, root, "annotations", read_object));
    return check_ids(t);
}

qz_status qz_coco_open(qz_context *context, const char *path, qz_coco **coco)
{
    json_t *root = NULL;
    if (!path)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_coco_open: NULL argument");
    QZI_TRY(qz_coco_create(context, path, coco));
    truth_reader t = {.at = {.ctx = context, .path = path}, .coco = *coco};
    qz_status st = qzi_coco_load(context, path, "annotations", &root);
    if (st == QZ_OK)
        st = read_root(&t, root);
    json_decref(root);
    qzi_free(context, t.ids);
    if (st != QZ_OK) {
        qz_coco_close(*coco);
        *coco = NULL;
    }
    return st;
}

#else

qz_status qz_coco_open(qz_context *context, const char *path, qz_coco **coco)
{
    if (coco)
        *coco = NULL;
    return qzi_fail(context, QZ_ERR_UNSUPPORTED,
                    "%s: this build reads no annotations; rebuild it with -Dcoco=enabled",
                    path ? path : "qz_coco_open");
}

#endif

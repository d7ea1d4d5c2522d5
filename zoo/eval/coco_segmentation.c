/* SPDX-License-Identifier: MIT */
/* coco_segmentation.c - COCO's three forms of a mask: polygons, run lengths, compressed ones. */
#include "zoo/eval/coco_json.h"

#include <math.h>
#include <string.h>

/* One polygon, checked; *xy is the caller's to free. */
static qz_status read_polygon(const qzi_coco_reader *r, const json_t *list, double **xy)
{
    const size_t count = json_array_size(list);
    if (!json_is_array(list))
        return qzi_coco_wrong(r, "'segmentation' must be a list of polygons, or run lengths");
    if (count % 2 != 0)
        return qzi_coco_wrong(r, "a polygon has an odd number of coordinates");
    if (count < 6)
        return qzi_coco_wrong(r, "a polygon has fewer than three points");
    *xy = qzi_calloc(r->ctx, count, sizeof(**xy));
    if (!*xy)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        (*xy)[i] = json_number_value(value);
        if (!json_is_number(value))
            return qzi_coco_wrong(r, "a polygon has a coordinate that is no number");
        if (fabs((*xy)[i]) > QZI_COCO_COORDINATE_MAX)
            return qzi_coco_wrong(r, "a polygon has a coordinate that no image has");
    }
    return QZ_OK;
}

static qz_status read_polygons(const qzi_coco_reader *r, const json_t *list,
                               const qz_coco_image *image, qzi_coco_mask *mask)
{
    qz_status st = QZ_OK;
    for (size_t i = 0; i < json_array_size(list) && st == QZ_OK; i++) {
        const json_t *polygon = json_array_get(list, i);
        double *xy = NULL;
        qzi_coco_mask one = {0};
        st = read_polygon(r, polygon, &xy);
        if (st == QZ_OK && image->width)
            st = qzi_coco_mask_of_polygon(r->ctx, xy, json_array_size(polygon) / 2, image->width,
                                          image->height, &one);
        qzi_free(r->ctx, xy);
        if (st == QZ_OK)
            st = qzi_coco_mask_join(r->ctx, mask, &one);
    }
    return st;
}

/* NULL, or what is wrong. */
static const char *add_runs(qzi_coco_runs *runs, const json_t *list, qz_status *st)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_integer(value))
            return "a run length is no whole number";
        if (json_integer_value(value) < 0)
            return "a run length is negative";
        if (!qzi_coco_runs_add(runs, (uint64_t)json_integer_value(value), st))
            return "its run lengths are longer than the image";
    }
    return NULL;
}

static qz_status read_runs(const qzi_coco_reader *r, const json_t *object,
                           const qz_coco_image *image, qzi_coco_mask *mask)
{
    const json_t *size = json_object_get(object, "size");
    const json_t *counts = json_object_get(object, "counts");
    const json_int_t h = json_integer_value(json_array_get(size, 0));
    const json_int_t w = json_integer_value(json_array_get(size, 1));
    if (!size || !counts)
        return qzi_coco_wrong(r, "'segmentation' lacks '%s'", size ? "counts" : "size");
    if (json_array_size(size) != 2 || h <= 0 || w <= 0 || h > INT32_MAX || w > INT32_MAX)
        return qzi_coco_wrong(r, "the mask's 'size' must be [height, width]");
    if (!json_is_array(counts) && !json_is_string(counts))
        return qzi_coco_wrong(r, "the mask's 'counts' must be a list or a text");
    if (image->width && (w != image->width || h != image->height))
        return qzi_coco_wrong(r, "the mask is of %lldx%lld pixels, and the image of %dx%d",
                              (long long)w, (long long)h, (int)image->width, (int)image->height);
    if (w * h > (json_int_t)QZI_COCO_PIXELS_MAX)
        return qzi_coco_wrong(r, "the image is too large for masks: more than 2^28 pixels");
    qzi_coco_runs runs = {.ctx = r->ctx, .pixels = (uint32_t)(w * h)};
    qz_status st = QZ_OK;
    const char *fault = json_is_array(counts)
                            ? add_runs(&runs, counts, &st)
                            : qzi_coco_runs_of_text(&runs, json_string_value(counts), &st);
    if (!fault && runs.at != runs.pixels)
        fault = "its run lengths do not sum up to the image";
    *mask = runs.mask;
    return st != QZ_OK ? st : fault ? qzi_coco_wrong(r, "%s", fault) : QZ_OK;
}

qz_status qzi_coco_segmentation(const qzi_coco_reader *r, const json_t *entry,
                                const qz_coco_image *image, bool *has, qzi_coco_mask *mask)
{
    const json_t *value = json_object_get(entry, "segmentation");
    qz_status st;
    *has = false;
    *mask = (qzi_coco_mask){0};
    if (!value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
        return QZ_OK;
    if ((int64_t)image->width * image->height > (int64_t)QZI_COCO_PIXELS_MAX)
        return qzi_coco_wrong(r, "the image is too large for masks: more than 2^28 pixels");
    if (json_is_array(value))
        st = read_polygons(r, value, image, mask);
    else if (json_is_object(value))
        st = read_runs(r, value, image, mask);
    else
        st = qzi_coco_wrong(r, "'segmentation' must be a list of polygons, or run lengths");
    *has = st == QZ_OK && image->width;
    if (!*has)
        qzi_coco_mask_free(r->ctx, mask);
    return st;
}

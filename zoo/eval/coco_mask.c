/* SPDX-License-Identifier: MIT */
/* coco_mask.c - masks as lists of changes: areas, intersections, unions, run lengths. */
#include "zoo/eval/coco_mask.h"

#include <string.h>

void qzi_coco_mask_free(const qz_context *ctx, qzi_coco_mask *mask)
{
    qzi_free(ctx, mask->flips);
    *mask = (qzi_coco_mask){0};
}

/* Change i, or the image's end. */
static uint32_t flip_at(const qzi_coco_mask *mask, size_t i, uint32_t end)
{
    return i < mask->count ? mask->flips[i] : end;
}

uint64_t qzi_coco_mask_area(const qzi_coco_mask *mask, uint32_t pixels)
{
    uint64_t area = 0;
    for (size_t i = 0; i < mask->count; i += 2)
        area += flip_at(mask, i + 1, pixels) - mask->flips[i];
    return area;
}

uint64_t qzi_coco_mask_common(const qzi_coco_mask *a, const qzi_coco_mask *b, uint32_t pixels)
{
    uint64_t common = 0;
    for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
        const uint32_t a_end = flip_at(a, i + 1, pixels), b_end = flip_at(b, k + 1, pixels);
        const uint32_t begin = QZI_MAX(a->flips[i], b->flips[k]), end = QZI_MIN(a_end, b_end);
        if (end > begin)
            common += end - begin;
        if (a_end <= b_end)
            i += 2;
        else
            k += 2;
    }
    return common;
}

qz_status qzi_coco_mask_join(const qz_context *ctx, qzi_coco_mask *a, qzi_coco_mask *b)
{
    qz_status st = QZ_OK;
    uint32_t *flips = qzi_calloc(ctx, a->count + b->count, sizeof(*flips));
    size_t count = 0, i = 0, k = 0;
    bool is_in = false;
    if (!flips)
        st = QZ_ERR_MEMORY;
    while (flips && (i < a->count || k < b->count)) {
        const uint32_t x = flip_at(a, i, UINT32_MAX), y = flip_at(b, k, UINT32_MAX);
        i += x <= y;
        k += y <= x;
        if (((i | k) & 1) != is_in) { /* an odd number of changes: inside */
            is_in = !is_in;
            flips[count++] = QZI_MIN(x, y);
        }
    }
    qzi_coco_mask_free(ctx, b);
    if (st == QZ_OK) {
        qzi_free(ctx, a->flips);
        *a = (qzi_coco_mask){.flips = flips, .count = count};
    }
    return st;
}

qz_status qzi_coco_mask_of_bytes(const qz_context *ctx, const uint8_t *bytes, int32_t width,
                                 int32_t height, qzi_coco_mask *mask)
{
    size_t count = 0;
    *mask = (qzi_coco_mask){0};
    for (int pass = 0; pass < 2; pass++) { /* the first counts */
        bool value = false;
        if (pass && !(mask->flips = qzi_calloc(ctx, count, sizeof(*mask->flips))))
            return QZ_ERR_MEMORY;
        for (int32_t x = 0; x < width; x++) {
            for (int32_t y = 0; y < height; y++) {
                if ((bytes[(size_t)y * (size_t)width + (size_t)x] != 0) == value)
                    continue;
                value = !value;
                if (pass)
                    mask->flips[mask->count++] = (uint32_t)x * (uint32_t)height + (uint32_t)y;
                else
                    count++;
            }
        }
    }
    return QZ_OK;
}

/* ---- run lengths ---- */

bool qzi_coco_runs_add(qzi_coco_runs *runs, uint64_t length, qz_status *st)
{
    qzi_coco_mask *mask = &runs->mask;
    if (length > runs->pixels - runs->at)
        return false;
    if (runs->started && mask->count && mask->flips[mask->count - 1] == runs->at) {
        mask->count--; /* a run of 0 pixels lies between two changes, which undo each other */
    } else if (runs->started && runs->at < runs->pixels) {
        if (*st == QZ_OK)
            *st = qzi_grow(runs->ctx, &mask->flips, &runs->capacity, mask->count,
                           sizeof(*mask->flips));
        if (*st == QZ_OK)
            mask->flips[mask->count++] = (uint32_t)runs->at;
    }
    runs->at += length;
    runs->started = true;
    return true;
}

/*
 * Five bits a character from '0' on, the lowest first; 32: more follow; 16 in the last: negative.
 * From the fourth run on it is the difference to the last but one.
 */
const char *qzi_coco_runs_of_text(qzi_coco_runs *runs, const char *text, qz_status *st)
{
    int64_t before[2] = {0, 0}; /* the last two runs */
    for (size_t n = 0; *text; n++) {
        int64_t run = 0;
        unsigned bits = 0, c;
        do {
            c = (unsigned)(unsigned char)*text - 48U;
            if (*text == '\0' || c > 63 || bits > 35)
                return "its compressed run lengths are damaged";
            run += (int64_t)(c & 31) << bits;
            bits += 5;
            text++;
        } while (c & 32);
        if (c & 16)
            run -= (int64_t)1 << bits;
        run += n > 2 ? before[0] : 0;
        if (run < 0)
            return "a run length is negative";
        if (!qzi_coco_runs_add(runs, (uint64_t)run, st))
            return "its run lengths are longer than the image";
        before[0] = before[1];
        before[1] = run;
    }
    return NULL;
}

/* SPDX-License-Identifier: MIT */
/* anchors.c - torchvision's AnchorGenerator and DefaultBoxGenerator, one anchor at a time. */
#include "zoo/detection/boxes.h"

#include <math.h>

/* AnchorGenerator.generate_anchors: ratios outside, sizes inside; rounded half to even. */
static void cell_anchors(const qzi_detector *d, int32_t k, qzi_box *base)
{
    for (int32_t r = 0; r < d->ratio_count; r++) {
        const float h_ratio = sqrtf(d->ratios[r]), w_ratio = 1.0f / h_ratio;
        for (int32_t s = 0; s < d->size_count; s++) {
            const float w = w_ratio * d->sizes[k][s], h = h_ratio * d->sizes[k][s];
            const float x = qzi_rnef(w / 2.0f), y = qzi_rnef(h / 2.0f);
            *base++ = (qzi_box){-x, -y, x, y};
        }
    }
}

/* DefaultBoxGenerator._generate_wh_pairs, in double as Python computes them, clamped to [0, 1]. */
static void wh_pairs(const qzi_detector *d, int32_t k, qzi_box *base)
{
    const double s = d->dbox_scales[k], prime = sqrt(s * d->dbox_scales[k + 1]);
    *base++ = (qzi_box){.x1 = qzi_clip((float)s, 1.0f), .y1 = qzi_clip((float)s, 1.0f)};
    *base++ = (qzi_box){.x1 = qzi_clip((float)prime, 1.0f), .y1 = qzi_clip((float)prime, 1.0f)};
    for (int32_t r = 0; r < d->dbox_ratio_count[k]; r++) {
        const double root = sqrt((double)d->dbox_ratios[k][r]);
        const float w = qzi_clip((float)(s * root), 1.0f);
        const float h = qzi_clip((float)(s / root), 1.0f);
        *base++ = (qzi_box){.x1 = w, .y1 = h};
        *base++ = (qzi_box){.x1 = h, .y1 = w};
    }
}

qz_status qzi_anchors_make(const qz_context *ctx, const qzi_detector *d, int32_t image_h,
                           int32_t image_w, const int32_t *heights, const int32_t *widths,
                           qzi_anchors *anchors)
{
    *anchors = (qzi_anchors){
        .kind = d->kind, .levels = d->levels, .image_h = (float)image_h, .image_w = (float)image_w};
    for (int32_t k = 0; k < d->levels; k++) {
        qzi_anchor_level *level = &anchors->level[k];
        level->h = heights[k];
        level->w = widths[k];
        level->count = qzi_detector_anchors(d, k);
        level->first = anchors->count;
        if (level->h < 1 || level->w < 1)
            return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                            "image of %d x %d: it is too small for the detector's map %d", image_h,
                            image_w, k);
        anchors->count += (int64_t)level->h * level->w * level->count;
        if (d->kind == QZI_DETECTOR_SSD) {
            /* the places' share of the image: float(image) / step, or the map's own size */
            const int32_t step = d->dbox_steps[k];
            level->stride_x = step > 0 ? (float)((double)image_w / step) : (float)level->w;
            level->stride_y = step > 0 ? (float)((double)image_h / step) : (float)level->h;
            wh_pairs(d, k, level->base);
        } else {
            level->stride_x = (float)(image_w / level->w);
            level->stride_y = (float)(image_h / level->h);
            cell_anchors(d, k, level->base);
        }
    }
    return QZ_OK;
}

static qzi_box default_box(const qzi_anchors *anchors, const qzi_anchor_level *level, qzi_box base,
                           float x, float y)
{
    const float cx = (x + 0.5f) / level->stride_x, cy = (y + 0.5f) / level->stride_y;
    const float half_w = 0.5f * base.x1, half_h = 0.5f * base.y1;
    return (qzi_box){(cx - half_w) * anchors->image_w, (cy - half_h) * anchors->image_h,
                     (cx + half_w) * anchors->image_w, (cy + half_h) * anchors->image_h};
}

qzi_box qzi_anchor_at(const qzi_anchors *anchors, int32_t k, int64_t index)
{
    const qzi_anchor_level *level = &anchors->level[k];
    const int64_t place = index / level->count;
    const qzi_box base = level->base[index % level->count];
    const float x = (float)(place % level->w), y = (float)(place / level->w);
    if (anchors->kind == QZI_DETECTOR_SSD)
        return default_box(anchors, level, base, x, y);
    const float left = x * level->stride_x, top = y * level->stride_y; /* exact below 2^24 */
    return (qzi_box){left + base.x1, top + base.y1, left + base.x2, top + base.y2};
}

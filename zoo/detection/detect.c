/* SPDX-License-Identifier: MIT */
/* detect.c - the stages of a detector, in order, and what is computed between them. */
#include "zoo/detection/detect.h"
#include "zoo/detection/mask_post.h"
#include "zoo/detection/outputs.h"
#include "zoo/detection/post.h"
#include "zoo/detection/roi_align.h"
#include "zoo/detection/transform.h"

#define BOX_POOL 7
#define MASK_POOL 14
/* RoIs of the mask stage that calibration and analysis see at least, where there are so many. */
#define MASK_ROIS_SEEN 8

struct qzi_detect_memory {
    qzk_kernels kernels;
    qzi_found found; /* in the resized image */
    qzi_found rois;  /* of the box stage; labels and scores of fixed ones are 0 */
    qzi_found mask_rois;
    qzi_yolo_input yolo;
    size_t list_room, mask_room;
};

/* What one call of qzi_detect looks at. */
typedef struct run {
    const qzi_detect_call *call;
    qzi_detections *out;
    qzi_detect_memory *memory;
    qzi_transform_size size;
    qz_letterbox box; /* YOLO */
    qzi_anchors anchors;
    qzi_post post;
    qzi_map features[QZI_DETECTOR_LEVELS];
    size_t mask_first; /* row of the mask stage that belongs to the first detection */
} run;

/* ---- outputs ---- */

static bool finite(const qzi_map *map)
{
    const qzk_view *v = &map->view;
    if (qzi_map_is_u8(map))
        return true;
    if (v->pixel_stride == v->c)
        return qzi_all_finite(v->data, (size_t)(qzi_map_pixels(map) * v->c));
    for (int64_t p = 0; p < qzi_map_pixels(map); p++)
        if (!qzi_all_finite((const float *)v->data + p * v->pixel_stride, (size_t)v->c))
            return false;
    return true;
}

/* An output of `channels` channels (0: of any). */
static qz_status map_of(const run *r, const qzi_exec *exec, const char *name, int32_t level,
                        int64_t channels, qzi_map *map)
{
    QZI_TRY(qzi_detector_map(r->call->graph, exec, name, level, map));
    if (channels > 0 && map->view.c != channels)
        return qzi_fail(r->call->ctx, QZ_ERR_INTERNAL, "detector: %s has %d channels, not %lld",
                        name, map->view.c, (long long)channels);
    if (!finite(map))
        return qzi_fail(r->call->ctx, QZ_ERR_NUMERIC, "detector: %s has NaN or infinity", name);
    return QZ_OK;
}

/* ---- stage 0 ---- */

static qz_status run_image(run *r, const qzi_detect_image *image, qzi_exec **exec)
{
    const qzi_detect_call *call = r->call;
    qzi_transform t = {.ctx = call->ctx,
                       .kernels = &r->memory->kernels,
                       .chw = image->chw,
                       .rgb = image->rgb,
                       .stride = image->stride,
                       .height = image->height,
                       .width = image->width,
                       .size = r->size};
    qz_status st = qzi_transform_prepare(&t, call->detector, call->threads);
    if (st == QZ_OK) {
        const qzi_exec_input input = {.fill = qzi_transform_fill,
                                      .user = &t,
                                      .n = 1,
                                      .h = r->size.padded_h,
                                      .w = r->size.padded_w};
        st = call->runner.run(call->runner.user, QZI_STAGE_IMAGE, &input, exec);
    }
    qzi_transform_release(&t);
    return st;
}

/* YOLO: a photo through the letterbox, a tensor as it is. */
static qz_status run_letterboxed(run *r, const qzi_detect_image *image, qzi_exec **exec)
{
    const qzi_detect_call *call = r->call;
    qzi_yolo_input *photo = &r->memory->yolo;
    qz_tensor tensor = {.dtype = QZ_F32,
                        .ndim = 4,
                        .dims = {QZI_MAX(image->batch, 1), 3, image->height, image->width},
                        .data = (void *)(uintptr_t)image->chw};
    qzi_exec_input input = {
        .tensor = &tensor, .n = (int32_t)tensor.dims[0], .h = r->box.height, .w = r->box.width};
    if (image->index > 0)
        return call->runner.run(call->runner.user, QZI_STAGE_IMAGE, NULL, exec);
    if (!image->chw) {
        photo->ctx = call->ctx;
        photo->in = (qzi_pixels){image->rgb, image->width, image->height, image->stride};
        photo->box = r->box;
        QZI_TRY(qzi_yolo_input_prepare(photo, call->threads));
        input.tensor = NULL;
        input.fill = qzi_yolo_input_fill;
        input.user = photo;
    }
    return call->runner.run(call->runner.user, QZI_STAGE_IMAGE, &input, exec);
}

static qz_status make_anchors(run *r, const qzi_map *maps)
{
    int32_t heights[QZI_DETECTOR_LEVELS], widths[QZI_DETECTOR_LEVELS];
    for (int32_t k = 0; k < r->call->detector->levels; k++) {
        heights[k] = maps[k].view.h;
        widths[k] = maps[k].view.w;
    }
    return qzi_anchors_make(r->call->ctx, r->call->detector, r->size.padded_h, r->size.padded_w,
                            heights, widths, &r->anchors);
}

/* One image of a batch. */
static void slice(qzi_map *map, int32_t index)
{
    const int64_t values = (int64_t)map->view.h * map->view.w * map->view.pixel_stride;
    map->view.n = 1;
    if (qzi_map_is_u8(map))
        map->view.data = (uint8_t *)map->view.data + index * values;
    else
        map->view.data = (float *)map->view.data + index * values;
}

static qz_status find_yolo(run *r, const qzi_exec *exec, int32_t index)
{
    qzi_map cls[QZ_YOLO_LEVELS], box[QZ_YOLO_LEVELS], objectness[QZ_YOLO_LEVELS];
    for (int32_t k = 0; k < QZ_YOLO_LEVELS; k++) {
        const int64_t anchors = QZ_YOLO_ANCHORS;
        QZI_TRY(map_of(r, exec, "cls_logits", k, anchors * r->call->classes, &cls[k]));
        QZI_TRY(map_of(r, exec, "bbox_regression", k, anchors * 4, &box[k]));
        QZI_TRY(map_of(r, exec, "objectness", k, anchors, &objectness[k]));
        slice(&cls[k], index);
        slice(&box[k], index);
        slice(&objectness[k], index);
    }
    return qzi_yolo_post(&r->post, &r->call->yolo, &r->call->only, box, objectness, cls,
                         &r->memory->found);
}

static qz_status find_one_stage(run *r, const qzi_exec *exec)
{
    const qzi_detector *d = r->call->detector;
    qzi_map cls[QZI_DETECTOR_LEVELS], box[QZI_DETECTOR_LEVELS], ctr[QZI_DETECTOR_LEVELS];
    for (int32_t k = 0; k < d->levels; k++) {
        const int64_t anchors = qzi_detector_anchors(d, k);
        QZI_TRY(map_of(r, exec, "cls_logits", k, anchors * r->call->classes, &cls[k]));
        QZI_TRY(map_of(r, exec, "bbox_regression", k, anchors * 4, &box[k]));
        if (d->kind == QZI_DETECTOR_FCOS)
            QZI_TRY(map_of(r, exec, "bbox_ctrness", k, anchors, &ctr[k]));
    }
    QZI_TRY(make_anchors(r, cls));
    if (d->kind == QZI_DETECTOR_RETINANET)
        return qzi_retinanet_post(&r->post, cls, box, &r->memory->found);
    if (d->kind == QZI_DETECTOR_FCOS)
        return qzi_fcos_post(&r->post, cls, box, ctr, &r->memory->found);
    return qzi_ssd_post(&r->post, cls, box, &r->memory->found);
}

/* ---- RoIs ---- */

static qz_status find_rois(run *r, const qzi_exec *exec)
{
    const qzi_detect_call *call = r->call;
    const qzi_detector *d = call->detector;
    qzi_found *rois = &r->memory->rois;
    qzi_map objectness[QZI_DETECTOR_LEVELS], deltas[QZI_DETECTOR_LEVELS];
    for (int32_t k = 0; k < d->roi_levels; k++)
        QZI_TRY(map_of(r, exec, "features", k, 0, &r->features[k]));
    for (int32_t k = 0; k < d->levels; k++) {
        const int64_t anchors = qzi_detector_anchors(d, k);
        QZI_TRY(map_of(r, exec, "rpn_objectness", k, anchors, &objectness[k]));
        QZI_TRY(map_of(r, exec, "rpn_deltas", k, anchors * 4, &deltas[k]));
    }
    QZI_TRY(make_anchors(r, objectness));
    if (call->rois) {
        QZI_TRY(qzi_found_reserve(call->ctx, rois, call->roi_count));
        for (size_t i = 0; i < call->roi_count; i++) {
            const float *b = call->rois + 4 * i;
            qzi_found_add(rois, (qzi_box){b[0], b[1], b[2], b[3]}, 0.0f, 0);
        }
        return QZ_OK;
    }
    QZI_TRY(qzi_rpn_filter(&r->post, objectness, deltas, rois));
    if (rois->count == 0 && call->all_stages) {
        const qzi_box whole = {0, 0, (float)r->size.resized_w, (float)r->size.resized_h};
        QZI_TRY(qzi_found_reserve(call->ctx, rois, 1));
        qzi_found_add(rois, whole, 0.0f, 0);
    }
    return QZ_OK;
}

/* A stage of pooled RoIs. */
static qz_status run_rois(run *r, qzi_detector_stage stage, const qzi_found *rois, int32_t size,
                          qzi_exec **exec)
{
    const qzi_detect_call *call = r->call;
    qzi_roi_align align = {.ctx = call->ctx,
                           .kernels = &r->memory->kernels,
                           .maps = r->features,
                           .levels = call->detector->roi_levels,
                           .rois = rois->boxes,
                           .count = rois->count,
                           .size = size};
    if (rois->count > INT32_MAX)
        return qzi_fail(call->ctx, QZ_ERR_ARGUMENT, "detector: %zu RoIs are too many", rois->count);
    qz_status st =
        qzi_roi_align_prepare(&align, r->size.resized_h, r->size.resized_w, call->threads);
    if (st == QZ_OK) {
        const qzi_exec_input input = {.fill = qzi_roi_align_fill,
                                      .user = &align,
                                      .n = (int32_t)rois->count,
                                      .h = size,
                                      .w = size};
        st = call->runner.run(call->runner.user, stage, &input, exec);
    }
    qzi_roi_align_release(&align);
    return st;
}

static qz_status find_boxes(run *r)
{
    const int32_t classes = r->call->classes;
    qzi_exec *exec = NULL;
    qzi_map logits, deltas;
    r->memory->found.count = 0;
    if (r->memory->rois.count == 0)
        return QZ_OK;
    QZI_TRY(run_rois(r, QZI_STAGE_BOX, &r->memory->rois, BOX_POOL, &exec));
    QZI_TRY(map_of(r, exec, "roi_cls_logits", -1, classes, &logits));
    QZI_TRY(map_of(r, exec, "roi_bbox_regression", -1, (int64_t)classes * 4, &deltas));
    if (r->call->only_rois)
        return QZ_OK;
    return qzi_rcnn_post(&r->post, &logits, &deltas, r->memory->rois.boxes, &r->memory->found);
}

/* ---- masks ---- */

static qz_status append_rois(const run *r, const qzi_found *from, size_t count)
{
    qzi_found *to = &r->memory->mask_rois;
    QZI_TRY(qzi_found_reserve(r->call->ctx, to, count));
    for (size_t i = 0; i < count; i++)
        qzi_found_add(to, from->boxes[i], from->scores[i], from->labels[i]);
    return QZ_OK;
}

/* The caller's RoIs, the detections, and what all_stages adds. */
static qz_status list_mask_rois(run *r)
{
    const qzi_found *found = &r->memory->found, *rois = &r->memory->rois;
    r->memory->mask_rois.count = 0;
    if (r->call->rois)
        QZI_TRY(append_rois(r, rois, rois->count));
    r->mask_first = r->memory->mask_rois.count;
    if (r->call->only_rois)
        return QZ_OK;
    QZI_TRY(append_rois(r, found, found->count));
    if (r->call->all_stages && found->count < MASK_ROIS_SEEN)
        QZI_TRY(append_rois(r, rois, QZI_MIN(rois->count, MASK_ROIS_SEEN - found->count)));
    return QZ_OK;
}

static qz_status find_masks(run *r)
{
    const qzi_found *found = &r->memory->found;
    qzi_exec *exec = NULL;
    qzi_map logits;
    QZI_TRY(list_mask_rois(r));
    if (found->count > r->memory->mask_room) {
        size_t bytes = 0;
        if (!qzi_mul_size(found->count, QZI_MASK_VALUES * sizeof(float), &bytes))
            return qzi_fail_memory(r->call->ctx, SIZE_MAX);
        qzi_free(r->call->ctx, r->out->masks);
        r->memory->mask_room = 0;
        r->out->masks = qzi_alloc(r->call->ctx, bytes);
        if (!r->out->masks)
            return QZ_ERR_MEMORY;
        r->memory->mask_room = found->count;
    }
    if (r->memory->mask_rois.count == 0)
        return QZ_OK;
    QZI_TRY(run_rois(r, QZI_STAGE_MASK, &r->memory->mask_rois, MASK_POOL, &exec));
    QZI_TRY(map_of(r, exec, "mask_logits", -1, r->call->classes, &logits));
    if (logits.view.h != QZI_MASK_SIDE || logits.view.w != QZI_MASK_SIDE)
        return qzi_fail(r->call->ctx, QZ_ERR_INTERNAL, "detector: mask_logits are %d x %d",
                        logits.view.h, logits.view.w);
    for (size_t i = 0; i < found->count; i++)
        qzi_mask_probabilities(&logits, (int64_t)(r->mask_first + i), found->labels[i],
                               r->out->masks + i * QZI_MASK_VALUES);
    return QZ_OK;
}

/* ---- the whole ---- */

static qz_status run_stages(run *r, const qzi_detect_image *image)
{
    const qzi_detect_call *call = r->call;
    qzi_exec *exec = NULL;
    if (call->detector->kind == QZI_DETECTOR_YOLO) {
        QZI_TRY(run_letterboxed(r, image, &exec));
        return find_yolo(r, exec, image->index);
    }
    QZI_TRY(run_image(r, image, &exec));
    if (call->detector->kind != QZI_DETECTOR_RCNN)
        return find_one_stage(r, exec);
    QZI_TRY(find_rois(r, exec));
    QZI_TRY(find_boxes(r));
    return call->detector->has_masks ? find_masks(r) : QZ_OK;
}

/* Boxes to the caller's image. */
static qz_status write_list(const run *r)
{
    const bool yolo = r->call->detector->kind == QZI_DETECTOR_YOLO;
    const qzi_found *found = &r->memory->found;
    qzi_detections *out = r->out;
    const qzi_box_scale scale =
        qzi_box_scale_of(out->resized_h, out->resized_w, out->height, out->width);
    if (found->count > r->memory->list_room) {
        qzi_free(r->call->ctx, out->list);
        r->memory->list_room = 0;
        out->list = qzi_calloc(r->call->ctx, found->count, sizeof(*out->list));
        if (!out->list)
            return QZ_ERR_MEMORY;
        r->memory->list_room = found->count;
    }
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++) {
        qzi_box b = found->boxes[i];
        if (!yolo)
            b = qzi_box_resize(b, scale);
        else if (!qzi_letterbox_to_image(&r->box, out->height, out->width, &b))
            continue;
        out->list[count++] =
            (qz_detection){b.x1, b.y1, b.x2, b.y2, found->scores[i], found->labels[i]};
    }
    out->count = count;
    return QZ_OK;
}

static float *box_floats(const qzi_found *found)
{
    return found->count > 0 ? &found->boxes[0].x1 : NULL;
}

static qz_status prepare(const qzi_detect_call *call, qzi_detections *out)
{
    out->count = out->roi_count = out->mask_roi_count = 0;
    out->rois = out->mask_rois = NULL;
    if (!out->memory) {
        out->memory = qzi_calloc(call->ctx, 1, sizeof(*out->memory));
        if (!out->memory)
            return QZ_ERR_MEMORY;
        qzk_init(&out->memory->kernels, qz_context_isa(call->ctx));
    }
    out->memory->found.count = out->memory->rois.count = out->memory->mask_rois.count = 0;
    return QZ_OK;
}

/* Sizes of the image and of what the graph is given. */
static qz_status place(run *r, const qzi_detect_image *image)
{
    const qzi_detect_call *call = r->call;
    if (call->detector->kind != QZI_DETECTOR_YOLO)
        return qzi_transform_sizes(call->ctx, call->detector, call->options, image->height,
                                   image->width, image->padded_h, image->padded_w, &r->size);
    const int32_t multiple = call->detector->size_divisor;
    if (image->chw) {
        if (image->height % multiple || image->width % multiple)
            return qzi_fail(call->ctx, QZ_ERR_ARGUMENT,
                            "an array of %d x %d is fed as it is; both sides must be multiples of "
                            "%d",
                            image->height, image->width, multiple);
        r->box = (qz_letterbox){.width = image->width,
                                .height = image->height,
                                .image_width = image->width,
                                .image_height = image->height,
                                .ratio = 1.0};
    } else {
        QZI_TRY(qz_yolo_letterbox_size(
            (qz_context *)(uintptr_t)call->ctx, image->width, image->height, call->options->fixed_w,
            call->options->fixed_h, call->options->rect ? multiple : 0, &r->box));
    }
    r->size =
        (qzi_transform_size){r->box.image_height, r->box.image_width, r->box.height, r->box.width};
    return QZ_OK;
}

qz_status qzi_detect(const qzi_detect_call *call, const qzi_detect_image *image,
                     qzi_detections *out)
{
    QZI_TRY(prepare(call, out));
    run r = {.call = call, .out = out, .memory = out->memory};
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = place(&r, image);
    if (st == QZ_OK) {
        out->height = image->height;
        out->width = image->width;
        out->resized_h = r.size.resized_h;
        out->resized_w = r.size.resized_w;
        out->padded_h = r.size.padded_h;
        out->padded_w = r.size.padded_w;
        r.post = (qzi_post){.ctx = call->ctx,
                            .threads = call->threads,
                            .detector = call->detector,
                            .options = call->options,
                            .classes = call->classes,
                            .image_h = r.size.resized_h,
                            .image_w = r.size.resized_w,
                            .anchors = &r.anchors};
        st = run_stages(&r, image);
    }
    if (st == QZ_OK)
        st = write_list(&r);
    qzi_fpenv_leave(env);
    if (st != QZ_OK)
        return st;
    out->rois = box_floats(&r.memory->rois);
    out->roi_count = r.memory->rois.count;
    out->mask_rois = box_floats(&r.memory->mask_rois);
    /* of the caller's RoIs the masks of these alone are shown */
    out->mask_roi_count = call->rois ? r.mask_first : r.memory->mask_rois.count;
    return QZ_OK;
}

void qzi_detections_free(const qz_context *ctx, qzi_detections *detections)
{
    if (detections->memory) {
        qzi_found_free(ctx, &detections->memory->found);
        qzi_found_free(ctx, &detections->memory->rois);
        qzi_found_free(ctx, &detections->memory->mask_rois);
        qzi_yolo_input_free(ctx, &detections->memory->yolo);
    }
    qzi_free(ctx, detections->memory);
    qzi_free(ctx, detections->list);
    qzi_free(ctx, detections->masks);
    *detections = (qzi_detections){0};
}

qz_status qzi_detect_paste_mask(const qz_context *ctx, const qzi_detections *detections,
                                size_t index, float *probabilities, uint8_t *bytes)
{
    const qz_detection *d = &detections->list[index];
    qzi_fpenv env = qzi_fpenv_enter();
    const qz_status st = qzi_mask_paste(ctx, detections->masks + index * QZI_MASK_VALUES,
                                        (qzi_box){d->x1, d->y1, d->x2, d->y2}, detections->height,
                                        detections->width, probabilities, bytes);
    qzi_fpenv_leave(env);
    return st;
}

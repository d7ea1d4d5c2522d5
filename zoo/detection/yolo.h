/* SPDX-License-Identifier: MIT */
/*
 * yolo.h - YOLO's steps between an image, the graph and boxes, as the files of this folder share
 * them; qzoo_yolo.h has the public ones. Private.
 */
#ifndef QZOO_ZOO_DETECTION_YOLO_H
#define QZOO_ZOO_DETECTION_YOLO_H

#include "zoo/detection/post.h"
#include "zoo/image/resize_pillow.h"
#include "zoo/qzoo_yolo.h"

/* ---- the image (yolo_letterbox.c, yolo_input.c) ---- */

/* The part of the letterbox that the image takes. */
qzi_window qzi_letterbox_window(const qz_letterbox *box);

/* A photo on its way into the graph. Zero it before the first use; its memory is reused. */
typedef struct qzi_yolo_input {
    const qz_context *ctx;
    qzi_pixels in;
    qz_letterbox box;
    qzi_resize_plan plan;
    uint8_t *scratch; /* of each thread: a band of rows, and what resizing them takes */
    size_t scratch_bytes, scratch_each;
    uint32_t threads;
} qzi_yolo_input;

/* ctx, in and box are set by the caller. QZ_ERR_MEMORY. */
qz_status qzi_yolo_input_prepare(qzi_yolo_input *input, uint32_t threads);
void qzi_yolo_input_free(const qz_context *ctx, qzi_yolo_input *input);
/* A qzi_input_fill whose user is the qzi_yolo_input: box.height x box.width x 3. */
void qzi_yolo_input_fill(void *user, const qz_context *ctx, const qzi_node *node,
                         const qzk_view *out, uint32_t threads);

/* ---- decoding (yolo_decode.c) ---- */

/* A head: its places, and what its values mean. */
typedef struct qzi_yolo_grid {
    int32_t h, w;
    float stride, scale;
    float anchors[QZ_YOLO_ANCHORS][2];
    qz_yolo_decode decode;
} qzi_yolo_grid;

qzi_yolo_grid qzi_yolo_grid_of(const qz_yolo_info *info, int32_t level, int32_t h, int32_t w);
/* The middle, width and height of the box of an anchor at a place, from its four raw values. */
void qzi_yolo_box(const qzi_yolo_grid *grid, int32_t anchor, int64_t place, const float raw[4],
                  float xywh[4]);
/* The same as corners. */
qzi_box qzi_yolo_corners(const float xywh[4]);

/* The three maps of a level as torch has them: one, NCHW, 3 * (5 + classes) channels. */
void qzi_yolo_head_values(const qzi_map *box, const qzi_map *objectness, const qzi_map *cls,
                          float *data);

/* ---- candidates and suppression (yolo_nms.c) ---- */

/* Which classes count. */
typedef struct qzi_yolo_only {
    const int32_t *classes;
    size_t count;
    bool on; /* else all */
} qzi_yolo_only;

/* Whether class c is looked for. */
bool qzi_yolo_wants(const qzi_yolo_only *only, int32_t c);

/*
 * Which of the candidates stay, the best first: *keep are their numbers, *kept how many. Candidates
 * are in the order of rows, which decides between equal scores. The caller frees *keep.
 */
qz_status qzi_yolo_suppress(const qz_context *ctx, uint32_t threads,
                            const qz_detection_options *options, const qzi_found *found,
                            uint32_t **keep, size_t *kept);

/* Of the maps of three levels: boxes in the network's input replace what is in *found
 * (yolo_post.c). */
qz_status qzi_yolo_post(const qzi_post *post, const qz_yolo_info *info, const qzi_yolo_only *only,
                        const qzi_map *box, const qzi_map *objectness, const qzi_map *cls,
                        qzi_found *found);

/* A box of the network's input in the image, cut to it; false: nothing is left (yolo_letterbox.c).
 */
bool qzi_letterbox_to_image(const qz_letterbox *box, int32_t height, int32_t width, qzi_box *b);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * qzoo_yolo.h - YOLO from an image to boxes, one function a step: letterbox, decode, suppression,
 * boxes back in the image. A session does all of them by itself (qzoo_session.h); these functions
 * are for applications that run the network elsewhere, or replace one step.
 *
 *   qz_yolo_letterbox_size, qz_yolo_letterbox   an image of any size to the network's input
 *   qz_yolo_decode_heads                        raw heads to rows: box, objectness, classes
 *   qz_yolo_nms                                 rows to detections
 *   qz_yolo_to_image                            detections from the network's input to the image
 */
#ifndef QZOO_YOLO_H
#define QZOO_YOLO_H

#include "qzoo_base.h"
#include "qzoo_detection.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QZ_YOLO_LEVELS 3  /* heads: P3, P4, P5 */
#define QZ_YOLO_ANCHORS 3 /* at a place of a head */
#define QZ_YOLO_PAD 114   /* the gray around a letterboxed image */

/* ---- letterbox ---- */

/* Where an image is in the network's input. */
typedef struct qz_letterbox {
    int32_t width, height;             /* of the network's input */
    int32_t left, top;                 /* gray columns and rows before the image */
    int32_t image_width, image_height; /* of the image after resizing */
    double ratio;                      /* resized / original, of both sides */
} qz_letterbox;

/*
 * Places an image of width x height in an input of net_width x net_height: as large as fits, with
 * its proportions, in the middle (also enlarged). stride 0: the input has the whole size; otherwise
 * only as much gray is left as makes both sides multiples of stride, which is 32.
 * QZ_ERR_ARGUMENT: a side below 1, or an image so narrow that nothing is left of it.
 */
QZ_API qz_status qz_yolo_letterbox_size(qz_context *context, int32_t width, int32_t height,
                                        int32_t net_width, int32_t net_height, int32_t stride,
                                        qz_letterbox *box);
/*
 * The letterboxed image: box->height rows of box->width * 3 bytes into `out`, resized as Pillow's
 * BILINEAR does (with antialiasing), gray of QZ_YOLO_PAD around. `rgb`: width x height pixels, rows
 * of `stride` bytes. QZ_ERR_ARGUMENT, QZ_ERR_MEMORY.
 */
QZ_API qz_status qz_yolo_letterbox(qz_context *context, const uint8_t *rgb, int32_t width,
                                   int32_t height, size_t stride, const qz_letterbox *box,
                                   uint8_t *out);

/* ---- decode ---- */

/* What the heads of a model mean. */
typedef struct qz_yolo_info {
    int32_t classes;
    int32_t strides[QZ_YOLO_LEVELS];                   /* pixels between places: 8, 16, 32 */
    float anchors[QZ_YOLO_LEVELS][QZ_YOLO_ANCHORS][2]; /* width and height in pixels */
    float scale_xy[QZ_YOLO_LEVELS];                    /* darknet's factor of x and y */
    qz_yolo_decode decode;
} qz_yolo_info;

/* Of a model, with the anchors that its weights brought. QZ_ERR_UNSUPPORTED: it is no YOLO. */
QZ_API qz_status qz_model_yolo_info(const qz_model *model, qz_yolo_info *info);

/*
 * Raw heads, float32, N x 3 * (5 + classes) x H x W, P3 first, to rows (N, R, 5 + classes): x and y
 * of the box's middle, its width and height in pixels of the network's input; objectness and
 * classes as probabilities, not multiplied. R counts the levels, in each the anchors, in each the
 * rows and columns of places. Sets type and dims of *rows, and writes its data, which the caller
 * owns; data NULL: only the dims. QZ_ERR_ARGUMENT: heads of other shapes.
 */
QZ_API qz_status qz_yolo_decode_heads(qz_context *context, const qz_yolo_info *info,
                                      const qz_tensor heads[QZ_YOLO_LEVELS], qz_tensor *rows);

/* ---- suppression ---- */

/*
 * Detections of one image's rows (row_count x (5 + classes)), the most certain first, boxes in
 * pixels of the network's input. A row is a candidate of its best class (options->multi_label: of
 * every class) where objectness and objectness * class, the score, are above score_thresh. A
 * box goes where a better one of its class (options->agnostic: of any class) overlaps it by more
 * than nms_thresh. At most detections_per_img are kept, of the topk_candidates best ones.
 * only: the classes that are looked for, `only_count` of them; NULL: all.
 * `list` has room for detections_per_img; *count is the number of detections. row_of, which may be
 * NULL, gets the row of each. QZ_ERR_ARGUMENT, QZ_ERR_MEMORY.
 */
QZ_API qz_status qz_yolo_nms(qz_context *context, const float *rows, size_t row_count,
                             int32_t classes, const qz_detection_options *options,
                             const int32_t *only, size_t only_count, qz_detection *list,
                             size_t *row_of, size_t *count);

/* ---- back to the image ---- */

/*
 * Boxes of the network's input become boxes of the image of width x height, cut to it; those that
 * nothing is left of are dropped, and *count falls. QZ_ERR_ARGUMENT.
 */
QZ_API qz_status qz_yolo_to_image(qz_context *context, const qz_letterbox *box, int32_t width,
                                  int32_t height, qz_detection *list, size_t *count);

#ifdef __cplusplus
}
#endif
#endif

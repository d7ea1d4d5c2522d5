/* SPDX-License-Identifier: MIT */
/*
 * detect.h - an image through all stages of a detector, to boxes. Private.
 *
 * The stages are parts of one graph (detector.h). Who runs them differs: a session, the
 * calibration, the comparison of float and int8. So the caller gives a runner.
 */
#ifndef QZOO_ZOO_DETECTION_DETECT_H
#define QZOO_ZOO_DETECTION_DETECT_H

#include "layers/graph/exec.h"
#include "zoo/detection/yolo.h"

typedef struct qzi_stage_runner {
    /* Runs one stage from its input, the others absent. *exec has the outputs until this stage runs
     * again: each stage has an executor of its own. input NULL: *exec as it is after the last run.
     */
    qz_status (*run)(void *user, qzi_detector_stage stage, const qzi_exec_input *input,
                     qzi_exec **exec);
    void *user;
} qzi_stage_runner;

/* An image as the caller has it: one of the two pointers. YOLO feeds chw as it is. */
typedef struct qzi_detect_image {
    const float *chw;   /* 3 x height x width, from 0 to 1, as torchvision's detectors take it */
    const uint8_t *rgb; /* 8-bit RGB, rows of `stride` bytes */
    size_t stride;
    int32_t width, height;
    int32_t padded_h, padded_w; /* of the network's input; 0: what this image alone needs */
    /* YOLO: chw is the first of `batch` images that run at once, when this is number 0 of them */
    int32_t batch, index;
} qzi_detect_image;

typedef struct qzi_detect_call {
    const qz_context *ctx;
    const qz_graph *graph; /* float or int8: its outputs' order is that of the executors */
    const qzi_detector *detector;
    const qz_detection_options *options;
    int32_t classes; /* with the background where the kind has one */
    uint32_t threads;
    qzi_stage_runner runner;
    qz_yolo_info yolo;  /* YOLO */
    qzi_yolo_only only; /* YOLO: the classes that are looked for */
    /* RCNN: boxes x1 y1 x2 y2 in the resized, padded image, in place of the proposals; NULL: none.
     * The mask stage runs on these boxes too, box by box. */
    const float *rois;
    size_t roi_count;
    /* calibration and analysis: where too few boxes pass the thresholds, the mask stage runs on the
     * best proposals, so that no stage stays unseen */
    bool all_stages;
    /* comparison: the stages run on `rois` and on nothing else, however the scores come out, so
     * that two graphs run on the same boxes; nothing is detected */
    bool only_rois;
} qzi_detect_call;

typedef struct qzi_detect_memory qzi_detect_memory; /* of detect.c */

/* Results and what led to them. Zero it before the first use; qzi_detect reuses its memory. */
typedef struct qzi_detections {
    qz_detection *list; /* in torchvision's order */
    size_t count;
    float *masks;          /* count x 28 x 28 probabilities of each label; NULL: no masks */
    int32_t width, height; /* of the caller's image */
    int32_t resized_h, resized_w, padded_h, padded_w;
    float *rois; /* roi_count x 4, what the box stage ran on: the proposals, or call->rois */
    size_t roi_count;
    float *mask_rois; /* mask_roi_count x 4, what the mask stage ran on */
    size_t mask_roi_count;
    qzi_detect_memory *memory;
} qzi_detections;

/*
 * QZ_ERR_ARGUMENT: an image that cannot be resized as the options say. QZ_ERR_NUMERIC: a head gave
 * NaN or infinity. QZ_ERR_MEMORY, and what the runner fails with. *out has no detections then.
 */
qz_status qzi_detect(const qzi_detect_call *call, const qzi_detect_image *image,
                     qzi_detections *out);
void qzi_detections_free(const qz_context *ctx, qzi_detections *detections);

/*
 * Raw values of the last qzi_detect, as torchvision's heads give them, float32: "cls_logits"
 * (1, A, classes), "bbox_regression" (1, A, 4), "bbox_ctrness" (1, A, 1); "rpn_objectness.K",
 * "rpn_deltas.K" (NCHW), "proposals" (P, 4), and "roi_cls_logits", "roi_bbox_regression",
 * "mask_logits" where those stages ran. YOLO: "head.K" (1, 3 * (5 + classes), H, W) and "decoded"
 * (1, R, 5 + classes). `execs`: those of the runner, by stage.
 */
size_t qzi_detect_raw_count(const qzi_detect_call *call);
/* Number `index`: its name, and dims of *tensor; data where `data` is not NULL (room for it).
 * detections NULL, before an image was run: the name only. */
qz_status qzi_detect_raw(const qzi_detect_call *call, const qzi_detections *detections,
                         qzi_exec *const execs[QZI_STAGE_COUNT], size_t index, char name[32],
                         qz_tensor *tensor, float *data);

/* The mask of detection `index` on the caller's image: height x width probabilities, or bytes that
 * are 1 where the probability is above one half. One of the two outputs. */
qz_status qzi_detect_paste_mask(const qz_context *ctx, const qzi_detections *detections,
                                size_t index, float *probabilities, uint8_t *bytes);

#endif

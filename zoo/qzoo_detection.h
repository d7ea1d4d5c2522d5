/* SPDX-License-Identifier: MIT */
/*
 * qzoo_detection.h - settings of object detectors, by the names of torchvision's constructors.
 */
#ifndef QZOO_DETECTION_H
#define QZOO_DETECTION_H

#include "qzoo_base.h"
#include "qzoo_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One object. The box is in pixels of the caller's image, x2 and y2 excluded, inside the image. */
typedef struct qz_detection {
    float x1, y1, x2, y2;
    float score;   /* probability, from 0 to 1 */
    int32_t label; /* class, as qz_model_class names it */
} qz_detection;

/* How YOLO's raw values become boxes. */
typedef enum qz_yolo_decode {
    QZ_YOLO_DECODE_V5 = 0, /* ultralytics: sigmoids alone */
    QZ_YOLO_DECODE_DARKNET /* exp for width and height */
} qz_yolo_decode;

/*
 * Settings of a detector. All values count, also zeros: begin with qz_detection_options_default,
 * then change what should differ. Sizes are in pixels, thresholds from 0 to 1. As in PyTorch, an
 * overlap is compared with the double and a score with its nearest float.
 */
typedef struct qz_detection_options {
    size_t size; /* sizeof(qz_detection_options) */
    /* RetinaNet, FCOS, SSD, YOLO */
    double score_thresh;        /* a score must be above it */
    double nms_thresh;          /* an overlap (IoU) above it suppresses the lower score */
    int32_t detections_per_img; /* at most */
    /* before NMS, of a level (RetinaNet, FCOS), a class (SSD) or the image (YOLO) */
    int32_t topk_candidates;
    /* Faster R-CNN, Mask R-CNN */
    int32_t rpn_pre_nms_top_n_test;  /* proposals of a level, before NMS */
    int32_t rpn_post_nms_top_n_test; /* proposals of the image, after NMS */
    double rpn_nms_thresh;
    double rpn_score_thresh; /* a proposal's score must be at least this */
    double box_score_thresh;
    double box_nms_thresh;
    int32_t box_detections_per_img;
    /* the image is resized so that its shorter side is min_size, or its longer side max_size,
     * whichever is smaller; not of SSD */
    int32_t min_size, max_size;
    /* SSD, YOLO: the network's input; 0 for the others. YOLO: multiples of 32 */
    int32_t fixed_h, fixed_w;
    /* YOLO; the first three are 0 or 1 */
    int32_t agnostic;    /* boxes of all classes suppress one another */
    int32_t multi_label; /* a box is one of every class above score_thresh, not of its best alone */
    int32_t rect;        /* the input is as small as the image's proportions allow, not the whole */
    int32_t decode;      /* qz_yolo_decode */
} qz_detection_options;

/* torchvision's defaults of a detector. QZ_ERR_UNKNOWN_NAME; QZ_ERR_UNSUPPORTED: `name` is no
 * detector. */
QZ_API qz_status qz_detection_options_default(qz_context *context, const char *name,
                                              qz_detection_options *options);
/*
 * Sets one value by its name ("score_thresh", …) of the detector `name`. fixed_h and fixed_w have
 * no names. QZ_ERR_ARGUMENT: the detector has no such setting (the message has all names),
 * or the value makes no sense (the message has the range); the options are then unchanged.
 */
QZ_API qz_status qz_detection_options_set(qz_context *context, const char *name,
                                          qz_detection_options *options, const char *setting,
                                          double value);

/* The settings of a model, at first torchvision's defaults. Saved models and ONNX files keep
 * them. Not while one of its sessions runs; sizes of images before the first one.
 * QZ_ERR_UNSUPPORTED: the model is no detector. */
QZ_API qz_status qz_model_get_detection_options(const qz_model *model,
                                                qz_detection_options *options);
/* The same errors; QZ_ERR_ARGUMENT: a value that makes no sense, or another `size`. */
QZ_API qz_status qz_model_set_detection_options(qz_model *model,
                                                const qz_detection_options *options);

/* ---- results of a session ---- */

/*
 * qz_session_run takes images from 0 to 1, N x 3 x H x W, qz_session_run_u8 and
 * qz_session_run_pixels images of any sizes; the detector's own transform follows. Each image of a
 * batch goes through the stages by itself. qz_session_output gives the raw values of the last image
 * as torchvision's heads do: cls_logits, bbox_regression, …
 *
 * YOLO letterboxes images of bytes (qzoo_yolo.h). A tensor is fed as it is, its images at once, and
 * its sides are multiples of 32. Raw values are head.0 to head.2 and decoded, of all its images.
 */

/* The objects of image `image` of the last run, the most certain first; the list belongs to the
 * session until its next run. */
QZ_API qz_status qz_session_detections(const qz_session *session, size_t image,
                                       const qz_detection **list, size_t *count);
/*
 * Where the time of a run went, in seconds, all its images together. `transform` resizes,
 * normalises and quantizes images; `image`, `box` and `mask` are the network's stages, the latter
 * two of Faster and Mask R-CNN; `post` is the rest: proposals, RoIAlign, decoding, suppression.
 */
typedef struct qz_detection_times {
    double transform, image, box, mask, post;
} qz_detection_times;
/* Of the last run. QZ_ERR_UNSUPPORTED: the model is no detector; QZ_ERR_STATE: nothing ran. */
QZ_API qz_status qz_session_detection_times(const qz_session *session, qz_detection_times *times);
/* The mask of object `index`, as large as the caller's image: rows of 0 and 1 into `bytes`.
 * QZ_ERR_UNSUPPORTED: the model has no masks. */
QZ_API qz_status qz_session_detection_mask(const qz_session *session, size_t image, size_t index,
                                           uint8_t *bytes);
/* The same as probabilities, 0 outside the box; 1 is from one half on. */
QZ_API qz_status qz_session_detection_mask_prob(const qz_session *session, size_t image,
                                                size_t index, float *probabilities);
/*
 * YOLO: the classes that are looked for, `count` of them; copied. NULL: all. QZ_ERR_ARGUMENT: a
 * class that the model has not. QZ_ERR_UNSUPPORTED: another model.
 */
QZ_API qz_status qz_session_set_classes(qz_session *session, const int32_t *classes, size_t count);
/*
 * Faster R-CNN, Mask R-CNN: `count` boxes, x1 y1 x2 y2 in the resized and padded image, on which
 * the later stages run in place of the proposals; copied. NULL: the proposals again.
 * QZ_ERR_UNSUPPORTED: another model.
 */
QZ_API qz_status qz_session_set_rois(qz_session *session, const float *boxes, size_t count);

#ifdef __cplusplus
}
#endif
#endif

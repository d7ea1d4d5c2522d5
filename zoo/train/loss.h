/* SPDX-License-Identifier: MIT */
/*
 * loss.h - losses of training and their gradients, PyTorch's formulas. Private.
 *
 * Values are float32, sums and functions double. A loss is returned as it is; gradients are
 * multiplied by `scale` and added to what is there, so that several losses, weights of auxiliary
 * heads and parts of a batch need nothing more. A gradient without data is not computed. Same bytes
 * for every number of threads.
 */
#ifndef QZOO_ZOO_TRAIN_LOSS_H
#define QZOO_ZOO_TRAIN_LOSS_H

#include "layers/grad/grad.h"

typedef struct qzi_loss_run {
    const qz_context *ctx;
    uint32_t threads;
    double scale; /* of gradients */
} qzi_loss_run;

typedef struct qzi_cross_entropy {
    double smoothing;           /* label_smoothing */
    const float *class_weights; /* a value for each class; NULL: 1 */
    int64_t ignore;             /* a label whose pixels do not count, with */
    bool has_ignore;
} qzi_cross_entropy;

/*
 * F.cross_entropy over the channels of each pixel of `logits` (of a classifier each row), mean over
 * the pixels that count by their classes' weights. labels: one for each pixel. Without pixels that
 * count, 0. QZ_ERR_ARGUMENT for a label that is no class.
 */
qz_status qzi_loss_cross_entropy(const qzi_loss_run *r, const qzi_cross_entropy *o,
                                 const qzk_view *logits, const int64_t *labels,
                                 const qzk_view *gradient, double *loss);
/* The same with a probability for each class of each pixel: targets [pixels][c] (mixup, cutmix). */
qz_status qzi_loss_soft_cross_entropy(const qzi_loss_run *r, double smoothing,
                                      const qzk_view *logits, const float *targets,
                                      const qzk_view *gradient, double *loss);
/* Distillation: T^2 times KL(softmax(teacher / T) || softmax(student / T)), mean over pixels. */
qz_status qzi_loss_distill(const qzi_loss_run *r, double temperature, const qzk_view *student,
                           const qzk_view *teacher, const qzk_view *gradient, double *loss);
/* Mean of squared differences of all values: features of the teacher. */
qz_status qzi_loss_squares(const qzi_loss_run *r, const qzk_view *x, const qzk_view *target,
                           const qzk_view *gradient, double *loss);

/* ---- sums over elements, for detectors: the caller divides by what it counts ---- */

/* F.binary_cross_entropy_with_logits. gradient NULL: none. */
double qzi_loss_binary(const qzi_loss_run *r, const float *x, const float *target, size_t n,
                       float *gradient);
/* torchvision.ops.sigmoid_focal_loss; alpha below 0: not weighted. */
double qzi_loss_focal(const qzi_loss_run *r, const float *x, const float *target, size_t n,
                      double alpha, double gamma, float *gradient);
/* F.smooth_l1_loss; beta 0: F.l1_loss. */
double qzi_loss_smooth_l1(const qzi_loss_run *r, const float *x, const float *target, size_t n,
                          double beta, float *gradient);
/* torchvision.ops.generalized_box_iou_loss of n boxes (x1, y1, x2, y2). */
double qzi_loss_giou(const qzi_loss_run *r, const float *boxes, const float *target, size_t n,
                     float *gradient);

#endif

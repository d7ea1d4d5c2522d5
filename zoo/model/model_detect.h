/* SPDX-License-Identifier: MIT */
/* model_detect.h - calibration and comparison of detectors, through all of their stages.
 * Private. */
#ifndef QZOO_ZOO_MODEL_MODEL_DETECT_H
#define QZOO_ZOO_MODEL_MODEL_DETECT_H

#include "zoo/detection/detect.h"
#include "zoo/model/model.h"

/* Shows the observers one image. */
qz_status qzi_model_detect_calibrate(qz_model *model, const qzi_detect_image *image);
/* Compares both graphs on one image, on the same boxes in the stages for RoIs. */
qz_status qzi_model_detect_compare(qz_model *model, qzi_sqnr *sqnr, const qzi_detect_image *image);

/* What YOLO's heads mean; of another detector nothing that is read. */
qz_yolo_info qzi_model_yolo_info(const qz_model *model);

/* Sets the model's own image size from its settings. */
void qzi_model_detection_size(qz_model *model);
/* The settings as "NAME=VALUE", a space between two ("nms_thresh=5e-1"), into `arena`; the
 * numbers are exact. */
qz_status qzi_model_detection_text(const qz_model *model, qzi_arena *arena, const char **text);
/* The inverse: all settings, in the same order. QZ_ERR_FORMAT for anything else. */
qz_status qzi_model_detection_parse(qz_model *model, const char *text);

#endif

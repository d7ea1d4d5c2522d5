/* SPDX-License-Identifier: MIT */
/* options.h - settings of detectors by name. Private; the public calls are qzoo_detection.h's. */
#ifndef QZOO_ZOO_DETECTION_OPTIONS_H
#define QZOO_ZOO_DETECTION_OPTIONS_H

#include "layers/base/base.h"
#include "zoo/detection/detector.h"

/* Most detections of an image, and most candidates and proposals of a level. */
#define QZI_DETECTION_COUNT_MAX 1000000
/* Longest side of a resized image. */
#define QZI_DETECTION_SIDE_MAX 65535

/* qz_detection_options_set for a detector; messages begin with `model`. */
qz_status qzi_detection_options_set(const qz_context *ctx, const qzi_detector *detector,
                                    const char *model, qz_detection_options *options,
                                    const char *setting, double value);
/* The value of a setting; false: the detector has none of the name. */
bool qzi_detection_options_get(const qzi_detector *detector, const qz_detection_options *options,
                               const char *setting, double *value);
/* The name of setting `index` of the detector, for lists and files; NULL: there are no more. */
const char *qzi_detection_options_name(const qzi_detector *detector, size_t index);
/* Every value is in its range: QZ_ERR_ARGUMENT says which is not. */
qz_status qzi_detection_options_check(const qz_context *ctx, const qzi_detector *detector,
                                      const char *model, const qz_detection_options *options);

#endif

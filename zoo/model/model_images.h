/* SPDX-License-Identifier: MIT */
/* model_images.h - tensors of images for calibration and analysis. Private. */
#ifndef QZOO_ZOO_MODEL_MODEL_IMAGES_H
#define QZOO_ZOO_MODEL_MODEL_IMAGES_H

#include "zoo/detection/detect.h"
#include "zoo/model/model.h"

/* NCHW float32: what the graph's one input takes. */
qz_status qzi_model_check_images(const qz_model *model, const qz_tensor *images, const char *what);
/* A detector takes images one by one. */
qz_status qzi_model_each_image(qz_model *model, const qz_tensor *images,
                               qz_status (*fn)(qz_model *, void *, const qzi_detect_image *),
                               void *user);

#endif

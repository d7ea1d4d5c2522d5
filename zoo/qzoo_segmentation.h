/* SPDX-License-Identifier: MIT */
/*
 * qzoo_segmentation.h - what a segmenter sees in an image: the class of each pixel.
 */
#ifndef QZOO_SEGMENTATION_H
#define QZOO_SEGMENTATION_H

#include "qzoo_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The classes of one image's pixels. Everything belongs to the session until its next run. */
typedef struct qz_segmentation {
    /* of the caller's image for qz_session_run_u8 and qz_session_run_pixels, of the input for
     * qz_session_run */
    int32_t width, height;
    int32_t num_classes;
    const uint8_t *classes; /* rows of `width` bytes: the class with the highest score; of equal
                               scores the lowest class */
    const int64_t *pixels;  /* how many pixels of the map each class has */
} qz_segmentation;

/*
 * The class map of image `image` of the last run, counted from 0, by the session's first output.
 * Where the image and the network's input differ in size, a pixel has the class of the nearest
 * pixel of the input. Images of qz_session_run_pixels may have different sizes. QZ_ERR_STATE: no
 * run. QZ_ERR_UNSUPPORTED: a model that is no segmenter, or that has more than 256 classes.
 */
QZ_API qz_status qz_session_segmentation(qz_session *session, size_t image,
                                         const qz_segmentation **segmentation);
/*
 * How probable each class is at a pixel of the class map of image `image`: softmax of the scores,
 * num_classes floats into `probabilities`. Of several images of qz_session_run_pixels, only the
 * last one of a size of its own has them: QZ_ERR_STATE otherwise.
 */
QZ_API qz_status qz_session_segmentation_probabilities(qz_session *session, size_t image, int32_t x,
                                                       int32_t y, float *probabilities);

#ifdef __cplusplus
}
#endif
#endif

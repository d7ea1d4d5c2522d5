/* SPDX-License-Identifier: MIT */
/* prepare.h - observers on the values of a float graph. Private. */
#ifndef QZOO_QUANT_PREPARE_H
#define QZOO_QUANT_PREPARE_H

#include "layers/graph/exec.h"
#include "quant/observers/observer.h"
#include "quant/qconfig.h"
#include "quant/refine/kept.h"
#include "quant/statistics.h"

typedef struct qzi_calibration qzi_calibration;
/* Refuses unknown names in exclude and fallback (QZ_ERR_UNKNOWN_NAME, naming the nearest ones). */
qz_status qzi_prepare(qz_graph *graph, const qzi_qconfig *qconfig, uint32_t threads,
                      qzi_calibration **calibration);
/* Keeps the statistics that every backend may need, in place of a qconfig's observers; it cannot be
 * converted. */
qz_status qzi_prepare_statistics(qz_graph *graph, uint32_t threads, qzi_calibration **calibration);
/* NULL: not of qzi_prepare_statistics. */
const qzi_statistics *qzi_calibration_statistics(const qzi_calibration *calibration);
/*
 * Adds statistics of the same graph, of `images` images: to the observers, or to the calibration's
 * own statistics. QZ_ERR_UNSUPPORTED: the observers depend on the order of images. Another failure
 * leaves a calibration that must be made again.
 */
qz_status qzi_calibration_merge(qzi_calibration *calibration, const qzi_statistics *statistics,
                                size_t images);
void qzi_calibration_destroy(qzi_calibration *calibration);
/* One or more images, NCHW float32: fed one after another. */
qz_status qzi_calibrate(qzi_calibration *calibration, const qz_tensor *images);
/*
 * One stage of an image, of a graph whose stages have inputs of their own (exec.h): observers see
 * the values that it computes. Each stage below QZI_STAGES_MAX has an executor, which the caller
 * may read until its next run. When all stages of an image are through,
 * qzi_calibration_count_image.
 */
#define QZI_STAGES_MAX 3
qz_status qzi_calibration_run(qzi_calibration *calibration, size_t stage,
                              const qzi_exec_input *inputs, size_t input_count, qzi_exec **exec);
void qzi_calibration_count_image(qzi_calibration *calibration);
size_t qzi_calibration_images(const qzi_calibration *calibration);
/* Images that a recipe needs again; none where the qconfig's recipe needs none. */
const qzi_kept *qzi_calibration_kept(const qzi_calibration *calibration);
uint32_t qzi_calibration_threads(const qzi_calibration *calibration);
/* The copy that the calibration keeps. */
const qzi_qconfig *qzi_calibration_qconfig(const qzi_calibration *calibration);
/* QZ_ERR_STATE where there is nothing to convert from: no image yet, or one that failed halfway. */
qz_status qzi_calibration_check(const qzi_calibration *calibration);
const qz_graph *qzi_calibration_graph(const qzi_calibration *calibration);
/* Of a node's value, by observer or statistics: the ends of its images, and the counts of its
 * channels; NULL: there are none. */
const qzi_extremes *qzi_calibration_extremes(const qzi_calibration *calibration, qz_value node);
const qzi_tally *qzi_calibration_tally(const qzi_calibration *calibration, qz_value node);
/* The values of the network's input, of all images that were not loaded as statistics. */
typedef struct qzi_input_facts {
    size_t images;
    double mean, deviation;
    float min, max;
} qzi_input_facts;
void qzi_calibration_input(const qzi_calibration *calibration, qzi_input_facts *facts);
/* The observer of a node's value; NULL where it has none (it shares its input's parameters). */
const qzi_observer *qzi_calibration_observer(const qzi_calibration *calibration, qz_value node);

#endif

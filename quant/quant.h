/* SPDX-License-Identifier: MIT */
/*
 * quant.h - the passes: fuse, prepare (observers), convert; and analysis. Private.
 */
#ifndef QZOO_QUANT_QUANT_H
#define QZOO_QUANT_QUANT_H

#include "layers/graph/exec.h"
#include "layers/graph/graph.h"
#include "quant/qzoo_quant.h"

/* ---- backends as data (qconfig.c) ---- */

/* How a backend treats an op. Rows are named by the words of --fallback. */
typedef struct qzi_support {
    const char *op;    /* "conv2d", "strided_pointwise", "batch_norm2d", … */
    unsigned backends; /* bits 1 << qz_backend: those of which the row speaks */
    bool int8;
    const char *reason; /* why not; or, where int8, what is known of it */
    const char *origin; /* where that knowledge comes from; "" */
} qzi_support;

typedef struct qzi_backend {
    qz_backend id;
    const char *name;
    bool per_channel;             /* weights */
    bool own_average;             /* averaging pools have parameters of their own */
    bool whole_range;             /* histograms count all values, also those that torch drops */
    qz_observer_kind activations; /* observer of activations */
} qzi_backend;

/* AUTO gives this machine's. Never NULL for a valid id. */
const qzi_backend *qzi_backend_get(qz_backend id);

/* The backend's rows, one for each op, in the table's order: NULL gives the first, the last gives
 * NULL. */
const qzi_support *qzi_support_next(const qzi_backend *backend, const qzi_support *row);
/* The row of an op's word; NULL: there is none. */
const qzi_support *qzi_support_find(const qzi_backend *backend, const char *word);

/* What the user asked for, resolved; stored in the model and in saved files. */
typedef struct qzi_qconfig {
    const qzi_backend *backend;
    qz_observer_kind observer; /* never DEFAULT, unless imported */
    bool per_channel;
    bool reduce_range;
    bool imported; /* all parameters are another quantizer's: nothing shares them for speed */
    const char *const *exclude; /* node names that stay fp32 */
    size_t exclude_count;
    const char *const *fallback; /* op words (rows of the support table) that stay fp32 */
    size_t fallback_count;
} qzi_qconfig;

/* ---- observers (observer.c, observer_histogram.c) ---- */

typedef struct qzi_observer qzi_observer;
/* reduce_range: 0..127 instead of 0..255. bins: 0 for torch's 2048 (histogram only).
 * averaging: 0 for torch's 0.01 (moving only). */
qz_status qzi_observer_create(const qz_context *ctx, qz_observer_kind kind, bool reduce_range,
                              int32_t bins, float averaging, qzi_observer **observer);
void qzi_observer_destroy(qzi_observer *observer);
/* Before the first batch: a histogram counts all values, also those that torch's drops
 * (qzi_backend).
 */
void qzi_observer_count_whole_range(qzi_observer *observer);
/*
 * One batch (in calibration: one image). The elements are those of `view` (float32), in any order.
 * NaN or infinity: QZ_ERR_NUMERIC. threads: counts may be taken in parallel, results are the same.
 */
qz_status qzi_observer_observe(qzi_observer *observer, const qzk_view *view, uint32_t threads);
bool qzi_observer_seen(const qzi_observer *observer);
void qzi_observer_range(const qzi_observer *observer, float *min, float *max);
/* What the histogram observer's search would take; the plain range for the others. */
qz_status qzi_observer_search(const qzi_observer *observer, float *min, float *max);
/* quint8 affine parameters as torch 1.13 computes them. QZ_ERR_STATE when nothing was seen. */
qz_status qzi_observer_qparams(const qzi_observer *observer, qzi_qparams *q);

/* ---- quantization parameters and weights (qparams.c) ---- */

qzi_qparams qzi_qparams_affine(float min, float max, int32_t qmin, int32_t qmax);
float qzi_scale_symmetric(float amax); /* amax / 127.5, at least FLT_EPSILON */
/* q = clamp(rne(x * (1 / scale)), -128, 127), as torch.quantize_per_channel; x finite. */
void qzi_quantize_s8(const float *x, int8_t *q, int64_t n, float scale);
/*
 * Weights [oc][per] and bias [oc] (NULL: zeros) of a layer whose input scale is sx, to int8:
 * torch's weight observers and quantization, b32 as CONTRACT.md (a channel's scale raised where
 * |b32| would reach 2^30). Owned by the caller (qzi_qweights_free).
 */
qz_status qzi_qweights_make(const qz_context *ctx, const float *w, const float *bias, int32_t oc,
                            int64_t per, float sx, bool per_channel, qzi_qweights **out);
/*
 * The same from weights that are int8 already: w [oc][per], one scale for each channel (equal ones
 * when not per_channel). They are taken as they are, but for a channel whose scale is raised for
 * its bias. QZ_ERR_NUMERIC for a scale or bias that is no number to compute with.
 */
qz_status qzi_qweights_take(const qz_context *ctx, const int8_t *w, const float *scales,
                            const float *bias, int32_t oc, int64_t per, float sx, bool per_channel,
                            qzi_qweights **out);
void qzi_qweights_free(const qz_context *ctx, qzi_qweights *qw);

/* ---- passes ---- */

/*
 * fuse.c: conv+bn, conv+bn+act, conv+act, linear+act, bn+act, add+act where the inner values have
 * one reader and are no outputs; folds batch norm into weight and bias as CONTRACT.md says. In
 * place; the fused node stands where the first one stood, under its name, and is found under the
 * names of the others too. In a graph whose weights have no data (a saved int8 model being
 * rebuilt) only the structure changes; a graph that has some of the data is QZ_ERR_STATE.
 * When it fails the graph computes what it did before. is_qat: QZ_ERR_UNSUPPORTED for now.
 */
qz_status qzi_fuse(qz_graph *graph, bool is_qat);
/* Replaces every ReLU6 by ReLU (torchvision's quantizable mobilenets; --relu). */
void qzi_replace_relu6(qz_graph *graph);

/*
 * decide.c: what a qconfig makes of each node of a fused float graph.
 *
 * Convolutions and linears are int8 unless the qconfig says otherwise. The other ops have nothing
 * to gain alone: they are int8 where an input is, and join the fp32 island that they stand in
 * where none is. Ops that move or clamp values keep their input's parameters in int8, averaging
 * pools do in the backends that follow torch; sigmoid and hardsigmoid have those that hold [0, 1).
 */
typedef struct qzi_decision {
    bool int8;         /* computes in int8; INPUT: has a reader that does */
    bool own_qparams;  /* its value needs parameters of its own: it is observed */
    qzi_qparams fixed; /* int8 with these parameters, whatever is observed; scale 0: none */
    char *reason;      /* why the node stays in fp32; NULL where int8 and for INPUT */
} qzi_decision;
/*
 * node_count decisions. An excluded name is a node's, that of a node fused into another, or a
 * scope's ("layer4": all in it). QZ_ERR_UNKNOWN_NAME names the nearest ones.
 */
qz_status qzi_decide(const qz_graph *graph, const qzi_qconfig *qconfig, qzi_decision **decisions);
void qzi_decisions_free(const qz_graph *graph, qzi_decision *decisions); /* NULL is fine */

/* prepare.c: observers on the values of a float graph. */
typedef struct qzi_calibration qzi_calibration;
/* Refuses unknown names in exclude and fallback (QZ_ERR_UNKNOWN_NAME, naming the nearest ones). */
qz_status qzi_prepare(qz_graph *graph, const qzi_qconfig *qconfig, uint32_t threads,
                      qzi_calibration **calibration);
void qzi_calibration_destroy(qzi_calibration *calibration);
/* One or more images, NCHW float32: fed one after another. */
qz_status qzi_calibrate(qzi_calibration *calibration, const qz_tensor *images);
size_t qzi_calibration_images(const qzi_calibration *calibration);
/* The copy that the calibration keeps. */
const qzi_qconfig *qzi_calibration_qconfig(const qzi_calibration *calibration);
/* QZ_ERR_STATE where there is nothing to convert from: no image yet, or one that failed halfway. */
qz_status qzi_calibration_check(const qzi_calibration *calibration);
/* The observer of a node's value; NULL where it has none (it shares its input's parameters). */
const qzi_observer *qzi_calibration_observer(const qzi_calibration *calibration, qz_value node);

/*
 * convert.c: a new graph in int8, with quantize and dequantize nodes where precisions meet, named
 * <source>.quant and <source>.dequant: one for each value, whatever the number of its readers. The
 * float graph is not changed; parameters of layers that became int8 are not copied (their entries
 * stay, without data).
 *
 * Conversion is structure plus weights, and the structure alone follows from the fused graph's
 * structure (no data needed), the qconfig and the parameters of the observed values, so that a
 * saved model is rebuilt by the same code: build, qzi_fuse, qzi_convert_structure, attach qw of
 * the int8 convolutions and linears and the data of the parameters of the other nodes. `observed`
 * has one entry for each node of `graph`; scale 0 where the value has no parameters of its own.
 * What to save is `q` of every node of the int8 graph that bears the name of a node of the float
 * graph (fp32 values that are quantized keep what was observed in q): structure made from these
 * equals the structure that they came from. An entry that is needed and not a valid pair of
 * parameters is QZ_ERR_ARGUMENT with the node's name.
 */
qz_status qzi_convert_structure(const qz_graph *graph, const qzi_qconfig *qconfig,
                                const qzi_qparams *observed, qz_graph **int8_graph);
/* QZ_ERR_STATE when no image was calibrated, or when one failed halfway. */
qz_status qzi_convert(const qz_graph *graph, const qzi_calibration *calibration,
                      qz_graph **int8_graph);

/* analysis.c: both graphs on the same images; rows sorted worst activation first. */
typedef struct qzi_sqnr qzi_sqnr;
qz_status qzi_sqnr_create(const qz_graph *float_graph, const qzi_packed *float_packed,
                          const qz_graph *int8_graph, const qzi_packed *int8_packed,
                          uint32_t threads, qzi_sqnr **sqnr);
void qzi_sqnr_destroy(qzi_sqnr *sqnr);
qz_status qzi_sqnr_add(qzi_sqnr *sqnr, const qz_tensor *image);
/* Rows stay valid until the next call or destroy. */
qz_status qzi_sqnr_rows(qzi_sqnr *sqnr, const qz_sqnr_row **rows, size_t *count);
double qzi_sqnr_output_db(const qzi_sqnr *sqnr);      /* of the first graph output */
double qzi_sqnr_top1_agreement(const qzi_sqnr *sqnr); /* share of images with the same top-1 */

#endif

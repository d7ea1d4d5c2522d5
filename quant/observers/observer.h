/* SPDX-License-Identifier: MIT */
/*
 * observer.h - observers of activations: they see values while images are calibrated, and choose
 * the range that becomes a scale and a zero point. Private to quant/ and its tests.
 *
 * An observer is a file and a row: observer_NAME.c defines a qzi_observer_class, and the table in
 * observer.c lists it (ADDING.md).
 */
#ifndef QZOO_QUANT_OBSERVERS_OBSERVER_H
#define QZOO_QUANT_OBSERVERS_OBSERVER_H

#include "layers/graph/graph.h"
#include "quant/observers/profile.h"
#include "quant/observers/rows.h"
#include "quant/qzoo_quant.h"

#define QZI_HISTOGRAM_BINS 2048      /* torch's default */
#define QZI_HISTOGRAM_MAX_BINS 65536 /* bounds memory and the time of the search */
#define QZI_HISTOGRAM_UPSAMPLE 128   /* torch's upsample_rate */

typedef struct qzi_observer qzi_observer;

/*
 * One kind of observer. Those with `search_profile` are mergeable: all of them keep the same
 * counts (tally.h), which depend on the set of values alone, and may do so for each channel. They
 * differ in the search. The others have `observe`, and depend on the order of batches.
 */
typedef struct qzi_observer_class {
    qz_observer_kind kind;
    const char *name; /* in options, saved files and pages */
    /* The range of a profile: a channel, or all channels together. */
    qz_status (*search_profile)(const qzi_observer *o, const qzi_profile *profile, float *min,
                                float *max);
    /* Memory that the kind needs beyond the struct; NULL: none. */
    qz_status (*create)(qzi_observer *o);
    void (*destroy)(qzi_observer *o);
    /* One batch, whose smallest and largest element are min and max (finite, finite width). */
    qz_status (*observe)(qzi_observer *o, const qzi_rows *rows, uint32_t threads, float min,
                         float max);
    /* The range to quantize, once something was seen; NULL: [min, max] of the struct. */
    qz_status (*search)(const qzi_observer *o, float *min, float *max);
} qzi_observer_class;

extern const qzi_observer_class qzi_observer_minmax;
extern const qzi_observer_class qzi_observer_moving;
extern const qzi_observer_class qzi_observer_histogram;
extern const qzi_observer_class qzi_observer_percentile;
extern const qzi_observer_class qzi_observer_entropy;
extern const qzi_observer_class qzi_observer_mse;

/* The word of qz_observer_parse_word: "mse", "percentile:99.99"; "" for DEFAULT. */
#define QZI_OBSERVER_WORD 32
void qzi_observer_word(qz_observer_kind kind, double percentile, char word[QZI_OBSERVER_WORD]);
/* NULL for DEFAULT and unknown numbers. */
const qzi_observer_class *qzi_observer_class_get(qz_observer_kind kind);

struct qzi_observer {
    const qz_context *ctx;
    const qzi_observer_class *cls;
    int32_t bins;
    int32_t qmax; /* 255, or 127 with reduce_range */
    float averaging;
    bool whole_range; /* HISTOGRAM: count what torch drops */
    bool seen;
    float min, max;
    qzi_extremes ends; /* of kinds that do not merge; others have them in the tally */
    float *histogram;  /* [bins], HISTOGRAM only; float32 because torch's merge makes fractions */
    double percentile; /* PERCENTILE: percent of the values inside */
    qzi_bounds bounds; /* of mergeable kinds: what lies beyond is taken to be at the end */
    qzi_tally tally;   /* of mergeable kinds */
};

/* reduce_range: 0..127 instead of 0..255. bins: 0 for torch's 2048 (histogram only).
 * averaging: 0 for torch's 0.01 (moving only). */
qz_status qzi_observer_create(const qz_context *ctx, qz_observer_kind kind, bool reduce_range,
                              int32_t bins, float averaging, qzi_observer **observer);
void qzi_observer_destroy(qzi_observer *observer);
/* Whether a kind keeps counts that merge, and can do so by channel. */
bool qzi_observer_mergeable(qz_observer_kind kind);
/* Before the first batch: each of `channels` channels has a range of its own. Mergeable kinds only,
 * others QZ_ERR_UNSUPPORTED. */
qz_status qzi_observer_set_channels(qzi_observer *observer, int32_t channels);
/* PERCENTILE: above 0, at most 100; 0: QZ_PERCENTILE_DEFAULT. */
qz_status qzi_observer_set_percentile(qzi_observer *observer, double percent);
/* Mergeable kinds: ranges end at these; values beyond count as if they were there. */
void qzi_observer_set_bounds(qzi_observer *observer, float low, float high);
/* Before the first batch: a histogram counts all values, also those that torch's drops
 * (qzi_backend).
 */
void qzi_observer_count_whole_range(qzi_observer *observer);
/*
 * One batch (in calibration: one image). The elements are those of `view` (float32), in any order.
 * NaN or infinity: QZ_ERR_NUMERIC. threads: counts may be taken in parallel, results are the same.
 */
qz_status qzi_observer_observe(qzi_observer *observer, const qzk_view *view, uint32_t threads);
/* Of the batches. */
static inline const qzi_extremes *qzi_observer_extremes(const qzi_observer *observer)
{
    return observer->cls->search_profile ? &observer->tally.ends : &observer->ends;
}
bool qzi_observer_seen(const qzi_observer *observer);
void qzi_observer_range(const qzi_observer *observer, float *min, float *max);
/* The range that becomes the parameters: what search() chooses, else the plain range. */
qz_status qzi_observer_search(const qzi_observer *observer, float *min, float *max);
/* quint8 affine parameters as torch 1.13 computes them. QZ_ERR_STATE when nothing was seen. */
qz_status qzi_observer_qparams(const qzi_observer *observer, qzi_qparams *q);

/* ---- by channel: mergeable kinds, once something was seen ---- */

/* 1, or as set. */
int32_t qzi_observer_channels(const qzi_observer *observer);
/* The range of one channel, by the search of the kind: qzi_qparams_affine makes parameters of it. A
 * dead channel has the range of its one value. */
qz_status qzi_observer_channel_range(const qzi_observer *observer, int32_t channel, float *min,
                                     float *max);
/* The same of all channels, [channels]; faster than one by one. */
qz_status qzi_observer_channel_ranges(const qzi_observer *observer, uint32_t threads, float *min,
                                      float *max);
/* The mean of a channel's x and x^2, from its bins. */
qz_status qzi_observer_channel_moments(const qzi_observer *observer, int32_t channel, double *mean,
                                       double *second);
/* One range for all channels, each divided by divisor[c], finite and above 0; NULL: by 1. */
qz_status qzi_observer_scaled_range(const qzi_observer *observer, const float *divisor, float *min,
                                    float *max);
/* Adds what another observer has seen; both are mergeable, of the same channels. */
qz_status qzi_observer_merge(qzi_observer *observer, const qzi_observer *other);
/* The same of counts. */
qz_status qzi_observer_merge_tally(qzi_observer *observer, const qzi_tally *tally);
/* Sets min, max and seen after the tally has changed. */
void qzi_observer_take_ends(qzi_observer *observer);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * observer.c - the table of observers, and what all kinds share: creation, checks of a batch, the
 * range and the parameters that follow from it.
 */
#include "quant/observers/observer.h"

#include <math.h>
#include <string.h>

static const qzi_observer_class *const classes[] = {
    &qzi_observer_minmax,     &qzi_observer_moving,  &qzi_observer_histogram,
    &qzi_observer_percentile, &qzi_observer_entropy, &qzi_observer_mse,
};

const qzi_observer_class *qzi_observer_class_get(qz_observer_kind kind)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(classes); i++)
        if (classes[i]->kind == kind)
            return classes[i];
    return NULL;
}

const char *qz_observer_name(qz_observer_kind kind)
{
    const qzi_observer_class *cls = qzi_observer_class_get(kind);
    return cls ? cls->name : kind == QZ_OBSERVER_DEFAULT ? "default" : NULL;
}

bool qz_observer_parse(const char *name, qz_observer_kind *kind)
{
    if (name && strcmp(name, "default") == 0) {
        *kind = QZ_OBSERVER_DEFAULT;
        return true;
    }
    for (size_t i = 0; name && i < QZI_ARRAY_LEN(classes); i++) {
        if (strcmp(name, classes[i]->name) == 0) {
            *kind = classes[i]->kind;
            return true;
        }
    }
    return false;
}

bool qzi_observer_mergeable(qz_observer_kind kind)
{
    const qzi_observer_class *cls = qzi_observer_class_get(kind);
    return cls && cls->search_profile;
}

qz_status qzi_observer_create(const qz_context *ctx, qz_observer_kind kind, bool reduce_range,
                              int32_t bins, float averaging, qzi_observer **observer)
{
    *observer = NULL;
    const qzi_observer_class *cls = qzi_observer_class_get(kind);
    if (!cls)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "there is no observer of kind %d", (int)kind);
    if (bins != 0 && (bins < 2 || bins > QZI_HISTOGRAM_MAX_BINS))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "a histogram of %d bins is not possible; choose 2 to %d", (int)bins,
                        QZI_HISTOGRAM_MAX_BINS);
    if (!(averaging >= 0.0f && averaging <= 1.0f))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "averaging constant %g is not between 0 and 1",
                        (double)averaging);

    qzi_observer *o = qzi_calloc(ctx, 1, sizeof(*o));
    if (!o)
        return QZ_ERR_MEMORY;
    o->ctx = ctx;
    o->cls = cls;
    o->bins = bins ? bins : QZI_HISTOGRAM_BINS;
    o->qmax = reduce_range ? 127 : 255;
    o->averaging = averaging > 0.0f ? averaging : 0.01f;
    o->min = INFINITY;
    o->max = -INFINITY;
    o->percentile = QZ_PERCENTILE_DEFAULT;
    o->bounds = (qzi_bounds){-INFINITY, INFINITY};
    qz_status st = cls->create           ? cls->create(o)
                   : cls->search_profile ? qzi_tally_create(ctx, 1, &o->tally)
                                         : QZ_OK;
    if (st != QZ_OK) {
        qzi_free(ctx, o);
        return st;
    }
    *observer = o;
    return QZ_OK;
}

void qzi_observer_count_whole_range(qzi_observer *observer)
{
    observer->whole_range = true;
}

qz_status qzi_observer_set_channels(qzi_observer *observer, int32_t channels)
{
    qzi_tally tally;
    if (!observer->cls->search_profile)
        return qzi_fail(observer->ctx, QZ_ERR_UNSUPPORTED, "the observer %s has no channels",
                        observer->cls->name);
    if (observer->seen || channels < 1)
        return qzi_fail(observer->ctx, QZ_ERR_ARGUMENT,
                        "an observer's channels are set before the first batch, at least 1");
    QZI_TRY(qzi_tally_create(observer->ctx, channels, &tally));
    qzi_tally_destroy(&observer->tally);
    observer->tally = tally;
    return QZ_OK;
}

qz_status qzi_observer_set_percentile(qzi_observer *observer, double percent)
{
    if (!(percent >= 0.0 && percent <= 100.0))
        return qzi_fail(observer->ctx, QZ_ERR_ARGUMENT, "percentile %g is not between 0 and 100",
                        percent);
    observer->percentile = percent > 0.0 ? percent : QZ_PERCENTILE_DEFAULT;
    return QZ_OK;
}

void qzi_observer_set_bounds(qzi_observer *observer, float low, float high)
{
    observer->bounds = (qzi_bounds){low, high};
}

void qzi_observer_destroy(qzi_observer *observer)
{
    if (!observer)
        return;
    if (observer->cls->destroy)
        observer->cls->destroy(observer);
    qzi_tally_destroy(&observer->tally);
    qzi_free(observer->ctx, observer);
}

void qzi_observer_take_ends(qzi_observer *observer)
{
    const qzi_tally *tally = &observer->tally;
    for (int32_t c = 0; c < tally->channels; c++) {
        observer->min = QZI_MIN(observer->min, tally->min[c]);
        observer->max = QZI_MAX(observer->max, tally->max[c]);
    }
    observer->seen = tally->values > 0;
}

static qz_status observe_counts(qzi_observer *observer, const qzk_view *view, uint32_t threads)
{
    QZI_TRY(qzi_tally_add(&observer->tally, view, threads));
    qzi_observer_take_ends(observer);
    return QZ_OK;
}

static qz_status observe_rows(qzi_observer *observer, const qzi_rows *rows, uint32_t threads)
{
    float min, max;
    QZI_TRY(qzi_rows_range(observer->ctx, rows, threads, &min, &max));
    if (observer->seen) {
        /* what is merged below must stay a finite width, too */
        float low = QZI_MIN(min, observer->min), high = QZI_MAX(max, observer->max);
        if (!isfinite(high - low))
            return qzi_fail(observer->ctx, QZ_ERR_NUMERIC,
                            "values from %g to %g are too far apart to be quantized", (double)low,
                            (double)high);
    }
    QZI_TRY(observer->cls->observe(observer, rows, threads, min, max));
    observer->seen = true;
    qzi_extremes_add(&observer->ends, min, max);
    return QZ_OK;
}

qz_status qzi_observer_observe(qzi_observer *observer, const qzk_view *view, uint32_t threads)
{
    qzi_rows rows;
    if (!qzi_rows_of_view(view, &rows))
        return qzi_fail(observer->ctx, QZ_ERR_ARGUMENT,
                        "a view of %d x %d x %d x %d values cannot be observed", (int)view->n,
                        (int)view->h, (int)view->w, (int)view->c);
    if (rows.total == 0)
        return QZ_OK;
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = observer->cls->search_profile ? observe_counts(observer, view, threads)
                                                 : observe_rows(observer, &rows, threads);
    qzi_fpenv_leave(env);
    return st;
}

bool qzi_observer_seen(const qzi_observer *observer)
{
    return observer->seen;
}

void qzi_observer_range(const qzi_observer *observer, float *min, float *max)
{
    *min = observer->min;
    *max = observer->max;
}

/* SPDX-License-Identifier: MIT */
/*
 * observer_range.c - what observers have found: ranges and parameters; of mergeable ones ranges and
 * moments by channel, and merging.
 */
#include "quant/observers/observer.h"
#include "quant/qparams.h"

#include <math.h>

/* Whether there are counts, of this channel too. */
static qz_status check(const qzi_observer *o, int32_t channel)
{
    if (!o->cls->search_profile)
        return qzi_fail(o->ctx, QZ_ERR_UNSUPPORTED, "the observer %s has no counts", o->cls->name);
    if (!o->seen)
        return qzi_fail(o->ctx, QZ_ERR_STATE, "the observer has seen no values; calibrate first");
    if (channel < 0 || channel >= o->tally.channels)
        return qzi_fail(o->ctx, QZ_ERR_ARGUMENT, "there is no channel %d of %d", (int)channel,
                        (int)o->tally.channels);
    return QZ_OK;
}

int32_t qzi_observer_channels(const qzi_observer *observer)
{
    return observer->cls->search_profile ? observer->tally.channels : 1;
}

typedef struct range_task {
    const qzi_observer *observer;
    const qz_context *ctx;
    float *min, *max;
    qz_status *statuses; /* [threads] */
} range_task;

static void find_ranges(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const range_task *task = arg;
    const qzi_observer *o = task->observer;
    qzi_profile *profile = qzi_alloc(task->ctx, sizeof(*profile));
    qz_status st = profile ? QZ_OK : QZ_ERR_MEMORY;
    for (int64_t c = begin; c < end && st == QZ_OK; c++) {
        qzi_profile_of_channel(&o->tally, (int32_t)c, o->bounds, profile);
        st = o->cls->search_profile(o, profile, &task->min[c], &task->max[c]);
    }
    qzi_free(task->ctx, profile);
    if (st != QZ_OK)
        task->statuses[thread] = st;
}

qz_status qzi_observer_channel_ranges(const qzi_observer *observer, uint32_t threads, float *min,
                                      float *max)
{
    QZI_TRY(check(observer, 0));
    const uint32_t used = QZI_MAX(threads, 1);
    qz_status st = QZ_OK, *statuses = qzi_calloc(observer->ctx, used, sizeof(*statuses));
    if (!statuses)
        return QZ_ERR_MEMORY;
    range_task task = {observer, observer->ctx, min, max, statuses};
    qzi_parallel(observer->ctx, used, observer->tally.channels, 32, find_ranges, &task);
    for (uint32_t t = 0; t < used; t++)
        st = st == QZ_OK ? statuses[t] : st;
    qzi_free(observer->ctx, statuses);
    return st == QZ_ERR_MEMORY ? qzi_fail_memory(observer->ctx, sizeof(qzi_profile)) : st;
}

qz_status qzi_observer_channel_range(const qzi_observer *observer, int32_t channel, float *min,
                                     float *max)
{
    QZI_TRY(check(observer, channel));
    qzi_profile *profile = qzi_alloc(observer->ctx, sizeof(*profile));
    if (!profile)
        return QZ_ERR_MEMORY;
    qzi_fpenv env = qzi_fpenv_enter();
    qzi_profile_of_channel(&observer->tally, channel, observer->bounds, profile);
    const qz_status st = observer->cls->search_profile(observer, profile, min, max);
    qzi_fpenv_leave(env);
    qzi_free(observer->ctx, profile);
    return st;
}

qz_status qzi_observer_channel_moments(const qzi_observer *observer, int32_t channel, double *mean,
                                       double *second)
{
    QZI_TRY(check(observer, channel));
    qzi_profile *profile = qzi_alloc(observer->ctx, sizeof(*profile));
    if (!profile)
        return QZ_ERR_MEMORY;
    qzi_fpenv env = qzi_fpenv_enter();
    const qzi_bounds all = {-INFINITY, INFINITY};
    qzi_profile_of_channel(&observer->tally, channel, all, profile);
    qzi_profile_moments(profile, mean, second);
    qzi_fpenv_leave(env);
    qzi_free(observer->ctx, profile);
    return QZ_OK;
}

qz_status qzi_observer_scaled_range(const qzi_observer *observer, const float *divisor, float *min,
                                    float *max)
{
    QZI_TRY(check(observer, 0));
    qzi_profile *profile = qzi_alloc(observer->ctx, sizeof(*profile));
    if (!profile)
        return QZ_ERR_MEMORY;
    qzi_fpenv env = qzi_fpenv_enter();
    qzi_profile_of_all(&observer->tally, divisor, observer->bounds, profile);
    const qz_status st = observer->cls->search_profile(observer, profile, min, max);
    qzi_fpenv_leave(env);
    qzi_free(observer->ctx, profile);
    return st;
}

qz_status qzi_observer_merge_tally(qzi_observer *observer, const qzi_tally *tally)
{
    if (!observer->cls->search_profile)
        return qzi_fail(observer->ctx, QZ_ERR_UNSUPPORTED,
                        "the observer %s depends on the order of images: nothing can be merged",
                        observer->cls->name);
    qzi_fpenv env = qzi_fpenv_enter();
    const qz_status st = qzi_tally_merge(&observer->tally, tally);
    qzi_fpenv_leave(env);
    if (st == QZ_OK)
        qzi_observer_take_ends(observer);
    return st;
}

qz_status qzi_observer_merge(qzi_observer *observer, const qzi_observer *other)
{
    if (!other->cls->search_profile)
        return qzi_fail(observer->ctx, QZ_ERR_UNSUPPORTED,
                        "the observer %s depends on the order of images: nothing can be merged",
                        other->cls->name);
    return qzi_observer_merge_tally(observer, &other->tally);
}

qz_status qzi_observer_search(const qzi_observer *observer, float *min, float *max)
{
    if (!observer->seen)
        return qzi_fail(observer->ctx, QZ_ERR_STATE,
                        "the observer has seen no values; calibrate first");
    if (observer->cls->search_profile)
        return qzi_observer_scaled_range(observer, NULL, min, max);
    if (!observer->cls->search) {
        qzi_observer_range(observer, min, max);
        return QZ_OK;
    }
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = observer->cls->search(observer, min, max);
    qzi_fpenv_leave(env);
    return st;
}

qz_status qzi_observer_qparams(const qzi_observer *observer, qzi_qparams *q)
{
    float min, max;
    QZI_TRY(qzi_observer_search(observer, &min, &max));
    *q = qzi_qparams_affine(min, max, 0, observer->qmax);
    return QZ_OK;
}

/* SPDX-License-Identifier: MIT */
/* cut.c - see cut.h. */
#include "layers/kernels/cut.h"
#include "layers/base/base.h"

/* Values written and weight bytes read by one thread in a nanosecond, on the machines of
 * bench/NOTES.md. */
#define VALUES_PER_NS 8
#define WEIGHT_BYTES_PER_NS 32
/* Work that is worth one more thread. What is split without need is fetched from another core's
 * caches. */
#define THREAD_NS 4000
/* Smaller weights stay in every core's cache, whichever thread reads them. */
#define SHARED_WEIGHTS (INT64_C(1) << 18)

static int64_t values(const qzk_view *v, int64_t channels)
{
    return (int64_t)v->n * v->h * v->w * channels;
}

static int32_t ways(const qzk_conv_args *args, const qzk_conv_kernel *kernel, uint32_t threads)
{
    const qzk_conv_shape *s = args->shape;
    const int64_t out = values(&args->out, s->oc);
    const int64_t taps = (int64_t)s->kh * s->kw * (s->ic / s->groups);
    const int64_t weights = (int64_t)s->oc * taps * kernel->weight_bytes;
    const int64_t ns =
        out * taps / kernel->macs_per_ns + out / VALUES_PER_NS + weights / WEIGHT_BYTES_PER_NS;
    return (int32_t)QZI_MAX(QZI_MIN(ns / THREAD_NS, (int64_t)threads), 1);
}

/*
 * Whether threads share the channels rather than the pixels. With shared pixels, each thread reads
 * all weights. With shared channels, each thread reads the whole input, half of which another
 * thread wrote, and the next op reads the output in the same way. Data that another core has
 * written costs about twice as much as weights in a common cache.
 */
static bool by_channels(const qzk_conv_args *args)
{
    const qzk_conv_shape *s = args->shape;
    const int64_t weights = (int64_t)s->oc * (s->ic / s->groups) * s->kh * s->kw;
    return weights >= SHARED_WEIGHTS &&
           weights > 2 * (values(&args->in, s->ic) + values(&args->out, s->oc));
}

void qzk_cut_choose(qzk_conv_args *args, const qzk_conv_kernel *kernel, uint32_t threads)
{
    args->ways = ways(args, kernel, threads);
    args->by_channels = args->ways > 1 && by_channels(args);
}

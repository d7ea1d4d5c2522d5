/* SPDX-License-Identifier: MIT */
/*
 * u8s8_amx_tile.h - the products of one AMX tile, and how its sums become bytes.
 *
 * Sums leave the tiles through memory, and are requantized by vectors between the products of the
 * next tile: the two units work at the same time only where their instructions are mixed.
 */
#ifndef QZOO_LAYERS_KERNELS_X86_U8S8_AMX_TILE_H
#define QZOO_LAYERS_KERNELS_X86_U8S8_AMX_TILE_H

#include "layers/kernels/x86/u8s8_dot.h"
#include "layers/kernels/x86/u8s8_finish.h"

enum {
    TILE_ROWS = 16,
    TILE_BYTES = TILE_ROWS * 64,
    STEP = 64,   /* bytes of K in a tile */
    PIXELS = 32, /* two tiles */
    BLOCK_N = 2, /* vectors of output channels, a tile each */
    BLOCK_LANES = BLOCK_N * VL,
    SUMS = PIXELS * BLOCK_LANES,
    MIX_STEPS = 8,        /* from which on it pays to mix requantizing with products */
    WEIGHTS_AHEAD = 2048, /* bytes that weights are prefetched ahead where pixels are few */
};

/* ---- one tile ---- */

/* Two tiles of pixels (or one and the other NULL), and two of weights (or one). */
typedef struct amx_job {
    const uint8_t *first, *second;
    int64_t stride;        /* from pixel to pixel */
    const int64_t *run_at; /* where each run begins */
    int32_t runs, run_steps;
    const int8_t *w;
    const int32_t *bias;
    int32_t *sums; /* [pixel][vector][lane] */
} amx_job;

/* Sums that wait to be requantized. */
typedef struct amx_pending {
    const int32_t *sums;
    const float *mult, *zero;       /* zero: by channel, where vb_scale finishes */
    uint8_t *const *out;            /* of each pixel, before `channel` is added */
    const uint8_t *const *residual; /* of each pixel, by channel where there is one */
    int64_t channel;
    int32_t vectors, channels;
    int32_t done, pixels;
    vb_requant rq;
    finish fin; /* of the sums' channels */
} amx_pending;

FINISH_TILE(1, false, FINISH_LISTED)
FINISH_TILE(2, false, FINISH_LISTED)

/* By channel. Behind the sums of the last pixel others are read, and not used. */
static void finish_pixels_channels(const amx_pending *p, int32_t from, int32_t to)
{
    const finish_place place = {
        .outs = p->out + from,
        .residuals = p->residual + from,
        .channel = p->channel,
        .channels = p->channels,
    };
    const vb *sums = (const vb *)(const void *)(p->sums + (int64_t)from * p->vectors * VL);
    if (p->vectors == 2)
        finish_tile_2(&p->fin, sums, to - from, &place);
    else
        finish_tile_1(&p->fin, sums, to - from, &place);
}

VEC_INLINE void finish_pixels(const amx_pending *p, int32_t from, int32_t to, const int N,
                              int32_t channels)
{
    const int at_once = 4 / N;
    const vb_requant rq = p->rq;
    for (int32_t m = from; m < to; m += at_once) {
        vb acc[4];
        VEC_UNROLL
        for (int i = 0; i < 4; i++)
            acc[i] = vb_load(p->sums + (m * N + i) * VL);
        vb_scale(acc, 4, p->mult, p->zero, N, &rq);
        const vb q = vb_collect(vb_narrow(acc[0], acc[1], acc[2], acc[3], &rq), N);
        VEC_UNROLL
        for (int j = 0; j < at_once; j++)
            vb_store_slice(p->out[m + j] + p->channel, q, at_once, j, channels);
    }
}

/* Requantizes `count` pixels more, a multiple of 4. */
static __attribute__((noinline)) void amx_finish(amx_pending *p, int32_t count)
{
    const int32_t from = p->done, to = QZI_MIN(p->done + count, p->pixels);
    p->done = to;
    if (p->fin.later) {
        if (from < to)
            finish_pixels_channels(p, from, to);
        return;
    }
    if (p->vectors == 2 && p->channels == BLOCK_LANES)
        finish_pixels(p, from, to, 2, BLOCK_LANES);
    else if (p->vectors == 2)
        finish_pixels(p, from, to, 2, p->channels);
    else
        finish_pixels(p, from, to, 1, p->channels);
}

/*
 * M tiles of pixels by N of weights. Tile registers: 0 to 3 sums, 4 and 5 pixels, 6 and 7 weights.
 * Not every compiler knows from the intrinsics that memory is read.
 */
VEC_INLINE void amx_multiply(const amx_job *job, amx_pending *pending, const int M, const int N)
{
    const int64_t stride = job->stride;
    const int8_t *w = job->w;
    const int32_t steps = job->runs * job->run_steps;
    const int32_t each = steps < MIX_STEPS ? 0 : QZI_ROUND_UP(QZI_DIV_UP(PIXELS, steps), 4);
    __asm__ volatile("" ::: "memory");
    /* a stride of 0: the same biases for all pixels */
    _tile_loadd(0, job->bias, 0);
    if (N == 2)
        _tile_loadd(1, job->bias + VL, 0);
    if (M == 2)
        _tile_loadd(2, job->bias, 0);
    if (M == 2 && N == 2)
        _tile_loadd(3, job->bias + VL, 0);
    for (int32_t run = 0; run < job->runs; run++) {
        const uint8_t *first = job->first + job->run_at[run];
        const uint8_t *second = M == 2 ? job->second + job->run_at[run] : NULL;
        for (int32_t s = 0; s < job->run_steps; s++, w += N * TILE_BYTES) {
            _tile_loadd(4, first + (int64_t)s * STEP, stride);
            _tile_loadd(6, w, 64);
            _tile_dpbusd(0, 4, 6);
            if (N == 2) {
                _tile_loadd(7, w + TILE_BYTES, 64);
                _tile_dpbusd(1, 4, 7);
            }
            if (M == 2) {
                _tile_loadd(5, second + (int64_t)s * STEP, stride);
                _tile_dpbusd(2, 5, 6);
                if (N == 2)
                    _tile_dpbusd(3, 5, 7);
            }
            if (each > 0 && pending->done < pending->pixels)
                amx_finish(pending, each);
        }
    }
    amx_finish(pending, PIXELS); /* stores wait for the products */
    const int64_t pixel = N * VB;
    int32_t *sums = job->sums;
    _tile_stored(0, sums, pixel);
    if (N == 2)
        _tile_stored(1, sums + VL, pixel);
    if (M == 2)
        _tile_stored(2, sums + TILE_ROWS * N * VL, pixel);
    if (M == 2 && N == 2)
        _tile_stored(3, sums + TILE_ROWS * N * VL + VL, pixel);
}

static void amx_multiply_any(const amx_job *job, amx_pending *pending, int32_t vectors)
{
    if (vectors == 2 && job->second)
        amx_multiply(job, pending, 2, 2);
    else if (vectors == 2)
        amx_multiply(job, pending, 1, 2);
    else if (job->second)
        amx_multiply(job, pending, 2, 1);
    else
        amx_multiply(job, pending, 1, 1);
}

/* ---- few pixels ---- */

/*
 * One pixel of `words` times four channels, by vectors: a tile of pixels would be empty but for a
 * row. The weights in a tile lie as vpdpbusd takes them.
 */
VEC_INLINE void few_multiply(const uint8_t *x, const int8_t *w, int64_t words, const int32_t *bias,
                             int32_t *sums, const int N)
{
    vb acc[BLOCK_N * 4]; /* four of each, over different steps: they hide the latency */
    VEC_UNROLL
    for (int i = 0; i < N * 4; i++)
        acc[i] = i < N ? vb_load(bias + i * VL) : VEC_LOGIC(setzero)();
    int64_t i = 0;
    for (; i + 4 <= words; i += 4) {
        const int8_t *from = w + i / TILE_ROWS * N * TILE_BYTES + i % TILE_ROWS * VB;
        VEC_UNROLL
        for (int k = 0; k < 4; k++) {
            VEC_UNROLL
            for (int n = 0; n < N; n++) {
                const int8_t *at = from + n * TILE_BYTES + k * VB;
                _mm_prefetch((const char *)at + WEIGHTS_AHEAD, _MM_HINT_T0);
                acc[k * N + n] =
                    vb_dot(acc[k * N + n], vb_broadcast4(x + (i + k) * 4), vb_load(at));
            }
        }
    }
    for (; i < words; i++) {
        const int8_t *from = w + i / TILE_ROWS * N * TILE_BYTES + i % TILE_ROWS * VB;
        VEC_UNROLL
        for (int n = 0; n < N; n++)
            acc[n] = vb_dot(acc[n], vb_broadcast4(x + i * 4), vb_load(from + n * TILE_BYTES));
    }
    VEC_UNROLL
    for (int n = 0; n < N; n++) {
        const vb low = VEC_OP(add_epi32)(acc[n], acc[N + n]);
        const vb high = VEC_OP(add_epi32)(acc[2 * N + n], acc[3 * N + n]);
        vb_store(sums + n * VL, VEC_OP(add_epi32)(low, high));
    }
}

#endif

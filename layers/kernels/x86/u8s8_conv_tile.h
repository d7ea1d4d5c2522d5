/* SPDX-License-Identifier: MIT */
/*
 * u8s8_conv_tile.h - int8 convolution and linear, any shape: an indirect matrix product.
 *
 * A tile is some output pixels times some vectors of output channels, all of its sums in registers:
 * TILE_M pixels by two vectors, or, where TILE_WIDE_M is defined and the weights of four vectors
 * stay in the first-level cache, TILE_WIDE_M by four, which loads less for each product. One step
 * takes four bytes of each pixel, broadcast, and as many weights for each channel. Order of K: tap,
 * then channel. The padding's zero points go through the same multiplications as everything else,
 * so that the bias can hold -zp * (sum of the weights) for every pixel alike.
 *
 * With VNNI the four bytes are four input channels. Without, they are two, widened to 16 bits when
 * a block of pixels is begun (rows_widen): that costs less than to do it again for every vector of
 * output channels.
 *
 * Groups run one after the other. Where a group has fewer channels than a vector, neighbouring
 * groups are merged into one with zeros off the diagonal, as long as that costs less.
 *
 * The including file defines TILE_M and TILE_LIST(X) that names 1 ... TILE_M, perhaps TILE_WIDE_M
 * and TILE_WIDE_LIST(X), and CONV_SYMBOL, CONV_KERNEL_NAME, CONV_ISA of the kernel.
 */
#include "layers/kernels/x86/u8s8_dot.h"
#include "layers/kernels/x86/u8s8_finish.h"
#include "layers/kernels/x86/u8s8_rows.h"

#ifndef TILE_WIDE_M
#define TILE_WIDE_M 0
#define TILE_WIDE_LIST(X)
#endif

enum {
    TILE_N = 2,
    TILE_WIDE_N = 4,
    MAX_SUMS = TILE_M * TILE_N, /* no fewer than of the wide tile */
    WIDE_WEIGHTS = 32768,       /* bytes of weights up to which a wide tile is taken */
    STEP_CHANNELS = VEC_VNNI ? 4 : 2,
    STEP_BYTES = 4,       /* of a pixel */
    WEIGHTS_AHEAD = 1024, /* bytes that weights are prefetched ahead */
    MAX_SKIP_TAPS = 64,   /* taps that are looked at, a bit each */
};

/* Tiles of up to three sums have each four times (conv_tile, phases). */
_Static_assert((int)MAX_SUMS >= 12, "TILE_M must be at least 6");

typedef struct conv_plan {
    int32_t groups, icg, ocg; /* after merging */
    int32_t taps;
    int32_t steps;          /* in one tap */
    int32_t vectors;        /* of output channels, in one group */
    int32_t tile_m, tile_n; /* pixels and vectors of a tile */
    int32_t blocks;         /* of tile_n vectors, in one group; the last may have fewer */
    bool skips;             /* taps in the padding */
    size_t bias_at, mult_at, zp_at, sums_at, weights_at, size;
} conv_plan;

/* How many groups to merge: the divisor of groups with the least work for a group. */
static int32_t merged_groups(const qzk_conv_shape *s)
{
    const int32_t icg = s->ic / s->groups, ocg = s->oc / s->groups;
    int32_t best = 1;
    int64_t best_cost = (int64_t)QZI_DIV_UP(icg, 4) * QZI_DIV_UP(ocg, VL);
    for (int32_t m = 2; m <= s->groups && (int64_t)m * ocg <= TILE_N * VL; m++) {
        const int64_t cost = QZI_DIV_UP((int64_t)m * icg, 4) * QZI_DIV_UP((int64_t)m * ocg, VL);
        if (s->groups % m == 0 && cost * best < best_cost * m) {
            best = m;
            best_cost = cost;
        }
    }
    return best;
}

/* The row that taps in the padding read: a pixel, or a run of pixels. */
static size_t zp_bytes(const qzk_conv_shape *s)
{
    const size_t bytes = (size_t)QZI_MAX(s->ic, rows_run_bytes(s));
    return QZI_ROUND_UP(bytes, QZI_ALIGN);
}

static conv_plan conv_plan_make(const qzk_conv_shape *s)
{
    const int32_t merge = merged_groups(s);
    conv_plan plan;
    plan.groups = s->groups / merge;
    plan.icg = s->ic / plan.groups;
    plan.ocg = s->oc / plan.groups;
    plan.taps = s->kh * s->kw;
    /* in a run of pixels, the padding of each is stepped over too */
    const int32_t channels = rows_run_bytes(s) > 0 ? QZK_CEIL4(s->ic) : plan.icg;
    plan.steps = QZI_DIV_UP(channels, STEP_CHANNELS);
    plan.vectors = QZI_DIV_UP(plan.ocg, VL);
    const int64_t wide_weights = (int64_t)plan.taps * plan.steps * TILE_WIDE_N * VB;
    const bool wide = TILE_WIDE_M > 0 && plan.vectors > TILE_N && wide_weights <= WIDE_WEIGHTS;
    plan.tile_m = wide ? TILE_WIDE_M : TILE_M;
    plan.tile_n = wide ? TILE_WIDE_N : TILE_N;
    plan.blocks = QZI_DIV_UP(plan.vectors, plan.tile_n);
    const size_t all = (size_t)plan.groups * (size_t)plan.vectors;
    plan.bias_at = PACKED_HEAD;
    plan.mult_at = plan.bias_at + all * VB;
    plan.zp_at = plan.mult_at + all * VB * finish_vectors(s);
    plan.skips = VEC_VNNI && (s->dil_h > 1 || s->dil_w > 1) &&
                 (s->pad_top > 0 || s->pad_left > 0) && plan.taps <= MAX_SKIP_TAPS &&
                 rows_run_bytes(s) == 0;
    plan.sums_at = plan.zp_at + zp_bytes(s);
    plan.weights_at = plan.sums_at + (plan.skips ? all * VB * (size_t)plan.taps : 0);
    plan.size = plan.weights_at + all * VB * (size_t)plan.taps * (size_t)plan.steps;
    return plan;
}

/*
 * Where in a pixel the steps of a group begin: at its first channel, or before it where they would
 * else pass the end of the pixel.
 */
static int32_t group_offset(const qzk_conv_shape *s, const conv_plan *plan, int32_t group)
{
    return QZI_MIN(group * plan->icg, QZK_CEIL4(s->ic) - STEP_CHANNELS * plan->steps);
}

/* The weight of one channel of a step, in the place of its lane. */
static void put_weight(int8_t *lane, int32_t channel, int8_t value)
{
#if VEC_VNNI
    lane[channel] = value;
#else
    const int16_t wide = value;
    memcpy(lane + channel * 2, &wide, sizeof(wide));
#endif
}

static size_t conv_packed_size(const qzk_conv_shape *shape)
{
    return conv_plan_make(shape).size;
}

/* Floats between the multipliers of a channel; 0: it has one. */
static size_t packed_step(const qzk_conv_shape *s, const conv_plan *plan)
{
    return s->by_channel ? (size_t)plan->groups * (size_t)plan->vectors * VL : 0;
}

static void conv_pack(const qzk_conv_shape *s, const qzk_conv_weights *weights, void *packed)
{
    const conv_plan plan = conv_plan_make(s);
    const int32_t icg = s->ic / s->groups, ocg = s->oc / s->groups;
    uint8_t *blob = packed;
    int32_t *bias = (int32_t *)(void *)(blob + plan.bias_at);
    uint32_t *sums = (uint32_t *)(void *)(blob + plan.sums_at);
    float *mult = (float *)(void *)(blob + plan.mult_at);
    memset(blob, 0, plan.size);
    packed_zp_row(weights, s->ic, QZK_CEIL4(s->ic), zp_bytes(s), blob + plan.zp_at);
    const size_t mult_step = packed_step(s, &plan);
    for (int32_t o = 0; o < s->oc; o++) {
        const int32_t group = o / plan.ocg, in_group = o % plan.ocg;
        const int32_t block_lanes = plan.tile_n * VL;
        const int32_t before = in_group / block_lanes * plan.tile_n, c = in_group % block_lanes;
        const int32_t n_count = QZI_MIN(plan.tile_n, plan.vectors - before);
        const size_t vector = (size_t)group * (size_t)plan.vectors + (size_t)before;
        /* the order in which vb_narrow leaves the channels side by side */
        const int32_t n = c / 4 % n_count, lane = c / (4 * n_count) * 4 + c % 4;
        int8_t *to = (int8_t *)blob + plan.weights_at +
                     vector * VB * (size_t)plan.taps * (size_t)plan.steps + (size_t)n * VB;
        const int8_t *from = weights->w_s8 + (size_t)o * (size_t)icg * (size_t)plan.taps;
        const int32_t first = o / ocg * icg - group_offset(s, &plan, group);
        const size_t at = (vector + (size_t)n) * VL + (size_t)lane;
        uint32_t sum = 0, magnitude = 0;
        for (int32_t i = 0; i < icg; i++) {
            const int32_t k = first + i;
            const uint32_t zp = packed_zp(weights, o / ocg * icg + i);
            for (int32_t tap = 0; tap < plan.taps; tap++) {
                const int8_t w = *from++;
                const size_t step = (size_t)tap * (size_t)plan.steps + (size_t)(k / STEP_CHANNELS);
                put_weight(to + step * (size_t)n_count * VB + lane * STEP_BYTES, k % STEP_CHANNELS,
                           w);
                if (plan.skips)
                    sums[((vector + (size_t)n) * (size_t)plan.taps + (size_t)tap) * VL +
                         (size_t)lane] += (uint32_t)w * zp;
                sum += (uint32_t)w * zp;
                magnitude += (uint32_t)(w < 0 ? -w : w);
            }
        }
        packed_channel(weights, o, sum, magnitude, bias + at, mult + at, mult_step, packed);
    }
}

/* ---- one tile ---- */

typedef struct tile_job {
    int32_t taps, steps;
    int32_t pitch;    /* row pointers of a tap */
    int32_t channels; /* that are stored */
    int64_t x_offset; /* of the group in a pixel, in bytes */
    const int8_t *w;
    const int32_t *bias;
    const float *mult;
    const int32_t *sums;   /* of a tap in the padding, by vector and tap; NULL: none is skipped */
    const uint8_t *zp_row; /* what the padding's rows point to */
    int64_t out_stride;
    vb_requant rq;
    finish fin;
} tile_job;

/* Adds the taps that lie in the padding for all M pixels; a bit for each of them. */
VEC_INLINE uint64_t conv_skip_taps(const tile_job *job, const uint8_t *const *rows, vb *acc,
                                   const int M, const int N)
{
    uint64_t skipped = 0;
    for (int32_t tap = 0; tap < job->taps; tap++, rows += job->pitch) {
        int m = 0;
        while (m < M && rows[m] == job->zp_row)
            m++;
        if (m < M)
            continue;
        skipped |= (uint64_t)1 << tap;
        VEC_UNROLL
        for (int i = 0; i < M * N; i++)
            acc[i] = VEC_OP(add_epi32)(
                acc[i], vb_load(job->sums + ((int64_t)(i % N) * job->taps + tap) * VL));
    }
    return skipped;
}

/* One step: four bytes of each of the first M rows, at byte `at`. */
VEC_INLINE void conv_step(vb *acc, const uint8_t *const *rows, int64_t at, const int8_t *w,
                          const int M, const int N)
{
    vb wv[TILE_WIDE_N];
    VEC_UNROLL
    for (int n = 0; n < N; n++)
        wv[n] = vb_load(w + n * VB);
    VEC_UNROLL
    for (int n = 0; n < N && N <= TILE_N; n++) /* where weights do not stay in the nearest cache */
        _mm_prefetch((const char *)w + WEIGHTS_AHEAD + n * VB, _MM_HINT_T0);
    VEC_UNROLL
    for (int m = 0; m < M; m++) {
        const vb x = vb_broadcast4(rows[m] + at);
        VEC_UNROLL
        for (int n = 0; n < N; n++)
            acc[m * N + n] = vb_dot(acc[m * N + n], x, wv[n]);
    }
}

FINISH_TILE(1, false, FINISH_LINE)
FINISH_TILE(2, false, FINISH_LINE)
#if TILE_WIDE_M > 0
FINISH_TILE(3, false, FINISH_LINE)
FINISH_TILE(4, false, FINISH_LINE)
#endif

/* By channel. */
VEC_INLINE void conv_finish_channels(const tile_job *job, vb *acc, uint8_t *out, const int M,
                                     const int N)
{
    const finish_place to = {
        .out = out,
        .stride = job->out_stride,
        .residual = job->fin.residual,
        .residual_stride = job->fin.residual_stride,
        .channels = job->channels,
    };
#if VB == 64
    if ((M == TILE_M || M == TILE_M / 2 || M == TILE_WIDE_M) &&
        finish_in_registers(&job->fin, acc, M, N, &to, FINISH_LINE))
        return;
#endif
    vb sums[MAX_SUMS + FINISH_PAD];
    VEC_UNROLL
    for (int i = 0; i < M * N; i++)
        vb_store(&sums[i], acc[i]);
    VEC_UNROLL
    for (int i = 0; i < FINISH_PAD; i++)
        vb_store(&sums[M * N + i], VEC_LOGIC(setzero)());
    if (N == 1)
        finish_tile_1(&job->fin, sums, M, &to);
    else if (N == 2)
        finish_tile_2(&job->fin, sums, M, &to);
#if TILE_WIDE_M > 0
    else if (N == 3)
        finish_tile_3(&job->fin, sums, M, &to);
    else
        finish_tile_4(&job->fin, sums, M, &to);
#endif
}

VEC_INLINE void conv_finish(const tile_job *job, vb *acc, uint8_t *out, const int M, const int N)
{
    if (job->fin.later) {
        conv_finish_channels(job, acc, out, M, N);
        return;
    }
    const int32_t channels = job->channels;
    const int pixels = 4 / N; /* that one vector of bytes has */
    vb_scale(acc, M * N, job->mult, job->fin.zero, N, &job->rq);
    VEC_UNROLL
    for (int m = 0; m < M; m += pixels) {
        const int last = M * N - 1, i = m * N;
        const vb q = vb_narrow(acc[i], acc[QZI_MIN(i + 1, last)], acc[QZI_MIN(i + 2, last)],
                               acc[QZI_MIN(i + 3, last)], &job->rq);
        const vb collected = vb_collect(q, N);
        VEC_UNROLL
        for (int j = 0; j < pixels; j++)
            if (m + j < M)
                vb_store_slice(out + (m + j) * job->out_stride, collected, pixels, j, channels);
    }
}

/* M pixels times N vectors; M and N are constants where this is inlined. */
VEC_INLINE void conv_tile(const tile_job *job, const uint8_t *const *rows, uint8_t *out,
                          const int M, const int N)
{
    /* few sums: several of each, over different steps, hide the latency of a dot product */
    const int phases = M * N >= 8 ? 1 : M * N >= 4 ? 2 : 4;
    const int step_weights = N * VB;
    vb acc[MAX_SUMS];
    VEC_UNROLL
    for (int i = 0; i < phases * M * N; i++)
        acc[i] = i < M * N ? vb_load(job->bias + i % N * VL) : VEC_LOGIC(setzero)();

    const uint64_t skipped = job->sums ? conv_skip_taps(job, rows, acc, M, N) : 0;
    const int8_t *w = job->w;
    for (int32_t tap = 0; tap < job->taps; tap++, rows += job->pitch) {
        int64_t at = job->x_offset;
        const int64_t end = at + STEP_BYTES * (int64_t)job->steps;
        if (skipped && (skipped >> tap & 1)) {
            w += (int64_t)job->steps * step_weights;
            continue;
        }
        if (M == (N > TILE_N ? TILE_WIDE_M : TILE_M)) { /* the usual tile: fewer rounds */
            for (; at + 16 <= end; at += 16, w += 4 * step_weights) {
                conv_step(acc, rows, at, w, M, N);
                conv_step(acc, rows, at + 4, w + step_weights, M, N);
                conv_step(acc, rows, at + 8, w + 2 * step_weights, M, N);
                conv_step(acc, rows, at + 12, w + 3 * step_weights, M, N);
            }
            /* the rest without a loop: these branches go the same way for every tap */
            if (at + 8 <= end) {
                conv_step(acc, rows, at, w, M, N);
                conv_step(acc, rows, at + 4, w + step_weights, M, N);
                at += 8;
                w += 2 * step_weights;
            }
            if (at < end) {
                conv_step(acc, rows, at, w, M, N);
                w += step_weights;
            }
            continue;
        }
        for (; at + 4 * phases <= end; at += 4 * phases, w += phases * step_weights) {
            /* not a loop: clang would fold the index into acc too late to keep it in registers */
            conv_step(acc, rows, at, w, M, N);
            if (phases >= 2)
                conv_step(acc + M * N, rows, at + 4, w + step_weights, M, N);
            if (phases == 4) {
                conv_step(acc + 2 * M * N, rows, at + 8, w + 2 * step_weights, M, N);
                conv_step(acc + 3 * M * N, rows, at + 12, w + 3 * step_weights, M, N);
            }
        }
        if (phases > 1)
            for (; at < end; at += 4, w += step_weights)
                conv_step(acc, rows, at, w, M, N);
    }
    VEC_UNROLL
    for (int i = M * N; i < phases * M * N; i++)
        acc[i % (M * N)] = VEC_OP(add_epi32)(acc[i % (M * N)], acc[i]);
    conv_finish(job, acc, out, M, N);
}

typedef void (*tile_fn)(const tile_job *job, const uint8_t *const *rows, uint8_t *out);

#define CONV_TILE(m, n)                                                                            \
    static void conv_tile_##m##x##n(const tile_job *job, const uint8_t *const *rows, uint8_t *out) \
    {                                                                                              \
        conv_tile(job, rows, out, m, n);                                                           \
    }
#define CONV_TILES(m) CONV_TILE(m, 1) CONV_TILE(m, 2)
#define CONV_WIDE_TILES(m) CONV_TILE(m, 3) CONV_TILE(m, 4)
TILE_LIST(CONV_TILES)
TILE_WIDE_LIST(CONV_WIDE_TILES)

/* [vectors - 1][pixels - 1] */
#define CONV_TILE_1(m) conv_tile_##m##x1,
#define CONV_TILE_2(m) conv_tile_##m##x2,
#define CONV_TILE_3(m) conv_tile_##m##x3,
#define CONV_TILE_4(m) conv_tile_##m##x4,
static const tile_fn conv_tiles[TILE_WIDE_N][TILE_M] = {
    {TILE_LIST(CONV_TILE_1)},
    {TILE_LIST(CONV_TILE_2)},
    {TILE_WIDE_LIST(CONV_TILE_3)},
    {TILE_WIDE_LIST(CONV_TILE_4)},
};

/* ---- the whole ---- */

static bool conv_supports(const qzk_conv_shape *shape)
{
    (void)shape;
    return true;
}

static rows_plan conv_rows(const qzk_conv_args *args, const conv_plan *plan)
{
    return rows_plan_make(args, plan->tile_m, (int64_t)plan->groups * plan->blocks, !VEC_VNNI);
}

static size_t conv_scratch_size(const qzk_conv_args *args)
{
    const conv_plan plan = conv_plan_make(args->shape);
    const rows_plan rows = conv_rows(args, &plan);
    return rows_scratch_size(&rows);
}

static int64_t conv_units(const qzk_conv_args *args)
{
    const conv_plan plan = conv_plan_make(args->shape);
    const rows_plan rows = conv_rows(args, &plan);
    return rows_units(&rows);
}

/* The first output channel of a block; of the one behind the last: all channels. */
static int64_t conv_block_channel(const conv_plan *plan, int64_t block)
{
    return block / plan->blocks * plan->ocg + block % plan->blocks * plan->tile_n * VL;
}

/* One block of output channels for the `count` pixels from `first`. */
static void conv_block(const qzk_conv_args *args, const conv_plan *plan, const rows_plan *rows,
                       int64_t block, const uint8_t *const *table, int64_t first, int64_t count)
{
    const uint8_t *blob = args->packed;
    const int32_t group = (int32_t)(block / plan->blocks);
    const int32_t before = (int32_t)(block % plan->blocks) * plan->tile_n; /* vectors */
    const int32_t channel = before * VL;
    const size_t vector = (size_t)group * (size_t)plan->vectors + (size_t)before;
    const float *mult = (const float *)(const void *)(blob + plan->mult_at) + vector * VL;
    const int64_t out_channel = (int64_t)group * plan->ocg + channel;
    tile_job job = {
        .taps = rows->taps,
        .steps = rows->run_bytes ? rows->run_bytes / STEP_CHANNELS : plan->steps,
        .pitch = plan->tile_m,
        .channels = QZI_MIN(plan->tile_n * VL, plan->ocg - channel),
        .x_offset = group_offset(args->shape, plan, group) * (STEP_BYTES / STEP_CHANNELS),
        .w = (const int8_t *)blob + plan->weights_at +
             vector * VB * (size_t)plan->taps * (size_t)plan->steps,
        .bias = (const int32_t *)(const void *)(blob + plan->bias_at) + vector * VL,
        .mult = mult,
        .sums = plan->skips ? (const int32_t *)(const void *)(blob + plan->sums_at) +
                                  vector * VL * (size_t)plan->taps
                            : NULL,
        .zp_row = blob + plan->zp_at,
        .out_stride = args->out.pixel_stride,
        .rq = vb_requant_init(args),
        .fin = finish_init(args, mult, (size_t)plan->groups * (size_t)plan->vectors, out_channel),
    };
    job.fin.residual = finish_at(&job.fin, first);
    finish_words_set(&job.fin, QZI_MIN(plan->tile_n, plan->vectors - before));
    const tile_fn *tiles = conv_tiles[QZI_MIN(plan->tile_n, plan->vectors - before) - 1];
    uint8_t *out = (uint8_t *)args->out.data + first * args->out.pixel_stride + out_channel;
    for (int64_t i = 0; i < count; i += plan->tile_m) {
        const int64_t m = QZI_MIN(plan->tile_m, count - i);
        tiles[m - 1](&job, table, out);
        table += plan->tile_m * (int64_t)rows->taps;
        out += plan->tile_m * args->out.pixel_stride;
        job.fin.residual = finish_at(&job.fin, plan->tile_m);
    }
}

static void conv_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    const conv_plan plan = conv_plan_make(args->shape);
    const rows_plan rows = conv_rows(args, &plan);
    const int64_t all = (int64_t)plan.groups * plan.blocks;
    const uint8_t *zp_row = (const uint8_t *)args->packed + plan.zp_at;
    int64_t filled = -1;
    for (int64_t unit = begin; unit < end; unit++) {
        const rows_unit u = rows_unit_at(&rows, unit);
        if (filled != u.block)
            rows_fill(args, &rows, zp_row, u.first, u.count, scratch);
        filled = u.block;
        const int64_t block = all * u.part / rows.parts, stop = all * (u.part + 1) / rows.parts;
        for (int64_t b = block; b < stop; b++)
            conv_block(args, &plan, &rows, b, scratch, u.first, u.count);
        const int64_t channel = conv_block_channel(&plan, block);
        qzk_conv_done(args, u.first, u.count, channel, conv_block_channel(&plan, stop) - channel);
    }
}

const qzk_conv_kernel CONV_SYMBOL = {
    .name = CONV_KERNEL_NAME,
    .isa = CONV_ISA,
    .macs_per_ns = 512,
    .weight_bytes = 1,
    .tile_m = TILE_M,
    .tile_n = TILE_N * VL,
    .skips_padding = VEC_VNNI,
    .supports = conv_supports,
    .packed_size = conv_packed_size,
    .pack = conv_pack,
    .scratch_size = conv_scratch_size,
    .units = conv_units,
    .run = conv_run,
};

/* SPDX-License-Identifier: MIT */
/*
 * u8s8_groupconv_tile.h - int8 convolution in groups of 4, 8 or 16 channels (as many out as in).
 *
 * A vector of the input is used in memory order: lane l has the four channels of word l. Sum v
 * (0..3) of a lane is output channel 4*l + v, which is of the same group, so with groups of four
 * the same vector meets four vectors of weights and nothing is moved. Wider groups have two or four
 * words; the words are rotated inside the group by one vector shuffle (groups never cross 128
 * bits), and met by the weights that fit each rotation.
 *
 * The including file defines TILE_M (a tile's pixels: 6 or 3) and CONV_SYMBOL, CONV_KERNEL_NAME,
 * CONV_ISA.
 */
#include "layers/kernels/x86/u8s8_dot.h"
#include "layers/kernels/x86/u8s8_finish.h"
#include "layers/kernels/x86/u8s8_rows.h"

enum { SUMS = 4 }; /* vectors of sums for a vector of input bytes */

typedef struct group_plan {
    int32_t words; /* of four channels, in one group: 1, 2 or 4 */
    int32_t taps;
    int32_t blocks;       /* of VB channels */
    size_t block_weights; /* bytes */
    size_t bias_at, mult_at, zp_at, weights_at, size;
} group_plan;

static bool group_supports(const qzk_conv_shape *s)
{
    const int32_t icg = s->ic / s->groups;
    return s->ic == s->oc && s->groups > 1 && (icg == 4 || icg == 8 || icg == 16);
}

static group_plan group_plan_make(const qzk_conv_shape *s)
{
    group_plan plan;
    plan.words = s->ic / s->groups / 4;
    plan.taps = s->kh * s->kw;
    plan.blocks = QZI_DIV_UP(s->ic, VB);
    plan.block_weights = (size_t)plan.taps * (size_t)plan.words * SUMS * VEC_WEIGHTS;
    const size_t sums = (size_t)plan.blocks * SUMS * VB;
    plan.bias_at = PACKED_HEAD;
    plan.mult_at = plan.bias_at + sums;
    plan.zp_at = plan.mult_at + sums * finish_vectors(s);
    plan.weights_at = plan.zp_at + (size_t)plan.blocks * VB;
    plan.size = plan.weights_at + (size_t)plan.blocks * plan.block_weights;
    return plan;
}

static size_t group_packed_size(const qzk_conv_shape *shape)
{
    return group_plan_make(shape).size;
}

static void group_pack(const qzk_conv_shape *s, const qzk_conv_weights *weights, void *packed)
{
    const group_plan plan = group_plan_make(s);
    uint8_t *blob = packed;
    int32_t *bias = (int32_t *)(void *)(blob + plan.bias_at);
    float *mult = (float *)(void *)(blob + plan.mult_at);
    const int8_t *from = weights->w_s8;
    memset(blob, 0, plan.size);
    const size_t zp_bytes = (size_t)plan.blocks * VB;
    const size_t mult_step = s->by_channel ? (size_t)plan.blocks * SUMS * VL : 0;
    packed_zp_row(weights, s->ic, (int32_t)zp_bytes, zp_bytes, blob + plan.zp_at);
    for (int32_t o = 0; o < s->oc; o++) {
        const int32_t lane = o % VB / 4, v = o % 4;
        const size_t block = (size_t)(o / VB);
        int8_t *to = (int8_t *)blob + plan.weights_at + block * plan.block_weights;
        uint32_t sum = 0, magnitude = 0;
        for (int32_t i = 0; i < plan.words * 4; i++) {
            const uint32_t zp = packed_zp(weights, o / (plan.words * 4) * plan.words * 4 + i);
            const int32_t rotation = (i / 4 - lane) & (plan.words - 1);
            for (int32_t tap = 0; tap < plan.taps; tap++) {
                const int8_t w = *from++;
                const size_t step = (size_t)tap * (size_t)plan.words + (size_t)rotation;
                vb_put_weight(to + step * SUMS * VEC_WEIGHTS + (size_t)v * VB, SUMS * VB, lane,
                              i % 4, w);
                sum += (uint32_t)w * zp;
                magnitude += (uint32_t)(w < 0 ? -w : w);
            }
        }
        const size_t at = (block * SUMS + (size_t)v) * VL + (size_t)lane;
        packed_channel(weights, o, sum, magnitude, bias + at, mult + at, mult_step, packed);
    }
}

/* ---- one tile ---- */

typedef struct group_job {
    int32_t taps;
    int32_t channels; /* of the block: read (in whole words) and stored */
    int64_t x_offset; /* of the block in a pixel */
    const int8_t *w;
    const int32_t *bias;
    const float *mult;
    int64_t out_stride;
    vb_requant rq;
    finish fin;
} group_job;

FINISH_TILE(4, true, FINISH_LINE)

/* By channel. */
VEC_INLINE void group_finish_channels(const group_job *job, const vb *acc, uint8_t *out,
                                      const int M)
{
    const finish_place to = {
        .out = out,
        .stride = job->out_stride,
        .residual = job->fin.residual,
        .residual_stride = job->fin.residual_stride,
        .channels = job->channels,
    };
    vb sums[TILE_M * SUMS];
    VEC_UNROLL
    for (int i = 0; i < M * SUMS; i++)
        vb_store(&sums[i], acc[i]);
    finish_tile_4(&job->fin, sums, M, &to);
}

/* Turns the words of each group by one. */
VEC_INLINE vb group_rotate(vb x, const int words)
{
    return words == 2 ? VEC_OP(shuffle_epi32)(x, 0xb1) : VEC_OP(shuffle_epi32)(x, 0x39);
}

/* M pixels of one block; M, WORDS and PART (a block with fewer channels) are constants. */
VEC_INLINE void group_tile(const group_job *job, const uint8_t *const *rows, uint8_t *out,
                           const int M, const int words, const bool part)
{
    vb acc[TILE_M * SUMS];
    VEC_UNROLL
    for (int i = 0; i < M * SUMS; i++)
        acc[i] = vb_load(job->bias + i % SUMS * VL);

    const int8_t *w = job->w;
    for (int32_t tap = 0; tap < job->taps; tap++, rows += TILE_M) {
        vb x[TILE_M];
        VEC_UNROLL
        for (int m = 0; m < M; m++)
            x[m] = part ? vb_load_words(rows[m] + job->x_offset, QZI_DIV_UP(job->channels, 4))
                        : vb_load(rows[m] + job->x_offset);
        VEC_UNROLL
        for (int r = 0; r < words; r++) {
            VEC_UNROLL
            for (int half = 0; half < VEC_HALVES; half++, w += SUMS * VB) {
                VEC_UNROLL
                for (int v = 0; v < SUMS; v++) {
                    const vb wv = vb_load(w + v * VB);
                    VEC_UNROLL
                    for (int m = 0; m < M; m++)
                        acc[m * SUMS + v] = vb_dot(acc[m * SUMS + v], vb_half(x[m], half), wv);
                }
            }
            if (r + 1 < words) {
                VEC_UNROLL
                for (int m = 0; m < M; m++)
                    x[m] = group_rotate(x[m], words);
            }
        }
    }

    if (job->fin.later) {
        group_finish_channels(job, acc, out, M);
        return;
    }
    vb_scale(acc, M * SUMS, job->mult, job->fin.zero, SUMS, &job->rq);
    VEC_UNROLL
    for (int m = 0; m < M; m++) {
        const vb *a = acc + m * SUMS;
        const vb q = vb_transpose4(vb_narrow(a[0], a[1], a[2], a[3], &job->rq));
        if (part)
            vb_store_part(out, q, job->channels);
        else
            vb_store(out, q);
        out += job->out_stride;
    }
}

typedef void (*group_fn)(const group_job *job, const uint8_t *const *rows, uint8_t *out);

#define GROUP_TILE(m, words, part)                                                          \
    static void group_tile_##m##_##words##_##part(const group_job *job,                     \
                                                  const uint8_t *const *rows, uint8_t *out) \
    {                                                                                       \
        group_tile(job, rows, out, m, words, part);                                         \
    }
#define GROUP_TILES(m)  \
    GROUP_TILE(m, 1, 0) \
    GROUP_TILE(m, 1, 1) \
    GROUP_TILE(m, 2, 0) GROUP_TILE(m, 2, 1) GROUP_TILE(m, 4, 0) GROUP_TILE(m, 4, 1)
GROUP_TILES(1)
GROUP_TILES(2)
GROUP_TILES(3)
#if TILE_M == 6
GROUP_TILES(6)
#endif

#define GROUP_ENTRY(m)                                    \
    {                                                     \
        {group_tile_##m##_1_0, group_tile_##m##_1_1},     \
            {group_tile_##m##_2_0, group_tile_##m##_2_1}, \
        {                                                 \
            group_tile_##m##_4_0, group_tile_##m##_4_1    \
        }                                                 \
    }
/* [pixels][words: 1, 2, 4][part] */
static const group_fn group_tiles[][3][2] = {
    GROUP_ENTRY(1),
    GROUP_ENTRY(2),
    GROUP_ENTRY(3),
#if TILE_M == 6
    GROUP_ENTRY(6),
#endif
};

/* ---- the whole ---- */

static rows_plan group_rows(const qzk_conv_args *args, const group_plan *plan)
{
    return rows_plan_make(args, TILE_M, plan->blocks, false);
}

static size_t group_scratch_size(const qzk_conv_args *args)
{
    const group_plan plan = group_plan_make(args->shape);
    const rows_plan rows = group_rows(args, &plan);
    return rows_scratch_size(&rows);
}

static int64_t group_units(const qzk_conv_args *args)
{
    const group_plan plan = group_plan_make(args->shape);
    const rows_plan rows = group_rows(args, &plan);
    return rows_units(&rows);
}

/* One block of channels for the `count` pixels from `first`. */
static void group_block(const qzk_conv_args *args, const group_plan *plan, int64_t block,
                        const uint8_t *const *table, int64_t first, int64_t count)
{
    const uint8_t *blob = args->packed;
    const int64_t channel = block * VB;
    const float *mult = (const float *)(const void *)(blob + plan->mult_at) + block * SUMS * VL;
    group_job job = {
        .taps = plan->taps,
        .channels = (int32_t)QZI_MIN(VB, args->shape->ic - channel),
        .x_offset = channel,
        .w = (const int8_t *)blob + plan->weights_at + (size_t)block * plan->block_weights,
        .bias = (const int32_t *)(const void *)(blob + plan->bias_at) + block * SUMS * VL,
        .mult = mult,
        .out_stride = args->out.pixel_stride,
        .rq = vb_requant_init(args),
        .fin = finish_init(args, mult, (size_t)plan->blocks * SUMS, channel),
    };
    job.fin.residual = finish_at(&job.fin, first);
    const int words = plan->words / 2; /* 1, 2, 4 to 0, 1, 2 */
    const int part = job.channels < VB;
    uint8_t *out = (uint8_t *)args->out.data + first * args->out.pixel_stride + channel;
    for (int64_t i = 0; i < count; i += TILE_M) {
        const int64_t left = QZI_MIN(TILE_M, count - i);
        for (int64_t done = 0; done < left;) {
            const int64_t m = left - done >= 6 ? 6 : QZI_MIN(left - done, 3);
            group_tiles[m == 6 ? 3 : m - 1][words][part](&job, table + done, out);
            out += m * args->out.pixel_stride;
            job.fin.residual = finish_at(&job.fin, m);
            done += m;
        }
        table += TILE_M * (int64_t)plan->taps;
    }
}

static void group_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    const group_plan plan = group_plan_make(args->shape);
    const rows_plan rows = group_rows(args, &plan);
    const uint8_t *zp_row = (const uint8_t *)args->packed + plan.zp_at;
    int64_t filled = -1;
    for (int64_t unit = begin; unit < end; unit++) {
        const rows_unit u = rows_unit_at(&rows, unit);
        if (filled != u.block)
            rows_fill(args, &rows, zp_row, u.first, u.count, scratch);
        filled = u.block;
        const int64_t block = (int64_t)plan.blocks * u.part / rows.parts;
        const int64_t stop = (int64_t)plan.blocks * (u.part + 1) / rows.parts;
        for (int64_t b = block; b < stop; b++)
            group_block(args, &plan, b, scratch, u.first, u.count);
        const int64_t channel = block * VB;
        qzk_conv_done(args, u.first, u.count, channel,
                      QZI_MIN(stop * VB, args->shape->oc) - channel);
    }
}

const qzk_conv_kernel CONV_SYMBOL = {
    .name = CONV_KERNEL_NAME,
    .isa = CONV_ISA,
    .macs_per_ns = 512,
    .weight_bytes = 1,
    .tile_m = TILE_M,
    .tile_n = VB,
    .supports = group_supports,
    .packed_size = group_packed_size,
    .pack = group_pack,
    .scratch_size = group_scratch_size,
    .units = group_units,
    .run = group_run,
};

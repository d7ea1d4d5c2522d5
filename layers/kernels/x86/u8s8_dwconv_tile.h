/* SPDX-License-Identifier: MIT */
/*
 * u8s8_dwconv_tile.h - int8 depthwise convolution (one channel in and out of each group).
 *
 * A dot product takes four bytes, so four rows of an input column are interleaved: lane by lane the
 * same channel of four rows. This is done once for each column and serves all its uses: every
 * kernel column that meets it, and several output rows, because the window of the row below is the
 * same four bytes with the weights moved down (3x3: rows 0..3 with weights w0 w1 w2 0 for one
 * output row and 0 w0 w1 w2 for the next). Taller kernels take two or more such "quads" of rows.
 *
 * Channels go in blocks of VB, whose sums fill four vectors. What is left over makes a block
 * of its own: up to half of VB channels are spread so that they fill two vectors, up to a
 * quarter one.
 *
 * A unit is a few output rows of one image by one block of channels. Its columns are interleaved
 * strip by strip into scratch memory that stays in the first-level cache.
 *
 * The including file defines MAX_ROWS (output rows of a unit: 4 or 2) and CONV_SYMBOL,
 * CONV_KERNEL_NAME, CONV_ISA.
 */
#include "layers/kernels/x86/u8s8_dot.h"
#include "layers/kernels/x86/u8s8_finish.h"

enum {
    MAX_SUMS = 4,                  /* vectors of sums of a block */
    TILE_SUMS = VB == 64 ? 24 : 8, /* of the pixels computed together */
    STRIP_BYTES = 16384,           /* of interleaved columns, about */
};

typedef struct dw_plan {
    int32_t rows;         /* output rows computed together */
    int32_t quads;        /* of input rows */
    int32_t blocks;       /* of channels */
    int32_t last_sums;    /* vectors of sums of the last block: 4, 2 or 1 */
    size_t block_weights; /* bytes */
    size_t bias_at, mult_at, zp_at, weights_at, size;
} dw_plan;

static bool dw_supports(const qzk_conv_shape *s)
{
    return s->groups == s->ic && s->ic == s->oc;
}

static dw_plan dw_plan_make(const qzk_conv_shape *s)
{
    dw_plan plan;
    plan.quads = QZI_DIV_UP(s->kh, 4);
    const int32_t rows = s->dil_h == 1 ? (4 * plan.quads - s->kh) / s->stride_h + 1 : 1;
    plan.rows = rows >= MAX_ROWS ? MAX_ROWS : rows >= 2 ? 2 : 1;
    plan.blocks = QZI_DIV_UP(s->ic, VB);
    const int32_t last = s->ic - (plan.blocks - 1) * VB;
    plan.last_sums = last > VB / 2 ? 4 : last > VB / 4 ? 2 : 1;
    plan.block_weights =
        (size_t)plan.rows * (size_t)s->kw * (size_t)plan.quads * MAX_SUMS * VEC_WEIGHTS;
    const size_t sums = (size_t)plan.blocks * MAX_SUMS * VB;
    plan.bias_at = PACKED_HEAD;
    plan.mult_at = plan.bias_at + sums;
    plan.zp_at = plan.mult_at + sums * finish_vectors(s);
    plan.weights_at = plan.zp_at + (size_t)plan.blocks * VB;
    plan.size = plan.weights_at + (size_t)plan.blocks * plan.block_weights;
    return plan;
}

static int32_t block_sums(const dw_plan *plan, int64_t block)
{
    return block + 1 < plan->blocks ? MAX_SUMS : plan->last_sums;
}

static size_t dw_packed_size(const qzk_conv_shape *shape)
{
    return dw_plan_make(shape).size;
}

/* Weights of a block: [kernel column][quad][sum][half][output row][VB]. */
static void dw_pack(const qzk_conv_shape *s, const qzk_conv_weights *weights, void *packed)
{
    const dw_plan plan = dw_plan_make(s);
    uint8_t *blob = packed;
    int32_t *bias = (int32_t *)(void *)(blob + plan.bias_at);
    float *mult = (float *)(void *)(blob + plan.mult_at);
    const size_t row_set = (size_t)plan.rows * VB;
    memset(blob, 0, plan.size);
    const size_t zp_bytes = (size_t)plan.blocks * VB;
    const size_t mult_step = s->by_channel ? (size_t)plan.blocks * MAX_SUMS * VL : 0;
    packed_zp_row(weights, s->ic, (int32_t)zp_bytes, zp_bytes, blob + plan.zp_at);
    for (int32_t c = 0; c < s->ic; c++) {
        const size_t block = (size_t)(c / VB);
        const int32_t sums = block_sums(&plan, (int64_t)block), in_block = c % VB;
        /* where dw_interleave leaves the channel */
        const int32_t v = in_block / 4 % sums, lane = in_block / (4 * sums) * 4 + c % 4;
        int8_t *to = (int8_t *)blob + plan.weights_at + block * plan.block_weights;
        const int8_t *from = weights->w_s8 + (size_t)c * (size_t)s->kh * (size_t)s->kw;
        uint32_t sum = 0, magnitude = 0;
        for (int32_t ky = 0; ky < s->kh; ky++) {
            for (int32_t kx = 0; kx < s->kw; kx++) {
                const int8_t w = *from++;
                sum += (uint32_t)w * packed_zp(weights, c);
                magnitude += (uint32_t)(w < 0 ? -w : w);
                for (int32_t r = 0; r < plan.rows; r++) {
                    const int32_t slot = r * s->stride_h + ky;
                    const size_t quad = (size_t)kx * (size_t)plan.quads + (size_t)(slot / 4);
                    const size_t step = quad * (size_t)sums + (size_t)v;
                    vb_put_weight(to + step * VEC_HALVES * row_set + (size_t)r * VB, row_set, lane,
                                  slot % 4, w);
                }
            }
        }
        const size_t at = (block * MAX_SUMS + (size_t)v) * VL + (size_t)lane;
        packed_channel(weights, c, sum, magnitude, bias + at, mult + at, mult_step, packed);
    }
}

/* ---- columns ---- */

/*
 * Four rows' bytes, interleaved: `sums` vectors. With 2 or 1, each 128-bit lane of the rows holds 8
 * or 4 bytes.
 */
VEC_INLINE void dw_interleave(vb a, vb b, vb c, vb d, uint8_t *to, const int sums)
{
    const vb ab = VEC_OP(unpacklo_epi8)(a, b), cd = VEC_OP(unpacklo_epi8)(c, d);
    vb_store(to, VEC_OP(unpacklo_epi16)(ab, cd));
    if (sums >= 2)
        vb_store(to + VB, VEC_OP(unpackhi_epi16)(ab, cd));
    if (sums == 4) {
        const vb ab2 = VEC_OP(unpackhi_epi8)(a, b), cd2 = VEC_OP(unpackhi_epi8)(c, d);
        vb_store(to + 2 * VB, VEC_OP(unpacklo_epi16)(ab2, cd2));
        vb_store(to + 3 * VB, VEC_OP(unpackhi_epi16)(ab2, cd2));
    }
}

typedef struct dw_rows {
    const uint8_t *row[4]; /* of column 0, or the row of zero points */
    int64_t step[4];       /* from column to column; 0 in the row of zero points */
} dw_rows;

/*
 * Interleaves one quad of the `count` columns from `first`, whole of them inside the image; from
 * column to column `to` advances by `to_step`. words: 32-bit words of a pixel that the block has;
 * `sums` is a constant.
 */
VEC_INLINE void dw_columns(const dw_rows *rows, int64_t first, int64_t count, int32_t words,
                           uint8_t *to, int64_t to_step, const int sums)
{
    for (int64_t x = first; x < first + count; x++, to += to_step) {
        vb in[4];
        VEC_UNROLL
        for (int i = 0; i < 4; i++) {
            const uint8_t *p = rows->row[i] + x * rows->step[i];
            in[i] = words == VL ? vb_load(p) : vb_load_words(p, words);
            if (sums < 4)
                in[i] = vb_spread(in[i], sums);
        }
        dw_interleave(in[0], in[1], in[2], in[3], to, sums);
    }
}

/* ---- output ---- */

typedef struct dw_job {
    int32_t kw, quads;
    int32_t channels;             /* of the block */
    int32_t weight_rows;          /* output rows for which weights are packed */
    int64_t tap_step, pixel_step; /* bytes of interleaved columns */
    const int8_t *w;
    const int32_t *bias;
    const float *mult;
    int64_t out_stride, out_row;
    vb_requant rq;
    finish fin;
    int64_t residual_row;
} dw_job;

FINISH_TILE(1, false, FINISH_ROWS)
FINISH_TILE(2, false, FINISH_ROWS)
FINISH_TILE(4, false, FINISH_ROWS)

/* By channel, where `residual` is the place of `out` in the residual. */
VEC_INLINE void dw_finish_channels(const dw_job *job, vb *acc, uint8_t *out,
                                   const uint8_t *residual, const int P, const int R,
                                   const int sums)
{
    const finish_place to = {
        .out = out,
        .stride = job->out_stride,
        .row = job->out_row,
        .residual = residual,
        .residual_stride = job->fin.residual_stride,
        .residual_row = job->residual_row,
        .rows_log2 = R / 2, /* of 1, 2 and 4 */
        .channels = job->channels,
    };
#if VB == 64
    if (P * R * sums >= 8 && finish_in_registers(&job->fin, acc, P * R, sums, &to, FINISH_ROWS))
        return;
#endif
    vb copy[TILE_SUMS + FINISH_PAD];
    const int count = P * R * sums;
    VEC_UNROLL
    for (int i = 0; i < count; i++)
        vb_store(&copy[i], acc[i]);
    VEC_UNROLL
    for (int i = 0; i < FINISH_PAD; i++)
        vb_store(&copy[count + i], VEC_LOGIC(setzero)());
    if (sums == 1)
        finish_tile_1(&job->fin, copy, P * R, &to);
    else if (sums == 2)
        finish_tile_2(&job->fin, copy, P * R, &to);
    else
        finish_tile_4(&job->fin, copy, P * R, &to);
}

/*
 * P output pixels side by side in each of R rows, from interleaved columns. P, R and `sums` are
 * constants, and so are kw and quads for the usual kernels.
 */
VEC_INLINE void dw_pixels(const dw_job *job, const uint8_t *columns, uint8_t *out,
                          const uint8_t *residual, const int P, const int R, const int sums,
                          const int32_t kw, const int32_t quads)
{
    const int64_t w_step = job->weight_rows * VB;
    vb acc[TILE_SUMS];
    VEC_UNROLL
    for (int i = 0; i < P * R * sums; i++)
        acc[i] = vb_load(job->bias + i % sums * VL);
    const int8_t *w = job->w;
    for (int32_t kx = 0; kx < kw; kx++, columns += job->tap_step) {
        const uint8_t *x = columns;
        for (int32_t q = 0; q < quads; q++, x += sums * VB) {
            VEC_UNROLL
            for (int v = 0; v < sums; v++) {
                vb xv[TILE_SUMS];
                VEC_UNROLL
                for (int p = 0; p < P; p++)
                    xv[p] = vb_opaque(vb_load(x + p * job->pixel_step + v * VB));
                VEC_UNROLL
                for (int half = 0; half < VEC_HALVES; half++, w += w_step) {
                    VEC_UNROLL
                    for (int r = 0; r < R; r++) {
                        const vb wv = vb_load(w + r * VB);
                        VEC_UNROLL
                        for (int p = 0; p < P; p++) {
                            vb *a = acc + (p * R + r) * sums + v;
                            *a = vb_dot(*a, vb_half(xv[p], half), wv);
                        }
                    }
                }
            }
        }
    }
    if (job->fin.later) {
        dw_finish_channels(job, acc, out, residual, P, R, sums);
        return;
    }
    vb_scale(acc, P * R * sums, job->mult, job->fin.zero, sums, &job->rq);
    const int pixels = 4 / sums; /* that one vector of bytes has */
    VEC_UNROLL
    for (int i = 0; i < P * R; i += pixels) {
        const int last = P * R * sums - 1, a = i * sums;
        const vb q = vb_narrow(acc[a], acc[QZI_MIN(a + 1, last)], acc[QZI_MIN(a + 2, last)],
                               acc[QZI_MIN(a + 3, last)], &job->rq);
        const vb collected = sums == 4 ? q : vb_collect(q, sums);
        VEC_UNROLL
        for (int j = 0; j < pixels; j++) {
            const int pixel = i + j;
            if (pixel < P * R)
                vb_store_slice(out + pixel % R * job->out_row + pixel / R * job->out_stride,
                               collected, pixels, j, job->channels);
        }
    }
}

/* `count` output pixels in each of R rows. */
VEC_INLINE void dw_row(const dw_job *job, const uint8_t *columns, int64_t count, uint8_t *out,
                       const uint8_t *residual, const int R, const int sums, const int32_t kw,
                       const int32_t quads)
{
    /* so many that the sums fit into registers, in whole vectors of bytes */
    const int P = sums == 4 ? QZI_MAX(TILE_SUMS / (4 * R), 1) : QZI_MAX(8 / (R * sums), 1);
    for (; count >= P; count -= P) {
        dw_pixels(job, columns, out, residual, P, R, sums, kw, quads);
        columns += P * job->pixel_step;
        out += P * job->out_stride;
        residual = residual ? residual + P * job->fin.residual_stride : NULL;
    }
    for (; P > 1 && count > 0; count--) {
        dw_pixels(job, columns, out, residual, 1, R, sums, kw, quads);
        columns += job->pixel_step;
        out += job->out_stride;
        residual = residual ? residual + job->fin.residual_stride : NULL;
    }
}

typedef void (*dw_fn)(const dw_job *job, const uint8_t *columns, int64_t count, uint8_t *out,
                      const uint8_t *residual);

#define DW_ROW(name, rows, sums, kw, quads)                                                       \
    static void dw_##name##_##rows##_##sums(const dw_job *job, const uint8_t *columns,            \
                                            int64_t count, uint8_t *out, const uint8_t *residual) \
    {                                                                                             \
        dw_row(job, columns, count, out, residual, rows, sums, kw, quads);                        \
    }
#if MAX_ROWS == 4
#define DW_ROW_4(name, sums, kw, quads) DW_ROW(name, 4, sums, kw, quads)
#define DW_ENTRY(name, sums)                                             \
    {                                                                    \
        dw_##name##_1_##sums, dw_##name##_2_##sums, dw_##name##_4_##sums \
    }
#else
#define DW_ROW_4(name, sums, kw, quads)
#define DW_ENTRY(name, sums)                             \
    {                                                    \
        dw_##name##_1_##sums, dw_##name##_2_##sums, NULL \
    }
#endif
#define DW_ROWS(name, sums, kw, quads) \
    DW_ROW(name, 1, sums, kw, quads)   \
    DW_ROW(name, 2, sums, kw, quads)   \
    DW_ROW_4(name, sums, kw, quads)
#define DW_KERNEL(name, kw, quads) \
    DW_ROWS(name, 1, kw, quads)    \
    DW_ROWS(name, 2, kw, quads)    \
    DW_ROWS(name, 4, kw, quads)
/* by vectors of sums (1, 2, 4), then by rows (1, 2, 4) */
#define DW_TABLE(name)                                          \
    {                                                           \
        DW_ENTRY(name, 1), DW_ENTRY(name, 2), DW_ENTRY(name, 4) \
    }

DW_KERNEL(any, job->kw, job->quads)
DW_KERNEL(3x3, 3, 1)
DW_KERNEL(5x5, 5, 2)
static const dw_fn dw_any[3][3] = DW_TABLE(any);
static const dw_fn dw_3x3[3][3] = DW_TABLE(3x3);
static const dw_fn dw_5x5[3][3] = DW_TABLE(5x5);

/* ---- the whole ---- */

/* What is the same for all units of a run. */
typedef struct dw_work {
    const qzk_conv_args *args;
    dw_plan plan;
    int64_t groups; /* of output rows, in one image */
    int64_t strip;  /* output columns */
    const dw_fn (*fn)[3];
} dw_work;

/* Output columns of a strip. */
static int64_t dw_strip(const qzk_conv_args *args, const dw_plan *plan)
{
    const qzk_conv_shape *s = args->shape;
    const int64_t column = plan->quads * MAX_SUMS * VB;
    const int64_t fit = STRIP_BYTES / column - (int64_t)(s->kw - 1) * s->dil_w;
    return QZI_MAX(QZI_MIN(QZI_MAX(fit / s->stride_w, 8), args->out.w), 1);
}

/* Input columns under `count` output columns. */
static int64_t dw_strip_columns(const qzk_conv_shape *s, int64_t count)
{
    return (count - 1) * s->stride_w + (int64_t)(s->kw - 1) * s->dil_w + 1;
}

static size_t dw_scratch_size(const qzk_conv_args *args)
{
    const dw_plan plan = dw_plan_make(args->shape);
    const int64_t columns = dw_strip_columns(args->shape, dw_strip(args, &plan));
    return (size_t)columns * (size_t)plan.quads * MAX_SUMS * VB;
}

static int64_t dw_units(const qzk_conv_args *args)
{
    const dw_plan plan = dw_plan_make(args->shape);
    return (int64_t)plan.blocks * args->out.n * QZI_DIV_UP(args->out.h, plan.rows);
}

/* `count` columns in the padding. */
static void dw_fill_padding(const vb *zp, int64_t count, int32_t quads, int32_t sums, uint8_t *to)
{
    for (int64_t i = 0; i < count * quads; i++)
        for (int32_t v = 0; v < sums; v++, to += VB)
            vb_store(to, zp[v]);
}

/* A block's row of zero points, interleaved as its columns are. */
static void dw_padding(const uint8_t *zp_row, int32_t sums, vb *zp)
{
    uint8_t *to = (uint8_t *)zp;
    const vb row = vb_load(zp_row);
    if (sums == 4) {
        dw_interleave(row, row, row, row, to, 4);
    } else if (sums == 2) {
        const vb spread = vb_spread(row, 2);
        dw_interleave(spread, spread, spread, spread, to, 2);
    } else {
        const vb spread = vb_spread(row, 1);
        dw_interleave(spread, spread, spread, spread, to, 1);
    }
}

/* Interleaves the `count` columns from `first` (some may lie in the padding), from row y0 down. */
static void dw_fill(const dw_work *work, int64_t n, int64_t y0, int64_t first, int64_t count,
                    int64_t channel, int32_t sums, uint8_t *columns)
{
    const qzk_conv_args *args = work->args;
    const qzk_view *in = &args->in;
    const int32_t quads = work->plan.quads;
    const uint8_t *zp_row = (const uint8_t *)args->packed + work->plan.zp_at + channel;
    const int32_t words = (int32_t)QZI_MIN(VL, QZI_DIV_UP(in->c - channel, 4));
    const int64_t inside = QZI_MAX(0, QZI_MIN(first + count, in->w) - QZI_MAX(first, 0));
    const int64_t left = inside > 0 ? QZI_MAX(0, -first) : count;
    const int64_t quad_bytes = (int64_t)sums * VB, to_step = quads * quad_bytes;
    vb zp[MAX_SUMS];
    dw_padding(zp_row, sums, zp);
    dw_fill_padding(zp, left, quads, sums, columns);
    dw_fill_padding(zp, count - left - inside, quads, sums, columns + (left + inside) * to_step);
    for (int32_t q = 0; q < quads && inside > 0; q++) {
        dw_rows rows;
        for (int32_t i = 0; i < 4; i++) {
            const int64_t y = y0 + (int64_t)(q * 4 + i) * args->shape->dil_h;
            const bool valid = y >= 0 && y < in->h;
            rows.row[i] = valid ? (const uint8_t *)in->data +
                                      (n * in->h + y) * in->w * in->pixel_stride + channel
                                : zp_row;
            rows.step[i] = valid ? in->pixel_stride : 0;
        }
        uint8_t *to = columns + left * to_step + q * quad_bytes;
        if (words == VL)
            dw_columns(&rows, first + left, inside, VL, to, to_step, 4);
        else if (sums == 4)
            dw_columns(&rows, first + left, inside, words, to, to_step, 4);
        else if (sums == 2)
            dw_columns(&rows, first + left, inside, words, to, to_step, 2);
        else
            dw_columns(&rows, first + left, inside, words, to, to_step, 1);
    }
}

/* Output rows from oy of image n, channels of one block. */
static void dw_unit(const dw_work *work, int64_t block, int64_t n, int64_t oy, uint8_t *columns)
{
    const qzk_conv_args *args = work->args;
    const qzk_conv_shape *s = args->shape;
    const dw_plan *plan = &work->plan;
    const uint8_t *blob = args->packed;
    const int64_t channel = block * VB, rows = QZI_MIN(plan->rows, args->out.h - oy);
    const int32_t sums = block_sums(plan, block);
    const int64_t column_bytes = (int64_t)plan->quads * sums * VB;
    const float *mult = (const float *)(const void *)(blob + plan->mult_at) + channel;
    dw_job job = {
        .kw = s->kw,
        .quads = plan->quads,
        .channels = (int32_t)QZI_MIN(VB, s->ic - channel),
        .weight_rows = plan->rows,
        .tap_step = s->dil_w * column_bytes,
        .pixel_step = s->stride_w * column_bytes,
        .bias = (const int32_t *)(const void *)(blob + plan->bias_at) + channel,
        .mult = mult,
        .out_stride = args->out.pixel_stride,
        .out_row = args->out.w * args->out.pixel_stride,
        .rq = vb_requant_init(args),
        .fin = finish_init(args, mult, (size_t)plan->blocks * MAX_SUMS, channel),
        .residual_row = args->out.w * args->residual.pixel_stride,
    };
    finish_words_set(&job.fin, sums);
    const int8_t *w = (const int8_t *)blob + plan->weights_at + (size_t)block * plan->block_weights;
    for (int64_t ox = 0; ox < args->out.w; ox += work->strip) {
        const int64_t count = QZI_MIN(work->strip, args->out.w - ox);
        dw_fill(work, n, oy * s->stride_h - s->pad_top, ox * s->stride_w - s->pad_left,
                dw_strip_columns(s, count), channel, sums, columns);
        uint8_t *out = (uint8_t *)args->out.data +
                       ((n * args->out.h + oy) * args->out.w + ox) * args->out.pixel_stride +
                       channel;
        const uint8_t *residual = finish_at(&job.fin, (n * args->out.h + oy) * args->out.w + ox);
        for (int64_t r = 0; r < rows;) {
            const int64_t left = rows - r;
            const int which = left >= 4 && MAX_ROWS == 4 ? 2 : left >= 2 ? 1 : 0;
            job.w = w + r * VB;
            work->fn[sums / 2][which](&job, columns, count, out + r * job.out_row,
                                      residual ? residual + r * job.residual_row : NULL);
            r += (int64_t)1 << which;
        }
    }
}

/* Reports the blocks [from, to) of a group of output rows as done. */
static void dw_done(const dw_work *work, int64_t line, int64_t from, int64_t to)
{
    const qzk_view *out = &work->args->out;
    const int64_t oy = line % work->groups * work->plan.rows;
    const int64_t rows = QZI_MIN(work->plan.rows, out->h - oy);
    qzk_conv_done(work->args, (line / work->groups * out->h + oy) * out->w, rows * out->w,
                  from * VB, QZI_MIN(to * VB, out->c) - from * VB);
}

static void dw_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    const qzk_conv_shape *s = args->shape;
    dw_work work = {.args = args, .plan = dw_plan_make(s)};
    work.groups = QZI_DIV_UP(args->out.h, work.plan.rows);
    work.strip = dw_strip(args, &work.plan);
    work.fn = s->kh == 3 && s->kw == 3 ? dw_3x3 : s->kh == 5 && s->kw == 5 ? dw_5x5 : dw_any;
    const int64_t lines = args->out.n * work.groups;
    int64_t from = 0; /* first block of the line that was not reported yet */
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t line = args->by_channels ? unit % lines : unit / work.plan.blocks;
        const int64_t block = args->by_channels ? unit / lines : unit % work.plan.blocks;
        dw_unit(&work, block, line / work.groups, line % work.groups * work.plan.rows, scratch);
        if (unit == begin || block == 0)
            from = block;
        if (args->by_channels || block + 1 == work.plan.blocks || unit + 1 == end)
            dw_done(&work, line, args->by_channels ? block : from, block + 1);
    }
}

const qzk_conv_kernel CONV_SYMBOL = {
    .name = CONV_KERNEL_NAME,
    .isa = CONV_ISA,
    .macs_per_ns = 64,
    .weight_bytes = 1,
    .tile_m = MAX_ROWS,
    .tile_n = VB,
    .supports = dw_supports,
    .packed_size = dw_packed_size,
    .pack = dw_pack,
    .scratch_size = dw_scratch_size,
    .units = dw_units,
    .run = dw_run,
};

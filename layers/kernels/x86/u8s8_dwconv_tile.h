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
 * A unit is a few output rows of one image by one block of VEC_BYTES channels. Its columns are
 * interleaved strip by strip into scratch memory that stays in the first-level cache.
 *
 * The including file defines MAX_ROWS (output rows of a unit: 4 or 2) and CONV_SYMBOL,
 * CONV_KERNEL_NAME, CONV_ISA.
 */
#include "layers/base/base.h"
#include "layers/kernels/x86/u8s8_vec.h"

enum {
    SUMS = 4,                             /* vectors of sums for a vector of channels */
    MAX_PIXELS = VEC_BYTES == 64 ? 4 : 2, /* whose sums fit into registers */
    QUAD_BYTES = SUMS * VEC_BYTES,
    STRIP_BYTES = 16384, /* of interleaved columns, about */
};

typedef struct dw_plan {
    int32_t rows;         /* output rows computed together */
    int32_t quads;        /* of input rows */
    int32_t blocks;       /* of VEC_BYTES channels */
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
    plan.blocks = QZI_DIV_UP(s->ic, VEC_BYTES);
    plan.block_weights =
        (size_t)plan.rows * (size_t)s->kw * (size_t)plan.quads * SUMS * VEC_WEIGHTS;
    const size_t sums = (size_t)plan.blocks * SUMS * VEC_BYTES;
    plan.bias_at = PACKED_HEAD;
    plan.mult_at = plan.bias_at + sums;
    plan.zp_at = plan.mult_at + sums;
    plan.weights_at = plan.zp_at + VEC_BYTES;
    plan.size = plan.weights_at + (size_t)plan.blocks * plan.block_weights;
    return plan;
}

static size_t dw_packed_size(const qzk_conv_shape *shape)
{
    return dw_plan_make(shape).size;
}

/* Weights of a block: [kernel column][quad][sum][half][output row][VEC_BYTES]. */
static void dw_pack(const qzk_conv_shape *s, const qzk_conv_weights *weights, void *packed)
{
    const dw_plan plan = dw_plan_make(s);
    uint8_t *blob = packed;
    int32_t *bias = (int32_t *)(void *)(blob + plan.bias_at);
    float *mult = (float *)(void *)(blob + plan.mult_at);
    const size_t row_set = (size_t)plan.rows * VEC_BYTES;
    memset(blob, 0, plan.size);
    memset(blob + plan.zp_at, weights->x_zp, VEC_BYTES);
    for (int32_t c = 0; c < s->ic; c++) {
        /* unpacking bytes and words leaves channel c there */
        const int32_t v = c % 16 / 4, lane = c % VEC_BYTES / 16 * 4 + c % 4;
        const size_t block = (size_t)(c / VEC_BYTES);
        int8_t *to = (int8_t *)blob + plan.weights_at + block * plan.block_weights;
        const int8_t *from = weights->w_s8 + (size_t)c * (size_t)s->kh * (size_t)s->kw;
        uint32_t sum = 0, magnitude = 0;
        for (int32_t ky = 0; ky < s->kh; ky++) {
            for (int32_t kx = 0; kx < s->kw; kx++) {
                const int8_t w = *from++;
                sum += (uint32_t)w;
                magnitude += (uint32_t)(w < 0 ? -w : w);
                for (int32_t r = 0; r < plan.rows; r++) {
                    const int32_t slot = r * s->stride_h + ky;
                    const size_t step =
                        ((size_t)kx * (size_t)plan.quads + (size_t)(slot / 4)) * SUMS + (size_t)v;
                    vec_put_weight(to + step * VEC_HALVES * row_set + (size_t)r * VEC_BYTES,
                                   row_set, lane, slot % 4, w);
                }
            }
        }
        const size_t at = (block * SUMS + (size_t)v) * VEC_LANES + (size_t)lane;
        packed_channel(weights, c, sum, magnitude, bias + at, mult + at, packed);
    }
}

/* ---- columns -----------------------------------------------------------------------------------
 */

/* Four rows' bytes of VEC_BYTES channels, interleaved: SUMS vectors. */
VEC_INLINE void dw_interleave(vec a, vec b, vec c, vec d, uint8_t *to)
{
    const vec ab0 = VEC_OP(unpacklo_epi8)(a, b), ab1 = VEC_OP(unpackhi_epi8)(a, b);
    const vec cd0 = VEC_OP(unpacklo_epi8)(c, d), cd1 = VEC_OP(unpackhi_epi8)(c, d);
    vec_store(to, VEC_OP(unpacklo_epi16)(ab0, cd0));
    vec_store(to + VEC_BYTES, VEC_OP(unpackhi_epi16)(ab0, cd0));
    vec_store(to + 2 * VEC_BYTES, VEC_OP(unpacklo_epi16)(ab1, cd1));
    vec_store(to + 3 * VEC_BYTES, VEC_OP(unpackhi_epi16)(ab1, cd1));
}

typedef struct dw_rows {
    const uint8_t *row[4]; /* of column 0, or the row of zero points */
    int64_t step[4];       /* from column to column; 0 in the row of zero points */
} dw_rows;

/*
 * Interleaves one quad of the `count` columns from `first`, whole of them inside the image; from
 * column to column `to` advances by `to_step`.
 */
VEC_INLINE void dw_columns(const dw_rows *rows, int64_t first, int64_t count, int32_t channels,
                           uint8_t *to, int64_t to_step, const bool part)
{
    const int32_t words = QZI_DIV_UP(channels, 4);
    for (int64_t x = first; x < first + count; x++, to += to_step) {
        vec in[4];
        VEC_UNROLL
        for (int i = 0; i < 4; i++) {
            const uint8_t *p = rows->row[i] + x * rows->step[i];
            in[i] = part ? vec_load_part(p, words) : vec_load(p);
        }
        dw_interleave(in[0], in[1], in[2], in[3], to);
    }
}

/* ---- output ------------------------------------------------------------------------------------
 */

typedef struct dw_job {
    int32_t kw, quads;
    int32_t channels;             /* of the block */
    int32_t weight_rows;          /* output rows for which weights are packed */
    int64_t tap_step, pixel_step; /* bytes of interleaved columns */
    const int8_t *w;
    const int32_t *bias;
    const float *mult;
    uint8_t *out;
    int64_t out_stride, out_row;
    vec_requant rq;
} dw_job;

/*
 * P output pixels side by side in each of R rows, from interleaved columns. P and R are constants,
 * and so are kw and quads for the usual kernels.
 */
VEC_INLINE void dw_pixels(const dw_job *job, const uint8_t *columns, uint8_t *out, const int P,
                          const int R, const int32_t kw, const int32_t quads)
{
    const int64_t w_step = job->weight_rows * VEC_BYTES;
    vec acc[MAX_PIXELS * SUMS];
    VEC_UNROLL
    for (int i = 0; i < P * R * SUMS; i++)
        acc[i] = vec_load(job->bias + i % SUMS * VEC_LANES);
    const int8_t *w = job->w;
    for (int32_t kx = 0; kx < kw; kx++, columns += job->tap_step) {
        const uint8_t *x = columns;
        for (int32_t q = 0; q < quads; q++, x += QUAD_BYTES) {
            VEC_UNROLL
            for (int v = 0; v < SUMS; v++) {
                vec xv[MAX_PIXELS];
                VEC_UNROLL
                for (int p = 0; p < P; p++)
                    xv[p] = vec_load(x + p * job->pixel_step + v * VEC_BYTES);
                VEC_UNROLL
                for (int half = 0; half < VEC_HALVES; half++, w += w_step) {
                    VEC_UNROLL
                    for (int r = 0; r < R; r++) {
                        const vec wv = vec_load(w + r * VEC_BYTES);
                        VEC_UNROLL
                        for (int p = 0; p < P; p++) {
                            vec *a = acc + (p * R + r) * SUMS + v;
                            *a = vec_dot(*a, vec_half(xv[p], half), wv);
                        }
                    }
                }
            }
        }
    }
    vec_scale(acc, P * R * SUMS, job->mult, SUMS, &job->rq);
    VEC_UNROLL
    for (int i = 0; i < P * R; i++) {
        const vec *a = acc + i * SUMS;
        const vec q = vec_narrow(a[0], a[1], a[2], a[3], &job->rq);
        uint8_t *to = out + i % R * job->out_row + i / R * job->out_stride;
        if (job->channels == VEC_BYTES)
            vec_store(to, q);
        else
            vec_store_part(to, q, job->channels);
    }
}

/* `count` output pixels in each of R rows. */
VEC_INLINE void dw_row(const dw_job *job, const uint8_t *columns, int64_t count, const int R,
                       const int32_t kw, const int32_t quads)
{
    const int P = MAX_PIXELS / R;
    uint8_t *out = job->out;
    for (; count >= P; count -= P) {
        dw_pixels(job, columns, out, P, R, kw, quads);
        columns += P * job->pixel_step;
        out += P * job->out_stride;
    }
    for (; P > 1 && count > 0; count--) {
        dw_pixels(job, columns, out, 1, R, kw, quads);
        columns += job->pixel_step;
        out += job->out_stride;
    }
}

typedef void (*dw_fn)(const dw_job *job, const uint8_t *columns, int64_t count);

#define DW_ROW(name, rows, kw, quads)                                                        \
    static void dw_##name##_##rows(const dw_job *job, const uint8_t *columns, int64_t count) \
    {                                                                                        \
        dw_row(job, columns, count, rows, kw, quads);                                        \
    }
#define DW_ROWS(name, kw, quads) \
    DW_ROW(name, 1, kw, quads)   \
    DW_ROW(name, 2, kw, quads)   \
    DW_ROW_4(name, kw, quads)    \
    static const dw_fn dw_##name[] = {dw_##name##_1, dw_##name##_2, DW_NAME_4(name)};
#if MAX_ROWS == 4
#define DW_ROW_4(name, kw, quads) DW_ROW(name, 4, kw, quads)
#define DW_NAME_4(name) dw_##name##_4
#else
#define DW_ROW_4(name, kw, quads)
#define DW_NAME_4(name) dw_##name##_2
#endif
DW_ROWS(any, job->kw, job->quads)
DW_ROWS(3x3, 3, 1)
DW_ROWS(5x5, 5, 2)
DW_ROWS(7x7, 7, 2)

static const dw_fn *dw_choose(const qzk_conv_shape *s)
{
    return s->kh == 3 && s->kw == 3   ? dw_3x3
           : s->kh == 5 && s->kw == 5 ? dw_5x5
           : s->kh == 7 && s->kw == 7 ? dw_7x7
                                      : dw_any;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

/* Output columns of a strip. */
static int64_t dw_strip(const qzk_conv_args *args, const dw_plan *plan)
{
    const qzk_conv_shape *s = args->shape;
    const int64_t fit = STRIP_BYTES / (plan->quads * QUAD_BYTES) - (int64_t)(s->kw - 1) * s->dil_w;
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
    return (size_t)columns * (size_t)plan.quads * QUAD_BYTES;
}

static int64_t dw_units(const qzk_conv_args *args)
{
    const dw_plan plan = dw_plan_make(args->shape);
    return (int64_t)plan.blocks * args->out.n * QZI_DIV_UP(args->out.h, plan.rows);
}

/* Interleaves the `count` columns from `first` (some may lie in the padding). */
static void dw_fill(const qzk_conv_args *args, const dw_plan *plan, int64_t n, int64_t y0,
                    int64_t first, int64_t count, int64_t channel, uint8_t *columns)
{
    const qzk_view *in = &args->in;
    const uint8_t *zp_row = (const uint8_t *)args->packed + plan->zp_at;
    const int32_t channels = (int32_t)QZI_MIN(VEC_BYTES, in->c - channel);
    const int64_t inside = QZI_MAX(0, QZI_MIN(first + count, in->w) - QZI_MAX(first, 0));
    const int64_t left = inside > 0 ? QZI_MAX(0, -first) : count;
    const int64_t to_step = (int64_t)plan->quads * QUAD_BYTES;
    const vec zp = vec_load(zp_row);
    for (int64_t i = 0; i < count; i++) {
        if (i == left)
            i += inside;
        if (i < count)
            for (int64_t at = 0; at < to_step; at += VEC_BYTES)
                vec_store(columns + i * to_step + at, zp);
    }
    for (int32_t q = 0; q < plan->quads && inside > 0; q++) {
        dw_rows rows;
        for (int32_t i = 0; i < 4; i++) {
            const int64_t y = y0 + (int64_t)(q * 4 + i) * args->shape->dil_h;
            if (y >= 0 && y < in->h) {
                rows.row[i] = (const uint8_t *)in->data +
                              (n * in->h + y) * in->w * in->pixel_stride + channel;
                rows.step[i] = in->pixel_stride;
            } else {
                rows.row[i] = zp_row;
                rows.step[i] = 0;
            }
        }
        uint8_t *to = columns + left * to_step + q * QUAD_BYTES;
        if (channels == VEC_BYTES)
            dw_columns(&rows, first + left, inside, channels, to, to_step, false);
        else
            dw_columns(&rows, first + left, inside, channels, to, to_step, true);
    }
}

static void dw_unit(const qzk_conv_args *args, const dw_plan *plan, int64_t unit, uint8_t *columns)
{
    const qzk_conv_shape *s = args->shape;
    const uint8_t *blob = args->packed;
    const int64_t groups = QZI_DIV_UP(args->out.h, plan->rows), lines = groups * args->out.n;
    const int64_t block = unit / lines, n = unit % lines / groups;
    const int64_t oy = unit % groups * plan->rows;
    const int64_t channel = block * VEC_BYTES;
    const int64_t rows = QZI_MIN(plan->rows, args->out.h - oy);
    const int64_t column_bytes = (int64_t)plan->quads * QUAD_BYTES;
    dw_job job = {
        .kw = s->kw,
        .quads = plan->quads,
        .channels = (int32_t)QZI_MIN(VEC_BYTES, s->ic - channel),
        .weight_rows = plan->rows,
        .tap_step = s->dil_w * column_bytes,
        .pixel_step = s->stride_w * column_bytes,
        .w = (const int8_t *)blob + plan->weights_at + (size_t)block * plan->block_weights,
        .bias = (const int32_t *)(const void *)(blob + plan->bias_at) + block * SUMS * VEC_LANES,
        .mult = (const float *)(const void *)(blob + plan->mult_at) + block * SUMS * VEC_LANES,
        .out_stride = args->out.pixel_stride,
        .out_row = args->out.w * args->out.pixel_stride,
        .rq = vec_requant_init(args),
    };
    const int64_t strip = dw_strip(args, plan);
    const dw_fn *pixels = dw_choose(s);
    for (int64_t ox = 0; ox < args->out.w; ox += strip) {
        const int64_t count = QZI_MIN(strip, args->out.w - ox);
        dw_fill(args, plan, n, oy * s->stride_h - s->pad_top, ox * s->stride_w - s->pad_left,
                dw_strip_columns(s, count), channel, columns);
        for (int64_t r = 0; r < rows;) {
            const int64_t left = rows - r;
            job.out = (uint8_t *)args->out.data +
                      ((n * args->out.h + oy + r) * args->out.w + ox) * args->out.pixel_stride +
                      channel;
            dw_job part = job;
            part.w += r * VEC_BYTES;
            const int which = left >= MAX_ROWS ? 2 : left >= 2 ? 1 : 0;
            pixels[which](&part, columns, count);
            r += which == 2 ? MAX_ROWS : which + 1;
        }
    }
}

static void dw_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    const dw_plan plan = dw_plan_make(args->shape);
    for (int64_t unit = begin; unit < end; unit++)
        dw_unit(args, &plan, unit, scratch);
}

const qzk_conv_kernel CONV_SYMBOL = {
    .name = CONV_KERNEL_NAME,
    .isa = CONV_ISA,
    .tile_m = MAX_ROWS,
    .tile_n = VEC_BYTES,
    .supports = dw_supports,
    .packed_size = dw_packed_size,
    .pack = dw_pack,
    .scratch_size = dw_scratch_size,
    .units = dw_units,
    .run = dw_run,
};

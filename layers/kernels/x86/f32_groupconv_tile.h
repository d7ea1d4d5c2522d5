/* SPDX-License-Identifier: MIT */
/*
 * f32_groupconv_tile.h - float convolution with few channels in a group, written once over
 * vec.h.
 *
 * Lanes are output channels of several groups. The input channels of those groups fit one vector
 * as well, so one load and, for each channel of a group, one permutation give every lane its own
 * group's input. For three taps a row each permuted input is multiplied into every output of the
 * strip that it touches, walking the columns upwards, so that each output gets its terms in order
 * (kh, kw, ic). Groups with more channels go to the dense kernel.
 *
 * Packed: [VL zeros][block of groups: bias, then [kh][kw][ic of the group]], VL floats each.
 */
#include <string.h>

#include "layers/base/base.h"
#include "layers/kernels/x86/vec.h"

#define STRIP 8
#if VL == 16
#define STRIP_NAME "8x16"
#else
#define STRIP_NAME "8x8"
#endif

typedef struct group_plan {
    int32_t icg, ocg;     /* channels of a group */
    int32_t block_groups; /* groups of a block */
    int32_t blocks;
    size_t k;
    size_t block_floats;
} group_plan;

static group_plan plan_shape(const qzk_conv_shape *s)
{
    group_plan p;
    p.icg = s->ic / s->groups;
    p.ocg = s->oc / s->groups;
    p.block_groups = QZI_MAX(QZI_MIN(VL / QZI_MAX(p.icg, p.ocg), s->groups), 1);
    p.blocks = QZI_DIV_UP(s->groups, p.block_groups);
    p.k = (size_t)s->kh * (size_t)s->kw * (size_t)p.icg;
    p.block_floats = (p.k + 1) * VL;
    return p;
}

static bool group_supports(const qzk_conv_shape *s)
{
    return s->groups > 1 && s->ic / s->groups <= VL / 2 && s->oc / s->groups <= VL / 2;
}

static size_t group_packed_size(const qzk_conv_shape *s)
{
    group_plan p = plan_shape(s);
    return (VL + (size_t)p.blocks * p.block_floats) * sizeof(float);
}

static void group_pack(const qzk_conv_shape *s, const qzk_conv_weights *weights, void *packed)
{
    group_plan p = plan_shape(s);
    size_t taps = (size_t)s->kh * (size_t)s->kw;
    memset(packed, 0, group_packed_size(s));
    float *to = (float *)packed + VL;
    for (int32_t o = 0; o < s->oc; o++) {
        int32_t block = o / (p.block_groups * p.ocg), lane = o % (p.block_groups * p.ocg);
        float *column = to + (size_t)block * p.block_floats + lane;
        *column = weights->bias_f32 ? weights->bias_f32[o] : 0.0f;
        const float *w = weights->w_f32 + (size_t)o * p.k;
        for (size_t tap = 0; tap < taps; tap++)
            for (int32_t c = 0; c < p.icg; c++) {
                column += VL;
                *column = w[(size_t)c * taps + tap];
            }
    }
}

/* ---- strips ---- */

typedef struct strip_args {
    const float *const *cells; /* [kh][columns]: addresses of inputs, without the channel */
    int32_t columns;           /* of the strip */
    int64_t channel;           /* added to them, */
    const float *zeros;        /* but not where they are this: padding */
    int32_t kh, kw, icg, stride, dilation;
    vindex index; /* lane -> first input channel of its group */
    const float *w;
    float *y;
    int64_t y_stride;
    vmask in_mask, out_mask;
    float lo, hi;
} strip_args;

#define OUTPUTS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define STRIP_BEGIN(i) vf acc##i = vf_zero();
#define STRIP_END(i) \
    if (WIDTH > i)   \
        vf_store_mask(a->y + i * a->y_stride, vf_clamp(vf_add(acc##i, bias), lo, hi), a->out_mask);

VEC_INLINE vf load_cell(const strip_args *a, const float *cell)
{
    return vf_load_mask(cell == a->zeros ? cell : cell + a->channel, a->in_mask);
}

/* Three taps a row at stride S, ICG input channels a group. */
VEC_INLINE void strip_shared(const strip_args *a, const int WIDTH, const int S, const int ICG)
{
    OUTPUTS(STRIP_BEGIN)
    const float *w = a->w + VL;
    const float *const *cells = a->cells;
    const vindex index = a->index;
    for (int32_t r = 0; r < a->kh; r++, w += 3 * ICG * VL, cells += a->columns) {
#define TOUCH(c, i)                                   \
    if (WIDTH > i && c - i * S >= 0 && c - i * S < 3) \
        acc##i = vf_fma(xk, vf_load(w + ((c - i * S) * ICG + k) * VL), acc##i);
#define COLUMN(c)                                                                               \
    if (c < (WIDTH - 1) * S + 3) {                                                              \
        const vf xc = load_cell(a, cells[c]);                                                   \
        VEC_UNROLL                                                                              \
        for (int k = 0; k < ICG; k++) {                                                         \
            const vf xk = vf_permute(xc, vi_add(index, k));                                     \
            TOUCH(c, 0)                                                                         \
            TOUCH(c, 1) TOUCH(c, 2) TOUCH(c, 3) TOUCH(c, 4) TOUCH(c, 5) TOUCH(c, 6) TOUCH(c, 7) \
        }                                                                                       \
    }
        COLUMN(0)
        COLUMN(1)
        COLUMN(2)
        COLUMN(3)
        COLUMN(4)
        COLUMN(5)
        COLUMN(6)
        COLUMN(7)
        COLUMN(8)
        COLUMN(9) COLUMN(10) COLUMN(11) COLUMN(12) COLUMN(13) COLUMN(14) COLUMN(15) COLUMN(16)
#undef COLUMN
#undef TOUCH
    }
    const vf lo = vf_set1(a->lo), hi = vf_set1(a->hi), bias = vf_load(a->w);
    OUTPUTS(STRIP_END)
}

/* Any kernel, tap after tap. */
VEC_INLINE void strip_taps(const strip_args *a, const int WIDTH)
{
    OUTPUTS(STRIP_BEGIN)
    const float *w = a->w + VL;
    const float *const *cells = a->cells;
    for (int32_t r = 0; r < a->kh; r++, cells += a->columns) {
        for (int32_t t = 0; t < a->kw; t++) {
            const float *const *cell = cells + (int64_t)t * a->dilation;
#define INPUT(i) const vf x##i = WIDTH > i ? load_cell(a, cell[i * a->stride]) : vf_zero();
            OUTPUTS(INPUT)
#undef INPUT
            vindex index = a->index;
            for (int32_t k = 0; k < a->icg; k++, w += VL) {
                const vf wk = vf_load(w);
#define TOUCH(i)   \
    if (WIDTH > i) \
        acc##i = vf_fma(vf_permute(x##i, index), wk, acc##i);
                OUTPUTS(TOUCH)
#undef TOUCH
                index = vi_add(index, 1);
            }
        }
    }
    const vf lo = vf_set1(a->lo), hi = vf_set1(a->hi), bias = vf_load(a->w);
    OUTPUTS(STRIP_END)
}

typedef void (*strip_fn)(const strip_args *a);
#define SHARED(width, s, icg)                                    \
    static void strip_##s##_##icg##_##width(const strip_args *a) \
    {                                                            \
        strip_shared(a, width, s, icg);                          \
    }
#define TAPS(width, ...)                                \
    static void strip_taps_##width(const strip_args *a) \
    {                                                   \
        strip_taps(a, width);                           \
    }
#define SHARED_ENTRY(width, s, icg) strip_##s##_##icg##_##width,
#define TAPS_ENTRY(width, ...) strip_taps_##width,
/* Narrow strips are rare: they share no inputs. */
#define SHARED_WIDTHS(X, ...) \
    X(5, __VA_ARGS__) X(6, __VA_ARGS__) X(7, __VA_ARGS__) X(8, __VA_ARGS__)
#define NARROW_WIDTHS(X) X(1, 0) X(2, 0) X(3, 0) X(4, 0)
#define WIDE_WIDTHS(X) X(5, 0) X(6, 0) X(7, 0) X(8, 0)

NARROW_WIDTHS(TAPS)
WIDE_WIDTHS(TAPS)
#define SHARED_TABLE(s, icg)                                                     \
    SHARED_WIDTHS(SHARED, s, icg)                                                \
    static const strip_fn strips_##s##_##icg[STRIP] = {NARROW_WIDTHS(TAPS_ENTRY) \
                                                           SHARED_WIDTHS(SHARED_ENTRY, s, icg)};
SHARED_TABLE(1, 2)
SHARED_TABLE(1, 4)
SHARED_TABLE(2, 2)
SHARED_TABLE(2, 4)
#if VL == 16
SHARED_TABLE(1, 8)
SHARED_TABLE(2, 8)
#endif
static const strip_fn strips_any[STRIP] = {NARROW_WIDTHS(TAPS_ENTRY) WIDE_WIDTHS(TAPS_ENTRY)};

static const strip_fn *choose_strips(const qzk_conv_shape *s)
{
    int32_t icg = s->ic / s->groups;
    if (s->kw != 3 || s->dil_w != 1 || s->stride_w > 2)
        return strips_any;
    if (icg == 2)
        return s->stride_w == 1 ? strips_1_2 : strips_2_2;
    if (icg == 4)
        return s->stride_w == 1 ? strips_1_4 : strips_2_4;
#if VL == 16
    if (icg == 8)
        return s->stride_w == 1 ? strips_1_8 : strips_2_8;
#endif
    return strips_any;
}

/* ---- one call ---- */

/* Input columns that a strip of `count` outputs sees. */
static int64_t strip_columns(const qzk_conv_shape *s, int64_t count)
{
    return (count - 1) * s->stride_w + (int64_t)(s->kw - 1) * s->dil_w + 1;
}

static size_t group_scratch_size(const qzk_conv_args *args)
{
    const qzk_conv_shape *s = args->shape;
    size_t cells = (size_t)s->kh * (size_t)strip_columns(s, STRIP);
    return QZI_ROUND_UP(cells * sizeof(const float *), 64u);
}

/* Blocks of a row are cut into chunks where there are few rows. */
static int64_t row_chunks(const qzk_conv_args *args, const group_plan *p)
{
    int64_t rows = (int64_t)args->out.n * args->out.h;
    return QZI_MIN(p->blocks, rows < 16 ? 4 : 1);
}

/* A unit is one output row of one chunk of the blocks. */
static int64_t group_units(const qzk_conv_args *args)
{
    group_plan p = plan_shape(args->shape);
    return (int64_t)args->out.n * args->out.h * row_chunks(args, &p);
}

static void fill_cells(const qzk_conv_args *args, int64_t n, int64_t y, int64_t x, int64_t columns,
                       const float **cells)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const float *zeros = args->packed, *data = in->data;
    for (int32_t r = 0; r < s->kh; r++, y += s->dil_h) {
        bool inside = y >= 0 && y < in->h;
        for (int64_t c = x; c < x + columns; c++)
            *cells++ = inside && c >= 0 && c < in->w
                           ? data + ((n * in->h + y) * in->w + c) * in->pixel_stride
                           : zeros;
    }
}

static void group_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    const qzk_conv_shape *s = args->shape;
    const group_plan p = plan_shape(s);
    const strip_fn *fns = choose_strips(s);
    const int64_t chunks = row_chunks(args, &p);
    const int64_t width = args->out.w, strips = QZI_DIV_UP(width, STRIP);
    const float *blocks = (const float *)args->packed + VL;
    const float **cells = scratch;
    int32_t lanes[VL];
    for (int32_t i = 0; i < VL; i++)
        lanes[i] = i < p.block_groups * p.ocg ? i / p.ocg * p.icg : 0;
    strip_args strip = {
        .cells = cells,
        .zeros = args->packed,
        .kh = s->kh,
        .kw = s->kw,
        .icg = p.icg,
        .stride = s->stride_w,
        .dilation = s->dil_w,
        .index = vi_load(lanes),
        .y_stride = args->out.pixel_stride,
        .lo = args->lo,
        .hi = args->hi,
    };
    for (; begin < end; begin++) {
        int64_t chunk = begin % chunks, row = begin / chunks;
        int64_t n = row / args->out.h, oy = row % args->out.h;
        int32_t first = (int32_t)(chunk * p.blocks / chunks);
        int32_t last = (int32_t)((chunk + 1) * p.blocks / chunks);
        for (int64_t i = 0; i < strips; i++) {
            int64_t x = i * width / strips;
            int count = (int)((i + 1) * width / strips - x);
            strip.columns = (int32_t)strip_columns(s, count);
            fill_cells(args, n, oy * s->stride_h - s->pad_top, x * s->stride_w - s->pad_left,
                       strip.columns, cells);
            float *y = (float *)args->out.data + (row * width + x) * args->out.pixel_stride;
            for (int32_t b = first; b < last; b++) {
                int32_t group = b * p.block_groups;
                int32_t groups = QZI_MIN(p.block_groups, s->groups - group);
                strip.channel = (int64_t)group * p.icg;
                strip.w = blocks + (size_t)b * p.block_floats;
                strip.y = y + (int64_t)group * p.ocg;
                strip.in_mask = vf_mask(groups * p.icg);
                strip.out_mask = vf_mask(groups * p.ocg);
                fns[count - 1](&strip);
            }
        }
        const int64_t channel = (int64_t)first * p.block_groups * p.ocg;
        const int64_t stop = (int64_t)last * p.block_groups * p.ocg;
        qzk_conv_done(args, row * width, width, channel, QZI_MIN(stop, s->oc) - channel);
    }
}

const qzk_conv_kernel QZK_BUNDLE(qzk_f32_groupconv) = {
    .name = "f32_groupconv_" STRIP_NAME QZK_BUNDLE_NAME,
    .isa = QZK_BUNDLE_ISA,
    .macs_per_ns = 64,
    .weight_bytes = 4,
    .tile_m = STRIP,
    .tile_n = VL,
    .supports = group_supports,
    .packed_size = group_packed_size,
    .pack = group_pack,
    .scratch_size = group_scratch_size,
    .units = group_units,
    .run = group_run,
};

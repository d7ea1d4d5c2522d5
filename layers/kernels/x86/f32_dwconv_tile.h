/* SPDX-License-Identifier: MIT */
/*
 * f32_dwconv_tile.h - depthwise float convolution (groups == ic == oc), written once over
 * vec.h.
 *
 * Lanes are channels. A strip is up to 8 neighbouring output pixels of one row by one vector of
 * channels. For the usual kernels (3x3, 5x5, 7x7 at stride 1; 3x3, 5x5 at stride 2) each input
 * pixel of a row is loaded once and multiplied into every output that it touches: walking the
 * columns upwards gives each output its taps in order. Other shapes take tap after tap.
 *
 * The last vector of channels overlaps the one before it instead of being masked, and computes
 * some channels twice; it has its own copy of their weights.
 *
 * Packed: [row of zeros, ic floats][vector of channels: bias, then [kh][kw]].
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
#define CHUNK 4 /* vectors of channels that walk down the image together */

typedef struct dw_plan {
    int32_t vectors; /* of channels */
    int32_t chunks;  /* of CHUNK vectors, the last takes up to one more */
    size_t taps;
    size_t zero_floats;
} dw_plan;

static dw_plan plan_shape(const qzk_conv_shape *s)
{
    dw_plan p;
    p.vectors = QZI_DIV_UP(s->oc, VL);
    p.chunks = QZI_MAX(p.vectors / CHUNK, 1);
    p.taps = (size_t)s->kh * (size_t)s->kw;
    p.zero_floats = QZI_ROUND_UP((size_t)s->ic, 16u);
    return p;
}

/* First channel of a vector. */
static int32_t vector_channel(const qzk_conv_shape *s, int32_t vector)
{
    return QZI_MAX(QZI_MIN(vector * VL, s->oc - VL), 0);
}

static bool dw_supports(const qzk_conv_shape *s)
{
    return s->groups > 1 && s->groups == s->ic && s->groups == s->oc;
}

static size_t dw_packed_size(const qzk_conv_shape *s)
{
    dw_plan p = plan_shape(s);
    return (p.zero_floats + (size_t)p.vectors * (p.taps + 1) * VL) * sizeof(float);
}

static void dw_pack(const qzk_conv_shape *s, const qzk_conv_weights *weights, void *packed)
{
    dw_plan p = plan_shape(s);
    memset(packed, 0, dw_packed_size(s));
    float *to = (float *)packed + p.zero_floats;
    for (int32_t v = 0; v < p.vectors; v++, to += (p.taps + 1) * VL) {
        int32_t first = vector_channel(s, v);
        for (int32_t j = 0; j < VL && first + j < s->oc; j++) {
            size_t channel = (size_t)(first + j);
            to[j] = weights->bias_f32 ? weights->bias_f32[channel] : 0.0f;
            for (size_t t = 0; t < p.taps; t++)
                to[(t + 1) * VL + (size_t)j] = weights->w_f32[channel * p.taps + t];
        }
    }
}

/* ---- strips ---- */

/* A row of the kernel: element (column, channel) is at data[column * step + channel]. */
typedef struct dw_row {
    const float *data;
    int64_t step; /* 0 in a row of padding, whose data is the row of zeros */
} dw_row;

typedef struct strip_args {
    const dw_row *rows; /* [kh] */
    int64_t column;     /* input column of the first output's first tap; may be outside */
    int64_t columns;    /* of the input */
    int64_t channel;
    int32_t kh, kw, stride, dilation;
    const float *w; /* bias, taps */
    float *y;
    int64_t y_stride;
    float lo, hi;
    vmask mask; /* channels that exist, where there are fewer than lanes */
} strip_args;

#define OUTPUTS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

#define STRIP_BEGIN(i) vf acc##i = vf_zero();
#define STRIP_END(i)                                           \
    if (WIDTH > i) {                                           \
        vf v = vf_clamp(vf_add(acc##i, bias), lo, hi);         \
        if (MASKED)                                            \
            vf_store_mask(a->y + i * a->y_stride, v, a->mask); \
        else                                                   \
            vf_store(a->y + i * a->y_stride, v);               \
    }

/* WIDTH outputs, a kernel of KW columns at stride S; EDGE: some columns may be padding. */
VEC_INLINE void strip_shared(const strip_args *a, const int WIDTH, const int KW, const int S,
                             const bool EDGE)
{
    const bool MASKED = false;
    OUTPUTS(STRIP_BEGIN)
    const float *w = a->w + VL;
    for (int32_t r = 0; r < a->kh; r++, w += KW * VL) {
        const dw_row row = a->rows[r];
        const float *x = row.data + a->channel;
        const int64_t column = a->column;
        const int64_t base = column * row.step;
        const vf w0 = vf_load(w), w1 = vf_load(w + VL), w2 = vf_load(w + 2 * VL);
        const vf w3 = KW > 3 ? vf_load(w + 3 * VL) : w0, w4 = KW > 4 ? vf_load(w + 4 * VL) : w0;
        const vf w5 = KW > 5 ? vf_load(w + 5 * VL) : w0, w6 = KW > 6 ? vf_load(w + 6 * VL) : w0;
#define TAP(t) \
    (t == 0 ? w0 : t == 1 ? w1 : t == 2 ? w2 : t == 3 ? w3 : t == 4 ? w4 : t == 5 ? w5 : w6)
#define TOUCH(c, i)                                    \
    if (WIDTH > i && c - i * S >= 0 && c - i * S < KW) \
        acc##i = vf_fma(xc, TAP(c - i * S), acc##i);
#define COLUMN(c)                                                                           \
    if (c < (WIDTH - 1) * S + KW) {                                                         \
        vf xc = !EDGE || (uint64_t)(column + c) < (uint64_t)a->columns                      \
                    ? vf_load(x + (base + c * row.step))                                    \
                    : vf_zero();                                                            \
        TOUCH(c, 0)                                                                         \
        TOUCH(c, 1) TOUCH(c, 2) TOUCH(c, 3) TOUCH(c, 4) TOUCH(c, 5) TOUCH(c, 6) TOUCH(c, 7) \
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
        COLUMN(9)
        COLUMN(10)
        COLUMN(11) COLUMN(12) COLUMN(13) COLUMN(14) COLUMN(15) COLUMN(16) COLUMN(17) COLUMN(18)
#undef COLUMN
#undef TOUCH
#undef TAP
    }
    const vf lo = vf_set1(a->lo), hi = vf_set1(a->hi), bias = vf_load(a->w);
    OUTPUTS(STRIP_END)
}

/* Any kernel, tap after tap. */
VEC_INLINE void strip_taps(const strip_args *a, const int WIDTH, const bool EDGE, const bool MASKED)
{
    OUTPUTS(STRIP_BEGIN)
    const float *w = a->w + VL;
    for (int32_t r = 0; r < a->kh; r++) {
        const dw_row row = a->rows[r];
        const float *x = row.data + a->channel;
        int64_t column = a->column;
        for (int32_t t = 0; t < a->kw; t++, w += VL, column += a->dilation) {
            const vf wt = vf_load(w);
            const int64_t base = column * row.step, step = a->stride * row.step;
#define TOUCH(i)                                                                             \
    if (WIDTH > i && (!EDGE || (uint64_t)(column + i * a->stride) < (uint64_t)a->columns)) { \
        const float *xi = x + (base + i * step);                                             \
        acc##i = vf_fma(MASKED ? vf_load_mask(xi, a->mask) : vf_load(xi), wt, acc##i);       \
    } else if (WIDTH > i) {                                                                  \
        acc##i = vf_fma(vf_zero(), wt, acc##i);                                              \
    }
            OUTPUTS(TOUCH)
#undef TOUCH
        }
    }
    const vf lo = vf_set1(a->lo), hi = vf_set1(a->hi), bias = vf_load(a->w);
    OUTPUTS(STRIP_END)
}

typedef void (*strip_fn)(const strip_args *a);
#define WIDTHS(X, ...) \
    X(1, __VA_ARGS__)  \
    X(2, __VA_ARGS__)  \
    X(3, __VA_ARGS__)  \
    X(4, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__) X(7, __VA_ARGS__) X(8, __VA_ARGS__)
#define SHARED(width, k, s, edge)                                     \
    static void strip_k##k##_##s##_##width##edge(const strip_args *a) \
    {                                                                 \
        strip_shared(a, width, k, s, edge);                           \
    }
#define TAPS(width, edge, masked)                                     \
    static void strip_taps_##width##edge##masked(const strip_args *a) \
    {                                                                 \
        strip_taps(a, width, edge, masked);                           \
    }
#define SHARED_ENTRY(width, k, s, edge) strip_k##k##_##s##_##width##edge,
#define TAPS_ENTRY(width, edge, masked) strip_taps_##width##edge##masked,
/* Narrow strips are rare: they share no inputs. */
#define SHARED_WIDTHS(X, ...) \
    X(4, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__) X(7, __VA_ARGS__) X(8, __VA_ARGS__)
#define SHARED_BOTH(X, k, s) SHARED_WIDTHS(X, k, s, 0) SHARED_WIDTHS(X, k, s, 1)

SHARED_BOTH(SHARED, 3, 1)
SHARED_BOTH(SHARED, 3, 2)
SHARED_BOTH(SHARED, 5, 1)
SHARED_BOTH(SHARED, 5, 2)
SHARED_BOTH(SHARED, 7, 1)
WIDTHS(TAPS, 0, 0)
WIDTHS(TAPS, 1, 0)
WIDTHS(TAPS, 1, 1)

#define NARROW(edge) strip_taps_1##edge##0, strip_taps_2##edge##0, strip_taps_3##edge##0,
/* [interior, edge][width - 1] */
#define SHARED_TABLE(k, s)                                \
    static const strip_fn strips_k##k##_##s[2][STRIP] = { \
        {NARROW(0) SHARED_WIDTHS(SHARED_ENTRY, k, s, 0)}, \
        {NARROW(1) SHARED_WIDTHS(SHARED_ENTRY, k, s, 1)}};
SHARED_TABLE(3, 1)
SHARED_TABLE(3, 2)
SHARED_TABLE(5, 1)
SHARED_TABLE(5, 2)
SHARED_TABLE(7, 1)
static const strip_fn strips_any[2][STRIP] = {{WIDTHS(TAPS_ENTRY, 0, 0)},
                                              {WIDTHS(TAPS_ENTRY, 1, 0)}};
static const strip_fn strips_few_channels[2][STRIP] = {{WIDTHS(TAPS_ENTRY, 1, 1)},
                                                       {WIDTHS(TAPS_ENTRY, 1, 1)}};

static const strip_fn (*choose_strips(const qzk_conv_shape *s))[STRIP]
{
    if (s->oc < VL)
        return strips_few_channels;
    if (s->dil_w == 1 && s->stride_w == 1 && s->kw == 3)
        return strips_k3_1;
    if (s->dil_w == 1 && s->stride_w == 2 && s->kw == 3)
        return strips_k3_2;
    if (s->dil_w == 1 && s->stride_w == 1 && s->kw == 5)
        return strips_k5_1;
    if (s->dil_w == 1 && s->stride_w == 2 && s->kw == 5)
        return strips_k5_2;
    if (s->dil_w == 1 && s->stride_w == 1 && s->kw == 7)
        return strips_k7_1;
    return strips_any;
}

/* ---- one call ---- */

static size_t dw_scratch_size(const qzk_conv_args *args)
{
    return QZI_ROUND_UP((size_t)args->shape->kh * sizeof(dw_row), 64u);
}

/*
 * A unit is a band of output rows of one image and one chunk, whose rows share inputs. Threads that
 * cut by pixels have some bands each.
 */
static int64_t dw_bands(const qzk_conv_args *args)
{
    const int64_t ways = QZI_MAX(args->ways, 1);
    if (args->by_channels)
        return plan_shape(args->shape).chunks % ways == 0 ? 1 : QZI_MIN(ways, args->out.h);
    return args->out.n % ways == 0 ? 1 : QZI_MIN(2 * ways, args->out.h);
}

static int64_t dw_units(const qzk_conv_args *args)
{
    return (int64_t)args->out.n * dw_bands(args) * plan_shape(args->shape).chunks;
}

static void run_row(const qzk_conv_args *args, const dw_plan *p, const strip_fn (*fns)[STRIP],
                    strip_args *strip, int32_t vector, int32_t vectors, float *y)
{
    const qzk_conv_shape *s = args->shape;
    const int64_t width = args->out.w, strips = QZI_DIV_UP(width, STRIP);
    for (int64_t i = 0; i < strips; i++) {
        int64_t x = i * width / strips;
        int count = (int)((i + 1) * width / strips - x);
        strip->column = x * s->stride_w - s->pad_left;
        int64_t last =
            strip->column + (int64_t)(count - 1) * s->stride_w + (int64_t)(s->kw - 1) * s->dil_w;
        bool edge = strip->column < 0 || last >= args->in.w;
        strip_fn fn = fns[edge][count - 1];
        for (int32_t v = vector; v < vector + vectors; v++) {
            strip->channel = vector_channel(s, v);
            strip->w =
                (const float *)args->packed + p->zero_floats + (size_t)v * (p->taps + 1) * VL;
            strip->y = y + x * args->out.pixel_stride + strip->channel;
            fn(strip);
        }
    }
}

static void dw_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    const qzk_conv_shape *s = args->shape;
    const dw_plan p = plan_shape(s);
    const strip_fn(*fns)[STRIP] = choose_strips(s);
    const float *in = args->in.data, *zeros = args->packed;
    float *out = args->out.data;
    dw_row *rows = scratch;
    const int64_t in_line = args->in.w * args->in.pixel_stride;
    const int64_t out_line = args->out.w * args->out.pixel_stride;
    strip_args strip = {
        .rows = rows,
        .columns = args->in.w,
        .kh = s->kh,
        .kw = s->kw,
        .stride = s->stride_w,
        .dilation = s->dil_w,
        .y_stride = args->out.pixel_stride,
        .lo = args->lo,
        .hi = args->hi,
        .mask = vf_mask(QZI_MIN(s->oc, VL)),
    };
    const int64_t bands = dw_bands(args), places = args->out.n * bands;
    for (; begin < end; begin++) {
        const int64_t place = args->by_channels ? begin % places : begin / p.chunks;
        const int32_t chunk = (int32_t)(args->by_channels ? begin / places : begin % p.chunks);
        const int64_t n = place / bands, band = place % bands;
        const int32_t vector = chunk * CHUNK;
        const int32_t vectors = chunk == p.chunks - 1 ? p.vectors - vector : CHUNK;
        const int64_t last = args->out.h * (band + 1) / bands;
        for (int64_t oy = args->out.h * band / bands; oy < last; oy++) {
            for (int32_t r = 0; r < s->kh; r++) {
                int64_t iy = oy * s->stride_h - s->pad_top + (int64_t)r * s->dil_h;
                bool inside = iy >= 0 && iy < args->in.h;
                rows[r].data = inside ? in + (n * args->in.h + iy) * in_line : zeros;
                rows[r].step = inside ? args->in.pixel_stride : 0;
            }
            run_row(args, &p, fns, &strip, vector, vectors,
                    out + (n * args->out.h + oy) * out_line);
        }
        const int64_t first = args->out.h * band / bands;
        qzk_conv_done(args, (n * args->out.h + first) * args->out.w, (last - first) * args->out.w,
                      vector * VL, QZI_MIN((vector + vectors) * VL, s->oc) - vector * VL);
    }
}

const qzk_conv_kernel QZK_BUNDLE(qzk_f32_dwconv) = {
    .name = "f32_dwconv_" STRIP_NAME QZK_BUNDLE_NAME,
    .isa = QZK_BUNDLE_ISA,
    .macs_per_ns = 64,
    .weight_bytes = 4,
    .tile_m = STRIP,
    .tile_n = VL,
    .supports = dw_supports,
    .packed_size = dw_packed_size,
    .pack = dw_pack,
    .scratch_size = dw_scratch_size,
    .units = dw_units,
    .run = dw_run,
};

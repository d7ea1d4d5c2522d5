/* SPDX-License-Identifier: MIT */
/*
 * kernels.h - the kernel table: what a kernel receives, what it must compute, and how one is
 * chosen.
 *
 * CONTRACT.md beside this file defines the numbers; ref/ is that definition in C; every other
 * kernel equals it byte for byte. kernels.inc lists all kernels once: the list drives prototypes,
 * the choice, the tests and `qzoo cpu`.
 *
 * A kernel never fails, never allocates, never reads or writes outside its tensors (view rules
 * below) and never touches the floating-point environment. The op validates and provides
 * scratch.
 */
#ifndef QZOO_LAYERS_KERNELS_KERNELS_H
#define QZOO_LAYERS_KERNELS_KERNELS_H

#include "layers/kernels/words.h"
#include "layers/qzoo_base.h"
#include "layers/qzoo_graph.h"

/*
 * An NHWC activation. Element (n, y, x, ch) is data[((n*h + y)*w + x)*pixel_stride + ch]:
 * pixels follow one another at pixel_stride elements, so that a slice of the channels of a wider
 * tensor is a view too (concat, split). A flat tensor (N features) has h = w = 1.
 *
 * Extents. A float view owns c elements of each pixel. A uint8 view owns ceil4(c) bytes of each
 * pixel for *reading* (c of them for writing): its data pointer and pixel_stride are multiples of
 * 4, and pixel_stride >= ceil4(c). The content of the padding bytes is unspecified, and no result
 * may depend on it (packed weights are zero there). Bytes past the last pixel's ceil4(c) are not
 * owned.
 */
typedef struct qzk_view {
    void *data;
    int32_t n, h, w, c;
    int64_t pixel_stride; /* in elements */
} qzk_view;

#define QZK_CEIL4(c) (((c) + 3) & ~3)

/* ---- convolution and linear ---- */

/*
 * A convolution without its input's size: kernels are chosen and weights packed by this alone.
 * Linear is a 1x1 convolution over 1x1 pixels (n = rows). Output channel o belongs to group
 * o / (oc / groups); depthwise is groups == ic. Bottom and right padding follow from the output
 * size.
 */
typedef struct qzk_conv_shape {
    int32_t ic, oc, groups; /* groups divides both */
    int32_t kh, kw, stride_h, stride_w, pad_top, pad_left, dil_h, dil_w;
    bool by_channel; /* int8 kernels: the numbers are those of CONTRACT.md, "by channel" */
} qzk_conv_shape;

/* By channel: an activation function f that is applied to the sum before it is rounded. The others
 * are clamps, and only bounds. */
static inline bool qzk_act_is_function(qz_activation act)
{
    return act != QZ_ACT_NONE && act != QZ_ACT_RELU && act != QZ_ACT_RELU6;
}

/* By channel: kernels compute f times this; out_mult divides by it. */
static inline float qzk_act_divisor(qz_activation act)
{
    return act == QZ_ACT_HARDSWISH || act == QZ_ACT_HARDSIGMOID ? 6.0f : 1.0f;
}

/* What pack() reads. Weights are OIHW: [oc][ic/groups][kh][kw]. */
typedef struct qzk_conv_weights {
    const float *w_f32;      /* float kernels */
    const float *bias_f32;   /* float kernels; NULL: zeros */
    const int8_t *w_s8;      /* int8 kernels */
    const int32_t *bias_s32; /* int8 kernels; NULL: zeros */
    const float *mult;       /* int8 kernels: m[oc] = (s_x * s_w[oc]) / s_y */
    int32_t x_zp;            /* int8 kernels: the input's zero point, also what padding reads */
    /*
     * With shape.by_channel. Without a function, v = fma(acc, mult, out_zero), and with a residual
     * r, v = fma(acc, mult, fma(r, residual_mult, out_zero)). With a function f, x = acc * mult and
     * v = fma(f(x), out_mult, out_zero). Finite; every v is below 2^60 in magnitude.
     * In words x = rne(acc * mult), out_mult and out_zero are whole numbers, and lo and hi 0 and
     * 255.
     */
    const uint8_t *x_zps;       /* [ic], in place of x_zp; NULL: x_zp */
    const float *out_mult;      /* [oc], where act is a function */
    const float *out_zero;      /* [oc] */
    const float *residual_mult; /* [oc]; NULL: no residual. Never with a function */
    qz_activation act;          /* a function; a clamp counts as NONE */
    const qzk_words *words;     /* NULL: the function is computed in floats */
} qzk_conv_weights;

/* Some pixels (of n*h*w, in order) in some channels of an output. */
typedef struct qzk_region {
    int64_t first, count;
    int32_t channel, channels;
} qzk_region;

typedef struct qzk_conv_args {
    const qzk_conv_shape *shape;
    qzk_view in, out;   /* in.n == out.n; out.h, out.w by the shape rule of conv2d */
    const void *packed; /* by the pack() of the same kernel, 64-byte aligned */
    /*
     * float kernels: y is clamped to [lo, hi] (-inf, inf: none), NaN stays NaN.
     * int8 kernels: (float)acc * m is clamped to [lo, hi], which are
     * (q_lo - y_zp, q_hi - y_zp); NaN becomes 0, that is y_zp.
     * int8 kernels by channel: lo and hi are bytes, and y_zp is 0.
     */
    float lo, hi;
    int32_t y_zp; /* int8 kernels */
    /* By channel, where weights had residual_mult: uint8, of the output's size. Each byte is read
     * before the same place of the output is written, so that it may be the same view. */
    qzk_view residual;
    /*
     * How to cut the work into units; no result depends on it. `ways` threads will share the work
     * (0 and 1: one thread): equal shares of [0, units) cost about the same. by_channels: a share
     * is some output channels of all pixels, so that each thread reads its part of the weights.
     * Otherwise a share is some pixels, so that each thread reads its part of the input. Kernels do
     * so as far as the shape allows.
     */
    int32_t ways;
    bool by_channels;
    /*
     * run() calls it when a region of the output is final, for each output once, on the thread that
     * wrote it and while it is near: for element-wise nodes that follow (a residual, a table). It
     * may overwrite the region. NULL: nothing follows.
     */
    void (*done)(void *user, qzk_region region);
    void *done_user;
} qzk_conv_args;

static inline void qzk_conv_done(const qzk_conv_args *args, int64_t first, int64_t count,
                                 int64_t channel, int64_t channels)
{
    if (args->done && count > 0 && channels > 0)
        args->done(args->done_user,
                   (qzk_region){first, count, (int32_t)channel, (int32_t)channels});
}

typedef struct qzk_conv_kernel {
    const char *name; /* "u8s8_conv_14x32__avx512vnni": types, op, tile, bundle */
    qz_isa isa;
    int32_t tile_m, tile_n; /* output pixels x output channels of the inner tile (for listings) */
    /* Rates on the machines that the kernel is for, in one thread (cut.h): multiply-adds in a
     * nanosecond. */
    int32_t macs_per_ns;
    int32_t weight_bytes; /* of one weight: 4 in float kernels, 1 in int8 kernels */
    /* Products of this kernel lower the core's clock for about 10 us after the last. `done` is used
     * for outputs of at most this many values, whose followers finish before the clock recovers.
     * 0: the clock stays as it is. */
    int64_t slow_values;
    /* does no products for a dilated convolution's taps in the padding, tile by tile */
    bool skips_padding;
    bool (*supports)(const qzk_conv_shape *shape);
    /* Bytes of the packed weights (with bias, multipliers, sums and the row that padding reads). */
    size_t (*packed_size)(const qzk_conv_shape *shape);
    void (*pack)(const qzk_conv_shape *shape, const qzk_conv_weights *weights, void *packed);
    size_t (*scratch_size)(
        const qzk_conv_args *args); /* bytes per thread, 64-byte aligned; may be 0 */
    int64_t (*units)(
        const qzk_conv_args *args); /* pieces of about equal cost, any order, any thread */
    void (*run)(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch);
} qzk_conv_kernel;

/* ---- everything else: functions on runs of elements ---- */

/* u8 add: y = clamp(rne((a-a_zp)*a_mult + (b-b_zp)*b_mult), lo, hi) + y_zp; mults are s_in/s_out.
 */
typedef struct qzk_add_params {
    int32_t a_zp, b_zp, y_zp;
    float a_mult, b_mult;
    float lo, hi; /* already minus y_zp */
} qzk_add_params;

/* u8 mul: y = clamp(rne((float)((a-a_zp)*(b-b_zp)) * mult), lo, hi) + y_zp; mult: s_a*s_b/s_y. */
typedef struct qzk_mul_params {
    int32_t a_zp, b_zp, y_zp;
    float mult;
    float lo, hi; /* already minus y_zp */
} qzk_mul_params;

/* u8 affine: y = clamp(rne((x - x_zp) * mult[c] + shift[c]), lo, hi) + y_zp. */
typedef struct qzk_affine_params {
    const float *mult, *shift; /* by channel */
    int32_t x_zp, y_zp;
    float lo, hi; /* already minus y_zp */
} qzk_affine_params;

/* u8 layer norm; the zero point of x cancels. */
typedef struct qzk_layer_norm_params {
    float x_scale, eps;
    int32_t y_zp;
    float lo, hi; /* already minus y_zp */
} qzk_layer_norm_params;

/* u8 L2 norm of the channels of each pixel. */
typedef struct qzk_l2_norm_params {
    float x_scale;
    int32_t x_zp, y_zp;
    float lo, hi; /* already minus y_zp */
} qzk_l2_norm_params;

/* Pixels that qzk_kernels' channel sums take at most: sums of squares of bytes fit uint32. The
 * blocks of CONTRACT.md's group_norm. */
#define QZK_SUM_PIXELS 512

/* CONTRACT.md, l2_norm: no pixel's norm counts as less. */
#define QZK_L2_NORM_MIN 1e-12f

typedef struct qzk_avgpool_params {
    int32_t x_zp, y_zp;
    float mult;   /* s_x / (count * s_y), computed as CONTRACT.md says */
    float lo, hi; /* already minus y_zp */
} qzk_avgpool_params;

/* Pixels of c channels, from x to y; both of the type of the function. Strides are in elements. */
typedef struct qzk_rows {
    const void *x;
    void *y;
    size_t pixels, c;
    int64_t x_stride, y_stride; /* between pixels */
} qzk_rows;

/*
 * Rows of Pillow's resize of an RGB image, across: output pixel i is the sum over t < counts[i] of
 * weights[i * taps + t] times pixel first[i] + t of its row, weights being 22-bit fixed point.
 *
 * spread, for vectors, has the same products once more (NULL: only ref takes the row). Outputs
 * are in groups of 4, the last one filled up. Output i uses `loads` times 4 pixels from start[i]
 * on, and 16 bytes are loaded for each 4 pixels. In the first `inner` groups a load begins at its
 * pixels; in the others it begins 4 bytes before them, so that it ends inside the row. weights of
 * a group: [load][pair of pixels][high, low][output][8], where 8 are the weights of the pair for
 * red, green, blue, and two zeros, and a weight is high * 2^11 + low, low below 2^11.
 */
typedef struct qzk_filter_row {
    const uint8_t *x;
    uint8_t *y;
    size_t rows, x_stride, y_stride; /* bytes between rows */
    size_t outputs;                  /* of a row */
    const int32_t *first, *counts, *weights;
    size_t taps;
    const int32_t *start;
    const int16_t *spread;
    size_t loads, inner;
} qzk_filter_row;
#define QZK_FILTER_BITS 22
#define QZK_FILTER_LOW_BITS 11
#define QZK_FILTER_GROUP 4

/*
 * CONTRACT.md, "by channel". Rows of constants have an entry for each channel and QZK_WRAP more,
 * which repeat them from the first on: vectors read over the end. Constants are finite, and |v| is
 * below 2^60. lo and hi are bytes.
 */
#define QZK_WRAP 64

/* v = fma(x, mult, shift) */
typedef struct qzk_affine_channels_params {
    const float *mult, *shift;
    uint8_t lo, hi;
    bool wide; /* |v| may reach 2^30 */
} qzk_affine_channels_params;

/* v = fma(a, a_mult, fma(b, b_mult, shift)) */
typedef struct qzk_add_channels_params {
    const float *a_mult, *b_mult, *shift;
    uint8_t lo, hi;
    bool wide;
} qzk_add_channels_params;

/* v = fma((a - a_zero) * (b - b_zero), mult, shift) */
typedef struct qzk_mul_channels_params {
    const float *a_zero, *b_zero, *mult, *shift;
    bool wide;
} qzk_mul_channels_params;

/* v = fma(f(fma(x, x_mult, x_shift)), mult, shift); mult divides by qzk_act_divisor, too */
typedef struct qzk_act_channels_params {
    qz_activation act; /* a function */
    const float *x_mult, *x_shift, *mult, *shift;
    bool wide;
} qzk_act_channels_params;

/* v = fma((float)(sum - offset), mult, shift) */
typedef struct qzk_avgpool_channels_params {
    const int32_t *offset;
    const float *mult, *shift;
    bool wide;
} qzk_avgpool_channels_params;

/* One column of a bilinear resize: y = x[first] * w_first + x[second] * w_second. */
typedef struct qzk_resize_tap {
    int64_t first, second; /* elements from the row's start to the two pixels */
    float w_first, w_second;
} qzk_resize_tap;

/* One output row of a bilinear resize, from the blend of two input rows. */
typedef struct qzk_resize_row {
    const float *x; /* the blended row */
    void *y;
    const qzk_resize_tap *taps; /* of each output pixel */
    size_t pixels, c;
    int64_t y_stride; /* between pixels of y, in elements */
} qzk_resize_row;

/*
 * One entry per function; dispatch.c fills the reference first and lets each allowed bundle
 * override in rising order. Runs of elements are contiguous; x and y may be equal where the op may
 * run in place (all but pooling, shuffling and the NCHW pair), never overlap otherwise.
 */
typedef struct qzk_kernels {
    qz_isa isa; /* the ceiling for which this table was made */

    void (*f32_add)(const float *a, const float *b, float *y, size_t n, float lo, float hi);
    void (*f32_clamp)(const float *x, float *y, size_t n, float lo, float hi); /* NaN stays NaN */
    /* y[p][c] = fma(x[p][c], scale[c], shift[c]): batch norm in eval mode */
    void (*f32_affine)(const qzk_rows *rows, const float *scale, const float *shift);
    /* y[ch] = max over taps; taps[t] points to c elements. NaN wins. count >= 1. */
    void (*f32_maxpool)(const float *const *taps, size_t count, size_t c, float *y);
    /* y[ch] = (taps[0][ch] + taps[1][ch] + …, from 0, in order) / divisor */
    void (*f32_avgpool)(const float *const *taps, size_t count, size_t c, float divisor, float *y);

    /* torch.nn.functional's functions of the same names */
    void (*f32_hardsigmoid)(const float *x, float *y, size_t n);
    void (*f32_hardswish)(const float *x, float *y, size_t n);
    void (*f32_sigmoid)(const float *x, float *y, size_t n);
    void (*f32_silu)(const float *x, float *y, size_t n);
    void (*f32_gelu)(const float *x, float *y, size_t n);
    void (*f32_leaky_relu)(const float *x, float *y, size_t n);
    void (*f32_mish)(const float *x, float *y, size_t n);
    void (*f32_mul)(const float *a, const float *b, float *y, size_t n);
    /* y[p][c] = x[p][c] * factor[c] */
    void (*f32_mul_channels)(const qzk_rows *rows, const float *factor);
    void (*f32_layer_norm)(const qzk_rows *rows, const float *weight, const float *bias, float eps);
    /* sum[c], squares[c] of at most QZK_SUM_PIXELS pixels (y is not used) */
    void (*f32_channel_sums)(const qzk_rows *rows, double *sum, double *squares);
    void (*f32_l2_norm)(const qzk_rows *rows, const float *scale);
    /* y[p][i*groups + g] = x[p][g*(c/groups) + i]; groups divides c */
    void (*f32_shuffle)(const qzk_rows *rows, size_t groups);
    /* y = fma(b, wb, a * wa): the blend of two rows in a bilinear resize */
    void (*f32_blend)(const float *a, const float *b, float wa, float wb, float *y, size_t n);
    /* y = fma(x[second], w_second, x[first] * w_first) */
    void (*f32_resize_row)(const qzk_resize_row *row);

    void (*u8_add)(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                   const qzk_add_params *p);
    void (*u8_clamp)(const uint8_t *x, uint8_t *y, size_t n, uint8_t lo, uint8_t hi);
    void (*u8_lut)(const uint8_t *x, uint8_t *y, size_t n, const uint8_t table[256]);
    void (*u8_maxpool)(const uint8_t *const *taps, size_t count, size_t c, uint8_t *y);
    void (*u8_avgpool)(const uint8_t *const *taps, size_t count, size_t c,
                       const qzk_avgpool_params *p, uint8_t *y);
    /* y[p][c] = clamp(rne((x - x_zp) * mult[c] + shift[c]), lo, hi) + y_zp: int8 batch norm */
    void (*u8_affine)(const qzk_rows *rows, const qzk_affine_params *p);

    void (*u8_mul)(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n,
                   const qzk_mul_params *p);
    /* the same with b[c] for every pixel */
    void (*u8_mul_channels)(const qzk_rows *rows, const uint8_t *factor, const qzk_mul_params *p);
    /* weight and bias already divided by the output's scale */
    void (*u8_layer_norm)(const qzk_rows *rows, const float *weight, const float *bias,
                          const qzk_layer_norm_params *p);
    void (*u8_channel_sums)(const qzk_rows *rows, uint32_t *sum, uint32_t *squares);
    /* scale already divided by the output's scale */
    void (*u8_l2_norm)(const qzk_rows *rows, const float *scale, const qzk_l2_norm_params *p);
    void (*u8_shuffle)(const qzk_rows *rows, size_t groups);
    /* the same two; between them are floats with the zero point subtracted */
    void (*u8_blend)(const uint8_t *a, const uint8_t *b, int32_t zp, float wa, float wb, float *y,
                     size_t n);
    void (*u8_resize_row)(const qzk_resize_row *row, int32_t zp);

    /* Pillow's resize, across and down: clamp((2^21 + the sum of weights[t] * x) >> 22, 0, 255).
     * Down: y[i] of the `taps` rows of n bytes, `stride` bytes apart */
    void (*u8_filter_row)(const qzk_filter_row *row);
    void (*u8_filter_column)(const uint8_t *x, size_t stride, const int32_t *weights, size_t taps,
                             uint8_t *y, size_t n);

    /* By channel: pixels times constants, functions, sums, products. b has the size of rows->x, and
     * y may be either. */
    void (*u8_affine_channels)(const qzk_rows *rows, const qzk_affine_channels_params *p);
    void (*u8_act_channels)(const qzk_rows *rows, const qzk_act_channels_params *p);
    void (*u8_add_channels)(const qzk_rows *rows, const uint8_t *b, int64_t b_stride,
                            const qzk_add_channels_params *p);
    void (*u8_mul_pair_channels)(const qzk_rows *rows, const uint8_t *b, int64_t b_stride,
                                 const qzk_mul_channels_params *p);
    /* A product with one factor b[c] for all pixels is an affine of mult[c] = (b[c] - b_zero[c]) *
     * p->mult[c] and shift[c] = p->shift[c] - a_zero[c] * mult[c], written here. */
    void (*u8_factor_channels)(const uint8_t *b, size_t c, const qzk_mul_channels_params *p,
                               float *mult, float *shift);
    void (*u8_avgpool_channels)(const uint8_t *const *taps, size_t count, size_t c,
                                const qzk_avgpool_channels_params *p, uint8_t *y);

    /* RoIAlign, one bin: y[ch] = the sum of weights[t] * taps[t][ch], by fma in order from +0;
     * taps[t] points to c elements */
    void (*f32_roi_bin)(const float *const *taps, const float *weights, size_t count, size_t c,
                        float *y);
    /* the same from `start`, then times scale */
    void (*u8_roi_bin)(const uint8_t *const *taps, const float *weights, size_t count, size_t c,
                       float start, float scale, float *y);

    /* q = clamp(rne(x * inv_scale), -zp, 255-zp) + zp; NaN becomes zp */
    void (*quantize)(const float *x, uint8_t *y, size_t n, float inv_scale, int32_t zp);
    void (*dequantize)(const uint8_t *x, float *y, size_t n, float scale, int32_t zp);
    /* The same between NCHW float planes (plane_stride elements apart) and NHWC pixels. */
    void (*quantize_nchw)(const float *x, int64_t plane_stride, size_t c, size_t pixels, uint8_t *y,
                          int64_t pixel_stride, float inv_scale, int32_t zp);
    void (*f32_nchw_to_nhwc)(const float *x, int64_t plane_stride, size_t c, size_t pixels,
                             float *y, int64_t pixel_stride);
    void (*f32_nhwc_to_nchw)(const float *x, int64_t pixel_stride, size_t c, size_t pixels,
                             float *y, int64_t plane_stride);
} qzk_kernels;

/* Fills the table with what `ceiling` allows on this CPU (AUTO: all of it). dispatch.c */
void qzk_init(qzk_kernels *kernels, qz_isa ceiling);

/* The lists of kernels.inc. */
typedef enum qzk_conv_list {
    QZK_LIST_F32_CONV,
    QZK_LIST_U8S8_CONV,
    /* Winograd's algorithm, other numbers than f32_conv: 3x3 of stride 1, dense (winograd.h) */
    QZK_LIST_F32_WINOGRAD,
    QZK_CONV_LISTS
} qzk_conv_list;

/* Every kernel of a list that is compiled in, in order of preference; ref is the last. */
size_t qzk_conv_all(const qzk_conv_kernel *const **all, qzk_conv_list list);
/*
 * The first kernel of a list that may run under the ceiling, runs on this CPU and supports the
 * shape. Never NULL for a valid shape of the list: ref supports them all.
 */
const qzk_conv_kernel *qzk_conv_choose(qzk_conv_list list, qz_isa ceiling,
                                       const qzk_conv_shape *shape);

/*
 * Whether a float convolution gains by the kernels of f32_winograd, for one image whose output is
 * out_h x out_w pixels. By shape alone: every instruction set has the same numbers. winograd.c
 */
bool qzk_winograd_wins(const qzk_conv_shape *shape, int32_t out_h, int32_t out_w);

/*
 * Each bundle other than ref overrides simple functions here (x86/simple_avx2.c, …). Convolution
 * kernels are objects that kernels.inc lists.
 */
void qzk_init_ref(qzk_kernels *kernels);
void qzk_init_avx2(qzk_kernels *kernels);
void qzk_init_avx512(qzk_kernels *kernels);
void qzk_init_avx512vnni(qzk_kernels *kernels); /* after avx512 */

#define QZK_F32_CONV(symbol) extern const qzk_conv_kernel symbol;
#define QZK_U8S8_CONV(symbol) extern const qzk_conv_kernel symbol;
#define QZK_F32_WINOGRAD(symbol) extern const qzk_conv_kernel symbol;
#include "layers/kernels/kernels.inc"

/*
 * Bundles that may run under a ceiling: both must be of the same family and the kernel's bundle
 * must be contained in the ceiling's (AVXVNNI and AVX512 do not contain each other).
 */
bool qzk_isa_allows(qz_isa ceiling, qz_isa kernel);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * conv_transpose2d.c - transposed convolution, float and int8.
 *
 * The outputs between two pixels of the input are channels of one convolution of stride 1 (its
 * phases), which the kernels of conv2d compute into scratch: the merged output. Each region of it
 * is put into its places as soon as it is final. Where kernel and stride are equal, the convolution
 * is 1x1 and nothing is computed twice.
 */
#include "layers/kernels/cut.h"
#include "layers/ops/ops.h"

#include <string.h>

/* CONTRACT.md: keeps the int32 sum exact. */
#define MAX_K 32768

/* Images are computed in chunks whose merged output is about this large: it stays in the cache. */
#define CHUNK_BYTES (1 << 20)

/* ---- the convolution of all phases ---- */

static int32_t merged_kernel(int32_t k, int32_t out_pad, int32_t stride)
{
    return (int32_t)QZI_DIV_UP((int64_t)k + out_pad, stride);
}

static qzk_conv_shape merged_shape(const qzi_node *node)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const int32_t kh = merged_kernel(a->kh, node->u.transpose.out_pad_h, a->stride_h);
    const int32_t kw = merged_kernel(a->kw, node->u.transpose.out_pad_w, a->stride_w);
    return (qzk_conv_shape){
        .ic = a->ic,
        .oc = a->oc * a->stride_h * a->stride_w,
        .groups = a->groups,
        .kh = kh,
        .kw = kw,
        .stride_h = 1,
        .stride_w = 1,
        .pad_top = kh - 1,
        .pad_left = kw - 1,
        .dil_h = 1,
        .dil_w = 1,
    };
}

/* The output channel of merged channel m: channels of a group, after phases, after groups. */
static int32_t channel_of(const qzi_conv2d_attr *a, int32_t m)
{
    const int32_t ocg = a->oc / a->groups, phases = a->stride_h * a->stride_w;
    return m / (ocg * phases) * ocg + m % ocg;
}

static int32_t phase_of(const qzi_conv2d_attr *a, int32_t m)
{
    return m / (a->oc / a->groups) % (a->stride_h * a->stride_w);
}

/* ---- validation and shape ---- */

qz_status qzi_conv_transpose2d_check(const qz_context *ctx, const qzi_node *node)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const int32_t pad_h = node->u.transpose.out_pad_h, pad_w = node->u.transpose.out_pad_w;
    QZI_TRY(qzi_conv2d_check(ctx, node->name, a));
    if (pad_h < 0 || pad_w < 0 || pad_h >= a->stride_h || pad_w >= a->stride_w)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "%s: output padding must be at least 0 and below the stride", node->name);
    if (a->stride_h > 4096 || a->stride_w > 4096 || a->kh > INT32_MAX / 2 ||
        a->kw > INT32_MAX / 2 || (int64_t)a->oc * a->stride_h * a->stride_w > INT32_MAX / 4)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED, "%s: its stride is too large", node->name);
    const qzk_conv_shape s = merged_shape(node);
    if ((int64_t)s.kh * s.kw * (s.ic / s.groups) > MAX_K)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: more than %d multiply-adds for one output value", node->name, MAX_K);
    return QZ_OK;
}

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *node = n->node, *x = n->inputs[0];
    QZI_TRY(qzi_conv_transpose2d_check(n->ctx, node));
    if (x->c != node->u.conv.ic)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: reads %d channels, its input has %d",
                        node->name, node->u.conv.ic, x->c);
    if (x->dtype != node->dtype)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: input and output differ in type", node->name);
    return qzi_check_scales(n);
}

static qz_status out_size(const qzi_op_node *n, int32_t in, int32_t k, int32_t stride, int32_t pad,
                          int32_t out_pad, int32_t *out)
{
    const int64_t size = ((int64_t)in - 1) * stride - 2 * (int64_t)pad + k + out_pad;
    if (size < 1)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT,
                        "%s: its padding leaves nothing of an input of %d; use a larger image",
                        n->node->name, in);
    if (size > INT32_MAX / 2)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: its output is more pixels than a tensor has",
                        n->node->name);
    *out = (int32_t)size;
    return QZ_OK;
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    const qzi_node *node = n->node;
    const qzi_conv2d_attr *a = &node->u.conv;
    *out = (qzi_shape){.n = in->n, .c = a->oc};
    QZI_TRY(out_size(n, in->h, a->kh, a->stride_h, a->pad_h, node->u.transpose.out_pad_h, &out->h));
    return out_size(n, in->w, a->kw, a->stride_w, a->pad_w, node->u.transpose.out_pad_w, &out->w);
}

/* ---- packing ---- */

/* What merged weight (m, i, ry, rx) is in torch's weights; -1: a zero outside the kernel. */
static int64_t weight_index(const qzi_conv2d_attr *a, const qzk_conv_shape *s, int32_t m, int32_t i,
                            int32_t tap)
{
    const int32_t phase = phase_of(a, m), ry = tap / s->kw, rx = tap % s->kw;
    const int32_t ky = phase / a->stride_w + a->stride_h * (s->kh - 1 - ry);
    const int32_t kx = phase % a->stride_w + a->stride_w * (s->kw - 1 - rx);
    if (ky >= a->kh || kx >= a->kw)
        return -1;
    return qzi_conv_transpose2d_index(a, i, channel_of(a, m), (int64_t)ky * a->kw + kx);
}

/* The merged convolution's weights in OIHW, from torch's; elements of `size` bytes, of which zero
 * is the number 0. */
static void merge_weights(const qzi_conv2d_attr *a, const qzk_conv_shape *s, const char *from,
                          size_t size, char *to)
{
    const int32_t icg = s->ic / s->groups;
    for (int32_t m = 0; m < s->oc; m++)
        for (int32_t i = 0; i < icg; i++)
            for (int32_t tap = 0; tap < s->kh * s->kw; tap++, to += size) {
                const int64_t at = weight_index(a, s, m, i, tap);
                if (at < 0)
                    memset(to, 0, size);
                else
                    memcpy(to, from + (size_t)at * size, size);
            }
}

/* Weights, biases and multipliers of the merged convolution, while it is packed. */
typedef struct merged_weights {
    void *w;
    void *bias; /* float or int32 */
    float *mult;
} merged_weights;

static qz_status merge_u8(const qzi_op_node *n, const qzk_conv_shape *s, const merged_weights *to)
{
    const qzi_node *node = n->node;
    const qzi_conv2d_attr *a = &node->u.conv;
    const qzi_qweights *qw = node->qw;
    if (!qw || !qw->w)
        return qzi_fail(n->ctx, QZ_ERR_STATE, "%s: its int8 weights are gone (finalized)",
                        node->name);
    merge_weights(a, s, (const char *)qw->w, 1, to->w);
    for (int32_t m = 0; m < s->oc; m++) {
        const int32_t o = channel_of(a, m);
        const float sxw = n->inputs[0]->q.scale * qw->scales[o];
        to->mult[m] = sxw / node->q.scale;
        ((int32_t *)to->bias)[m] = qw->bias[o];
    }
    return QZ_OK;
}

static qz_status merge_f32(const qzi_op_node *n, const qzk_conv_shape *s, const merged_weights *to)
{
    const qzi_conv2d_attr *a = &n->node->u.conv;
    QZI_TRY(qzi_check_loaded(n, QZI_P_WEIGHT));
    const float *bias = n->params[QZI_P_BIAS] ? n->params[QZI_P_BIAS]->data : NULL;
    merge_weights(a, s, n->params[QZI_P_WEIGHT]->data, sizeof(float), to->w);
    for (int32_t m = 0; m < s->oc; m++)
        ((float *)to->bias)[m] = bias ? bias[channel_of(a, m)] : 0.0f;
    return QZ_OK;
}

static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzk_conv_shape s = merged_shape(n->node);
    const bool int8 = n->node->dtype == QZ_U8;
    if (!packed->blob) {
        packed->kernel =
            qzk_conv_choose(int8 ? QZK_LIST_U8S8_CONV : QZK_LIST_F32_CONV, kernels->isa, &s);
        packed->bytes = packed->kernel->packed_size(&s);
        return QZ_OK;
    }
    const size_t oc = (size_t)s.oc;
    const size_t depth = (size_t)s.kh * (size_t)s.kw * (size_t)(s.ic / s.groups);
    size_t values = 0;
    if (!qzi_mul_size(oc, depth, &values) || values > SIZE_MAX / 8)
        return qzi_fail_memory(n->ctx, SIZE_MAX);
    merged_weights m = {
        .w = qzi_alloc(n->ctx, values * (int8 ? 1 : sizeof(float))),
        .bias = qzi_alloc(n->ctx, oc * sizeof(float)),
        .mult = qzi_alloc(n->ctx, oc * sizeof(float)),
    };
    qz_status st = QZ_ERR_MEMORY;
    if (m.w && m.bias && m.mult)
        st = int8 ? merge_u8(n, &s, &m) : merge_f32(n, &s, &m);
    if (st == QZ_OK) {
        qzk_conv_weights w = {.mult = m.mult, .x_zp = n->inputs[0]->q.zero_point};
        if (int8) {
            w.w_s8 = m.w;
            w.bias_s32 = m.bias;
        } else {
            w.w_f32 = m.w;
            w.bias_f32 = m.bias;
        }
        packed->kernel->pack(&s, &w, packed->blob);
    }
    qzi_free(n->ctx, m.w);
    qzi_free(n->ctx, m.bias);
    qzi_free(n->ctx, m.mult);
    return st;
}

/* ---- running ---- */

/* A chunk of images. */
typedef struct chunk {
    const qzi_op_run *r;
    const qzk_conv_shape *shape;
    qzk_conv_args args;
    int32_t first; /* image */
    char *scratch; /* of the kernel */
    size_t scratch_stride;
} chunk;

static size_t merged_bytes(const qzi_op_run *r, const qzk_conv_shape *s)
{
    const qzk_view *x = &r->in[0];
    const qz_dtype dtype = r->node->dtype;
    return (size_t)((int64_t)x->h + s->kh - 1) * (size_t)((int64_t)x->w + s->kw - 1) *
           (size_t)qzi_pixel_stride(dtype, s->oc) * qz_dtype_size(dtype);
}

/* Images that a chunk has. */
static int32_t chunk_images(const qzi_op_run *r, const qzk_conv_shape *s)
{
    const size_t fit = CHUNK_BYTES / QZI_MAX(merged_bytes(r, s), (size_t)1);
    return (int32_t)QZI_MAX(QZI_MIN(fit, (size_t)r->out.n), (size_t)1);
}

/* Arguments of the merged convolution for images first ... first + count - 1, into `merged`. */
static qzk_conv_args make_args(const qzi_op_run *r, const qzk_conv_shape *s, int32_t first,
                               int32_t count, void *merged)
{
    const qzi_node *node = r->node;
    const qzk_view *x = &r->in[0];
    const int64_t skip = (int64_t)first * x->h * x->w * x->pixel_stride;
    qzk_conv_args args = {
        .shape = s,
        .in = *x,
        .out = {merged, count, x->h + s->kh - 1, x->w + s->kw - 1, s->oc,
                qzi_pixel_stride(node->dtype, s->oc)},
        .packed = r->packed->blob,
    };
    args.in.n = count;
    args.in.data = (char *)x->data + (size_t)skip * qz_dtype_size(node->dtype);
    qzk_cut_choose(&args, r->packed->kernel, r->threads);
    if (node->dtype == QZ_U8) {
        int32_t lo, hi;
        qzi_act_range_u8(node->act, &node->q, &lo, &hi);
        args.lo = (float)(lo - node->q.zero_point);
        args.hi = (float)(hi - node->q.zero_point);
        args.y_zp = node->q.zero_point;
    } else {
        qzi_act_range_f32(node->act, &args.lo, &args.hi);
    }
    return args;
}

/* Scratch of the kernel for each thread, in any chunk. */
static size_t kernel_scratch(const qzi_op_run *r, const qzk_conv_shape *s)
{
    const int32_t images = chunk_images(r, s), rest = r->out.n % images;
    qzk_conv_args args = make_args(r, s, 0, images, NULL);
    size_t bytes = r->packed->kernel->scratch_size(&args);
    if (rest > 0) {
        args = make_args(r, s, 0, rest, NULL);
        bytes = QZI_MAX(bytes, r->packed->kernel->scratch_size(&args));
    }
    return QZI_ROUND_UP(bytes, (size_t)QZI_ALIGN);
}

/* The kernel's scratch of all threads comes first, then the merged output that they share. */
static size_t scratch(const qzi_op_run *r)
{
    const qzk_conv_shape s = merged_shape(r->node);
    const size_t merged = merged_bytes(r, &s) * (size_t)chunk_images(r, &s);
    return kernel_scratch(r, &s) + QZI_DIV_UP(merged, (size_t)QZI_MAX(r->threads, 1U));
}

/* Puts some channels of one merged pixel into their places: those of one phase are neighbours. */
static void place_pixel(const chunk *k, int64_t pixel, int32_t channel, int32_t end)
{
    const qzi_op_run *r = k->r;
    const qzi_conv2d_attr *a = &r->node->u.conv;
    const qzk_view *z = &k->args.out, *y = &r->out;
    const size_t size = qz_dtype_size(r->node->dtype);
    const int32_t ocg = a->oc / a->groups;
    const int64_t row = pixel / z->w, image = k->first + row / z->h;
    const int64_t top = row % z->h * a->stride_h - a->pad_h;
    const int64_t left = pixel % z->w * a->stride_w - a->pad_w;
    const char *from = (const char *)z->data + (size_t)(pixel * z->pixel_stride) * size;
    for (int32_t next; channel < end; channel = next) {
        const int32_t phase = phase_of(a, channel);
        const int64_t oy = top + phase / a->stride_w, ox = left + phase % a->stride_w;
        next = QZI_MIN((channel / ocg + 1) * ocg, end);
        if (oy < 0 || oy >= y->h || ox < 0 || ox >= y->w)
            continue;
        const int64_t at =
            ((image * y->h + oy) * y->w + ox) * y->pixel_stride + channel_of(a, channel);
        memcpy((char *)y->data + (size_t)at * size, from + (size_t)channel * size,
               (size_t)(next - channel) * size);
    }
}

static void place(void *user, qzk_region region)
{
    const chunk *k = user;
    for (int64_t p = 0; p < region.count; p++)
        place_pixel(k, region.first + p, region.channel, region.channel + region.channels);
}

static void run_units(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const chunk *k = arg;
    k->r->packed->kernel->run(&k->args, begin, end, k->scratch + thread * k->scratch_stride);
}

static void run(const qzi_op_run *r)
{
    const qzk_conv_shape s = merged_shape(r->node);
    const int32_t images = chunk_images(r, &s);
    const size_t bytes = kernel_scratch(r, &s);
    chunk k = {.r = r, .shape = &s, .scratch = r->scratch, .scratch_stride = bytes};
    char *merged = k.scratch + bytes * QZI_MAX(r->threads, 1U);
    for (k.first = 0; k.first < r->out.n; k.first += images) {
        k.args = make_args(r, &s, k.first, QZI_MIN(images, r->out.n - k.first), merged);
        k.args.done = place;
        k.args.done_user = &k;
        qzi_parallel(r->ctx, (uint32_t)k.args.ways, r->packed->kernel->units(&k.args), 1, run_units,
                     &k);
    }
}

const qzi_op_class qzi_op_conv_transpose2d = {
    .op = QZI_OP_CONV_TRANSPOSE2D,
    .validate = validate,
    .shape = shape,
    .pack = pack,
    .scratch = scratch,
    .run = run,
};

/* SPDX-License-Identifier: MIT */
/* conv_parts.c - see conv_parts.h. */
#include "layers/grad/conv_parts.h"
#include "layers/kernels/cut.h"

#include <math.h>
#include <string.h>

/* A piece of scratch: with base NULL only its size counts. */
static void *take(char *base, size_t *at, size_t bytes)
{
    void *piece = base ? base + *at : NULL;
    *at += QZI_ROUND_UP(bytes, (size_t)QZI_ALIGN);
    return piece;
}

/* ---- a convolution ---- */

typedef struct conv_call {
    const qzk_conv_kernel *kernel;
    qzk_conv_args args;
    char *scratch;
    size_t scratch_stride;
} conv_call;

/* What lies outside of the usual shapes of layers is for ref. */
static const qzk_conv_kernel *choose(const qzi_grad_run *r, const qzk_conv_shape *s,
                                     const qzk_view *y)
{
    if (s->pad_top < 0 || s->pad_left < 0)
        return qzk_conv_choose(QZK_LIST_F32_CONV, QZ_ISA_REF, s);
    return qzk_conv_choose(qzk_winograd_wins(s, y->h, y->w) ? QZK_LIST_F32_WINOGRAD
                                                            : QZK_LIST_F32_CONV,
                           r->kernels->isa, s);
}

static conv_call prepare(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *x,
                         const qzk_view *y)
{
    conv_call c = {
        .kernel = choose(r, s, y),
        .args = {.shape = s, .in = *x, .out = *y, .lo = -INFINITY, .hi = INFINITY},
    };
    qzk_cut_choose(&c.args, c.kernel, r->threads);
    c.scratch_stride = QZI_ROUND_UP(c.kernel->scratch_size(&c.args), (size_t)QZI_ALIGN);
    return c;
}

static void run_units(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const conv_call *c = arg;
    c->kernel->run(&c->args, begin, end, c->scratch + thread * c->scratch_stride);
}

/* Packs and runs; returns the bytes that this takes. base NULL: it only counts. */
static size_t run_conv(const qzi_grad_run *r, conv_call *c, const float *weights, char *base)
{
    size_t at = 0;
    void *packed = take(base, &at, c->kernel->packed_size(c->args.shape));
    c->scratch = take(base, &at, c->scratch_stride * QZI_MAX(r->threads, 1U));
    if (!base)
        return at;
    c->kernel->pack(c->args.shape, &(qzk_conv_weights){.w_f32 = weights}, packed);
    c->args.packed = packed;
    qzi_parallel(r->ctx, (uint32_t)c->args.ways, c->kernel->units(&c->args), 1, run_units, c);
    return at;
}

size_t qzi_conv_run_bytes(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *x,
                          const qzk_view *y)
{
    conv_call c = prepare(r, s, x, y);
    return run_conv(r, &c, NULL, NULL);
}

void qzi_conv_run(const qzi_grad_run *r, const qzk_conv_shape *s, const float *weights,
                  const qzk_view *x, const qzk_view *y)
{
    conv_call c = prepare(r, s, x, y);
    run_conv(r, &c, weights, r->scratch);
}

/* ---- the weight gradient ---- */

typedef struct dw_call {
    const qzk_wgrad_kernel *kernel;
    qzk_wgrad_args args;
    char *scratch;
    size_t scratch_stride;
    float *to; /* OIHW */
} dw_call;

static size_t weight_count(const qzk_conv_shape *s)
{
    return (size_t)s->oc * (size_t)(s->ic / s->groups) * (size_t)s->kh * (size_t)s->kw;
}

static size_t prepare_dw(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *x,
                         const qzk_view *dy, dw_call *c, char *base)
{
    size_t at = 0;
    c->kernel = qzk_wgrad_choose(r->kernels->isa, s);
    c->args = (qzk_wgrad_args){.shape = s, .x = *x, .dy = *dy, .ways = (int32_t)r->threads};
    c->args.dw = take(base, &at, weight_count(s) * sizeof(float));
    c->scratch_stride = QZI_ROUND_UP(c->kernel->scratch_size(&c->args), (size_t)QZI_ALIGN);
    c->scratch = take(base, &at, c->scratch_stride * QZI_MAX(r->threads, 1U));
    return at;
}

size_t qzi_conv_dw_bytes(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *x,
                         const qzk_view *dy)
{
    dw_call c;
    return prepare_dw(r, s, x, dy, &c, NULL);
}

static void run_dw(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const dw_call *c = arg;
    c->kernel->run(&c->args, begin, end, c->scratch + thread * c->scratch_stride);
}

/* Adds the sums of output channels to torch's order. */
static void add_dw(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const dw_call *c = arg;
    const qzk_conv_shape *s = c->args.shape;
    const int64_t icg = s->ic / s->groups, taps = (int64_t)s->kh * s->kw;
    (void)thread;
    for (int64_t o = begin; o < end; o++) {
        const float *from = c->args.dw + o * icg * taps;
        float *to = c->to + o * icg * taps;
        for (int64_t i = 0; i < icg; i++)
            for (int64_t t = 0; t < taps; t++)
                to[i * taps + t] = to[i * taps + t] + from[t * icg + i];
    }
}

void qzi_conv_dw(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *x,
                 const qzk_view *dy, float *dw)
{
    dw_call c;
    prepare_dw(r, s, x, dy, &c, r->scratch);
    c.to = dw;
    memset(c.args.dw, 0, weight_count(s) * sizeof(float));
    qzi_parallel(r->ctx, r->threads, c.kernel->units(&c.args), 1, run_dw, &c);
    qzi_parallel(r->ctx, r->threads, s->oc, QZI_MAX(8192 / (int64_t)(weight_count(s) / s->oc), 1),
                 add_dw, &c);
}

/* ---- the input gradient ---- */

/*
 * The taps that reach pixels place + stride * m of an axis: first, first + step, .... With m they
 * are a convolution over dy of stride 1, from the last tap to the first.
 */
typedef struct axis {
    int32_t place, first, step, taps, dilation, pad;
    int32_t size; /* pixels m */
} axis;

static int32_t common_divisor(int32_t a, int32_t b)
{
    while (b != 0) {
        const int32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static axis axis_at(int32_t place, int32_t k, int32_t stride, int32_t dil, int32_t pad,
                    int32_t size)
{
    const int32_t common = common_divisor(stride, dil);
    axis a = {.place = place, .step = stride / common, .dilation = dil / common};
    a.size = place < size ? (size - place - 1) / stride + 1 : 0;
    while (a.first < k && a.first < a.step &&
           ((int64_t)place + pad - (int64_t)a.first * dil) % stride)
        a.first++;
    if (a.first >= k || a.first >= a.step)
        return a; /* no tap */
    a.taps = (k - 1 - a.first) / a.step + 1;
    const int64_t base = ((int64_t)place + pad - (int64_t)a.first * dil) / stride;
    a.pad = (int32_t)((int64_t)(a.taps - 1) * a.dilation - base);
    return a;
}

/* One part: pixels of dx with one pair of remainders. */
typedef struct part {
    const qzi_grad_run *r;
    const qzk_conv_shape *s;
    const float *weights;
    const qzk_view *dx;
    axis y, x;
    qzk_conv_shape shape;
    conv_call call;
    float *turned; /* the part's weights, OIHW */
} part;

static bool is_whole(const qzk_conv_shape *s)
{
    return s->stride_h == 1 && s->stride_w == 1;
}

static void make_part(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *dx,
                      int32_t place_y, int32_t place_x, part *p)
{
    p->r = r;
    p->s = s;
    p->dx = dx;
    p->y = axis_at(place_y, s->kh, s->stride_h, s->dil_h, s->pad_top, dx->h);
    p->x = axis_at(place_x, s->kw, s->stride_w, s->dil_w, s->pad_left, dx->w);
    p->shape = (qzk_conv_shape){
        .ic = s->oc,
        .oc = s->ic,
        .groups = s->groups,
        .kh = p->y.taps,
        .kw = p->x.taps,
        .stride_h = 1,
        .stride_w = 1,
        .pad_top = p->y.pad,
        .pad_left = p->x.pad,
        .dil_h = p->y.dilation,
        .dil_w = p->x.dilation,
    };
}

static bool has_pixels(const part *p)
{
    return p->y.size > 0 && p->x.size > 0;
}

static bool has_taps(const part *p)
{
    return p->y.taps > 0 && p->x.taps > 0;
}

/* Weights of input channels, blocks of them: turned[i][o][ry][rx] = w[o][i][ky][kx]. */
#define TURN_BLOCK 16
static void turn_weights(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const part *p = arg;
    const qzk_conv_shape *s = p->s;
    const int64_t icg = s->ic / s->groups, ocg = s->oc / s->groups;
    const int64_t taps = (int64_t)p->y.taps * p->x.taps, all = (int64_t)s->kh * s->kw;
    (void)thread;
    for (int64_t b = begin; b < end; b++) {
        const int64_t stop = QZI_MIN((b + 1) * TURN_BLOCK, (int64_t)s->ic);
        for (int64_t o = 0; o < ocg; o++)
            for (int64_t i = b * TURN_BLOCK; i < stop; i++) {
                const float *from = p->weights + ((i / icg * ocg + o) * icg + i % icg) * all;
                float *to = p->turned + (i * ocg + o) * taps;
                for (int32_t ry = p->y.taps - 1; ry >= 0; ry--)
                    for (int32_t rx = p->x.taps - 1; rx >= 0; rx--)
                        *to++ = from[(p->y.first + ry * p->y.step) * s->kw + p->x.first +
                                     rx * p->x.step];
            }
    }
}

/* Puts a region of the part's output into its places. */
static void place(void *user, qzk_region region)
{
    const part *p = user;
    const qzk_view *from = &p->call.args.out, *dx = p->dx;
    const size_t bytes = (size_t)region.channels * sizeof(float);
    const int64_t row = region.first / from->w;
    int64_t n = row / from->h, y = row % from->h, x = region.first % from->w;
    for (int64_t i = 0; i < region.count; i++) {
        const int64_t to =
            (n * dx->h + p->y.place + y * p->s->stride_h) * dx->w + p->x.place + x * p->s->stride_w;
        memcpy(qzi_view_at(dx, to) + region.channel,
               qzi_view_at(from, region.first + i) + region.channel, bytes);
        if (++x < from->w)
            continue;
        x = 0;
        if (++y == from->h) {
            y = 0;
            n++;
        }
    }
}

/* Runs a part in scratch from `base` on; NULL: counts the bytes. */
static size_t run_part(const qzi_grad_run *r, part *p, const qzk_view *dy, char *base)
{
    const bool whole = is_whole(p->s);
    qzk_view out = *p->dx;
    size_t at = 0;
    p->turned = take(base, &at, weight_count(&p->shape) * sizeof(float));
    if (!whole) {
        out.h = p->y.size;
        out.w = p->x.size;
        out.pixel_stride = out.c;
        out.data = take(base, &at, (size_t)qzi_view_pixels(&out) * (size_t)out.c * sizeof(float));
    }
    p->call = prepare(r, &p->shape, dy, &out);
    if (!base)
        return at + run_conv(r, &p->call, NULL, NULL);
    qzi_parallel(r->ctx, r->threads, QZI_DIV_UP(p->s->ic, TURN_BLOCK), 1, turn_weights, p);
    if (!whole) {
        p->call.args.done = place;
        p->call.args.done_user = p;
    }
    return at + run_conv(r, &p->call, p->turned, base + at);
}

size_t qzi_conv_dx_bytes(const qzi_grad_run *r, const qzk_conv_shape *s, const qzk_view *dy,
                         const qzk_view *dx)
{
    size_t most = 0;
    for (int32_t y = 0; y < s->stride_h; y++)
        for (int32_t x = 0; x < s->stride_w; x++) {
            part p;
            make_part(r, s, dx, y, x, &p);
            if (has_pixels(&p) && has_taps(&p))
                most = QZI_MAX(most, run_part(r, &p, dy, NULL));
        }
    return most;
}

/* Pixels that no tap reaches. */
static void clear_part(const part *p)
{
    const qzk_view *dx = p->dx;
    for (int64_t n = 0; n < dx->n; n++)
        for (int64_t y = p->y.place; y < dx->h; y += p->s->stride_h)
            for (int64_t x = p->x.place; x < dx->w; x += p->s->stride_w)
                memset(qzi_view_at(dx, (n * dx->h + y) * dx->w + x), 0,
                       (size_t)dx->c * sizeof(float));
}

void qzi_conv_dx(const qzi_grad_run *r, const qzk_conv_shape *s, const float *weights,
                 const qzk_view *dy, const qzk_view *dx)
{
    for (int32_t y = 0; y < s->stride_h; y++)
        for (int32_t x = 0; x < s->stride_w; x++) {
            part p;
            make_part(r, s, dx, y, x, &p);
            p.weights = weights;
            if (!has_pixels(&p))
                continue;
            if (has_taps(&p))
                run_part(r, &p, dy, r->scratch);
            else
                clear_part(&p);
        }
}

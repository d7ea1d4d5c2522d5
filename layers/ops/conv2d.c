/* SPDX-License-Identifier: MIT */
/*
 * conv2d.c - convolution and linear, float and int8. Linear is a 1x1 convolution whose rows are
 * pixels, so both share everything but their shape rule.
 */
#include "layers/kernels/cut.h"
#include "layers/ops/ops.h"

#include <math.h>
#include <string.h>

/* CONTRACT.md: keeps the int32 sum exact. */
#define MAX_K 32768

qzk_conv_shape qzi_conv_shape(const qzi_conv2d_attr *a)
{
    return (qzk_conv_shape){
        .ic = a->ic,
        .oc = a->oc,
        .groups = a->groups,
        .kh = a->kh,
        .kw = a->kw,
        .stride_h = a->stride_h,
        .stride_w = a->stride_w,
        .pad_top = a->pad_h,
        .pad_left = a->pad_w,
        .dil_h = a->dil_h,
        .dil_w = a->dil_w,
    };
}

qz_status qzi_conv2d_check(const qz_context *ctx, const char *name, const qzi_conv2d_attr *a)
{
    if (a->ic < 1 || a->oc < 1 || a->groups < 1 || a->ic % a->groups || a->oc % a->groups)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "%s: %d input and %d output channels do not divide into %d groups", name,
                        a->ic, a->oc, a->groups);
    if (a->kh < 1 || a->kw < 1 || a->stride_h < 1 || a->stride_w < 1 || a->dil_h < 1 ||
        a->dil_w < 1 || a->pad_h < 0 || a->pad_w < 0)
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "%s: kernel, stride and dilation must be at least 1, padding at least 0",
                        name);
    if ((int64_t)a->kh * a->kw * (a->ic / a->groups) > MAX_K)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: more than %d multiply-adds for one output value", name, MAX_K);
    return QZ_OK;
}

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *node = n->node;
    const qzi_conv2d_attr *a = &node->u.conv;
    const qzi_node *x = n->inputs[0];
    QZI_TRY(qzi_conv2d_check(n->ctx, node->name, a));
    if (x->c != a->ic)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: reads %d channels, its input has %d",
                        node->name, a->ic, x->c);
    if (x->dtype != node->dtype)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: input and output differ in type", node->name);
    if (node->dtype != QZ_U8 && (node->in_count > 1 || !qzi_act_is_clamp(node->act)))
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: in float it adds and applies nothing",
                        node->name);
    if (node->in_count > 1) {
        const qzi_node *r = n->inputs[1];
        if (node->in_count > 2 || r->c != node->c || r->dtype != QZ_U8)
            return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: adds what is no residual", node->name);
        if (!qzi_act_is_clamp(node->act))
            return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: adds a residual before %s", node->name,
                            qzi_act_name(node->act));
    }
    QZI_TRY(qzi_check_range(n));
    return qzi_check_scales(n);
}

static qz_status out_size(const qzi_op_node *n, int32_t in, int32_t k, int32_t stride, int32_t pad,
                          int32_t dil, int32_t *out)
{
    int64_t span = (int64_t)dil * (k - 1) + 1, room = (int64_t)in + 2 * (int64_t)pad;
    if (room < span)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT,
                        "%s: its %lld wide kernel does not fit an input of %d; use a larger image",
                        n->node->name, (long long)span, in);
    *out = (int32_t)((room - span) / stride + 1);
    return QZ_OK;
}

/* A residual is as large as the output. */
static qz_status check_residual(const qzi_op_node *n, const qzi_shape *in, const qzi_shape *out)
{
    if (n->node->in_count > 1 && (in[1].h != out->h || in[1].w != out->w))
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: adds %dx%d to %dx%d", n->node->name, in[1].h,
                        in[1].w, out->h, out->w);
    return QZ_OK;
}

static qz_status conv_shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    const qzi_conv2d_attr *a = &n->node->u.conv;
    *out = (qzi_shape){.n = in->n, .c = a->oc};
    QZI_TRY(out_size(n, in->h, a->kh, a->stride_h, a->pad_h, a->dil_h, &out->h));
    QZI_TRY(out_size(n, in->w, a->kw, a->stride_w, a->pad_w, a->dil_w, &out->w));
    return check_residual(n, in, out);
}

static qz_status linear_shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    *out = *in; /* every pixel is a row */
    out->c = n->node->u.conv.oc;
    return check_residual(n, in, out);
}

/*
 * Whether the kernel computes by channel. Where all zero points of the output are equal, the
 * formula of conv2d needs only a multiplier for each channel, which it has anyway.
 */
static bool kernel_by_channel(const qzi_node *node)
{
    if (node->dtype != QZ_U8)
        return false;
    if (node->in_count > 1 || qzk_act_is_function(node->act))
        return true;
    const uint8_t *zero = node->channel_q ? node->channel_q->zero_point : NULL;
    return zero && memcmp(zero, zero + 1, (size_t)node->c - 1) != 0;
}

/*
 * CONTRACT.md, "functions in words": what the kernel multiplies by and adds, [oc] each, if these
 * outputs can have words. mult has s_x * s_w before.
 */
static qz_status in_words(const qzi_op_node *n, float *mult, float *second, float *zero,
                          qzk_words *words, qzk_conv_weights *w)
{
    const qzi_node *y = n->node;
    for (int32_t o = 0; o < y->c; o++) {
        second[o] = qzi_q_scale(y, o);
        zero[o] = (float)qzi_q_zero(y, o);
    }
    if (!qzk_words_choose(y->act, second, zero, y->c, words))
        return QZ_OK;
    for (int32_t o = 0; o < y->c; o++) {
        const float s_y = second[o];
        second[o] = qzk_words_factor(words->unit, s_y);
        mult[o] = mult[o] / (s_y * (second[o] * 0x1p-15f));
        QZI_TRY(qzi_check_magnitude(n, o, 0x1p31f, mult[o], 0.0f));
    }
    w->words = words;
    return QZ_OK;
}

/*
 * CONTRACT.md, "by channel": what the kernel multiplies by and adds, [oc] each. mult has s_x * s_w,
 * and becomes the first; second is out_mult or residual_mult.
 */
static qz_status by_channel(const qzi_op_node *n, float *mult, float *second, float *zero,
                            qzk_words *words, qzk_conv_weights *w)
{
    const qzi_node *y = n->node, *r = y->in_count > 1 ? n->inputs[1] : NULL;
    const bool function = qzk_act_is_function(y->act);
    const float sum = 0x1p31f; /* no sum is larger */
    if (function)
        QZI_TRY(in_words(n, mult, second, zero, words, w));
    for (int32_t o = 0; o < y->c && !w->words; o++) {
        const float s_y = qzi_q_scale(y, o);
        zero[o] = (float)qzi_q_zero(y, o);
        if (function) {
            second[o] = 1.0f / (qzk_act_divisor(y->act) * s_y);
            /* no function is larger than 6 or 6 times its argument */
            QZI_TRY(qzi_check_magnitude(n, o, sum, mult[o], 0.0f));
            QZI_TRY(qzi_check_magnitude(n, o, 6.0f * sum, mult[o] * second[o], 0.0f));
            QZI_TRY(qzi_check_magnitude(n, o, 6.0f, second[o], zero[o]));
            continue;
        }
        mult[o] = mult[o] / s_y;
        if (r) {
            second[o] = qzi_q_scale(r, o) / s_y;
            zero[o] = zero[o] - (float)qzi_q_zero(r, o) * second[o];
            QZI_TRY(qzi_check_magnitude(n, o, 255.0f, second[o], zero[o]));
        }
        QZI_TRY(qzi_check_magnitude(n, o, sum, mult[o], zero[o]));
    }
    w->act = y->act;
    w->out_zero = zero;
    w->out_mult = function ? second : NULL;
    w->residual_mult = r ? second : NULL;
    return QZ_OK;
}

/* *w points into `room`, three floats for each output channel, and to *words. */
static qz_status multipliers(const qzi_op_node *n, float *room, qzk_words *words,
                             qzk_conv_weights *w)
{
    const qzi_node *y = n->node, *x = n->inputs[0];
    const bool channels = kernel_by_channel(y);
    for (int32_t o = 0; o < y->c; o++) {
        /* by channel, the weights have the input's scales in them */
        const float sxw = (x->channel_q ? 1.0f : x->q.scale) * y->qw->scales[o];
        room[o] = channels ? sxw : sxw / qzi_q_scale(y, o);
    }
    w->w_s8 = y->qw->w;
    w->bias_s32 = y->qw->bias;
    w->mult = room;
    w->x_zp = x->q.zero_point;
    w->x_zps = x->channel_q ? x->channel_q->zero_point : NULL;
    return channels ? by_channel(n, room, room + y->c, room + 2 * (size_t)y->c, words, w) : QZ_OK;
}

static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzi_node *node = n->node;
    const qzi_conv2d_attr *a = &node->u.conv;
    qzk_conv_shape shape = qzi_conv_shape(a);
    bool int8 = node->dtype == QZ_U8;
    qzk_conv_weights w = {0};
    qzk_words words;
    float *room = NULL;
    shape.by_channel = kernel_by_channel(node);

    if (!packed->blob) {
        qzk_conv_list list = int8 ? QZK_LIST_U8S8_CONV : QZK_LIST_F32_CONV;
        if (!int8 && n->winograd && qzk_winograd_wins(&shape, n->winograd->h, n->winograd->w))
            list = QZK_LIST_F32_WINOGRAD;
        packed->kernel = qzk_conv_choose(list, kernels->isa, &shape);
        packed->bytes = packed->kernel->packed_size(&shape);
        return QZ_OK;
    }
    if (int8) {
        const qzi_qweights *qw = node->qw;
        if (!qw || !qw->w)
            return qzi_fail(n->ctx, QZ_ERR_STATE, "%s: its int8 weights are gone (finalized)",
                            node->name);
        room = qzi_alloc(n->ctx, 3 * (size_t)a->oc * sizeof(*room));
        if (!room)
            return QZ_ERR_MEMORY;
        const qz_status st = multipliers(n, room, &words, &w);
        if (st != QZ_OK) {
            qzi_free(n->ctx, room);
            return st;
        }
    } else {
        QZI_TRY(qzi_check_loaded(n, QZI_P_WEIGHT));
        w.w_f32 = n->params[QZI_P_WEIGHT]->data;
        w.bias_f32 = n->params[QZI_P_BIAS] ? n->params[QZI_P_BIAS]->data : NULL;
    }
    packed->kernel->pack(&shape, &w, packed->blob);
    qzi_free(n->ctx, room);
    return QZ_OK;
}

static qzk_conv_args make_args(const qzi_op_run *r, const qzk_conv_shape *shape)
{
    const qzi_node *node = r->node;
    qzk_conv_args args = {
        .shape = shape,
        .in = r->in[0],
        .out = r->out,
        .packed = r->packed->blob,
    };
    qzk_cut_choose(&args, r->packed->kernel, r->threads);
    if (shape->by_channel) {
        int32_t lo, hi;
        qzi_act_range_channels(node, &lo, &hi);
        args.lo = (float)lo;
        args.hi = (float)hi;
        if (node->in_count > 1)
            args.residual = r->in[1];
    } else if (node->dtype == QZ_U8) {
        int32_t lo, hi;
        qzi_act_range_channels(node, &lo, &hi);
        args.y_zp = qzi_q_zero(node, 0);
        args.lo = (float)(lo - args.y_zp);
        args.hi = (float)(hi - args.y_zp);
    } else {
        qzi_act_range_f32(node->act, &args.lo, &args.hi);
    }
    return args;
}

static size_t scratch(const qzi_op_run *r)
{
    qzk_conv_shape shape = qzi_conv_shape(&r->node->u.conv);
    shape.by_channel = kernel_by_channel(r->node);
    qzk_conv_args args = make_args(r, &shape);
    return r->packed->kernel->scratch_size(&args);
}

/* Runs the followers on a region that is final. */
static void follow(void *user, qzk_region region)
{
    const qzi_op_run *r = user;
    for (size_t i = 0; i < r->follower_count; i++)
        r->followers[i]->op->apply(r->followers[i], region);
}

typedef struct conv_task {
    const qzk_conv_kernel *kernel;
    const qzk_conv_args *args;
    char *scratch;
    size_t scratch_stride;
} conv_task;

static void run_units(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const conv_task *task = arg;
    /* most kernels ask for none */
    char *scratch = task->scratch ? task->scratch + thread * task->scratch_stride : NULL;
    task->kernel->run(task->args, begin, end, scratch);
}

static void run(const qzi_op_run *r)
{
    qzk_conv_shape shape = qzi_conv_shape(&r->node->u.conv);
    shape.by_channel = kernel_by_channel(r->node);
    qzk_conv_args args = make_args(r, &shape);
    const qzk_conv_kernel *kernel = r->packed->kernel;
    if (r->follower_count > 0) {
        args.done = follow;
        args.done_user = (void *)(uintptr_t)r; /* follow() reads it only */
    }
    conv_task task = {kernel, &args, r->scratch, r->scratch_stride};
    int64_t units = kernel->units(&args);
    qzi_parallel(r->ctx, (uint32_t)args.ways, units, 1, run_units, &task);
}

const qzi_op_class qzi_op_conv2d = {
    .op = QZI_OP_CONV2D,
    .validate = validate,
    .shape = conv_shape,
    .pack = pack,
    .scratch = scratch,
    .run = run,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

const qzi_op_class qzi_op_linear = {
    .op = QZI_OP_LINEAR,
    .validate = validate,
    .shape = linear_shape,
    .pack = pack,
    .scratch = scratch,
    .run = run,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

/* SPDX-License-Identifier: MIT */
/*
 * pool.c - max, average and adaptive average pooling, float and int8. Each output pixel gathers
 * pointers to the pixels of its window that lie inside the image and hands them to the kernel.
 * Large windows of stride 1 take their maxima by rows first, then by columns: the same values, from
 * kw + kh pixels in place of kw * kh.
 */
#include "layers/ops/by_channel.h"
#include "layers/ops/window.h"

/* Taps on the stack: larger windows (global pooling of big images) take scratch. */
#define STACK_TAPS 64

/* CONTRACT.md: keeps the int32 sum of bytes exact. */
#define MAX_TAPS (1 << 23)

static qz_status validate_common(const qzi_op_node *n)
{
    QZI_TRY(qzi_check_alike(n));
    return qzi_check_scales(n);
}

static qz_status validate_pool(const qzi_op_node *n)
{
    const qzi_pool2d_attr *a = &n->node->u.pool;
    const qzi_node *y = n->node;
    QZI_TRY(validate_common(n));
    if (a->kh < 1 || a->kw < 1 || a->stride_h < 1 || a->stride_w < 1 || a->pad_h < 0 ||
        a->pad_w < 0)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT,
                        "%s: kernel and stride must be at least 1, padding at least 0", y->name);
    /* torch's rule; it also makes sure that no window lies wholly in the padding */
    if (a->pad_h > a->kh / 2 || a->pad_w > a->kw / 2)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: padding is more than half of the kernel",
                        y->name);
    return y->op == QZI_OP_MAX_POOL2D ? qzi_check_moves(n) : QZ_OK;
}

static qz_status validate_adaptive(const qzi_op_node *n)
{
    QZI_TRY(validate_common(n));
    if (n->node->u.adaptive.out_h < 1 || n->node->u.adaptive.out_w < 1)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: output size must be at least 1",
                        n->node->name);
    return QZ_OK;
}

/*
 * torch's pooling_output_shape. In ceil mode windows may reach beyond the image and its padding, so
 * an image smaller than the window is fine; but the last window must start inside the left-padded
 * image.
 */
static qz_status out_size(const qzi_op_node *n, int32_t in, int32_t k, int32_t stride, int32_t pad,
                          bool ceil_mode, int32_t *out)
{
    const int64_t room = (int64_t)in + 2 * (int64_t)pad - k + (ceil_mode ? stride - 1 : 0);
    if (room < 0)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT,
                        "%s: its %d wide window does not fit an input of %d; use a larger image",
                        n->node->name, k, in);
    int64_t o = room / stride + 1;
    if (ceil_mode && (o - 1) * stride >= (int64_t)in + pad)
        o--;
    *out = (int32_t)o;
    return QZ_OK;
}

static qz_status fail_window(const qzi_op_node *n)
{
    return qzi_fail(n->ctx, QZ_ERR_UNSUPPORTED, "%s: a window of more than %d pixels",
                    n->node->name, MAX_TAPS);
}

static qz_status pool_shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    const qzi_pool2d_attr *a = &n->node->u.pool;
    *out = *in;
    if ((int64_t)a->kh * a->kw > MAX_TAPS)
        return fail_window(n);
    QZI_TRY(out_size(n, in->h, a->kh, a->stride_h, a->pad_h, a->ceil_mode, &out->h));
    return out_size(n, in->w, a->kw, a->stride_w, a->pad_w, a->ceil_mode, &out->w);
}

static qz_status adaptive_shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    *out = *in;
    out->h = n->node->u.adaptive.out_h;
    out->w = n->node->u.adaptive.out_w;
    if ((int64_t)(in->h / out->h + 2) * (in->w / out->w + 2) > MAX_TAPS)
        return fail_window(n);
    return QZ_OK;
}

/* ---- averages by channel ---- */

/* Rows of a node's constants: those of whole windows first. */
enum { ROW_MULT, ROW_OFFSET, ROW_SHIFT, ROW_S_X, ROW_S_Y, ROW_ZERO, ROW_COUNT };

/* CONTRACT.md: m of windows of `taps` pixels that are divided by `count`, and n * z_x. */
static void average_rows(int32_t taps, int32_t count, int32_t c, const float *s_x, const float *s_y,
                         const int32_t *zero, float *mult, int32_t *offset)
{
    for (int32_t i = 0; i < c; i++) {
        mult[i] = s_x[i] / ((float)count * s_y[i]);
        offset[i] = taps * zero[i];
    }
    qzi_channel_row_wrap(mult, c);
    qzi_channel_row_wrap(offset, c);
}

/* Pixels of a whole window; 1 where windows differ (or shape() refuses them). */
static int32_t usual_taps(const qzi_node *node)
{
    const int64_t taps = (int64_t)node->u.pool.kh * node->u.pool.kw;
    return node->op == QZI_OP_ADAPTIVE_AVG_POOL2D || taps > MAX_TAPS ? 1 : (int32_t)taps;
}

static qz_status pack_average(const qzi_op_node *n, const qzk_kernels *kernels,
                              qzi_packed_node *packed)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    (void)kernels;
    packed->bytes = qzi_by_channel(n) ? qzi_channel_rows_bytes(y->c, ROW_COUNT) : 0;
    if (!packed->blob || packed->bytes == 0)
        return QZ_OK;
    float *s_x = qzi_channel_row(packed->blob, y->c, ROW_S_X);
    float *s_y = qzi_channel_row(packed->blob, y->c, ROW_S_Y);
    float *shift = qzi_channel_row(packed->blob, y->c, ROW_SHIFT);
    int32_t *zero = qzi_channel_row(packed->blob, y->c, ROW_ZERO);
    for (int32_t c = 0; c < y->c; c++) {
        s_x[c] = qzi_q_scale(x, c);
        s_y[c] = qzi_q_scale(y, c);
        shift[c] = (float)qzi_q_zero(y, c);
        zero[c] = qzi_q_zero(x, c);
        QZI_TRY(qzi_channel_term(n, packed->blob, c, 255.0f * (s_x[c] / s_y[c])));
    }
    const int32_t taps = usual_taps(y);
    average_rows(taps, taps, y->c, s_x, s_y, zero, qzi_channel_row(packed->blob, y->c, ROW_MULT),
                 qzi_channel_row(packed->blob, y->c, ROW_OFFSET));
    qzi_channel_rows_wrap(packed->blob, y->c, ROW_COUNT);
    return QZ_OK;
}

/* What a thread needs for pixels: room for pointers to their windows; and of averages by channel
 * the constants of the last window, with room for others. */
typedef struct pool_task {
    const void **taps;
    bool by_channel;
    int32_t tap_count, count; /* of that window */
    const float *mult;
    const int32_t *offset;
    char *rows;
} pool_task;

static void average_by_channel(const qzi_op_run *r, pool_task *task, int32_t tap_count,
                               int32_t count, uint8_t *y)
{
    const int32_t c = r->node->c;
    if (tap_count != task->tap_count || count != task->count) {
        float *mult = (float *)(void *)task->rows;
        int32_t *offset = (int32_t *)(void *)(task->rows + qzi_channel_row_bytes(c));
        average_rows(tap_count, count, c, qzi_channel_row_of(r, ROW_S_X, 0),
                     qzi_channel_row_of(r, ROW_S_Y, 0),
                     qzi_channel_row(r->packed->blob, c, ROW_ZERO), mult, offset);
        task->tap_count = tap_count;
        task->count = count;
        task->mult = mult;
        task->offset = offset;
    }
    const qzk_avgpool_channels_params p = {
        .offset = task->offset,
        .mult = task->mult,
        .shift = qzi_channel_row_of(r, ROW_SHIFT, 0),
        .wide = qzi_channel_wide(r->packed->blob),
    };
    r->kernels->u8_avgpool_channels((const uint8_t *const *)task->taps, (size_t)tap_count,
                                    (size_t)c, &p, y);
}

static void pool_pixel(const qzi_op_run *r, pool_task *task, int64_t pixel)
{
    const void **taps = task->taps;
    const qzi_node *node = r->node;
    const qzk_view *in = &r->in[0], *out = &r->out;
    const qzk_kernels *k = r->kernels;
    size_t size = qz_dtype_size(node->dtype), c = (size_t)in->c, count = 0;
    int32_t ox = (int32_t)(pixel % out->w), oy = (int32_t)(pixel / out->w % out->h);
    int64_t image = pixel / out->w / out->h;
    qzi_pool_window w = qzi_pool_window_of(node, in, out, oy, ox);
    void *y = (char *)out->data + (size_t)(pixel * out->pixel_stride) * size;

    for (int32_t iy = w.y0; iy < w.y1; iy++) {
        int64_t row = (image * in->h + iy) * in->w;
        for (int32_t ix = w.x0; ix < w.x1; ix++)
            taps[count++] = (const char *)in->data + (size_t)((row + ix) * in->pixel_stride) * size;
    }
    if (node->op == QZI_OP_MAX_POOL2D) {
        if (node->dtype == QZ_U8)
            k->u8_maxpool((const uint8_t *const *)taps, count, c, y);
        else
            k->f32_maxpool((const float *const *)taps, count, c, y);
    } else if (task->by_channel) {
        average_by_channel(r, task, (int32_t)count, w.count, y);
    } else if (node->dtype == QZ_U8) {
        const qzi_qparams *qx = &r->inputs[0]->q, *qy = &node->q;
        const qzk_avgpool_params p = {
            .x_zp = qx->zero_point,
            .y_zp = qy->zero_point,
            .mult = qx->scale / ((float)w.count * qy->scale),
            .lo = (float)-qy->zero_point,
            .hi = (float)(255 - qy->zero_point),
        };
        k->u8_avgpool((const uint8_t *const *)taps, count, c, &p, y);
    } else {
        k->f32_avgpool((const float *const *)taps, count, c, (float)w.count, y);
    }
}

static size_t max_taps(const qzi_op_run *r)
{
    const qzk_view *in = &r->in[0], *out = &r->out;
    if (r->node->op == QZI_OP_ADAPTIVE_AVG_POOL2D)
        return (size_t)(in->h / out->h + 2) * (size_t)(in->w / out->w + 2);
    const qzi_pool2d_attr *a = &r->node->u.pool;
    return (size_t)QZI_MIN(a->kh, in->h) * (size_t)QZI_MIN(a->kw, in->w);
}

/* ---- maxima by rows, then by columns ---- */

/* Windows below that are as fast at once. */
#define SEPARABLE_SIDE 5

static bool is_separable(const qzi_op_run *r)
{
    const qzi_pool2d_attr *a = &r->node->u.pool;
    return r->node->op == QZI_OP_MAX_POOL2D && a->stride_h == 1 && a->stride_w == 1 &&
           a->kh >= SEPARABLE_SIDE && a->kw >= SEPARABLE_SIDE && a->kw <= STACK_TAPS &&
           a->kh <= STACK_TAPS;
}

static void max_of(const qzi_op_run *r, const void **taps, size_t count, size_t c, void *y)
{
    if (r->node->dtype == QZ_U8)
        r->kernels->u8_maxpool((const uint8_t *const *)taps, count, c, y);
    else
        r->kernels->f32_maxpool((const float *const *)taps, count, c, y);
}

/* Bytes of a row of maxima: its pixels are dense. */
static size_t row_bytes(const qzi_op_run *r)
{
    return (size_t)r->out.w * (size_t)r->out.c * qz_dtype_size(r->node->dtype);
}

/* The maxima of the windows' part in input row `iy`, one for each output column. */
static void max_row(const qzi_op_run *r, int64_t image, int32_t iy, char *to)
{
    const qzk_view *in = &r->in[0];
    const size_t size = qz_dtype_size(r->node->dtype), c = (size_t)in->c;
    const int64_t row = (image * in->h + iy) * in->w;
    const void *taps[STACK_TAPS];
    for (int32_t ox = 0; ox < r->out.w; ox++, to += c * size) {
        const qzi_pool_window w = qzi_pool_window_of(r->node, in, &r->out, 0, ox);
        size_t count = 0;
        for (int32_t ix = w.x0; ix < w.x1; ix++)
            taps[count++] = (const char *)in->data + (size_t)((row + ix) * in->pixel_stride) * size;
        max_of(r, taps, count, c, to);
    }
}

/* Output rows, of all images one behind the other. The last kh rows of maxima are kept. */
static void run_rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const qzi_op_run *r = arg;
    const qzk_view *in = &r->in[0], *out = &r->out;
    const int32_t kh = r->node->u.pool.kh;
    const size_t size = qz_dtype_size(r->node->dtype), c = (size_t)out->c, bytes = row_bytes(r);
    char *ring = (char *)r->scratch + thread * r->scratch_stride;
    const void *taps[STACK_TAPS];
    int32_t next = 0; /* the first row that has no maxima yet */
    for (int64_t row = begin; row < end; row++) {
        const int32_t oy = (int32_t)(row % out->h);
        const qzi_pool_window w = qzi_pool_window_of(r->node, in, out, oy, 0);
        const size_t count = (size_t)(w.y1 - w.y0);
        next = row == begin || oy == 0 ? w.y0 : next;
        for (; next < w.y1; next++)
            max_row(r, row / out->h, next, ring + (size_t)(next % kh) * bytes);
        for (size_t t = 0; t < count; t++)
            taps[t] = ring + (size_t)((w.y0 + (int32_t)t) % kh) * bytes;
        char *y = (char *)out->data + (size_t)(row * out->w * out->pixel_stride) * size;
        if (out->pixel_stride == out->c) {
            max_of(r, taps, count, (size_t)out->w * c, y);
            continue;
        }
        for (int32_t ox = 0; ox < out->w; ox++, y += (size_t)out->pixel_stride * size) {
            max_of(r, taps, count, c, y);
            for (size_t t = 0; t < count; t++)
                taps[t] = (const char *)taps[t] + c * size;
        }
    }
}

static bool averages_by_channel(const qzi_op_run *r)
{
    return r->node->op != QZI_OP_MAX_POOL2D && qzi_run_by_channel(r);
}

/* Of the pointers to taps; rows of averages by channel come after them. */
static size_t tap_bytes(const qzi_op_run *r)
{
    const size_t taps = max_taps(r);
    return taps > STACK_TAPS ? QZI_ROUND_UP(taps * sizeof(void *), (size_t)QZI_ALIGN) : 0;
}

static size_t scratch(const qzi_op_run *r)
{
    if (is_separable(r))
        return (size_t)r->node->u.pool.kh * row_bytes(r);
    return tap_bytes(r) + (averages_by_channel(r) ? 2 * qzi_channel_row_bytes(r->node->c) : 0);
}

static void run_task(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const qzi_op_run *r = arg;
    const void *stack_taps[STACK_TAPS];
    const size_t bytes = tap_bytes(r);
    pool_task task = {.taps = stack_taps, .by_channel = averages_by_channel(r)};
    char *scratch = r->scratch ? (char *)r->scratch + thread * r->scratch_stride : NULL;
    if (bytes > 0)
        task.taps = (const void **)(void *)scratch;
    if (task.by_channel) {
        task.tap_count = task.count = usual_taps(r->node);
        task.mult = qzi_channel_row_of(r, ROW_MULT, 0);
        task.offset = qzi_channel_row(r->packed->blob, r->node->c, ROW_OFFSET);
        task.rows = scratch + bytes;
    }
    for (int64_t p = begin; p < end; p++)
        pool_pixel(r, &task, p);
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    int64_t cost = (int64_t)max_taps(r) * y->c * (int64_t)qz_dtype_size(r->node->dtype);
    int64_t grain = QZI_MAX(32768 / QZI_MAX(cost, (int64_t)1), (int64_t)1);
    qzi_op_run copy = *r;
    if (is_separable(r)) {
        qzi_parallel(r->ctx, r->threads, (int64_t)y->n * y->h, r->node->u.pool.kh, run_rows, &copy);
        return;
    }
    qzi_parallel(r->ctx, r->threads, (int64_t)y->n * y->h * y->w, grain, run_task, &copy);
}

const qzi_op_class qzi_op_max_pool2d = {
    .op = QZI_OP_MAX_POOL2D,
    .validate = validate_pool,
    .shape = pool_shape,
    .scratch = scratch,
    .run = run,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

const qzi_op_class qzi_op_avg_pool2d = {
    .op = QZI_OP_AVG_POOL2D,
    .validate = validate_pool,
    .shape = pool_shape,
    .pack = pack_average,
    .scratch = scratch,
    .run = run,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

const qzi_op_class qzi_op_adaptive_avg_pool2d = {
    .op = QZI_OP_ADAPTIVE_AVG_POOL2D,
    .validate = validate_adaptive,
    .shape = adaptive_shape,
    .pack = pack_average,
    .scratch = scratch,
    .run = run,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

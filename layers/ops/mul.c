/* SPDX-License-Identifier: MIT */
/* mul.c - a * b, element by element, or with one factor for each channel: squeeze-excitation. */
#include "layers/ops/by_channel.h"

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *a = n->inputs[0], *b = n->inputs[1], *y = n->node;
    if (a->c != b->c || y->c != a->c)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: multiplies %d channels with %d", y->name,
                        a->c, b->c);
    if (a->dtype != y->dtype || b->dtype != y->dtype)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: inputs and output differ in type", y->name);
    return qzi_check_scales(n);
}

static bool is_one_pixel(int32_t h, int32_t w)
{
    return h == 1 && w == 1;
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    const qzi_shape *a = &in[0], *b = &in[1];
    if ((a->h != b->h || a->w != b->w) && !is_one_pixel(a->h, a->w) && !is_one_pixel(b->h, b->w))
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT,
                        "%s: multiplies %dx%d with %dx%d; the sizes must be equal, or one 1x1",
                        n->node->name, a->h, a->w, b->h, b->w);
    *out = is_one_pixel(a->h, a->w) ? *b : *a;
    return QZ_OK;
}

static qzk_mul_params make_params(const qzi_op_run *r, int first)
{
    const qzi_qparams *qa = &r->inputs[first]->q, *qb = &r->inputs[1 - first]->q;
    const qzi_qparams *qy = &r->node->q;
    return (qzk_mul_params){
        .a_zp = qa->zero_point,
        .b_zp = qb->zero_point,
        .y_zp = qy->zero_point,
        .mult = (qa->scale * qb->scale) / qy->scale,
        .lo = (float)-qy->zero_point,
        .hi = (float)(255 - qy->zero_point),
    };
}

/* By channel: rows of a_zero, b_zero, mult, shift. */
static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzi_node *a = n->inputs[0], *b = n->inputs[1], *y = n->node;
    (void)kernels;
    packed->bytes = qzi_by_channel(n) ? qzi_channel_rows_bytes(y->c, 4) : 0;
    if (!packed->blob || packed->bytes == 0)
        return QZ_OK;
    float *a_zero = qzi_channel_row(packed->blob, y->c, 0);
    float *b_zero = qzi_channel_row(packed->blob, y->c, 1);
    float *mult = qzi_channel_row(packed->blob, y->c, 2);
    float *shift = qzi_channel_row(packed->blob, y->c, 3);
    for (int32_t c = 0; c < y->c; c++) {
        a_zero[c] = (float)qzi_q_zero(a, c);
        b_zero[c] = (float)qzi_q_zero(b, c);
        mult[c] = (qzi_q_scale(a, c) * qzi_q_scale(b, c)) / qzi_q_scale(y, c);
        shift[c] = (float)qzi_q_zero(y, c);
        QZI_TRY(qzi_channel_term(n, packed->blob, c, 255.0f * 255.0f * mult[c]));
    }
    qzi_channel_rows_wrap(packed->blob, y->c, 4);
    return QZ_OK;
}

/* first: the input that is a */
static qzk_mul_channels_params rows_of(const qzi_op_run *r, int first)
{
    return (qzk_mul_channels_params){
        .a_zero = qzi_channel_row_of(r, first, 0),
        .b_zero = qzi_channel_row_of(r, 1 - first, 0),
        .mult = qzi_channel_row_of(r, 2, 0),
        .shift = qzi_channel_row_of(r, 3, 0),
        .wide = qzi_channel_wide(r->packed->blob),
    };
}

/* Some pixels, of all channels. */
static qzk_region whole_pixels(const qzi_op_run *r, int64_t first, int64_t count)
{
    return (qzk_region){.first = first, .count = count, .channels = r->out.c};
}

/* Two images of the same size. */
static void run_equal(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzk_view *a = &r->in[0], *b = &r->in[1], *y = &r->out;
    size_t size = qz_dtype_size(r->node->dtype), c = (size_t)y->c, pixels = (size_t)(end - begin);
    if (qzi_run_by_channel(r)) {
        const qzk_view *x = a;
        const qzk_region region = whole_pixels(r, begin, (int64_t)pixels);
        const qzk_mul_channels_params rows = rows_of(r, 0);
        r->kernels->u8_mul_pair_channels(QZI_ROWS(uint8_t, x, y, region),
                                         QZI_AT(const uint8_t, b, region), b->pixel_stride, &rows);
        return;
    }
    const qzk_mul_params p = make_params(r, 0);
    if (a->pixel_stride == (int64_t)c && b->pixel_stride == (int64_t)c &&
        y->pixel_stride == (int64_t)c) {
        c *= pixels;
        pixels = 1;
    }
    const char *pa = (const char *)a->data + (size_t)(begin * a->pixel_stride) * size;
    const char *pb = (const char *)b->data + (size_t)(begin * b->pixel_stride) * size;
    char *py = (char *)y->data + (size_t)(begin * y->pixel_stride) * size;
    for (; pixels; pixels--) {
        if (r->node->dtype == QZ_U8)
            r->kernels->u8_mul((const uint8_t *)pa, (const uint8_t *)pb, (uint8_t *)py, c, &p);
        else
            r->kernels->f32_mul((const float *)(const void *)pa, (const float *)(const void *)pb,
                                (float *)(void *)py, c);
        pa += (size_t)a->pixel_stride * size;
        pb += (size_t)b->pixel_stride * size;
        py += (size_t)y->pixel_stride * size;
    }
}

/* One of the inputs has one pixel for each image. */
static void run_channels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const int first = is_one_pixel(r->in[1].h, r->in[1].w) ? 0 : 1;
    const qzk_view *x = &r->in[first], *gate = &r->in[1 - first], *y = &r->out;
    const qzk_mul_params p = make_params(r, first);
    int64_t plane = (int64_t)y->h * y->w;
    size_t c = (size_t)y->c;
    while (begin < end) {
        int64_t image = begin / plane;
        int64_t count = QZI_MIN(end, (image + 1) * plane) - begin;
        if (r->node->dtype == QZ_U8)
            r->kernels->u8_mul_channels(
                &(qzk_rows){(const uint8_t *)x->data + begin * x->pixel_stride,
                            (uint8_t *)y->data + begin * y->pixel_stride, (size_t)count, c,
                            x->pixel_stride, y->pixel_stride},
                (const uint8_t *)gate->data + image * gate->pixel_stride, &p);
        else
            r->kernels->f32_mul_channels(
                &(qzk_rows){(const float *)x->data + begin * x->pixel_stride,
                            (float *)y->data + begin * y->pixel_stride, (size_t)count, c,
                            x->pixel_stride, y->pixel_stride},
                (const float *)gate->data + image * gate->pixel_stride);
        begin += count;
    }
}

/* By channel, the same: an affine whose rows, in the scratch, are of an image's factors. */
static void run_factors(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const qzi_op_run *r = arg;
    const int first = is_one_pixel(r->in[1].h, r->in[1].w) ? 0 : 1;
    const qzk_view *x = &r->in[first], *gate = &r->in[1 - first], *y = &r->out;
    const qzk_mul_channels_params rows = rows_of(r, first);
    const int64_t plane = (int64_t)y->h * y->w;
    char *scratch = (char *)r->scratch + thread * r->scratch_stride;
    float *mult = (float *)(void *)scratch;
    float *shift = (float *)(void *)(scratch + qzi_channel_row_bytes(y->c));
    while (begin < end) {
        const int64_t image = begin / plane;
        const int64_t count = QZI_MIN(end, (image + 1) * plane) - begin;
        const qzk_region region = whole_pixels(r, begin, count);
        r->kernels->u8_factor_channels((const uint8_t *)gate->data + image * gate->pixel_stride,
                                       (size_t)y->c, &rows, mult, shift);
        qzi_channel_row_wrap(mult, y->c);
        qzi_channel_row_wrap(shift, y->c);
        r->kernels->u8_affine_channels(
            QZI_ROWS(uint8_t, x, y, region),
            &(qzk_affine_channels_params){
                .mult = mult, .shift = shift, .hi = 255, .wide = rows.wide});
        begin += count;
    }
}

static bool is_equal(const qzi_op_run *r)
{
    return r->in[0].h == r->in[1].h && r->in[0].w == r->in[1].w;
}

static size_t scratch(const qzi_op_run *r)
{
    return qzi_run_by_channel(r) && !is_equal(r) ? 2 * qzi_channel_row_bytes(r->node->c) : 0;
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    const int64_t pixels = (int64_t)y->n * y->h * y->w;
    const int64_t bytes = 3 * (int64_t)y->c * (int64_t)qz_dtype_size(r->node->dtype);
    qzi_op_run copy = *r;
    if (scratch(r) > 0)
        qzi_parallel(r->ctx, r->threads, pixels, QZI_MAX(32768 / bytes, 1), run_factors, &copy);
    else
        qzi_run_pixels(r, pixels, bytes, is_equal(r) ? run_equal : run_channels);
}

const qzi_op_class qzi_op_mul = {
    .op = QZI_OP_MUL,
    .validate = validate,
    .shape = shape,
    .pack = pack,
    .scratch = scratch,
    .run = run,
    .in_place = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

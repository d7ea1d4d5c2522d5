/* SPDX-License-Identifier: MIT */
/* add.c - a + b with an optional activation: the residual connection. */
#include "layers/ops/by_channel.h"

#include <math.h>

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *a = n->inputs[0], *b = n->inputs[1], *y = n->node;
    if (a->c != b->c || y->c != a->c)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: adds %d channels to %d", y->name, a->c, b->c);
    if (a->dtype != y->dtype || b->dtype != y->dtype)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: inputs and output differ in type", y->name);
    QZI_TRY(qzi_check_range(n));
    return qzi_check_scales(n);
}

static qz_status shape(const qzi_op_node *n, const qzi_shape *in, qzi_shape *out)
{
    if (in[0].h != in[1].h || in[0].w != in[1].w)
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: adds %dx%d to %dx%d", n->node->name, in[0].h,
                        in[0].w, in[1].h, in[1].w);
    *out = in[0];
    return QZ_OK;
}

/* By channel: rows of a_mult, b_mult, shift. */
static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzi_node *a = n->inputs[0], *b = n->inputs[1], *y = n->node;
    (void)kernels;
    packed->bytes = qzi_by_channel(n) ? qzi_channel_rows_bytes(y->c, 3) : 0;
    if (!packed->blob || packed->bytes == 0)
        return QZ_OK;
    float *a_mult = qzi_channel_row(packed->blob, y->c, 0);
    float *b_mult = qzi_channel_row(packed->blob, y->c, 1);
    float *shift = qzi_channel_row(packed->blob, y->c, 2);
    for (int32_t c = 0; c < y->c; c++) {
        const float s_y = qzi_q_scale(y, c), z_y = (float)qzi_q_zero(y, c);
        a_mult[c] = qzi_q_scale(a, c) / s_y;
        b_mult[c] = qzi_q_scale(b, c) / s_y;
        shift[c] =
            (z_y - (float)qzi_q_zero(a, c) * a_mult[c]) - (float)qzi_q_zero(b, c) * b_mult[c];
        QZI_TRY(qzi_channel_term(n, packed->blob, c, 255.0f * (a_mult[c] + b_mult[c])));
    }
    qzi_channel_rows_wrap(packed->blob, y->c, 3);
    return QZ_OK;
}

static void apply_by_channel(const qzi_op_run *r, qzk_region region)
{
    const qzk_view *x = &r->in[0], *b = &r->in[1], *y = &r->out;
    int32_t lo, hi;
    qzi_act_range_channels(r->node, &lo, &hi);
    const qzk_add_channels_params p = {
        .a_mult = qzi_channel_row_of(r, 0, region.channel),
        .b_mult = qzi_channel_row_of(r, 1, region.channel),
        .shift = qzi_channel_row_of(r, 2, region.channel),
        .lo = (uint8_t)lo,
        .hi = (uint8_t)hi,
        .wide = qzi_channel_wide(r->packed->blob),
    };
    r->kernels->u8_add_channels(QZI_ROWS(uint8_t, x, y, region), QZI_AT(const uint8_t, b, region),
                                b->pixel_stride, &p);
}

static void apply(const qzi_op_run *r, qzk_region region)
{
    const qzi_node *node = r->node;
    const qzk_view *a = &r->in[0], *b = &r->in[1], *y = &r->out;
    size_t c = (size_t)region.channels, pixels = (size_t)region.count;
    if (qzi_run_by_channel(r)) {
        apply_by_channel(r, region);
        return;
    }
    if (a->pixel_stride == (int64_t)c && b->pixel_stride == (int64_t)c &&
        y->pixel_stride == (int64_t)c) {
        c *= pixels; /* dense: one run */
        pixels = 1;
    }
    if (node->dtype == QZ_U8) {
        int32_t lo, hi, zp = node->q.zero_point;
        qzi_act_range_u8(node->act, &node->q, &lo, &hi);
        const qzi_qparams *qa = &r->inputs[0]->q, *qb = &r->inputs[1]->q;
        const qzk_add_params p = {
            .a_zp = qa->zero_point,
            .b_zp = qb->zero_point,
            .y_zp = zp,
            .a_mult = qa->scale / node->q.scale,
            .b_mult = qb->scale / node->q.scale,
            .lo = (float)(lo - zp),
            .hi = (float)(hi - zp),
        };
        const uint8_t *pa = QZI_AT(uint8_t, a, region), *pb = QZI_AT(uint8_t, b, region);
        uint8_t *py = QZI_AT(uint8_t, y, region);
        for (; pixels; pixels--) {
            r->kernels->u8_add(pa, pb, py, c, &p);
            pa += a->pixel_stride;
            pb += b->pixel_stride;
            py += y->pixel_stride;
        }
    } else {
        float lo, hi;
        qzi_act_range_f32(node->act, &lo, &hi);
        const float *pa = QZI_AT(float, a, region), *pb = QZI_AT(float, b, region);
        float *py = QZI_AT(float, y, region);
        for (; pixels; pixels--) {
            r->kernels->f32_add(pa, pb, py, c, lo, hi);
            pa += a->pixel_stride;
            pb += b->pixel_stride;
            py += y->pixel_stride;
        }
    }
}

static void run(const qzi_op_run *r)
{
    qzi_run_elements(r, 3 * (int64_t)qz_dtype_size(r->node->dtype));
}

const qzi_op_class qzi_op_add = {
    .op = QZI_OP_ADD,
    .validate = validate,
    .shape = shape,
    .pack = pack,
    .run = run,
    .apply = apply,
    .in_place = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

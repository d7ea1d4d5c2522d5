/* SPDX-License-Identifier: MIT */
/* by_channel.c - uint8 values with a scale and a zero point for each channel. */
#include "layers/ops/by_channel.h"

#include <math.h>
#include <string.h>

/* No term of a sum may be as large: sums stay far from infinity. */
#define MAX_TERM 0x1p60f

/* Sums of four terms that are smaller fit int32. */
#define NARROW_TERM 0x1p28f

void qzi_channel_q_free(const qz_context *ctx, qzi_channel_q *channel_q)
{
    if (!channel_q)
        return;
    qzi_free(ctx, channel_q->scale);
    qzi_free(ctx, channel_q->zero_point);
    qzi_free(ctx, channel_q);
}

qz_status qzi_node_set_channel_q(const qz_context *ctx, qzi_node *node, const float *scale,
                                 const uint8_t *zero_point)
{
    const size_t c = (size_t)node->c;
    qzi_channel_q *made = qzi_calloc(ctx, 1, sizeof(*made));
    if (!made)
        return QZ_ERR_MEMORY;
    made->scale = qzi_alloc(ctx, c * sizeof(*scale));
    made->zero_point = qzi_alloc(ctx, c);
    if (!made->scale || !made->zero_point) {
        qzi_channel_q_free(ctx, made);
        return QZ_ERR_MEMORY;
    }
    memcpy(made->scale, scale, c * sizeof(*scale));
    memcpy(made->zero_point, zero_point, c);
    node->q = (qzi_qparams){scale[0], zero_point[0]};
    for (size_t i = 1; i < c; i++)
        node->q.scale = QZI_MAX(node->q.scale, scale[i]);
    qzi_channel_q_free(ctx, node->channel_q);
    node->channel_q = made;
    return QZ_OK;
}

static bool computes_by_channel(const qzi_node *node, const qzi_node *const *inputs)
{
    if (node->dtype != QZ_U8)
        return false;
    if (node->channel_q)
        return true;
    for (size_t i = 0; i < qzi_node_data_count(node); i++)
        if (inputs[i]->channel_q)
            return true;
    return (node->op == QZI_OP_CONV2D || node->op == QZI_OP_LINEAR) &&
           (node->in_count > 1 || !qzi_act_is_clamp(node->act));
}

bool qzi_by_channel(const qzi_op_node *n)
{
    return computes_by_channel(n->node, n->inputs);
}

bool qzi_run_by_channel(const qzi_op_run *r)
{
    return computes_by_channel(r->node, r->inputs);
}

void qzi_act_range_channels(const qzi_node *node, int32_t *lo, int32_t *hi)
{
    const qzi_qparams first = {qzi_q_scale(node, 0), qzi_q_zero(node, 0)};
    qzi_act_range_u8(node->act, &first, lo, hi);
}

qz_status qzi_check_range(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    int32_t first_lo, first_hi, lo, hi;
    if (!y->channel_q || !qzi_act_is_clamp(y->act) || y->act == QZ_ACT_NONE)
        return QZ_OK;
    qzi_act_range_channels(y, &first_lo, &first_hi);
    for (int32_t c = 1; c < y->c; c++) {
        const qzi_qparams q = {qzi_q_scale(y, c), qzi_q_zero(y, c)};
        qzi_act_range_u8(y->act, &q, &lo, &hi);
        if (lo != first_lo || hi != first_hi)
            return qzi_fail(n->ctx, QZ_ERR_INTERNAL,
                            "%s: %s has another range of bytes in channel %d than in channel 0",
                            y->name, qzi_act_name(y->act), c);
    }
    return QZ_OK;
}

/* ---- rows of constants ---- */

/* What is before the rows of a blob. */
typedef struct rows_head {
    bool wide;
} rows_head;

size_t qzi_channel_row_bytes(int32_t c)
{
    return QZI_ROUND_UP(((size_t)c + QZK_WRAP) * sizeof(float), (size_t)QZI_ALIGN);
}

size_t qzi_channel_rows_bytes(int32_t c, int rows)
{
    return QZI_ALIGN + (size_t)rows * qzi_channel_row_bytes(c);
}

void *qzi_channel_row(void *blob, int32_t c, int i)
{
    return (char *)blob + QZI_ALIGN + (size_t)i * qzi_channel_row_bytes(c);
}

const float *qzi_channel_row_of(const qzi_op_run *r, int i, int32_t channel)
{
    return (const float *)qzi_channel_row(r->packed->blob, r->node->c, i) + channel;
}

void qzi_channel_row_wrap(void *row, int32_t c)
{
    float *x = row; /* or whole numbers, of the same size */
    for (int32_t i = 0; i < QZK_WRAP; i += c)
        memcpy(&x[c + i], x, (size_t)QZI_MIN(c, QZK_WRAP - i) * sizeof(*x));
}

void qzi_channel_rows_wrap(void *blob, int32_t c, int rows)
{
    for (int i = 0; i < rows; i++)
        qzi_channel_row_wrap(qzi_channel_row(blob, c, i), c);
}

qz_status qzi_check_magnitude(const qzi_op_node *n, int32_t c, float x_max, float mult, float shift)
{
    /* written so that NaN fails */
    if (fabsf(mult) * x_max < MAX_TERM && fabsf(shift) < MAX_TERM)
        return QZ_OK;
    return qzi_fail(n->ctx, QZ_ERR_NUMERIC,
                    "%s: the scales of channel %d are too far apart to compute with", n->node->name,
                    c);
}

qz_status qzi_channel_term(const qzi_op_node *n, void *blob, int32_t c, float magnitude)
{
    rows_head *head = blob;
    QZI_TRY(qzi_check_magnitude(n, c, 1.0f, magnitude, 0.0f));
    head->wide = (c > 0 && head->wide) || fabsf(magnitude) >= NARROW_TERM;
    return QZ_OK;
}

bool qzi_channel_wide(const void *blob)
{
    return ((const rows_head *)blob)->wide;
}

qz_status qzi_channel_affine(const qzi_op_node *n, void *blob)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    float *mult = qzi_channel_row(blob, y->c, 0), *shift = qzi_channel_row(blob, y->c, 1);
    for (int32_t c = 0; c < y->c; c++) {
        const float s_y = qzi_q_scale(y, c);
        mult[c] = (qzi_q_scale(x, c) * mult[c]) / s_y;
        shift[c] = (shift[c] / s_y + (float)qzi_q_zero(y, c)) - (float)qzi_q_zero(x, c) * mult[c];
        QZI_TRY(qzi_channel_term(n, blob, c, 255.0f * fabsf(mult[c]) + fabsf(shift[c])));
    }
    qzi_channel_rows_wrap(blob, y->c, 2);
    return QZ_OK;
}

void qzi_channel_affine_apply(const qzi_op_run *r, qzk_region region)
{
    const qzk_view *x = &r->in[0], *y = &r->out;
    int32_t lo, hi;
    qzi_act_range_channels(r->node, &lo, &hi);
    const qzk_affine_channels_params p = {
        .mult = qzi_channel_row_of(r, 0, region.channel),
        .shift = qzi_channel_row_of(r, 1, region.channel),
        .lo = (uint8_t)lo,
        .hi = (uint8_t)hi,
        .wide = qzi_channel_wide(r->packed->blob),
    };
    r->kernels->u8_affine_channels(QZI_ROWS(uint8_t, x, y, region), &p);
}

/* ---- bytes that move ---- */

qz_status qzi_check_moved(const qzi_op_node *n, int32_t (*from)(const qzi_op_node *n, int32_t c))
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    if (x->dtype != y->dtype)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: input and output differ in type", y->name);
    if (y->dtype != QZ_U8)
        return QZ_OK;
    const int32_t count = x->channel_q || y->channel_q ? y->c : 1;
    for (int32_t c = 0; c < count; c++) {
        const int32_t at = x->channel_q ? from(n, c) : 0;
        if (!(qzi_q_scale(y, c) > 0.0f) || qzi_q_scale(y, c) != qzi_q_scale(x, at) ||
            qzi_q_zero(y, c) != qzi_q_zero(x, at))
            return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: must share its input's scale", y->name);
    }
    return QZ_OK;
}

static int32_t same_channel(const qzi_op_node *n, int32_t c)
{
    (void)n;
    return c;
}

qz_status qzi_check_moves(const qzi_op_node *n)
{
    return qzi_check_moved(n, same_channel);
}

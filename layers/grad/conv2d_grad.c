/* SPDX-License-Identifier: MIT */
/* conv2d_grad.c - convolution, linear and transposed convolution. The backward of one is made of
 * the products of the other. */
#include "layers/grad/conv_parts.h"

#include <string.h>

static unsigned needs(const qzi_node *node, const qzi_train_mode *mode)
{
    (void)node;
    (void)mode;
    return QZI_NEEDS_X(0);
}

static void add_bias(const qzi_grad_run *r)
{
    float *db = r->dparam[QZI_P_BIAS];
    if (!db)
        return;
    const double *sums = qzi_grad_sums(r, &r->dy, NULL, r->scratch);
    for (int32_t c = 0; c < r->dy.c; c++)
        db[c] = db[c] + (float)sums[c];
}

/* ---- convolution and linear ---- */

static size_t conv_scratch(const qzi_grad_run *r)
{
    const qzk_conv_shape s = qzi_conv_shape(&r->node->u.conv);
    size_t bytes = qzi_grad_sums_bytes(&r->dy);
    bytes = QZI_MAX(bytes, qzi_conv_dw_bytes(r, &s, &r->x[0], &r->dy));
    return QZI_MAX(bytes, qzi_conv_dx_bytes(r, &s, &r->dy, &r->x[0]));
}

static void conv(const qzi_grad_run *r)
{
    const qzk_conv_shape s = qzi_conv_shape(&r->node->u.conv);
    add_bias(r);
    if (r->dparam[QZI_P_WEIGHT])
        qzi_conv_dw(r, &s, &r->x[0], &r->dy, r->dparam[QZI_P_WEIGHT]);
    if (r->dx[0].data)
        qzi_conv_dx(r, &s, r->params[QZI_P_WEIGHT]->data, &r->dy, &r->dx[0]);
}

const qzi_grad_class qzi_grad_conv2d = {
    .op = QZI_OP_CONV2D,
    .needs = needs,
    .scratch = conv_scratch,
    .backward = conv,
};

const qzi_grad_class qzi_grad_linear = {
    .op = QZI_OP_LINEAR,
    .needs = needs,
    .scratch = conv_scratch,
    .backward = conv,
};

/* ---- transposed convolution ---- */

/* The convolution that goes from the output to the input: torch's weights are its OIHW. */
static qzk_conv_shape reverse_shape(const qzi_node *node)
{
    qzk_conv_shape s = qzi_conv_shape(&node->u.conv);
    s.ic = node->u.conv.oc;
    s.oc = node->u.conv.ic;
    return s;
}

static size_t transpose_scratch(const qzi_grad_run *r)
{
    const qzk_conv_shape s = reverse_shape(r->node);
    size_t bytes = qzi_grad_sums_bytes(&r->dy);
    bytes = QZI_MAX(bytes, qzi_conv_dw_bytes(r, &s, &r->dy, &r->x[0]));
    return QZI_MAX(bytes, qzi_conv_run_bytes(r, &s, &r->dy, &r->x[0]));
}

static void transpose(const qzi_grad_run *r)
{
    const qzk_conv_shape s = reverse_shape(r->node);
    add_bias(r);
    if (r->dparam[QZI_P_WEIGHT])
        qzi_conv_dw(r, &s, &r->dy, &r->x[0], r->dparam[QZI_P_WEIGHT]);
    if (r->dx[0].data)
        qzi_conv_run(r, &s, r->params[QZI_P_WEIGHT]->data, &r->dy, &r->dx[0]);
}

const qzi_grad_class qzi_grad_conv_transpose2d = {
    .op = QZI_OP_CONV_TRANSPOSE2D,
    .needs = needs,
    .scratch = transpose_scratch,
    .backward = transpose,
};

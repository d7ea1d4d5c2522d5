/* SPDX-License-Identifier: MIT */
/* layer_norm.c - normalises the channels of each pixel, float and int8. */
#include "layers/ops/ops.h"

/* CONTRACT.md: keeps c * sum of squares of bytes inside 63 bits. */
#define MAX_C (1 << 23)

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *y = n->node;
    QZI_TRY(qzi_check_alike(n));
    if (!(y->u.bn.eps >= 0.0f))
        return qzi_fail(n->ctx, QZ_ERR_ARGUMENT, "%s: eps must not be negative", y->name);
    if (y->c > MAX_C)
        return qzi_fail(n->ctx, QZ_ERR_UNSUPPORTED, "%s: normalises more than %d channels", y->name,
                        MAX_C);
    return qzi_check_scales(n);
}

/* The blob is weight[c] and bias[c]; in int8 both divided by the output's scale. */
static qz_status pack(const qzi_op_node *n, const qzk_kernels *kernels, qzi_packed_node *packed)
{
    const qzi_node *node = n->node;
    size_t c = (size_t)node->c;
    (void)kernels;
    QZI_TRY(qzi_check_loaded(n, QZI_P_BIAS));
    packed->bytes = 2 * c * sizeof(float);
    if (!packed->blob)
        return QZ_OK;
    const float *weight = n->params[QZI_P_WEIGHT]->data, *bias = n->params[QZI_P_BIAS]->data;
    float *w = packed->blob, *b = w + c;
    for (size_t i = 0; i < c; i++) {
        w[i] = weight[i];
        b[i] = bias[i];
        if (node->dtype == QZ_U8) {
            w[i] = w[i] / node->q.scale;
            b[i] = b[i] / node->q.scale;
        }
    }
    return QZ_OK;
}

static void run_pixels(const qzi_op_run *r, int64_t begin, int64_t end)
{
    const qzi_node *node = r->node;
    const qzk_view *x = &r->in[0], *y = &r->out;
    const float *w = r->packed->blob, *b = w + node->c;
    size_t pixels = (size_t)(end - begin), c = (size_t)node->c;
    if (node->dtype == QZ_U8) {
        const int32_t zp = node->q.zero_point;
        const qzk_layer_norm_params p = {
            .x_scale = r->inputs[0]->q.scale,
            .eps = node->u.bn.eps,
            .y_zp = zp,
            .lo = (float)-zp,
            .hi = (float)(255 - zp),
        };
        r->kernels->u8_layer_norm(&(qzk_rows){(const uint8_t *)x->data + begin * x->pixel_stride,
                                              (uint8_t *)y->data + begin * y->pixel_stride, pixels,
                                              c, x->pixel_stride, y->pixel_stride},
                                  w, b, &p);
    } else {
        r->kernels->f32_layer_norm(&(qzk_rows){(const float *)x->data + begin * x->pixel_stride,
                                               (float *)y->data + begin * y->pixel_stride, pixels,
                                               c, x->pixel_stride, y->pixel_stride},
                                   w, b, node->u.bn.eps);
    }
}

static void run(const qzi_op_run *r)
{
    const qzk_view *y = &r->out;
    qzi_run_pixels(r, (int64_t)y->n * y->h * y->w, 8 * (int64_t)y->c, run_pixels);
}

const qzi_op_class qzi_op_layer_norm = {
    .op = QZI_OP_LAYER_NORM,
    .validate = validate,
    .shape = qzi_shape_kept,
    .pack = pack,
    .run = run,
    .in_place = true,
};

/* SPDX-License-Identifier: MIT */
/* grad_table.c - the list of backwards. */
#include "layers/grad/grad.h"

static const qzi_grad_class *const classes[QZI_OP_COUNT] = {
#define QZI_GRAD_ENTRY(NAME, name) [QZI_OP_##NAME] = &qzi_grad_##name,
    QZI_OP_MAP(QZI_GRAD_ENTRY)
#undef QZI_GRAD_ENTRY
};

const qzi_grad_class *qzi_grad_get(qzi_op op)
{
    return classes[op];
}

/* Images have no gradient, and training computes in float. */
const qzi_grad_class qzi_grad_input = {.op = QZI_OP_INPUT};
const qzi_grad_class qzi_grad_quantize = {.op = QZI_OP_QUANTIZE};
const qzi_grad_class qzi_grad_dequantize = {.op = QZI_OP_DEQUANTIZE};

/* SPDX-License-Identifier: MIT */
/*
 * dropout.c - dropout and stochastic depth. Both are identities in eval mode: the output is another
 * name for the input.
 */
#include "layers/ops/ops.h"

static qz_status validate(const qzi_op_node *n)
{
    const qzi_node *x = n->inputs[0], *y = n->node;
    if (x->c != y->c)
        return qzi_fail(n->ctx, QZ_ERR_INTERNAL, "%s: input and output differ", y->name);
    return qzi_check_moves(n);
}

/* Never called: the planner places the output at its input. */
static void run(const qzi_op_run *r)
{
    (void)r;
}

const qzi_op_class qzi_op_dropout = {
    .op = QZI_OP_DROPOUT,
    .validate = validate,
    .shape = qzi_shape_kept,
    .run = run,
    .alias = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

const qzi_op_class qzi_op_stochastic_depth = {
    .op = QZI_OP_STOCHASTIC_DEPTH,
    .validate = validate,
    .shape = qzi_shape_kept,
    .run = run,
    .alias = true,
    .reads_channel_q = true,
    .writes_channel_q = true,
};

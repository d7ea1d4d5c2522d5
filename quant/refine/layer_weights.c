/* SPDX-License-Identifier: MIT */
/* layer_weights.c - the weights of an int8 layer beside those that they stand for. */
#include "quant/refine/layer_weights.h"

#include <math.h>

void qzi_layer_targets(const qz_graph *graph, const qz_graph *int8_graph, const qzi_layer *layer,
                       int64_t o, double *targets)
{
    const qzi_node *node = &int8_graph->nodes[layer->node], *x = &int8_graph->nodes[node->in[0]];
    const qzi_conv2d_attr *a = &node->u.conv;
    const qzi_param *weight = qzi_node_param(graph, &graph->nodes[layer->real], QZI_P_WEIGHT);
    const float *w = weight->tensor.data;
    const int64_t taps = (int64_t)a->kh * a->kw, icg = a->ic / a->groups;
    const int64_t first = o / (a->oc / a->groups) * icg;
    for (int64_t i = 0; i < icg; i++)
        for (int64_t tap = 0; tap < taps; tap++)
            targets[i * taps + tap] = (double)w[qzi_layer_weight_at(node, o, i, tap)] *
                                      (double)qzi_q_scale(x, (int32_t)(first + i));
}

bool qzi_layer_set_scale(const qz_graph *int8_graph, const qzi_node *node, int64_t o, float scale)
{
    qzi_qweights *qw = node->qw;
    const float before = qw->scales[o];
    qw->scales[o] = scale;
    const float step = qzi_layer_step(int8_graph, node, o);
    const float bias = qzi_rnef(qw->bias_f32[o] / step);
    if (!(step > 0.0f) || !isfinite(step) || !(fabsf(bias) < 0x1p30f)) {
        qw->scales[o] = before;
        return false;
    }
    qw->bias[o] = (int32_t)bias;
    return true;
}

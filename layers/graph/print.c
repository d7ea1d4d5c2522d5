/* SPDX-License-Identifier: MIT */
/* print.c - a graph as rows for programs, and as a listing for people. */
#include "layers/graph/graph.h"

#include <stdio.h>
#include <string.h>

size_t qz_graph_node_count(const qz_graph *graph)
{
    return graph->node_count;
}

void qz_graph_node_at(const qz_graph *graph, size_t index, qz_node_info *info)
{
    const qzi_node *node = &graph->nodes[index];
    *info = (qz_node_info){
        .name = node->name,
        .op = node->op == QZI_OP_ACTIVATION ? qzi_act_name(node->act) : qzi_op_name(node->op),
        .activation = node->op == QZI_OP_ACTIVATION ? "" : qzi_act_name(node->act),
        .fused = node->fused ? node->fused : "",
        .by_channel = node->channel_q != NULL,
        .is_int8 = node->dtype == QZ_U8 || node->op == QZI_OP_DEQUANTIZE,
        .fallback_reason = node->fallback ? node->fallback : "",
    };
    if (node->dtype == QZ_U8) {
        info->out_scale = node->q.scale;
        info->out_zero_point = node->q.zero_point;
    }
    if (graph->list_shapes) {
        const qzi_shape *s = &graph->list_shapes[index];
        info->macs = qzi_node_macs(node, s);
        info->out_shape[0] = s->n;
        info->out_shape[1] = s->c;
        info->out_shape[2] = s->h;
        info->out_shape[3] = s->w;
    }
}

void qz_graph_print(const qz_graph *graph, void (*write)(void *user, const char *text), void *user)
{
    char line[512];
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        qz_node_info info;
        qz_graph_node_at(graph, i, &info);
        snprintf(line, sizeof(line), "%%%zu = %s", i, info.op);
        write(user, line);
        if (node->op == QZI_OP_CONV2D || node->op == QZI_OP_CONV_TRANSPOSE2D) {
            const qzi_conv2d_attr *a = &node->u.conv;
            snprintf(line, sizeof(line), " %dx%d/%d %d->%d", a->kh, a->kw, a->stride_h, a->ic,
                     a->oc);
            write(user, line);
            if (a->groups > 1) {
                snprintf(line, sizeof(line), " groups %d", a->groups);
                write(user, line);
            }
        } else if (node->op == QZI_OP_GROUP_NORM) {
            snprintf(line, sizeof(line), " groups %d", node->u.bn.groups);
            write(user, line);
        } else if (node->op == QZI_OP_LINEAR) {
            snprintf(line, sizeof(line), " %d->%d", node->u.conv.ic, node->u.conv.oc);
            write(user, line);
        }
        if (*info.activation) {
            write(user, " +");
            write(user, info.activation);
        }
        for (size_t k = 0; k < node->in_count; k++) {
            snprintf(line, sizeof(line), "%s%%%d", k ? ", " : " (", node->in[k]);
            write(user, line);
        }
        write(user, node->in_count ? ") " : " ");
        write(user, node->name);
        if (graph->list_shapes) {
            snprintf(line, sizeof(line), "  [%lldx%lldx%lldx%lld]", (long long)info.out_shape[0],
                     (long long)info.out_shape[1], (long long)info.out_shape[2],
                     (long long)info.out_shape[3]);
            write(user, line);
        }
        if (node->channel_q) {
            snprintf(line, sizeof(line), "  uint8 by channel, scales up to %.9g", node->q.scale);
            write(user, line);
        } else if (node->dtype == QZ_U8) {
            snprintf(line, sizeof(line), "  uint8 scale %.9g zero point %d", node->q.scale,
                     node->q.zero_point);
            write(user, line);
        }
        if (node->fallback) {
            write(user, "  fp32: ");
            write(user, node->fallback);
        }
        write(user, "\n");
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        snprintf(line, sizeof(line), "output %%%d ", graph->outputs[i].value);
        write(user, line);
        write(user, graph->outputs[i].name);
        write(user, "\n");
    }
}

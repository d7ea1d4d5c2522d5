/* SPDX-License-Identifier: MIT */
/*
 * fuse.c - merges batch norms and activations into the layer whose output they change.
 *
 * Everything that can fail (memory) is done before the first weight is touched, so that a graph
 * that could not be fused computes what it did before.
 */
#include "quant/fuse.h"

#include <string.h>

/* A layer and what is merged into it; QZ_NO_VALUE where there is none. */
typedef struct fuse_group {
    qz_value head, bn, act;
    qz_activation function; /* of act */
    bool fold;              /* the batch norm has data to fold */
    bool again;             /* an earlier group folds it into the same weights */
    float eps;
    int32_t bn_param[QZI_P_COUNT];
    char *fused;    /* becomes the head's `fused` */
    char *alias[2]; /* full names of bn and act */
} fuse_group;

typedef struct fuse_plan {
    const qz_context *ctx;
    fuse_group *groups;
    size_t count;
    bool *keep;
    qz_value *redirect;
    bool *drop;        /* by parameter */
    int32_t *renumber; /* by parameter: its index after dropping */
} fuse_plan;

/* The only node that reads each value; QZ_NO_VALUE for none, several, or a graph output. */
static qz_status only_readers(const qz_graph *graph, qz_value **readers)
{
    qz_value *only = qzi_calloc(graph->ctx, graph->node_count, sizeof(*only));
    uint8_t *count = qzi_calloc(graph->ctx, graph->node_count, 1);
    if (!only || !count) {
        qzi_free(graph->ctx, only);
        qzi_free(graph->ctx, count);
        return QZ_ERR_MEMORY;
    }
    for (size_t i = 0; i < graph->node_count; i++)
        only[i] = QZ_NO_VALUE;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        for (size_t k = 0; k < qzi_node_data_count(node); k++) {
            const qz_value x = node->in[k];
            only[x] = count[x] == 0 ? (qz_value)i : QZ_NO_VALUE;
            count[x] = 1;
        }
    }
    for (size_t i = 0; i < graph->output_count; i++)
        only[graph->outputs[i].value] = QZ_NO_VALUE;
    qzi_free(graph->ctx, count);
    *readers = only;
    return QZ_OK;
}

static bool is_op(const qz_graph *graph, qz_value node, qzi_op op)
{
    return node >= 0 && graph->nodes[node].op == op;
}

static bool is_clamp(const qz_graph *graph, qz_value node)
{
    return is_op(graph, node, QZI_OP_ACTIVATION) && qzi_act_is_clamp(graph->nodes[node].act);
}

static bool takes_activation(qzi_op op)
{
    return qzi_op_has_weights(op) || op == QZI_OP_BATCH_NORM2D || op == QZI_OP_GROUP_NORM ||
           op == QZI_OP_ADD;
}

static bool is_same_norm(const qz_graph *graph, qz_value a, qz_value b)
{
    return a >= 0 &&
           memcmp(graph->nodes[a].param, graph->nodes[b].param, sizeof(graph->nodes[a].param)) == 0;
}

/*
 * Whether folding `bn` into the weights of `head` is right for every node that shares them, or
 * shares those of the norm: all calls of the one must be followed by calls of the other.
 */
static bool all_calls_fold(const qz_graph *graph, const qz_value *only, qz_value head, qz_value bn)
{
    const int32_t weight = graph->nodes[head].param[QZI_P_WEIGHT];
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        const bool conv = node->param[QZI_P_WEIGHT] == weight;
        const bool norm = conv && node->op == QZI_OP_CONV2D && node->act == QZ_ACT_NONE &&
                          is_op(graph, only[i], QZI_OP_BATCH_NORM2D) &&
                          is_same_norm(graph, only[i], bn);
        if (conv && !norm)
            return false;
        if (node->op == QZI_OP_BATCH_NORM2D && is_same_norm(graph, (qz_value)i, bn) &&
            graph->nodes[node->in[0]].param[QZI_P_WEIGHT] != weight)
            return false;
    }
    return true;
}

/* Finds what follows `head` and can be merged; false when that is nothing. */
static bool find_group(const qz_graph *graph, const qz_value *only, qz_value head,
                       fuse_group *group)
{
    const qzi_node *node = &graph->nodes[head];
    qz_value last = head;
    *group = (fuse_group){.head = head, .bn = QZ_NO_VALUE, .act = QZ_NO_VALUE};
    if (!takes_activation(node->op) || node->act != QZ_ACT_NONE)
        return false;
    if (node->op == QZI_OP_CONV2D && is_op(graph, only[last], QZI_OP_BATCH_NORM2D) &&
        all_calls_fold(graph, only, head, only[last]))
        last = group->bn = only[last];
    if (graph->nodes[last].act == QZ_ACT_NONE && is_clamp(graph, only[last]))
        group->act = only[last];
    if (group->bn >= 0) {
        group->eps = graph->nodes[group->bn].u.bn.eps;
        memcpy(group->bn_param, graph->nodes[group->bn].param, sizeof(group->bn_param));
    }
    group->function = group->act >= 0 ? graph->nodes[group->act].act : graph->nodes[last].act;
    return group->bn >= 0 || group->act >= 0;
}

/* ---- names ---- */

/* The name within the scope of `head`; the whole name where the scopes differ. */
static const char *local_name(const char *head, const char *name)
{
    const char *dot = strrchr(head, '.');
    const size_t scope = dot ? (size_t)(dot - head) + 1 : 0;
    return strncmp(head, name, scope) == 0 ? name + scope : name;
}

static qz_status name_group(const qz_graph *graph, fuse_group *group)
{
    const qzi_node *head = &graph->nodes[group->head];
    const qz_value members[2] = {group->bn, group->act};
    for (size_t i = 0; i < 2; i++) {
        if (members[i] < 0)
            continue;
        const qzi_node *member = &graph->nodes[members[i]];
        const char *before = group->fused ? group->fused : head->fused;
        const char *name = local_name(head->name, member->name);
        char *fused =
            qzi_format(graph->ctx, "%s%s%s%s%s", before ? before : "", before ? "+" : "", name,
                       member->fused ? "+" : "", member->fused ? member->fused : "");
        qzi_free(graph->ctx, group->fused);
        group->fused = fused;
        group->alias[i] = qzi_strdup(graph->ctx, member->name);
        if (!group->fused || !group->alias[i])
            return QZ_ERR_MEMORY;
    }
    return QZ_OK;
}

/* ---- folding ---- */

/*
 * Whether there is data to fold: all of it, or none. The order of a file decides nothing here; a
 * half-loaded graph would be folded wrongly, so it is refused.
 */
static qz_status check_data(const qz_graph *graph, fuse_group *group)
{
    static const int of_bn[] = {QZI_P_WEIGHT, QZI_P_BIAS, QZI_P_MEAN, QZI_P_VAR};
    const qzi_node *head = &graph->nodes[group->head];
    const qzi_node *bn = &graph->nodes[group->bn];
    const qzi_param *weight = qzi_node_param(graph, head, QZI_P_WEIGHT);
    const qzi_param *bias = qzi_node_param(graph, head, QZI_P_BIAS);
    const bool data = weight && weight->tensor.data;
    bool whole = !bias || (bias->tensor.data != NULL) == data;
    for (size_t i = 0; i < QZI_ARRAY_LEN(of_bn); i++) {
        const qzi_param *param = qzi_node_param(graph, bn, of_bn[i]);
        whole = whole && param && (param->tensor.data != NULL) == data;
    }
    if (!whole)
        return qzi_fail(graph->ctx, QZ_ERR_STATE,
                        "%s and %s: only a part of their parameters is loaded; load all weights "
                        "before fusing",
                        head->name, bn->name);
    group->fold = data;
    return QZ_OK;
}

static float *group_data(const qz_graph *graph, const fuse_group *group, int which)
{
    return graph->params[group->bn_param[which]].tensor.data;
}

/* CONTRACT.md, "folding a batch norm": torch.nn.utils.fusion, float32 throughout. */
static void fold(const qz_graph *graph, const qzi_node *head, const fuse_group *group)
{
    float *w = graph->params[head->param[QZI_P_WEIGHT]].tensor.data;
    float *b = graph->params[head->param[QZI_P_BIAS]].tensor.data;
    const float *gamma = group_data(graph, group, QZI_P_WEIGHT);
    const float *beta = group_data(graph, group, QZI_P_BIAS);
    const float *mean = group_data(graph, group, QZI_P_MEAN);
    const float *var = group_data(graph, group, QZI_P_VAR);
    const qzi_conv2d_attr *conv = &head->u.conv;
    const size_t per = (size_t)(conv->ic / conv->groups) * (size_t)conv->kh * (size_t)conv->kw;
    const qzi_fpenv env = qzi_fpenv_enter();
    for (size_t oc = 0; oc < (size_t)conv->oc; oc++) {
        const float r = qzi_rsqrtf(var[oc] + group->eps);
        const float scale = gamma[oc] * r;
        for (size_t i = 0; i < per; i++)
            w[oc * per + i] = w[oc * per + i] * scale;
        b[oc] = ((b[oc] - mean[oc]) * r) * gamma[oc] + beta[oc];
    }
    qzi_fpenv_leave(env);
}

/* ---- the pass ---- */

static bool folds_already(const qz_graph *graph, const fuse_plan *plan, const fuse_group *group)
{
    for (const fuse_group *g = plan->groups; g < group; g++)
        if (g->bn >= 0 && graph->nodes[g->head].param[QZI_P_WEIGHT] ==
                              graph->nodes[group->head].param[QZI_P_WEIGHT])
            return true;
    return false;
}

static void plan_free(fuse_plan *plan)
{
    for (size_t i = 0; plan->groups && i < plan->count; i++) {
        qzi_free(plan->ctx, plan->groups[i].fused);
        qzi_free(plan->ctx, plan->groups[i].alias[0]);
        qzi_free(plan->ctx, plan->groups[i].alias[1]);
    }
    qzi_free(plan->ctx, plan->groups);
    qzi_free(plan->ctx, plan->keep);
    qzi_free(plan->ctx, plan->redirect);
    qzi_free(plan->ctx, plan->drop);
    qzi_free(plan->ctx, plan->renumber);
}

static void plan_remove(const qz_graph *graph, fuse_plan *plan, qz_value node, qz_value head)
{
    plan->keep[node] = false;
    plan->redirect[node] = head;
    if (!is_op(graph, node, QZI_OP_BATCH_NORM2D))
        return;
    for (int which = 0; which < QZI_P_COUNT; which++)
        if (graph->nodes[node].param[which] >= 0)
            plan->drop[graph->nodes[node].param[which]] = true;
}

static qz_status plan_make(const qz_graph *graph, fuse_plan *plan)
{
    const size_t n = graph->node_count;
    qz_value *only = NULL;
    qz_status st = QZ_OK;
    plan->ctx = graph->ctx;
    plan->groups = qzi_calloc(graph->ctx, n, sizeof(*plan->groups));
    plan->keep = qzi_calloc(graph->ctx, n, sizeof(*plan->keep));
    plan->redirect = qzi_calloc(graph->ctx, n, sizeof(*plan->redirect));
    /* fusing adds biases to convolutions that have none: at most one for each node */
    plan->drop = qzi_calloc(graph->ctx, graph->param_count + n, sizeof(*plan->drop));
    plan->renumber = qzi_calloc(graph->ctx, graph->param_count + n, sizeof(*plan->renumber));
    if (!plan->groups || !plan->keep || !plan->redirect || !plan->drop || !plan->renumber)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        plan->keep[i] = true;
        plan->redirect[i] = QZ_NO_VALUE;
    }
    QZI_TRY(only_readers(graph, &only));
    for (size_t i = 0; i < n && st == QZ_OK; i++) {
        fuse_group *group = &plan->groups[plan->count];
        if (!plan->keep[i] || !find_group(graph, only, (qz_value)i, group))
            continue;
        plan->count++;
        if (group->bn >= 0) {
            plan_remove(graph, plan, group->bn, group->head);
            st = check_data(graph, group);
            group->again = folds_already(graph, plan, group);
        }
        if (group->act >= 0)
            plan_remove(graph, plan, group->act, group->head);
        if (st == QZ_OK)
            st = name_group(graph, group);
    }
    qzi_free(graph->ctx, only);
    return st;
}

/* Room for the marks under which merged nodes are found, so that adding them cannot fail. */
static qz_status reserve_marks(qz_graph *graph, size_t extra)
{
    const size_t want = graph->mark_count + extra;
    while (graph->mark_capacity < want)
        QZI_TRY(qzi_grow(graph->ctx, &graph->marks, &graph->mark_capacity, graph->mark_capacity,
                         sizeof(*graph->marks)));
    return QZ_OK;
}

/* A bias to fold into; without data where the weights have none either. */
static qz_status add_bias(qz_graph *graph, const fuse_group *group)
{
    if (group->bn < 0 || graph->nodes[group->head].param[QZI_P_BIAS] >= 0)
        return QZ_OK;
    QZI_TRY(qzi_node_add_bias(graph, group->head));
    if (!group->fold && !group->again) {
        qzi_param *bias = &graph->params[graph->nodes[group->head].param[QZI_P_BIAS]];
        qzi_free(graph->ctx, bias->tensor.data);
        bias->tensor.data = NULL;
    }
    return QZ_OK;
}

/* After the nodes are gone: nothing here fails. `head` is the node's index now. */
static void apply_group(qz_graph *graph, qz_value head, fuse_group *group)
{
    qzi_node *node = &graph->nodes[head];
    qzi_free(graph->ctx, node->fused);
    node->fused = group->fused;
    group->fused = NULL;
    node->act = group->function;
    if (group->fold && !group->again)
        fold(graph, node, group);
    for (size_t i = 0; i < QZI_ARRAY_LEN(group->alias); i++) {
        if (!group->alias[i])
            continue;
        graph->marks[graph->mark_count++] = (qzi_mark){.name = group->alias[i], .value = head};
        group->alias[i] = NULL;
    }
}

qz_status qzi_fuse(qz_graph *graph, bool is_qat)
{
    fuse_plan plan = {0};
    qz_status st;
    if (is_qat)
        return qzi_fail(graph->ctx, QZ_ERR_UNSUPPORTED,
                        "fusing for quantization-aware training is not built yet; fuse for "
                        "inference (is_qat false)");
    QZI_GOTO(st, plan_make(graph, &plan));
    QZI_GOTO(st, reserve_marks(graph, 2 * plan.count));
    for (size_t i = 0; i < plan.count; i++)
        QZI_GOTO(st, add_bias(graph, &plan.groups[i]));
    QZI_GOTO(st, qzi_graph_remove(graph, plan.keep, plan.redirect));

    size_t group = 0, index = 0; /* old node numbers are walked, kept ones count the new ones */
    for (qz_value old = 0; group < plan.count; old++) {
        if (plan.groups[group].head == old)
            apply_group(graph, (qz_value)index, &plan.groups[group++]);
        index += plan.keep[old];
    }
    qzi_graph_drop_params(graph, plan.drop, plan.renumber);
fail:
    plan_free(&plan);
    return st;
}

void qzi_replace_relu6(qz_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].act == QZ_ACT_RELU6)
            graph->nodes[i].act = QZ_ACT_RELU;
}

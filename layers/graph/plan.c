/* SPDX-License-Identifier: MIT */
/*
 * plan.c - the memory planner.
 *
 * Values that share storage form a group with one root: an alias (dropout, a slice of the channels)
 * is a part of its input, an element-wise op may write over its dying input, and a concat's inputs
 * are written by their producers straight into their slices. A group lives from its first
 * definition to its last reader; place.c says where groups are placed. test_plan has what the
 * orders of placement bring.
 */
#include "layers/graph/plan.h"
#include "layers/graph/place.h"

#include <string.h>

/* Orders of placement that are tried. */
#define MAX_ORDERS 32

/* Channels of the largest vector of bytes. */
#define NARROW 64

typedef struct planner_value {
    qz_value root;     /* resolved in finish_groups */
    qz_value parent;   /* whose storage the value uses; itself for a root */
    qz_value over;     /* the input that it overwrites; QZ_NO_VALUE */
    int64_t channel;   /* first channel inside the parent */
    size_t last;       /* last reader */
    size_t uses;       /* number of readers, the caller among them */
    size_t group_last; /* of a root: last reader of the group so far */
} planner_value;

typedef struct planner {
    const qz_graph *graph;
    qzi_plan *plan;
    planner_value *values;
    qzi_block *groups; /* of values; the root is the id */
    size_t group_count;
} planner;

void qzi_plan_destroy(qzi_plan *plan)
{
    if (!plan)
        return;
    qzi_free(plan->ctx, plan->inputs);
    qzi_free(plan->ctx, plan->shapes);
    qzi_free(plan->ctx, plan->values);
    qzi_free(plan->ctx, plan);
}

static void find_needed(planner *p)
{
    const qz_graph *g = p->graph;
    qzi_plan_value *values = p->plan->values;
    const qzi_shape *shapes = p->plan->shapes; /* n is 0 where an absent input is needed */
    for (size_t i = 0; i < g->output_count; i++)
        values[g->outputs[i].value].needed = shapes[g->outputs[i].value].n > 0;
    for (size_t i = g->node_count; i-- > 0;) {
        values[i].needed |= g->nodes[i].op == QZI_OP_INPUT && shapes[i].n > 0;
        for (size_t k = 0; k < qzi_node_data_count(&g->nodes[i]) && values[i].needed; k++)
            values[g->nodes[i].in[k]].needed = true;
    }
}

static void find_last_readers(planner *p)
{
    const qz_graph *g = p->graph;
    for (size_t i = 0; i < g->node_count; i++) {
        p->values[i].last = i;
        if (!p->plan->values[i].needed)
            continue;
        for (size_t k = 0; k < qzi_node_data_count(&g->nodes[i]); k++) {
            p->values[g->nodes[i].in[k]].last = i;
            p->values[g->nodes[i].in[k]].uses++;
        }
    }
    for (size_t i = 0; i < g->output_count; i++) {
        p->values[g->outputs[i].value].last = g->node_count;
        p->values[g->outputs[i].value].uses++;
    }
}

static qz_value root_of(const planner *p, qz_value v)
{
    while (p->values[v].parent != v)
        v = p->values[v].parent;
    return v;
}

static bool is_alias(const planner *p, size_t i)
{
    const qzi_node *node = &p->graph->nodes[i];
    if (!qzi_op_get(node->op)->alias)
        return false;
    const qzi_shape *x = &p->plan->shapes[node->in[0]];
    if (node->op == QZI_OP_SLICE) /* view rule of kernels.h */
        return node->u.slice.period == 0 && (node->dtype == QZ_F32 || node->u.slice.first % 4 == 0);
    return node->op != QZI_OP_FLATTEN || x->h * x->w == 1;
}

/*
 * Whether writing a value straight into a wider tensor costs more than copying it there: an
 * element-wise op that may follow a convolution runs over whole regions where pixels are dense, and
 * pixel by pixel where they are not, which is slow where a pixel is less than a vector.
 */
static bool is_narrow(const qzi_node *node)
{
    return node->dtype == QZ_U8 && node->c < NARROW && qzi_op_get(node->op)->apply &&
           qzi_op_get(node->op)->in_place;
}

/* Lets the producers of a concat's inputs write into their slices, where nothing forbids it. */
static void place_concat(planner *p, size_t i)
{
    const qzi_node *node = &p->graph->nodes[i];
    int64_t channel = 0;
    for (size_t k = 0; k < node->in_count; k++) {
        qz_value v = node->in[k];
        const qzi_node *x = &p->graph->nodes[v];
        bool same = x->dtype == QZ_F32 || (qzi_same_q(x, node, (int32_t)channel) &&
                                           channel % 4 == 0 && /* view rule of kernels.h */
                                           (x->c % 4 == 0 || k + 1 == node->in_count));
        if (same && p->values[v].parent == v && !is_alias(p, (size_t)v) && !is_narrow(x) &&
            p->plan->values[v].placed_in == QZ_NO_VALUE) {
            p->values[v].parent = (qz_value)i;
            p->values[v].channel = channel;
            p->plan->values[v].placed_in = (qz_value)i;
            p->plan->values[v].placed_at = (int32_t)k;
        }
        channel += x->c;
    }
}

static bool share_with(planner *p, size_t i, qz_value v)
{
    const qzi_node *node = &p->graph->nodes[i];
    const qz_value root = root_of(p, v);
    const qzi_shape *x = &p->plan->shapes[v], *y = &p->plan->shapes[i];
    if (p->graph->nodes[v].dtype != node->dtype || p->values[root].group_last > i)
        return false;
    if (x->h != y->h || x->w != y->w || x->c != y->c) /* the factor of a broadcast product */
        return false;
    for (size_t k = 0; k < node->in_count; k++) { /* slices of one tensor may overlap */
        if (node->in[k] != v && root_of(p, node->in[k]) == root)
            return false;
    }
    /* a slice of a wider tensor is not ours to keep */
    for (qz_value u = v; u != root; u = p->values[u].parent) {
        if (p->plan->values[u].placed_in != QZ_NO_VALUE)
            return false;
    }
    p->values[i].parent = p->values[i].over = v;
    return true;
}

/*
 * Node i writes into a concat: so may the convolution that it follows, with all between them, and
 * node i overwrites that in place. Only where the convolution's storage is its own, is as large,
 * and is read by nobody later.
 */
static bool draw_in(planner *p, size_t i, qz_value v)
{
    const qzi_node *node = &p->graph->nodes[i];
    const qz_value root = root_of(p, v);
    const qzi_node *from = &p->graph->nodes[root];
    const qzi_shape *x = &p->plan->shapes[root], *y = &p->plan->shapes[i];
    if ((from->op != QZI_OP_CONV2D && from->op != QZI_OP_LINEAR) || from->dtype != node->dtype ||
        p->graph->nodes[v].dtype != node->dtype || p->values[root].group_last > i)
        return false;
    if (x->h != y->h || x->w != y->w || x->c != y->c || p->graph->nodes[v].c != node->c)
        return false;
    for (size_t k = 0; k < node->in_count; k++)
        if (node->in[k] != v && root_of(p, node->in[k]) == root)
            return false;
    p->values[root].parent = (qz_value)i;
    p->values[i].over = v;
    return true;
}

static void share_in_place(planner *p, size_t i)
{
    const qzi_node *node = &p->graph->nodes[i];
    const bool placed = p->plan->values[i].placed_in != QZ_NO_VALUE;
    /* a residual, each byte of which a kernel reads before it writes the place */
    if ((node->op == QZI_OP_CONV2D || node->op == QZI_OP_LINEAR) && node->in_count > 1 &&
        p->values[i].parent == (qz_value)i && root_of(p, node->in[0]) != root_of(p, node->in[1]))
        share_with(p, i, node->in[1]);
    if (!qzi_op_get(node->op)->in_place || (p->values[i].parent != (qz_value)i && !placed))
        return;
    bool (*const share)(planner *, size_t, qz_value) = placed ? draw_in : share_with;
    qz_value first = node->in[0], second = QZ_NO_VALUE;
    if (node->op == QZI_OP_ADD) { /* over what was computed last, so that it may follow that */
        first = QZI_MAX(node->in[0], node->in[1]);
        second = QZI_MIN(node->in[0], node->in[1]);
    }
    if (!share(p, i, first) && second != QZ_NO_VALUE)
        share(p, i, second);
}

/* When a value is final: after which node's run. */
static qz_value made_by(const planner *p, qz_value v)
{
    while (p->plan->values[v].aliased)
        v = p->graph->nodes[v].in[0];
    return p->plan->values[v].head != QZ_NO_VALUE ? p->plan->values[v].head : v;
}

/* Whether node i may follow a convolution, and which. */
static void find_head(planner *p, size_t i)
{
    const qz_graph *g = p->graph;
    const qzi_node *node = &g->nodes[i];
    qzi_plan *plan = p->plan;
    qz_value v = p->values[i].over;
    if (!qzi_op_get(node->op)->apply || plan->values[i].aliased || v == QZ_NO_VALUE)
        return;
    while (plan->values[v].aliased && g->nodes[v].op != QZI_OP_SLICE && p->values[v].uses == 1)
        v = g->nodes[v].in[0];
    const qzi_node *x = &g->nodes[v];
    const qz_value head = made_by(p, v);
    const qzi_op op = g->nodes[head].op;
    if (plan->values[v].aliased || p->values[v].uses != 1 || x->c != node->c ||
        (op != QZI_OP_CONV2D && op != QZI_OP_LINEAR))
        return;
    for (size_t k = 0; k < node->in_count; k++) {
        if (node->in[k] != p->values[i].over && made_by(p, node->in[k]) >= head)
            return;
    }
    qz_value last = head;
    int32_t count = 1;
    for (; plan->values[last].follower != QZ_NO_VALUE; last = plan->values[last].follower)
        count++;
    if (count > QZI_MAX_FOLLOWERS || last != v)
        return;
    plan->values[last].follower = (qz_value)i;
    plan->values[i].head = head;
}

static void form_groups(planner *p)
{
    const qz_graph *g = p->graph;
    for (size_t i = 0; i < g->node_count; i++) {
        p->values[i].parent = (qz_value)i;
        p->values[i].over = QZ_NO_VALUE;
    }
    for (size_t i = 0; i < g->node_count; i++) {
        if (is_alias(p, i)) {
            p->values[i].parent = g->nodes[i].in[0];
            if (g->nodes[i].op == QZI_OP_SLICE)
                p->values[i].channel = g->nodes[i].u.slice.first;
            p->plan->values[i].aliased = true;
        } else if (g->nodes[i].op == QZI_OP_CONCAT && p->plan->values[i].needed) {
            place_concat(p, i);
        }
    }
    for (size_t i = 0; i < g->node_count; i++)
        p->values[i].group_last = 0;
    for (size_t i = 0; i < g->node_count; i++) {
        if (!p->plan->values[i].needed)
            continue;
        share_in_place(p, i);
        size_t *last = &p->values[root_of(p, (qz_value)i)].group_last;
        *last = QZI_MAX(*last, p->values[i].last);
    }
    for (size_t i = 0; i < g->node_count; i++)
        if (p->plan->values[i].needed)
            find_head(p, i);
}

static qz_status finish_groups(planner *p)
{
    const qz_graph *g = p->graph;
    qzi_plan *plan = p->plan;
    for (size_t i = 0; i < g->node_count; i++) {
        const qzi_shape *s = &plan->shapes[i];
        qz_value root = root_of(p, (qz_value)i);
        p->values[i].root = root;
        plan->values[i].stride = qzi_pixel_stride(g->nodes[root].dtype, g->nodes[root].c);
        if (root != (qz_value)i || !plan->values[i].needed)
            continue;
        size_t bytes;
        if (!qzi_mul_size((size_t)s->n * (size_t)s->h * (size_t)s->w,
                          (size_t)plan->values[i].stride * qz_dtype_size(g->nodes[i].dtype),
                          &bytes) ||
            bytes > SIZE_MAX / 4)
            return qzi_fail(g->ctx, QZ_ERR_ARGUMENT, "%s: its output does not fit in memory",
                            g->nodes[i].name);
        p->groups[p->group_count++] = (qzi_block){
            .id = root,
            .bytes = QZI_ROUND_UP(bytes, (size_t)QZI_ALIGN),
            .first = i,
            .last = i,
        };
    }
    for (size_t i = 0; i < g->node_count; i++) {
        for (size_t k = 0; k < p->group_count && plan->values[i].needed; k++) {
            if (p->groups[k].id != p->values[i].root)
                continue;
            p->groups[k].first = QZI_MIN(p->groups[k].first, i);
            p->groups[k].last = QZI_MAX(p->groups[k].last, p->values[i].last);
            break;
        }
    }
    QZI_TRY(qzi_place(g->ctx, p->groups, p->group_count, g->node_count, MAX_ORDERS,
                      &plan->arena_bytes, &plan->liveness_bytes));
    for (size_t k = 0; k < p->group_count; k++)
        plan->values[p->groups[k].id].offset = p->groups[k].offset;
    for (size_t i = 0; i < g->node_count; i++) {
        int64_t channel = 0;
        for (qz_value v = (qz_value)i; p->values[v].parent != v; v = p->values[v].parent)
            channel += p->values[v].channel;
        plan->values[i].offset = plan->values[p->values[i].root].offset +
                                 (size_t)channel * qz_dtype_size(g->nodes[i].dtype);
    }
    return QZ_OK;
}

static qz_status make(planner *p, const qzi_shape *inputs)
{
    const qz_graph *graph = p->graph;
    qzi_plan *plan = p->plan;
    const size_t n = graph->node_count;
    plan->input_count = graph->input_count;
    plan->inputs = qzi_calloc(graph->ctx, graph->input_count, sizeof(*plan->inputs));
    plan->shapes = qzi_calloc(graph->ctx, n, sizeof(*plan->shapes));
    plan->values = qzi_calloc(graph->ctx, n, sizeof(*plan->values));
    p->values = qzi_calloc(graph->ctx, n, sizeof(*p->values));
    p->groups = qzi_calloc(graph->ctx, n, sizeof(*p->groups));
    if (!plan->inputs || !plan->shapes || !plan->values || !p->values || !p->groups)
        return QZ_ERR_MEMORY;
    memcpy(plan->inputs, inputs, graph->input_count * sizeof(*inputs));
    for (size_t i = 0; i < n; i++)
        plan->values[i] = (qzi_plan_value){.placed_in = QZ_NO_VALUE,
                                           .placed_at = -1,
                                           .head = QZ_NO_VALUE,
                                           .follower = QZ_NO_VALUE};
    QZI_TRY(qzi_graph_shapes(graph, inputs, plan->shapes));
    find_needed(p);
    find_last_readers(p);
    form_groups(p);
    return finish_groups(p);
}

qz_status qzi_plan_create(const qz_graph *graph, const qzi_shape *inputs, qzi_plan **out)
{
    planner p = {.graph = graph, .plan = qzi_calloc(graph->ctx, 1, sizeof(*p.plan))};
    if (!p.plan)
        return QZ_ERR_MEMORY;
    p.plan->ctx = graph->ctx;
    qz_status st = make(&p, inputs);
    qzi_free(graph->ctx, p.values);
    qzi_free(graph->ctx, p.groups);
    if (st != QZ_OK) {
        qzi_plan_destroy(p.plan);
        return st;
    }
    *out = p.plan;
    return QZ_OK;
}

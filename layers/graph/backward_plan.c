/* SPDX-License-Identifier: MIT */
/* backward_plan.c - see backward_plan.h. */
#include "layers/graph/backward_plan.h"
#include "layers/graph/place.h"

#include <string.h>

/* Orders of placement that are tried. */
#define MAX_ORDERS 2

#define NO_BLOCK SIZE_MAX

typedef struct planner {
    const qzi_step_request *rq;
    const qz_graph *graph;
    qzi_step_plan *plan;
    size_t *last;      /* of each value: the last time that it is read; of a root, of all with it */
    qzi_block *blocks; /* ids are their first indexes */
    size_t block_count, block_capacity;
    size_t *value_block, *kept_block, *hook_block, *gradient_block; /* by node */
    size_t *edge_block;
} planner;

void qzi_step_plan_destroy(qzi_step_plan *plan)
{
    if (!plan)
        return;
    qzi_free(plan->ctx, plan->inputs);
    qzi_free(plan->ctx, plan->shapes);
    qzi_free(plan->ctx, plan->values);
    qzi_free(plan->ctx, plan->edges);
    qzi_free(plan->ctx, plan);
}

bool qzi_step_trains(const qz_graph *graph, const bool *frozen, const qzi_node *node, int which)
{
    const int32_t p = node->param[which];
    return (which == QZI_P_WEIGHT || which == QZI_P_BIAS) && p >= 0 && graph->params[p].trainable &&
           !(frozen && frozen[p]);
}

static size_t backward_time(const planner *p, size_t node)
{
    return 2 * p->graph->node_count - node;
}

static size_t bytes_of(const qzi_shape *s)
{
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c * sizeof(float);
}

static qz_status add_block(planner *p, size_t bytes, size_t first, size_t last, size_t *index)
{
    QZI_TRY(qzi_grow(p->graph->ctx, &p->blocks, &p->block_capacity, p->block_count,
                     sizeof(*p->blocks)));
    *index = p->block_count;
    p->blocks[p->block_count] = (qzi_block){.id = (int64_t)p->block_count,
                                            .bytes = QZI_ROUND_UP(bytes, (size_t)QZI_ALIGN),
                                            .first = first,
                                            .last = last};
    p->block_count++;
    return QZ_OK;
}

/* ---- which nodes run ---- */

static void find_needed(planner *p)
{
    const qz_graph *g = p->graph;
    qzi_step_value *values = p->plan->values;
    const qzi_shape *shapes = p->plan->shapes;
    for (size_t i = 0; i < g->output_count; i++)
        values[g->outputs[i].value].needed = shapes[g->outputs[i].value].n > 0;
    for (size_t i = g->node_count; i-- > 0;) {
        values[i].needed |= g->nodes[i].op == QZI_OP_INPUT && shapes[i].n > 0;
        for (size_t k = 0; k < qzi_node_data_count(&g->nodes[i]) && values[i].needed; k++)
            values[g->nodes[i].in[k]].needed = true;
    }
}

static bool is_dropped(const planner *p, const qzi_node *node)
{
    const qzi_grad_class *grad = qzi_grad_get(node->op);
    return grad->acts && grad->acts(node, p->rq->mode);
}

static bool is_alias(const planner *p, size_t i)
{
    const qzi_node *node = &p->graph->nodes[i];
    if (!qzi_op_get(node->op)->alias || is_dropped(p, node))
        return false;
    const qzi_shape *x = &p->plan->shapes[node->in[0]];
    if (node->op == QZI_OP_SLICE)
        return node->u.slice.period == 0;
    return node->op != QZI_OP_FLATTEN || x->h * x->w == 1;
}

static void find_active(planner *p)
{
    const qz_graph *g = p->graph;
    qzi_step_value *values = p->plan->values;
    for (size_t i = 0; i < g->node_count; i++) {
        const qzi_node *node = &g->nodes[i];
        if (!values[i].needed)
            continue;
        values[i].active = node->op == QZI_OP_INPUT && p->rq->input_gradients;
        for (int which = 0; which < QZI_P_COUNT; which++)
            values[i].active |= qzi_step_trains(g, p->rq->frozen, node, which);
        for (size_t k = 0; k < qzi_node_data_count(node); k++)
            values[i].active |= values[node->in[k]].active;
    }
    /* of the active ones, those whose value reaches an output through active nodes */
    for (size_t i = 0; i < g->output_count; i++) {
        const qz_value v = g->outputs[i].value;
        values[v].wanted = values[v].active;
    }
    for (size_t i = g->node_count; i-- > 0;) {
        if (!values[i].wanted || !qzi_grad_get(g->nodes[i].op)->backward)
            continue;
        for (size_t k = 0; k < qzi_node_data_count(&g->nodes[i]); k++)
            values[g->nodes[i].in[k]].wanted |= values[g->nodes[i].in[k]].active;
    }
}

/* ---- values ---- */

static bool is_clamped(const qzi_node *node)
{
    return node->op != QZI_OP_ACTIVATION && node->act != QZ_ACT_NONE;
}

static void read_at(planner *p, qz_value v, size_t time)
{
    p->last[v] = QZI_MAX(p->last[v], time);
}

static void find_last_reads(planner *p)
{
    const qz_graph *g = p->graph;
    const qzi_step_value *values = p->plan->values;
    for (size_t i = 0; i < g->node_count; i++) {
        const qzi_node *node = &g->nodes[i];
        const qzi_grad_class *grad = qzi_grad_get(node->op);
        p->last[i] = i;
        if (!values[i].needed)
            continue;
        for (size_t k = 0; k < qzi_node_data_count(node); k++)
            read_at(p, node->in[k], i);
        if (!values[i].wanted || !grad->backward)
            continue;
        unsigned needs = grad->needs ? grad->needs(node, p->rq->mode) : 0;
        const bool cut = values[i].hooks & QZI_HOOK_VALUE && qzi_act_is_clamp(node->act);
        if (values[i].hooks & QZI_HOOK_READS_Y)
            needs |= QZI_NEEDS_Y;
        else if (cut)
            needs &= ~QZI_NEEDS_Y; /* the hook undoes the clamp */
        for (size_t k = 0; k < QZI_MIN(node->in_count, (size_t)2); k++)
            if (needs & QZI_NEEDS_X(k))
                read_at(p, node->in[k], backward_time(p, i));
        if (needs & QZI_NEEDS_Y || (is_clamped(node) && !cut))
            read_at(p, (qz_value)i, backward_time(p, i));
    }
    for (size_t i = 0; i < g->output_count; i++)
        read_at(p, g->outputs[i].value, g->node_count);
}

static bool same_size(const qzi_shape *a, const qzi_shape *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
}

/* Whether node i may overwrite input v: it is the whole of its storage, and read for the last
 * time. */
static bool may_overwrite(const planner *p, size_t i, qz_value v)
{
    const qzi_node *node = &p->graph->nodes[i];
    const qzi_step_value *values = p->plan->values;
    const qz_value root = values[v].root;
    if (p->last[root] > i || !same_size(&p->plan->shapes[root], &p->plan->shapes[i]))
        return false;
    for (size_t k = 0; k < node->in_count; k++)
        if (node->in[k] != v && values[node->in[k]].root == root)
            return false;
    return true;
}

static void share_storage(planner *p)
{
    const qz_graph *g = p->graph;
    qzi_step_value *values = p->plan->values;
    for (size_t i = 0; i < g->node_count; i++) {
        values[i].root = (qz_value)i;
        values[i].aliased = values[i].needed && is_alias(p, i);
        if (values[i].aliased) {
            values[i].root = values[g->nodes[i].in[0]].root;
            read_at(p, values[i].root, p->last[i]);
        }
    }
    for (size_t i = 0; i < g->node_count; i++) {
        const qzi_node *node = &g->nodes[i];
        if (!values[i].needed)
            continue;
        if (values[i].aliased) { /* its input may have moved into another's storage */
            values[i].root = values[node->in[0]].root;
            continue;
        }
        const size_t tries = node->op == QZI_OP_ADD ? 2 : 1;
        for (size_t k = 0; k < tries && qzi_op_get(node->op)->in_place; k++) {
            const qz_value root = values[node->in[k]].root;
            if (!may_overwrite(p, i, node->in[k]))
                continue;
            values[i].root = root;
            read_at(p, root, p->last[i]);
            break;
        }
    }
}

static qz_status plan_values(planner *p)
{
    const qz_graph *g = p->graph;
    qzi_step_value *values = p->plan->values;
    for (size_t i = 0; i < g->node_count; i++) {
        if (!values[i].needed)
            continue;
        const qzi_node *node = &g->nodes[i];
        if (values[i].root == (qz_value)i)
            QZI_TRY(add_block(p, bytes_of(&p->plan->shapes[i]), i, p->last[i], &p->value_block[i]));
        values[i].stride = g->nodes[values[i].root].c;
        values[i].offset = 0; /* in its storage, until that is placed */
        if (values[i].aliased)
            values[i].offset =
                values[node->in[0]].offset +
                (node->op == QZI_OP_SLICE ? (size_t)node->u.slice.first * sizeof(float) : 0);
    }
    return QZ_OK;
}

/* ---- gradients ---- */

static qz_status plan_edge(planner *p, size_t i, size_t k)
{
    const qzi_node *node = &p->graph->nodes[i];
    const qz_value v = node->in[k];
    const size_t e = p->plan->values[i].edge + k, now = backward_time(p, i);
    /* an image's gradient is the caller's to read */
    const size_t until =
        p->graph->nodes[v].op == QZI_OP_INPUT ? backward_time(p, 0) : backward_time(p, (size_t)v);
    const qzi_grad_class *grad = qzi_grad_get(node->op);
    qzi_step_edge *edge = &p->plan->edges[e];
    if (!p->plan->values[v].wanted || k >= qzi_node_data_count(node))
        return QZ_OK;
    if (p->gradient_block[v] != NO_BLOCK) {
        edge->add = grad->adds;
        edge->through = !grad->adds;
        if (edge->add) {
            p->edge_block[e] = p->gradient_block[v];
            return QZ_OK;
        }
        return add_block(p, bytes_of(&p->plan->shapes[v]), now, now, &p->edge_block[e]);
    }
    if (k == 0 && grad->in_place && same_size(&p->plan->shapes[v], &p->plan->shapes[i])) {
        /* dy is read here for the last time */
        p->gradient_block[v] = p->gradient_block[i];
        p->blocks[p->gradient_block[i]].last = until;
    } else {
        QZI_TRY(add_block(p, bytes_of(&p->plan->shapes[v]), now, until, &p->gradient_block[v]));
    }
    p->edge_block[e] = p->gradient_block[v];
    return QZ_OK;
}

static qz_status plan_gradients(planner *p)
{
    const qz_graph *g = p->graph;
    qzi_step_value *values = p->plan->values;
    for (size_t i = 0; i < g->output_count; i++) {
        const qz_value v = g->outputs[i].value;
        if (values[v].wanted && p->gradient_block[v] == NO_BLOCK)
            QZI_TRY(add_block(p, bytes_of(&p->plan->shapes[v]), g->node_count,
                              backward_time(p, (size_t)v), &p->gradient_block[v]));
    }
    for (size_t i = g->node_count; i-- > 0;) {
        if (!values[i].wanted || !qzi_grad_get(g->nodes[i].op)->backward)
            continue;
        /* the first input last: the others read dy, which the first may overwrite */
        for (size_t k = g->nodes[i].in_count; k-- > 0;)
            QZI_TRY(plan_edge(p, i, k));
    }
    return QZ_OK;
}

/* ---- bytes of the ops ---- */

static qzk_view shape_view(const qzi_shape *s)
{
    return (qzk_view){NULL, s->n, s->h, s->w, s->c, s->c};
}

static qz_status plan_node(planner *p, size_t i, const qzk_kernels *kernels)
{
    const qz_graph *g = p->graph;
    const qzi_node *node = &g->nodes[i];
    const qzi_grad_class *grad = qzi_grad_get(node->op);
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzk_view x[QZI_MAX_INPUTS];
    qzi_step_plan *plan = p->plan;
    qzi_grad_run r = {
        .ctx = g->ctx,
        .kernels = kernels,
        .mode = p->rq->mode,
        .node = node,
        .number = (qz_value)i,
        .inputs = inputs,
        .x = x,
        .y = shape_view(&plan->shapes[i]),
        .dy = shape_view(&plan->shapes[i]),
        .threads = p->rq->threads,
    };
    for (size_t k = 0; k < node->in_count; k++) {
        inputs[k] = &g->nodes[node->in[k]];
        x[k] = shape_view(&plan->shapes[node->in[k]]);
    }
    if (grad->check)
        QZI_TRY(grad->check(&r));
    if (plan->values[i].hooks & QZI_HOOK_VALUE) {
        if (plan->values[i].aliased)
            return qzi_fail(g->ctx, QZ_ERR_UNSUPPORTED,
                            "%s: its value is another's and cannot be fake quantized alone",
                            node->name);
        QZI_TRY(add_block(p, p->rq->hooks->kept(p->rq->hooks->user, (qz_value)i, &plan->shapes[i]),
                          i, backward_time(p, i), &p->hook_block[i]));
    }
    if (plan->values[i].wanted && !grad->backward && node->op != QZI_OP_INPUT)
        return qzi_fail(g->ctx, QZ_ERR_UNSUPPORTED, "%s: %s has no backward", node->name,
                        qzi_op_name(node->op));
    if (grad->scratch)
        plan->scratch_bytes = QZI_MAX(plan->scratch_bytes, grad->scratch(&r));
    if (grad->kept && grad->kept(&r) > 0)
        QZI_TRY(add_block(p, grad->kept(&r), i, backward_time(p, i), &p->kept_block[i]));
    return QZ_OK;
}

static qz_status plan_nodes(planner *p)
{
    qzk_kernels kernels;
    qzk_init(&kernels, p->rq->isa);
    for (size_t i = 0; i < p->graph->node_count; i++)
        if (p->plan->values[i].needed)
            QZI_TRY(plan_node(p, i, &kernels));
    return QZ_OK;
}

/* ---- all of it ---- */

/* Placing sorts the blocks: by_id[i] is where block i is now. */
static void read_places(planner *p, size_t *by_id)
{
    const qz_graph *g = p->graph;
    qzi_step_plan *plan = p->plan;
    for (size_t b = 0; b < p->block_count; b++)
        by_id[p->blocks[b].id] = p->blocks[b].offset;
    for (size_t i = 0; i < g->node_count; i++) {
        qzi_step_value *v = &plan->values[i];
        if (!v->needed)
            continue;
        v->offset += by_id[p->value_block[v->root]];
        v->kept = p->kept_block[i] == NO_BLOCK ? QZI_NOWHERE : by_id[p->kept_block[i]];
        v->hook_kept = p->hook_block[i] == NO_BLOCK ? QZI_NOWHERE : by_id[p->hook_block[i]];
        v->gradient = p->gradient_block[i] == NO_BLOCK ? QZI_NOWHERE : by_id[p->gradient_block[i]];
        for (size_t k = 0; k < g->nodes[i].in_count; k++) {
            const size_t block = p->edge_block[v->edge + k];
            plan->edges[v->edge + k].at = block == NO_BLOCK ? QZI_NOWHERE : by_id[block];
        }
    }
}

static qz_status finish(planner *p)
{
    const size_t n = p->graph->node_count;
    for (size_t b = 0; b < p->block_count; b++)
        if (p->blocks[b].first < n && p->blocks[b].last > n)
            p->plan->kept_bytes += p->blocks[b].bytes;
    QZI_TRY(qzi_place(p->graph->ctx, p->blocks, p->block_count, 2 * n + 1, MAX_ORDERS,
                      &p->plan->arena_bytes, &p->plan->liveness_bytes));
    size_t *by_id = qzi_calloc(p->graph->ctx, p->block_count, sizeof(*by_id));
    if (!by_id)
        return QZ_ERR_MEMORY;
    read_places(p, by_id);
    qzi_free(p->graph->ctx, by_id);
    return QZ_OK;
}

static qz_status check_sizes(const planner *p)
{
    size_t total = 0;
    for (size_t i = 0; i < p->graph->node_count; i++) {
        const qzi_shape *s = &p->plan->shapes[i];
        size_t bytes = 0;
        if (!qzi_mul_size((size_t)s->n * (size_t)s->h, (size_t)s->w * (size_t)s->c, &bytes) ||
            !qzi_mul_size(bytes, 4 * sizeof(float), &bytes) || !qzi_add_size(total, bytes, &total))
            return qzi_fail(p->graph->ctx, QZ_ERR_ARGUMENT, "%s: its output does not fit in memory",
                            p->graph->nodes[i].name);
    }
    return QZ_OK;
}

static qz_status make(planner *p)
{
    const qz_graph *g = p->graph;
    const qz_context *ctx = g->ctx;
    const size_t n = g->node_count;
    qzi_step_plan *plan = p->plan;
    plan->node_count = n;
    plan->input_count = g->input_count;
    for (size_t i = 0; i < n; i++)
        plan->edge_count += g->nodes[i].in_count;
    plan->inputs = qzi_calloc(ctx, g->input_count, sizeof(*plan->inputs));
    plan->shapes = qzi_calloc(ctx, n, sizeof(*plan->shapes));
    plan->values = qzi_calloc(ctx, n, sizeof(*plan->values));
    plan->edges = qzi_calloc(ctx, plan->edge_count, sizeof(*plan->edges));
    p->last = qzi_calloc(ctx, n, sizeof(*p->last));
    p->value_block = qzi_alloc(ctx, n * sizeof(size_t));
    p->kept_block = qzi_alloc(ctx, n * sizeof(size_t));
    p->hook_block = qzi_alloc(ctx, n * sizeof(size_t));
    p->gradient_block = qzi_alloc(ctx, n * sizeof(size_t));
    p->edge_block = qzi_alloc(ctx, plan->edge_count * sizeof(size_t));
    if (!plan->inputs || !plan->shapes || !plan->values || !plan->edges || !p->last ||
        !p->value_block || !p->kept_block || !p->hook_block || !p->gradient_block || !p->edge_block)
        return QZ_ERR_MEMORY;
    memcpy(plan->inputs, p->rq->inputs, g->input_count * sizeof(*plan->inputs));
    memset(p->value_block, 0xff, n * sizeof(size_t));
    memset(p->kept_block, 0xff, n * sizeof(size_t));
    memset(p->hook_block, 0xff, n * sizeof(size_t));
    memset(p->gradient_block, 0xff, n * sizeof(size_t));
    memset(p->edge_block, 0xff, plan->edge_count * sizeof(size_t));
    for (size_t i = 0, edge = 0; i < n; edge += g->nodes[i].in_count, i++)
        plan->values[i].edge = edge;
    for (size_t i = 0; i < n && p->rq->hooks; i++)
        plan->values[i].hooks = p->rq->hooks->kinds(p->rq->hooks->user, (qz_value)i);
    QZI_TRY(qzi_graph_shapes(g, p->rq->inputs, plan->shapes));
    QZI_TRY(check_sizes(p));
    find_needed(p);
    find_active(p);
    find_last_reads(p);
    share_storage(p);
    QZI_TRY(plan_values(p));
    QZI_TRY(plan_nodes(p));
    QZI_TRY(plan_gradients(p));
    return finish(p);
}

qz_status qzi_step_plan_create(const qzi_step_request *request, qzi_step_plan **out)
{
    const qz_context *ctx = request->graph->ctx;
    planner p = {
        .rq = request, .graph = request->graph, .plan = qzi_calloc(ctx, 1, sizeof(*p.plan))};
    if (!p.plan)
        return QZ_ERR_MEMORY;
    p.plan->ctx = ctx;
    const qz_status st = make(&p);
    qzi_free(ctx, p.last);
    qzi_free(ctx, p.blocks);
    qzi_free(ctx, p.value_block);
    qzi_free(ctx, p.kept_block);
    qzi_free(ctx, p.hook_block);
    qzi_free(ctx, p.gradient_block);
    qzi_free(ctx, p.edge_block);
    if (st != QZ_OK) {
        qzi_step_plan_destroy(p.plan);
        return st;
    }
    *out = p.plan;
    return QZ_OK;
}

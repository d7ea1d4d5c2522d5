/* SPDX-License-Identifier: MIT */
/* backward.c - see backward.h. */
#include "layers/graph/backward.h"
#include "layers/graph/backward_plan.h"
#include "layers/graph/exec.h"

#include <math.h>
#include <string.h>

#define MAX_INPUTS 8

struct qzi_backward {
    const qz_context *ctx;
    qz_graph *graph;
    qzi_packed *packed;
    qzk_grad_kernels grad;
    qz_isa isa;
    uint32_t threads;
    bool *frozen; /* by parameter */
    bool input_gradients;
    qzi_step_hooks hooks;
    bool hooked;
    const float **weights; /* by node: a hook's, of this step; NULL: the parameter's */
    float **gradients;     /* by parameter; NULL: none */
    size_t gradient_bytes;
    qzi_step_plan *plan;
    qzi_train_mode mode, planned; /* of the last forward; of the plan */
    char *arena, *scratch;
    size_t arena_bytes, scratch_bytes;
    bool ran;        /* forward: its values are there */
    double *seconds; /* forward by node, then backward; NULL: no profile */
};

void qzi_backward_destroy(qzi_backward *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->graph->param_count && b->gradients; i++)
        qzi_free(b->ctx, b->gradients[i]);
    qzi_step_plan_destroy(b->plan);
    qzi_packed_destroy(b->packed);
    qzi_free(b->ctx, b->gradients);
    qzi_free(b->ctx, b->frozen);
    qzi_free(b->ctx, b->weights);
    qzi_free(b->ctx, b->arena);
    qzi_free(b->ctx, b->scratch);
    qzi_free(b->ctx, b->seconds);
    qzi_free(b->ctx, b);
}

static qz_status make_gradients(qzi_backward *b)
{
    const qz_graph *g = b->graph;
    for (size_t i = 0; i < g->node_count; i++) {
        for (int which = 0; which < QZI_P_COUNT; which++) {
            const int32_t p = g->nodes[i].param[which];
            if (!qzi_step_trains(g, b->frozen, &g->nodes[i], which) || b->gradients[p])
                continue;
            const size_t count = (size_t)qz_tensor_numel(&g->params[p].tensor);
            b->gradients[p] = qzi_calloc(b->ctx, count, sizeof(float));
            if (!b->gradients[p])
                return QZ_ERR_MEMORY;
            b->gradient_bytes += count * sizeof(float);
        }
    }
    return QZ_OK;
}

static qz_status check_graph(const qz_graph *g)
{
    for (size_t i = 0; i < g->node_count; i++) {
        const qzi_node *node = &g->nodes[i];
        if (node->dtype != QZ_F32)
            return qzi_fail(g->ctx, QZ_ERR_STATE, "%s: int8 values are not trained", node->name);
        for (int which = 0; which < QZI_P_COUNT; which++)
            if (node->param[which] >= 0 && !g->params[node->param[which]].tensor.data &&
                which != QZI_P_BATCHES)
                return qzi_fail(g->ctx, QZ_ERR_STATE, "%s: has no weights yet; load them first",
                                node->name);
    }
    return QZ_OK;
}

qz_status qzi_backward_create(qz_graph *graph, const qzi_backward_options *options,
                              qzi_backward **out)
{
    const qz_context *ctx = graph->ctx;
    qz_status st;
    QZI_TRY(check_graph(graph));
    qzi_backward *b = qzi_calloc(ctx, 1, sizeof(*b));
    if (!b)
        return QZ_ERR_MEMORY;
    const uint32_t granted = qz_context_threads(ctx);
    b->ctx = ctx;
    b->graph = graph;
    b->isa = options->isa == QZ_ISA_AUTO ? qz_context_isa(ctx) : options->isa;
    b->threads = options->threads ? QZI_MIN(options->threads, granted) : granted;
    b->input_gradients = options->input_gradients;
    qzk_grad_init(&b->grad, b->isa);
    b->gradients = qzi_calloc(ctx, QZI_MAX(graph->param_count, (size_t)1), sizeof(*b->gradients));
    b->frozen = qzi_calloc(ctx, QZI_MAX(graph->param_count, (size_t)1), sizeof(*b->frozen));
    b->weights = qzi_calloc(ctx, graph->node_count, sizeof(*b->weights));
    st = b->gradients && b->frozen && b->weights ? QZ_OK : QZ_ERR_MEMORY;
    b->hooked = options->hooks != NULL;
    if (b->hooked)
        b->hooks = *options->hooks;
    if (st == QZ_OK && options->frozen)
        memcpy(b->frozen, options->frozen, graph->param_count * sizeof(*b->frozen));
    if (st == QZ_OK)
        st = make_gradients(b);
    if (st != QZ_OK) {
        qzi_backward_destroy(b);
        return st;
    }
    *out = b;
    return QZ_OK;
}

/* ---- views ---- */

static qzk_view view_of(const qzi_backward *b, qz_value v)
{
    const qzi_shape *s = &b->plan->shapes[v];
    const qzi_step_value *value = &b->plan->values[v];
    return (qzk_view){.data = value->needed ? b->arena + value->offset : NULL,
                      .n = s->n,
                      .h = s->h,
                      .w = s->w,
                      .c = s->c,
                      .pixel_stride = value->stride};
}

static qzk_view gradient_at(const qzi_backward *b, qz_value v, size_t at)
{
    const qzi_shape *s = &b->plan->shapes[v];
    return (qzk_view){.data = at == QZI_NOWHERE ? NULL : b->arena + at,
                      .n = s->n,
                      .h = s->h,
                      .w = s->w,
                      .c = s->c,
                      .pixel_stride = s->c};
}

/* ---- forward ---- */

typedef struct op_run {
    qzi_op_run r;
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzk_view in[QZI_MAX_INPUTS];
    bool in_placed[QZI_MAX_INPUTS];
} op_run;

static void prepare_op(const qzi_backward *b, size_t i, op_run *run)
{
    const qzi_node *node = &b->graph->nodes[i];
    for (size_t k = 0; k < node->in_count; k++) {
        run->inputs[k] = &b->graph->nodes[node->in[k]];
        run->in[k] = view_of(b, node->in[k]);
        run->in_placed[k] = false;
    }
    run->r = (qzi_op_run){
        .ctx = b->ctx,
        .op = qzi_op_get(node->op),
        .kernels = qzi_packed_kernels(b->packed),
        .node = node,
        .inputs = run->inputs,
        .packed = qzi_packed_at(b->packed, (qz_value)i),
        .in = run->in,
        .out = view_of(b, (qz_value)i),
        .in_placed = run->in_placed,
        .threads = b->threads,
    };
}

static size_t op_scratch(const op_run *run)
{
    const size_t bytes = run->r.op->scratch ? run->r.op->scratch(&run->r) : 0;
    return QZI_ROUND_UP(bytes, (size_t)QZI_ALIGN);
}

static qz_status grow(const qz_context *ctx, char **block, size_t *bytes, size_t needed)
{
    if (*block && *bytes >= needed)
        return QZ_OK;
    qzi_free(ctx, *block);
    *bytes = 0;
    *block = qzi_alloc(ctx, needed);
    if (!*block)
        return QZ_ERR_MEMORY;
    *bytes = needed;
    return QZ_OK;
}

/* A plan without its memory is none. */
static qz_status drop_plan(qzi_backward *b, qz_status st)
{
    qzi_step_plan_destroy(b->plan);
    b->plan = NULL;
    return st;
}

static qz_status make_plan(qzi_backward *b, const qzi_train_mode *mode, const qzi_shape *shapes)
{
    const size_t bytes = b->graph->input_count * sizeof(*shapes);
    if (b->plan && memcmp(b->plan->inputs, shapes, bytes) == 0 &&
        b->planned.batch_stats == mode->batch_stats && b->planned.dropout == mode->dropout)
        return QZ_OK;
    qzi_step_plan_destroy(b->plan);
    b->plan = NULL;
    const qzi_step_request request = {
        .graph = b->graph,
        .inputs = shapes,
        .mode = mode,
        .frozen = b->frozen,
        .input_gradients = b->input_gradients,
        .hooks = b->hooked ? &b->hooks : NULL,
        .isa = b->isa,
        .threads = b->threads,
    };
    qzi_packed_destroy(b->packed);
    b->packed = NULL;
    QZI_TRY(qzi_step_plan_create(&request, &b->plan));
    b->planned = *mode;
    /* Winograd's algorithm by the shape of one image: a batch and its parts compute alike */
    qz_status st = qzi_packed_create_shapes(b->graph, b->isa, b->plan->shapes, &b->packed);
    if (st != QZ_OK)
        return drop_plan(b, st);
    st = grow(b->ctx, &b->arena, &b->arena_bytes, b->plan->arena_bytes);
    if (st != QZ_OK)
        return drop_plan(b, st);
    size_t scratch = b->plan->scratch_bytes;
    for (size_t i = 0; i < b->graph->node_count; i++) {
        op_run run;
        if (!b->plan->values[i].needed)
            continue;
        prepare_op(b, i, &run);
        scratch = QZI_MAX(scratch, op_scratch(&run) * b->threads);
    }
    st = grow(b->ctx, &b->scratch, &b->scratch_bytes, scratch);
    return st == QZ_OK ? st : drop_plan(b, st);
}

/* A node as training sees it. */
typedef struct grad_run {
    qzi_grad_run r;
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzk_view x[QZI_MAX_INPUTS], dx[QZI_MAX_INPUTS];
    bool add[QZI_MAX_INPUTS];
    qz_tensor weights; /* a hook's */
} grad_run;

static void prepare_grad(const qzi_backward *b, size_t i, grad_run *run)
{
    const qz_graph *g = b->graph;
    const qzi_node *node = &g->nodes[i];
    const qzi_step_value *value = &b->plan->values[i];
    run->r = (qzi_grad_run){
        .ctx = b->ctx,
        .kernels = qzi_packed_kernels(b->packed),
        .grad = &b->grad,
        .mode = &b->mode,
        .node = node,
        .number = (qz_value)i,
        .inputs = run->inputs,
        .x = run->x,
        .y = view_of(b, (qz_value)i),
        .dy = gradient_at(b, (qz_value)i, value->gradient),
        .dx = run->dx,
        .add = run->add,
        .kept = value->kept == QZI_NOWHERE ? NULL : b->arena + value->kept,
        .hook_kept = value->hook_kept == QZI_NOWHERE ? NULL : b->arena + value->hook_kept,
        .threads = b->threads,
        .scratch = b->scratch,
    };
    for (size_t k = 0; k < node->in_count; k++) {
        const qzi_step_edge *edge = &b->plan->edges[value->edge + k];
        run->inputs[k] = &g->nodes[node->in[k]];
        run->x[k] = view_of(b, node->in[k]);
        run->dx[k] = gradient_at(b, node->in[k], edge->at);
        run->add[k] = edge->add;
    }
    for (int which = 0; which < QZI_P_COUNT; which++) {
        const int32_t p = node->param[which];
        if (p < 0)
            continue;
        run->r.params[which] = &g->params[p].tensor;
        run->r.dparam[which] = which <= QZI_P_BIAS ? b->gradients[p] : NULL;
    }
}

static void hook_forward(qzi_backward *b, size_t i)
{
    grad_run run;
    if (!(b->plan->values[i].hooks & QZI_HOOK_VALUE))
        return;
    prepare_grad(b, i, &run);
    b->hooks.forward(b->hooks.user, &run.r);
}

/* Packs the weights of the step: the parameters as they are now, or a hook's. */
static qz_status pack_node(qzi_backward *b, size_t i)
{
    const int32_t p = b->graph->nodes[i].param[QZI_P_WEIGHT];
    b->weights[i] = NULL;
    if (!(b->plan->values[i].hooks & QZI_HOOK_WEIGHTS))
        return qzi_packed_repack(b->packed, b->graph, (qz_value)i);
    grad_run run;
    prepare_grad(b, i, &run);
    b->weights[i] = b->hooks.weights(b->hooks.user, &run.r);
    void *own = b->graph->params[p].tensor.data;
    b->graph->params[p].tensor.data = (void *)(uintptr_t)b->weights[i]; /* packing reads only */
    const qz_status st = qzi_packed_repack(b->packed, b->graph, (qz_value)i);
    b->graph->params[p].tensor.data = own;
    return st;
}

static void forward_node(qzi_backward *b, size_t i, const qzi_exec_input *inputs)
{
    const qzi_node *node = &b->graph->nodes[i];
    const qzi_grad_class *grad = qzi_grad_get(node->op);
    if (b->plan->values[i].aliased)
        return;
    if (grad->acts && grad->acts(node, &b->mode)) {
        grad_run run;
        prepare_grad(b, i, &run);
        grad->forward(&run.r);
        return;
    }
    op_run run;
    prepare_op(b, i, &run);
    run.r.scratch_stride = op_scratch(&run);
    run.r.scratch = b->scratch;
    if (node->op == QZI_OP_INPUT)
        run.r.external = &inputs[node->u.input.index];
    run.r.op->run(&run.r);
}

/* ---- a pass, as the leader of a team ---- */

typedef struct pass {
    qzi_backward *b;
    const qzi_exec_input *inputs;
    qz_status status;
} pass;

static void note_time(qzi_backward *b, size_t at, double begin)
{
    if (b->seconds)
        b->seconds[at] += qzi_now() - begin;
}

static void lead_forward(void *arg)
{
    pass *p = arg;
    qzi_backward *b = p->b;
    const qzi_fpenv env = qzi_fpenv_enter();
    for (size_t i = 0; i < b->graph->node_count && p->status == QZ_OK; i++) {
        const double begin = b->seconds ? qzi_now() : 0.0;
        if (!b->plan->values[i].needed)
            continue;
        const qzi_grad_class *grad = qzi_grad_get(b->graph->nodes[i].op);
        const bool own = grad->acts && grad->acts(&b->graph->nodes[i], &b->mode);
        if (qzi_op_get(b->graph->nodes[i].op)->pack && !own)
            p->status = pack_node(b, i);
        if (p->status == QZ_OK)
            p->status = qzi_check_cancelled(b->ctx);
        if (p->status == QZ_OK)
            forward_node(b, i, p->inputs);
        if (p->status == QZ_OK)
            hook_forward(b, i);
        note_time(b, i, begin);
    }
    qzi_fpenv_leave(env);
}

static qz_status check_input(const qzi_backward *b, size_t i, const qz_tensor *t, qzi_shape *shape)
{
    if (t->dtype != QZ_F32 || t->ndim != 4 || !t->data)
        return qzi_fail(b->ctx, QZ_ERR_ARGUMENT,
                        "input %zu: it must be float32, N x C x H x W, with data", i);
    for (int k = 0; k < 4; k++)
        if (t->dims[k] < 1 || t->dims[k] > INT32_MAX)
            return qzi_fail(b->ctx, QZ_ERR_ARGUMENT,
                            "input %zu: dimension %d is %lld; it must be 1 to 2^31 - 1", i, k,
                            (long long)t->dims[k]);
    if (qz_tensor_numel(t) < 0)
        return qzi_fail(b->ctx, QZ_ERR_ARGUMENT, "input %zu is too large", i);
    if (!qzi_all_finite(t->data, (size_t)qz_tensor_numel(t)))
        return qzi_fail(b->ctx, QZ_ERR_NUMERIC, "input %zu has NaN or infinity", i);
    *shape = (qzi_shape){(int32_t)t->dims[0], (int32_t)t->dims[2], (int32_t)t->dims[3],
                         (int32_t)t->dims[1]};
    return QZ_OK;
}

static void clear_output_gradients(qzi_backward *b)
{
    for (size_t i = 0; i < b->graph->output_count; i++) {
        const qz_value v = b->graph->outputs[i].value;
        const qzk_view d = gradient_at(b, v, b->plan->values[v].gradient);
        if (d.data)
            memset(d.data, 0, (size_t)(qzi_view_pixels(&d) * d.c) * sizeof(float));
    }
}

qz_status qzi_backward_forward(qzi_backward *b, const qzi_train_mode *mode, const qz_tensor *inputs,
                               size_t count)
{
    qzi_shape shapes[MAX_INPUTS];
    qzi_exec_input list[MAX_INPUTS];
    b->ran = false;
    if (count != b->graph->input_count || count > MAX_INPUTS)
        return qzi_fail(b->ctx, QZ_ERR_ARGUMENT, "the model takes %zu inputs, not %zu",
                        b->graph->input_count, count);
    memset(shapes, 0, sizeof(shapes));
    for (size_t i = 0; i < count; i++) {
        QZI_TRY(check_input(b, i, &inputs[i], &shapes[i]));
        list[i] = (qzi_exec_input){.tensor = &inputs[i], .finite = true};
    }
    QZI_TRY(make_plan(b, mode, shapes));
    b->mode = *mode;
    pass p = {b, list, QZ_OK};
    qzi_team_run(b->ctx, b->threads, lead_forward, &p);
    if (p.status == QZ_OK)
        clear_output_gradients(b);
    b->ran = p.status == QZ_OK;
    return p.status;
}

qz_status qzi_backward_output(const qzi_backward *b, size_t index, qzk_view *value,
                              qzk_view *gradient)
{
    if (!b->ran)
        return qzi_fail(b->ctx, QZ_ERR_STATE, "nothing was run yet");
    if (index >= b->graph->output_count)
        return qzi_fail(b->ctx, QZ_ERR_ARGUMENT, "the model has %zu outputs, no number %zu",
                        b->graph->output_count, index);
    const qz_value v = b->graph->outputs[index].value;
    *value = view_of(b, v);
    *gradient = gradient_at(b, v, b->plan->values[v].gradient);
    return QZ_OK;
}

/* ---- backward ---- */

static void add_pieces(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const grad_run *run = arg;
    const qzk_view *to = &run->dx[0], *from = &run->dx[1];
    (void)thread;
    run->r.kernels->f32_add((const float *)to->data + begin, (const float *)from->data + begin,
                            (float *)to->data + begin, (size_t)(end - begin), -INFINITY, INFINITY);
}

/* The gradients of inputs that were computed beside what is there already. */
static void add_edges(qzi_backward *b, size_t i, const grad_run *run)
{
    const qzi_node *node = &b->graph->nodes[i];
    for (size_t k = 0; k < node->in_count; k++) {
        const qzi_step_edge *edge = &b->plan->edges[b->plan->values[i].edge + k];
        const qz_value v = node->in[k];
        if (edge->at == QZI_NOWHERE || !edge->through)
            continue;
        grad_run sum = {.r = run->r};
        sum.dx[0] = gradient_at(b, v, b->plan->values[v].gradient);
        sum.dx[1] = run->dx[k];
        qzi_parallel(b->ctx, b->threads, qzi_view_pixels(&sum.dx[0]) * sum.dx[0].c, 4096,
                     add_pieces, &sum);
    }
}

static void backward_node(qzi_backward *b, size_t i)
{
    const qzi_node *node = &b->graph->nodes[i];
    const qzi_step_value *value = &b->plan->values[i];
    const qzi_grad_class *grad = qzi_grad_get(node->op);
    grad_run run;
    if (!value->wanted || !grad->backward || value->gradient == QZI_NOWHERE)
        return;
    prepare_grad(b, i, &run);
    qzi_node plain = *node; /* without the clamp that a hook has undone */
    const bool clamped = qzi_act_is_clamp(node->act);
    if (value->hooks & QZI_HOOK_VALUE) {
        b->hooks.backward(b->hooks.user, &run.r);
        plain.act = clamped ? QZ_ACT_NONE : node->act;
        run.r.node = &plain;
    } else if (node->op != QZI_OP_ACTIVATION && node->act != QZ_ACT_NONE) {
        qzi_grad_clamp(&run.r, &run.r.dy, node->act);
    }
    float *const own = run.r.dparam[QZI_P_WEIGHT];
    if (b->weights[i]) {
        run.weights = *run.r.params[QZI_P_WEIGHT];
        run.weights.data = (void *)(uintptr_t)b->weights[i]; /* read only */
        run.r.params[QZI_P_WEIGHT] = &run.weights;
        run.r.dparam[QZI_P_WEIGHT] = own ? b->hooks.gradient(b->hooks.user, (qz_value)i) : NULL;
    }
    grad->backward(&run.r);
    add_edges(b, i, &run);
    if (b->weights[i]) {
        prepare_grad(b, i, &run);
        b->hooks.gradient_done(b->hooks.user, &run.r);
    }
}

static void lead_backward(void *arg)
{
    pass *p = arg;
    qzi_backward *b = p->b;
    const qzi_fpenv env = qzi_fpenv_enter();
    for (size_t i = b->graph->node_count; i-- > 0 && p->status == QZ_OK;) {
        const double begin = b->seconds ? qzi_now() : 0.0;
        p->status = qzi_check_cancelled(b->ctx);
        if (p->status == QZ_OK)
            backward_node(b, i);
        note_time(b, b->graph->node_count + i, begin);
    }
    qzi_fpenv_leave(env);
}

qz_status qzi_backward_run(qzi_backward *b)
{
    if (!b->ran)
        return qzi_fail(b->ctx, QZ_ERR_STATE, "a backward follows a forward");
    b->ran = false; /* gradients overwrite values */
    pass p = {b, NULL, QZ_OK};
    qzi_team_run(b->ctx, b->threads, lead_backward, &p);
    return p.status;
}

float *qzi_backward_gradient(const qzi_backward *b, size_t param)
{
    return b->gradients[param];
}

void qzi_backward_zero(qzi_backward *b)
{
    for (size_t i = 0; i < b->graph->param_count; i++)
        if (b->gradients[i])
            memset(b->gradients[i], 0,
                   (size_t)qz_tensor_numel(&b->graph->params[i].tensor) * sizeof(float));
}

qz_status qzi_backward_input_gradient(const qzi_backward *b, size_t index, qzk_view *view)
{
    for (size_t i = 0; i < b->graph->node_count && b->plan; i++) {
        const qzi_node *node = &b->graph->nodes[i];
        if (node->op != QZI_OP_INPUT || node->u.input.index != (int32_t)index)
            continue;
        *view = gradient_at(b, (qz_value)i, b->plan->values[i].gradient);
        if (view->data)
            return QZ_OK;
    }
    return qzi_fail(b->ctx, QZ_ERR_STATE, "input %zu has no gradient", index);
}

qzi_backward_memory qzi_backward_memory_of(const qzi_backward *b)
{
    qzi_backward_memory m = {
        .scratch = b->scratch_bytes,
        .packed = b->packed ? qzi_packed_bytes(b->packed) : 0,
        .gradients = b->gradient_bytes,
    };
    if (b->plan) {
        m.arena = b->plan->arena_bytes;
        m.liveness = b->plan->liveness_bytes;
        m.kept = b->plan->kept_bytes;
    }
    return m;
}

qz_status qzi_backward_set_profile(qzi_backward *b, bool on)
{
    qzi_free(b->ctx, b->seconds);
    b->seconds = NULL;
    if (!on)
        return QZ_OK;
    b->seconds = qzi_calloc(b->ctx, 2 * b->graph->node_count, sizeof(*b->seconds));
    return b->seconds ? QZ_OK : QZ_ERR_MEMORY;
}

const double *qzi_backward_seconds(const qzi_backward *b, bool backward_pass)
{
    return b->seconds ? b->seconds + (backward_pass ? b->graph->node_count : 0) : NULL;
}

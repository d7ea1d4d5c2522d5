/* SPDX-License-Identifier: MIT */
/* exec.c - the executor: plans by input size, one arena, nodes in order. */
#include "layers/graph/exec.h"
#include "layers/graph/plan.h"

#include <string.h>

/* Plans kept by an executor: sizes that a detector or a test alternates between. */
#define MAX_PLANS 8

#define MAX_INPUTS 8

struct qzi_exec {
    const qz_context *ctx;
    const qz_graph *graph;
    const qzi_packed *packed;
    uint32_t threads;
    qzi_plan *plans;   /* most recent first */
    qzi_plan *current; /* of the last run; NULL before */
    char *arena;
    size_t arena_bytes;
    char *scratch;
    size_t scratch_bytes;
    size_t *scratch_stride; /* by node, bytes of one thread, under the current plan */
    qzi_node_hook hook;
    void *hook_user;
    double *seconds; /* by node; NULL: no profile */
    bool stepped;    /* the run is node by node: every value is seen */
};

qz_status qzi_exec_create(const qzi_packed *packed, const qz_graph *graph, uint32_t threads,
                          qzi_exec **exec)
{
    qzi_exec *e = qzi_calloc(graph->ctx, 1, sizeof(*e));
    if (!e)
        return QZ_ERR_MEMORY;
    e->ctx = graph->ctx;
    e->graph = graph;
    e->packed = packed;
    /* scratch is for threads that there are */
    const uint32_t granted = qz_context_threads(graph->ctx);
    e->threads = threads ? QZI_MIN(threads, granted) : granted;
    e->scratch_stride = qzi_calloc(graph->ctx, graph->node_count, sizeof(*e->scratch_stride));
    if (!e->scratch_stride) {
        qzi_exec_destroy(e);
        return QZ_ERR_MEMORY;
    }
    *exec = e;
    return QZ_OK;
}

void qzi_exec_destroy(qzi_exec *exec)
{
    if (!exec)
        return;
    while (exec->plans) {
        qzi_plan *next = exec->plans->next;
        qzi_plan_destroy(exec->plans);
        exec->plans = next;
    }
    qzi_free(exec->ctx, exec->arena);
    qzi_free(exec->ctx, exec->scratch);
    qzi_free(exec->ctx, exec->scratch_stride);
    qzi_free(exec->ctx, exec->seconds);
    qzi_free(exec->ctx, exec);
}

void qzi_exec_set_hook(qzi_exec *exec, qzi_node_hook hook, void *user)
{
    exec->hook = hook;
    exec->hook_user = user;
}

qz_status qzi_exec_set_profile(qzi_exec *exec, bool on)
{
    qzi_free(exec->ctx, exec->seconds);
    exec->seconds = NULL;
    if (!on)
        return QZ_OK;
    exec->seconds = qzi_calloc(exec->ctx, exec->graph->node_count, sizeof(*exec->seconds));
    return exec->seconds ? QZ_OK : QZ_ERR_MEMORY;
}

double qzi_exec_node_seconds(const qzi_exec *exec, qz_value node)
{
    return exec->seconds ? exec->seconds[node] : 0.0;
}

size_t qzi_exec_arena_bytes(const qzi_exec *exec)
{
    return exec->arena_bytes + exec->scratch_bytes;
}

/* Whether followers run inside the convolution now. A node hook must see every value, so a hook
 * disables them, and so do single steps. */
static bool follows(const qzi_exec *e, const qzi_plan *plan, qz_value head)
{
    const qzi_shape *y = &plan->shapes[head];
    const int64_t values = (int64_t)y->n * y->h * y->w * y->c;
    const int64_t slow_values = qzi_packed_kernel(e->packed, head)->slow_values;
    return !e->hook && !e->stepped && (slow_values == 0 || values <= slow_values);
}

qz_value qzi_exec_head(const qzi_exec *exec, qz_value node)
{
    const qz_value head = exec->current ? exec->current->values[node].head : QZ_NO_VALUE;
    return head != QZ_NO_VALUE && follows(exec, exec->current, head) ? head : QZ_NO_VALUE;
}

bool qzi_exec_needs(const qzi_exec *exec, qz_value node)
{
    return exec->current && exec->current->values[node].needed;
}

qzi_traffic qzi_exec_node_traffic(const qzi_exec *exec, qz_value node)
{
    qzi_traffic t = {0};
    if (!qzi_exec_needs(exec, node))
        return t;
    t = qzi_plan_traffic(exec->graph, exec->current, node,
                         qzi_exec_head(exec, node) != QZ_NO_VALUE);
    t.packed = qzi_packed_at(exec->packed, node)->bytes;
    t.read += t.packed;
    return t;
}

qzi_exec_memory qzi_exec_memory_of(const qzi_exec *exec)
{
    qzi_exec_memory m = {.scratch = exec->scratch_bytes};
    if (exec->current) {
        m.planned = exec->current->arena_bytes;
        m.liveness = exec->current->liveness_bytes;
    }
    return m;
}

static qzk_view view_of(const qzi_exec *e, const qzi_plan *plan, qz_value v)
{
    const qzi_shape *s = &plan->shapes[v];
    return (qzk_view){
        .data = e->arena + plan->values[v].offset,
        .n = s->n,
        .h = s->h,
        .w = s->w,
        .c = s->c,
        .pixel_stride = plan->values[v].stride,
    };
}

/* Everything of one execution of node i but scratch. */
typedef struct node_run {
    qzi_op_run r;
    const qzi_node *inputs[QZI_MAX_INPUTS];
    qzk_view in[QZI_MAX_INPUTS];
    bool in_placed[QZI_MAX_INPUTS];
} node_run;

static void prepare_node(const qzi_exec *e, const qzi_plan *plan, size_t i, node_run *run)
{
    const qzi_node *node = &e->graph->nodes[i];
    for (size_t k = 0; k < node->in_count; k++) {
        qz_value v = node->in[k];
        run->inputs[k] = &e->graph->nodes[v];
        run->in[k] = view_of(e, plan, v);
        run->in_placed[k] =
            plan->values[v].placed_in == (qz_value)i && plan->values[v].placed_at == (int32_t)k;
    }
    run->r = (qzi_op_run){
        .ctx = e->ctx,
        .op = qzi_op_get(node->op),
        .kernels = qzi_packed_kernels(e->packed),
        .node = node,
        .inputs = run->inputs,
        .packed = qzi_packed_at(e->packed, (qz_value)i),
        .in = run->in,
        .out = view_of(e, plan, (qz_value)i),
        .in_placed = run->in_placed,
        .threads = e->threads,
    };
}

static size_t scratch_stride(const node_run *run)
{
    size_t bytes = run->r.op->scratch ? run->r.op->scratch(&run->r) : 0;
    return QZI_ROUND_UP(bytes, (size_t)QZI_ALIGN);
}

/* Makes the plan current: arena and scratch at least as large as it needs. */
static qz_status use_plan(qzi_exec *e, qzi_plan *plan)
{
    node_run run;
    size_t scratch = 0;
    e->current = NULL;
    if (plan->arena_bytes > e->arena_bytes || !e->arena) {
        qzi_free(e->ctx, e->arena);
        e->arena_bytes = 0;
        e->arena = qzi_alloc(e->ctx, plan->arena_bytes);
        if (!e->arena)
            return QZ_ERR_MEMORY;
        e->arena_bytes = plan->arena_bytes;
    }
    for (size_t i = 0; i < e->graph->node_count; i++) {
        if (!plan->values[i].needed)
            continue;
        prepare_node(e, plan, i, &run);
        e->scratch_stride[i] = scratch_stride(&run);
        scratch = QZI_MAX(scratch, e->scratch_stride[i] * e->threads);
    }
    if (scratch > e->scratch_bytes) {
        qzi_free(e->ctx, e->scratch);
        e->scratch_bytes = 0;
        e->scratch = qzi_alloc(e->ctx, scratch);
        if (!e->scratch)
            return QZ_ERR_MEMORY;
        e->scratch_bytes = scratch;
    }
    e->current = plan;
    return QZ_OK;
}

static qz_status find_plan(qzi_exec *e, const qzi_shape *inputs)
{
    size_t bytes = e->graph->input_count * sizeof(*inputs), count = 0;
    for (qzi_plan **at = &e->plans; *at; at = &(*at)->next, count++) {
        qzi_plan *plan = *at;
        if (memcmp(plan->inputs, inputs, bytes) == 0) {
            *at = plan->next;
            plan->next = e->plans;
            e->plans = plan;
            return plan == e->current ? QZ_OK : use_plan(e, plan);
        }
        if (count + 1 == MAX_PLANS) { /* the oldest goes */
            if (plan == e->current)
                e->current = NULL;
            *at = NULL;
            qzi_plan_destroy(plan);
            break;
        }
    }
    qzi_plan *plan;
    QZI_TRY(qzi_plan_create(e->graph, inputs, &plan));
    plan->next = e->plans;
    e->plans = plan;
    return use_plan(e, plan);
}

qz_status qzi_exec_plan(qzi_exec *exec, const qzi_shape *inputs, size_t *arena_bytes)
{
    QZI_TRY(find_plan(exec, inputs));
    *arena_bytes = qzi_exec_arena_bytes(exec);
    return QZ_OK;
}

static qz_status check_tensor(const qzi_exec *e, size_t i, const qz_tensor *t, qzi_shape *shape)
{
    if (t->dtype != QZ_F32 || t->ndim != 4 || !t->data)
        return qzi_fail(e->ctx, QZ_ERR_ARGUMENT,
                        "input %zu: it must be float32, N x C x H x W, with data (it has %d "
                        "dimensions)",
                        i, (int)t->ndim);
    for (int k = 0; k < 4; k++) {
        if (t->dims[k] < 1 || t->dims[k] > INT32_MAX)
            return qzi_fail(e->ctx, QZ_ERR_ARGUMENT,
                            "input %zu: dimension %d is %lld; it must be 1 to 2^31 - 1", i, k,
                            (long long)t->dims[k]);
    }
    if (qz_tensor_numel(t) < 0)
        return qzi_fail(e->ctx, QZ_ERR_ARGUMENT, "input %zu is too large", i);
    *shape = (qzi_shape){(int32_t)t->dims[0], (int32_t)t->dims[2], (int32_t)t->dims[3],
                         (int32_t)t->dims[1]};
    return QZ_OK;
}

static int32_t input_channels(const qz_graph *graph, size_t index)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == QZI_OP_INPUT && graph->nodes[i].u.input.index == (int32_t)index)
            return graph->nodes[i].c;
    return 0;
}

/* The shapes of inputs; zeros of those that are absent. */
static qz_status check_inputs(const qzi_exec *e, const qzi_exec_input *inputs, size_t input_count,
                              qzi_shape *shapes)
{
    if (input_count != e->graph->input_count)
        return qzi_fail(e->ctx, QZ_ERR_ARGUMENT, "the model takes %zu inputs, not %zu",
                        e->graph->input_count, input_count);
    for (size_t i = 0; i < input_count; i++) {
        const qzi_exec_input *in = &inputs[i];
        if (in->tensor)
            QZI_TRY(check_tensor(e, i, in->tensor, &shapes[i]));
        else if (in->image)
            shapes[i] = (qzi_shape){1, in->image->h, in->image->w, 3};
        else if (in->fill)
            shapes[i] = (qzi_shape){in->n, in->h, in->w, input_channels(e->graph, i)};
    }
    return QZ_OK;
}

/* A run, as the leader of a team. */
typedef struct exec_task {
    qzi_exec *exec;
    const qzi_exec_input *inputs;
    size_t input_count;
    size_t first, end; /* nodes */
    qz_status status;
} exec_task;

/* What follows a convolution: nodes that its run applies. */
typedef struct exec_followers {
    node_run runs[QZI_MAX_FOLLOWERS];
    const qzi_op_run *list[QZI_MAX_FOLLOWERS];
} exec_followers;

static void prepare_followers(const qzi_exec *e, const qzi_plan *plan, size_t i, qzi_op_run *run,
                              exec_followers *followers)
{
    for (qz_value v = plan->values[i].follower; v != QZ_NO_VALUE; v = plan->values[v].follower) {
        node_run *next = &followers->runs[run->follower_count];
        prepare_node(e, plan, (size_t)v, next);
        followers->list[run->follower_count++] = &next->r;
    }
    run->followers = followers->list;
}

static qz_status run_node(const exec_task *task, size_t i)
{
    qzi_exec *e = task->exec;
    const qzi_plan *plan = e->current;
    const qzi_node *node = &e->graph->nodes[i];
    node_run run;
    exec_followers followers;
    QZI_TRY(qzi_check_cancelled(e->ctx));
    if (!plan->values[i].needed ||
        (plan->values[i].head != QZ_NO_VALUE && follows(e, plan, plan->values[i].head)))
        return QZ_OK;
    if (!plan->values[i].aliased) {
        double start = e->seconds ? qzi_now() : 0.0;
        prepare_node(e, plan, i, &run);
        if (plan->values[i].follower != QZ_NO_VALUE && plan->values[i].head == QZ_NO_VALUE &&
            follows(e, plan, (qz_value)i))
            prepare_followers(e, plan, i, &run.r, &followers);
        run.r.scratch = e->scratch;
        run.r.scratch_stride = e->scratch_stride[i];
        if (node->op == QZI_OP_INPUT)
            run.r.external = &task->inputs[node->u.input.index];
        run.r.op->run(&run.r);
        if (e->seconds)
            e->seconds[i] += qzi_now() - start;
    }
    if (!e->hook)
        return QZ_OK;
    const qzk_view view = view_of(e, plan, (qz_value)i);
    return e->hook(e->hook_user, e->graph, (qz_value)i, &view);
}

static qz_status check_finite(const qzi_exec *e, const qzi_exec_input *inputs, size_t input_count)
{
    for (size_t i = 0; i < input_count; i++) {
        const qz_tensor *t = inputs[i].finite ? NULL : inputs[i].tensor;
        if (t && !qzi_all_finite(t->data, (size_t)qz_tensor_numel(t)))
            return qzi_fail(e->ctx, QZ_ERR_NUMERIC,
                            "input %zu has NaN or infinity; check what made it", i);
    }
    return QZ_OK;
}

static void lead_run(void *context)
{
    exec_task *task = context;
    task->status = check_finite(task->exec, task->inputs, task->input_count);
    if (task->status != QZ_OK)
        return;
    qzi_fpenv env = qzi_fpenv_enter();
    for (size_t i = task->first; i < task->end && task->status == QZ_OK; i++)
        task->status = run_node(task, i);
    qzi_fpenv_leave(env);
}

/* Checks everything but the values of the inputs, and makes the plan. */
static qz_status begin(qzi_exec *exec, const qzi_exec_input *inputs, size_t input_count)
{
    qzi_shape shapes[MAX_INPUTS] = {0};
    if (input_count > MAX_INPUTS)
        return qzi_fail(exec->ctx, QZ_ERR_UNSUPPORTED, "more than %d inputs", MAX_INPUTS);
    QZI_TRY(check_inputs(exec, inputs, input_count, shapes));
    return find_plan(exec, shapes); /* bounds the sizes, before anything is read */
}

static qz_status run_range(qzi_exec *exec, const qzi_exec_input *inputs, size_t input_count,
                           size_t first, size_t end)
{
    exec_task task = {exec, inputs, input_count, first, end, QZ_OK};
    qzi_team_run(exec->ctx, exec->threads, lead_run, &task);
    return task.status;
}

qz_status qzi_exec_run_inputs(qzi_exec *exec, const qzi_exec_input *inputs, size_t input_count)
{
    exec->stepped = false;
    QZI_TRY(begin(exec, inputs, input_count));
    return run_range(exec, inputs, input_count, 0, exec->graph->node_count);
}

qz_status qzi_exec_begin(qzi_exec *exec, const qzi_exec_input *inputs, size_t input_count)
{
    exec->stepped = true;
    return begin(exec, inputs, input_count);
}

qz_status qzi_exec_step(qzi_exec *exec, const qzi_exec_input *inputs, qz_value node)
{
    /* values are read, and looked at, where an INPUT node takes them */
    const size_t count = exec->graph->nodes[node].op == QZI_OP_INPUT ? exec->graph->input_count : 0;
    return run_range(exec, inputs, count, (size_t)node, (size_t)node + 1);
}

qzk_view qzi_exec_value(const qzi_exec *exec, qz_value node)
{
    return view_of(exec, exec->current, node);
}

qz_status qzi_exec_run(qzi_exec *exec, const qz_tensor *inputs, size_t input_count, bool finite)
{
    qzi_exec_input list[MAX_INPUTS];
    for (size_t i = 0; i < input_count && i < MAX_INPUTS; i++)
        list[i] = (qzi_exec_input){.tensor = &inputs[i], .finite = finite};
    return qzi_exec_run_inputs(exec, list, input_count);
}

bool qzi_exec_takes_bytes(const qzi_exec *exec, qzi_qparams *q)
{
    const qz_graph *graph = exec->graph;
    for (size_t i = 0; i < graph->node_count && graph->input_count == 1; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (node->op == QZI_OP_INPUT && node->dtype == QZ_U8 && node->c == 3) {
            *q = node->q;
            return true;
        }
    }
    return false;
}

qz_status qzi_exec_run_image(qzi_exec *exec, const qzi_byte_image *image)
{
    return qzi_exec_run_inputs(exec, &(qzi_exec_input){.image = image}, 1);
}

qz_status qzi_exec_output_shape(const qzi_exec *exec, size_t index, qz_tensor *tensor)
{
    if (!exec->current)
        return qzi_fail(exec->ctx, QZ_ERR_STATE, "nothing was run yet");
    if (index >= exec->graph->output_count)
        return qzi_fail(exec->ctx, QZ_ERR_ARGUMENT, "the model has %zu outputs, no number %zu",
                        exec->graph->output_count, index);
    const qz_value v = exec->graph->outputs[index].value;
    const qzi_shape *s = &exec->current->shapes[v];
    *tensor = (qz_tensor){.dtype = QZ_F32,
                          .ndim = exec->graph->nodes[v].flat ? 2 : 4,
                          .dims = {s->n, s->c, s->h, s->w}};
    return QZ_OK;
}

qz_status qzi_exec_output_view(const qzi_exec *exec, size_t index, const qzi_node **node,
                               qzk_view *view)
{
    const qzi_output *output = &exec->graph->outputs[index];
    if (!qzi_exec_needs(exec, output->value))
        return qzi_fail(exec->ctx, QZ_ERR_STATE, "%s: the last run did not compute it",
                        output->name);
    *node = &exec->graph->nodes[output->value];
    *view = view_of(exec, exec->current, output->value);
    return QZ_OK;
}

void qzi_exec_output(const qzi_exec *exec, size_t index, float *out)
{
    const qz_value v = exec->graph->outputs[index].value;
    const qzk_view view = view_of(exec, exec->current, v);
    qzi_view_to_nchw(exec->ctx, exec->threads, &exec->graph->nodes[v], &view, out, NULL);
}

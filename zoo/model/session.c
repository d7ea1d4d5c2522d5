/* SPDX-License-Identifier: MIT */
/*
 * session.c - sessions: one run's state over the model's shared packed weights.
 *
 * A session owns its executor (plans, arena) and the float32 copies of its outputs; everything that
 * it reads of the model is immutable, so sessions run at once without locks.
 */
#include "layers/kernels/winograd.h"
#include "zoo/image/pixels.h"
#include "zoo/image/preprocess.h"
#include "zoo/model/model.h"
#include "zoo/model/model_build.h"
#include "zoo/model/model_graph.h"
#include "zoo/model/model_pack.h"
#include "zoo/model/session_outputs.h"

#include <string.h>

/* A float or byte buffer that grows to what the largest call asked for. */
struct buffer {
    void *data;
    size_t bytes;
};

struct qz_session {
    qz_model *model;
    qz_context *ctx;
    const qz_graph *graph; /* the model's, or: */
    qz_graph view;         /* the model's with the outputs that were asked for */
    const qzi_packed *packed;
    qzi_exec *exec;
    bool int8;
    qz_preprocess recipe; /* of run_u8: the model's, or the session's own */

    bool ran;        /* outputs are those of a run that succeeded */
    qzi_shape input; /* of the last run */
    struct buffer *out;
    qz_tensor *out_tensor; /* as many as the graph has outputs */
    struct buffer image;   /* run_u8's preprocessed input, where it must be float */
    bool has_table;        /* else the input of the graph is float */
    uint8_t table[3][256]; /* run_u8: the byte that each byte becomes */

    qz_node_fn hook;
    void *hook_user;
    struct buffer hook_value, hook_bytes;

    qz_status profile; /* of switching profiling on */
    qz_profile_row *rows;
    qzi_shape *shapes;
};

static qz_status reserve(const qz_context *ctx, struct buffer *buffer, size_t count, size_t size)
{
    size_t bytes = 0;
    if (!qzi_mul_size(count, size, &bytes))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "a tensor of %zu elements is too large", count);
    if (buffer->data && buffer->bytes >= bytes)
        return QZ_OK;
    void *data = qzi_alloc(ctx, bytes);
    if (!data)
        return QZ_ERR_MEMORY;
    qzi_free(ctx, buffer->data);
    *buffer = (struct buffer){data, bytes};
    return QZ_OK;
}

/* ---- making one ---- */

static qz_status choose_precision(const qz_model *model, qz_precision precision, bool *int8)
{
    switch (precision) {
    case QZ_PRECISION_AUTO:
        *int8 = model->int8_graph != NULL;
        return QZ_OK;
    case QZ_PRECISION_FP32:
        *int8 = false;
        if (!model->graph)
            return qzi_fail(model->ctx, QZ_ERR_STATE,
                            "%s: there is no float model (an opened int8 file, or it was "
                            "dropped); run int8",
                            model->arch->info.name);
        return QZ_OK;
    case QZ_PRECISION_INT8:
        *int8 = true;
        if (!model->int8_graph)
            return qzi_fail(model->ctx, QZ_ERR_STATE,
                            "%s: the model is not int8; prepare, calibrate and convert it first",
                            model->arch->info.name);
        return QZ_OK;
    }
    return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no precision number %d", (int)precision);
}

static qz_status create(qz_session *s, const qz_session_options *options)
{
    QZI_TRY(qzi_model_packed(s->model, s->int8, !options->no_winograd, options->isa, &s->packed));
    if (options->outputs || options->output_count > 0) {
        QZI_TRY(qzi_session_view(s->graph, options->outputs, options->output_count, &s->view));
        s->graph = &s->view;
    }
    uint32_t threads = options->threads != 0 ? options->threads : qz_context_threads(s->ctx);
    QZI_TRY(qzi_exec_create(s->packed, s->graph, threads, &s->exec));
    s->out = qzi_calloc(s->ctx, s->graph->output_count, sizeof(*s->out));
    s->out_tensor = qzi_calloc(s->ctx, s->graph->output_count, sizeof(*s->out_tensor));
    if (!s->out || !s->out_tensor)
        return QZ_ERR_MEMORY;
    return QZ_OK;
}

/* Counts the sessions of each graph, so that none loses its graph under its feet. */
static void count_session(qz_model *model, bool int8, bool alive)
{
    qzi_mutex_lock(model->packings.lock);
    if (alive)
        model->packings.sessions[int8]++;
    else
        model->packings.sessions[int8]--;
    qzi_mutex_unlock(model->packings.lock);
}

qz_status qz_session_create(qz_model *model, const qz_session_options *options,
                            qz_session **session)
{
    if (!session || !model)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_session_create: model or session is NULL");
    *session = NULL;
    qz_session_options o;
    QZI_TRY(qzi_options_take(model->ctx, options, &o, sizeof(o), "qz_session_options"));
    bool int8 = false;
    QZI_TRY(choose_precision(model, o.precision, &int8));
    qz_session *s = qzi_calloc(model->ctx, 1, sizeof(*s));
    if (!s)
        return QZ_ERR_MEMORY;
    s->model = model;
    s->ctx = model->ctx;
    s->int8 = int8;
    s->recipe = model->preprocess;
    s->graph = int8 ? model->int8_graph : model->graph;
    count_session(model, int8, true);
    qz_status st = create(s, &o);
    if (st != QZ_OK) {
        qz_session_destroy(s);
        return st;
    }
    *session = s;
    return QZ_OK;
}

void qz_session_destroy(qz_session *session)
{
    if (!session)
        return;
    qz_context *ctx = session->ctx;
    qzi_exec_destroy(session->exec);
    for (size_t i = 0; session->out && i < session->graph->output_count; i++)
        qzi_free(ctx, session->out[i].data);
    qzi_free(ctx, session->out);
    qzi_free(ctx, session->out_tensor);
    qzi_free(ctx, session->image.data);
    qzi_free(ctx, session->hook_value.data);
    qzi_free(ctx, session->hook_bytes.data);
    qzi_free(ctx, session->rows);
    qzi_free(ctx, session->shapes);
    qzi_session_view_free(&session->view);
    count_session(session->model, session->int8, false);
    qzi_free(ctx, session);
}

/* ---- running ---- */

/* Run `at` of `count` single runs, whose outputs are one tensor. */
typedef struct turn {
    size_t at, count;
} turn;

static qz_status fetch_output(qz_session *s, size_t index, turn which)
{
    qz_tensor *tensor = &s->out_tensor[index];
    QZI_TRY(qzi_exec_output_shape(s->exec, index, tensor));
    const size_t one = (size_t)qz_tensor_numel(tensor);
    size_t all;
    if (!qzi_mul_size(one, which.count, &all))
        return qzi_fail_memory(s->ctx, SIZE_MAX);
    if (which.at == 0)
        QZI_TRY(reserve(s->ctx, &s->out[index], all, sizeof(float)));
    tensor->data = s->out[index].data;
    qzi_exec_output(s->exec, index, (float *)tensor->data + which.at * one);
    tensor->dims[0] *= (int64_t)which.count;
    return QZ_OK;
}

/* Names the first image whose output is no number. */
static qz_status check_finite(const qz_session *s, size_t index)
{
    const qz_tensor *tensor = &s->out_tensor[index];
    const int64_t images = tensor->dims[0];
    const size_t each = images > 0 ? (size_t)(qz_tensor_numel(tensor) / images) : 0;
    for (int64_t i = 0; i < images; i++) {
        if (!qzi_all_finite((const float *)tensor->data + (size_t)i * each, each))
            return qzi_fail(s->ctx, QZ_ERR_NUMERIC,
                            "%s of image %lld has NaN or infinity: numbers grew too large; check "
                            "the image's values and the weights",
                            s->graph->outputs[index].name, (long long)i);
    }
    return QZ_OK;
}

static qz_status finish(qz_session *s, int64_t n, int64_t h, int64_t w, turn which)
{
    for (size_t i = 0; i < s->graph->output_count; i++)
        QZI_TRY(fetch_output(s, i, which));
    s->input = (qzi_shape){(int32_t)n, (int32_t)h, (int32_t)w, qzi_model_channels(s->model)};
    s->ran = which.at + 1 == which.count;
    for (size_t i = 0; s->ran && i < s->graph->output_count; i++)
        QZI_TRY(check_finite(s, i));
    return QZ_OK;
}

static const turn single = {0, 1};

qz_status qz_session_run(qz_session *session, const qz_tensor *input)
{
    if (!session)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_session_run: session is NULL");
    session->ran = false;
    if (!input)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "qz_session_run: input is NULL");
    QZI_TRY(qzi_exec_run(session->exec, input, 1, false));
    return finish(session, input->dims[0], input->dims[2], input->dims[3], single);
}

/* ---- bytes ---- */

/*
 * The byte that each byte of a channel becomes: the recipe's float, quantized as the input node
 * quantizes. False where a float is not finite: such images are refused, as floats.
 */
static bool make_table(qz_session *s, qzi_qparams q)
{
    float values[3][256];
    if (s->recipe.bgr) /* the kernels' tables keep the order of channels */
        return false;
    qzi_preprocess_table(&s->recipe, values);
    if (!qzi_all_finite(values[0], 3 * 256))
        return false;
    qzi_fpenv env = qzi_fpenv_enter();
    qzi_packed_kernels(s->packed)->quantize(values[0], s->table[0], 3 * 256, 1.0f / q.scale,
                                            q.zero_point);
    qzi_fpenv_leave(env);
    return true;
}

/* From bytes to bytes, without a float image in between. */
static qz_status run_bytes(qz_session *s, const qzi_pixels *in, turn which)
{
    qzi_crop crop;
    QZI_TRY(qzi_preprocess_crop(s->ctx, in, &s->recipe, &crop));
    const qzi_byte_image image = {.rows = crop.rows,
                                  .stride = crop.stride,
                                  .h = s->recipe.crop_h,
                                  .w = s->recipe.crop_w,
                                  .left = crop.left,
                                  .top = crop.top,
                                  .columns = crop.width,
                                  .rows_in = crop.height,
                                  .table = (const uint8_t(*)[256])s->table};
    qz_status st = qzi_exec_run_image(s->exec, &image);
    qzi_free(s->ctx, crop.resized);
    return st == QZ_OK ? finish(s, 1, image.h, image.w, which) : st;
}

static qz_status run_rgb(qz_session *s, const char *function, const qzi_pixels *in, turn which)
{
    const qz_preprocess *recipe = &s->recipe;
    qzi_qparams q;
    s->ran = false;
    QZI_TRY(qzi_model_takes_rgb(s->model, function));
    QZI_TRY(qzi_preprocess_check(s->ctx, function, in, recipe));
    if (!s->has_table && qzi_exec_takes_bytes(s->exec, &q))
        s->has_table = make_table(s, q);
    if (s->has_table)
        return run_bytes(s, in, which);
    qz_tensor input = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, recipe->crop_h, recipe->crop_w}};
    QZI_TRY(reserve(s->ctx, &s->image, (size_t)qz_tensor_numel(&input), sizeof(float)));
    input.data = s->image.data;
    QZI_TRY(qz_image_preprocess(s->ctx, in->rgb, in->width, in->height, in->stride, recipe,
                                input.data));
    QZI_TRY(qzi_exec_run(s->exec, &input, 1, false));
    return finish(s, 1, recipe->crop_h, recipe->crop_w, which);
}

qz_status qz_session_run_u8(qz_session *session, const uint8_t *rgb, int32_t width, int32_t height,
                            size_t stride)
{
    if (!session)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_session_run_u8: session is NULL");
    const qzi_pixels in = {rgb, width, height, stride};
    return run_rgb(session, "qz_session_run_u8", &in, single);
}

qz_status qz_session_run_pixels(qz_session *session, const qz_pixels *images, size_t count)
{
    const char *function = "qz_session_run_pixels";
    if (!session)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "%s: session is NULL", function);
    session->ran = false;
    if (!images || count < 1 || count > INT32_MAX)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "%s: there are no images", function);
    for (size_t i = 0; i < count; i++) {
        uint8_t *owned = NULL;
        qzi_pixels rgb;
        QZI_TRY(qzi_pixels_as_rgb(session->ctx, function, &images[i], i, &rgb, &owned));
        const qz_status st = run_rgb(session, function, &rgb, (turn){i, count});
        qzi_free(session->ctx, owned);
        QZI_TRY(st);
    }
    return QZ_OK;
}

qz_status qz_session_set_preprocess(qz_session *session, const qz_preprocess *recipe)
{
    if (!session || !recipe)
        return qzi_fail(session ? session->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_session_set_preprocess: session or recipe is NULL");
    QZI_TRY(qzi_preprocess_check_recipe(session->ctx, recipe));
    session->recipe = *recipe;
    session->has_table = false;
    return QZ_OK;
}

size_t qz_session_output_count(const qz_session *session)
{
    return session ? session->graph->output_count : 0;
}

qz_status qz_session_output(const qz_session *session, size_t index, const char **name,
                            const qz_tensor **tensor)
{
    if (!session)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_session_output: session is NULL");
    if (index >= session->graph->output_count)
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "there is no output %zu; the model has %zu",
                        index, session->graph->output_count);
    if (name)
        *name = session->graph->outputs[index].name;
    if (!tensor)
        return QZ_OK;
    if (!session->ran)
        return qzi_fail(session->ctx, QZ_ERR_STATE,
                        "the session has no output: it has not run, or its last run failed");
    *tensor = &session->out_tensor[index];
    return QZ_OK;
}

/* ---- looking into a run ---- */

const char *qz_session_node_name(const qz_session *session, const char *name)
{
    if (!session || !name)
        return NULL;
    qz_value value = qzi_graph_find(session->graph, name);
    return value != QZ_NO_VALUE ? session->graph->nodes[value].name : NULL;
}

static qz_status call_hook(void *user, const qz_graph *graph, qz_value index, const qzk_view *view)
{
    qz_session *s = user;
    const qzi_node *node = &graph->nodes[index];
    qz_tensor value = {
        .dtype = QZ_F32, .ndim = node->flat ? 2 : 4, .dims = {view->n, view->c, view->h, view->w}};
    qz_tensor bytes = value;
    bool u8 = node->dtype == QZ_U8;
    size_t count = (size_t)qz_tensor_numel(&value);
    QZI_TRY(reserve(s->ctx, &s->hook_value, count, sizeof(float)));
    if (u8)
        QZI_TRY(reserve(s->ctx, &s->hook_bytes, count, 1));
    value.data = s->hook_value.data;
    bytes.data = s->hook_bytes.data;
    bytes.dtype = QZ_U8;
    qzi_view_to_nchw(node, view, value.data, u8 ? bytes.data : NULL);
    (void)qzi_fail(s->ctx, QZ_OK, "%s", ""); /* an older message is not this run's */
    const qz_status st = s->hook(s->hook_user, node->name, &value, u8 ? &bytes : NULL);
    if (st == QZ_OK || qz_context_message(s->ctx)[0] != '\0')
        return st;
    return qzi_fail(s->ctx, st, "%s: the node hook ended the run", node->name);
}

void qz_session_set_node_hook(qz_session *session, qz_node_fn fn, void *user)
{
    if (!session)
        return;
    session->hook = fn;
    session->hook_user = user;
    qzi_exec_set_hook(session->exec, fn ? call_hook : NULL, session);
}

void qz_session_set_profile(qz_session *session, bool on)
{
    if (session)
        session->profile = qzi_exec_set_profile(session->exec, on);
}

/* Winograd's algorithm has 36 products for a tile of 4x4 outputs, which may reach beyond the image;
 * what it adds and subtracts before and after is not counted. */
static uint64_t products_of(const qzi_node *node, const qzk_conv_kernel *kernel, const qzi_shape *y)
{
    const uint64_t macs = qzi_node_macs(node, y);
    if (!kernel || !strstr(kernel->name, "winograd"))
        return macs;
    const uint64_t tiles = (uint64_t)y->n * (uint64_t)QZI_DIV_UP(y->h, QZK_WINOGRAD_OUT) *
                           (uint64_t)QZI_DIV_UP(y->w, QZK_WINOGRAD_OUT);
    const uint64_t pixels = (uint64_t)y->n * (uint64_t)y->h * (uint64_t)y->w;
    return tiles * QZK_WINOGRAD_POINTS * (macs / (pixels * 9)); /* a tap's: channels in and out */
}

qz_status qz_session_profile(qz_session *session, const qz_profile_row **rows, size_t *count)
{
    if (!session || !rows || !count)
        return qzi_fail(session ? session->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_session_profile: session, rows or count is NULL");
    const qz_graph *graph = session->graph;
    if (!session->ran)
        return qzi_fail(session->ctx, QZ_ERR_STATE, "there is no profile: the session has not run");
    if (session->profile != QZ_OK)
        return QZ_ERR_MEMORY;
    if (!session->rows)
        session->rows = qzi_calloc(session->ctx, graph->node_count, sizeof(*session->rows));
    if (!session->shapes)
        session->shapes = qzi_calloc(session->ctx, graph->node_count, sizeof(*session->shapes));
    if (!session->rows || !session->shapes)
        return QZ_ERR_MEMORY;
    QZI_TRY(qzi_graph_shapes(graph, &session->input, session->shapes));
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        const qzk_conv_kernel *kernel = qzi_packed_kernel(session->packed, (qz_value)i);
        const qz_value head = qzi_exec_head(session->exec, (qz_value)i);
        const bool needed = qzi_exec_needs(session->exec, (qz_value)i);
        const qzi_traffic traffic = qzi_exec_node_traffic(session->exec, (qz_value)i);
        session->rows[i] = (qz_profile_row){
            .name = node->name,
            .op = qzi_op_name(node->op),
            .kernel = kernel ? kernel->name : "",
            .within = head != QZ_NO_VALUE ? graph->nodes[head].name : NULL,
            .seconds = qzi_exec_node_seconds(session->exec, (qz_value)i),
            .macs = needed ? qzi_node_macs(node, &session->shapes[i]) : 0,
            .products = needed ? products_of(node, kernel, &session->shapes[i]) : 0,
            .tile_m = kernel ? kernel->tile_m : 0,
            .tile_n = kernel ? kernel->tile_n : 0,
            .read_bytes = traffic.read,
            .packed_bytes = traffic.packed,
            .written_bytes = traffic.written};
    }
    *rows = session->rows;
    *count = graph->node_count;
    return QZ_OK;
}

size_t qz_session_arena_bytes(const qz_session *session)
{
    return session ? qzi_exec_arena_bytes(session->exec) : 0;
}

size_t qz_session_packed_bytes(const qz_session *session)
{
    return session ? qzi_packed_bytes(session->packed) : 0;
}

void qz_session_get_memory(const qz_session *session, qz_session_memory *memory)
{
    if (!memory)
        return;
    *memory = (qz_session_memory){0};
    if (!session)
        return;
    const qzi_exec_memory m = qzi_exec_memory_of(session->exec);
    *memory = (qz_session_memory){.planned_bytes = m.planned,
                                  .liveness_bytes = m.liveness,
                                  .scratch_bytes = m.scratch,
                                  .packed_bytes = qzi_packed_bytes(session->packed)};
}

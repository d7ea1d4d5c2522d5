/* SPDX-License-Identifier: MIT */
/*
 * session.c - sessions: one run's state over the model's shared packed weights.
 *
 * A session owns its executor (plans, arena) and the float32 copies of its outputs; everything that
 * it reads of the model is immutable, so sessions run at once without locks.
 */
#include "zoo/model/session.h"
#include "zoo/image/pixels.h"
#include "zoo/model/model_build.h"
#include "zoo/model/model_graph.h"
#include "zoo/model/model_pack.h"
#include "zoo/model/session_detect.h"
#include "zoo/model/session_outputs.h"
#include "zoo/model/session_segment.h"

#include <string.h>

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
    const bool own_outputs = options->outputs || options->output_count > 0;
    const char *first = s->graph->output_count > 0 ? s->graph->outputs[0].name : NULL;
    if (own_outputs && s->model->arch->detector)
        return qzi_fail(s->ctx, QZ_ERR_UNSUPPORTED,
                        "%s is a detector: a session has all of its outputs",
                        s->model->arch->info.name);
    if (!own_outputs && s->model->arch->has_aux_logits && s->graph->output_count > 1) {
        QZI_TRY(qzi_session_view(s->graph, &first, 1, &s->view)); /* not the auxiliary head's */
        s->graph = &s->view;
    } else if (own_outputs) {
        QZI_TRY(qzi_session_view(s->graph, options->outputs, options->output_count, &s->view));
        s->graph = &s->view;
    }
    s->threads = options->threads != 0 ? options->threads : qz_context_threads(s->ctx);
    for (size_t i = 0; i < s->graph->input_count && i < QZI_STAGE_COUNT; i++)
        QZI_TRY(qzi_exec_create(s->packed, s->graph, s->threads, &s->exec[i]));
    QZI_TRY(qzi_session_detect_create(s));
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
    qzi_session_detect_destroy(session);
    for (size_t i = 0; i < QZI_STAGE_COUNT; i++)
        qzi_exec_destroy(session->exec[i]);
    qzi_segments_clear(session);
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

/* Whether images of both shapes go into one tensor. */
static bool same_image(const qz_tensor *a, const qz_tensor *b)
{
    return a->ndim == b->ndim &&
           memcmp(a->dims + 1, b->dims + 1, (size_t)(a->ndim - 1) * sizeof(a->dims[0])) == 0;
}

static qz_status fetch_output(qz_session *s, size_t index, turn which)
{
    qz_tensor *tensor = &s->out_tensor[index], shape;
    QZI_TRY(qzi_exec_output_shape(s->exec[0], index, &shape));
    if (which.at > 0 && !same_image(&shape, tensor))
        s->mixed = true;
    const turn place = s->mixed ? (turn){0, 1} : which;
    const size_t one = (size_t)qz_tensor_numel(&shape);
    size_t all;
    if (!qzi_mul_size(one, place.count, &all))
        return qzi_fail_memory(s->ctx, SIZE_MAX);
    if (place.at == 0)
        QZI_TRY(qzi_buffer_reserve(s->ctx, &s->out[index], all, sizeof(float)));
    *tensor = shape;
    tensor->data = s->out[index].data;
    float *to = (float *)tensor->data + place.at * one;
    qzi_exec_output(s->exec[0], index, to);
    if (index == 0 && which.count > 1 && qzi_is_segmenter(s->model))
        QZI_TRY(qzi_segments_add(s, which.at, to, &shape));
    tensor->dims[0] *= (int64_t)place.count;
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
    if (which.at == 0) {
        s->mixed = false;
        qzi_segments_clear(s);
    }
    for (size_t i = 0; i < s->graph->output_count; i++)
        QZI_TRY(fetch_output(s, i, which));
    s->inputs[0] = (qzi_shape){(int32_t)n, (int32_t)h, (int32_t)w, qzi_model_channels(s->model)};
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
    if (session->detect)
        return qzi_session_detect_tensor(session, input);
    session->source_w = session->source_h = 0;
    QZI_TRY(qzi_exec_run(session->exec[0], input, 1, false));
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
    int32_t width, height; /* checked, before anything is made */
    QZI_TRY(qz_preprocess_size(s->ctx, &s->recipe, in->width, in->height, &width, &height));
    QZI_TRY(qzi_preprocess_crop(s->ctx, in, &s->recipe, &crop));
    const qzi_byte_image image = {.rows = crop.rows,
                                  .stride = crop.stride,
                                  .h = crop.out_height,
                                  .w = crop.out_width,
                                  .left = crop.left,
                                  .top = crop.top,
                                  .columns = crop.width,
                                  .rows_in = crop.height,
                                  .table = (const uint8_t(*)[256])s->table};
    qz_status st = qzi_exec_run_image(s->exec[0], &image);
    qzi_free(s->ctx, crop.resized);
    return st == QZ_OK ? finish(s, 1, image.h, image.w, which) : st;
}

static qz_status run_rgb(qz_session *s, const char *function, const qzi_pixels *in, turn which)
{
    const qz_preprocess *recipe = &s->recipe;
    qzi_qparams q;
    s->ran = false;
    s->source_w = in->width;
    s->source_h = in->height;
    QZI_TRY(qzi_model_takes_rgb(s->model, function));
    if (s->detect) {
        QZI_TRY(qzi_check_pixels(s->ctx, function, in));
        const qzi_detect_image image = {
            .rgb = in->rgb, .stride = in->stride, .width = in->width, .height = in->height};
        return qzi_session_detect_run(s, &image, which.at, which.count);
    }
    QZI_TRY(qzi_preprocess_check(s->ctx, function, in, recipe));
    if (!s->has_table && qzi_exec_takes_bytes(s->exec[0], &q))
        s->has_table = make_table(s, q);
    if (s->has_table)
        return run_bytes(s, in, which);
    int32_t width, height;
    QZI_TRY(qz_preprocess_size(s->ctx, recipe, in->width, in->height, &width, &height));
    qz_tensor input = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, height, width}};
    QZI_TRY(qzi_buffer_reserve(s->ctx, &s->image, (size_t)qz_tensor_numel(&input), sizeof(float)));
    input.data = s->image.data;
    QZI_TRY(qz_image_preprocess(s->ctx, in->rgb, in->width, in->height, in->stride, recipe,
                                input.data));
    QZI_TRY(qzi_exec_run(s->exec[0], &input, 1, false));
    return finish(s, 1, height, width, which);
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
    QZI_TRY(qzi_model_takes_recipe(session->model));
    QZI_TRY(qzi_preprocess_check_recipe(session->ctx, recipe));
    session->recipe = *recipe;
    session->has_table = false;
    return QZ_OK;
}

size_t qz_session_output_count(const qz_session *session)
{
    if (session && session->detect)
        return qzi_session_detect_output_count(session);
    return session ? session->graph->output_count : 0;
}

qz_status qz_session_output(const qz_session *session, size_t index, const char **name,
                            const qz_tensor **tensor)
{
    if (!session)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_session_output: session is NULL");
    if (index >= qz_session_output_count(session))
        return qzi_fail(session->ctx, QZ_ERR_ARGUMENT, "there is no output %zu; the model has %zu",
                        index, qz_session_output_count(session));
    if (session->detect)
        return qzi_session_detect_output(session, index, name, tensor);
    if (name)
        *name = session->graph->outputs[index].name;
    if (!tensor)
        return QZ_OK;
    if (!session->ran)
        return qzi_fail(session->ctx, QZ_ERR_STATE,
                        "the session has no output: it has not run, or its last run failed");
    if (session->mixed)
        return qzi_fail(session->ctx, QZ_ERR_STATE,
                        "images of several sizes have no common output; run them one by one, or "
                        "ask for their class maps (qz_session_segmentation)");
    *tensor = &session->out_tensor[index];
    return QZ_OK;
}

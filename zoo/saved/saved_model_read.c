/* SPDX-License-Identifier: MIT */
/*
 * saved_model_read.c - qz_model_open. The format is described in saved_model.h.
 *
 * The file is untrusted: every number that the model will compute with is checked here, and every
 * tensor must be one that the rebuilt graph wants, of its exact shape.
 */
#include "zoo/image/preprocess.h"
#include "zoo/model/classes.h"
#include "zoo/model/model_build.h"
#include "zoo/model/model_detect.h"
#include "zoo/model/model_graph.h"
#include "zoo/model/provenance.h"
#include "zoo/saved/saved_reader.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Fails with "damaged" where what the file says does not fit the architecture. */
static qz_status as_damaged(const qzi_saved_reader *r, qz_status st)
{
    if (st == QZ_OK || st == QZ_ERR_MEMORY)
        return st;
    return qzi_fail_prefix(r->ctx, QZ_ERR_FORMAT, "%s: damaged", r->path);
}

/* ---- metadata ---- */

static qz_status get_text(const qzi_saved_reader *r, const char *key, const char **value)
{
    *value = qz_state_dict_metadata(r->dict, key);
    if (!*value)
        return qzi_fail(r->ctx, QZ_ERR_FORMAT, "%s: damaged: it has no %s", r->path, key);
    return QZ_OK;
}

/* The same of the user's text, which may have any bytes; in the model's arena. */
static qz_status get_escaped(const qzi_saved_reader *r, const char *key, const char **value)
{
    QZI_TRY(get_text(r, key, value));
    char *text = qzi_arena_strdup(&r->model->arena, *value);
    if (!text)
        return QZ_ERR_MEMORY;
    qzi_text_unescape(text);
    *value = text;
    return QZ_OK;
}

static qz_status fail_value(const qzi_saved_reader *r, const char *key, const char *value)
{
    return qzi_fail(r->ctx, QZ_ERR_FORMAT, "%s: damaged: %s is '%.40s'", r->path, key, value);
}

/* Plain decimal digits, from `min` to `max`, written the only way that we write them. */
static qz_status get_number(const qzi_saved_reader *r, const char *key, int32_t min, int32_t max,
                            int32_t *out)
{
    const char *text = NULL;
    int64_t value = 0;
    QZI_TRY(get_text(r, key, &text));
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
        return fail_value(r, key, text);
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (text[i] - '0');
    if (value < min || value > max)
        return fail_value(r, key, text);
    *out = (int32_t)value;
    return QZ_OK;
}

static qz_status get_flag(const qzi_saved_reader *r, const char *key, bool *out)
{
    int32_t value = 0;
    QZI_TRY(get_number(r, key, 0, 1, &value));
    *out = value != 0;
    return QZ_OK;
}

static qz_status get_hash(const qzi_saved_reader *r, const char *key, uint64_t *out)
{
    static const char hex[] = "0123456789abcdef";
    const char *text = NULL;
    uint64_t value = 0;
    QZI_TRY(get_text(r, key, &text));
    if (strlen(text) != 16 || strspn(text, hex) != 16)
        return fail_value(r, key, text);
    for (size_t i = 0; i < 16; i++)
        value = value << 4 | (uint64_t)(strchr(hex, text[i]) - hex);
    *out = value;
    return QZ_OK;
}

static qz_status get_list(const qzi_saved_reader *r, const char *key, const char *const **names,
                          size_t *count)
{
    const char *value = NULL;
    QZI_TRY(get_text(r, key, &value));
    *names = NULL;
    *count = 0;
    if (value[0] == '\0')
        return QZ_OK;
    size_t n = 1;
    for (const char *p = value; *p != '\0'; p++)
        n += *p == ',';
    char *text = qzi_arena_strdup(&r->model->arena, value);
    const char **list = qzi_arena_alloc(&r->model->arena, n * sizeof(*list));
    if (!text || !list)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        list[i] = text;
        text += strcspn(text, ",");
        if (i + 1 < n)
            *text++ = '\0';
    }
    *names = list;
    *count = n;
    return QZ_OK;
}

/* What was done beyond rounding to nearest; nothing where the keys are absent. */
static qz_status read_recipe(const qzi_saved_reader *r, qzi_qconfig *q)
{
    const char *recipe = qz_state_dict_metadata(r->dict, "recipe");
    const char *bias = qz_state_dict_metadata(r->dict, "bias_correction");
    q->recipe = QZ_RECIPE_NONE;
    q->bias_correction = QZ_BIAS_CORRECTION_NONE;
    if (recipe && (!qz_recipe_parse(recipe, &q->recipe) || q->recipe <= QZ_RECIPE_NONE))
        return fail_value(r, "recipe", recipe);
    if (bias && (!qz_bias_correction_parse(bias, &q->bias_correction) ||
                 q->bias_correction <= QZ_BIAS_CORRECTION_NONE))
        return fail_value(r, "bias_correction", bias);
    const char *equalize = qz_state_dict_metadata(r->dict, "equalize");
    q->equalize = QZ_EQUALIZATION_NONE;
    if (equalize && (!qz_equalization_parse_word(equalize, &q->equalize, &q->equalize_alpha) ||
                     q->equalize <= QZ_EQUALIZATION_NONE))
        return fail_value(r, "equalize", equalize);
    qzi_equalization_word(q->equalize, q->equalize_alpha, r->model->equalize);
    const char *rounding = qz_state_dict_metadata(r->dict, "rounding");
    q->rounding = QZ_ROUNDING_NEAREST;
    if (rounding &&
        (!qz_rounding_parse(rounding, &q->rounding) || q->rounding != QZ_ROUNDING_ADAROUND))
        return fail_value(r, "rounding", rounding);
    const char *bits = qz_state_dict_metadata(r->dict, "weight_bits");
    q->weight_bits = !bits ? 8 : strcmp(bits, "7") == 0 ? 7 : strcmp(bits, "4") == 0 ? 4 : 0;
    return q->weight_bits ? QZ_OK : fail_value(r, "weight_bits", bits);
}

/* Which format the backend's models have. */
static qz_status check_edition(const qzi_saved_reader *r)
{
    const qzi_qconfig *q = &r->model->qconfig;
    const char *format = qz_state_dict_metadata(r->dict, "format");
    const bool channels = strcmp(format, QZI_SAVED_FORMAT_CHANNELS) == 0;
    if (channels == qzi_qconfig_by_channel(q))
        return QZ_OK;
    if (channels)
        return fail_value(r, "format", format);
    return qzi_fail(r->ctx, QZ_ERR_UNSUPPORTED,
                    "%s: of backend %s in format %s, whose arithmetic is no more; quantize the "
                    "model again",
                    r->path, q->backend->name, format);
}

static qz_status read_qconfig(const qzi_saved_reader *r)
{
    qzi_qconfig *q = &r->model->qconfig;
    const char *text = NULL;
    qz_backend backend = QZ_BACKEND_AUTO;
    QZI_TRY(get_text(r, "backend", &text));
    if (!qz_backend_parse(text, &backend) || backend == QZ_BACKEND_AUTO)
        return fail_value(r, "backend", text);
    q->backend = qzi_backend_get(backend);
    QZI_TRY(get_flag(r, "imported", &q->imported));
    QZI_TRY(get_text(r, "observer", &text));
    if (q->imported ? text[0] != '\0'
                    : !qz_observer_parse_word(text, &q->observer, &q->percentile) ||
                          q->observer == QZ_OBSERVER_DEFAULT)
        return fail_value(r, "observer", text);
    QZI_TRY(check_edition(r));
    qzi_observer_word(q->observer, q->percentile, r->model->observer);
    QZI_TRY(get_flag(r, "per_channel", &q->per_channel));
    QZI_TRY(get_flag(r, "reduce_range", &q->reduce_range));
    QZI_TRY(read_recipe(r, q));
    QZI_TRY(get_list(r, "exclude", &q->exclude, &q->exclude_count));
    return get_list(r, "fallback", &q->fallback, &q->fallback_count);
}

static qz_status read_origin(const qzi_saved_reader *r)
{
    qz_model *m = r->model;
    const char *text = NULL;
    int32_t images = 0, synthetic = 0, missing = 0;
    QZI_TRY(get_escaped(r, "weights", &m->origin.weights));
    if (strchr(m->origin.weights, '/'))
        return fail_value(r, "weights", m->origin.weights);
    QZI_TRY(get_flag(r, "random", &m->origin.random));
    QZI_TRY(get_number(r, "missing", 0, INT32_MAX, &missing));
    m->origin.missing = (size_t)missing;
    QZI_TRY(get_hash(r, "weights_hash", &m->origin.hash));
    QZI_TRY(get_number(r, "calibration_images", 0, INT32_MAX, &images));
    if ((images == 0) != m->qconfig.imported)
        return fail_value(r, "calibration_images", images == 0 ? "0" : "not 0");
    QZI_TRY(get_number(r, "synthetic_images", 0, images, &synthetic));
    m->calibration_images = (size_t)images;
    m->synthetic_images = (size_t)synthetic;
    qzi_provenance_calib(m);
    QZI_TRY(get_text(r, "calib", &text));
    if (strcmp(text, m->calib) != 0)
        return fail_value(r, "calib", text);
    return get_hash(r, "calibration_hash", &m->calibration_hash);
}

/* ---- tensors ---- */

/* A tensor, copied into memory of its own. Elements have the type's natural alignment there. */
static qz_status copy_tensor(qzi_saved_reader *r, const char *name, const char *leaf,
                             qz_dtype dtype, int32_t ndim, const int64_t *dims, void **out)
{
    const qz_tensor *tensor = NULL;
    QZI_TRY(qzi_saved_tensor(r, name, leaf, dtype, ndim, dims, &tensor));
    size_t bytes = (size_t)qz_tensor_numel(tensor) * qz_dtype_size(dtype);
    void *data = qzi_alloc(r->ctx, bytes);
    if (!data)
        return QZ_ERR_MEMORY;
    memcpy(data, tensor->data, bytes);
    *out = data;
    return QZ_OK;
}

static qz_status read_interpolation(qzi_saved_reader *r, qz_interpolation *interpolation)
{
    const char *text = NULL;
    QZI_TRY(get_text(r, "interpolation", &text));
    for (int i = 0; i < QZ_INTERPOLATION_COUNT; i++)
        if (strcmp(text, qz_interpolation_name((qz_interpolation)i)) == 0) {
            *interpolation = (qz_interpolation)i;
            return QZ_OK;
        }
    return fail_value(r, "interpolation", text);
}

static qz_status read_preprocess(qzi_saved_reader *r)
{
    qz_preprocess *p = &r->model->preprocess;
    const qz_tensor *mean = NULL, *std = NULL;
    const int64_t three = 3;
    const int32_t largest = 1 << 14;
    QZI_TRY(get_number(r, "resize", 0, largest, &p->resize));
    QZI_TRY(get_number(r, "crop_h", 0, largest, &p->crop_h));
    QZI_TRY(get_number(r, "crop_w", 0, largest, &p->crop_w));
    QZI_TRY(get_number(r, "resize_h", 0, largest, &p->resize_h));
    QZI_TRY(get_number(r, "resize_w", 0, largest, &p->resize_w));
    QZI_TRY(get_flag(r, "bgr", &p->bgr));
    QZI_TRY(read_interpolation(r, &p->interpolation));
    QZI_TRY(qzi_saved_tensor(r, "preprocess.mean", NULL, QZ_F32, 1, &three, &mean));
    QZI_TRY(qzi_saved_tensor(r, "preprocess.std", NULL, QZ_F32, 1, &three, &std));
    memcpy(p->mean, mean->data, sizeof(p->mean));
    memcpy(p->std, std->data, sizeof(p->std));
    qzi_preprocess_usual(p, &r->model->input_h, &r->model->input_w);
    if (r->model->arch->detector)
        qzi_model_detection_size(r->model);
    r->model->own_preprocess = true;
    return as_damaged(r, qzi_preprocess_check_recipe(r->ctx, p));
}

/* A file that names another architecture than it has: the number of values differs. */
static qz_status check_network(const qzi_saved_reader *r)
{
    const size_t count = r->model->graph->node_count;
    const qz_tensor *scales = qz_state_dict_find(r->dict, "activation.scale");
    if (!scales || scales->ndim != 1 || (size_t)scales->dims[0] == count)
        return QZ_OK; /* what else is wrong is found where it is read */
    return qzi_fail(r->ctx, QZ_ERR_FORMAT,
                    "%s: damaged: it says arch %s, which has %zu values, but it has %lld", r->path,
                    r->model->arch->info.name, count, (long long)scales->dims[0]);
}

static qz_status read_converted(qzi_saved_reader *r)
{
    qz_model *m = r->model;
    qzi_value_q *values = qzi_calloc(r->ctx, m->graph->node_count, sizeof(*values));
    if (!values)
        return QZ_ERR_MEMORY;
    qz_status st = qzi_saved_read_values(r, values);
    if (st == QZ_OK)
        st = as_damaged(r, qzi_convert_structure(m->graph, &m->qconfig, values, &m->int8_graph));
    qzi_free(r->ctx, values);
    return st;
}

static qz_status fail_numbers(const qzi_saved_reader *r, const char *name, const char *what)
{
    return qzi_fail(r->ctx, QZ_ERR_FORMAT, "%s: damaged: numbers out of range in %s of %s", r->path,
                    what, name);
}

/* Fills the node's empty qweights; what was allocated stays the node's when this fails. */
static qz_status read_qweights(qzi_saved_reader *r, qzi_node *node)
{
    const qzi_conv2d_attr *conv = &node->u.conv;
    const int64_t oc = conv->oc, dims[4] = {oc, conv->ic / conv->groups, conv->kh, conv->kw};
    const int64_t transposed[4] = {conv->ic, oc / conv->groups, conv->kh, conv->kw};
    const bool transpose = node->op == QZI_OP_CONV_TRANSPOSE2D;
    const int32_t ndim = node->op == QZI_OP_LINEAR ? 2 : 4;
    qzi_qweights *qw = node->qw;
    void *data = NULL;
    QZI_TRY(
        copy_tensor(r, node->name, "weight", QZ_S8, ndim, transpose ? transposed : dims, &data));
    qw->w = data;
    QZI_TRY(copy_tensor(r, node->name, "weight_scale", QZ_F32, 1, &oc, &data));
    qw->scales = data;
    QZI_TRY(copy_tensor(r, node->name, "bias", QZ_S32, 1, &oc, &data));
    qw->bias = data;
    QZI_TRY(copy_tensor(r, node->name, "bias_f32", QZ_F32, 1, &oc, &data));
    qw->bias_f32 = data;
    qw->per_channel = r->model->qconfig.per_channel;
    for (int32_t i = 0; i < conv->oc; i++) {
        if (!isfinite(qw->scales[i]) || qw->scales[i] <= 0.0f)
            return fail_numbers(r, node->name, "weight_scale");
        if (qw->bias[i] <= -QZI_SAVED_BIAS_LIMIT || qw->bias[i] >= QZI_SAVED_BIAS_LIMIT)
            return fail_numbers(r, node->name, "bias");
        if (!isfinite(qw->bias_f32[i]))
            return fail_numbers(r, node->name, "bias_f32");
    }
    return QZ_OK;
}

/* A parameter of a node that stayed float. */
static qz_status read_param(qzi_saved_reader *r, const qzi_node *node, int which)
{
    if (node->param[which] < 0)
        return QZ_OK;
    qzi_param *param = &r->model->int8_graph->params[node->param[which]];
    void *data = NULL;
    if (param->optional || param->tensor.data)
        return QZ_OK;
    QZI_TRY(
        copy_tensor(r, param->key, NULL, QZ_F32, param->tensor.ndim, param->tensor.dims, &data));
    param->tensor.data = data;
    int64_t count = qz_tensor_numel(&param->tensor);
    const float *values = data;
    bool variance = which == QZI_P_VAR;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]) || (variance && values[i] < 0.0f))
            return fail_numbers(r, param->key, "the values");
    return QZ_OK;
}

static qz_status read_node(qzi_saved_reader *r, qzi_node *node)
{
    if (node->tables) {
        const int64_t dims[2] = {(int64_t)node->in_count, 256};
        const qz_tensor *tables = NULL;
        QZI_TRY(qzi_saved_tensor(r, node->name, "table", QZ_U8, 2, dims, &tables));
        memcpy(node->tables, tables->data, node->in_count * 256);
    }
    if (qzi_op_has_weights(node->op) && node->dtype == QZ_U8) {
        if (!node->qw)
            node->qw = qzi_calloc(r->ctx, 1, sizeof(*node->qw));
        return node->qw ? read_qweights(r, node) : QZ_ERR_MEMORY;
    }
    for (int which = 0; which < QZI_P_COUNT; which++)
        QZI_TRY(read_param(r, node, which));
    return QZ_OK;
}

/* ---- the whole ---- */

static qz_status read_activation(const qzi_saved_reader *r, qz_activation *activation)
{
    const char *text = qz_state_dict_metadata(r->dict, "activation");
    for (int act = QZ_ACT_NONE + 1; text && act < QZ_ACT_COUNT; act++)
        if (strcmp(text, qzi_act_name((qz_activation)act)) == 0)
            *activation = (qz_activation)act;
    return text && *activation == QZ_ACT_NONE ? fail_value(r, "activation", text) : QZ_OK;
}

static qz_status read_norm_eps(qzi_saved_reader *r)
{
    uint64_t bits = 0;
    const char *text = qz_state_dict_metadata(r->dict, "norm_eps");
    if (!text)
        return QZ_OK;
    QZI_TRY(get_hash(r, "norm_eps", &bits));
    const uint32_t low = (uint32_t)bits;
    memcpy(&r->model->norm_eps, &low, sizeof(low));
    const bool right = low == bits && isfinite(r->model->norm_eps) && r->model->norm_eps > 0.0f;
    return right ? QZ_OK : fail_value(r, "norm_eps", text);
}

static qz_status read_anchors(qzi_saved_reader *r)
{
    const qzi_detector *detector = r->model->arch->detector;
    const int64_t dims[3] = {3, 3, 2};
    const qz_tensor *tensor = NULL;
    if (!detector || detector->kind != QZI_DETECTOR_YOLO)
        return QZ_OK;
    QZI_TRY(qzi_saved_tensor(r, "anchors", NULL, QZ_F32, 3, dims, &tensor));
    memcpy(r->model->anchors, tensor->data, sizeof(r->model->anchors));
    const float *values = &r->model->anchors[0][0][0];
    for (int i = 0; i < 18; i++)
        if (!(values[i] > 0.0f && isfinite(values[i])))
            return fail_numbers(r, "anchors", "the values");
    return QZ_OK;
}

static qz_status read_structure(qzi_saved_reader *r)
{
    qz_model *m = r->model;
    qzi_build_options build = {0};
    bool fused = false;
    QZI_TRY(get_number(r, "num_classes", 1, INT32_MAX, &build.num_classes));
    QZI_TRY(get_flag(r, "transform_input", &build.transform_input));
    QZI_TRY(get_flag(r, "no_aux_logits", &build.no_aux_logits));
    if (qz_state_dict_metadata(r->dict, "zero_eps"))
        QZI_TRY(get_flag(r, "zero_eps", &build.zero_eps));
    QZI_TRY(read_activation(r, &build.activation));
    QZI_TRY(read_norm_eps(r));
    QZI_TRY(get_flag(r, "relu", &m->relu));
    QZI_TRY(get_flag(r, "fused", &fused));
    QZI_TRY(read_qconfig(r));
    if (m->arch->detector) {
        const char *settings = NULL;
        QZI_TRY(get_text(r, "detection", &settings));
        QZI_TRY(as_damaged(r, qzi_model_detection_parse(m, settings)));
    }
    QZI_TRY(read_preprocess(r));
    QZI_TRY(read_anchors(r));
    if (!m->graph) /* else the application's own */
        QZI_TRY(as_damaged(r, qzi_model_build(m, &build)));
    else if (build.num_classes != m->num_classes || build.transform_input || build.no_aux_logits)
        return fail_value(r, "num_classes", qz_state_dict_metadata(r->dict, "num_classes"));
    const char *classes = NULL;
    QZI_TRY(get_escaped(r, "classes", &classes));
    QZI_TRY(as_damaged(r, qzi_classes_split(m, classes)));
    if (m->relu)
        qzi_replace_relu6(m->graph);
    QZI_TRY(as_damaged(r, fused ? qzi_model_fuse(m) : qzi_model_divide(m)));
    QZI_TRY(check_network(r));
    return read_converted(r);
}

static qz_status read_model(qzi_saved_reader *r)
{
    qz_model *m = r->model;
    QZI_TRY(read_structure(r));
    QZI_TRY(read_origin(r));
    for (size_t i = 0; i < m->int8_graph->node_count; i++)
        QZI_TRY(read_node(r, &m->int8_graph->nodes[i]));
    size_t count = qz_state_dict_count(r->dict);
    if (r->used != count)
        return qzi_fail(r->ctx, QZ_ERR_FORMAT,
                        "%s: damaged: it has %zu tensors, the model only %zu", r->path, count,
                        r->used);
    QZI_TRY(as_damaged(r, qzi_graph_verify(m->int8_graph)));
    QZI_TRY(qzi_model_measure(m));
    m->prepared = true;
    /* Only the structure: there are no float weights behind it. */
    qz_graph_destroy(m->graph);
    m->graph = NULL;
    return QZ_OK;
}

static qz_status check_format(qz_context *ctx, const char *path, const qz_state_dict *dict)
{
    const char *format = qz_state_dict_metadata(dict, "format");
    size_t family = strlen(QZI_SAVED_FORMAT_FAMILY);
    if (!format || strncmp(format, QZI_SAVED_FORMAT_FAMILY, family) != 0)
        return qzi_fail(ctx, QZ_ERR_FORMAT,
                        "%s: not a saved int8 model; weights are given with a model's name", path);
    if (strcmp(format, QZI_SAVED_FORMAT) != 0 && strcmp(format, QZI_SAVED_FORMAT_CHANNELS) != 0)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: written in format %.40s, this version reads " QZI_SAVED_FORMAT
                        " and " QZI_SAVED_FORMAT_CHANNELS "; quantize the model again",
                        path, format);
    return QZ_OK;
}

/* Reads the file into an empty model, which a failure destroys. */
static qz_status finish_model(qzi_saved_reader *r, qz_model **model)
{
    const qz_status st = read_model(r);
    if (st == QZ_OK)
        *model = r->model;
    else
        qz_model_destroy(r->model);
    return st;
}

static qz_status open_dict(qz_context *ctx, const char *path, const qz_state_dict *dict,
                           qz_model **model)
{
    const char *name = qz_state_dict_metadata(dict, "arch");
    QZI_TRY(check_format(ctx, path, dict));
    if (qz_state_dict_metadata(dict, "graph"))
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: its network '%.64s' was built by an application, which opens it by "
                        "qz_model_open_graph",
                        path, name ? name : "");
    const qzi_arch *arch = name ? qzi_arch_get(name) : NULL;
    if (!arch)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED, "%s: this version has no architecture '%.64s'",
                        path, name ? name : "");
    qzi_saved_reader r = {.ctx = ctx, .path = path, .dict = dict};
    QZI_TRY(qzi_model_alloc(ctx, arch, &r.model));
    return finish_model(&r, model);
}

static qz_status open_from(qz_context *context, const char *path,
                           const qz_state_dict_options *options, qz_model **model)
{
    qz_state_dict *dict = NULL;
    if (model)
        *model = NULL;
    if (!context || !path || !model)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_model_open: context, path or model is NULL");
    QZI_TRY(qz_state_dict_open(context, path, options, &dict));
    qz_status st = open_dict(context, path, dict, model);
    qz_state_dict_destroy(dict);
    return st;
}

/* ---- of an application's graph ---- */

/* Takes the graph, after a failure too. */
static qz_status open_own(qz_context *ctx, const char *path, const qz_state_dict *dict,
                          qz_graph *graph, qz_model **model)
{
    qzi_saved_reader r = {.ctx = ctx, .path = path, .dict = dict};
    qz_preprocess size = {.std = {1.0f, 1.0f, 1.0f}}; /* the whole recipe is read later */
    const char *name = NULL;
    uint64_t hash = 0;
    qz_status st = check_format(ctx, path, dict);
    if (st == QZ_OK && !qz_state_dict_metadata(dict, "graph"))
        st = qzi_fail(ctx, QZ_ERR_MISMATCH,
                      "%s: its network is of the zoo; open it by qz_model_open", path);
    if (st == QZ_OK)
        st = get_hash(&r, "graph", &hash);
    if (st == QZ_OK)
        st = get_text(&r, "arch", &name);
    if (st == QZ_OK)
        st = get_number(&r, "crop_h", 0, QZI_IMAGE_SIDE_MAX, &size.crop_h);
    if (st == QZ_OK)
        st = get_number(&r, "crop_w", 0, QZI_IMAGE_SIDE_MAX, &size.crop_w);
    if (st != QZ_OK) {
        qz_graph_destroy(graph);
        return st;
    }
    st = qzi_model_own_graph(ctx, name, graph, &size, &r.model);
    if (st != QZ_OK)
        return qzi_fail_prefix(ctx, st, "%s", path);
    if (hash == r.model->graph_hash)
        return finish_model(&r, model);
    qz_model_destroy(r.model);
    return qzi_fail(ctx, QZ_ERR_MISMATCH,
                    "%s: the graph is another one than that of '%.64s' in the file", path, name);
}

qz_status qz_model_open_graph(qz_context *context, const char *path, qz_graph *graph,
                              qz_model **model)
{
    qz_state_dict *dict = NULL;
    if (model)
        *model = NULL;
    if (!context || !path || !graph || !model) {
        qz_graph_destroy(graph);
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_model_open_graph: context, path, graph or model is NULL");
    }
    qz_status st = qz_state_dict_load(context, path, &dict);
    if (st == QZ_OK)
        st = open_own(context, path, dict, graph, model);
    else
        qz_graph_destroy(graph);
    qz_state_dict_destroy(dict);
    return st;
}

qz_status qz_model_open(qz_context *context, const char *path, qz_model **model)
{
    return open_from(context, path, NULL, model);
}

qz_status qz_model_open_memory(qz_context *context, const void *bytes, size_t size,
                               const char *name, qz_model **model)
{
    qz_state_dict_options options = QZ_STATE_DICT_OPTIONS_INIT;
    options.bytes = bytes ? bytes : "";
    options.byte_count = bytes ? size : 0;
    return open_from(context, name, &options, model);
}

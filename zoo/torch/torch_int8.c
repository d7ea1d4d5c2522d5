/* SPDX-License-Identifier: MIT */
/*
 * torch_int8.c - makes a converted model of an int8 model that PyTorch made (torch_int8.h): finds
 * the form, checks numbers and shapes, and attaches the weights.
 */
#include "zoo/torch/torch_int8.h"
#include "zoo/model/keys.h"
#include "zoo/model/model_build.h"
#include "zoo/model/weights_load.h"
#include "zoo/torch/torch_import.h"

#include <string.h>

/* ---- telling the form ---- */

static bool is_qat(const qz_state_dict *dict)
{
    for (size_t i = 0; i < qz_state_dict_count(dict); i++)
        if (qzi_ends_with(qz_state_dict_key(dict, i), ".weight_fake_quant.scale"))
            return true;
    return false;
}

bool qzi_torch_is_int8(const qz_state_dict *dict)
{
    for (size_t i = 0; i < qz_state_dict_count(dict); i++)
        if (qz_state_dict_quant(dict, i))
            return true;
    return is_qat(dict);
}

/* ---- making the model ---- */

static qz_status check_options(const qz_model *model, const char *path,
                               const qz_model_options *options)
{
    const char *what = NULL;
    if (options->backend != QZ_BACKEND_AUTO && options->backend != QZ_BACKEND_FBGEMM &&
        options->backend != QZ_BACKEND_QNNPACK)
        what = "a backend that PyTorch does not have";
    else if (options->observer != QZ_OBSERVER_DEFAULT)
        what = "an observer";
    else if (options->reduce_range)
        what = "reduce_range";
    else if (options->per_channel || options->per_tensor)
        what = "a choice of weight scales";
    else if (options->weight_bits != 0)
        what = "weight_bits";
    else if (options->recipe > QZ_RECIPE_NONE ||
             options->bias_correction > QZ_BIAS_CORRECTION_NONE ||
             options->rounding > QZ_ROUNDING_NEAREST || options->iterations != 0 ||
             options->equalize > QZ_EQUALIZATION_NONE)
        what = "a recipe";
    else if (options->skip_fuse)
        what = "an unfused network";
    else if (options->exclude_count > 0 || options->fallback_count > 0 || options->float_heads)
        what = "layers in fp32";
    else if (options->allow_missing)
        what = "missing parameters";
    if (!what)
        return QZ_OK;
    return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                    "%s: an int8 model, whose parameters are settled; it does not go with %s", path,
                    what);
}

/* Parameters of int8 nodes that are no convolutions: batch norm that torch did not fold. */
static qz_status load_params(const qzi_torch_import *import, qzi_node *node)
{
    qz_graph *graph = import->model->int8_graph;
    for (int which = 0; which < QZI_P_COUNT; which++) {
        if (node->param[which] < 0)
            continue;
        qzi_param *param = &graph->params[node->param[which]];
        if (param->optional || param->tensor.data)
            continue;
        const qz_tensor *found = qz_state_dict_find(import->dict, param->key);
        if (!found)
            return qzi_torch_fail_missing(import, param->key);
        QZI_TRY(qzi_weights_load_param(import->model, graph, (size_t)node->param[which], found,
                                       import->path));
    }
    return QZ_OK;
}

static qz_status make_weights(const qzi_torch_import *import, const qzi_torch_weights *from,
                              qzi_node *node)
{
    const qz_model *model = import->model;
    const qzi_conv2d_attr *conv = &node->u.conv;
    const int64_t per = (int64_t)(conv->ic / conv->groups) * conv->kh * conv->kw;
    const float sx = model->int8_graph->nodes[node->in[0]].q.scale;
    const int8_t *w = from->w;
    int8_t *quantized = NULL;
    if (!w) {
        size_t count = (size_t)per * (size_t)conv->oc;
        quantized = qzi_alloc(model->ctx, count);
        if (!quantized)
            return QZ_ERR_MEMORY;
        qzi_fpenv env = qzi_fpenv_enter();
        for (int32_t o = 0; o < conv->oc; o++)
            qzi_quantize_s8(from->w_f32 + o * per, quantized + o * per, per, from->scales[o]);
        qzi_fpenv_leave(env);
        w = quantized;
    }
    qz_status st = qzi_qweights_take(model->ctx, w, from->scales, from->bias, conv->oc, per, sx,
                                     import->per_channel, &node->qw);
    qzi_free(model->ctx, quantized);
    return st == QZ_OK ? st : qzi_fail_prefix(model->ctx, st, "%s: %s", import->path, node->name);
}

static uint64_t hash_weights(const qzi_node *node, uint64_t hash)
{
    const qzi_conv2d_attr *conv = &node->u.conv;
    const size_t oc = (size_t)conv->oc;
    const size_t per = (size_t)(conv->ic / conv->groups) * (size_t)conv->kh * (size_t)conv->kw;
    hash = qzi_fnv1a_numbers(node->qw->w, oc * per, 1, hash);
    hash = qzi_fnv1a_numbers(node->qw->scales, oc, sizeof(float), hash);
    return qzi_fnv1a_numbers(node->qw->bias_f32, oc, sizeof(float), hash);
}

static qz_status add_weights(const qzi_torch_import *import)
{
    qz_model *model = import->model;
    qz_graph *graph = model->int8_graph;
    const qzi_torch_weights *from = import->weights;
    model->origin.hash = QZI_FNV_OFFSET;
    for (size_t i = 0; i < graph->node_count; i++) {
        qzi_node *node = &graph->nodes[i];
        if (node->op == QZI_OP_QUANTIZE || node->op == QZI_OP_DEQUANTIZE)
            continue; /* borders are between the nodes, which keep their order */
        if (node->dtype == QZ_U8 && (node->op == QZI_OP_CONV2D || node->op == QZI_OP_LINEAR)) {
            QZI_TRY(make_weights(import, from, node));
            model->origin.hash = hash_weights(node, model->origin.hash);
        } else {
            QZI_TRY(load_params(import, node));
        }
        from++;
    }
    return QZ_OK;
}

/* Quantized layers of the file that the model does not have: an error, or allowed a warning. */
static qz_status check_unexpected(const qzi_torch_import *import, bool allowed)
{
    qz_model *model = import->model;
    const char *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < qz_state_dict_count(import->dict); i++) {
        if (!qz_state_dict_quant(import->dict, i))
            continue;
        const void *data = qz_state_dict_tensor(import->dict, i)->data;
        const char *key = qz_state_dict_key(import->dict, i);
        bool used = false;
        for (size_t n = 0; n < model->graph->node_count && !used; n++)
            used = import->weights[n].w == data;
        /* auxiliary heads are in the files of googlenet and inception_v3 and run only in training
         */
        if (used || (model->arch->has_aux_logits &&
                     (strncmp(key, "aux", 3) == 0 || strncmp(key, "AuxLogits", 9) == 0)))
            continue;
        first = first ? first : key;
        count++;
    }
    if (count == 0)
        return QZ_OK;
    if (!allowed)
        return qzi_fail(model->ctx, QZ_ERR_MISMATCH,
                        "%s: %zu unexpected keys, which %s does not have, the first is %s; is this "
                        "a file of another network? options.allow_unexpected leaves them out",
                        import->path, count, model->arch->info.name, first);
    char *text = qzi_format(model->ctx, "%zu quantized tensors that the model lacks (%s%s)", count,
                            first, count > 1 ? ", …" : "");
    qz_status st = text ? qzi_keys_printable(model, text, &model->origin.warning) : QZ_ERR_MEMORY;
    qzi_free(model->ctx, text);
    QZI_TRY(st);
    model->origin.warning_count = count;
    qzi_log(model->ctx, QZ_LOG_WARNING, "%s: %s", import->path, model->origin.warning);
    return QZ_OK;
}

static qz_status read_form(qzi_torch_import *import, bool qat)
{
    const qz_model *model = import->model;
    const char *code = qz_state_dict_metadata(import->dict, QZ_METADATA_TORCHSCRIPT);
    qzi_decision *decisions = NULL;
    QZI_TRY(qzi_decide(model->graph, &model->qconfig, &decisions));
    qz_status st = qat    ? qzi_torch_read_qat(import, decisions)
                   : code ? qzi_torch_read_script(import, decisions, code)
                          : qzi_torch_read_keys(import, decisions);
    qzi_decisions_free(model->graph, decisions);
    return st;
}

static qz_status import_model(qzi_torch_import *import, const qz_model_options *options)
{
    qz_model *model = import->model;
    const bool qat = is_qat(import->dict);
    QZI_TRY(check_options(model, import->path, options));
    /* PyTorch's backends decide alike, by the ops alone; the weights show which backend it is */
    model->qconfig = (qzi_qconfig){.backend = qzi_backend_get(QZ_BACKEND_FBGEMM),
                                   .imported = true,
                                   .recipe = QZ_RECIPE_NONE,
                                   .bias_correction = QZ_BIAS_CORRECTION_NONE,
                                   .rounding = QZ_ROUNDING_NEAREST,
                                   .weight_bits = 8,
                                   .equalize = QZ_EQUALIZATION_NONE};
    qzi_equalization_word(QZ_EQUALIZATION_NONE, 0.0, model->equalize);
    if (qat)
        QZI_TRY(qzi_torch_load_qat(import));
    qzi_replace_relu6(model->graph); /* torchvision's quantizable models have no ReLU6 */
    model->relu = true;
    QZI_TRY(qzi_model_fuse(model));
    const size_t n = model->graph->node_count;
    import->observed = qzi_arena_alloc(&import->arena, n * sizeof(*import->observed));
    import->weights = qzi_arena_alloc(&import->arena, n * sizeof(*import->weights));
    if (!import->observed || !import->weights)
        return QZ_ERR_MEMORY;
    QZI_TRY(read_form(import, qat));
    qz_backend backend = options->backend;
    if (backend == QZ_BACKEND_AUTO)
        backend = model->origin.backend;
    if (backend == QZ_BACKEND_AUTO)
        backend = import->per_channel ? QZ_BACKEND_FBGEMM : QZ_BACKEND_QNNPACK;
    model->qconfig.backend = qzi_backend_get(backend);
    model->qconfig.per_channel = import->per_channel;
    QZI_TRY(
        qzi_convert_structure(model->graph, &model->qconfig, import->observed, &model->int8_graph));
    QZI_TRY(add_weights(import));
    QZI_TRY(qzi_graph_verify(model->int8_graph));
    return check_unexpected(import, options->allow_unexpected);
}

qz_status qzi_torch_load(qz_model *model, const qz_state_dict *dict, const char *path,
                         const qz_model_options *options)
{
    qzi_torch_import import = {.model = model, .dict = dict, .path = path};
    qzi_arena_init(&import.arena, model->ctx);
    qz_status st = import_model(&import, options);
    if (st == QZ_OK)
        st = qzi_model_measure(model);
    qzi_arena_free(&import.arena);
    if (st != QZ_OK)
        return st;
    model->prepared = true;
    /* There is no float network to compare with: of a converted file none ever was, and the weights
     * of a trained one only make sense with the fake quantization that they were trained with. */
    qz_graph_destroy(model->graph);
    model->graph = NULL;
    return QZ_OK;
}

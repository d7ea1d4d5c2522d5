/* SPDX-License-Identifier: MIT */
/*
 * weights_darknet.c - darknet's .weights file as a state dict of a network.
 *
 * The file has no names. Its numbers are those of the convolutions, in the order of the .cfg: of
 * one with a batch norm bias, weight, running mean and variance, then the convolution's weight; of
 * one without, bias and weight. The order of the graph is that of the .cfg, but for the heads,
 * which ultralytics gathers at the end of YOLOv3: in the .cfg each follows the convolution that it
 * reads.
 */
#include "zoo/model/weights_darknet.h"

#include "weights/bytes.h"
#include "weights/state_dict.h"
#include "zoo/model/model_build.h"

#include <inttypes.h>
#include <string.h>

#define EPS 1e-5f          /* of darknet's batch norms */
#define MAX_CLASSES 100000 /* more is a file of something else */
#define ANCHORS 3
#define BOX_ROWS 5 /* of an anchor: x y w h, objectness */

/* A convolution and what follows it; `norm` NULL: a head. */
typedef struct layer {
    const qzi_node *conv, *norm;
} layer;

typedef struct division {
    qz_model *model;
    const char *path;
    layer *layers; /* in the file's order */
    size_t count;
    const qz_tensor *numbers;
    int32_t classes;
    qz_state_dict *out;
} division;

/* Numbers of files that people mistake for those of YOLOv3 and YOLOv4, with 80 classes. */
static const struct {
    int64_t count;
    const char *name;
} others[] = {
    {62001757, "yolov3"},      {64429405, "yolov4"},     {8858734, "yolov3-tiny"},
    {63052381, "yolov3-spp"},  {6062814, "yolov4-tiny"}, {50983561, "yolov2"},
    {11237145, "yolov2-tiny"},
};

/* ---- the order of the layers ---- */

static const qzi_node *norm_of(const qz_graph *graph, size_t conv)
{
    for (size_t i = conv + 1; i < graph->node_count; i++)
        if (graph->nodes[i].op == QZI_OP_BATCH_NORM2D && graph->nodes[i].in[0] == (qz_value)conv)
            return &graph->nodes[i];
    return NULL;
}

/* The convolution whose output, normed and activated, a head reads. */
static const qzi_node *source_of(const qz_graph *graph, const qzi_node *head)
{
    const qzi_node *node = head;
    do
        node = node->in_count > 0 ? &graph->nodes[node->in[0]] : NULL;
    while (node && node->op != QZI_OP_CONV2D);
    return node;
}

static qz_status order_layers(division *d)
{
    const qz_graph *graph = d->model->graph;
    layer *all = qzi_calloc(d->model->ctx, 2 * graph->node_count, sizeof(*all));
    size_t count = 0;
    if (!all)
        return QZ_ERR_MEMORY;
    d->layers = all + graph->node_count;
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == QZI_OP_CONV2D)
            all[count++] = (layer){&graph->nodes[i], norm_of(graph, i)};
    for (size_t i = 0; i < count; i++) {
        if (!all[i].norm)
            continue;
        d->layers[d->count++] = all[i];
        for (size_t k = 0; k < count; k++)
            if (!all[k].norm && source_of(graph, all[k].conv) == all[i].conv)
                d->layers[d->count++] = all[k];
    }
    memmove(all, d->layers, d->count * sizeof(*all));
    d->layers = all;
    return QZ_OK;
}

/* ---- how many numbers ---- */

static int64_t rows_of(const layer *l, int32_t classes)
{
    return l->norm ? l->conv->u.conv.oc : ANCHORS * (BOX_ROWS + (int64_t)classes);
}

/* Of a row: those of the weight, and what a norm or bias has. */
static int64_t row_size(const layer *l)
{
    const qzi_conv2d_attr *c = &l->conv->u.conv;
    return (int64_t)c->ic / c->groups * c->kh * c->kw + (l->norm ? 4 : 1);
}

static int64_t numbers_of(const division *d, size_t layers, int32_t classes)
{
    int64_t count = 0;
    for (size_t i = 0; i < layers; i++)
        count += rows_of(&d->layers[i], classes) * row_size(&d->layers[i]);
    return count;
}

/* The classes for which the file has the right size; those of the model where there are none. */
static int32_t find_classes(const division *d, int64_t have)
{
    const int64_t none = numbers_of(d, d->count, 0), each = numbers_of(d, d->count, 1) - none;
    const int64_t rest = have - none;
    if (rest <= 0 || each == 0 || rest % each != 0 || rest / each > MAX_CLASSES)
        return d->model->num_classes;
    return (int32_t)(rest / each);
}

/* Layers at whose end the file ends; 0: at none's. */
static size_t find_end(const division *d, int64_t have)
{
    for (size_t i = d->count; i > 0; i--)
        if (numbers_of(d, i, d->classes) == have)
            return i;
    return 0;
}

static qz_status fail_size(const division *d, int64_t have)
{
    const char *name = d->model->arch->info.name;
    const int64_t need = numbers_of(d, d->count, d->classes);
    for (size_t i = 0; i < QZI_ARRAY_LEN(others); i++)
        if (others[i].count == have)
            return qzi_fail(d->model->ctx, QZ_ERR_MISMATCH,
                            "%s: holds %" PRId64
                            " numbers, as a file of %s; %s with %d classes has %" PRId64,
                            d->path, have, others[i].name, name, (int)d->classes, need);
    return qzi_fail(d->model->ctx, QZ_ERR_MISMATCH,
                    "%s: holds %" PRId64 " numbers, but %s with %d classes has %" PRId64
                    "; is it whole, and a file of %s?",
                    d->path, have, name, (int)d->classes, need, name);
}

static qz_status fail_part(const division *d, int64_t have, size_t end)
{
    const qzi_detector *detector = d->model->arch->detector;
    const bool known = end == (size_t)detector->darknet.backbone_convs;
    return qzi_fail(d->model->ctx, QZ_ERR_MISMATCH,
                    "%s: holds %" PRId64 " numbers of the %" PRId64
                    " of %s: only the first %zu of its %zu convolutions%s%s%s; "
                    "options.allow_missing would fill the others at random",
                    d->path, have, numbers_of(d, d->count, d->classes), d->model->arch->info.name,
                    end, d->count, known ? ", as " : "", known ? detector->darknet.backbone : "",
                    known ? " has" : "");
}

/* ---- the state dict ---- */

static qz_status add(division *d, const qzi_node *node, int which, int64_t rows, int64_t *at)
{
    const qzi_param *param = qzi_node_param(d->model->graph, node, which);
    if (!param)
        return QZ_OK;
    qzi_raw_tensor raw = {.dtype = QZ_F32,
                          .ndim = param->tensor.ndim,
                          .data = (const uint8_t *)((const float *)d->numbers->data + *at),
                          .big_endian = QZI_BIG_ENDIAN == 1};
    memcpy(raw.dims, param->tensor.dims, sizeof(raw.dims));
    raw.dims[0] = rows;
    qzi_raw_set_dense(&raw);
    int64_t count = 1;
    for (int32_t i = 0; i < raw.ndim; i++)
        count *= raw.dims[i];
    *at += count;
    return qzi_dict_add(d->out, param->key, strlen(param->key), &raw);
}

/* A counter that no file of darknet's has: zero. */
static qz_status add_batches(division *d, const qzi_node *norm, const uint8_t *zero)
{
    const qzi_param *param = qzi_node_param(d->model->graph, norm, QZI_P_BATCHES);
    if (!param)
        return QZ_OK;
    return qzi_dict_add(
        d->out, param->key, strlen(param->key),
        &(qzi_raw_tensor){.dtype = QZ_S64, .data = zero, .big_endian = QZI_BIG_ENDIAN == 1});
}

static qz_status add_layer(division *d, const layer *l, const uint8_t *zero, int64_t *at)
{
    static const int of_norm[] = {QZI_P_BIAS, QZI_P_WEIGHT, QZI_P_MEAN, QZI_P_VAR};
    const int64_t rows = rows_of(l, d->classes);
    for (size_t i = 0; l->norm && i < QZI_ARRAY_LEN(of_norm); i++)
        QZI_TRY(add(d, l->norm, of_norm[i], rows, at));
    if (l->norm)
        QZI_TRY(add_batches(d, l->norm, zero));
    else
        QZI_TRY(add(d, l->conv, QZI_P_BIAS, rows, at));
    return add(d, l->conv, QZI_P_WEIGHT, rows, at);
}

static qz_status add_layers(division *d, size_t count)
{
    uint8_t *zero = NULL;
    int64_t at = 0;
    d->out->budget = SIZE_MAX; /* the file itself was charged */
    QZI_TRY(qzi_dict_block(d->out, sizeof(int64_t), &zero));
    memset(zero, 0, sizeof(int64_t));
    for (size_t i = 0; i < count; i++)
        QZI_TRY(add_layer(d, &d->layers[i], zero, &at));
    QZI_TRY(qzi_dict_seal(d->out));
    d->out->name = NULL;
    return QZ_OK;
}

static qz_status divide(division *d, const qz_model_options *options)
{
    const int64_t have = d->numbers->dims[0];
    QZI_TRY(order_layers(d));
    d->classes = options->num_classes == 0 ? find_classes(d, have) : d->model->num_classes;
    const size_t end = find_end(d, have);
    if (end == 0)
        return fail_size(d, have);
    if (end < d->count && !options->allow_missing)
        return fail_part(d, have, end);
    QZI_TRY(qzi_dict_new(d->model->ctx, d->path, &d->out));
    QZI_TRY(add_layers(d, end));
    d->model->detection.decode = QZ_YOLO_DECODE_DARKNET;
    qzi_model_set_norm_eps(d->model, EPS);
    return QZ_OK;
}

/* What weights/formats/darknet.c makes, also where it was converted to another format. */
static const qz_tensor *numbers_in(const qz_state_dict *dict)
{
    const qz_tensor *header = qz_state_dict_find(dict, "header");
    const qz_tensor *seen = qz_state_dict_find(dict, "seen");
    const qz_tensor *numbers = qz_state_dict_find(dict, "weights");
    const bool is = dict->count == 3 && header && seen && numbers && header->dtype == QZ_S32 &&
                    header->ndim == 1 && header->dims[0] == 3 && numbers->dtype == QZ_F32 &&
                    numbers->ndim == 1;
    return is ? numbers : NULL;
}

qz_status qzi_weights_darknet(qz_model *model, const qz_state_dict *dict,
                              const qz_model_options *options, qz_state_dict **layers)
{
    division d = {.model = model, .path = model->origin.path, .numbers = numbers_in(dict)};
    const qzi_detector *detector = model->arch->detector;
    *layers = NULL;
    if (!d.numbers)
        return QZ_OK;
    if (!detector || !detector->darknet.backbone)
        return qzi_fail(model->ctx, QZ_ERR_MISMATCH,
                        "%s: is a file of darknet, which yolov3 and yolov4 have and %s has not",
                        d.path, model->arch->info.name);
    qz_status st = divide(&d, options);
    qzi_free(model->ctx, d.layers);
    if (st == QZ_OK)
        *layers = d.out;
    else
        qz_state_dict_destroy(d.out);
    return st;
}

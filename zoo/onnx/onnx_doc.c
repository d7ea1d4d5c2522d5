/* SPDX-License-Identifier: MIT */
/* onnx_doc.c - an ONNX model under construction. */
#include "zoo/onnx/onnx_doc.h"

#include "weights/bytes.h"

#include <stdio.h>
#include <string.h>

enum { ATTRIBUTES_MAX = 8 };

#define MICROSOFT "com.microsoft."

void qzi_onnx_doc_init(qzi_onnx_doc *doc, const qz_context *ctx)
{
    *doc = (qzi_onnx_doc){.ctx = ctx};
    qzi_arena_init(&doc->arena, ctx);
}

void qzi_onnx_doc_free(qzi_onnx_doc *doc)
{
    qzi_onnx_list *lists[] = {&doc->nodes, &doc->tensors, &doc->inputs, &doc->outputs,
                              &doc->metadata};
    for (size_t i = 0; i < QZI_ARRAY_LEN(lists); i++)
        qzi_free(doc->ctx, lists[i]->items);
    qzi_arena_free(&doc->arena);
}

void *qzi_onnx_alloc(qzi_onnx_doc *doc, size_t count, size_t size)
{
    size_t bytes = 0;
    void *memory = NULL;
    if (doc->status != QZ_OK)
        return NULL;
    if (qzi_mul_size(count, size, &bytes))
        memory = qzi_arena_alloc(&doc->arena, QZI_MAX(bytes, (size_t)1));
    else
        (void)qzi_fail_memory(doc->ctx, SIZE_MAX);
    if (!memory)
        doc->status = QZ_ERR_MEMORY;
    return memory;
}

const char *qzi_onnx_text(qzi_onnx_doc *doc, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = qzi_onnx_alloc(doc, (size_t)QZI_MAX(length, 0) + 1, 1);
    if (!text)
        return "";
    va_start(args, fmt);
    vsnprintf(text, (size_t)QZI_MAX(length, 0) + 1, fmt, args);
    va_end(args);
    return text;
}

static void append(qzi_onnx_doc *doc, qzi_onnx_list *list, void *item)
{
    if (doc->status == QZ_OK)
        doc->status =
            qzi_grow(doc->ctx, &list->items, &list->capacity, list->count, sizeof(*list->items));
    if (doc->status == QZ_OK)
        list->items[list->count++] = item;
}

/* protobuf-c's strings are not const, but only read. */
static char *text_of(const char *text)
{
    return (char *)text;
}

/* ---- nodes ---- */

QziOnnx__NodeProto *qzi_onnx_node(qzi_onnx_doc *doc, const char *op, const char *name,
                                  const char *out, const char *const *in, size_t in_count)
{
    QziOnnx__NodeProto *node = qzi_onnx_alloc(doc, 1, sizeof(*node));
    char **names = qzi_onnx_alloc(doc, in_count + 2, sizeof(*names)); /* two outputs at most */
    if (!names)
        return &doc->scratch;
    qzi_onnx__node_proto__init(node);
    for (size_t i = 0; i < in_count; i++)
        names[i] = text_of(in[i]);
    names[in_count] = text_of(out);
    node->n_input = in_count;
    node->input = names;
    node->n_output = 1;
    node->output = names + in_count;
    node->name = text_of(name);
    node->op_type = text_of(op);
    if (strncmp(op, MICROSOFT, strlen(MICROSOFT)) == 0) {
        node->domain = text_of("com.microsoft");
        node->op_type = text_of(op + strlen(MICROSOFT));
        doc->microsoft = true;
    }
    append(doc, &doc->nodes, node);
    return node;
}

const char *qzi_onnx_second_output(QziOnnx__NodeProto *node, const char *out)
{
    if (node->n_output == 1) /* else it is the node of a poisoned document */
        node->output[node->n_output++] = text_of(out);
    return out;
}

/*
 * What the standard takes for an attribute that is absent (ai.onnx 13 to 21, com.microsoft 1), of
 * the attributes that are written here. Lists have it for each entry. Required attributes, and
 * those whose default follows from the input (kernel_shape, Transpose's perm), are not here.
 */
static const struct {
    const char *op, *attribute; /* op NULL: of all ops that have it */
    double value;
} defaults[] = {
    {"DequantizeLinear", "axis", 1},
    {"Flatten", "axis", 1},
    {"HardSigmoid", "alpha", 0.2},
    {"HardSigmoid", "beta", 0.5},
    {"LayerNormalization", "axis", -1},
    {NULL, "channels_last", 0},
    {NULL, "count_include_pad", 0},
    {NULL, "dilations", 1},
    {NULL, "epsilon", 1e-5},
    {NULL, "group", 1},
    {NULL, "keepdims", 1},
    {NULL, "output_padding", 0},
    {NULL, "pads", 0},
    {NULL, "strides", 1},
    {NULL, "transB", 0},
};

/* Whether the standard's default of the node's attribute is `value`, as float32. */
static bool is_default(const qzi_onnx_doc *doc, const QziOnnx__NodeProto *node, const char *name,
                       float value)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(defaults) && doc->status == QZ_OK; i++)
        if (strcmp(defaults[i].attribute, name) == 0 &&
            (!defaults[i].op || strcmp(defaults[i].op, node->op_type) == 0))
            return (float)defaults[i].value == value;
    return false;
}

static QziOnnx__AttributeProto *add_attribute(qzi_onnx_doc *doc, QziOnnx__NodeProto *node,
                                              const char *name,
                                              QziOnnx__AttributeProto__AttributeType type)
{
    QziOnnx__AttributeProto *a = qzi_onnx_alloc(doc, 1, sizeof(*a));
    if (a && !node->attribute)
        node->attribute = qzi_onnx_alloc(doc, ATTRIBUTES_MAX, sizeof(*node->attribute));
    if (doc->status != QZ_OK)
        return NULL;
    if (node->n_attribute == ATTRIBUTES_MAX) {
        doc->status = qzi_fail(doc->ctx, QZ_ERR_INTERNAL, "%s: too many attributes", node->name);
        return NULL;
    }
    qzi_onnx__attribute_proto__init(a);
    a->name = text_of(name);
    a->has_type = 1;
    a->type = type;
    node->attribute[node->n_attribute++] = a;
    return a;
}

void qzi_onnx_attr_int(qzi_onnx_doc *doc, QziOnnx__NodeProto *node, const char *name, int64_t v)
{
    if (is_default(doc, node, name, (float)v))
        return;
    QziOnnx__AttributeProto *a =
        add_attribute(doc, node, name, QZI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (!a)
        return;
    a->has_i = 1;
    a->i = v;
}

void qzi_onnx_attr_text(qzi_onnx_doc *doc, QziOnnx__NodeProto *node, const char *name,
                        const char *text)
{
    QziOnnx__AttributeProto *a =
        add_attribute(doc, node, name, QZI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    if (!a)
        return;
    a->has_s = 1;
    a->s.len = strlen(text);
    a->s.data = (uint8_t *)text_of(text);
}

void qzi_onnx_attr_float(qzi_onnx_doc *doc, QziOnnx__NodeProto *node, const char *name, float v)
{
    if (is_default(doc, node, name, v))
        return;
    QziOnnx__AttributeProto *a =
        add_attribute(doc, node, name, QZI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (!a)
        return;
    a->has_f = 1;
    a->f = v;
}

void qzi_onnx_attr_ints(qzi_onnx_doc *doc, QziOnnx__NodeProto *node, const char *name,
                        const int64_t *v, size_t count)
{
    size_t same = 0;
    while (same < count && is_default(doc, node, name, (float)v[same]))
        same++;
    if (same == count)
        return;
    QziOnnx__AttributeProto *a =
        add_attribute(doc, node, name, QZI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *copy = qzi_onnx_alloc(doc, count, sizeof(*copy));
    if (!a || !copy)
        return;
    memcpy(copy, v, count * sizeof(*copy));
    a->n_ints = count;
    a->ints = copy;
}

/* ---- tensors ---- */

static int32_t element_type(qz_dtype dtype)
{
    switch (dtype) {
    case QZ_F32:
        return QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    case QZ_F16:
        return QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    case QZ_U8:
        return QZI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8;
    case QZ_S8:
        return QZI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8;
    case QZ_S32:
        return QZI_ONNX__TENSOR_PROTO__DATA_TYPE__INT32;
    case QZ_S64:
        return QZI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
    default:
        return QZI_ONNX__TENSOR_PROTO__DATA_TYPE__UNDEFINED;
    }
}

const char *qzi_onnx_tensor(qzi_onnx_doc *doc, const char *name, qz_dtype dtype, int32_t ndim,
                            const int64_t *dims, const void *data)
{
    QziOnnx__TensorProto *t = qzi_onnx_alloc(doc, 1, sizeof(*t));
    int64_t *own = qzi_onnx_alloc(doc, (size_t)ndim, sizeof(*own));
    const size_t size = qz_dtype_size(dtype);
    size_t count = 1;
    if (!own)
        return name;
    for (int32_t i = 0; i < ndim; i++) {
        own[i] = dims[i];
        count *= (size_t)dims[i]; /* of a tensor in memory: it fits */
    }
    if (QZI_BIG_ENDIAN && size > 1) {
        uint8_t *swapped = qzi_onnx_alloc(doc, count, size);
        if (!swapped)
            return name;
        qzi_copy_swapped(swapped, data, count, size);
        data = swapped;
    }
    qzi_onnx__tensor_proto__init(t);
    t->name = text_of(name);
    t->n_dims = (size_t)ndim;
    t->dims = own;
    t->has_data_type = 1;
    t->data_type = element_type(dtype);
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){.len = count * size, .data = (uint8_t *)data};
    append(doc, &doc->tensors, t);
    return name;
}

const char *qzi_onnx_numbers(qzi_onnx_doc *doc, const char *name, qz_dtype dtype, int32_t ndim,
                             const void *data, size_t count)
{
    const int64_t dims[1] = {(int64_t)count};
    void *copy = qzi_onnx_alloc(doc, count, qz_dtype_size(dtype));
    if (!copy)
        return name;
    memcpy(copy, data, count * qz_dtype_size(dtype));
    return qzi_onnx_tensor(doc, name, dtype, ndim, dims, copy);
}

bool qzi_onnx_has_tensor(const qzi_onnx_doc *doc, const char *name)
{
    for (size_t i = doc->tensors.count; i-- > 0;)
        if (strcmp(((const QziOnnx__TensorProto *)doc->tensors.items[i])->name, name) == 0)
            return true;
    return false;
}

/* ---- inputs, outputs, metadata ---- */

static void add_value(qzi_onnx_doc *doc, qzi_onnx_list *list, const char *name, qz_dtype dtype,
                      int32_t ndim, const int64_t *dims)
{
    QziOnnx__ValueInfoProto *value = qzi_onnx_alloc(doc, 1, sizeof(*value));
    QziOnnx__TypeProto *type = qzi_onnx_alloc(doc, 1, sizeof(*type));
    QziOnnx__TypeProto__Tensor *tensor = qzi_onnx_alloc(doc, 1, sizeof(*tensor));
    QziOnnx__TensorShapeProto *shape = qzi_onnx_alloc(doc, 1, sizeof(*shape));
    QziOnnx__TensorShapeProto__Dimension *dim = qzi_onnx_alloc(doc, (size_t)ndim, sizeof(*dim));
    QziOnnx__TensorShapeProto__Dimension **list_of =
        qzi_onnx_alloc(doc, (size_t)ndim, sizeof(*list_of));
    if (!list_of)
        return;
    for (int32_t i = 0; i < ndim; i++) {
        qzi_onnx__tensor_shape_proto__dimension__init(&dim[i]);
        list_of[i] = &dim[i];
        if (dims[i] > 0) {
            dim[i].value_case = QZI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim[i].dim_value = dims[i];
        } else {
            dim[i].value_case = QZI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim[i].dim_param = text_of(dims[i] == QZI_ONNX_ROIS ? "R" : "N");
        }
    }
    qzi_onnx__tensor_shape_proto__init(shape);
    shape->n_dim = (size_t)ndim;
    shape->dim = list_of;
    qzi_onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = 1;
    tensor->elem_type = element_type(dtype);
    tensor->shape = shape;
    qzi_onnx__type_proto__init(type);
    type->value_case = QZI_ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    qzi_onnx__value_info_proto__init(value);
    value->name = text_of(name);
    value->type = type;
    append(doc, list, value);
}

void qzi_onnx_input(qzi_onnx_doc *doc, const char *name, qz_dtype dtype, int32_t ndim,
                    const int64_t *dims)
{
    add_value(doc, &doc->inputs, name, dtype, ndim, dims);
}

void qzi_onnx_output(qzi_onnx_doc *doc, const char *name, qz_dtype dtype, int32_t ndim,
                     const int64_t *dims)
{
    add_value(doc, &doc->outputs, name, dtype, ndim, dims);
}

void qzi_onnx_metadata(qzi_onnx_doc *doc, const char *key, const char *value)
{
    QziOnnx__StringStringEntryProto *entry = qzi_onnx_alloc(doc, 1, sizeof(*entry));
    const size_t size = qz_text_escape(value, NULL, 0) + 1;
    char *text = qzi_onnx_alloc(doc, size, 1);
    if (!text)
        return;
    qz_text_escape(value, text, size);
    qzi_onnx__string_string_entry_proto__init(entry);
    entry->key = text_of(key);
    entry->value = text;
    append(doc, &doc->metadata, entry);
}

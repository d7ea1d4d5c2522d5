/* SPDX-License-Identifier: MIT */
/*
 * onnx_write.c - the document as a file. Tensors are streamed from where they are: a model is never
 * in memory a second time.
 */
#include "weights/bytes.h"
#include "weights/file_replace.h"
#include "zoo/onnx/onnx_doc.h"

#include <inttypes.h>
#include <string.h>

/* protobuf's limit is 2^31 - 1 bytes; the rest is room for names and nodes. */
#define INLINE_MAX (((size_t)1 << 31) - ((size_t)64 << 20))
/* Smaller tensors stay in the file beside their nodes: runtimes read shapes from them. */
#define EXTERNAL_MIN 1024
/* Where tensors begin in the data file, so that runtimes may map it. */
#define EXTERNAL_ALIGN 4096

/* ---- names ---- */

static bool name_before(const void *arg, size_t a, size_t b)
{
    const char *const *names = arg;
    return strcmp(names[a], names[b]) < 0;
}

/* Values of one graph have different names: a model's own names could meet those made here. */
static qz_status check_names(qzi_onnx_doc *doc)
{
    const size_t room = doc->inputs.count + doc->tensors.count + 2 * doc->nodes.count;
    const char **names = qzi_onnx_alloc(doc, room, sizeof(*names));
    size_t *order = qzi_onnx_alloc(doc, room, sizeof(*order));
    size_t count = 0;
    QZI_TRY(doc->status);
    for (size_t i = 0; i < doc->inputs.count; i++)
        names[count++] = ((const QziOnnx__ValueInfoProto *)doc->inputs.items[i])->name;
    for (size_t i = 0; i < doc->tensors.count; i++)
        names[count++] = ((const QziOnnx__TensorProto *)doc->tensors.items[i])->name;
    for (size_t i = 0; i < doc->nodes.count; i++) {
        const QziOnnx__NodeProto *node = doc->nodes.items[i];
        for (size_t k = 0; k < node->n_output; k++)
            names[count++] = node->output[k];
    }
    qzi_sort_indices(order, count, name_before, names);
    for (size_t i = 1; i < count; i++)
        if (!name_before(names, order[i - 1], order[i]))
            return qzi_fail(doc->ctx, QZ_ERR_INTERNAL, "two values of the ONNX graph are named %s",
                            names[order[i]]);
    return QZ_OK;
}

/* ---- the data file ---- */

static void set_entry(QziOnnx__StringStringEntryProto *entry, const char *key, const char *value)
{
    qzi_onnx__string_string_entry_proto__init(entry);
    entry->key = (char *)key;
    entry->value = (char *)value;
}

static qz_status refer(qzi_onnx_doc *doc, QziOnnx__TensorProto *tensor, const char *location,
                       uint64_t offset)
{
    QziOnnx__StringStringEntryProto *entry = qzi_onnx_alloc(doc, 3, sizeof(*entry));
    QziOnnx__StringStringEntryProto **list = qzi_onnx_alloc(doc, 3, sizeof(*list));
    const char *at = qzi_onnx_text(doc, "%" PRIu64, offset);
    const char *length = qzi_onnx_text(doc, "%zu", tensor->raw_data.len);
    QZI_TRY(doc->status);
    set_entry(&entry[0], "location", location);
    set_entry(&entry[1], "offset", at);
    set_entry(&entry[2], "length", length);
    for (size_t i = 0; i < 3; i++)
        list[i] = &entry[i];
    tensor->n_external_data = 3;
    tensor->external_data = list;
    tensor->has_data_location = 1;
    tensor->data_location = QZI_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->has_raw_data = 0;
    tensor->raw_data = (ProtobufCBinaryData){0};
    return QZ_OK;
}

static qz_status write_tensors(qzi_onnx_doc *doc, const qzi_file_replace *file,
                               const char *location)
{
    static const uint8_t zeros[EXTERNAL_ALIGN];
    uint64_t offset = 0;
    for (size_t i = 0; i < doc->tensors.count; i++) {
        QziOnnx__TensorProto *tensor = doc->tensors.items[i];
        const ProtobufCBinaryData data = tensor->raw_data;
        if (data.len < EXTERNAL_MIN)
            continue;
        const size_t gap = (size_t)((EXTERNAL_ALIGN - offset % EXTERNAL_ALIGN) % EXTERNAL_ALIGN);
        QZI_TRY(qzi_file_replace_write(file, zeros, gap));
        offset += gap;
        QZI_TRY(qzi_file_replace_write(file, data.data, data.len));
        QZI_TRY(refer(doc, tensor, location, offset));
        offset += data.len;
    }
    return QZ_OK;
}

/* ---- the model file ---- */

/* protobuf-c writes field by field; they are collected, tensors go straight through. */
typedef struct collector {
    ProtobufCBuffer base; /* first: protobuf-c hands it back */
    const qzi_file_replace *file;
    qz_status status;
    size_t used;
    uint8_t bytes[1 << 16];
} collector;

static void flush(collector *c)
{
    if (c->status == QZ_OK && c->used > 0)
        c->status = qzi_file_replace_write(c->file, c->bytes, c->used);
    c->used = 0;
}

static void collect(ProtobufCBuffer *buffer, size_t length, const uint8_t *data)
{
    collector *c = (collector *)(void *)buffer;
    if (length > sizeof(c->bytes) - c->used)
        flush(c);
    if (length > sizeof(c->bytes)) {
        if (c->status == QZ_OK)
            c->status = qzi_file_replace_write(c->file, data, length);
    } else if (length > 0) {
        memcpy(c->bytes + c->used, data, length);
        c->used += length;
    }
}

/* The IR version that came with an operator set; readers refuse a newer one than they know. */
static int64_t ir_version(int32_t opset)
{
    return opset < 15 ? 7 : opset < 19 ? 8 : opset < 21 ? 9 : 10;
}

static qz_status write_model(qzi_onnx_doc *doc, const qzi_file_replace *file,
                             const char *graph_name, int32_t opset)
{
    QziOnnx__OperatorSetIdProto sets[2];
    QziOnnx__OperatorSetIdProto *set_list[2] = {&sets[0], &sets[1]};
    for (size_t i = 0; i < 2; i++) {
        qzi_onnx__operator_set_id_proto__init(&sets[i]);
        sets[i].has_version = 1;
        sets[i].domain = (char *)(i == 0 ? "" : "com.microsoft");
        sets[i].version = i == 0 ? opset : 1;
    }
    QziOnnx__GraphProto graph;
    qzi_onnx__graph_proto__init(&graph);
    graph.name = (char *)graph_name;
    graph.n_node = doc->nodes.count;
    graph.node = (QziOnnx__NodeProto **)(void *)doc->nodes.items;
    graph.n_initializer = doc->tensors.count;
    graph.initializer = (QziOnnx__TensorProto **)(void *)doc->tensors.items;
    graph.n_input = doc->inputs.count;
    graph.input = (QziOnnx__ValueInfoProto **)(void *)doc->inputs.items;
    graph.n_output = doc->outputs.count;
    graph.output = (QziOnnx__ValueInfoProto **)(void *)doc->outputs.items;
    QziOnnx__ModelProto model;
    qzi_onnx__model_proto__init(&model);
    model.has_ir_version = 1;
    model.ir_version = ir_version(opset);
    model.producer_name = (char *)"qzoo";
    model.producer_version = (char *)qz_version();
    model.graph = &graph;
    model.n_opset_import = doc->microsoft ? 2 : 1;
    model.opset_import = set_list;
    model.n_metadata_props = doc->metadata.count;
    model.metadata_props = (QziOnnx__StringStringEntryProto **)(void *)doc->metadata.items;
    collector *c = qzi_onnx_alloc(doc, 1, sizeof(*c));
    if (!c)
        return doc->status;
    c->base.append = collect;
    c->file = file;
    protobuf_c_message_pack_to_buffer(&model.base, &c->base);
    flush(c);
    return c->status;
}

/* ---- both ---- */

static size_t tensor_bytes(const qzi_onnx_doc *doc)
{
    size_t bytes = 0;
    for (size_t i = 0; i < doc->tensors.count; i++)
        bytes += ((const QziOnnx__TensorProto *)doc->tensors.items[i])->raw_data.len;
    return bytes;
}

qz_status qzi_onnx_doc_write(qzi_onnx_doc *doc, const char *path, const char *graph_name,
                             int32_t opset, bool external)
{
    qzi_file_replace model = {.fd = -1}, data = {.fd = -1};
    const char *data_path = qzi_onnx_text(doc, "%s.data", path);
    const char *slash = strrchr(data_path, '/');
    qz_status st = doc->status;
    if (st == QZ_OK)
        st = check_names(doc);
    external = external || tensor_bytes(doc) > INLINE_MAX;
    if (st == QZ_OK && external && !qz_text_is_utf8(slash ? slash : data_path))
        st = qzi_fail(doc->ctx, QZ_ERR_ARGUMENT,
                      "%s: the name of a file with external data must be UTF-8", path);
    if (st == QZ_OK && external)
        st = qzi_file_replace_open(doc->ctx, data_path, &data);
    if (st == QZ_OK && external)
        st = write_tensors(doc, &data, slash ? slash + 1 : data_path);
    if (st == QZ_OK)
        st = qzi_file_replace_open(doc->ctx, path, &model);
    if (st == QZ_OK)
        st = write_model(doc, &model, graph_name, opset);
    /* the data first: a model file never refers to what is not there */
    if (st == QZ_OK && external)
        st = qzi_file_replace_commit(&data);
    if (st == QZ_OK)
        st = qzi_file_replace_commit(&model);
    qzi_file_replace_discard(&data);
    qzi_file_replace_discard(&model);
    return st;
}

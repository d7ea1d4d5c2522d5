/* SPDX-License-Identifier: MIT */
/*
 * onnx_doc.h - an ONNX model under construction: nodes, tensors, inputs and outputs, in order.
 * Private.
 *
 * The first failure (of memory) poisons the document, as it does a graph: later calls do nothing,
 * and qzi_onnx_doc_write reports it. Functions that return text then return "".
 */
#ifndef QZOO_ZOO_ONNX_ONNX_DOC_H
#define QZOO_ZOO_ONNX_ONNX_DOC_H

#include "layers/base/base.h"

#include <onnx.pb-c.h>

typedef struct qzi_onnx_list {
    void **items;
    size_t count, capacity;
} qzi_onnx_list;

typedef struct qzi_onnx_doc {
    const qz_context *ctx;
    qzi_arena arena; /* everything but the lists and the tensors' data */
    qz_status status;
    qzi_onnx_list nodes, tensors, inputs, outputs, metadata;
    bool microsoft;             /* a node of com.microsoft is there */
    QziOnnx__NodeProto scratch; /* what a poisoned document hands out */
} qzi_onnx_doc;

void qzi_onnx_doc_init(qzi_onnx_doc *doc, const qz_context *ctx);
void qzi_onnx_doc_free(qzi_onnx_doc *doc);

/* Formatted text that lives as long as the document. */
const char *qzi_onnx_text(qzi_onnx_doc *doc, const char *fmt, ...) QZ_PRINTF(2, 3);
/* Zeroed memory that lives as long; NULL when poisoned. */
void *qzi_onnx_alloc(qzi_onnx_doc *doc, size_t count, size_t size);

/*
 * A node with one output. op: "Conv", or "com.microsoft.QGemm". An input "" is an absent one.
 * Texts are kept, not copied. Never NULL.
 */
QziOnnx__NodeProto *qzi_onnx_node(qzi_onnx_doc *doc, const char *op, const char *name,
                                  const char *out, const char *const *in, size_t in_count);
/* Gives the node a second output. Returns `out`. */
const char *qzi_onnx_second_output(QziOnnx__NodeProto *node, const char *out);
#define QZI_ONNX_NODE(doc, op, name, out, ...)                                    \
    qzi_onnx_node((doc), (op), (name), (out), (const char *const[]){__VA_ARGS__}, \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/*
 * Attributes. One that has the standard's default is left out, as PyTorch's exporter leaves out
 * HardSigmoid's beta: OpenCV 5 reads that attribute wrongly where it is written.
 */
void qzi_onnx_attr_int(qzi_onnx_doc *doc, QziOnnx__NodeProto *node, const char *name, int64_t v);
void qzi_onnx_attr_float(qzi_onnx_doc *doc, QziOnnx__NodeProto *node, const char *name, float v);
void qzi_onnx_attr_ints(qzi_onnx_doc *doc, QziOnnx__NodeProto *node, const char *name,
                        const int64_t *v, size_t count);
void qzi_onnx_attr_text(qzi_onnx_doc *doc, QziOnnx__NodeProto *node, const char *name,
                        const char *text);

/* An initializer; `data` must outlive the document and is not copied. Returns `name`. */
const char *qzi_onnx_tensor(qzi_onnx_doc *doc, const char *name, qz_dtype dtype, int32_t ndim,
                            const int64_t *dims, const void *data);
/* The same of a few numbers, copied; ndim 0 (count 1) is a scalar, else they are a row. */
const char *qzi_onnx_numbers(qzi_onnx_doc *doc, const char *name, qz_dtype dtype, int32_t ndim,
                             const void *data, size_t count);
/* Whether there is an initializer of that name. */
bool qzi_onnx_has_tensor(const qzi_onnx_doc *doc, const char *name);

/* Inputs and outputs of the graph. A dim may be any number: 0 is the symbol N, QZI_ONNX_ROIS the
 * symbol R. */
#define QZI_ONNX_ROIS (-1)
void qzi_onnx_input(qzi_onnx_doc *doc, const char *name, qz_dtype dtype, int32_t ndim,
                    const int64_t *dims);
void qzi_onnx_output(qzi_onnx_doc *doc, const char *name, qz_dtype dtype, int32_t ndim,
                     const int64_t *dims);
/* The value is copied, as UTF-8 by qz_text_escape. */
void qzi_onnx_metadata(qzi_onnx_doc *doc, const char *key, const char *value);

/* The file; with `external`, or above 2 GB, large tensors go to <path>.data beside it. */
qz_status qzi_onnx_doc_write(qzi_onnx_doc *doc, const char *path, const char *graph_name,
                             int32_t opset, bool external);

#endif

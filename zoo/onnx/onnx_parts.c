/* SPDX-License-Identifier: MIT */
/* onnx_parts.c - nodes that no node of the graph stands for. */
#include "zoo/onnx/onnx_parts.h"

static const char *named(const qzi_onnx_part *p, const char *name)
{
    return qzi_onnx_text(&p->e->doc, "%s.%s", p->prefix, name);
}

static QziOnnx__NodeProto *node_of(const qzi_onnx_part *p, const char *op, const char *name,
                                   const char *const *in, size_t count, const char **out)
{
    *out = named(p, name);
    return qzi_onnx_node(&p->e->doc, op, *out, *out, in, count);
}

const char *qzi_part1(const qzi_onnx_part *p, const char *op, const char *name, const char *a)
{
    return qzi_part3(p, op, name, a, NULL, NULL);
}

const char *qzi_part2(const qzi_onnx_part *p, const char *op, const char *name, const char *a,
                      const char *b)
{
    return qzi_part3(p, op, name, a, b, NULL);
}

const char *qzi_part3(const qzi_onnx_part *p, const char *op, const char *name, const char *a,
                      const char *b, const char *c)
{
    const char *const in[3] = {a, b, c};
    const char *out;
    node_of(p, op, name, in, c ? 3 : b ? 2 : 1, &out);
    return out;
}

/* ---- constants ---- */

const char *qzi_part_row(const qzi_onnx_part *p, const char *name, const int64_t *v, size_t count)
{
    return qzi_onnx_numbers(&p->e->doc, named(p, name), QZ_S64, 1, v, count);
}

const char *qzi_part_float(const qzi_onnx_part *p, const char *name, float v)
{
    return qzi_onnx_numbers(&p->e->doc, named(p, name), QZ_F32, 0, &v, 1);
}

const char *qzi_part_int(const qzi_onnx_part *p, const char *name, int64_t v)
{
    return qzi_onnx_numbers(&p->e->doc, named(p, name), QZ_S64, 0, &v, 1);
}

/* ---- moving ---- */

/* A constant about the part `name`. */
static const char *row_of(const qzi_onnx_part *p, const char *name, const char *suffix,
                          const int64_t *v, size_t count)
{
    return qzi_part_row(p, qzi_onnx_text(&p->e->doc, "%s_%s", name, suffix), v, count);
}

const char *qzi_part_reshape(const qzi_onnx_part *p, const char *name, const char *x,
                             const int64_t *shape, size_t ndim)
{
    return qzi_part2(p, "Reshape", name, x, row_of(p, name, "shape", shape, ndim));
}

const char *qzi_part_transpose(const qzi_onnx_part *p, const char *name, const char *x,
                               const int64_t *perm, size_t ndim)
{
    const char *out;
    QziOnnx__NodeProto *made = node_of(p, "Transpose", name, &x, 1, &out);
    qzi_onnx_attr_ints(&p->e->doc, made, "perm", perm, ndim);
    return out;
}

const char *qzi_part_slice(const qzi_onnx_part *p, const char *name, const char *x, int64_t first,
                           int64_t end, int64_t axis)
{
    const char *in[4] = {x, row_of(p, name, "starts", &first, 1), row_of(p, name, "ends", &end, 1),
                         row_of(p, name, "axes", &axis, 1)};
    const char *out;
    node_of(p, "Slice", name, in, 4, &out);
    return out;
}

const char *qzi_part_gather(const qzi_onnx_part *p, const char *name, const char *x,
                            const char *indices, int64_t axis)
{
    const char *const in[2] = {x, indices};
    const char *out;
    QziOnnx__NodeProto *made = node_of(p, "Gather", name, in, 2, &out);
    if (axis != 0) /* the standard's default */
        qzi_onnx_attr_int(&p->e->doc, made, "axis", axis);
    return out;
}

const char *qzi_part_concat(const qzi_onnx_part *p, const char *name, const char *const *in,
                            size_t count, int64_t axis)
{
    const char *out;
    QziOnnx__NodeProto *made = node_of(p, "Concat", name, in, count, &out);
    qzi_onnx_attr_int(&p->e->doc, made, "axis", axis);
    return out;
}

const char *qzi_part_scatter(const qzi_onnx_part *p, const char *name, const char *x,
                             const char *indices, const char *updates)
{
    return qzi_part3(p, "ScatterElements", name, x, indices, updates);
}

const char *qzi_part_top_k(const qzi_onnx_part *p, const char *name, const char *x, int64_t k,
                           const char **indices)
{
    const char *const in[2] = {x, row_of(p, name, "k", &k, 1)};
    const char *out;
    QziOnnx__NodeProto *made = node_of(p, "TopK", name, in, 2, &out); /* the last axis, sorted */
    *indices =
        qzi_onnx_second_output(made, named(p, qzi_onnx_text(&p->e->doc, "%s_indices", name)));
    return out;
}

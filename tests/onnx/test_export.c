/* SPDX-License-Identifier: MIT */
/* test_export.c - ONNX files read back: names, shapes, bytes of tensors, half precision, what is
 * refused. */
#include "every_op.h"

/* ---- names, shapes, bytes ---- */

static void check_dims(const QziOnnx__ValueInfoProto *value, const char *name, size_t count,
                       const int64_t *dims)
{
    const QziOnnx__TensorShapeProto *shape = value->type->tensor_type->shape;
    assert_string_equal(value->name, name);
    assert_int_equal(shape->n_dim, count);
    assert_string_equal(shape->dim[0]->dim_param, "N");
    for (size_t i = 1; i < count; i++)
        assert_int_equal(shape->dim[i]->dim_value, dims[i]);
}

static void test_float(void **state)
{
    static const int64_t in[4] = {0, 3, SIDE, SIDE + 1}, out[2] = {0, 7};
    fixture f = {0};
    (void)state;
    make_model(&f, QZ_BACKEND_FBGEMM, false);
    QziOnnx__ModelProto *m = export_and_read(&f, NULL);
    assert_int_equal(m->ir_version, 8);
    assert_int_equal(m->n_opset_import, 1);
    assert_int_equal(m->opset_import[0]->version, 17);
    assert_int_equal(m->graph->n_input, 1);
    assert_int_equal(m->graph->n_output, 1);
    check_dims(m->graph->input[0], "input", 4, in);
    check_dims(m->graph->output[0], "output", 2, out);
    /* every parameter of a node, under its key, with its shape and bytes */
    size_t seen = 0;
    for (size_t i = 0; i < f.model->graph->param_count; i++) {
        const qzi_param *param = &f.model->graph->params[i];
        const QziOnnx__TensorProto *t = find_tensor(m, param->key);
        if (param->optional)
            continue;
        assert_non_null(t);
        const size_t bytes = (size_t)qz_tensor_numel(&param->tensor) * sizeof(float);
        assert_int_equal(t->raw_data.len, bytes);
        assert_memory_equal(t->raw_data.data, param->tensor.data, bytes);
        seen++;
    }
    assert_in_range(seen, 20, 100);
    const QziOnnx__NodeProto *node = find_node(m, "conv2d");
    assert_non_null(node);
    assert_string_equal(node->input[1], "conv2d.weight");
    assert_string_equal(node->input[2], "conv2d.bias");
    qzi_onnx__model_proto__free_unpacked(m, NULL);
    end_model(&f);
}

static void test_int8(void **state)
{
    fixture f = {0};
    (void)state;
    make_model(&f, QZ_BACKEND_FBGEMM, true);
    qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
    options.format = QZ_ONNX_QDQ;
    options.all_outputs = true;
    QziOnnx__ModelProto *m = export_and_read(&f, &options);
    const qz_graph *g = f.model->int8_graph;
    const qzi_node *conv = &g->nodes[qzi_graph_find(g, "conv2d")];
    const QziOnnx__TensorProto *w = find_tensor(m, "conv2d.weight");
    const QziOnnx__TensorProto *scale = find_tensor(m, "conv2d.weight_scale");
    const QziOnnx__TensorProto *bias = find_tensor(m, "conv2d.bias");
    const QziOnnx__TensorProto *bias_scale = find_tensor(m, "conv2d.bias_scale");
    const float sx = g->nodes[conv->in[0]].q.scale;
    assert_non_null(w);
    assert_int_equal(w->data_type, QZI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8);
    assert_int_equal(w->n_dims, 4);
    assert_int_equal(w->raw_data.len, 8 * 3 * 3 * 3);
    assert_memory_equal(w->raw_data.data, conv->qw->w, w->raw_data.len);
    assert_int_equal(scale->raw_data.len, 8 * sizeof(float));
    assert_memory_equal(scale->raw_data.data, conv->qw->scales, scale->raw_data.len);
    assert_int_equal(bias->data_type, QZI_ONNX__TENSOR_PROTO__DATA_TYPE__INT32);
    assert_memory_equal(bias->raw_data.data, conv->qw->bias, bias->raw_data.len);
    for (size_t i = 0; i < 8; i++) {
        float s;
        memcpy(&s, bias_scale->raw_data.data + i * sizeof(s), sizeof(s));
        assert_true(s == sx * conv->qw->scales[i]);
    }
    /* gelu and layer_norm are fp32 islands here: no byte of them */
    assert_non_null(find_node(m, "gelu"));
    assert_null(find_tensor(m, "gelu_scale"));
    /* bytes of every int8 value leave the graph */
    size_t bytes = 0;
    for (size_t i = 0; i < m->graph->n_output; i++)
        bytes += m->graph->output[i]->type->tensor_type->elem_type ==
                 QZI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8;
    assert_in_range(bytes, 20, 100);
    qzi_onnx__model_proto__free_unpacked(m, NULL);
    end_model(&f);
}

static void test_opsets(void **state)
{
    static const struct {
        int32_t opset, ir;
        bool hardswish, layer_norm, gelu;
    } rows[] = {{0, 8, true, true, false},   {13, 7, false, false, false},
                {14, 7, true, false, false}, {16, 8, true, false, false},
                {17, 8, true, true, false},  {20, 9, true, true, true},
                {21, 10, true, true, true}};
    fixture f = {0};
    (void)state;
    make_model(&f, QZ_BACKEND_FBGEMM, false);
    for (size_t i = 0; i < QZI_ARRAY_LEN(rows); i++) {
        qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
        options.opset = rows[i].opset;
        QziOnnx__ModelProto *m = export_and_read(&f, &options);
        check_order(m);
        assert_int_equal(m->opset_import[0]->version, rows[i].opset ? rows[i].opset : 17);
        assert_int_equal(m->ir_version, rows[i].ir);
        assert_int_equal(strcmp(find_node(m, "hardswish")->op_type, "HardSwish") == 0,
                         rows[i].hardswish);
        assert_int_equal(strcmp(find_node(m, "layer_norm")->op_type, "LayerNormalization") == 0,
                         rows[i].layer_norm);
        assert_int_equal(strcmp(find_node(m, "gelu")->op_type, "Gelu") == 0, rows[i].gelu);
        qzi_onnx__model_proto__free_unpacked(m, NULL);
    }
    end_model(&f);
}

/* ---- attributes ---- */

/* Defaults, from the standard's page of operators: integers, floats, and lists of one integer. */
static const struct {
    const char *op, *attribute;
    double value;
} standard[] = {
    {"AveragePool", "ceil_mode", 0},
    {"AveragePool", "count_include_pad", 0},
    {"AveragePool", "pads", 0},
    {"AveragePool", "strides", 1},
    {"BatchNormalization", "epsilon", 1e-5f},
    {"BatchNormalization", "momentum", 0.9f},
    {"Conv", "dilations", 1},
    {"Conv", "group", 1},
    {"Conv", "pads", 0},
    {"Conv", "strides", 1},
    {"ConvTranspose", "dilations", 1},
    {"ConvTranspose", "group", 1},
    {"ConvTranspose", "output_padding", 0},
    {"ConvTranspose", "pads", 0},
    {"ConvTranspose", "strides", 1},
    {"DequantizeLinear", "axis", 1},
    {"Flatten", "axis", 1},
    {"Gather", "axis", 0},
    {"Gemm", "alpha", 1},
    {"Gemm", "beta", 1},
    {"Gemm", "transA", 0},
    {"Gemm", "transB", 0},
    {"HardSigmoid", "alpha", 0.2f},
    {"HardSigmoid", "beta", 0.5f},
    {"InstanceNormalization", "epsilon", 1e-5f},
    {"LayerNormalization", "axis", -1},
    {"LayerNormalization", "epsilon", 1e-5f},
    {"LeakyRelu", "alpha", 0.01f},
    {"MaxPool", "ceil_mode", 0},
    {"MaxPool", "dilations", 1},
    {"MaxPool", "pads", 0},
    {"MaxPool", "storage_order", 0},
    {"MaxPool", "strides", 1},
    {"QGemm", "alpha", 1},
    {"QGemm", "transA", 0},
    {"QGemm", "transB", 0},
    {"QLinearAveragePool", "ceil_mode", 0},
    {"QLinearAveragePool", "channels_last", 0},
    {"QLinearAveragePool", "count_include_pad", 0},
    {"QLinearAveragePool", "pads", 0},
    {"QLinearAveragePool", "strides", 1},
    {"QLinearConv", "dilations", 1},
    {"QLinearConv", "group", 1},
    {"QLinearConv", "pads", 0},
    {"QLinearConv", "strides", 1},
    {"QLinearGlobalAveragePool", "channels_last", 0},
    {"QuantizeLinear", "axis", 1},
    {"ReduceL2", "keepdims", 1},
    {"ReduceMean", "keepdims", 1},
    {"Reshape", "allowzero", 0},
};

/* Attributes without a default in the standard, which are always written. */
static const char *const required[] = {
    "Cast to",
    "Concat axis",
    "QLinearConcat axis",
    "Transpose perm",
    "Conv kernel_shape",
    "MaxPool kernel_shape",
    "AveragePool kernel_shape",
    "QLinearConv kernel_shape",
    "QLinearAveragePool kernel_shape",
    "ReduceMean axes",
    "Resize coordinate_transformation_mode",
    "Resize mode",
    "Resize nearest_mode",
    "ReduceL2 axes",
    "ConvTranspose kernel_shape",
};

static bool is_value(const QziOnnx__AttributeProto *a, double value)
{
    for (size_t i = 0; i < a->n_ints; i++)
        if ((double)a->ints[i] != value)
            return false;
    return a->n_ints > 0 || (a->has_f ? (double)a->f : (double)a->i) == value;
}

static void check_attribute(const QziOnnx__NodeProto *node, const QziOnnx__AttributeProto *a)
{
    char name[80];
    snprintf(name, sizeof(name), "%s %s", node->op_type, a->name);
    for (size_t i = 0; i < QZI_ARRAY_LEN(required); i++)
        if (strcmp(name, required[i]) == 0)
            return;
    for (size_t i = 0; i < QZI_ARRAY_LEN(standard); i++)
        if (strcmp(standard[i].op, node->op_type) == 0 &&
            strcmp(standard[i].attribute, a->name) == 0) {
            if (is_value(a, standard[i].value))
                fail_msg("%s: %s has the standard's default", node->name, name);
            return;
        }
    fail_msg("%s: %s is not in the test's table", node->name, name);
}

/* No attribute has the default that the standard gives it; the others are there. */
static void test_attributes(void **state)
{
    static const int32_t opsets[] = {13, 17, 21};
    (void)state;
    for (int int8 = 0; int8 < 2; int8++) {
        fixture f = {0};
        make_model(&f, QZ_BACKEND_NATIVE, int8);
        for (size_t i = 0; i < 2 * QZI_ARRAY_LEN(opsets); i++) {
            qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
            options.opset = opsets[i / 2];
            options.format = (qz_onnx_format)(2 * int8 + (int)(i & 1));
            QziOnnx__ModelProto *m = export_and_read(&f, &options);
            size_t seen = 0;
            for (size_t n = 0; n < m->graph->n_node; n++)
                for (size_t k = 0; k < m->graph->node[n]->n_attribute; k++, seen++)
                    check_attribute(m->graph->node[n], m->graph->node[n]->attribute[k]);
            assert_in_range(seen, 10, 1000);
            const QziOnnx__NodeProto *node = find_node(m, "hardsigmoid");
            if (node && strcmp(node->op_type, "HardSigmoid") == 0) { /* native: a convolution's */
                assert_int_equal(node->n_attribute, 1);
                assert_string_equal(node->attribute[0]->name, "alpha");
                assert_true(node->attribute[0]->f == 1.0f / 6.0f);
            }
            qzi_onnx__model_proto__free_unpacked(m, NULL);
        }
        end_model(&f);
    }
}

/* ---- half precision ---- */

static float half_value(uint16_t h)
{
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    const float magnitude = exponent == 31  ? (mantissa ? NAN : INFINITY)
                            : exponent == 0 ? ldexpf((float)mantissa, -24)
                                            : ldexpf((float)(mantissa + 1024), exponent - 25);
    return h >> 15 ? -magnitude : magnitude;
}

/* Every half is itself; between two the nearer one, in the middle the even one. */
static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        const float x = half_value((uint16_t)h);
        const float next = h == 0x7bff ? 65536.0f : half_value((uint16_t)(h + 1));
        const float middle = x + (next - x) / 2;
        assert_int_equal(qzi_onnx_half(x), h);
        assert_int_equal(qzi_onnx_half(-x), h | 0x8000);
        assert_int_equal(qzi_onnx_half(middle), h & 1 ? h + 1 : h);
        assert_int_equal(qzi_onnx_half(nextafterf(middle, 0.0f)), h);
        assert_int_equal(qzi_onnx_half(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_int_equal(qzi_onnx_half(INFINITY), 0x7c00);
    assert_int_equal(qzi_onnx_half(-3e38f), 0xfc00);
    assert_int_equal(qzi_onnx_half(NAN) & 0x7fff, 0x7e00);
}

typedef struct notes {
    char text[512];
} notes;

static void note(void *user, const char *node, const char *reason)
{
    notes *n = user;
    const size_t used = strlen(n->text);
    assert_true(strstr(reason, "65504") || strstr(reason, "so small"));
    snprintf(n->text + used, sizeof(n->text) - used, "%s%s ", node,
             strstr(reason, "output loses") ? "!" : "");
}

static qz_onnx_options fp16_options(notes *n)
{
    qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
    options.format = QZ_ONNX_FP16;
    options.note = note;
    options.note_user = n;
    return options;
}

static void test_fp16(void **state)
{
    static float image[3 * SIDE * (SIDE + 1)];
    const qz_tensor images = {
        .dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIDE, SIDE + 1}, .data = image};
    fixture f = {0};
    notes n = {""};
    (void)state;
    make_model(&f, QZ_BACKEND_FBGEMM, false);
    qz_onnx_options options = fp16_options(&n);
    QziOnnx__ModelProto *m = export_and_read(&f, &options);
    check_order(m);
    assert_string_equal(n.text, "");
    assert_int_equal(find_tensor(m, "conv2d.weight")->data_type,
                     QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16);
    assert_int_equal(m->graph->input[0]->type->tensor_type->elem_type,
                     QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    qzi_onnx__model_proto__free_unpacked(m, NULL);
    /* a weight that is too large keeps its node */
    qzi_param *weight = qzi_graph_param(f.model->graph, "c5.weight");
    ((float *)weight->tensor.data)[3] = 1e5f;
    options.io_fp16 = true;
    m = export_and_read(&f, &options);
    check_order(m);
    assert_string_equal(n.text, "c5 ");
    assert_null(find_tensor(m, "c5.weight"));
    assert_int_equal(find_tensor(m, "c5.weight_float32")->data_type,
                     QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    assert_int_equal(m->graph->input[0]->type->tensor_type->elem_type,
                     QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16);
    assert_int_equal(m->graph->output[0]->type->tensor_type->elem_type,
                     QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16);
    qzi_onnx__model_proto__free_unpacked(m, NULL);
    /* on an image its value is too large, and keeps who reads it too */
    for (size_t i = 0; i < QZI_ARRAY_LEN(image); i++)
        image[i] = 1.0f;
    ((float *)qzi_graph_param(f.model->graph, "c5.bias")->tensor.data)[0] = 7e4f;
    options.images = &images;
    n.text[0] = '\0';
    m = export_and_read(&f, &options);
    check_order(m);
    assert_string_equal(n.text, "c5 sigmoid ");
    qzi_onnx__model_proto__free_unpacked(m, NULL);
    end_model(&f);
}

static void scale(fixture *f, const char *key, size_t first, size_t count, float factor)
{
    float *data = qzi_graph_param(f->model->graph, key)->tensor.data;
    for (size_t i = first; i < first + count; i++)
        data[i] *= factor;
}

static void expect_kept(fixture *f, const qz_onnx_options *options, const char *nodes)
{
    notes *n = options->note_user;
    n->text[0] = '\0';
    QziOnnx__ModelProto *m = export_and_read(f, options);
    check_order(m);
    assert_string_equal(n->text, nodes);
    qzi_onnx__model_proto__free_unpacked(m, NULL);
}

/* Weights and values that would vanish keep their node too. */
static void test_fp16_small(void **state)
{
    static float image[3 * SIDE * (SIDE + 1)];
    const qz_tensor images = {
        .dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIDE, SIDE + 1}, .data = image};
    fixture f = {0};
    notes n = {""};
    (void)state;
    make_model(&f, QZ_BACKEND_FBGEMM, false);
    qz_onnx_options options = fp16_options(&n);
    expect_kept(&f, &options, "");
    /* one output channel of 8, 64 weights: dead beside the others, lost where it is not */
    scale(&f, "c5.weight", 8, 8, 1e-9f);
    expect_kept(&f, &options, "");
    scale(&f, "c5.weight", 8, 8, 1e5f);
    expect_kept(&f, &options, "");
    scale(&f, "c5.weight", 0, 64, 1e-4f); /* the others are 1e-5: a hundred steps and more */
    expect_kept(&f, &options, "c5 ");
    scale(&f, "c5.weight", 0, 64, 1e4f);
    scale(&f, "c5.weight", 8, 8, 1e4f);
    expect_kept(&f, &options, "");
    /* a whole layer; a batch norm's mean; a factor for each channel */
    scale(&f, "c6.weight", 0, 64, 1e-7f);
    scale(&f, "c6.bias", 0, 8, 0.0f);
    scale(&f, "gamma", 0, 8, 1e-7f);
    expect_kept(&f, &options, "c6 layer_scale ");
    QziOnnx__ModelProto *m = export_and_read(&f, &options);
    assert_int_equal(find_tensor(m, "c6.weight_float32")->data_type,
                     QZI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    qzi_onnx__model_proto__free_unpacked(m, NULL);
    scale(&f, "c6.weight", 0, 64, 1e7f);
    scale(&f, "gamma", 0, 8, 1e7f);
    expect_kept(&f, &options, "");
    /* values on images, and who reads them; an output in half precision loses them */
    for (size_t i = 0; i < QZI_ARRAY_LEN(image); i++)
        image[i] = (float)(i % 7);
    options.images = &images; /* from here on its packed weights run */
    scale(&f, "linear.weight", 0, 7 * 12 * 10, 1e-10f);
    scale(&f, "linear.bias", 0, 7, 1e-10f);
    expect_kept(&f, &options, "linear ");
    options.io_fp16 = true;
    expect_kept(&f, &options, "linear! ");
    for (size_t i = 0; i < QZI_ARRAY_LEN(image); i++)
        image[i] *= 1e-8f;
    n.text[0] = '\0';
    m = export_and_read(&f, &options);
    assert_memory_equal(n.text, "input conv2d ", strlen("input conv2d "));
    qzi_onnx__model_proto__free_unpacked(m, NULL);
    end_model(&f);
}

/* ---- external data, failures ---- */

static void test_external(void **state)
{
    fixture f = {0};
    char path[80];
    size_t size = 0;
    (void)state;
    make_model(&f, QZ_BACKEND_FBGEMM, false);
    qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
    options.external_data = true;
    QziOnnx__ModelProto *m = export_and_read(&f, &options);
    snprintf(path, sizeof(path), "%s.data", f.path);
    uint8_t *data = read_whole(path, &size);
    size_t moved = 0;
    for (size_t i = 0; i < m->graph->n_initializer; i++) {
        const QziOnnx__TensorProto *t = m->graph->initializer[i];
        if (t->data_location != QZI_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
            continue;
        assert_int_equal(t->n_external_data, 3);
        assert_string_equal(t->external_data[0]->key, "location");
        assert_string_equal(t->external_data[0]->value, strrchr(path, '/') + 1);
        const size_t offset = strtoul(t->external_data[1]->value, NULL, 10);
        const size_t length = strtoul(t->external_data[2]->value, NULL, 10);
        const qzi_param *param = qzi_graph_param(f.model->graph, t->name);
        assert_non_null(param);
        assert_int_equal(offset % 4096, 0);
        assert_true(offset + length <= size);
        assert_memory_equal(data + offset, param->tensor.data, length);
        moved++;
    }
    assert_true(moved > 0);
    free(data);
    qzi_onnx__model_proto__free_unpacked(m, NULL);
    end_model(&f);
}

static void expect_refused(fixture *f, qz_status status, const char *text,
                           const qz_onnx_options *options)
{
    assert_int_equal(qz_onnx_export(f->model, f->path, options), status);
    assert_non_null(strstr(qz_context_message(f->ctx), text));
}

static void test_refused(void **state)
{
    const qz_onnx_options defaults = QZ_ONNX_OPTIONS_INIT;
    fixture f = {0};
    (void)state;
    make_model(&f, QZ_BACKEND_FBGEMM, false);
    qz_onnx_options o = defaults;
    o.opset = 12;
    expect_refused(&f, QZ_ERR_ARGUMENT, "opset 12", &o);
    o = defaults;
    o.format = QZ_ONNX_QDQ;
    expect_refused(&f, QZ_ERR_STATE, "not int8", &o);
    o.io_fp16 = true;
    expect_refused(&f, QZ_ERR_ARGUMENT, "io_fp16", &o);
    o = defaults;
    o.format = QZ_ONNX_FORMAT_COUNT;
    expect_refused(&f, QZ_ERR_ARGUMENT, "format", &o);
    o = defaults;
    o.size = 0;
    expect_refused(&f, QZ_ERR_ARGUMENT, "QZ_ONNX_OPTIONS_INIT", &o);
    o = defaults;
    o.height = o.width = 1;
    expect_refused(&f, QZ_ERR_ARGUMENT, "max_pool2d", &o);
    assert_int_equal(qz_onnx_export(f.model, "/nowhere/at/all.onnx", NULL), QZ_ERR_IO);
    assert_non_null(strstr(qz_context_message(f.ctx), "/nowhere/at/all.onnx"));
    ASSERT_OK(f.ctx, qz_model_finalize(f.model, true));
    expect_refused(&f, QZ_ERR_STATE, "dropped", NULL);
    end_model(&f);
}

/* Each allocation fails in turn: an error, nothing lost, and the old file as it was. */
static void check_memory(qz_onnx_format format, bool external)
{
    fixture f = {0};
    qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
    options.format = format;
    options.external_data = external;
    make_model(&f, QZ_BACKEND_FBGEMM, format == QZ_ONNX_QDQ || format == QZ_ONNX_QOPERATOR);
    const int64_t live = f.memory.live;
    int64_t failed = 0;
    for (int64_t n = 0; counting_fail(&f.memory, n); n++) {
        const qz_status st = qz_onnx_export(f.model, f.path, &options);
        assert_int_equal(f.memory.live, live);
        if (st == QZ_OK)
            break;
        size_t size = 0;
        assert_int_equal(st, QZ_ERR_MEMORY);
        free(read_whole(f.path, &size));
        assert_int_equal(size, 0);
        failed++;
    }
    f.memory.fail_at = -1;
    assert_in_range(failed, 10, 1000);
    end_model(&f);
}

static void test_memory(void **state)
{
    (void)state;
    check_memory(QZ_ONNX_FP32, false);
    check_memory(QZ_ONNX_FP32, true);
    check_memory(QZ_ONNX_FP16, false);
    check_memory(QZ_ONNX_QDQ, false);
    check_memory(QZ_ONNX_QOPERATOR, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float),      cmocka_unit_test(test_int8),
        cmocka_unit_test(test_opsets),     cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_half),       cmocka_unit_test(test_fp16),
        cmocka_unit_test(test_fp16_small), cmocka_unit_test(test_external),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

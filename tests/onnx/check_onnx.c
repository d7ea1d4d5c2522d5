/* SPDX-License-Identifier: MIT */
/*
 * check_onnx.c - our side of test_onnxruntime.sh.
 *
 *   check_onnx input INDEX H W FILE                   a synthetic image as raw float32
 *   check_onnx image FILE.safetensors IMAGE FILE      an image, prepared as that model wants it
 *   check_onnx values MODEL INPUT DIR [ROIS]          every value of onnxruntime's, beside ours
 *   check_onnx output MODEL INPUT OUTPUT TOLERANCE    the last output alone, relative L2
 *   check_onnx top1 FILE.safetensors INPUT OUTPUT...  the same class, if the margin exceeds a step
 *   check_onnx ops FILE.onnx                          op types and how many there are
 *   check_onnx export MODEL FORMAT SIDE WHAT FILE     a file for images of SIDE x SIDE; WHAT: raw,
 *                                                     all (every value), detections
 *
 * MODEL is a saved int8 model, or NAME[=WEIGHTS] for the fused float network.
 *
 * ROIS: raw float32, x1 y1 x2 y2 of each box, on which the later stages of a detector run.
 *
 * In int8 each node is looked at alone: after it ran, its value is replaced by onnxruntime's, so
 * that the next nodes read what onnxruntime's nodes read. A byte may then differ by one step.
 * In float the whole network is compared.
 */
#include "layers/graph/exec.h"
#include "qzoo.h"
#include "zoo/detection/outputs.h"
#include "zoo/detection/roi_align.h"
#include "zoo/model/model.h"
#include "zoo/model/model_pack.h"

#include <math.h>
#include <onnx.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOAT_TOLERANCE 1e-4

static int fail(const char *what, const char *text)
{
    fprintf(stderr, "check_onnx: %s: %s\n", what, text);
    return 1;
}

static void *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    void *data = malloc(*size ? *size : 1);
    if (data && fread(data, 1, *size, file) != *size) {
        free(data);
        data = NULL;
    }
    fclose(file);
    return data;
}

static int write_whole(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    const bool written = file && fwrite(data, 1, size, file) == size;
    if (file && fclose(file) == 0 && written)
        return 0;
    return fail(path, "cannot be written");
}

static qz_status open_model(qz_context *ctx, const char *what, qz_model **model)
{
    char name[256];
    const char *equals = strchr(what, '=');
    if (!equals && strstr(what, ".safetensors"))
        return qz_model_open(ctx, what, model);
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights = equals ? equals + 1 : NULL;
    snprintf(name, sizeof(name), "%.*s", equals ? (int)(equals - what) : 255, what);
    return qz_model_create(ctx, name, &options, model);
}

/* An image of the model's own size, or a square one. */
static qz_status read_input(const qz_model *model, const char *path, qz_tensor *input)
{
    qz_model_info info;
    size_t size = 0;
    qz_model_get_info(model, &info);
    *input = (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, info.input_h, info.input_w}};
    input->data = read_whole(path, &size);
    int64_t side = 1;
    while (input->data && side * side * 3 * (int64_t)sizeof(float) < (int64_t)size)
        side++;
    if (size != (size_t)qz_tensor_numel(input) * sizeof(float))
        input->dims[2] = input->dims[3] = side;
    if (!input->data || size != (size_t)qz_tensor_numel(input) * sizeof(float))
        return qzi_fail(model->ctx, QZ_ERR_IO, "%s: not the %dx%d image that is needed", path,
                        info.input_h, info.input_w);
    return QZ_OK;
}

/* ---- values ---- */

typedef struct op_count {
    long nodes;
    long long values, differ;
    int worst;       /* bytes: steps */
    double distance; /* floats: the largest relative L2 */
} op_count;

typedef struct comparison {
    const char *dir;
    char *index; /* lines "NUMBER NAME" */
    bool int8;
    op_count ops[QZI_OP_COUNT + QZ_ACT_COUNT];
    long bad;
} comparison;

/* The number of the file that holds a value; -1: onnxruntime gave none of that name. */
static long find_value(const comparison *c, const char *name)
{
    const size_t length = strlen(name);
    for (const char *line = c->index; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *space = strchr(line, ' ');
        if (space && strncmp(space + 1, name, length) == 0 &&
            (space[1 + length] == '\n' || space[1 + length] == '\0'))
            return strtol(line, NULL, 10);
    }
    return -1;
}

static const char *count_name(size_t i)
{
    return i < QZI_OP_COUNT ? qzi_op_name((qzi_op)i)
                            : qzi_act_name((qz_activation)(i - QZI_OP_COUNT));
}

/* Where a value of pixel p and channel ch is in theirs, N x C x H x W. */
static int64_t place(const qzk_view *v, int64_t p, int32_t ch)
{
    const int64_t pixels = (int64_t)v->h * v->w;
    return (p / pixels * v->c + ch) * pixels + p % pixels;
}

/* Bytes: counted, and replaced by theirs. */
static void compare_bytes(comparison *c, const qzi_node *node, const qzk_view *v,
                          const uint8_t *theirs, op_count *count)
{
    int worst = 0;
    for (int32_t ch = 0; ch < v->c; ch++)
        for (int64_t p = 0; p < (int64_t)v->n * v->h * v->w; p++) {
            uint8_t *ours = (uint8_t *)v->data + p * v->pixel_stride + ch;
            const uint8_t other = theirs[place(v, p, ch)];
            const int step = abs(*ours - other);
            count->differ += step > 0;
            worst = step > worst ? step : worst;
            *ours = other;
        }
    count->worst = worst > count->worst ? worst : count->worst;
    if (worst > 1) {
        c->bad++;
        printf("  %s (%s): differs by %d steps\n", node->name, qzi_op_name(node->op), worst);
    }
}

static void compare_floats(comparison *c, const qzi_node *node, const qzk_view *v,
                           const float *theirs, op_count *count)
{
    double difference = 0.0, size = 0.0;
    for (int32_t ch = 0; ch < v->c; ch++)
        for (int64_t p = 0; p < (int64_t)v->n * v->h * v->w; p++) {
            float *ours = (float *)v->data + p * v->pixel_stride + ch;
            const double other = theirs[place(v, p, ch)];
            difference += (*ours - other) * (*ours - other);
            size += other * other;
            if (c->int8)
                *ours = (float)other;
        }
    const double distance = difference > 0.0 ? sqrt(difference / size) : 0.0;
    count->distance = distance > count->distance ? distance : count->distance;
    if (!(distance <= FLOAT_TOLERANCE)) {
        c->bad++;
        printf("  %s (%s): relative L2 %.3g\n", node->name, qzi_op_name(node->op), distance);
    }
}

static qz_status compare(void *user, const qz_graph *graph, qz_value value, const qzk_view *view)
{
    comparison *c = user;
    const qzi_node *node = &graph->nodes[value];
    const bool byte = node->dtype == QZ_U8;
    const char *suffixes[] = {byte ? "_quantized" : "", "_value"};
    char name[512], path[1024];
    long number = -1;
    for (size_t i = 0; i < 2 && number < 0; i++) {
        snprintf(name, sizeof(name), "%s%s", node->name, suffixes[i]);
        number = find_value(c, name);
    }
    for (size_t i = 0; i < graph->output_count && number < 0; i++)
        if (graph->outputs[i].value == value && !byte)
            number = find_value(c, graph->outputs[i].name);
    if (number < 0) {
        /* nothing is written for these */
        if (node->op != QZI_OP_DROPOUT && node->op != QZI_OP_STOCHASTIC_DEPTH &&
            node->op != QZI_OP_DEQUANTIZE && !(node->op == QZI_OP_INPUT && !byte)) {
            printf("  %s (%s): onnxruntime gave no such value\n", node->name,
                   qzi_op_name(node->op));
            c->bad++;
        }
        return QZ_OK;
    }
    size_t size = 0;
    const size_t count = (size_t)view->n * (size_t)view->c * (size_t)view->h * (size_t)view->w;
    snprintf(path, sizeof(path), "%s/%ld", c->dir, number);
    void *theirs = read_whole(path, &size);
    if (!theirs || size != count * (byte ? 1 : sizeof(float))) {
        free(theirs);
        return qzi_fail(graph->ctx, QZ_ERR_IO, "%s: %s is not %zu values", path, name, count);
    }
    const bool table = node->op == QZI_OP_ACTIVATION;
    op_count *o = &c->ops[table ? (size_t)QZI_OP_COUNT + (size_t)node->act : (size_t)node->op];
    o->nodes++;
    o->values += (long long)count;
    if (byte)
        compare_bytes(c, node, view, theirs, o);
    else
        compare_floats(c, node, view, theirs, o);
    free(theirs);
    return QZ_OK;
}

/* ---- stages of a detector ---- */

/* Each stage on an executor of its own; the later ones on what is pooled in the boxes. */
static qz_status run_stages(const qz_model *model, const qzi_packed *packed, const qz_graph *graph,
                            comparison *c, const qz_tensor *input, const char *rois_path)
{
    const qzi_detector *d = model->arch->detector;
    qzi_exec *exec[QZI_STAGE_COUNT] = {0};
    qzi_map maps[QZI_DETECTOR_LEVELS];
    qzk_kernels kernels;
    size_t size = 0;
    void *rois = read_whole(rois_path, &size);
    const int32_t sides[QZI_STAGE_COUNT] = {0, 7, 14};
    qz_status st = rois ? QZ_OK : QZ_ERR_IO;
    qzk_init(&kernels, QZ_ISA_AUTO);
    for (size_t stage = 0; stage < graph->input_count && st == QZ_OK; stage++) {
        qzi_exec_input inputs[QZI_STAGE_COUNT] = {0};
        qzi_roi_align align = {.ctx = model->ctx,
                               .kernels = &kernels,
                               .maps = maps,
                               .levels = d->roi_levels,
                               .rois = rois,
                               .count = size / sizeof(qzi_box),
                               .size = sides[stage]};
        inputs[stage] = stage == 0 ? (qzi_exec_input){.tensor = input}
                                   : (qzi_exec_input){.fill = qzi_roi_align_fill,
                                                      .user = &align,
                                                      .n = (int32_t)align.count,
                                                      .h = sides[stage],
                                                      .w = sides[stage]};
        st = qzi_exec_create(packed, graph, 1, &exec[stage]);
        for (int32_t k = 0; k < d->roi_levels && st == QZ_OK && stage > 0; k++)
            st = qzi_detector_map(graph, exec[0], "features", k, &maps[k]);
        if (st == QZ_OK && stage > 0)
            st = qzi_roi_align_prepare(&align, (int32_t)input->dims[2], (int32_t)input->dims[3], 1);
        if (st == QZ_OK) {
            qzi_exec_set_hook(exec[stage], compare, c);
            st = qzi_exec_run_inputs(exec[stage], inputs, graph->input_count);
        }
        qzi_roi_align_release(&align);
    }
    for (size_t stage = 0; stage < QZI_STAGE_COUNT; stage++)
        qzi_exec_destroy(exec[stage]);
    free(rois);
    return st;
}

static int check_values(qz_context *ctx, char **args, const char *rois)
{
    qz_model *model = NULL;
    qz_tensor input = {0};
    qzi_exec *exec = NULL;
    const qzi_packed *packed = NULL;
    char path[1024];
    size_t size = 0;
    comparison c = {.dir = args[2]};
    snprintf(path, sizeof(path), "%s/values.txt", args[2]);
    if (!(c.index = read_whole(path, &size)))
        return fail(path, "cannot be read");
    c.index = realloc(c.index, size + 1);
    c.index[size] = '\0';
    qz_status st = open_model(ctx, args[0], &model);
    if (st == QZ_OK)
        st = read_input(model, args[1], &input);
    if (st == QZ_OK) {
        c.int8 = model->int8_graph != NULL;
        st = qzi_model_packed(model, c.int8, false, QZ_ISA_AUTO, &packed);
    }
    if (st == QZ_OK && rois)
        st = run_stages(model, packed, c.int8 ? model->int8_graph : model->graph, &c, &input, rois);
    if (st == QZ_OK && !rois)
        st = qzi_exec_create(packed, c.int8 ? model->int8_graph : model->graph, 1, &exec);
    if (st == QZ_OK && !rois) {
        qzi_exec_set_hook(exec, compare, &c);
        st = qzi_exec_run(exec, &input, 1, false);
    }
    long nodes = 0;
    for (size_t i = 0; i < QZI_ARRAY_LEN(c.ops) && st == QZ_OK; i++) {
        const op_count *o = &c.ops[i];
        nodes += o->nodes;
        if (o->differ > 0 || o->distance > FLOAT_TOLERANCE / 100)
            printf("  %-20s %4ld nodes: %lld of %lld bytes differ, by %d at most; float %.2g\n",
                   count_name(i), o->nodes, o->differ, o->values, o->worst, o->distance);
    }
    if (st == QZ_OK)
        printf("  %ld values compared, %ld bad\n", nodes, c.bad);
    int status = st != QZ_OK ? fail(args[0], qz_context_message(ctx)) : c.bad > 0 || nodes == 0;
    qzi_exec_destroy(exec);
    qz_model_destroy(model);
    free(input.data);
    free(c.index);
    return status;
}

/* ---- outputs ---- */

static qz_status run_model(qz_model *model, const char *input_path, qz_session **session,
                           const qz_tensor **output)
{
    qz_tensor input = {0};
    qz_status st = read_input(model, input_path, &input);
    if (st == QZ_OK && !*session)
        st = qz_session_create(model, NULL, session);
    if (st == QZ_OK)
        st = qz_session_run(*session, &input);
    if (st == QZ_OK)
        st = qz_session_output(*session, 0, NULL, output);
    free(input.data);
    return st;
}

static int check_output(qz_context *ctx, char **args)
{
    qz_model *model = NULL;
    qz_session *session = NULL;
    const qz_tensor *ours = NULL;
    size_t size = 0;
    float *theirs = read_whole(args[2], &size);
    qz_status st = open_model(ctx, args[0], &model);
    if (st == QZ_OK)
        st = run_model(model, args[1], &session, &ours);
    int status = st != QZ_OK ? fail(args[0], qz_context_message(ctx)) : 0;
    const size_t count = st == QZ_OK ? (size_t)qz_tensor_numel(ours) : 0;
    if (!status && (!theirs || size != count * sizeof(float)))
        status = fail(args[2], "not as many values as the model gives");
    if (!status) {
        const float *values = ours->data;
        double difference = 0.0, all = 0.0;
        for (size_t i = 0; i < count; i++) {
            difference += ((double)values[i] - theirs[i]) * ((double)values[i] - theirs[i]);
            all += (double)values[i] * values[i];
        }
        const double distance = sqrt(difference / all);
        printf("  output: relative L2 %.3g\n", distance);
        status = !(distance <= strtod(args[3], NULL));
    }
    qz_session_destroy(session);
    qz_model_destroy(model);
    free(theirs);
    return status;
}

static int check_top1(qz_context *ctx, int count, char **args)
{
    qz_model *model = NULL;
    qz_session *session = NULL;
    long images = 0, same = 0, close = 0;
    qz_status st = open_model(ctx, args[0], &model);
    int status = 0;
    for (int i = 1; i + 1 < count && st == QZ_OK && !status; i += 2) {
        const qz_tensor *ours = NULL;
        size_t size = 0;
        qz_top mine[2], other[1];
        st = run_model(model, args[i], &session, &ours);
        if (st != QZ_OK)
            break;
        const qz_graph *g = model->int8_graph;
        qz_tensor theirs = *ours;
        theirs.data = read_whole(args[i + 1], &size);
        if (!theirs.data || size != (size_t)qz_tensor_numel(ours) * sizeof(float)) {
            status = fail(args[i + 1], "not as many values as the model gives");
        } else {
            const qzi_node *last = &g->nodes[g->outputs[0].value];
            const float step = last->q.scale;
            qz_topk(ours, 0, 2, mine);
            qz_topk(&theirs, 0, 1, other);
            const bool wide = mine[0].score - mine[1].score > 1.5f * step;
            images++;
            same += mine[0].index == other[0].index;
            close += !wide;
            if (wide && mine[0].index != other[0].index) {
                printf("  %s: class %d here, %d there\n", args[i], mine[0].index, other[0].index);
                status = 1;
            }
        }
        free(theirs.data);
    }
    if (st != QZ_OK)
        status = fail(args[0], qz_context_message(ctx));
    printf("  %ld images, the same class for %ld; the margin is within a step for %ld\n", images,
           same, close);
    qz_session_destroy(session);
    qz_model_destroy(model);
    return status;
}

/* ---- inputs ---- */

static int write_input(char **args)
{
    const int32_t h = atoi(args[1]), w = atoi(args[2]);
    float *image = malloc((size_t)3 * (size_t)h * (size_t)w * sizeof(*image));
    qz_synthetic_image(atol(args[0]), h, w, image);
    int status = write_whole(args[3], image, (size_t)3 * (size_t)h * (size_t)w * sizeof(*image));
    free(image);
    return status;
}

static int write_image(qz_context *ctx, char **args)
{
    qz_model *model = NULL;
    qz_image image = {0};
    float *out = NULL;
    size_t count = 0;
    qz_status st = open_model(ctx, args[0], &model);
    if (st == QZ_OK)
        st = qz_image_load(ctx, args[1], &image);
    if (st == QZ_OK) {
        const qz_preprocess *p = &model->preprocess;
        count = (size_t)3 * (size_t)p->crop_h * (size_t)p->crop_w;
        out = malloc(count * sizeof(*out));
        st = qz_image_preprocess(ctx, image.rgb, image.width, image.height, (size_t)image.width * 3,
                                 p, out);
    }
    int status = st == QZ_OK ? write_whole(args[2], out, count * sizeof(*out))
                             : fail(args[1], qz_context_message(ctx));
    free(out);
    qz_image_free(ctx, &image);
    qz_model_destroy(model);
    return status;
}

/* ---- a file of another size ---- */

static int write_file(qz_context *ctx, char **args)
{
    qz_onnx_options options = QZ_ONNX_OPTIONS_INIT;
    qz_model *model = NULL;
    qz_status st = open_model(ctx, args[0], &model);
    if (!qz_onnx_format_parse(args[1], &options.format))
        return fail(args[1], "no format");
    options.height = options.width = (int32_t)strtol(args[2], NULL, 10);
    options.all_outputs = strcmp(args[3], "all") == 0;
    options.postprocess = strcmp(args[3], "detections") == 0;
    if (st == QZ_OK)
        st = qz_onnx_export(model, args[4], &options);
    int status = st == QZ_OK ? 0 : fail(args[0], qz_context_message(ctx));
    qz_model_destroy(model);
    return status;
}

/* ---- ops of a file ---- */

static int print_ops(char **args)
{
    size_t size = 0;
    uint8_t *bytes = read_whole(args[0], &size);
    QziOnnx__ModelProto *model = bytes ? qzi_onnx__model_proto__unpack(NULL, size, bytes) : NULL;
    free(bytes);
    if (!model || !model->graph)
        return fail(args[0], "cannot be read");
    const QziOnnx__GraphProto *graph = model->graph;
    for (size_t i = 0; i < graph->n_node; i++) {
        long count = 0;
        bool seen = false;
        for (size_t k = 0; k < graph->n_node; k++) {
            const bool same = strcmp(graph->node[i]->op_type, graph->node[k]->op_type) == 0;
            seen = seen || (same && k < i);
            count += same;
        }
        if (!seen)
            printf("%s %ld\n", graph->node[i]->op_type, count);
    }
    qzi_onnx__model_proto__free_unpacked(model, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    char **args = argv + 2;
    const int count = argc - 2;
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    qz_context *ctx = NULL;
    int status;
    options.threads = 1;
    if (qz_context_create(&options, &ctx) != QZ_OK)
        return fail("context", qz_context_message(NULL));
    if (strcmp(command, "values") == 0 && (count == 3 || count == 4))
        status = check_values(ctx, args, count == 4 ? args[3] : NULL);
    else if (strcmp(command, "export") == 0 && count == 5)
        status = write_file(ctx, args);
    else if (strcmp(command, "output") == 0 && count == 4)
        status = check_output(ctx, args);
    else if (strcmp(command, "top1") == 0 && count >= 3)
        status = check_top1(ctx, count, args);
    else if (strcmp(command, "input") == 0 && count == 4)
        status = write_input(args);
    else if (strcmp(command, "image") == 0 && count == 3)
        status = write_image(ctx, args);
    else if (strcmp(command, "ops") == 0 && count == 1)
        status = print_ops(args);
    else
        status = fail("usage", "see the head of check_onnx.c");
    qz_context_destroy(ctx);
    return status;
}

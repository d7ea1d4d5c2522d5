/* SPDX-License-Identifier: MIT */
/*
 * check_onnx.c - our side of test_onnxruntime.sh.
 *
 *   check_onnx input INDEX H W FILE                   a synthetic image as raw float32
 *   check_onnx image FILE.safetensors IMAGE FILE      an image, prepared as that model wants it
 *   check_onnx values MODEL INPUT DIR [ROIS|- [TOLERANCE]]
 *                                                     every value of onnxruntime's, beside ours
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
 * In float the whole network is compared, by the relative L2 of each value (1e-4).
 */
#include "ort_values.h"
#include "qzoo.h"
#include "zoo/detection/outputs.h"
#include "zoo/detection/roi_align.h"
#include "zoo/model/model.h"
#include "zoo/model/model_pack.h"

#include <onnx.pb-c.h>

static int fail(const char *what, const char *text)
{
    fprintf(stderr, "check_onnx: %s: %s\n", what, text);
    return 1;
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
            qzi_exec_set_hook(exec[stage], compare_value, c);
            st = qzi_exec_run_inputs(exec[stage], inputs, graph->input_count);
        }
        qzi_roi_align_release(&align);
    }
    for (size_t stage = 0; stage < QZI_STAGE_COUNT; stage++)
        qzi_exec_destroy(exec[stage]);
    free(rois);
    return st;
}

static int check_values(qz_context *ctx, int count, char **args)
{
    qz_model *model = NULL;
    qz_tensor input = {0};
    qzi_exec *exec = NULL;
    const qzi_packed *packed = NULL;
    const char *rois = count > 3 && strcmp(args[3], "-") != 0 ? args[3] : NULL;
    comparison c;
    if (!open_values(&c, args[2]))
        return fail(args[2], "has no values.txt");
    if (count > 4)
        c.tolerance = strtod(args[4], NULL);
    qz_status st = open_model(ctx, args[0], &model);
    if (st == QZ_OK)
        st = read_input(model, args[1], &input);
    const qz_graph *graph = NULL;
    if (st == QZ_OK) {
        const bool int8 = model->int8_graph != NULL;
        c.pin = int8 ? PIN_ALL : PIN_NONE;
        graph = int8 ? model->int8_graph : model->graph;
        st = qzi_model_packed(model, int8, false, QZ_ISA_AUTO, &packed);
    }
    if (st == QZ_OK && rois)
        st = run_stages(model, packed, graph, &c, &input, rois);
    if (st == QZ_OK && !rois)
        st = qzi_exec_create(packed, graph, 1, &exec);
    if (st == QZ_OK && !rois) {
        qzi_exec_set_hook(exec, compare_value, &c);
        st = qzi_exec_run(exec, &input, 1, false);
    }
    const int status = st != QZ_OK ? fail(args[0], qz_context_message(ctx)) : !print_values(&c);
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
    if (strcmp(command, "values") == 0 && count >= 3 && count <= 5)
        status = check_values(ctx, count, args);
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

/* SPDX-License-Identifier: MIT */
/*
 * test_torch_int8.c - int8 models of torch's own, imported: the same integers, scales and zero
 * points in every layer, outputs as close to torch's as its engines are to one another, and the
 * same bytes again from a saved file. gen/torch_int8.py makes the files and runs this program:
 *
 *   test_torch_int8 compare MODEL FORM WEIGHTS WANT
 *   test_torch_int8 refuse MODEL WEIGHTS TEXT
 */
#include "zoo/model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const qz_context *ctx, const char *what)
{
    printf("%s: %s\n", what, qz_context_message(ctx));
    exit(1);
}

static const qz_tensor *want(const qz_state_dict *dict, const char *name, const char *leaf)
{
    char key[300];
    snprintf(key, sizeof(key), "%s%s%s", name, *leaf ? "/" : "", leaf);
    return qz_state_dict_find(dict, key);
}

/* The node of the int8 graph that has torch's module's parameters. */
static const qzi_node *node_of(const qz_graph *graph, const char *module)
{
    if (strcmp(module, "quant") != 0)
        return qzi_graph_find(graph, module) < 0 ? NULL
                                                 : &graph->nodes[qzi_graph_find(graph, module)];
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].dtype == QZ_U8)
            return &graph->nodes[i]; /* the first uint8 value is the image's */
    return NULL;
}

/* Folding batch norm rounds differently here and there: then a weight may be one step off. */
static int64_t different_weights(const qzi_node *node, const qz_tensor *w, int32_t most)
{
    const int8_t *a = node->qw->w, *b = w->data;
    int64_t different = 0;
    for (int64_t i = 0; i < qz_tensor_numel(w); i++) {
        if (abs(a[i] - b[i]) > most) {
            printf("%s: weight %lld is %d, torch has %d\n", node->name, (long long)i, a[i], b[i]);
            exit(1);
        }
        different += a[i] != b[i];
    }
    return different;
}

static bool close_to(const float *a, const qz_tensor *tensor, float tolerance)
{
    const float *b = tensor->data;
    for (int64_t i = 0; i < qz_tensor_numel(tensor); i++)
        if (!(fabsf(a[i] - b[i]) <= tolerance * fabsf(b[i])))
            return false;
    return true;
}

static void compare_layers(const qz_graph *graph, const qz_state_dict *dict, bool qat)
{
    int64_t different = 0, weights = 0;
    size_t layers = 0, values = 0;
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        char name[256];
        snprintf(name, sizeof(name), "%s", qz_state_dict_key(dict, i));
        char *slash = strrchr(name, '/');
        if (!slash || strcmp(slash, "/scale") != 0)
            continue;
        *slash = '\0';
        const qzi_node *node = node_of(graph, name);
        if (!node) /* a functional of a block that adds nothing */
            continue;
        const float scale = *(const float *)want(dict, name, "scale")->data;
        const int32_t zero_point = *(const int32_t *)want(dict, name, "zero_point")->data;
        if (node->q.scale != scale || node->q.zero_point != zero_point) {
            printf("%s: scale %.9g, zero point %d; torch has %.9g, %d\n", name,
                   (double)node->q.scale, node->q.zero_point, (double)scale, zero_point);
            exit(1);
        }
        values++;
        const qz_tensor *w = want(dict, name, "weight");
        if (!w)
            continue;
        different += different_weights(node, w, qat ? 1 : 0);
        weights += qz_tensor_numel(w);
        if (!close_to(node->qw->scales, want(dict, name, "weight_scale"), qat ? 1e-6f : 0.0f) ||
            !close_to(node->qw->bias_f32, want(dict, name, "bias"), qat ? 1e-4f : 0.0f)) {
            printf("%s: weight scales or biases differ from torch's\n", name);
            exit(1);
        }
        layers++;
    }
    size_t expected = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        expected += graph->nodes[i].qw != NULL;
    printf("%zu values, %zu layers, %lld of %lld weights differ\n", values, layers,
           (long long)different, (long long)weights);
    if (layers != expected || (double)different > 1e-4 * (double)weights)
        exit(1);
}

/* Runs the images; *hash of the output. Returns the signal-to-noise ratio in dB against `y`. */
static double run(qz_context *ctx, qz_model *model, const qz_tensor *x, const qz_tensor *y,
                  uint64_t *hash)
{
    qz_session *session = NULL;
    const qz_tensor *out = NULL;
    double signal = 0.0, noise = 0.0;
    if (qz_session_create(model, NULL, &session) != QZ_OK || qz_session_run(session, x) != QZ_OK ||
        qz_session_output(session, 0, NULL, &out) != QZ_OK)
        die(ctx, "run");
    if (qz_tensor_numel(out) != qz_tensor_numel(y))
        die(ctx, "shape of the output");
    const float *a = out->data, *b = y->data;
    for (int64_t i = 0; i < qz_tensor_numel(y); i++) {
        signal += (double)b[i] * (double)b[i];
        noise += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    *hash = qzi_fnv1a(a, (size_t)qz_tensor_numel(y) * sizeof(float), QZI_FNV_OFFSET);
    qz_session_destroy(session);
    return noise > 0.0 ? 10.0 * log10(signal / noise) : INFINITY;
}

static int compare(qz_context *ctx, const char *name, const char *form, const char *weights,
                   const char *want_path)
{
    qz_state_dict *dict = NULL;
    qz_model *model = NULL, *saved = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    uint64_t hash, again;
    char path[512];
    if (qz_state_dict_load(ctx, want_path, &dict) != QZ_OK)
        die(ctx, want_path);
    options.weights = weights;
    options.num_classes = (int32_t)want(dict, "y", "")->dims[1];
    if (qz_model_create(ctx, name, &options, &model) != QZ_OK)
        die(ctx, name);
    printf("%s %s: ", name, form);
    compare_layers(qz_model_graph(model, true), dict, strcmp(form, "qat") == 0);
    const double db = run(ctx, model, want(dict, "x", ""), want(dict, "y", ""), &hash);
    printf("output %.1f dB against torch's\n", db);
    snprintf(path, sizeof(path), "%s.safetensors", weights);
    if (qz_model_save(model, path) != QZ_OK || qz_model_open(ctx, path, &saved) != QZ_OK)
        die(ctx, "save and open");
    run(ctx, saved, want(dict, "x", ""), want(dict, "y", ""), &again);
    if (hash != again)
        die(ctx, "the saved model computes something else");
    qz_model_info info;
    qz_model_get_info(model, &info);
    if (!info.converted || strcmp(info.observer, "") != 0 || info.calibration_images != 0 ||
        strcmp(info.backend, strcmp(form, "per_channel") == 0 ? "fbgemm" : "qnnpack") != 0)
        die(ctx, "info");
    remove(path);
    qz_model_destroy(saved);
    qz_model_destroy(model);
    qz_state_dict_destroy(dict);
    return db < 25.0;
}

static int refuse(qz_context *ctx, const char *name, const char *weights, const char *text)
{
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights = weights;
    options.num_classes = 20;
    const qz_status st = qz_model_create(ctx, name, &options, &model);
    const char *message = qz_context_message(ctx);
    if (st != QZ_OK && !model && strstr(message, text) &&
        strncmp(message, weights, strlen(weights)) == 0)
        return 0;
    printf("%s instead of \"%s\": %s\n", qz_status_name(st), text, message);
    return 1;
}

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    int failed;
    if (qz_context_create(NULL, &ctx) != QZ_OK)
        return 1;
    if (argc == 6 && strcmp(argv[1], "compare") == 0) {
        failed = compare(ctx, argv[2], argv[3], argv[4], argv[5]);
    } else if (argc == 5 && strcmp(argv[1], "refuse") == 0) {
        failed = refuse(ctx, argv[2], argv[3], argv[4]);
    } else {
        printf("usage: run by gen/torch_int8.py\n");
        failed = 2;
    }
    qz_context_destroy(ctx);
    return failed;
}

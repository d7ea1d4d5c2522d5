/* SPDX-License-Identifier: MIT */
/*
 * golden.c - reading what torch and torchvision computed (golden.h).
 */
#include "golden.h"
#include "zoo/model/model_build.h"
#include "zoo/model/weights_random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *golden_path(const char *file)
{
    static char path[1024];
    const char *folder = getenv("QZOO_TEST_DATA");
    snprintf(path, sizeof(path), "%s/goldens/%s", folder ? folder : "../shared/data", file);
    if (access(path, R_OK) != 0)
        snprintf(path, sizeof(path), "%s/goldens/yolo/%s", folder ? folder : "../shared/data",
                 file);
    if (access(path, R_OK) != 0) {
        /* the oracle folder does not have it, the project may */
        const char *own = getenv("QZOO_TEST_FIXTURES");
        char other[sizeof(path)];
        snprintf(other, sizeof(other), "%s/goldens/%s", own ? own : "tests/unit/fixtures", file);
        if (access(other, R_OK) == 0)
            memcpy(path, other, sizeof(path));
    }
    return path;
}

json_t *golden_load(const char *model)
{
    char file[128];
    json_error_t error;
    snprintf(file, sizeof(file), "%s.json", model);
    json_t *golden = json_load_file(golden_path(file), 0, &error);
    if (!golden)
        printf("skipped: %s: %s\n", golden_path(file), error.text);
    return golden;
}

FILE *golden_open_keys(const char *model)
{
    char file[128];
    snprintf(file, sizeof(file), "%s.keys.txt", model);
    FILE *keys = fopen(golden_path(file), "r");
    if (!keys)
        printf("skipped: no %s\n", golden_path(file));
    return keys;
}

qz_model *golden_model(qz_context *ctx, const char *name, const json_t *golden, bool fuse)
{
    const qzi_arch *arch = qzi_arch_get(name);
    const char *suffix = json_string_value(json_object_get(golden, "seed_suffix"));
    qz_model *model = NULL;
    qz_status st = arch ? qzi_model_alloc(ctx, arch, &model) : QZ_ERR_UNKNOWN_NAME;
    if (st == QZ_OK)
        st = qzi_model_build(model, NULL);
    if (st == QZ_OK)
        st = qzi_weights_fill_arch(model->graph, arch, suffix ? suffix : "");
    if (st == QZ_OK && fuse)
        st = qzi_model_fuse(model);
    if (st == QZ_OK)
        st = qzi_model_measure(model);
    if (st != QZ_OK) {
        printf("%s: %s: %s\n", name, qz_status_name(st), qz_context_message(ctx));
        qz_model_destroy(model);
        return NULL;
    }
    return model;
}

static qz_tensor read_shape(const json_t *shape)
{
    qz_tensor tensor = {.dtype = QZ_F32, .ndim = (int32_t)json_array_size(shape)};
    if (tensor.ndim > QZ_MAX_DIMS)
        exit(2);
    for (int32_t i = 0; i < tensor.ndim; i++)
        tensor.dims[i] = json_integer_value(json_array_get(shape, (size_t)i));
    return tensor;
}

static float *uniform(const char *key, const json_t *golden, double off, double mul, int64_t count)
{
    const char *suffix = json_string_value(json_object_get(golden, "seed_suffix"));
    float *data = malloc((size_t)count * sizeof(*data));
    if (!data)
        exit(2);
    qz_random_uniform(key, suffix ? suffix : "", off, mul, count, data);
    return data;
}

/* x = coarse 8x8 structure + half of white noise, one float addition. */
static void add_structure(const json_t *golden, qz_tensor *x)
{
    int64_t planes = x->dims[0] * x->dims[1], h = x->dims[2], w = x->dims[3];
    float *coarse = uniform("input_alt.coarse", golden, -0.5, 2.0, planes * 64);
    float *data = x->data;
    for (int64_t p = 0; p < planes; p++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++) {
                float *value = &data[(p * h + i) * w + j];
                *value = coarse[p * 64 + 8 * i / h * 8 + 8 * j / w] + 0.5f * *value;
            }
    free(coarse);
}

qz_tensor golden_input(const json_t *golden, bool alt)
{
    const json_t *input = json_object_get(golden, alt ? "alt" : "input");
    qz_tensor tensor = read_shape(json_object_get(input, "shape"));
    tensor.data = uniform(json_string_value(json_object_get(input, "key")), golden, -0.5, 2.0,
                          qz_tensor_numel(&tensor));
    if (alt)
        add_structure(golden, &tensor);
    const json_t *first = json_object_get(input, "first");
    for (size_t i = 0; i < json_array_size(first); i++)
        if (fabs(json_number_value(json_array_get(first, i)) - (double)((float *)tensor.data)[i]) >
            1e-7) {
            printf("the generated input differs from the golden's\n");
            exit(2);
        }
    return tensor;
}

double golden_difference(const json_t *record, const qz_tensor *tensor)
{
    const qz_tensor shape = read_shape(json_object_get(record, "shape"));
    const json_t *first = json_object_get(record, "first");
    const json_t *spread = json_object_get(record, "spread");
    const float *data = tensor->data;
    int64_t count = qz_tensor_numel(tensor);
    if (shape.ndim != tensor->ndim ||
        memcmp(shape.dims, tensor->dims, (size_t)shape.ndim * sizeof(shape.dims[0])) != 0)
        return INFINITY;
    double l2 = json_number_value(json_object_get(record, "l2"));
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)data[i] * (double)data[i];
    double rms = l2 / sqrt((double)count);
    double worst = fabs(sqrt(sum) - l2) / l2;
    for (size_t i = 0; i < json_array_size(first); i++) {
        double d = json_number_value(json_array_get(first, i)) - (double)data[i];
        worst = fmax(worst, fabs(d) / rms);
    }
    int64_t samples = (int64_t)json_array_size(spread);
    for (int64_t i = 0; i < samples; i++) {
        int64_t at = samples > 1 ? i * (count - 1) / (samples - 1) : 0;
        double d = json_number_value(json_array_get(spread, (size_t)i)) - (double)data[at];
        worst = fmax(worst, fabs(d) / rms);
    }
    return worst;
}

double relative_l2(const float *a, const float *b, size_t count)
{
    double difference = 0.0, norm = 0.0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];
        difference += d * d;
        norm += (double)a[i] * (double)a[i];
    }
    return norm > 0.0 ? sqrt(difference / norm) : difference > 0.0 ? INFINITY : 0.0;
}

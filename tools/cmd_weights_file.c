/* SPDX-License-Identifier: MIT */
/* cmd_weights_file.c - qzoo weights show and convert: the tensors of a file. */
#include "cmd_weights.h"

#include "messages.h"
#include "output_file.h"
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct statistics {
    double min, max, mean, std;
    size_t finite;
} statistics;

static int load(const tool_options *o, qz_context *ctx, qz_state_dict **dict)
{
    qz_state_dict_options how = QZ_STATE_DICT_OPTIONS_INIT;
    char text[1200];
    how.key = o->model.key;
    qz_status st = qz_state_dict_open(ctx, o->args.items[0], &how, dict);
    if (st == QZ_OK && o->weights.update_keys)
        st = qz_state_dict_update_keys(*dict, NULL);
    if (st == QZ_OK && *qz_state_dict_note(*dict))
        tool_note(o->quiet, "qzoo: %s: %s", o->args.items[0],
                  tool_words(qz_state_dict_note(*dict), text, sizeof(text)));
    if (st == QZ_OK)
        return EXIT_DONE;
    qz_state_dict_destroy(*dict);
    return tool_fail_status(ctx, st);
}

static double value_at(const qz_tensor *t, size_t i)
{
    switch (t->dtype) {
    case QZ_U8:
    case QZ_BOOL:
        return ((const uint8_t *)t->data)[i];
    case QZ_S8:
        return ((const int8_t *)t->data)[i];
    case QZ_S16:
        return ((const int16_t *)t->data)[i];
    case QZ_S32:
        return ((const int32_t *)t->data)[i];
    default: /* QZ_S64 */
        return (double)((const int64_t *)t->data)[i];
    }
}

/* Statistics of the real values, in double. Returns false when out of memory. */
static bool measure(qz_context *ctx, const qz_state_dict *dict, size_t index, statistics *s)
{
    const qz_tensor *t = qz_state_dict_tensor(dict, index);
    size_t count = (size_t)qz_tensor_numel(t);
    float *values = malloc((count + 1) * sizeof(*values));
    double sum = 0.0, squares = 0.0;
    if (!values)
        return false;
    *s = (statistics){.min = INFINITY, .max = -INFINITY};
    bool real = qz_tensor_to_f32(ctx, t, qz_state_dict_quant(dict, index), values) == QZ_OK;
    for (size_t i = 0; i < count; i++) {
        double v = real ? (double)values[i] : value_at(t, i);
        if (!isfinite(v))
            continue;
        s->finite++;
        sum += v;
        s->min = v < s->min ? v : s->min;
        s->max = v > s->max ? v : s->max;
    }
    s->mean = sum / (double)s->finite;
    for (size_t i = 0; i < count; i++) {
        double v = (real ? (double)values[i] : value_at(t, i)) - s->mean;
        squares += isfinite(v) ? v * v : 0.0;
    }
    s->std = sqrt(squares / (double)s->finite);
    free(values);
    return true;
}

static void shape_text(const qz_tensor *t, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, t->ndim ? "" : "scalar");
    for (int32_t i = 0; i < t->ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? "x" : "",
                                 (long long)t->dims[i]);
}

static void quant_text(const qz_tensor_quant *q, char *text, size_t size)
{
    text[0] = '\0';
    if (q && q->axis < 0)
        snprintf(text, size, "%.6g x (q - %lld)", q->scales[0], (long long)q->zero_points[0]);
    else if (q)
        snprintf(text, size, "per channel, axis %d", (int)q->axis);
}

static json_t *row_json(const char *key, const qz_tensor *t, const qz_tensor_quant *q,
                        const statistics *s)
{
    json_t *shape = json_array();
    for (int32_t i = 0; i < t->ndim; i++)
        json_add(shape, json_integer((json_int_t)t->dims[i]));
    json_t *row =
        json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:I}", "key", json_text(key), "dtype",
                  qz_dtype_name(t->dtype), "shape", shape, "min", json_number(s->min), "max",
                  json_number(s->max), "mean", json_number(s->mean), "std", json_number(s->std),
                  "not_finite", (json_int_t)qz_tensor_numel(t) - (json_int_t)s->finite);
    if (row && q) {
        json_t *scales = json_array(), *zero_points = json_array();
        for (int64_t i = 0; i < q->count; i++) {
            json_add(scales, json_number(q->scales[i]));
            json_add(zero_points, json_integer((json_int_t)q->zero_points[i]));
        }
        json_set(row, "quantized",
                 json_pack("{s:i, s:o, s:o}", "axis", (int)q->axis, "scales", scales, "zero_points",
                           zero_points));
    }
    return row;
}

int weights_show(const tool_options *o, qz_context *ctx)
{
    static const char *const headers[] = {"<key", "<dtype", "<shape", "min",          "max",
                                          "mean", "std",    "<odd",   "<quantization"};
    qz_state_dict *dict = NULL;
    if (o->args.count != 1)
        return tool_fail(EXIT_USAGE, "weights show: one FILE is needed");
    int status = load(o, ctx, &dict);
    if (status)
        return status;
    json_t *rows = json_array();
    report_table *t = table_new(headers, 9);
    for (size_t i = 0; i < qz_state_dict_count(dict) && status == EXIT_DONE; i++) {
        const qz_tensor *tensor = qz_state_dict_tensor(dict, i);
        const qz_tensor_quant *quant = qz_state_dict_quant(dict, i);
        const char *key = qz_state_dict_key(dict, i);
        char shape[200], how[80];
        statistics s;
        if (!measure(ctx, dict, i, &s)) {
            status = tool_fail_memory();
            break;
        }
        shape_text(tensor, shape, sizeof(shape));
        quant_text(quant, how, sizeof(how));
        table_cell(t, "%s", key);
        table_cell(t, "%s", qz_dtype_name(tensor->dtype));
        table_cell(t, "%s", shape);
        const double cells[] = {s.min, s.max, s.mean, s.std};
        for (size_t c = 0; c < 4; c++)
            table_cell(t, s.finite ? "%.6g" : "-", cells[c]);
        size_t odd = (size_t)qz_tensor_numel(tensor) - s.finite;
        if (odd)
            table_cell(t, "%zu NaN or inf", odd);
        else
            table_cell(t, "%s", "");
        table_cell(t, "%s", how);
        json_add(rows, row_json(key, tensor, quant, &s));
    }
    if (status == EXIT_DONE && report_prints(o))
        status = table_print(t, stdout);
    table_free(t);
    qz_state_dict_destroy(dict);
    if (status) {
        json_decref(rows);
        return status;
    }
    return json_write(o, json_pack("{s:s, s:o, s:o}", "schema", "qzoo.tensors/1", "file",
                                   json_text(o->args.items[0]), "tensors", rows));
}

/* ---- convert ---- */

#define KEPT_METADATA 5

/* The entries and metadata to write. `owned` has the memory that was made for them. */
typedef struct output {
    qz_safetensors_entry *entries;
    size_t count;
    const char **metadata_keys, **metadata_values;
    size_t metadata_count;
    void **owned;
    size_t owned_count;
} output;

static void *keep(output *out, void *memory)
{
    if (memory)
        out->owned[out->owned_count++] = memory;
    return memory;
}

static char *joined(output *out, const char *a, const char *b)
{
    char *text = keep(out, malloc(strlen(a) + strlen(b) + 1));
    if (text)
        sprintf(text, "%s%s", a, b);
    return text;
}

/*
 * KEY keeps its integers. KEY.q_scale (float64) and KEY.q_zero_point (int64) hold the parameters.
 * For quantization per channel the metadata string KEY.q_axis holds the dimension.
 */
static bool add_quant(output *out, const char *key, const qz_tensor_quant *q)
{
    char *scale_key = joined(out, key, ".q_scale"), *zero_key = joined(out, key, ".q_zero_point");
    if (!scale_key || !zero_key)
        return false;
    qz_tensor pairs = {.dtype = QZ_F64, .ndim = q->axis >= 0, .dims = {q->count}};
    pairs.data = (void *)(uintptr_t)q->scales;
    out->entries[out->count++] = (qz_safetensors_entry){scale_key, pairs};
    pairs.dtype = QZ_S64;
    pairs.data = (void *)(uintptr_t)q->zero_points;
    out->entries[out->count++] = (qz_safetensors_entry){zero_key, pairs};
    if (q->axis < 0)
        return true;
    char axis[16], *axis_key = joined(out, key, ".q_axis");
    snprintf(axis, sizeof(axis), "%d", (int)q->axis);
    char *axis_text = joined(out, axis, "");
    if (!axis_key || !axis_text)
        return false;
    out->metadata_keys[out->metadata_count] = axis_key;
    out->metadata_values[out->metadata_count++] = axis_text;
    return true;
}

static bool add_f32(output *out, qz_context *ctx, const qz_state_dict *dict, size_t index,
                    bool *converted)
{
    const qz_tensor *t = qz_state_dict_tensor(dict, index);
    qz_tensor as_float = *t;
    as_float.dtype = QZ_F32;
    as_float.data = keep(out, malloc(((size_t)qz_tensor_numel(t) + 1) * sizeof(float)));
    if (!as_float.data)
        return false;
    *converted = qz_tensor_to_f32(ctx, t, qz_state_dict_quant(dict, index), as_float.data) == QZ_OK;
    if (*converted)
        out->entries[out->count++] =
            (qz_safetensors_entry){qz_state_dict_key(dict, index), as_float};
    return true;
}

/* What the file says beside its tensors: names of classes, and what a saved module is. */
static void add_metadata(output *out, const qz_state_dict *dict)
{
    static const char *const keys[KEPT_METADATA] = {
        QZ_METADATA_CLASSES, QZ_METADATA_MODULE_CLASS, QZ_METADATA_MODULE_ACTIVATIONS,
        QZ_METADATA_MODULE_CLASSES, QZ_METADATA_MODULE_STRIDES};
    for (size_t i = 0; i < KEPT_METADATA; i++) {
        const char *value = qz_state_dict_metadata(dict, keys[i]);
        if (!value)
            continue;
        out->metadata_keys[out->metadata_count] = keys[i];
        out->metadata_values[out->metadata_count++] = value;
    }
}

static bool gather(const tool_options *o, qz_context *ctx, const qz_state_dict *dict, output *out)
{
    size_t n = qz_state_dict_count(dict) + 1;
    out->entries = calloc(3 * n, sizeof(*out->entries));
    out->metadata_keys = calloc(n + KEPT_METADATA, sizeof(*out->metadata_keys));
    out->metadata_values = calloc(n + KEPT_METADATA, sizeof(*out->metadata_values));
    out->owned = calloc(4 * n, sizeof(*out->owned));
    if (!out->entries || !out->metadata_keys || !out->metadata_values || !out->owned)
        return false;
    add_metadata(out, dict);
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        const char *key = qz_state_dict_key(dict, i);
        const qz_tensor_quant *quant = qz_state_dict_quant(dict, i);
        bool converted = false;
        if (o->weights.f32 && !add_f32(out, ctx, dict, i, &converted))
            return false;
        if (converted)
            continue;
        out->entries[out->count++] = (qz_safetensors_entry){key, *qz_state_dict_tensor(dict, i)};
        if (quant && !add_quant(out, key, quant))
            return false;
    }
    return true;
}

int weights_convert(const tool_options *o, qz_context *ctx)
{
    qz_state_dict *dict = NULL;
    output out = {0};
    if (o->args.count != 2)
        return tool_fail(EXIT_USAGE, "weights convert: IN and OUT.safetensors are needed");
    size_t length = strlen(o->args.items[1]);
    if (length < 12 || strcmp(o->args.items[1] + length - 12, ".safetensors") != 0)
        return tool_fail(EXIT_USAGE, "%s: weights convert writes .safetensors files only",
                         o->args.items[1]);
    int status = load(o, ctx, &dict);
    if (status)
        return status;
    if (!gather(o, ctx, dict, &out)) {
        status = tool_fail_memory();
    } else {
        qz_status st =
            qz_safetensors_save(ctx, output_path(o->args.items[1]), out.entries, out.count,
                                out.metadata_keys, out.metadata_values, out.metadata_count);
        if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
    }
    for (size_t i = 0; i < out.owned_count; i++)
        free(out.owned[i]);
    free(out.owned);
    free(out.metadata_values);
    free(out.metadata_keys);
    free(out.entries);
    qz_state_dict_destroy(dict);
    return status;
}

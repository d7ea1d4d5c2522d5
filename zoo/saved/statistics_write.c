/* SPDX-License-Identifier: MIT */
/* statistics_write.c - qz_model_statistics_save. The format is described in statistics_file.h. */
#include "zoo/model/model_detect.h"
#include "zoo/model/model_graph.h"
#include "zoo/saved/statistics_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { METADATA = 12, TENSORS = 6 };

typedef struct writer {
    const qz_model *model;
    qzi_arena arena;
    qz_safetensors_entry *entries;
    size_t count;
    const char *keys[METADATA], *values[METADATA];
    size_t metadata_count;
} writer;

qz_status qzi_statistics_recipe(const qz_model *model, qzi_arena *arena, const char **text)
{
    const qz_preprocess *p = &model->preprocess;
    uint32_t bits[6];
    memcpy(bits, p->mean, 3 * sizeof(*bits));
    memcpy(bits + 3, p->std, 3 * sizeof(*bits));
    char *words =
        qzi_format(model->ctx,
                   "resize=%d crop=%dx%d size=%dx%d interpolation=%s bgr=%d mean=%08" PRIx32
                   ",%08" PRIx32 ",%08" PRIx32 " std=%08" PRIx32 ",%08" PRIx32 ",%08" PRIx32,
                   (int)p->resize, (int)p->crop_h, (int)p->crop_w, (int)p->resize_h,
                   (int)p->resize_w, qz_interpolation_name(p->interpolation), (int)p->bgr, bits[0],
                   bits[1], bits[2], bits[3], bits[4], bits[5]);
    *text = words ? qzi_arena_strdup(arena, words) : NULL;
    qzi_free(model->ctx, words);
    return *text ? QZ_OK : QZ_ERR_MEMORY;
}

static void add_text(writer *w, const char *key, const char *value)
{
    w->keys[w->metadata_count] = key;
    w->values[w->metadata_count++] = value;
}

static qz_status add_number(writer *w, const char *key, bool hex, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), hex ? "%016" PRIx64 : "%" PRIu64, value);
    const char *kept = qzi_arena_strdup(&w->arena, text);
    if (!kept)
        return QZ_ERR_MEMORY;
    add_text(w, key, kept);
    return QZ_OK;
}

static qz_status add_metadata(writer *w)
{
    const qz_model *m = w->model;
    const char *slash = strrchr(m->origin.weights, '/'), *recipe = NULL, *settings = "";
    const char *weights = qzi_arena_escape(&w->arena, slash ? slash + 1 : m->origin.weights);
    if (!weights)
        return QZ_ERR_MEMORY;
    QZI_TRY(qzi_statistics_recipe(m, &w->arena, &recipe));
    if (m->arch->detector)
        QZI_TRY(qzi_model_detection_text(m, &w->arena, &settings));
    add_text(w, "format", QZI_STATISTICS_FORMAT);
    add_text(w, "version", qz_version());
    add_text(w, "arch", m->arch->info.name);
    QZI_TRY(add_number(w, "graph", true, qzi_model_hash_graph(m->graph)));
    add_text(w, "weights", weights);
    QZI_TRY(add_number(w, "weights_hash", true, m->origin.hash));
    add_text(w, "preprocess", recipe);
    add_text(w, "detection", settings);
    QZI_TRY(add_number(w, "calibration_images", false, m->calibration_images));
    QZI_TRY(add_number(w, "synthetic_images", false, m->synthetic_images));
    return add_number(w, "calibration_hash", true, m->calibration_hash);
}

/* data: lives as long as the writer; NULL: to be allocated, and returned. */
static qz_status add_tensor(writer *w, const char *name, const char *leaf, qz_dtype dtype,
                            int64_t count, void *data)
{
    char *key = qzi_format(w->model->ctx, "%s.%s", name, leaf);
    const char *kept = key ? qzi_arena_strdup(&w->arena, key) : NULL;
    qzi_free(w->model->ctx, key);
    if (!kept || !data)
        return QZ_ERR_MEMORY;
    w->entries[w->count++] = (qz_safetensors_entry){
        .key = kept, .tensor = {.dtype = dtype, .ndim = 1, .dims = {count}, .data = data}};
    return QZ_OK;
}

/* ---- counts ---- */

static size_t put_number(uint8_t *to, uint64_t number)
{
    size_t n = 0;
    for (; number >= 128; number >>= 7, n++)
        if (to)
            to[n] = (uint8_t)(number | 128);
    if (to)
        to[n] = (uint8_t)number;
    return n + 1;
}

/* to NULL: the size alone. */
static size_t put_counts(const qzi_tally *tally, uint8_t *to)
{
    size_t n = 0;
    for (int32_t c = 0; c < tally->channels && tally->values > 0; c++) {
        const int32_t first = qzi_tally_bin(tally->min[c], tally->exponent[c]);
        const int32_t last = qzi_tally_bin(tally->max[c], tally->exponent[c]);
        for (int32_t i = first; i <= last; i++)
            n += put_number(to ? to + n : NULL, qzi_tally_count(tally, c, i));
    }
    return n;
}

static qz_status add_counts(writer *w, const char *name, const char *leaf, const qzi_tally *tally)
{
    const size_t size = put_counts(tally, NULL);
    uint8_t *bytes = qzi_arena_alloc(&w->arena, size + 1);
    if (!bytes)
        return QZ_ERR_MEMORY;
    put_counts(tally, bytes);
    return add_tensor(w, name, leaf, QZ_U8, (int64_t)size, bytes);
}

static qz_status add_node(writer *w, const qzi_statistics *s, size_t node)
{
    const char *name = w->model->graph->nodes[node].name;
    const bool several = s->channels[node].channels > 0;
    const qzi_tally *whole = &s->whole[node], *tally = several ? &s->channels[node] : whole;
    const size_t c = (size_t)tally->channels;
    int64_t *values = qzi_arena_alloc(&w->arena, (1 + c) * sizeof(*values));
    float *ends = qzi_arena_alloc(&w->arena, 2 * c * sizeof(*ends));
    if (!values || !ends)
        return QZ_ERR_MEMORY;
    values[0] = (int64_t)tally->values;
    for (size_t i = 0; i < c && tally->values > 0; i++) { /* else all 0 */
        values[1 + i] = (int64_t)tally->zeros[i];
        ends[i] = tally->min[i];
        ends[c + i] = tally->max[i];
    }
    QZI_TRY(add_tensor(w, name, "values", QZ_S64, 1, values));
    QZI_TRY(add_tensor(w, name, "min", QZ_F32, (int64_t)c, ends));
    QZI_TRY(add_tensor(w, name, "max", QZ_F32, (int64_t)c, ends + c));
    QZI_TRY(add_tensor(w, name, "zeros", QZ_S64, (int64_t)c, values + 1));
    QZI_TRY(add_counts(w, name, "counts", whole));
    return several ? add_counts(w, name, "channel_counts", tally) : QZ_OK;
}

static qz_status write_file(writer *w, const char *path)
{
    const qzi_statistics *s = qzi_calibration_statistics(w->model->calibration);
    QZI_TRY(add_metadata(w));
    w->entries = qzi_calloc(w->model->ctx, s->node_count * TENSORS, sizeof(*w->entries));
    if (!w->entries)
        return QZ_ERR_MEMORY;
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = QZ_OK;
    for (size_t i = 0; i < s->node_count && st == QZ_OK; i++)
        st = add_node(w, s, i);
    qzi_fpenv_leave(env);
    QZI_TRY(st);
    return qz_safetensors_save(w->model->ctx, path, w->entries, w->count, w->keys, w->values,
                               w->metadata_count);
}

qz_status qz_model_statistics_save(qz_model *model, const char *path)
{
    if (!model || !path)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_statistics_save: model or path is NULL");
    if (!model->calibration || !qzi_calibration_statistics(model->calibration))
        return qzi_fail(model->ctx, QZ_ERR_STATE,
                        "%s: it has no statistics; create it with quantize and statistics",
                        model->arch->info.name);
    QZI_TRY(qzi_calibration_check(model->calibration));
    writer w = {.model = model};
    qzi_arena_init(&w.arena, model->ctx);
    const qz_status st = write_file(&w, path);
    qzi_free(model->ctx, w.entries);
    qzi_arena_free(&w.arena);
    return st;
}

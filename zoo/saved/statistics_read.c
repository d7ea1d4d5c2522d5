/* SPDX-License-Identifier: MIT */
/*
 * statistics_read.c - qz_model_statistics_load. The format is described in statistics_file.h.
 *
 * The file is untrusted. It is read as a whole, and every count is checked against the others,
 * before anything is added to the model.
 */
#include "zoo/model/model_build.h"
#include "zoo/model/model_detect.h"
#include "zoo/model/model_graph.h"
#include "zoo/model/provenance.h"
#include "zoo/saved/statistics_file.h"

#include <math.h>
#include <string.h>

typedef struct reader {
    qz_model *model;
    const char *path;
    const qz_state_dict *dict;
    qzi_arena arena;
    size_t used; /* tensors that were taken */
    uint64_t images, synthetic, hash;
} reader;

static qz_status fail_damaged(const reader *r, const char *what, const char *which)
{
    return qzi_fail(r->model->ctx, QZ_ERR_FORMAT, "%s: damaged: %s %s", r->path, what, which);
}

static qz_status get_text(const reader *r, const char *key, const char **value)
{
    *value = qz_state_dict_metadata(r->dict, key);
    return *value ? QZ_OK : fail_damaged(r, "it has no", key);
}

/* base 10 or 16, written the only way that we write them. */
static qz_status get_number(const reader *r, const char *key, unsigned base, uint64_t *out)
{
    static const char digits[] = "0123456789abcdef";
    const char *text = NULL;
    uint64_t value = 0;
    QZI_TRY(get_text(r, key, &text));
    const size_t length = strlen(text);
    bool good =
        base == 16 ? length == 16 : length >= 1 && length <= 18 && (text[0] != '0' || length == 1);
    for (const char *p = text; *p && good; p++) {
        const char *digit = memchr(digits, *p, base);
        good = digit;
        if (good)
            value = value * base + (uint64_t)(digit - digits);
    }
    *out = value;
    return good ? QZ_OK : fail_damaged(r, "the number of", key);
}

/* ---- whose they are ---- */

static qz_status check_format(const reader *r)
{
    const char *format = qz_state_dict_metadata(r->dict, "format");
    if (!format || strncmp(format, QZI_STATISTICS_FAMILY, strlen(QZI_STATISTICS_FAMILY)) != 0)
        return qzi_fail(r->model->ctx, QZ_ERR_FORMAT,
                        "%s: not a file of statistics; qzoo calibrate writes them", r->path);
    if (strcmp(format, QZI_STATISTICS_FORMAT) != 0)
        return qzi_fail(r->model->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: format '%.40s', this version reads " QZI_STATISTICS_FORMAT, r->path,
                        format);
    return QZ_OK;
}

/* Statistics of another model are refused, and the message names what differs. */
static qz_status check_model(reader *r)
{
    const qz_model *m = r->model;
    const char *name = m->arch->info.name, *text = NULL, *own = NULL, *weights = NULL;
    uint64_t hash = 0;
    QZI_TRY(get_text(r, "arch", &text));
    if (strcmp(text, name) != 0)
        return qzi_fail(m->ctx, QZ_ERR_MISMATCH, "%s: statistics of %.64s, not of %s", r->path,
                        text, name);
    QZI_TRY(get_number(r, "weights_hash", 16, &hash));
    QZI_TRY(get_text(r, "weights", &weights));
    if (hash != m->origin.hash)
        return qzi_fail(m->ctx, QZ_ERR_MISMATCH,
                        "%s: statistics of %s with other weights (%.100s), not with %s", r->path,
                        name, weights, m->origin.weights);
    QZI_TRY(get_number(r, "graph", 16, &hash));
    if (hash != qzi_model_hash_graph(m->graph))
        return qzi_fail(m->ctx, QZ_ERR_MISMATCH,
                        "%s: statistics of %s built by other options, such as --fuse, --relu or "
                        "--num-classes",
                        r->path, name);
    QZI_TRY(get_text(r, "preprocess", &text));
    QZI_TRY(qzi_statistics_recipe(m, &r->arena, &own));
    if (strcmp(text, own) != 0)
        return qzi_fail(m->ctx, QZ_ERR_MISMATCH,
                        "%s: its images were prepared otherwise: %.200s, not %s", r->path, text,
                        own);
    QZI_TRY(get_text(r, "detection", &text));
    own = "";
    if (m->arch->detector)
        QZI_TRY(qzi_model_detection_text(m, &r->arena, &own));
    if (strcmp(text, own) != 0)
        return qzi_fail(m->ctx, QZ_ERR_MISMATCH,
                        "%s: statistics of a detector with other settings: %.200s, not %s", r->path,
                        text, own);
    return QZ_OK;
}

/* ---- counts ---- */

/* The tensor NAME.leaf. count -1: any number of elements. */
static qz_status get_tensor(reader *r, const char *name, const char *leaf, qz_dtype dtype,
                            int64_t count, const qz_tensor **out)
{
    char *key = qzi_format(r->model->ctx, "%s.%s", name, leaf);
    if (!key)
        return QZ_ERR_MEMORY;
    const qz_tensor *t = qz_state_dict_find(r->dict, key);
    const bool good = t && t->dtype == dtype && t->ndim == 1 && (count < 0 || t->dims[0] == count);
    const qz_status st = good ? QZ_OK : fail_damaged(r, "there is no whole tensor", key);
    qzi_free(r->model->ctx, key);
    r->used++;
    *out = t;
    return st;
}

/* False where the bytes end, or the number does not fit. */
static bool take_number(const uint8_t **at, const uint8_t *end, uint64_t *number)
{
    *number = 0;
    for (unsigned shift = 0; *at < end && shift < 63; shift += 7) {
        const uint8_t byte = *(*at)++;
        *number |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128))
            return byte != 0 || shift == 0; /* one way to write each */
    }
    return false;
}

/* Ends, zeros and values are set; the counts must agree with them. */
static bool take_channel(qzi_tally *tally, int32_t c, const uint8_t **at, const uint8_t *end,
                         qz_status *st)
{
    const int32_t first = qzi_tally_bin(tally->min[c], tally->exponent[c]);
    const int32_t last = qzi_tally_bin(tally->max[c], tally->exponent[c]);
    uint64_t sum = 0;
    for (int32_t i = first; i <= last; i++) {
        uint64_t count;
        if (!take_number(at, end, &count) || count > tally->values - sum)
            return false;
        if (((i == first || i == last) && count == 0) || (i == 0 && count < tally->zeros[c]))
            return false;
        sum += count;
        *st = qzi_tally_put(tally, c, i, count);
        if (*st != QZ_OK)
            return true;
    }
    const bool has_zero = tally->min[c] <= 0.0f && tally->max[c] >= 0.0f;
    return sum == tally->values && (has_zero || tally->zeros[c] == 0);
}

static qz_status read_counts(reader *r, const char *name, const char *leaf, qzi_tally *tally)
{
    const qz_tensor *t = NULL;
    qz_status st = QZ_OK;
    bool good = true;
    QZI_TRY(get_tensor(r, name, leaf, QZ_U8, -1, &t));
    const uint8_t *at = t->data, *end = at + t->dims[0];
    for (int32_t c = 0; c < tally->channels && tally->values > 0 && good && st == QZ_OK; c++) {
        tally->exponent[c] = qzi_tally_exponent(tally->min[c], tally->max[c], tally->bins);
        good = take_channel(tally, c, &at, end, &st);
    }
    QZI_TRY(st);
    return good && at == end ? QZ_OK : fail_damaged(r, "the counts of", name);
}

/* Of each channel; those of all together follow. */
static qz_status read_ends(reader *r, const char *name, int32_t channels, qzi_tally *tally,
                           qzi_tally *whole)
{
    const qz_tensor *values = NULL, *min = NULL, *max = NULL, *zeros = NULL;
    QZI_TRY(get_tensor(r, name, "values", QZ_S64, 1, &values));
    QZI_TRY(get_tensor(r, name, "min", QZ_F32, channels, &min));
    QZI_TRY(get_tensor(r, name, "max", QZ_F32, channels, &max));
    QZI_TRY(get_tensor(r, name, "zeros", QZ_S64, channels, &zeros));
    const int64_t count = *(const int64_t *)values->data;
    float low = INFINITY, high = -INFINITY;
    uint64_t all_zeros = 0;
    if (count < 0 || count > INT64_MAX / channels)
        return fail_damaged(r, "the number of values of", name);
    if (count == 0)
        return QZ_OK;
    for (int32_t c = 0; c < channels; c++) {
        const float a = ((const float *)min->data)[c], b = ((const float *)max->data)[c];
        const int64_t zero = ((const int64_t *)zeros->data)[c];
        if (!isfinite(a) || !isfinite(b) || !(a <= b) || !isfinite(b - a) || zero < 0 ||
            zero > count)
            return fail_damaged(r, "the ends or zeros of", name);
        tally->min[c] = a + 0.0f;
        tally->max[c] = b + 0.0f;
        tally->zeros[c] = (uint64_t)zero;
        all_zeros += (uint64_t)zero;
        low = QZI_MIN(low, a + 0.0f);
        high = QZI_MAX(high, b + 0.0f);
    }
    if (!isfinite(high - low))
        return fail_damaged(r, "the ends of", name);
    tally->values = (uint64_t)count;
    whole->values = (uint64_t)count * (uint64_t)channels;
    whole->min[0] = low;
    whole->max[0] = high;
    whole->zeros[0] = all_zeros;
    return QZ_OK;
}

static qz_status read_node(reader *r, qzi_statistics *s, size_t node)
{
    const char *name = r->model->graph->nodes[node].name;
    const bool several = s->channels[node].channels > 0;
    qzi_tally *whole = &s->whole[node], *tally = several ? &s->channels[node] : whole;
    QZI_TRY(read_ends(r, name, tally->channels, tally, whole));
    QZI_TRY(read_counts(r, name, "counts", whole));
    return several ? read_counts(r, name, "channel_counts", tally) : QZ_OK;
}

static qz_status read_nodes(reader *r, qzi_statistics *s)
{
    for (size_t i = 0; i < s->node_count; i++) {
        QZI_TRY(qzi_check_cancelled(r->model->ctx));
        QZI_TRY(read_node(r, s, i));
    }
    return r->used == qz_state_dict_count(r->dict)
               ? QZ_OK
               : fail_damaged(r, "it has more tensors than", r->model->arch->info.name);
}

static qz_status read_file(reader *r)
{
    qz_model *m = r->model;
    qzi_statistics *s = NULL;
    QZI_TRY(check_format(r));
    QZI_TRY(check_model(r));
    QZI_TRY(get_number(r, "calibration_images", 10, &r->images));
    QZI_TRY(get_number(r, "synthetic_images", 10, &r->synthetic));
    QZI_TRY(get_number(r, "calibration_hash", 16, &r->hash));
    if (r->images == 0 || r->synthetic > r->images || r->images > SIZE_MAX / 4)
        return fail_damaged(r, "the number of", "images");
    QZI_TRY(qzi_statistics_create(m->graph, &s));
    qzi_fpenv env = qzi_fpenv_enter();
    qz_status st = read_nodes(r, s);
    qzi_fpenv_leave(env);
    if (st == QZ_OK) {
        st = qzi_calibration_merge(m->calibration, s, (size_t)r->images);
        if (st != QZ_OK)
            qzi_fail_prefix(m->ctx, st, "%s", r->path);
    }
    qzi_statistics_destroy(s);
    QZI_TRY(st);
    m->calibration_hash += r->hash;
    m->calibration_images = qzi_calibration_images(m->calibration);
    m->synthetic_images += (size_t)r->synthetic;
    qzi_provenance_calib(m);
    return QZ_OK;
}

qz_status qz_model_statistics_load(qz_model *model, const char *path)
{
    qz_state_dict *dict = NULL;
    if (!model || !path)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_statistics_load: model or path is NULL");
    if (!model->calibration)
        return qzi_model_fail_state(
            model, model->int8_graph ? "the model is already int8; calibrate before convert"
                                     : "no observers: create with quantize, or call "
                                       "qz_model_prepare");
    QZI_TRY(qz_state_dict_load(model->ctx, path, &dict));
    reader r = {.model = model, .path = path, .dict = dict};
    qzi_arena_init(&r.arena, model->ctx);
    const qz_status st = read_file(&r);
    qzi_arena_free(&r.arena);
    qz_state_dict_destroy(dict);
    return st;
}

/* SPDX-License-Identifier: MIT */
/*
 * registry.c - the list of architectures, by name, and the named builders. Both come from
 * qzoo_models.inc.
 */
#include "zoo/zoo.h"

#include <string.h>

static const qzi_arch *const archs[] = {
#define QZ_MODEL(name) &qzi_arch_##name,
#include "zoo/qzoo_models.inc"
#undef QZ_MODEL
};

size_t qz_arch_count(void)
{
    return QZI_ARRAY_LEN(archs);
}

void qz_arch_at(size_t index, qz_arch_info *info)
{
    if (info == NULL)
        return;
    if (index < QZI_ARRAY_LEN(archs))
        *info = archs[index]->info;
    else
        *info = (qz_arch_info){.name = "", .task = ""};
}

const qzi_arch *qzi_arch_get(const char *name)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(archs); i++)
        if (strcmp(archs[i]->info.name, name) == 0)
            return archs[i];
    return NULL;
}

/* ---- nearest names --------------------------------------------------------------------------- */

/* No name is longer; what a user types beyond it cannot be near one. */
#define NAME_MAX_LENGTH 48

/* Levenshtein's distance: insertions, deletions, substitutions. Both at most NAME_MAX_LENGTH. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[NAME_MAX_LENGTH + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            size_t change = QZI_MIN(row[j], row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = QZI_MIN(substitute, change);
        }
    }
    return row[b_length];
}

qz_status qzi_arch_fail_unknown(const qz_context *ctx, const char *name)
{
    enum { NEAREST = 3 };
    const char *nearest[NEAREST] = {NULL};
    size_t distance[NEAREST];
    size_t length = strlen(name);
    if (length <= NAME_MAX_LENGTH) {
        for (size_t i = 0; i < QZI_ARRAY_LEN(archs); i++) {
            const char *candidate = archs[i]->info.name;
            size_t d = edit_distance(name, length, candidate, strlen(candidate));
            /* insertion into the short sorted list; equals keep the order of the registry */
            for (size_t k = 0; k < NEAREST; k++) {
                if (nearest[k] != NULL && distance[k] <= d)
                    continue;
                for (size_t m = NEAREST - 1; m > k; m--) {
                    nearest[m] = nearest[m - 1];
                    distance[m] = distance[m - 1];
                }
                nearest[k] = candidate;
                distance[k] = d;
                break;
            }
        }
    }
    if (nearest[NEAREST - 1] == NULL)
        return qzi_fail(ctx, QZ_ERR_UNKNOWN_NAME, "unknown model '%.64s…'; see the list of models",
                        name);
    return qzi_fail(ctx, QZ_ERR_UNKNOWN_NAME, "unknown model '%s'; the nearest are %s, %s and %s",
                    name, nearest[0], nearest[1], nearest[2]);
}

qz_status qz_arch_find(qz_context *context, const char *name, qz_arch_info *info)
{
    if (name == NULL || info == NULL)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_arch_find: name and info must not be NULL");
    const qzi_arch *arch = qzi_arch_get(name);
    if (arch == NULL)
        return qzi_arch_fail_unknown(context, name);
    *info = arch->info;
    return QZ_OK;
}

/* ---- named builders -------------------------------------------------------------------------- */

#define QZ_MODEL(name)                                                                          \
    qz_status qz_##name(qz_context *context, const qz_model_options *options, qz_model **model) \
    {                                                                                           \
        return qz_model_create(context, #name, options, model);                                 \
    }
#include "zoo/qzoo_models.inc"
#undef QZ_MODEL

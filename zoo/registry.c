/* SPDX-License-Identifier: MIT */
/*
 * registry.c - the list of architectures by name, from qzoo_models.inc.
 */
#include "layers/base/nearest.h"
#include "zoo/arch.h"

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
    if (!info)
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

/* ---- unknown names ---- */

#define NAME_MAX_LENGTH 48 /* a longer word is a mistake of another kind: it is cut off */

qz_status qzi_arch_fail_unknown(const qz_context *ctx, const char *name)
{
    char names[256];
    qzi_nearest nearest;
    if (strlen(name) > NAME_MAX_LENGTH)
        return qzi_fail(ctx, QZ_ERR_UNKNOWN_NAME, "unknown model '%.48s…'; see the list of models",
                        name);
    if (qz_weights_has_model(name))
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: a known model, but not built yet; `qzoo list` has those that run",
                        name);
    qzi_nearest_init(&nearest, name);
    for (size_t i = 0; i < QZI_ARRAY_LEN(archs); i++)
        qzi_nearest_add(&nearest, archs[i]->info.name);
    qzi_nearest_text(&nearest, names, sizeof(names));
    return qzi_fail(ctx, QZ_ERR_UNKNOWN_NAME, "unknown model '%s'; the nearest are %s", name,
                    names);
}

qz_status qz_arch_find(qz_context *context, const char *name, qz_arch_info *info)
{
    if (!name || !info)
        return qzi_fail(context, QZ_ERR_ARGUMENT, "qz_arch_find: name and info must not be NULL");
    const qzi_arch *arch = qzi_arch_get(name);
    if (!arch)
        return qzi_arch_fail_unknown(context, name);
    *info = arch->info;
    return QZ_OK;
}

/* SPDX-License-Identifier: MIT */
/* keys_common.c - small questions about keys, and texts that hold some (keys.h). */
#include "zoo/model/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool qzi_keys_below(const char *key, const char *module)
{
    size_t size = strlen(module);
    return strncmp(key, module, size) == 0 && key[size] == '.';
}

bool qzi_keys_is_aux(const qz_model *model, const char *key)
{
    return model->arch->has_aux_logits &&
           (qzi_keys_below(key, "aux1") || qzi_keys_below(key, "aux2") ||
            qzi_keys_below(key, "AuxLogits") || qzi_keys_below(key, "aux_classifier"));
}

void qzi_keys_note(qzi_fit *fit, const char *fmt, ...)
{
    size_t used = strlen(fit->note);
    if (used > 0 && used + 3 < sizeof(fit->note)) {
        memcpy(fit->note + used, "; ", 3);
        used += 2;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(fit->note + used, sizeof(fit->note) - used, fmt, args);
    va_end(args);
}

qz_status qzi_keys_printable(qz_model *model, const char *text, const char **out)
{
    const size_t size = qz_text_printable(text, NULL, 0) + 1;
    char *copy = qzi_arena_alloc(&model->arena, size);
    if (!copy)
        return QZ_ERR_MEMORY;
    qz_text_printable(text, copy, size);
    *out = copy;
    return QZ_OK;
}

int qzi_keys_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool qzi_keys_expected(const qzi_fit *fit, const char *key)
{
    return bsearch(&key, fit->keys, fit->model->graph->param_count, sizeof(*fit->keys),
                   qzi_keys_compare) != NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * pickle_module.c - activations, class count and strides out of a tree of modules, by the names of
 * classes and attributes. Nothing of it is executed; what is not understood is left out.
 */
#include "weights/formats/pickle_module.h"

#include "weights/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Classes whose objects compute an activation, in torch or in ultralytics' own modules. */
static const char *const activation_classes[] = {
    "SiLU", "LeakyReLU", "Mish", "MemoryEfficientMish", "Hardswish", "ReLU", "ReLU6", "GELU", "ELU",
};

static bool is_class(const qzi_pickle_object *object, const char *name)
{
    return object->kind == QZI_PICKLE_INSTANCE &&
           qzi_pickle_text_is(object->u.instance->type->name, name);
}

static const qzi_pickle_object *attribute(const qzi_pickle_object *module, const char *name,
                                          qzi_pickle_kind kind)
{
    const qzi_pickle_object *state = module->u.instance->state;
    if (!state || state->kind != QZI_PICKLE_DICT)
        return NULL;
    const qzi_pickle_object *value = qzi_pickle_member(state, name);
    return value && value->kind == kind ? value : NULL;
}

static void add_activation(qzi_module_facts *facts, const char *text)
{
    for (size_t i = 0; i < facts->activation_count; i++)
        if (strcmp(facts->activations[i], text) == 0)
            return;
    if (facts->activation_count < QZI_MODULE_ACTIVATIONS)
        snprintf(facts->activations[facts->activation_count++], sizeof(facts->activations[0]), "%s",
                 text);
}

void qzi_module_facts_add(qzi_module_facts *facts, const qzi_pickle_object *module)
{
    char text[32];
    if (!facts->type)
        facts->type = module->u.instance->type;
    for (size_t i = 0; i < QZI_ARRAY_LEN(activation_classes); i++) {
        if (!is_class(module, activation_classes[i]))
            continue;
        const qzi_pickle_object *slope = attribute(module, "negative_slope", QZI_PICKLE_FLOAT);
        if (slope)
            snprintf(text, sizeof(text), "%s(%.6g)", activation_classes[i], slope->u.real);
        else
            snprintf(text, sizeof(text), "%s", activation_classes[i]);
        add_activation(facts, text);
    }
    const qzi_pickle_object *classes = attribute(module, "nc", QZI_PICKLE_INT);
    if (classes && is_class(module, "Detect"))
        facts->classes = classes->u.integer;
}

const qzi_pickle_tensor *qzi_module_strides(const qzi_pickle_object *module)
{
    const qzi_pickle_object *stride =
        is_class(module, "Detect") ? attribute(module, "stride", QZI_PICKLE_TENSOR) : NULL;
    return stride ? stride->u.tensor : NULL;
}

/* ---- metadata ---- */

static qz_status keep(qz_state_dict *dict, const char *key, const char *text)
{
    QZI_TRY(qzi_dict_charge(dict, strlen(text) + 1));
    const char *copy = qzi_arena_strdup(&dict->arena, text);
    if (!copy)
        return QZ_ERR_MEMORY;
    return qzi_dict_add_metadata(dict, key, copy);
}

static qz_status keep_class(const qzi_module_facts *facts, qz_state_dict *dict)
{
    const qzi_pickle_text module = facts->type->module, name = facts->type->name;
    char text[256];
    if (module.size + name.size + 2 > sizeof(text))
        return QZ_OK;
    const int size = snprintf(text, sizeof(text), "%.*s.%.*s", (int)module.size, module.data,
                              (int)name.size, name.data);
    if (!qzi_utf8_valid(text, (size_t)size))
        return QZ_OK;
    return keep(dict, QZ_METADATA_MODULE_CLASS, text);
}

qz_status qzi_module_facts_keep(const qzi_module_facts *facts, qz_state_dict *dict)
{
    char text[256] = "";
    size_t used = 0;
    if (facts->type)
        QZI_TRY(keep_class(facts, dict));
    for (size_t i = 0; i < facts->activation_count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? " " : "",
                                 facts->activations[i]);
    if (facts->activation_count > 0)
        QZI_TRY(keep(dict, QZ_METADATA_MODULE_ACTIVATIONS, text));
    if (facts->classes != 0) {
        snprintf(text, sizeof(text), "%" PRId64, facts->classes);
        QZI_TRY(keep(dict, QZ_METADATA_MODULE_CLASSES, text));
    }
    used = 0;
    for (int64_t i = 0; i < facts->stride_count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.6g", i > 0 ? " " : "",
                                 facts->strides[i]);
    if (facts->stride_count > 0)
        QZI_TRY(keep(dict, QZ_METADATA_MODULE_STRIDES, text));
    return QZ_OK;
}

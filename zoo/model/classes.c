/* SPDX-License-Identifier: MIT */
/* classes.c - the names of a model's classes. */
#include "zoo/model/classes.h"

#include "weights/bytes.h"

#include <string.h>

static bool name_before(const void *arg, size_t a, size_t b)
{
    const char *const *names = arg;
    const int order = strcmp(names[a], names[b]);
    return order < 0 || (order == 0 && a < b);
}

/* QZ_ERR_ARGUMENT names the first class whose name cannot be kept. */
static qz_status check_names(const qz_model *model, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!names[i] || names[i][0] == '\0')
            return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "class %zu has no name", i);
        for (const char *p = names[i]; *p != '\0'; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                                "the name of class %zu has a control character", i);
    }
    size_t *order = qzi_calloc(model->ctx, count, sizeof(*order));
    if (!order)
        return QZ_ERR_MEMORY;
    qzi_sort_indices(order, count, name_before, names);
    qz_status st = QZ_OK;
    for (size_t i = 1; i < count && st == QZ_OK; i++)
        if (strcmp(names[order[i - 1]], names[order[i]]) == 0)
            st = qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                          "classes %zu and %zu have the same name, '%.200s'", order[i - 1],
                          order[i], names[order[i]]);
    qzi_free(model->ctx, order);
    return st;
}

/* One block: the array of pointers, then the names, each with its NUL. */
static const char *const *copy_names(const qz_model *model, const char *const *names, size_t count)
{
    size_t bytes = count * sizeof(*names);
    for (size_t i = 0; i < count; i++)
        bytes += strlen(names[i]) + 1;
    const char **block = qzi_alloc(model->ctx, bytes);
    if (!block)
        return NULL;
    char *text = (char *)(block + count);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(names[i]) + 1;
        memcpy(text, names[i], size);
        block[i] = text;
        text += size;
    }
    return block;
}

qz_status qz_model_set_classes(qz_model *model, const char *const *names, size_t count)
{
    if (!model || (!names && count > 0))
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_set_classes: model or names is NULL");
    if (count != (size_t)model->num_classes)
        return qzi_fail(model->ctx, QZ_ERR_MISMATCH,
                        "%zu names of classes, but the model has %d classes", count,
                        (int)model->num_classes);
    QZI_TRY(check_names(model, names, count));
    const char *const *copy = copy_names(model, names, count);
    if (!copy)
        return QZ_ERR_MEMORY;
    qzi_free(model->ctx, (void *)(uintptr_t)model->classes);
    model->classes = copy;
    return QZ_OK;
}

const char *qz_model_class(const qz_model *model, int32_t index)
{
    if (!model || index < 0 || index >= model->num_classes)
        return NULL;
    if (model->classes)
        return model->classes[index];
    const char *task = model->arch->info.task;
    if (model->num_classes == 91 && strcmp(task, "detection") == 0)
        return qz_coco_class(index);
    if (model->num_classes == 80 && model->arch->detector &&
        model->arch->detector->kind == QZI_DETECTOR_YOLO)
        return qz_coco80_class(index);
    if (model->num_classes == 21 && strcmp(task, "segmentation") == 0)
        return qz_voc_class(index);
    return model->num_classes == 1000 ? qz_imagenet_class(index) : NULL;
}

qz_status qzi_classes_join(const qz_model *model, qzi_arena *arena, const char **text)
{
    size_t bytes = 1;
    *text = "";
    if (!model->classes)
        return QZ_OK;
    for (int32_t i = 0; i < model->num_classes; i++)
        bytes += strlen(model->classes[i]) + 1;
    char *all = qzi_arena_alloc(arena, bytes);
    if (!all)
        return QZ_ERR_MEMORY;
    char *end = all;
    for (int32_t i = 0; i < model->num_classes; i++) {
        size_t length = strlen(model->classes[i]);
        memcpy(end, model->classes[i], length);
        end[length] = '\n';
        end += length + 1;
    }
    end[-1] = '\0';
    *text = all;
    return QZ_OK;
}

qz_status qzi_classes_split(qz_model *model, const char *text)
{
    size_t count = 1;
    if (text[0] == '\0')
        return QZ_OK;
    for (const char *p = text; *p != '\0'; p++)
        count += *p == '\n';
    if (count != (size_t)model->num_classes) /* before anything of that size is allocated */
        return qz_model_set_classes(model, &text, count);
    char *copy = qzi_format(model->ctx, "%s", text);
    const char **names = qzi_calloc(model->ctx, count, sizeof(*names));
    qz_status st = copy && names ? QZ_OK : QZ_ERR_MEMORY;
    if (st == QZ_OK) {
        char *name = copy;
        for (size_t i = 0; i < count; i++) {
            names[i] = name;
            name += strcspn(name, "\n");
            *name++ = '\0';
        }
        st = qz_model_set_classes(model, names, count);
    }
    qzi_free(model->ctx, copy);
    qzi_free(model->ctx, names);
    return st;
}

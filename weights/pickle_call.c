/* SPDX-License-Identifier: MIT */
/*
 * pickle_call.c - the few calls of a pickle that mean tensors: imitated, never executed. Anything
 * else that a pickle wants called is refused by its name.
 */
#include "weights/pickle.h"

#include <string.h>

typedef struct known_global {
    const char *module, *name;
    qzi_pickle_global meaning;
    qz_dtype dtype;
} known_global;

static const known_global known[] = {
    {"torch._utils", "_rebuild_tensor_v2", QZI_PICKLE_REBUILD_TENSOR, QZ_F32},
    {"torch._utils", "_rebuild_parameter", QZI_PICKLE_REBUILD_PARAMETER, QZ_F32},
    {"collections", "OrderedDict", QZI_PICKLE_ORDERED_DICT, QZ_F32},
    {"torch", "Size", QZI_PICKLE_SIZE, QZ_F32},
    {"torch", "FloatStorage", QZI_PICKLE_STORAGE_TYPE, QZ_F32},
    {"torch", "DoubleStorage", QZI_PICKLE_STORAGE_TYPE, QZ_F64},
    {"torch", "HalfStorage", QZI_PICKLE_STORAGE_TYPE, QZ_F16},
    {"torch", "BFloat16Storage", QZI_PICKLE_STORAGE_TYPE, QZ_BF16},
    {"torch", "LongStorage", QZI_PICKLE_STORAGE_TYPE, QZ_S64},
    {"torch", "IntStorage", QZI_PICKLE_STORAGE_TYPE, QZ_S32},
    {"torch", "ShortStorage", QZI_PICKLE_STORAGE_TYPE, QZ_S16},
    {"torch", "CharStorage", QZI_PICKLE_STORAGE_TYPE, QZ_S8},
    {"torch", "ByteStorage", QZI_PICKLE_STORAGE_TYPE, QZ_U8},
    {"torch", "BoolStorage", QZI_PICKLE_STORAGE_TYPE, QZ_BOOL},
};

qz_status qzi_pickle_find_global(qzi_pickle_reader *reader, qzi_pickle_text module,
                                 qzi_pickle_text name, qzi_pickle_object **object)
{
    QZI_TRY(qzi_pickle_object_new(reader, QZI_PICKLE_GLOBAL, object));
    qzi_pickle_name *global = NULL;
    QZI_TRY(qzi_pickle_alloc(reader, sizeof(*global), &global));
    *global = (qzi_pickle_name){.module = module, .name = name, .meaning = QZI_PICKLE_UNKNOWN};
    for (size_t i = 0; i < QZI_ARRAY_LEN(known); i++) {
        if (qzi_pickle_text_is(module, known[i].module) &&
            qzi_pickle_text_is(name, known[i].name)) {
            global->meaning = known[i].meaning;
            global->dtype = known[i].dtype;
        }
    }
    (*object)->u.global = global;
    return QZ_OK;
}

/* Names come from the file: at most this much of them goes into a message. */
#define SHOWN(text) (int)QZI_MIN((text).size, 128), (text).data

qz_status qzi_pickle_refuse_class(const qzi_pickle_reader *reader,
                                  const qzi_pickle_object *callable)
{
    if (callable->kind != QZI_PICKLE_GLOBAL)
        return qzi_pickle_damaged(reader, "an object of no class");
    const qzi_pickle_name *global = callable->u.global;
    return qzi_fail(reader->ctx, QZ_ERR_UNSUPPORTED,
                    "%s: holds an object of class '%.*s.%.*s', and only tensors are read; save "
                    "model.state_dict() instead of the model",
                    reader->path, SHOWN(global->module), SHOWN(global->name));
}

static qz_status refuse_call(const qzi_pickle_reader *reader, const qzi_pickle_name *global)
{
    return qzi_fail(reader->ctx, QZ_ERR_UNSUPPORTED,
                    "%s: refuses to run '%.*s.%.*s' in a pickle; only tensors are read",
                    reader->path, SHOWN(global->module), SHOWN(global->name));
}

/* A tuple of numbers that are not negative into an array of QZ_MAX_DIMS. */
static qz_status read_numbers(const qzi_pickle_reader *reader, const qzi_pickle_object *tuple,
                              int64_t *numbers, int32_t *count)
{
    if (tuple->kind != QZI_PICKLE_TUPLE)
        return qzi_pickle_damaged(reader, "a tensor's shape is not a tuple");
    if (tuple->u.seq.count > QZ_MAX_DIMS)
        return qzi_fail(reader->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: holds a tensor with more than %d dimensions", reader->path,
                        QZ_MAX_DIMS);
    for (size_t i = 0; i < tuple->u.seq.count; i++) {
        const qzi_pickle_object *item = tuple->u.seq.items[i];
        if (item->kind != QZI_PICKLE_INT || item->u.integer < 0)
            return qzi_pickle_damaged(reader, "a tensor's shape holds other than natural numbers");
        numbers[i] = item->u.integer;
    }
    *count = (int32_t)tuple->u.seq.count;
    return QZ_OK;
}

/* (storage, offset, size, stride, requires_grad, backward_hooks[, metadata]) */
static qz_status rebuild_tensor(qzi_pickle_reader *reader, const qzi_pickle_items *arguments,
                                qzi_pickle_object **result)
{
    qzi_pickle_object *const *args = arguments->items;
    if (arguments->count < 6 || arguments->count > 7 || args[0]->kind != QZI_PICKLE_STORAGE ||
        args[1]->kind != QZI_PICKLE_INT || args[1]->u.integer < 0)
        return qzi_pickle_damaged(reader, "bad arguments of a tensor");
    qzi_pickle_tensor *tensor = NULL;
    int32_t stride_count = 0;
    QZI_TRY(qzi_pickle_object_new(reader, QZI_PICKLE_TENSOR, result));
    QZI_TRY(qzi_pickle_alloc(reader, sizeof(*tensor), &tensor));
    tensor->storage = args[0]->u.storage;
    tensor->offset = args[1]->u.integer;
    QZI_TRY(read_numbers(reader, args[2], tensor->dims, &tensor->ndim));
    QZI_TRY(read_numbers(reader, args[3], tensor->strides, &stride_count));
    if (tensor->ndim != stride_count)
        return qzi_pickle_damaged(reader, "a tensor with more or fewer strides than dimensions");
    (*result)->u.tensor = tensor;
    return QZ_OK;
}

qz_status qzi_pickle_call(qzi_pickle_reader *reader, const qzi_pickle_object *callable,
                          qzi_pickle_object *arguments, qzi_pickle_object **result)
{
    if (callable->kind != QZI_PICKLE_GLOBAL || arguments->kind != QZI_PICKLE_TUPLE)
        return qzi_pickle_damaged(reader, "a call of something that is no function");
    const qzi_pickle_items *args = &arguments->u.seq;
    switch (callable->u.global->meaning) {
    case QZI_PICKLE_ORDERED_DICT:
        if (args->count != 0)
            return qzi_pickle_damaged(reader, "an OrderedDict with arguments");
        return qzi_pickle_object_new(reader, QZI_PICKLE_DICT, result);
    case QZI_PICKLE_SIZE:
        if (args->count != 1 || args->items[0]->kind != QZI_PICKLE_TUPLE)
            return qzi_pickle_damaged(reader, "bad arguments of torch.Size");
        *result = args->items[0];
        return QZ_OK;
    case QZI_PICKLE_REBUILD_TENSOR:
        return rebuild_tensor(reader, args, result);
    case QZI_PICKLE_REBUILD_PARAMETER: /* (data, requires_grad, backward_hooks) */
        if (args->count != 3 || args->items[0]->kind != QZI_PICKLE_TENSOR)
            return qzi_pickle_damaged(reader, "bad arguments of a parameter");
        *result = args->items[0];
        return QZ_OK;
    default:
        return refuse_call(reader, callable->u.global);
    }
}

qz_status qzi_pickle_persistent(qzi_pickle_reader *reader, const qzi_pickle_object *id,
                                qzi_pickle_object **object)
{
    if (id->kind != QZI_PICKLE_TUPLE || id->u.seq.count != 5)
        return qzi_pickle_damaged(reader, "bad persistent id");
    qzi_pickle_object *const *items = id->u.seq.items;
    if (items[0]->kind != QZI_PICKLE_STR || !qzi_pickle_text_is(items[0]->u.text, "storage") ||
        items[1]->kind != QZI_PICKLE_GLOBAL || items[2]->kind != QZI_PICKLE_STR ||
        items[4]->kind != QZI_PICKLE_INT || items[4]->u.integer < 0)
        return qzi_pickle_damaged(reader, "bad persistent id");
    const qzi_pickle_name *type = items[1]->u.global;
    if (type->meaning != QZI_PICKLE_STORAGE_TYPE)
        return qzi_fail(reader->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: tensors of type '%.*s.%.*s' are not read", reader->path,
                        SHOWN(type->module), SHOWN(type->name));
    qzi_pickle_storage *storage = NULL;
    QZI_TRY(qzi_pickle_object_new(reader, QZI_PICKLE_STORAGE, object));
    QZI_TRY(qzi_pickle_alloc(reader, sizeof(*storage), &storage));
    *storage = (qzi_pickle_storage){items[2]->u.text, type->dtype, items[4]->u.integer};
    (*object)->u.storage = storage;
    return QZ_OK;
}

/* SPDX-License-Identifier: MIT */
/*
 * pickle_call.c - the few calls of a pickle that mean tensors, or plain data beside them: imitated,
 * never executed. Anything else that a pickle calls becomes an object of which only the name of the
 * callable is known: checkpoints hold schedulers, paths, dates and more beside their tensors.
 */
#include "weights/formats/pickle.h"

#include <string.h>

typedef struct known_global {
    const char *module, *name;
    qzi_pickle_global meaning;
    qz_dtype dtype;
} known_global;

static const known_global known[] = {
    {"torch._utils", "_rebuild_tensor_v2", QZI_PICKLE_REBUILD_TENSOR, QZ_F32},
    {"torch._utils", "_rebuild_tensor", QZI_PICKLE_REBUILD_TENSOR_V1, QZ_F32},
    {"torch._utils", "_rebuild_qtensor", QZI_PICKLE_REBUILD_QTENSOR, QZ_F32},
    {"torch._utils", "_rebuild_parameter_with_state", QZI_PICKLE_REBUILD_PARAMETER, QZ_F32},
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
    {"torch", "QInt8Storage", QZI_PICKLE_STORAGE_TYPE, QZ_S8},
    {"torch", "QUInt8Storage", QZI_PICKLE_STORAGE_TYPE, QZ_U8},
    {"torch", "QInt32Storage", QZI_PICKLE_STORAGE_TYPE, QZ_S32},
    {"torch", "per_tensor_affine", QZI_PICKLE_PER_TENSOR, QZ_F32},
    {"torch", "per_tensor_symmetric", QZI_PICKLE_PER_TENSOR, QZ_F32},
    {"torch", "per_channel_affine", QZI_PICKLE_PER_CHANNEL, QZ_F32},
    {"torch", "per_channel_symmetric", QZI_PICKLE_PER_CHANNEL, QZ_F32},
    {"torch", "qint8", QZI_PICKLE_DTYPE, QZ_S8},
    {"torch", "quint8", QZI_PICKLE_DTYPE, QZ_U8},
    {"torch", "qint32", QZI_PICKLE_DTYPE, QZ_S32},
    {"torch", "float16", QZI_PICKLE_DTYPE, QZ_F16},
    {"torch", "float32", QZI_PICKLE_DTYPE, QZ_F32},
    {"__builtin__", "set", QZI_PICKLE_SET, QZ_F32},
    {"builtins", "set", QZI_PICKLE_SET, QZ_F32},
    {"__builtin__", "frozenset", QZI_PICKLE_SET, QZ_F32},
    {"builtins", "frozenset", QZI_PICKLE_SET, QZ_F32},
    {"copy_reg", "_reconstructor", QZI_PICKLE_RECONSTRUCTOR, QZ_F32},
    {"copyreg", "_reconstructor", QZI_PICKLE_RECONSTRUCTOR, QZ_F32},
    /* TorchScript's typed lists */
    {"torch.jit._pickle", "build_intlist", QZI_PICKLE_FIRST, QZ_F32},
    {"torch.jit._pickle", "build_doublelist", QZI_PICKLE_FIRST, QZ_F32},
    {"torch.jit._pickle", "build_boollist", QZI_PICKLE_FIRST, QZ_F32},
    {"torch.jit._pickle", "build_tensorlist", QZI_PICKLE_FIRST, QZ_F32},
    {"torch.jit._pickle", "restore_type_tag", QZI_PICKLE_FIRST, QZ_F32},
    {"torch._tensor", "_rebuild_from_type_v2", QZI_PICKLE_REBUILD_FROM_TYPE, QZ_F32},
};

/* Types of storages whose tensors are not read; legacy files are walked over them by their size. */
static const struct {
    const char *name;
    size_t unit;
} foreign_storages[] = {
    {"ComplexHalfStorage", 4}, {"ComplexFloatStorage", 8}, {"ComplexDoubleStorage", 16},
    {"QUInt4x2Storage", 1},    {"QUInt2x4Storage", 1},
};

/* "SomethingStorage" of torch or torch.storage. */
static bool is_storage_type(qzi_pickle_text module, qzi_pickle_text name)
{
    static const char end[] = "Storage";
    const size_t size = sizeof(end) - 1;
    return (qzi_pickle_text_is(module, "torch") || qzi_pickle_text_is(module, "torch.storage")) &&
           name.size >= size && memcmp(name.data + name.size - size, end, size) == 0;
}

static void find_foreign_storage(qzi_pickle_name *global)
{
    if (global->meaning != QZI_PICKLE_UNKNOWN || !is_storage_type(global->module, global->name))
        return;
    global->meaning = QZI_PICKLE_FOREIGN_STORAGE;
    for (size_t i = 0; i < QZI_ARRAY_LEN(foreign_storages); i++)
        if (qzi_pickle_text_is(global->name, foreign_storages[i].name))
            global->unit = foreign_storages[i].unit;
}

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
            global->unit = qz_dtype_size(global->dtype);
        }
    }
    find_foreign_storage(global);
    (*object)->u.global = global;
    return QZ_OK;
}

/* Names come from the file: at most this much of them goes into a message. */
#define SHOWN(text) (int)QZI_MIN((text).size, 128), (text).data

static qz_status new_note(qzi_pickle_reader *reader, const qzi_pickle_name *type, bool called,
                          qzi_pickle_object **object)
{
    qzi_pickle_instance *instance = NULL;
    QZI_TRY(qzi_pickle_object_new(reader, QZI_PICKLE_INSTANCE, object));
    QZI_TRY(qzi_pickle_alloc(reader, sizeof(*instance), &instance));
    instance->type = type;
    instance->called = called;
    (*object)->u.instance = instance;
    return QZ_OK;
}

/* What a call returns may be called again: a class that a function makes, a bound method. */
qz_status qzi_pickle_new_instance(qzi_pickle_reader *reader, const qzi_pickle_object *type,
                                  bool called, qzi_pickle_object **object)
{
    if (type->kind == QZI_PICKLE_GLOBAL)
        return new_note(reader, type->u.global, called, object);
    if (type->kind == QZI_PICKLE_INSTANCE)
        return new_note(reader, type->u.instance->type, true, object);
    return qzi_pickle_damaged(reader, called ? "a call of something that is no function"
                                             : "an object of no class");
}

/* A tensor that cannot be read. */
static qz_status new_unread(qzi_pickle_reader *reader, const qzi_pickle_name *type, const char *why,
                            qzi_pickle_object **object)
{
    QZI_TRY(new_note(reader, type, true, object));
    (*object)->u.instance->unread = why;
    return QZ_OK;
}

/* A tuple of numbers that are not negative into an array of QZ_MAX_DIMS. */
static qz_status read_numbers(const qzi_pickle_reader *reader, const qzi_pickle_object *tuple,
                              int64_t *numbers, int32_t *count)
{
    if (tuple->kind != QZI_PICKLE_TUPLE)
        return qzi_pickle_damaged(reader, "a tensor's shape is not a tuple");
    for (size_t i = 0; i < tuple->u.seq.count; i++) {
        const qzi_pickle_object *item = tuple->u.seq.items[i];
        if (item->kind != QZI_PICKLE_INT || item->u.integer < 0)
            return qzi_pickle_damaged(reader, "a tensor's shape holds other than natural numbers");
        numbers[i] = item->u.integer;
    }
    *count = (int32_t)tuple->u.seq.count;
    return QZ_OK;
}

/* (storage, offset, size, stride, ...): what all versions begin with. */
static qz_status rebuild_view(qzi_pickle_reader *reader, const qzi_pickle_items *arguments,
                              size_t least, size_t most, qzi_pickle_object **result)
{
    qzi_pickle_object *const *args = arguments->items;
    if (arguments->count < least || arguments->count > most ||
        args[0]->kind != QZI_PICKLE_STORAGE || args[1]->kind != QZI_PICKLE_INT ||
        args[1]->u.integer < 0)
        return qzi_pickle_damaged(reader, "bad arguments of a tensor");
    const qzi_pickle_name *type = args[0]->u.storage->type;
    if (type->meaning != QZI_PICKLE_STORAGE_TYPE)
        return new_unread(reader, type, "tensors of this type are not read", result);
    if (args[2]->kind == QZI_PICKLE_TUPLE && args[2]->u.seq.count > QZ_MAX_DIMS)
        return new_unread(reader, type, "it has more than 8 dimensions", result);
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

/* (scheme, scale, zero_point) or (scheme, scales, zero_points, axis) */
static qz_status read_quantizer(qzi_pickle_reader *reader, const qzi_pickle_object *params,
                                qzi_pickle_object **tensor)
{
    static const char bad[] = "bad quantizer of a tensor";
    qzi_pickle_object *const *items = params->u.seq.items;
    qzi_pickle_quant *quant = NULL;
    if (params->kind != QZI_PICKLE_TUPLE || params->u.seq.count < 3 ||
        items[0]->kind != QZI_PICKLE_GLOBAL)
        return qzi_pickle_damaged(reader, bad);
    qzi_pickle_global scheme = items[0]->u.global->meaning;
    QZI_TRY(qzi_pickle_alloc(reader, sizeof(*quant), &quant));
    if (scheme == QZI_PICKLE_PER_TENSOR) {
        if (params->u.seq.count != 3 || items[1]->kind != QZI_PICKLE_FLOAT ||
            items[2]->kind != QZI_PICKLE_INT)
            return qzi_pickle_damaged(reader, bad);
        quant->scale = items[1]->u.real;
        quant->zero_point = items[2]->u.integer;
    } else if (scheme == QZI_PICKLE_PER_CHANNEL) {
        if (params->u.seq.count != 4 || items[1]->kind != QZI_PICKLE_TENSOR ||
            items[2]->kind != QZI_PICKLE_TENSOR || items[3]->kind != QZI_PICKLE_INT)
            return qzi_pickle_damaged(reader, bad);
        quant->per_channel = true;
        quant->scales = items[1]->u.tensor;
        quant->zero_points = items[2]->u.tensor;
        quant->axis = items[3]->u.integer;
    } else {
        return new_unread(reader, items[0]->u.global, "tensors quantized so are not read", tensor);
    }
    (*tensor)->u.tensor->quant = quant;
    return QZ_OK;
}

static qz_status rebuild_qtensor(qzi_pickle_reader *reader, const qzi_pickle_items *args,
                                 qzi_pickle_object **result)
{
    QZI_TRY(rebuild_view(reader, args, 7, 7, result));
    if ((*result)->kind != QZI_PICKLE_TENSOR)
        return QZ_OK;
    return read_quantizer(reader, args->items[4], result);
}

/* (class, base, state) */
static qz_status reconstruct(qzi_pickle_reader *reader, const qzi_pickle_items *args,
                             qzi_pickle_object **result)
{
    if (args->count != 3)
        return qzi_pickle_damaged(reader, "bad arguments of a constructor");
    return qzi_pickle_new_instance(reader, args->items[0], false, result);
}

/* OrderedDict(), and Python 2's OrderedDict([[key, value], …]). */
static qz_status ordered_dict(qzi_pickle_reader *reader, const qzi_pickle_items *args,
                              qzi_pickle_object **result)
{
    static const char bad[] = "an OrderedDict with arguments that are no list of pairs";
    QZI_TRY(qzi_pickle_object_new(reader, QZI_PICKLE_DICT, result));
    if (args->count == 0)
        return QZ_OK;
    if (args->count != 1 || args->items[0]->kind != QZI_PICKLE_LIST)
        return qzi_pickle_damaged(reader, bad);
    const qzi_pickle_items *pairs = &args->items[0]->u.seq;
    qzi_pickle_items *items = &(*result)->u.seq;
    QZI_TRY(qzi_pickle_alloc(reader, 2 * pairs->count * sizeof(*items->items), &items->items));
    items->capacity = 2 * pairs->count;
    for (size_t i = 0; i < pairs->count; i++) {
        const qzi_pickle_object *pair = pairs->items[i];
        if ((pair->kind != QZI_PICKLE_LIST && pair->kind != QZI_PICKLE_TUPLE) ||
            pair->u.seq.count != 2)
            return qzi_pickle_damaged(reader, bad);
        items->items[items->count++] = pair->u.seq.items[0];
        items->items[items->count++] = pair->u.seq.items[1];
    }
    return QZ_OK;
}

/* (data, requires_grad, backward_hooks[, state]) */
static qz_status parameter(qzi_pickle_reader *reader, const qzi_pickle_items *args,
                           qzi_pickle_object **result)
{
    if (args->count < 3 || args->count > 4 ||
        (args->items[0]->kind != QZI_PICKLE_TENSOR && args->items[0]->kind != QZI_PICKLE_INSTANCE))
        return qzi_pickle_damaged(reader, "bad arguments of a parameter");
    *result = args->items[0];
    return QZ_OK;
}

/* (function, class, arguments, state): the tensor that the function makes, whatever its class. */
static qz_status from_type(qzi_pickle_reader *reader, const qzi_pickle_object *callable,
                           const qzi_pickle_items *args, qzi_pickle_object **result)
{
    if (args->count == 4 && args->items[0]->kind == QZI_PICKLE_GLOBAL &&
        args->items[0]->u.global->meaning != QZI_PICKLE_REBUILD_FROM_TYPE)
        return qzi_pickle_call(reader, args->items[0], args->items[2], result);
    return qzi_pickle_new_instance(reader, callable, true, result);
}

static qz_status known_call(qzi_pickle_reader *reader, const qzi_pickle_object *callable,
                            const qzi_pickle_items *args, qzi_pickle_object **result)
{
    switch (callable->u.global->meaning) {
    case QZI_PICKLE_ORDERED_DICT:
        return ordered_dict(reader, args, result);
    case QZI_PICKLE_SIZE:
        if (args->count != 1 || args->items[0]->kind != QZI_PICKLE_TUPLE)
            return qzi_pickle_damaged(reader, "bad arguments of torch.Size");
        *result = args->items[0];
        return QZ_OK;
    case QZI_PICKLE_REBUILD_TENSOR: /* ... requires_grad, backward_hooks[, metadata]) */
        return rebuild_view(reader, args, 6, 7, result);
    case QZI_PICKLE_REBUILD_TENSOR_V1:
        return rebuild_view(reader, args, 4, 4, result);
    case QZI_PICKLE_REBUILD_QTENSOR: /* ... quantizer, requires_grad, backward_hooks) */
        return rebuild_qtensor(reader, args, result);
    case QZI_PICKLE_RECONSTRUCTOR:
        return reconstruct(reader, args, result);
    case QZI_PICKLE_SET:
        if (args->count > 1 || (args->count == 1 && args->items[0]->kind != QZI_PICKLE_LIST &&
                                args->items[0]->kind != QZI_PICKLE_TUPLE))
            return qzi_pickle_damaged(reader, "bad arguments of a set");
        if (args->count == 0)
            return qzi_pickle_object_new(reader, QZI_PICKLE_LIST, result);
        *result = args->items[0];
        return QZ_OK;
    case QZI_PICKLE_FIRST:
        if (args->count < 1 || args->count > 2)
            return qzi_pickle_damaged(reader, "bad arguments of a typed list");
        *result = args->items[0];
        return QZ_OK;
    case QZI_PICKLE_REBUILD_PARAMETER:
        return parameter(reader, args, result);
    case QZI_PICKLE_REBUILD_FROM_TYPE:
        return from_type(reader, callable, args, result);
    default:
        return qzi_pickle_new_instance(reader, callable, true, result);
    }
}

qz_status qzi_pickle_call(qzi_pickle_reader *reader, const qzi_pickle_object *callable,
                          qzi_pickle_object *arguments, qzi_pickle_object **result)
{
    if (arguments->kind != QZI_PICKLE_TUPLE)
        return qzi_pickle_damaged(reader, "a call of something that is no function");
    if (callable->kind != QZI_PICKLE_GLOBAL)
        return qzi_pickle_new_instance(reader, callable, true, result);
    return known_call(reader, callable, &arguments->u.seq, result);
}

qz_status qzi_pickle_persistent(qzi_pickle_reader *reader, const qzi_pickle_object *id,
                                qzi_pickle_object **object)
{
    if (id->kind != QZI_PICKLE_TUPLE || id->u.seq.count < 4 || id->u.seq.count > 6)
        return qzi_pickle_damaged(reader, "bad persistent id");
    qzi_pickle_object *const *items = id->u.seq.items;
    if (items[0]->kind == QZI_PICKLE_STR && qzi_pickle_text_is(items[0]->u.text, "module") &&
        items[1]->kind == QZI_PICKLE_GLOBAL && id->u.seq.count == 4) {
        *object = items[1];
        return QZ_OK;
    }
    if (id->u.seq.count < 5 || items[0]->kind != QZI_PICKLE_STR ||
        !qzi_pickle_text_is(items[0]->u.text, "storage") || items[1]->kind != QZI_PICKLE_GLOBAL ||
        items[2]->kind != QZI_PICKLE_STR || items[4]->kind != QZI_PICKLE_INT ||
        items[4]->u.integer < 0)
        return qzi_pickle_damaged(reader, "bad persistent id");
    if (id->u.seq.count == 6 && items[5]->kind != QZI_PICKLE_NONE)
        return qzi_fail(reader->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: holds a view of a storage (torch before 0.4), which is not read",
                        reader->path);
    const qzi_pickle_name *type = items[1]->u.global;
    if (type->meaning != QZI_PICKLE_STORAGE_TYPE && type->meaning != QZI_PICKLE_FOREIGN_STORAGE)
        return qzi_fail(reader->ctx, QZ_ERR_UNSUPPORTED,
                        "%s: tensors of type '%.*s.%.*s' are not read", reader->path,
                        SHOWN(type->module), SHOWN(type->name));
    qzi_pickle_storage *storage = NULL;
    QZI_TRY(qzi_pickle_object_new(reader, QZI_PICKLE_STORAGE, object));
    QZI_TRY(qzi_pickle_alloc(reader, sizeof(*storage), &storage));
    *storage = (qzi_pickle_storage){items[2]->u.text, type, items[4]->u.integer, reader->storages};
    reader->storages = storage;
    (*object)->u.storage = storage;
    return QZ_OK;
}

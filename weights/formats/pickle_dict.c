/* SPDX-License-Identifier: MIT */
/*
 * pickle_dict.c - finds the tensors among the objects of a pickle, and their names.
 *
 * Objects are only walked. A torch module is one whose state has _parameters, _buffers and
 * _modules; in TorchScript archives tensors and modules are in the state itself, and quantized
 * layers keep their tensors in the state of a packed object. Modules may share modules, so depth
 * and number of visits are bounded.
 */
#include "weights/formats/pickle_dict.h"
#include "weights/formats/pickle_find.h"
#include "weights/formats/pickle_module.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 64
#define VISITS_MAX ((size_t)1 << 20)
#define SHOWN(text) (int)QZI_MIN((text).size, 128), (text).data

typedef struct walker {
    const qzi_storage_source *source;
    size_t visits;
    qzi_module_facts facts;
    size_t key_size;
    char key[QZI_KEY_MAX + 1]; /* of the object at hand; no NUL */
} walker;

qz_status qzi_storage_damaged(const qzi_storage_source *source, qzi_pickle_text key,
                              const char *what)
{
    return qzi_fail(source->dict->ctx, QZ_ERR_FORMAT,
                    "%s: the storage of '%.*s' %s; the file is damaged", source->dict->name,
                    SHOWN(key), what);
}

/* ---- tensors ---- */

/* Whether every element of the view is in the storage; true for views without elements. */
static bool view_fits(const qzi_pickle_tensor *tensor)
{
    int64_t room = tensor->storage->numel - tensor->offset; /* both are not negative */
    for (int32_t i = 0; i < tensor->ndim; i++) {
        if (tensor->dims[i] == 0)
            return true;
    }
    if (room <= 0)
        return false;
    room--; /* what the steps along all dimensions may reach together */
    for (int32_t i = 0; i < tensor->ndim; i++) {
        int64_t steps = tensor->dims[i] - 1;
        if (steps > 0 && tensor->strides[i] > room / steps)
            return false;
        room -= steps * tensor->strides[i];
    }
    return true;
}

static qz_status find_view(const qzi_storage_source *source, qzi_pickle_text key,
                           const qzi_pickle_tensor *tensor, qzi_raw_tensor *raw)
{
    const qzi_pickle_storage *storage = tensor->storage;
    if (!view_fits(tensor))
        return qzi_storage_damaged(source, key, "is smaller than the tensor");
    *raw = (qzi_raw_tensor){
        .dtype = storage->type->dtype, .ndim = tensor->ndim, .big_endian = source->big_endian};
    QZI_TRY(source->find(source, key, storage, &raw->data, &raw->in_file));
    /* the offset of a view without elements may lie anywhere */
    if ((uint64_t)tensor->offset < (uint64_t)storage->numel)
        raw->data += (size_t)tensor->offset * qz_dtype_size(storage->type->dtype);
    memcpy(raw->dims, tensor->dims, sizeof(raw->dims));
    memcpy(raw->strides, tensor->strides, sizeof(raw->strides));
    return QZ_OK;
}

/* Scales or zero points: element `index` of a tensor of one dimension, as a double or an int64. */
static bool read_pair_item(const qzi_raw_tensor *raw, int64_t index, double *real, int64_t *whole)
{
    size_t size = qz_dtype_size(raw->dtype);
    const uint8_t *p = raw->data + (size_t)(index * raw->strides[0]) * size;
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++)
        bits |= (uint64_t)p[i] << 8 * (raw->big_endian ? size - 1 - i : i);
    uint32_t low = (uint32_t)bits;
    float single;
    switch (raw->dtype) {
    case QZ_F64:
        memcpy(real, &bits, sizeof(*real));
        return !whole;
    case QZ_F32:
        memcpy(&single, &low, sizeof(single));
        *real = (double)single;
        return !whole;
    case QZ_S64:
        if (whole)
            *whole = (int64_t)bits;
        return whole != NULL;
    case QZ_S32:
        if (whole)
            *whole = (int32_t)low;
        return whole != NULL;
    default:
        return false;
    }
}

static qz_status bad_quantizer(const qzi_storage_source *source, qzi_pickle_text key)
{
    return qzi_fail(source->dict->ctx, QZ_ERR_FORMAT,
                    "%s: '%.*s' is quantized with scales or zero points that do not fit it",
                    source->dict->name, SHOWN(key));
}

static bool scale_is_valid(double scale)
{
    return scale > 0.0 && scale <= 3.4028234663852886e38;
}

static qz_status read_pairs(const qzi_storage_source *source, qzi_pickle_text key,
                            const qzi_pickle_quant *from, int64_t count, double *scales,
                            int64_t *zero_points)
{
    qzi_raw_tensor s, z;
    double unused = 0.0;
    QZI_TRY(find_view(source, key, from->scales, &s));
    QZI_TRY(find_view(source, key, from->zero_points, &z));
    if (s.ndim != 1 || z.ndim != 1 || s.dims[0] != count || z.dims[0] != count)
        return bad_quantizer(source, key);
    for (int64_t i = 0; i < count; i++) {
        if (!read_pair_item(&s, i, &scales[i], NULL) || !scale_is_valid(scales[i]) ||
            !read_pair_item(&z, i, &unused, &zero_points[i]))
            return bad_quantizer(source, key);
    }
    return QZ_OK;
}

/* The quantizer of a tensor, into the dict's arena. */
static qz_status keep_quant(const qzi_storage_source *source, qzi_pickle_text key,
                            const qzi_pickle_tensor *tensor, const qz_tensor_quant **out)
{
    const qzi_pickle_quant *from = tensor->quant;
    qz_state_dict *dict = source->dict;
    if (from->per_channel && (from->axis < 0 || from->axis >= tensor->ndim))
        return bad_quantizer(source, key);
    int64_t count = from->per_channel ? tensor->dims[from->axis] : 1;
    size_t bytes;
    if ((uint64_t)count > SIZE_MAX ||
        !qzi_mul_size((size_t)count, sizeof(double) + sizeof(int64_t), &bytes) ||
        !qzi_add_size(bytes, sizeof(qz_tensor_quant), &bytes))
        return bad_quantizer(source, key);
    /* scales that the file does not hold need no memory */
    if (from->per_channel && (count > from->scales->storage->numel || from->scales->ndim != 1 ||
                              from->scales->dims[0] != count))
        return bad_quantizer(source, key);
    QZI_TRY(qzi_dict_charge(dict, bytes));
    qz_tensor_quant *quant = qzi_arena_alloc(&dict->arena, sizeof(*quant));
    double *scales = qzi_arena_alloc(&dict->arena, (size_t)count * sizeof(*scales));
    int64_t *zero_points = qzi_arena_alloc(&dict->arena, (size_t)count * sizeof(*zero_points));
    if (!quant || !scales || !zero_points)
        return QZ_ERR_MEMORY;
    if (from->per_channel) {
        QZI_TRY(read_pairs(source, key, from, count, scales, zero_points));
    } else {
        scales[0] = from->scale;
        zero_points[0] = from->zero_point;
        if (!scale_is_valid(from->scale))
            return bad_quantizer(source, key);
    }
    *quant =
        (qz_tensor_quant){from->per_channel ? (int32_t)from->axis : -1, count, scales, zero_points};
    *out = quant;
    return QZ_OK;
}

static qz_status add_tensor(walker *w, const qzi_pickle_tensor *tensor)
{
    qzi_pickle_text key = {w->key, w->key_size};
    qzi_raw_tensor raw;
    QZI_TRY(find_view(w->source, key, tensor, &raw));
    if (tensor->quant)
        QZI_TRY(keep_quant(w->source, key, tensor, &raw.quant));
    return qzi_dict_add(w->source->dict, key.data, key.size, &raw);
}

/* ---- names ---- */

static const qzi_pickle_object *member_of_kind(const qzi_pickle_object *dict, const char *key,
                                               qzi_pickle_kind kind)
{
    const qzi_pickle_object *value = qzi_pickle_member(dict, key);
    return value && value->kind == kind ? value : NULL;
}

static qz_status push_name(walker *w, qzi_pickle_text name, size_t *before)
{
    const qz_state_dict *dict = w->source->dict;
    *before = w->key_size;
    size_t dot = w->key_size > 0;
    if (name.size > QZI_KEY_MAX - w->key_size - dot)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                        "%s: a name in it is longer than %d bytes; the file is damaged", dict->name,
                        QZI_KEY_MAX);
    if (dot)
        w->key[w->key_size++] = '.';
    if (name.size > 0)
        memcpy(w->key + w->key_size, name.data, name.size);
    w->key_size += name.size;
    return QZ_OK;
}

static qz_status add_named(walker *w, qzi_pickle_text name, const qzi_pickle_tensor *tensor)
{
    size_t before = 0;
    QZI_TRY(push_name(w, name, &before));
    QZI_TRY(add_tensor(w, tensor));
    w->key_size = before;
    return QZ_OK;
}

#define NAME(text) ((qzi_pickle_text){(text), sizeof(text) - 1})

/* ---- packed parameters of quantized layers ---- */

static qz_status add_item(walker *w, const qzi_pickle_object *seq, size_t index,
                          qzi_pickle_text name)
{
    const qzi_pickle_object *item = qzi_pickle_item(seq, index);
    if (!item || item->kind != QZI_PICKLE_TENSOR)
        return QZ_OK;
    return add_named(w, name, item->u.tensor);
}

static qz_status add_packed(walker *w, const qzi_pickle_object *packed)
{
    if (packed->u.seq.count == 2) {
        QZI_TRY(add_item(w, packed, 0, NAME("weight")));
        return add_item(w, packed, 1, NAME("bias"));
    }
    QZI_TRY(add_item(w, qzi_pickle_item(packed, 1), 0, NAME("config")));
    QZI_TRY(add_item(w, qzi_pickle_item(packed, 1), 1, NAME("weight")));
    return add_item(w, qzi_pickle_item(packed, 2), 0, NAME("bias"));
}

/*
 * The state of torch's quantized Conv2d in a TorchScript archive: (in, out, kernel, stride,
 * padding, dilation, transposed, output padding, groups, padding mode, weight, bias, scale, zero
 * point, …).
 */
static bool is_quantized_conv(const qzi_pickle_object *object)
{
    const qzi_pickle_object *mode = qzi_pickle_item(object, 9),
                            *weight = qzi_pickle_item(object, 10);
    return object->kind == QZI_PICKLE_TUPLE && object->u.seq.count >= 14 && mode &&
           mode->kind == QZI_PICKLE_STR && weight && weight->kind == QZI_PICKLE_TENSOR;
}

static qz_status add_quantized_conv(walker *w, const qzi_pickle_object *state)
{
    QZI_TRY(add_item(w, state, 10, NAME("weight")));
    return add_item(w, state, 11, NAME("bias"));
}

/* ---- modules ---- */

static qz_status add_module(walker *w, const qzi_pickle_object *module, int depth);

static bool holds_text(const qzi_pickle_object *list, qzi_pickle_text text)
{
    for (size_t i = 0; list && i < list->u.seq.count; i++) {
        const qzi_pickle_object *item = list->u.seq.items[i];
        if (item->kind == QZI_PICKLE_STR && item->u.text.size == text.size &&
            memcmp(item->u.text.data, text.data, text.size) == 0)
            return true;
    }
    return false;
}

/* The tensors (or, where wanted, modules) of a dict; what else is in it means nothing here. */
static qz_status add_members(walker *w, const qzi_pickle_object *dict, bool tensors, bool modules,
                             const qzi_pickle_object *except, int depth)
{
    for (size_t i = 0; dict && i + 1 < dict->u.seq.count; i += 2) {
        const qzi_pickle_object *name = dict->u.seq.items[i], *value = dict->u.seq.items[i + 1];
        size_t before = 0;
        if (++w->visits > VISITS_MAX)
            return qzi_fail(w->source->dict->ctx, QZ_ERR_FORMAT,
                            "%s: its modules hold one another too many times; the file is damaged",
                            w->source->dict->name);
        if (name->kind != QZI_PICKLE_STR)
            continue;
        if (tensors && value->kind == QZI_PICKLE_TENSOR && !holds_text(except, name->u.text)) {
            QZI_TRY(add_named(w, name->u.text, value->u.tensor));
        } else if (modules && value->kind == QZI_PICKLE_INSTANCE) {
            QZI_TRY(push_name(w, name->u.text, &before));
            QZI_TRY(add_module(w, value, depth + 1));
            w->key_size = before;
        }
    }
    return QZ_OK;
}

/* Strides of another type than torch's float tensors have are left out. */
static qz_status note_strides(walker *w, const qzi_pickle_tensor *tensor)
{
    const qzi_pickle_text key = {w->key, w->key_size};
    qzi_raw_tensor raw;
    if (!tensor || tensor->ndim != 1 || tensor->dims[0] > QZI_MODULE_STRIDES)
        return QZ_OK;
    QZI_TRY(find_view(w->source, key, tensor, &raw));
    for (int64_t i = 0; i < raw.dims[0]; i++)
        if (!read_pair_item(&raw, i, &w->facts.strides[i], NULL))
            return QZ_OK;
    w->facts.stride_count = raw.dims[0];
    return QZ_OK;
}

static qz_status add_module(walker *w, const qzi_pickle_object *module, int depth)
{
    const qzi_pickle_object *state = module->u.instance->state;
    if (depth > DEPTH_MAX)
        return qzi_fail(w->source->dict->ctx, QZ_ERR_FORMAT,
                        "%s: modules are nested more than %d deep; the file is damaged",
                        w->source->dict->name, DEPTH_MAX);
    if (!state)
        return QZ_OK;
    if (qzi_pickle_is_packed(state))
        return add_packed(w, state);
    if (is_quantized_conv(state))
        return add_quantized_conv(w, state);
    if (state->kind != QZI_PICKLE_DICT)
        return QZ_OK;
    const qzi_pickle_object *params = member_of_kind(state, "_parameters", QZI_PICKLE_DICT);
    const qzi_pickle_object *modules = member_of_kind(state, "_modules", QZI_PICKLE_DICT);
    if (!params && !modules) /* TorchScript */
        return add_members(w, state, true, true, NULL, depth);
    qzi_module_facts_add(&w->facts, module);
    QZI_TRY(note_strides(w, qzi_module_strides(module)));
    QZI_TRY(add_members(w, params, true, false, NULL, depth));
    QZI_TRY(add_members(w, member_of_kind(state, "_buffers", QZI_PICKLE_DICT), true, false,
                        member_of_kind(state, "_non_persistent_buffers_set", QZI_PICKLE_LIST),
                        depth));
    return add_members(w, modules, false, true, NULL, depth);
}

/* ---- state dicts ---- */

/* What stands where a tensor should, for a message and for qzi_dict_foreign. */
static void describe(const qzi_pickle_object *value, char *text, size_t size)
{
    if (value->kind != QZI_PICKLE_INSTANCE) {
        snprintf(text, size, "is %s, not a tensor", qzi_pickle_kind_name(value->kind));
        return;
    }
    const qzi_pickle_instance *instance = value->u.instance;
    const qzi_pickle_name *type = instance->type;
    if (instance->unread)
        snprintf(text, size, "is of '%.*s.%.*s': %s", SHOWN(type->module), SHOWN(type->name),
                 instance->unread);
    else
        snprintf(text, size,
                 instance->called
                     ? "is no tensor: qzoo refuses to run '%.*s.%.*s', which would make it"
                     : "is an object of class '%.*s.%.*s', not a tensor",
                 SHOWN(type->module), SHOWN(type->name));
}

/* `inside`: the dict that the key is in; "" for the whole file. */
static qz_status fail_stranger(const walker *w, const char *inside, qzi_pickle_text key,
                               const qzi_pickle_object *value)
{
    const qz_state_dict *dict = w->source->dict;
    char text[400];
    describe(value, text, sizeof(text));
    return qzi_fail(dict->ctx,
                    value->kind == QZI_PICKLE_INSTANCE ? QZ_ERR_UNSUPPORTED : QZ_ERR_FORMAT,
                    "%s: '%s%s%.*s' %s; save model.state_dict() alone", dict->name, inside,
                    *inside != '\0' ? "." : "", SHOWN(key), text);
}

/* The first item that does not belong into a state dict; NULL when all do. */
static qzi_pickle_object *const *first_stranger(const qzi_pickle_object *object)
{
    for (size_t i = 0; i < object->u.seq.count; i += 2) {
        qzi_pickle_object *const *item = &object->u.seq.items[i];
        if (!qzi_pickle_belongs(item[0], item[1]))
            return item;
    }
    return NULL;
}

static qz_status add_value(walker *w, qzi_pickle_text key, const qzi_pickle_object *value)
{
    char text[400];
    if (value->kind == QZI_PICKLE_TENSOR)
        return add_tensor(w, value->u.tensor);
    if (value->kind == QZI_PICKLE_TUPLE && qzi_pickle_is_packed(value))
        return add_packed(w, value);
    if (value->kind == QZI_PICKLE_INSTANCE) {
        const qzi_pickle_object *state = value->u.instance->state;
        if (state && qzi_pickle_is_packed(state))
            return add_packed(w, state);
        if (qzi_pickle_is_param_key(key))
            return fail_stranger(w, "", key, value);
    }
    if (value->kind == QZI_PICKLE_NONE || value->kind == QZI_PICKLE_GLOBAL)
        return QZ_OK;
    describe(value, text, sizeof(text));
    return qzi_dict_add_foreign(w->source->dict, key.data, key.size, text,
                                value->kind == QZI_PICKLE_INSTANCE);
}

static qz_status add_state_dict(walker *w, const qzi_pickle_object *state)
{
    for (size_t i = 0; i + 1 < state->u.seq.count; i += 2) {
        const qzi_pickle_object *key = state->u.seq.items[i];
        size_t before = 0;
        if (key->kind != QZI_PICKLE_STR)
            continue;
        QZI_TRY(push_name(w, key->u.text, &before));
        QZI_TRY(add_value(w, key->u.text, state->u.seq.items[i + 1]));
        w->key_size = before;
    }
    return QZ_OK;
}

/* A dict whose keys do not show that it is a state dict is one only if it holds nothing else. */
static bool shows_params(const qzi_pickle_object *state)
{
    for (size_t i = 0; i < state->u.seq.count; i += 2) {
        const qzi_pickle_object *key = state->u.seq.items[i];
        if (key->kind == QZI_PICKLE_STR && key->u.text.size > 0 &&
            memchr(key->u.text.data, '.', key->u.text.size))
            return true;
    }
    return false;
}

static qz_status add_found(walker *w, const qzi_pickle_object *state)
{
    if (!shows_params(state)) {
        qzi_pickle_object *const *stranger = first_stranger(state);
        if (stranger)
            return fail_stranger(w, "",
                                 stranger[0]->kind == QZI_PICKLE_STR ? stranger[0]->u.text
                                                                     : (qzi_pickle_text){"", 0},
                                 stranger[1]);
    }
    return add_state_dict(w, state);
}

static qz_status fail_empty(const walker *w, const qzi_pickle_object *root)
{
    const qz_state_dict *dict = w->source->dict;
    if (root->kind == QZI_PICKLE_INSTANCE) {
        const qzi_pickle_name *type = root->u.instance->type;
        return qzi_fail(dict->ctx, QZ_ERR_UNSUPPORTED,
                        root->u.instance->called
                            ? "%s: refuses to run '%.*s.%.*s' in a pickle; only tensors are read"
                            : "%s: holds an object of class '%.*s.%.*s' and no tensors in it; save "
                              "model.state_dict() instead",
                        dict->name, SHOWN(type->module), SHOWN(type->name));
    }
    return qzi_fail(dict->ctx, QZ_ERR_FORMAT,
                    "%s: holds %s instead of a state dict; save model.state_dict()", dict->name,
                    qzi_pickle_kind_name(root->kind));
}

static qz_status add_root_module(walker *w, const qzi_pickle_object *module)
{
    QZI_TRY(add_module(w, module, 0));
    QZI_TRY(qzi_module_facts_keep(&w->facts, w->source->dict));
    return w->source->dict->count > 0 ? QZ_OK : fail_empty(w, module);
}

static bool is_script(const qzi_pickle_object *root)
{
    static const char begin[] = "__torch__";
    if (root->kind != QZI_PICKLE_INSTANCE)
        return false;
    const qzi_pickle_text module = root->u.instance->type->module;
    return module.size >= sizeof(begin) - 1 && memcmp(module.data, begin, sizeof(begin) - 1) == 0;
}

static qz_status add_root(walker *w, qzi_pickle_object *root)
{
    qz_state_dict *dict = w->source->dict;
    qzi_pickle_object *found = NULL;
    if (is_script(root)) {
        QZI_TRY(qzi_dict_check_flat(dict));
        return add_root_module(w, root);
    }
    const bool wanted = dict->want != NULL;
    QZI_TRY(qzi_pickle_find(dict, root, &found));
    const bool sure = found && (found->kind == QZI_PICKLE_INSTANCE || shows_params(found));
    if (root->kind == QZI_PICKLE_INSTANCE && !sure && !wanted)
        return add_root_module(w, root);
    if (!found && root->kind == QZI_PICKLE_DICT)
        return add_found(w, root);
    if (!found)
        return fail_empty(w, root);
    return found->kind == QZI_PICKLE_INSTANCE ? add_root_module(w, found) : add_found(w, found);
}

qz_status qzi_pickle_to_dict(const qzi_storage_source *source, qzi_pickle_object *root)
{
    walker w = {.source = source};
    return add_root(&w, root);
}

/* SPDX-License-Identifier: MIT */
/*
 * pickle.h - what can come out of a pickle that torch.save wrote: plain values, containers,
 * tensors that name their storage, and objects of which only class and state are known. Private.
 */
#ifndef QZOO_WEIGHTS_FORMATS_PICKLE_H
#define QZOO_WEIGHTS_FORMATS_PICKLE_H

#include "layers/base/base.h"

typedef enum qzi_pickle_kind {
    QZI_PICKLE_NONE,
    QZI_PICKLE_BOOL,
    QZI_PICKLE_INT,
    QZI_PICKLE_BIGINT, /* beyond int64; the value is not kept */
    QZI_PICKLE_FLOAT,
    QZI_PICKLE_STR,
    QZI_PICKLE_BYTES,
    QZI_PICKLE_TUPLE,
    QZI_PICKLE_LIST,
    QZI_PICKLE_DICT, /* items: key, value, key, value, … */
    QZI_PICKLE_GLOBAL,
    QZI_PICKLE_STORAGE,
    QZI_PICKLE_TENSOR,
    QZI_PICKLE_INSTANCE
} qzi_pickle_kind;

/* The globals that mean something here; calls of any other make objects that are only named. */
typedef enum qzi_pickle_global {
    QZI_PICKLE_UNKNOWN,
    QZI_PICKLE_ORDERED_DICT,
    QZI_PICKLE_SIZE,
    QZI_PICKLE_REBUILD_TENSOR,
    QZI_PICKLE_REBUILD_TENSOR_V1,
    QZI_PICKLE_REBUILD_QTENSOR,
    QZI_PICKLE_REBUILD_PARAMETER,
    QZI_PICKLE_REBUILD_FROM_TYPE, /* (function, class, arguments, state) of a subclass */
    QZI_PICKLE_PER_TENSOR,        /* torch.per_tensor_affine and _symmetric */
    QZI_PICKLE_PER_CHANNEL,       /* torch.per_channel_affine and _symmetric */
    QZI_PICKLE_DTYPE,             /* torch.qint8 and similar, as values */
    QZI_PICKLE_FIRST,             /* a function that returns its first argument */
    QZI_PICKLE_SET,
    QZI_PICKLE_RECONSTRUCTOR, /* of copyreg: (class, base, state) */
    QZI_PICKLE_STORAGE_TYPE,
    QZI_PICKLE_FOREIGN_STORAGE /* of a type that no tensor here has */
} qzi_pickle_global;

typedef struct qzi_pickle_object qzi_pickle_object;

/* Text in the pickle's own bytes, without a NUL. */
typedef struct qzi_pickle_text {
    const char *data;
    size_t size;
} qzi_pickle_text;

typedef struct qzi_pickle_items {
    qzi_pickle_object **items;
    size_t count, capacity;
} qzi_pickle_items;

typedef struct qzi_pickle_name {
    qzi_pickle_text module, name;
    qzi_pickle_global meaning;
    qz_dtype dtype; /* of a storage type */
    size_t unit;    /* bytes of an element of a storage type; 0: not known */
} qzi_pickle_name;

typedef struct qzi_pickle_storage {
    qzi_pickle_text key;
    const qzi_pickle_name *type;
    int64_t numel;
    const struct qzi_pickle_storage *before; /* the one that was named before */
} qzi_pickle_storage;

/* How a quantized tensor's integers are meant. */
typedef struct qzi_pickle_quant {
    bool per_channel;
    double scale;       /* per tensor */
    int64_t zero_point; /* per tensor */
    int64_t axis;
    const struct qzi_pickle_tensor *scales, *zero_points; /* per channel */
} qzi_pickle_quant;

/*
 * An object that was neither made nor called: what its class or function is, and what it was to be
 * set to. An object like this may be anywhere in a checkpoint but in the place of a tensor.
 */
typedef struct qzi_pickle_instance {
    const qzi_pickle_name *type;
    bool called;                    /* type is a function, or a class that was called */
    const char *unread;             /* of a tensor that cannot be read: why; else NULL */
    const qzi_pickle_object *state; /* NULL: none was given */
    qzi_pickle_object *dict;        /* the items that were set, as a dict; NULL: none */
    qzi_pickle_object *list;        /* the items that were appended, as a list; NULL: none */
} qzi_pickle_instance;

/* As written: nothing but signs and the number of dimensions is checked. */
typedef struct qzi_pickle_tensor {
    const qzi_pickle_storage *storage;
    const qzi_pickle_quant *quant; /* NULL: not quantized */
    int64_t offset;
    int32_t ndim;
    int64_t dims[QZ_MAX_DIMS];
    int64_t strides[QZ_MAX_DIMS];
} qzi_pickle_tensor;

struct qzi_pickle_object {
    qzi_pickle_kind kind;
    bool seen; /* by a search that visits each object once */
    union {
        int64_t integer; /* INT, BOOL */
        double real;     /* FLOAT */
        qzi_pickle_text text;
        qzi_pickle_items seq;
        qzi_pickle_name *global;
        qzi_pickle_storage *storage;
        qzi_pickle_tensor *tensor;
        qzi_pickle_instance *instance;
    } u;
};

typedef struct qzi_pickle {
    qzi_pickle_object *root;
    const qzi_pickle_storage *storages; /* all that were named, the last first */
    size_t used;                        /* bytes up to the end of the pickle */
} qzi_pickle;

/*
 * Reads a pickle (protocols 2 to 5) from the beginning of `data`. Objects live in `arena`, texts in
 * `data`; `path` begins the messages. `budget`: bytes that objects may take; what is left of them
 * on return.
 */
qz_status qzi_pickle_read(const qz_context *ctx, const char *path, const uint8_t *data, size_t size,
                          size_t *budget, qzi_arena *arena, qzi_pickle *pickle);

/* "a dict", "an int", … for messages. */
const char *qzi_pickle_kind_name(qzi_pickle_kind kind);
bool qzi_pickle_text_is(qzi_pickle_text text, const char *expected);

/* ---- questions about objects (pickle_object.c) ---- */

/* The value of `key` in a dict (of two, the last, as in Python); NULL: there is none. */
qzi_pickle_object *qzi_pickle_member(const qzi_pickle_object *dict, const char *key);
/* The dict itself, or the items of an object that is also a dict; NULL: neither. */
qzi_pickle_object *qzi_pickle_as_dict(qzi_pickle_object *object);
/* A torch module: its state has parameters or modules. */
bool qzi_pickle_is_module(const qzi_pickle_object *object);
/* Packed parameters of a quantized layer: (weight, bias) or (version, [config, weight], [bias]). */
bool qzi_pickle_is_packed(const qzi_pickle_object *object);
/* Item of a tuple or list; NULL: none. */
const qzi_pickle_object *qzi_pickle_item(const qzi_pickle_object *seq, size_t index);
/* A tensor, or packed parameters. */
bool qzi_pickle_is_tensor(const qzi_pickle_object *value);
/*
 * What a state dict may contain: tensors, and of quantized models also packed parameters, types
 * and None, where a layer has no bias.
 */
bool qzi_pickle_belongs(const qzi_pickle_object *key, const qzi_pickle_object *value);
/* Whether the key is one of a parameter: "conv1.weight" and similar. */
bool qzi_pickle_is_param_key(qzi_pickle_text key);

/* ---- between pickle.c (the machine) and pickle_call.c (what its calls may do) ---- */

typedef struct qzi_pickle_reader {
    const qz_context *ctx;
    const char *path;
    const uint8_t *begin, *p, *end;
    size_t budget, objects;
    qzi_arena *arena;
    qzi_pickle_object **stack;
    size_t depth, stack_capacity;
    size_t *marks; /* heights of the stack */
    size_t mark_count, mark_capacity;
    qzi_pickle_object **memo;
    const qzi_pickle_storage *storages;
    size_t memo_size, memo_capacity; /* entries up to memo_size; NULL where none was put */
} qzi_pickle_reader;

/* QZ_ERR_FORMAT that says where. */
qz_status qzi_pickle_damaged(const qzi_pickle_reader *reader, const char *what);
/* Zeroed memory out of arena and budget. */
qz_status qzi_pickle_alloc(qzi_pickle_reader *reader, size_t size, void *out);
qz_status qzi_pickle_object_new(qzi_pickle_reader *reader, qzi_pickle_kind kind,
                                qzi_pickle_object **object);

/* module.name as an object; says nothing yet about whether it may be called. */
qz_status qzi_pickle_find_global(qzi_pickle_reader *reader, qzi_pickle_text module,
                                 qzi_pickle_text name, qzi_pickle_object **object);
/* callable(*arguments): one of the few known, else an object that notes the callable. */
qz_status qzi_pickle_call(qzi_pickle_reader *reader, const qzi_pickle_object *callable,
                          qzi_pickle_object *arguments, qzi_pickle_object **result);
/* class.__new__(class, …) or, `called`, class(…): nothing is made but a note of the class. */
qz_status qzi_pickle_new_instance(qzi_pickle_reader *reader, const qzi_pickle_object *type,
                                  bool called, qzi_pickle_object **object);
/*
 * ('storage', type, key, location, numel), in legacy files with a sixth item that says what it is a
 * view of (None), and there also ('module', class, file, source).
 */
qz_status qzi_pickle_persistent(qzi_pickle_reader *reader, const qzi_pickle_object *id,
                                qzi_pickle_object **object);

#endif

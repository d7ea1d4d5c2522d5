/* SPDX-License-Identifier: MIT */
/*
 * pickle.c - a pickle machine that can only build data. (Opcodes: Python's pickletools.)
 *
 * A pickle is a program for a stack machine, and Python's own reader lets it call anything. This
 * one knows the opcodes that torch.save emits, calls nothing, and never recurses: nesting costs
 * places on its own stack, whose height, like the memo, the number of objects and their memory, is
 * bounded. What torch needs called is imitated in pickle_call.c.
 */
#include "weights/formats/pickle.h"

#include "weights/bytes.h"
#include "weights/formats/pickle_ops.h"

#include <string.h>

/* Python batches containers by 1000 and nests at most 1000 deep. */
#define STACK_MAX ((size_t)1 << 18)
#define MARKS_MAX ((size_t)1 << 14)
#define MEMO_MAX ((size_t)1 << 22)
#define LINE_MAX_SIZE 512

/* ---- the stack ---- */

static qz_status push(qzi_pickle_reader *r, qzi_pickle_object *object)
{
    if (r->depth >= STACK_MAX)
        return qzi_pickle_damaged(r, "nested too deeply");
    QZI_TRY(qzi_grow(r->ctx, &r->stack, &r->stack_capacity, r->depth, sizeof(*r->stack)));
    r->stack[r->depth++] = object;
    return QZ_OK;
}

/* Plain pops do not reach below the last mark. */
static size_t available(const qzi_pickle_reader *r)
{
    return r->depth - (r->mark_count > 0 ? r->marks[r->mark_count - 1] : 0);
}

static qz_status pop(qzi_pickle_reader *r, qzi_pickle_object **object)
{
    if (available(r) == 0)
        return qzi_pickle_damaged(r, "stack underflow");
    *object = r->stack[--r->depth];
    return QZ_OK;
}

static qz_status top(const qzi_pickle_reader *r, qzi_pickle_kind kind, qzi_pickle_object **object)
{
    if (available(r) == 0 || r->stack[r->depth - 1]->kind != kind)
        return qzi_pickle_damaged(r, "the stack does not hold what an opcode needs");
    *object = r->stack[r->depth - 1];
    return QZ_OK;
}

static qz_status push_mark(qzi_pickle_reader *r)
{
    if (r->mark_count >= MARKS_MAX)
        return qzi_pickle_damaged(r, "nested too deeply");
    QZI_TRY(qzi_grow(r->ctx, &r->marks, &r->mark_capacity, r->mark_count, sizeof(*r->marks)));
    r->marks[r->mark_count++] = r->depth;
    return QZ_OK;
}

/* Removes the last mark; the objects above it stay where they were, past the new top. */
static qz_status pop_mark(qzi_pickle_reader *r, qzi_pickle_object ***items, size_t *count)
{
    if (r->mark_count == 0)
        return qzi_pickle_damaged(r, "no mark");
    size_t mark = r->marks[--r->mark_count];
    *count = r->depth - mark;
    *items = *count > 0 ? r->stack + mark : NULL;
    r->depth = mark;
    return QZ_OK;
}

/* ---- input ---- */

static qz_status take(qzi_pickle_reader *r, uint64_t size, const uint8_t **data)
{
    if (size > (uint64_t)(r->end - r->p))
        return qzi_pickle_damaged(r, "truncated");
    *data = r->p;
    r->p += size;
    return QZ_OK;
}

/* A little-endian length or index of 1, 2, 4 or 8 bytes. */
static qz_status take_number(qzi_pickle_reader *r, size_t width, uint64_t *number)
{
    const uint8_t *p = NULL;
    QZI_TRY(take(r, width, &p));
    *number = width == 1 ? p[0] : width == 2 ? qzi_le16(p) : width == 4 ? qzi_le32(p) : qzi_le64(p);
    return QZ_OK;
}

static qz_status take_line(qzi_pickle_reader *r, qzi_pickle_text *line)
{
    size_t most = QZI_MIN((size_t)(r->end - r->p), LINE_MAX_SIZE);
    const uint8_t *end = memchr(r->p, '\n', most);
    if (!end)
        return qzi_pickle_damaged(r, "a name without an end");
    *line = (qzi_pickle_text){(const char *)r->p, (size_t)(end - r->p)};
    r->p = end + 1;
    return QZ_OK;
}

/* ---- values ---- */

static qz_status push_new(qzi_pickle_reader *r, qzi_pickle_kind kind, int64_t integer)
{
    qzi_pickle_object *object = NULL;
    QZI_TRY(qzi_pickle_object_new(r, kind, &object));
    if (kind == QZI_PICKLE_INT || kind == QZI_PICKLE_BOOL)
        object->u.integer = integer;
    return push(r, object);
}

/* A str or bytes, after its length in `width` bytes. */
static qz_status push_text(qzi_pickle_reader *r, qzi_pickle_kind kind, size_t width)
{
    uint64_t size = 0;
    const uint8_t *data = NULL;
    qzi_pickle_object *object = NULL;
    QZI_TRY(take_number(r, width, &size));
    QZI_TRY(take(r, size, &data));
    QZI_TRY(qzi_pickle_object_new(r, kind, &object));
    object->u.text = (qzi_pickle_text){(const char *)data, (size_t)size};
    return push(r, object);
}

/* Two's complement, little-endian, of any length. */
static qz_status push_long(qzi_pickle_reader *r, size_t width)
{
    uint64_t size = 0, value = 0;
    const uint8_t *data = NULL;
    QZI_TRY(take_number(r, width, &size));
    QZI_TRY(take(r, size, &data));
    if (size > 8)
        return push_new(r, QZI_PICKLE_BIGINT, 0);
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)data[i] << (8 * i);
    if (size > 0 && size < 8 && (data[size - 1] & 0x80) != 0)
        value |= UINT64_MAX << (8 * size);
    return push_new(r, QZI_PICKLE_INT, (int64_t)value);
}

static qz_status push_integer(qzi_pickle_reader *r, size_t width)
{
    uint64_t value = 0;
    QZI_TRY(take_number(r, width, &value));
    return push_new(r, QZI_PICKLE_INT, width == 4 ? (int32_t)(uint32_t)value : (int64_t)value);
}

/* Decimal digits and a newline; "00" and "01" are Python 2's False and True. */
static qz_status push_decimal(qzi_pickle_reader *r)
{
    qzi_pickle_text line = {NULL, 0};
    int64_t value = 0;
    QZI_TRY(take_line(r, &line));
    if (qzi_pickle_text_is(line, "00") || qzi_pickle_text_is(line, "01"))
        return push_new(r, QZI_PICKLE_BOOL, line.data[1] == '1');
    const bool negative = line.size > 0 && line.data[0] == '-';
    if (line.size == (size_t)negative)
        return qzi_pickle_damaged(r, "an int without digits");
    for (size_t i = negative; i < line.size; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return qzi_pickle_damaged(r, "an int without digits");
        if (value > (INT64_MAX - 9) / 10)
            return push_new(r, QZI_PICKLE_BIGINT, 0);
        value = 10 * value + (line.data[i] - '0');
    }
    return push_new(r, QZI_PICKLE_INT, negative ? -value : value);
}

/* A double, big-endian. */
static qz_status push_float(qzi_pickle_reader *r)
{
    const uint8_t *data = NULL;
    uint64_t bits = 0;
    QZI_TRY(take(r, 8, &data));
    for (size_t i = 0; i < 8; i++)
        bits = bits << 8 | data[i];
    QZI_TRY(push_new(r, QZI_PICKLE_FLOAT, 0));
    memcpy(&r->stack[r->depth - 1]->u.real, &bits, sizeof(bits));
    return QZ_OK;
}

static qz_status read_value(qzi_pickle_reader *r, uint8_t op)
{
    switch (op) {
    case OP_NONE:
        return push_new(r, QZI_PICKLE_NONE, 0);
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        return push_new(r, QZI_PICKLE_BOOL, op == OP_NEWTRUE);
    case OP_INT:
        return push_decimal(r);
    case OP_BININT:
        return push_integer(r, 4);
    case OP_BININT1:
        return push_integer(r, 1);
    case OP_BININT2:
        return push_integer(r, 2);
    case OP_LONG1:
        return push_long(r, 1);
    case OP_LONG4:
        return push_long(r, 4);
    case OP_BINFLOAT:
        return push_float(r);
    case OP_SHORT_BINUNICODE:
    case OP_SHORT_BINSTRING:
        return push_text(r, QZI_PICKLE_STR, 1);
    case OP_BINUNICODE:
    case OP_BINSTRING:
        return push_text(r, QZI_PICKLE_STR, 4);
    case OP_BINUNICODE8:
        return push_text(r, QZI_PICKLE_STR, 8);
    case OP_SHORT_BINBYTES:
        return push_text(r, QZI_PICKLE_BYTES, 1);
    case OP_BINBYTES:
        return push_text(r, QZI_PICKLE_BYTES, 4);
    default: /* OP_BINBYTES8, OP_BYTEARRAY8 */
        return push_text(r, QZI_PICKLE_BYTES, 8);
    }
}

/* ---- containers ---- */

static qz_status extend(qzi_pickle_reader *r, qzi_pickle_object *container,
                        qzi_pickle_object *const *items, size_t count)
{
    qzi_pickle_items *seq = &container->u.seq;
    if (count == 0)
        return QZ_OK;
    if (count > seq->capacity - seq->count) {
        size_t capacity = QZI_MAX(seq->count + count, 2 * seq->capacity);
        qzi_pickle_object **wider = NULL;
        QZI_TRY(qzi_pickle_alloc(r, capacity * sizeof(*wider), &wider));
        if (seq->count > 0)
            memcpy(wider, seq->items, seq->count * sizeof(*wider));
        seq->items = wider;
        seq->capacity = capacity;
    }
    memcpy(seq->items + seq->count, items, count * sizeof(*items));
    seq->count += count;
    return QZ_OK;
}

static qz_status push_container(qzi_pickle_reader *r, qzi_pickle_kind kind,
                                qzi_pickle_object *const *items, size_t count)
{
    qzi_pickle_object *container = NULL;
    if (kind == QZI_PICKLE_DICT && count % 2 != 0)
        return qzi_pickle_damaged(r, "a dict key without a value");
    QZI_TRY(qzi_pickle_object_new(r, kind, &container));
    QZI_TRY(extend(r, container, items, count));
    return push(r, container);
}

/* The last `count` objects become a tuple. */
static qz_status push_tuple(qzi_pickle_reader *r, size_t count)
{
    if (available(r) < count)
        return qzi_pickle_damaged(r, "stack underflow");
    r->depth -= count;
    return push_container(r, QZI_PICKLE_TUPLE, r->stack + r->depth, count);
}

static qz_status push_marked(qzi_pickle_reader *r, qzi_pickle_kind kind)
{
    qzi_pickle_object **items = NULL;
    size_t count = 0;
    QZI_TRY(pop_mark(r, &items, &count));
    return push_container(r, kind, items, count);
}

/* Where an object that is also a container (a subclass of dict or list) keeps its items. */
static qz_status items_of(qzi_pickle_reader *r, qzi_pickle_instance *instance, qzi_pickle_kind kind,
                          qzi_pickle_object **container)
{
    qzi_pickle_object **place = kind == QZI_PICKLE_DICT ? &instance->dict : &instance->list;
    if (!*place)
        QZI_TRY(qzi_pickle_object_new(r, kind, place));
    *container = *place;
    return QZ_OK;
}

/* Adds to the container below: all above the mark, or the last `count` objects. */
static qz_status add_items(qzi_pickle_reader *r, qzi_pickle_kind kind, bool marked, size_t count)
{
    qzi_pickle_object **items = NULL, *container = NULL;
    if (marked) {
        QZI_TRY(pop_mark(r, &items, &count));
    } else {
        if (available(r) < count)
            return qzi_pickle_damaged(r, "stack underflow");
        r->depth -= count;
        items = r->stack + r->depth;
    }
    if (available(r) > 0 && r->stack[r->depth - 1]->kind == QZI_PICKLE_INSTANCE)
        QZI_TRY(items_of(r, r->stack[r->depth - 1]->u.instance, kind, &container));
    else
        QZI_TRY(top(r, kind, &container));
    if (kind == QZI_PICKLE_DICT && count % 2 != 0)
        return qzi_pickle_damaged(r, "a dict key without a value");
    return extend(r, container, items, count);
}

static qz_status read_container(qzi_pickle_reader *r, uint8_t op)
{
    switch (op) {
    case OP_EMPTY_TUPLE:
        return push_container(r, QZI_PICKLE_TUPLE, NULL, 0);
    case OP_EMPTY_LIST:
    case OP_EMPTY_SET:
        return push_container(r, QZI_PICKLE_LIST, NULL, 0);
    case OP_EMPTY_DICT:
        return push_container(r, QZI_PICKLE_DICT, NULL, 0);
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        return push_tuple(r, (size_t)(op - OP_TUPLE1) + 1);
    case OP_TUPLE:
        return push_marked(r, QZI_PICKLE_TUPLE);
    case OP_LIST:
    case OP_FROZENSET:
        return push_marked(r, QZI_PICKLE_LIST);
    case OP_DICT:
        return push_marked(r, QZI_PICKLE_DICT);
    case OP_APPEND:
        return add_items(r, QZI_PICKLE_LIST, false, 1);
    case OP_APPENDS:
    case OP_ADDITEMS:
        return add_items(r, QZI_PICKLE_LIST, true, 0);
    case OP_SETITEM:
        return add_items(r, QZI_PICKLE_DICT, false, 2);
    default: /* OP_SETITEMS */
        return add_items(r, QZI_PICKLE_DICT, true, 0);
    }
}

/* ---- stack and memo ---- */

static qz_status memo_put(qzi_pickle_reader *r, uint64_t index)
{
    if (available(r) == 0)
        return qzi_pickle_damaged(r, "stack underflow");
    /* Python numbers memo entries one after another, and putting one takes at least a byte */
    if (index >= MEMO_MAX || index >= (uint64_t)(r->end - r->begin))
        return qzi_pickle_damaged(r, "memo index out of bounds");
    while (r->memo_size <= index) {
        QZI_TRY(qzi_grow(r->ctx, &r->memo, &r->memo_capacity, r->memo_size, sizeof(*r->memo)));
        r->memo[r->memo_size++] = NULL;
    }
    r->memo[index] = r->stack[r->depth - 1];
    return QZ_OK;
}

static qz_status memo_get(qzi_pickle_reader *r, uint64_t index)
{
    if (index >= r->memo_size || !r->memo[index])
        return qzi_pickle_damaged(r, "memo index out of bounds");
    return push(r, r->memo[index]);
}

static qz_status read_stack(qzi_pickle_reader *r, uint8_t op)
{
    qzi_pickle_object *object = NULL, **objects = NULL;
    uint64_t index = 0;
    size_t count = 0;
    switch (op) {
    case OP_MARK:
        return push_mark(r);
    case OP_POP:
        return available(r) == 0 ? pop_mark(r, &objects, &count) : pop(r, &object);
    case OP_POP_MARK:
        return pop_mark(r, &objects, &count);
    case OP_DUP:
        if (available(r) == 0)
            return qzi_pickle_damaged(r, "stack underflow");
        return push(r, r->stack[r->depth - 1]);
    case OP_MEMOIZE:
        return memo_put(r, r->memo_size);
    case OP_BINPUT:
    case OP_LONG_BINPUT:
        QZI_TRY(take_number(r, op == OP_BINPUT ? 1 : 4, &index));
        return memo_put(r, index);
    default: /* OP_BINGET, OP_LONG_BINGET */
        QZI_TRY(take_number(r, op == OP_BINGET ? 1 : 4, &index));
        return memo_get(r, index);
    }
}

/* ---- globals and calls ---- */

/*
 * BUILD sets an object's state. An instance keeps it, to be walked for tensors; that of a dict
 * (state_dict()'s _metadata: versions), of a tensor or of a class means nothing here.
 */
static qz_status read_build(qzi_pickle_reader *r)
{
    qzi_pickle_object *state = NULL, *object = NULL;
    QZI_TRY(pop(r, &state));
    if (available(r) > 0)
        object = r->stack[r->depth - 1];
    if (object && object->kind == QZI_PICKLE_INSTANCE)
        object->u.instance->state = state;
    else if (!object || (object->kind != QZI_PICKLE_TENSOR && object->kind != QZI_PICKLE_GLOBAL))
        return top(r, QZI_PICKLE_DICT, &object);
    return QZ_OK;
}

/* A mark, a class and arguments. */
static qz_status read_obj(qzi_pickle_reader *r)
{
    qzi_pickle_object **items = NULL, *result = NULL;
    size_t count = 0;
    QZI_TRY(pop_mark(r, &items, &count));
    if (count == 0)
        return qzi_pickle_damaged(r, "an object of no class");
    QZI_TRY(qzi_pickle_new_instance(r, items[0], true, &result));
    return push(r, result);
}

static qz_status read_call(qzi_pickle_reader *r, uint8_t op)
{
    qzi_pickle_object *result = NULL, *arguments = NULL, *callable = NULL;
    qzi_pickle_text module = {NULL, 0}, name = {NULL, 0};
    switch (op) {
    case OP_GLOBAL:
        QZI_TRY(take_line(r, &module));
        QZI_TRY(take_line(r, &name));
        QZI_TRY(qzi_pickle_find_global(r, module, name, &result));
        break;
    case OP_STACK_GLOBAL:
        QZI_TRY(pop(r, &arguments));
        QZI_TRY(pop(r, &callable));
        if (arguments->kind != QZI_PICKLE_STR || callable->kind != QZI_PICKLE_STR)
            return qzi_pickle_damaged(r, "a name that is not a str");
        QZI_TRY(qzi_pickle_find_global(r, callable->u.text, arguments->u.text, &result));
        break;
    case OP_BINPERSID:
        QZI_TRY(pop(r, &arguments));
        QZI_TRY(qzi_pickle_persistent(r, arguments, &result));
        break;
    case OP_REDUCE:
        QZI_TRY(pop(r, &arguments));
        QZI_TRY(pop(r, &callable));
        QZI_TRY(qzi_pickle_call(r, callable, arguments, &result));
        break;
    case OP_NEWOBJ_EX:
        QZI_TRY(pop(r, &arguments)); /* keyword arguments */
        /* fall through */
    default: /* OP_NEWOBJ */
        QZI_TRY(pop(r, &arguments));
        QZI_TRY(pop(r, &callable));
        QZI_TRY(qzi_pickle_new_instance(r, callable, false, &result));
        break;
    }
    return push(r, result);
}

/* ---- the machine ---- */

static qz_status read_opcode(qzi_pickle_reader *r, uint8_t op)
{
    uint64_t number = 0;
    switch (op) {
    case OP_PROTO:
        QZI_TRY(take_number(r, 1, &number));
        return number <= 5 ? QZ_OK : qzi_pickle_damaged(r, "unknown protocol");
    case OP_FRAME: /* frames only help readers that buffer */
        return take_number(r, 8, &number);
    case OP_NONE:
    case OP_NEWTRUE:
    case OP_NEWFALSE:
    case OP_INT:
    case OP_BININT:
    case OP_BININT1:
    case OP_BININT2:
    case OP_LONG1:
    case OP_LONG4:
    case OP_BINFLOAT:
    case OP_SHORT_BINUNICODE:
    case OP_SHORT_BINSTRING:
    case OP_BINUNICODE:
    case OP_BINSTRING:
    case OP_BINUNICODE8:
    case OP_SHORT_BINBYTES:
    case OP_BINBYTES:
    case OP_BINBYTES8:
    case OP_BYTEARRAY8:
        return read_value(r, op);
    case OP_EMPTY_TUPLE:
    case OP_EMPTY_LIST:
    case OP_EMPTY_SET:
    case OP_ADDITEMS:
    case OP_FROZENSET:
    case OP_EMPTY_DICT:
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
    case OP_TUPLE:
    case OP_LIST:
    case OP_DICT:
    case OP_APPEND:
    case OP_APPENDS:
    case OP_SETITEM:
    case OP_SETITEMS:
        return read_container(r, op);
    case OP_MARK:
    case OP_POP:
    case OP_POP_MARK:
    case OP_DUP:
    case OP_MEMOIZE:
    case OP_BINPUT:
    case OP_LONG_BINPUT:
    case OP_BINGET:
    case OP_LONG_BINGET:
        return read_stack(r, op);
    case OP_GLOBAL:
    case OP_STACK_GLOBAL:
    case OP_BINPERSID:
    case OP_REDUCE:
    case OP_NEWOBJ:
    case OP_NEWOBJ_EX:
        return read_call(r, op);
    case OP_BUILD:
        return read_build(r);
    case OP_OBJ:
        return read_obj(r);
    default:
        return qzi_fail(r->ctx, QZ_ERR_FORMAT,
                        "%s: pickle opcode 0x%02x at byte %zu is none that torch.save writes; the "
                        "file is damaged or holds more than tensors",
                        r->path, op, (size_t)(r->p - r->begin) - 1);
    }
}

static qz_status run(qzi_pickle_reader *r, qzi_pickle_object **root)
{
    qzi_pickle_object *object = NULL;
    for (;;) {
        const uint8_t *op = NULL;
        QZI_TRY(take(r, 1, &op));
        if (*op == OP_STOP)
            break;
        QZI_TRY(read_opcode(r, *op));
    }
    QZI_TRY(pop(r, &object));
    if (r->depth != 0 || r->mark_count != 0)
        return qzi_pickle_damaged(r, "stops before its end");
    *root = object;
    return QZ_OK;
}

qz_status qzi_pickle_read(const qz_context *ctx, const char *path, const uint8_t *data, size_t size,
                          size_t *budget, qzi_arena *arena, qzi_pickle *pickle)
{
    qzi_pickle_reader reader = {.ctx = ctx,
                                .path = path,
                                .begin = data,
                                .p = data,
                                .end = data + size,
                                .budget = *budget,
                                .arena = arena};
    qz_status st = run(&reader, &pickle->root);
    pickle->storages = reader.storages;
    pickle->used = (size_t)(reader.p - reader.begin);
    *budget = reader.budget;
    qzi_free(ctx, reader.stack);
    qzi_free(ctx, reader.marks);
    qzi_free(ctx, reader.memo);
    return st;
}

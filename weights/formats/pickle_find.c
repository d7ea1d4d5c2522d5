/* SPDX-License-Identifier: MIT */
/*
 * pickle_find.c - finds the state dict among the objects of a checkpoint, by what the objects hold
 * and not by their names: training scripts agree on none.
 *
 * A dict is one if it holds tensors under names with a dot ("conv1.weight"). Where no dict does, a
 * dict of nothing but tensors is one. Each object is visited once, so shared objects cost nothing.
 */
#include "weights/formats/pickle_find.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 24
#define CANDIDATES_MAX 16
#define PATH_SIZE 256
#define SHOWN(text) (int)QZI_MIN((text).size, 128), (text).data

/* How sure it is that a dict is a state dict, the best first. */
enum { RANK_PARAMS, RANK_TENSORS, RANK_MIXED, RANK_COUNT };

typedef struct candidate {
    qzi_pickle_object *object;
    const char *path;
    bool other; /* an average, or of an optimizer */
} candidate;

typedef struct search {
    qz_state_dict *dict;
    char path[PATH_SIZE]; /* of the object at hand; cut where it is longer */
    struct candidate_list {
        candidate items[CANDIDATES_MAX];
        size_t count; /* of all, kept or not */
    } ranks[RANK_COUNT];
} search;

/* ---- the search ---- */

/* Tensors of a dict, all of them and those that look like parameters or buffers of a module. */
static void count_tensors(const qzi_pickle_object *dict, size_t *tensors, size_t *params,
                          bool *pure)
{
    *tensors = *params = 0;
    *pure = true;
    for (size_t i = 0; i < dict->u.seq.count; i += 2) {
        qzi_pickle_object *const *item = &dict->u.seq.items[i];
        *pure &= qzi_pickle_belongs(item[0], item[1]);
        if (item[0]->kind != QZI_PICKLE_STR)
            continue;
        const qzi_pickle_text key = item[0]->u.text;
        const bool tensor = qzi_pickle_is_tensor(item[1]);
        *tensors += tensor;
        /* also an object in the place of a parameter, so that it is refused by its name */
        if (key.size > 0 && memchr(key.data, '.', key.size))
            *params +=
                tensor || (item[1]->kind == QZI_PICKLE_INSTANCE && qzi_pickle_is_param_key(key));
    }
}

/* Appends ".name" to the path; returns its length before. */
static size_t push_path(search *s, qzi_pickle_text name)
{
    size_t before = strlen(s->path);
    snprintf(s->path + before, sizeof(s->path) - before, "%s%.*s", before > 0 ? "." : "",
             SHOWN(name));
    return before;
}

static bool holds_word(const char *text, const char *word)
{
    for (; *text != '\0'; text++)
        if (strncasecmp(text, word, strlen(word)) == 0)
            return true;
    return false;
}

static qz_status add_candidate(search *s, int rank, qzi_pickle_object *object)
{
    struct candidate_list *list = &s->ranks[rank];
    if (list->count < CANDIDATES_MAX) {
        candidate *c = &list->items[list->count];
        c->object = object;
        c->path = qzi_arena_strdup(&s->dict->arena, s->path);
        if (!c->path)
            return QZ_ERR_MEMORY;
        c->other = holds_word(s->path, "ema") || holds_word(s->path, "optim");
    }
    list->count++;
    return QZ_OK;
}

static qz_status visit(search *s, qzi_pickle_object *object, int depth);

static qz_status visit_items(search *s, const qzi_pickle_object *dict, int depth)
{
    for (size_t i = 0; i + 1 < dict->u.seq.count; i += 2) {
        qzi_pickle_object *const *item = &dict->u.seq.items[i];
        if (item[0]->kind != QZI_PICKLE_STR)
            continue; /* states of optimizers are under numbers */
        size_t before = push_path(s, item[0]->u.text);
        QZI_TRY(visit(s, item[1], depth + 1));
        s->path[before] = '\0';
    }
    return QZ_OK;
}

static qz_status visit_dict(search *s, qzi_pickle_object *dict, int depth)
{
    size_t tensors, params;
    bool pure;
    QZI_TRY(qzi_pickle_take_classes(s->dict, dict, false));
    count_tensors(dict, &tensors, &params, &pure);
    if (params > 0)
        return add_candidate(s, RANK_PARAMS, dict);
    QZI_TRY(visit_items(s, dict, depth));
    if (tensors == 0)
        return QZ_OK;
    return add_candidate(s, pure ? RANK_TENSORS : RANK_MIXED, dict);
}

static qz_status visit_list(search *s, const qzi_pickle_object *list, int depth)
{
    char index[24];
    for (size_t i = 0; i < list->u.seq.count; i++) {
        int size = snprintf(index, sizeof(index), "%zu", i);
        size_t before = push_path(s, (qzi_pickle_text){index, (size_t)size});
        QZI_TRY(visit(s, list->u.seq.items[i], depth + 1));
        s->path[before] = '\0';
    }
    return QZ_OK;
}

static qz_status visit(search *s, qzi_pickle_object *object, int depth)
{
    if (object->seen || depth > DEPTH_MAX)
        return QZ_OK;
    object->seen = true;
    if (object->kind == QZI_PICKLE_DICT)
        return visit_dict(s, object, depth);
    if (object->kind == QZI_PICKLE_LIST || object->kind == QZI_PICKLE_TUPLE)
        return visit_list(s, object, depth);
    if (object->kind != QZI_PICKLE_INSTANCE)
        return QZ_OK;
    const qzi_pickle_instance *instance = object->u.instance;
    if (qzi_pickle_is_module(object)) {
        QZI_TRY(qzi_pickle_take_classes(s->dict, instance->state, true));
        return add_candidate(s, RANK_PARAMS, object);
    }
    if (instance->dict)
        QZI_TRY(visit(s, instance->dict, depth + 1));
    if (instance->list)
        QZI_TRY(visit(s, instance->list, depth + 1));
    if (instance->state && instance->state->kind == QZI_PICKLE_DICT)
        return visit_dict(s, (qzi_pickle_object *)(uintptr_t)instance->state, depth + 1);
    return QZ_OK;
}

/* ---- the choice ---- */

/* "a, b, …": the candidates but `except`, of those that are `other` or not, or (-1) of all. */
static void list_paths(const struct candidate_list *list, const candidate *except, int other,
                       char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < QZI_MIN(list->count, CANDIDATES_MAX) && used < size; i++) {
        const candidate *c = &list->items[i];
        if (c == except || (other >= 0 && c->other != (other == 1)))
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s'%s'", used > 0 ? ", " : "", c->path);
    }
}

/* Says what was taken where the file has more than a state dict. */
static qz_status note_choice(search *s, const struct candidate_list *list, const candidate *taken)
{
    char others[400];
    if (taken->path[0] == '\0' && list->count == 1)
        return QZ_OK;
    list_paths(list, taken, -1, others, sizeof(others));
    char *note = qzi_format(s->dict->ctx, "took '%s'%s%s%s", taken->path,
                            others[0] != '\0' ? " and left " : "", others,
                            others[0] != '\0' ? " (options.key takes another)" : "");
    if (!note)
        return QZ_ERR_MEMORY;
    s->dict->note = qzi_arena_strdup(&s->dict->arena, note);
    qzi_free(s->dict->ctx, note);
    return s->dict->note ? QZ_OK : QZ_ERR_MEMORY;
}

/* A module of ultralytics: "models.yolo.Model" in yolov3 and yolov5, later "ultralytics.…". */
static bool is_ultralytics(const candidate *c)
{
    static const char *const packages[] = {"models.yolo", "ultralytics"};
    if (!c || c->object->kind != QZI_PICKLE_INSTANCE)
        return false;
    const qzi_pickle_text module = c->object->u.instance->type->module;
    for (size_t i = 0; i < QZI_ARRAY_LEN(packages); i++) {
        const size_t size = strlen(packages[i]);
        if (module.size >= size && memcmp(module.data, packages[i], size) == 0 &&
            (module.size == size || module.data[size] == '.'))
            return true;
    }
    return false;
}

static qz_status choose(search *s, qzi_pickle_object **found)
{
    const struct candidate_list *list = &s->ranks[0];
    for (int rank = 1; rank < RANK_COUNT && list->count == 0; rank++)
        list = &s->ranks[rank];
    const candidate *plain = NULL, *other = NULL;
    size_t plains = 0, others = 0;
    for (size_t i = 0; i < QZI_MIN(list->count, CANDIDATES_MAX); i++) {
        const candidate *c = &list->items[i];
        if (c->other)
            other = others++ == 0 ? c : other;
        else
            plain = plains++ == 0 ? c : plain;
    }
    if (plains + others == 0)
        return QZ_OK;
    if (plains > 1 || (plains == 0 && others > 1)) {
        char names[400];
        list_paths(list, NULL, plains == 0, names, sizeof(names));
        return qzi_fail(s->dict->ctx, QZ_ERR_FORMAT,
                        "%s: holds several state dicts (%s); name one by options.key",
                        s->dict->name, names);
    }
    const bool average = plains == 1 && others == 1 && is_ultralytics(plain) &&
                         is_ultralytics(other) && holds_word(other->path, "ema");
    const candidate *taken = plain && !average ? plain : other;
    *found = taken->object;
    return note_choice(s, list, taken);
}

/* ---- the wanted one ---- */

/* The longest key of the dict that `rest` begins with, up to its end or a dot. */
static qzi_pickle_object *step_dict(const qzi_pickle_object *dict, const char *rest, size_t *used)
{
    qzi_pickle_object *best = NULL;
    *used = 0;
    for (size_t i = 0; i + 1 < dict->u.seq.count; i += 2) {
        qzi_pickle_object *const *item = &dict->u.seq.items[i];
        if (item[0]->kind != QZI_PICKLE_STR)
            continue;
        const qzi_pickle_text key = item[0]->u.text;
        if (key.size >= *used && key.size > 0 && strncmp(rest, key.data, key.size) == 0 &&
            strlen(rest) >= key.size && (rest[key.size] == '\0' || rest[key.size] == '.')) {
            best = item[1];
            *used = key.size;
        }
    }
    return best;
}

static qzi_pickle_object *step_list(const qzi_pickle_object *list, const char *rest, size_t *used)
{
    size_t index = 0;
    *used = strspn(rest, "0123456789");
    if (*used == 0 || *used > 9 || (rest[*used] != '\0' && rest[*used] != '.'))
        return NULL;
    for (size_t i = 0; i < *used; i++)
        index = 10 * index + (size_t)(rest[i] - '0');
    return index < list->u.seq.count ? list->u.seq.items[index] : NULL;
}

static qzi_pickle_object *step(qzi_pickle_object *object, const char *rest, size_t *used)
{
    qzi_pickle_object *next = NULL, *dict = qzi_pickle_as_dict(object);
    if (object->kind == QZI_PICKLE_LIST || object->kind == QZI_PICKLE_TUPLE)
        return step_list(object, rest, used);
    if (dict)
        next = step_dict(dict, rest, used);
    if (!next && object->kind == QZI_PICKLE_INSTANCE && object->u.instance->state &&
        object->u.instance->state->kind == QZI_PICKLE_DICT)
        next = step_dict(object->u.instance->state, rest, used);
    return next;
}

/* "a.b": the object under these names; NULL: there is none. */
static qzi_pickle_object *descend(qzi_pickle_object *object, const char *path)
{
    size_t used;
    while (object && *path != '\0') {
        object = step(object, path, &used);
        if (!object)
            break;
        path += used;
        path += *path == '.';
    }
    return object;
}

static qz_status fail_want(search *s, qzi_pickle_object *root, const char *what)
{
    char names[400] = "";
    s->path[0] = '\0';
    QZI_TRY(visit(s, root, 0));
    for (int rank = 0; rank < RANK_COUNT && names[0] == '\0'; rank++)
        list_paths(&s->ranks[rank], NULL, -1, names, sizeof(names));
    return qzi_fail(s->dict->ctx, QZ_ERR_MISMATCH, "%s: %s '%.200s' (options.key)%s%s",
                    s->dict->name, what, s->dict->want,
                    names[0] != '\0' ? "; it has state dicts in " : "", names);
}

qz_status qzi_pickle_find(qz_state_dict *dict, qzi_pickle_object *root, qzi_pickle_object **found)
{
    search s = {.dict = dict};
    qzi_pickle_object *from = root;
    *found = NULL;
    if (dict->want) {
        from = descend(root, dict->want);
        if (!from)
            return fail_want(&s, root, "has no");
        snprintf(s.path, sizeof(s.path), "%.200s", dict->want);
    }
    QZI_TRY(visit(&s, from, 0));
    QZI_TRY(choose(&s, found));
    if (!*found && dict->want)
        return fail_want(&s, root, "has no tensors in");
    if (dict->want) { /* names of classes are beside the state dict, not in it */
        s.path[0] = '\0';
        QZI_TRY(visit(&s, root, 0));
    }
    return QZ_OK;
}

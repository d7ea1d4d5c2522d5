/* SPDX-License-Identifier: MIT */
/*
 * run_coco.c - qzoo run --coco-results: what a detector found, as a result file in COCO's format,
 * which qzoo eval --detections and pycocotools' loadRes take.
 *
 * An image's id is that of the image of --annotations with its file name, or else the number at the
 * end of the file's name, as in COCO's own names. A category's id is the label, and YOLO's is that
 * of the category of the class's name, of --annotations or else of COCO. Labels that are no
 * category are left out. Masks are run lengths in pycocotools' text.
 */
#include "run.h"

#include "eval_coco.h"
#include "messages.h"
#include "settings_yolo.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- ids ---- */

/* The number at the end of a file's name, before its suffix. */
static int id_of_name(const char *path, int64_t *id)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.'), *end = dot && dot > name ? dot : name + strlen(name);
    const char *at = end;
    while (at > name && at[-1] >= '0' && at[-1] <= '9')
        at--;
    while (end - at > 1 && *at == '0')
        at++;
    if (at == end || end - at > 18)
        return tool_fail(EXIT_INPUT,
                         "%s: its name ends in no number to be its id in --coco-results; give "
                         "--annotations FILE.json, which has file names",
                         path);
    *id = strtoll(at, NULL, 10);
    return EXIT_DONE;
}

/* Whether the path is the file name, below any folder. */
static bool ends_with(const char *path, const char *file_name)
{
    const size_t n = strlen(path), m = strlen(file_name);
    return m > 0 && n >= m && strcmp(path + n - m, file_name) == 0 &&
           (n == m || path[n - m - 1] == '/');
}

static int id_of(const run_state *r, const char *path, int64_t *id)
{
    if (!r->coco)
        return id_of_name(path, id);
    for (size_t i = 0; i < qz_coco_image_count(r->coco); i++) {
        const qz_coco_image *image = qz_coco_image_at(r->coco, i);
        if (!ends_with(path, image->file_name))
            continue;
        *id = image->id;
        return EXIT_DONE;
    }
    return tool_fail(EXIT_INPUT, "%s: %s has no image of this name", path, r->o->eval.annotations);
}

/* ---- categories ---- */

/* COCO's own number of the category of this name; -1. */
static int64_t coco_id_of(const char *name)
{
    const char *known;
    for (int32_t i = 1; name && (known = qz_coco_class(i)) != NULL; i++)
        if (strcasecmp(known, name) == 0)
            return i;
    return -1;
}

/* The classes' categories among COCO's own. */
static int map_to_coco(run_state *r, int32_t classes)
{
    int32_t outside = 0;
    for (int32_t i = 0; i < classes; i++) {
        r->coco_ids[i] = coco_id_of(qz_model_class(r->s.model, i));
        outside += r->coco_ids[i] < 0;
    }
    if (outside == classes)
        return tool_fail(EXIT_INPUT,
                         "--coco-results: no class of the model has the name of a category of "
                         "COCO's%s; give --annotations FILE.json with its categories",
                         qz_model_class(r->s.model, 0) ? "" : ", and they have no names");
    if (outside > 0)
        tool_note(r->o->quiet,
                  "qzoo: --coco-results: %d of %d classes are no categories of COCO's; their "
                  "objects are left out",
                  (int)outside, (int)classes);
    return EXIT_DONE;
}

/* YOLO numbers its classes from 0, so that names alone say which category is meant. */
static int map_categories(run_state *r)
{
    const int32_t classes = r->s.info.num_classes;
    if (!settings_is_yolo(r->ctx, r->s.info.name))
        return EXIT_DONE;
    r->coco_ids = calloc((size_t)classes, sizeof(*r->coco_ids));
    if (!r->coco_ids)
        return tool_fail_memory();
    return r->coco ? truth_map_categories(r->o, r->coco, r->s.model, classes, r->coco_ids)
                   : map_to_coco(r, classes);
}

int run_coco_begin(run_state *r, const image_list *list)
{
    int64_t id;
    int status = EXIT_DONE;
    if (!r->o->out.coco)
        return EXIT_DONE;
    if (r->o->eval.annotations)
        status = truth_open(r->o, r->ctx, &r->coco);
    if (status == EXIT_DONE)
        status = map_categories(r);
    for (size_t i = 0; i < list->count && status == EXIT_DONE; i++)
        status = id_of(r, list->paths[i], &id);
    r->coco_list = json_array();
    return status;
}

static bool has_category(const qz_coco *coco, int64_t label)
{
    bool found = false;
    for (size_t i = 0; i < qz_coco_category_count(coco) && !found; i++)
        found = qz_coco_category_at(coco, i)->id == label;
    return found;
}

/* ---- masks ---- */

typedef struct text {
    char *bytes;
    size_t used, room;
} text;

/* One count, by its difference from the last but one, in digits of 5 bits; false: no memory. */
static bool put_count(text *t, int64_t value)
{
    bool more = true;
    while (more) {
        int64_t digit = value & 31;
        value >>= 5;
        more = digit & 16 ? value != -1 : value != 0;
        if (t->used + 2 > t->room) {
            const size_t room = t->room ? 2 * t->room : 256;
            char *grown = realloc(t->bytes, room);
            if (!grown)
                return false;
            t->bytes = grown;
            t->room = room;
        }
        t->bytes[t->used++] = (char)(48 + digit + (more ? 32 : 0));
        t->bytes[t->used] = '\0';
    }
    return true;
}

/* Run lengths, column by column, of bytes that are 0 and not, in turns. NULL: no memory. */
static json_t *mask_json(const uint8_t *mask, int32_t width, int32_t height)
{
    text t = {0};
    int64_t last[2] = {0}, count = 0; /* the last but one, the last, and this one */
    bool ok = true, one = false;
    size_t runs = 0;
    for (int32_t x = 0; x < width; x++) {
        for (int32_t y = 0; y <= height; y++) {
            const bool end = y == height;
            if (end && x < width - 1)
                break;
            if (!end && (mask[(size_t)y * (size_t)width + (size_t)x] != 0) == one) {
                count++;
                continue;
            }
            ok = ok && put_count(&t, runs > 2 ? count - last[0] : count);
            last[0] = last[1];
            last[1] = count;
            runs++;
            one = !one;
            count = 1;
        }
    }
    json_t *json =
        ok ? json_pack("{s:[i,i], s:s}", "size", height, width, "counts", t.bytes) : NULL;
    free(t.bytes);
    return json;
}

/* ---- entries ---- */

int run_coco_add(run_state *r, const char *path, const qz_detection *d, const uint8_t *mask,
                 int32_t width, int32_t height)
{
    int64_t id = 0;
    const int64_t category = r->coco_ids ? r->coco_ids[d->label] : d->label;
    if (!r->o->out.coco || category < 0 || (r->coco && !has_category(r->coco, category)))
        return EXIT_DONE;
    const int status = id_of(r, path, &id);
    if (status)
        return status;
    const double x = (double)d->x1, y = (double)d->y1;
    json_t *item = json_pack("{s:I, s:I, s:[f,f,f,f], s:f}", "image_id", (json_int_t)id,
                             "category_id", (json_int_t)category, "bbox", x, y, (double)d->x2 - x,
                             (double)d->y2 - y, "score", (double)d->score);
    if (mask)
        json_set(item, "segmentation", mask_json(mask, width, height));
    json_add(r->coco_list, item);
    return EXIT_DONE;
}

int run_coco_end(run_state *r, int status)
{
    json_t *list = r->coco_list;
    r->coco_list = NULL;
    qz_coco_close(r->coco);
    r->coco = NULL;
    free(r->coco_ids);
    r->coco_ids = NULL;
    if (!list || status) {
        json_decref(list);
        return status;
    }
    return json_write_file(r->o->out.coco, list);
}

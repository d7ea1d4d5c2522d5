/* SPDX-License-Identifier: MIT */
/* coco_json.c - files, numbers and boxes of COCO's JSON. */
#include "zoo/eval/coco_json.h"

#include "weights/files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

qz_status qzi_coco_wrong(const qzi_coco_reader *r, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return qzi_fail(r->ctx, QZ_ERR_FORMAT, "%s: %s[%zu]: %s", r->path, r->list, r->index, text);
}

/* ---- files ---- */

/* The entry of a list in which a byte is: "annotations[17]". */
typedef struct place {
    char key[24]; /* the last text of depth 1: before a list it is the list's name */
    size_t used;
    long commas; /* of the list; -1: in none */
} place;

static place find_place(FILE *file, const char *list, long position)
{
    place p = {.key = "", .commas = -1};
    int depth = 0, list_depth = 0, c;
    bool text = false, escaped = false;
    rewind(file);
    for (long i = 0; i < position && (c = getc(file)) != EOF; i++) {
        if (text) {
            text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            if (text && depth == 1 && p.used + 1 < sizeof(p.key)) {
                p.key[p.used++] = (char)c;
                p.key[p.used] = '\0';
            }
        } else if (c == '"') {
            text = true;
            p.used = depth == 1 ? 0 : p.used;
        } else if (c == '[' || c == '{') {
            depth++;
            if (c == '[' && list_depth == 0 && depth <= 2) {
                list_depth = depth;
                p.commas = 0;
            }
        } else if (c == ']' || c == '}') {
            if (depth == list_depth) {
                list_depth = 0;
                p.commas = -1;
            }
            depth--;
        } else if (c == ',' && depth == list_depth) {
            p.commas++;
        }
    }
    if (list_depth == 1)
        snprintf(p.key, sizeof(p.key), "%s", list);
    return p;
}

/* What is wrong: jansson's words, but for what is about how jansson was called. */
static const char *fault_of(const json_error_t *error)
{
    return json_error_code(error) == json_error_null_character ? "a text has \\u0000 in it"
                                                               : error->text;
}

static qz_status fail_json(const qz_context *ctx, const char *path, const char *list, FILE *file,
                           const json_error_t *error)
{
    if (json_error_code(error) == json_error_out_of_memory)
        return qzi_fail_memory(ctx, 0);
    if (ferror(file))
        return qzi_fail(ctx, QZ_ERR_IO, "%s: cannot be read", path);
    const place p = find_place(file, list, error->position);
    if (p.commas >= 0)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: %s[%ld]: line %d: %s", path, p.key, p.commas,
                        error->line, fault_of(error));
    return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: line %d: %s", path, error->line, fault_of(error));
}

/* Skips the byte order mark of UTF-8, which editors write; refuses UTF-16, with a mark or without:
 * one of its first two bytes is 0, as JSON begins with an ASCII character. */
static qz_status skip_mark(const qz_context *ctx, const char *path, FILE *file, int *skipped)
{
    unsigned char b[3] = {1, 1, 1};
    const size_t count = fread(b, 1, sizeof(b), file);
    if (count > 1 &&
        ((b[0] == 0xff && b[1] == 0xfe) || (b[0] == 0xfe && b[1] == 0xff) || !b[0] || !b[1]))
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: is UTF-16; save it as UTF-8", path);
    const bool marked = count == sizeof(b) && b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf;
    *skipped = marked ? (int)sizeof(b) : 0;
    if (!marked)
        rewind(file);
    return QZ_OK;
}

qz_status qzi_coco_load(const qz_context *ctx, const char *path, const char *list, json_t **root)
{
    FILE *file;
    json_error_t error;
    QZI_TRY(qzi_file_open(ctx, path, &file));
    int skipped = 0;
    qz_status st = skip_mark(ctx, path, file, &skipped);
    if (st == QZ_OK) {
        *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
        error.position += skipped;
        st = *root ? QZ_OK : fail_json(ctx, path, list, file, &error);
    }
    fclose(file);
    return st;
}

/* ---- members ---- */

static bool whole(const json_t *value, int64_t *number)
{
    const double real = json_number_value(value);
    *number = json_is_integer(value) ? json_integer_value(value) : 0;
    if (json_is_integer(value))
        return true;
    if (!json_is_real(value) || real != floor(real) || fabs(real) > 9007199254740992.0)
        return false;
    *number = (int64_t)real;
    return true;
}

qz_status qzi_coco_id(const qzi_coco_reader *r, const json_t *entry, const char *key, int64_t *id)
{
    const json_t *value = json_object_get(entry, key);
    if (!value)
        return qzi_coco_wrong(r, "'%s' is missing", key);
    if (!whole(value, id))
        return qzi_coco_wrong(r, "'%s' must be a whole number", key);
    return QZ_OK;
}

qz_status qzi_coco_number(const qzi_coco_reader *r, const json_t *entry, const char *key,
                          double *number)
{
    const json_t *value = json_object_get(entry, key);
    if (!value)
        return qzi_coco_wrong(r, "'%s' is missing", key);
    if (!json_is_number(value))
        return qzi_coco_wrong(r, "'%s' must be a number", key);
    *number = json_number_value(value);
    return QZ_OK;
}

qz_status qzi_coco_box(const qzi_coco_reader *r, const json_t *entry, const qz_coco_image *image,
                       bool *has, double box[4])
{
    const json_t *list = json_object_get(entry, "bbox");
    *has = false;
    if (!list || json_is_null(list) || (json_is_array(list) && json_array_size(list) == 0))
        return QZ_OK;
    if (json_array_size(list) != 4)
        return qzi_coco_wrong(r, "'bbox' must be four numbers: x, y, width, height");
    for (size_t i = 0; i < 4; i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_number(value))
            return qzi_coco_wrong(r, "'bbox' must be four numbers: x, y, width, height");
        box[i] = json_number_value(value);
    }
    const char *fault = qzi_coco_box_fault(box, image);
    if (fault)
        return qzi_coco_wrong(r, "%s", fault);
    *has = true;
    return QZ_OK;
}

/* SPDX-License-Identifier: MIT */
/*
 * eval_truth.c - what of an annotation file can be wrong although it is one: found before the model
 * is read and calibrated.
 */
#include "eval_coco.h"

#include "messages.h"

#include <string.h>
#include <strings.h>

int truth_open(const tool_options *o, qz_context *ctx, qz_coco **coco)
{
    const qz_status st = qz_coco_open(ctx, o->eval.annotations, coco);
    if (st != QZ_OK)
        return tool_fail_status(ctx, st);
    if (qz_coco_image_count(*coco) > 0)
        return EXIT_DONE;
    qz_coco_close(*coco);
    *coco = NULL;
    return tool_fail(EXIT_INPUT, "%s: it has no images; its list 'images' is empty",
                     o->eval.annotations);
}

/* Whether a path, taken from a folder, names a place that is not below that folder. */
static bool leaves(const char *path)
{
    long depth = 0;
    if (*path == '/')
        return true;
    for (const char *p = path; *p && depth >= 0;) {
        const size_t length = strcspn(p, "/");
        if (length == 2 && p[0] == '.' && p[1] == '.')
            depth--;
        else if (length > 0 && !(length == 1 && *p == '.'))
            depth++;
        p += length + (p[length] == '/');
    }
    return depth < 0;
}

int truth_check_names(const tool_options *o, const qz_coco *coco)
{
    for (size_t i = 0; i < qz_coco_image_count(coco); i++) {
        const qz_coco_image *image = qz_coco_image_at(coco, i);
        if (!*image->file_name)
            return tool_fail(EXIT_INPUT, "%s: image %lld has no file_name", o->eval.annotations,
                             (long long)image->id);
        if (leaves(image->file_name))
            return tool_fail(EXIT_INPUT,
                             "%s: image %lld: file_name %s is outside of --data; file names are "
                             "relative to --data",
                             o->eval.annotations, (long long)image->id, image->file_name);
    }
    return EXIT_DONE;
}

/* The model's class of that name; -1. */
static int32_t find_class(const qz_model *model, int32_t classes, const char *name)
{
    for (int32_t i = 0; i < classes; i++) {
        const char *known = qz_model_class(model, i);
        if (known && strcasecmp(known, name) == 0)
            return i;
    }
    return -1;
}

int truth_check_categories(const tool_options *o, const qz_coco *coco, const qz_model *model,
                           int32_t classes)
{
    const char *file = o->eval.annotations;
    const size_t count = qz_coco_category_count(coco);
    size_t outside = 0;
    for (size_t i = 0; i < count; i++) {
        const qz_coco_category *category = qz_coco_category_at(coco, i);
        const char *name = category->name ? category->name : "";
        if (category->id == 0)
            return tool_fail(EXIT_INPUT,
                             "%s: category 0 (%s): the model's class 0 is the background; number "
                             "categories as the model's classes, from 1",
                             file, name);
        if (category->id < 0 || category->id >= classes) {
            outside++;
            continue;
        }
        const char *known = qz_model_class(model, (int32_t)category->id);
        const int32_t other = find_class(model, classes, name);
        if (known && other >= 0 && other != category->id && strcasecmp(known, name) != 0)
            return tool_fail(EXIT_INPUT,
                             "%s: category %lld is %s, but the model's class %lld is %s and its "
                             "class %d is %s; number categories as the model's classes",
                             file, (long long)category->id, name, (long long)category->id, known,
                             (int)other, name);
    }
    if (count > 0 && outside == count)
        return tool_fail(EXIT_INPUT,
                         "%s: none of its categories is a class of the model, which has 1 to %d",
                         file, (int)classes - 1);
    if (outside > 0)
        tool_note(o->quiet,
                  "qzoo: %s: %zu of %zu categories are no classes of the model; their objects are "
                  "never found",
                  file, outside, count);
    return EXIT_DONE;
}

int truth_map_categories(const tool_options *o, const qz_coco *coco, const qz_model *model,
                         int32_t classes, int64_t *ids)
{
    const char *file = o->eval.annotations;
    const size_t count = qz_coco_category_count(coco);
    size_t outside = 0;
    for (int32_t i = 0; i < classes; i++)
        ids[i] = -1;
    for (size_t i = 0; i < count; i++) {
        const qz_coco_category *category = qz_coco_category_at(coco, i);
        const int32_t class_number =
            find_class(model, classes, category->name ? category->name : "");
        if (class_number >= 0)
            ids[class_number] = category->id;
        else
            outside++;
    }
    if (count > 0 && outside == count)
        return tool_fail(
            EXIT_INPUT, "%s: none of its categories has the name of a class of the model%s", file,
            qz_model_class(model, 0) ? "" : ", which has no names; give --classes FILE");
    if (outside > 0)
        tool_note(o->quiet,
                  "qzoo: %s: %zu of %zu categories are no classes of the model; their objects are "
                  "never found",
                  file, outside, count);
    return EXIT_DONE;
}

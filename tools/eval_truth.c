/* SPDX-License-Identifier: MIT */
/*
 * eval_truth.c - what of an annotation file can be wrong although it is one: found before the model
 * is read and calibrated.
 */
#include "eval_coco.h"

#include "messages.h"

#include <string.h>

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

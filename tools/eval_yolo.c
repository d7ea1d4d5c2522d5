/* SPDX-License-Identifier: MIT */
/*
 * eval_yolo.c - ground truth from YOLO's text labels: DATA/images, and for each image a file of
 * DATA/labels with a line "class x y width height" for each object: the box's middle and size as
 * shares of the image. An image without such a file has no object.
 */
#include "eval_coco.h"

#include "images.h"
#include "messages.h"
#include "text_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct yolo_reader {
    const tool_options *o;
    qz_context *ctx;
    qz_coco *coco;
    int32_t background; /* classes before the first object's, where none has a name */
    int32_t *labels;    /* the model's class of each class of the files */
    size_t class_count;
    size_t skipped;
    size_t unlabelled; /* images without a file of labels */
    char *expected;    /* the first file of labels that is not there */
} yolo_reader;

char *path_join(const char *folder, const char *name)
{
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", folder, name);
    else
        tool_fail_memory();
    return path;
}

/* ---- classes ---- */

/* Whether a model's class is one that objects have: COCO's list of 91 has gaps. */
static bool is_class(const char *name)
{
    return name && strcmp(name, "__background__") != 0 && strcmp(name, "N/A") != 0;
}

static int add_class(yolo_reader *y, int32_t label, const char *name)
{
    int32_t *grown = realloc(y->labels, (y->class_count + 1) * sizeof(*grown));
    if (!grown)
        return tool_fail_memory();
    grown[y->class_count++] = label;
    y->labels = grown;
    const qz_status st = qz_coco_add_category(y->coco, label, name);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(y->ctx, st);
}

/* By the order of the model's classes. */
static int order_classes(yolo_reader *y, const qz_model *model, int32_t count)
{
    bool named = false;
    int status = EXIT_DONE;
    for (int32_t i = 0; i < count; i++)
        named = named || qz_model_class(model, i);
    for (int32_t i = 0; i < count && status == EXIT_DONE; i++) {
        const char *name = qz_model_class(model, i);
        if (named ? is_class(name) : i >= y->background)
            status = add_class(y, i, name ? name : "");
    }
    return status;
}

/* By the names of DATA/classes.txt, one a line. */
static int name_classes(yolo_reader *y, const qz_model *model, int32_t count, const char *path)
{
    char *text, *rest = NULL;
    int status = text_read(path, &text);
    for (char *name = status ? NULL : strtok_r(text, "\r\n", &rest); name && status == EXIT_DONE;
         name = strtok_r(NULL, "\r\n", &rest)) {
        int32_t label = 0;
        while (label < count &&
               (!qz_model_class(model, label) || strcmp(qz_model_class(model, label), name) != 0))
            label++;
        status = label < count ? add_class(y, label, name)
                               : tool_fail(EXIT_INPUT, "%s: the model has no class %s", path, name);
    }
    free(text);
    return status;
}

static int read_classes(yolo_reader *y, const qz_model *model, int32_t count)
{
    struct stat info;
    char *path = path_join(y->o->eval.data, "classes.txt");
    if (!path)
        return EXIT_FAILED;
    const int status = stat(path, &info) == 0 ? name_classes(y, model, count, path)
                                              : order_classes(y, model, count);
    free(path);
    return status;
}

/* ---- objects ---- */

static bool parse_share(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return *text && strspn(text, "-+.eE0123456789") == strlen(text) && !*end && *value >= 0 &&
           *value <= 1;
}

static int add_object(const yolo_reader *y, const char *path, const table_line *line,
                      const qz_coco_image *image)
{
    double v[4];
    const long class_number = line->count == 5 ? table_number(line->fields[0]) : -1;
    bool good = class_number >= 0;
    for (size_t i = 0; i < 4 && good; i++)
        good = parse_share(line->fields[i + 1], &v[i]);
    if (!good)
        return tool_fail(EXIT_INPUT,
                         "%s: line %zu: needed are a class, and x, y, width and height from 0 to 1",
                         path, line->number);
    if ((size_t)class_number >= y->class_count)
        return tool_fail(EXIT_INPUT, "%s: line %zu: class %ld, but there are %zu classes", path,
                         line->number, class_number, y->class_count);
    const double w = image->width, h = image->height;
    const double box[4] = {(v[0] - v[2] / 2) * w, (v[1] - v[3] / 2) * h, v[2] * w, v[3] * h};
    const qz_status st = qz_coco_add_object(y->coco, image->id, y->labels[class_number], box);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(y->ctx, st);
}

/* The labels of the image DATA/images/NAME. */
static int read_labels(yolo_reader *y, const char *name, const qz_coco_image *image)
{
    struct stat info;
    text_table table;
    char *path = path_join(y->o->eval.data, "labels/");
    char *file = path ? malloc(strlen(path) + strlen(name) + 5) : NULL;
    if (!file) {
        free(path);
        return tool_fail_memory();
    }
    const char *dot = strrchr(name, '.');
    sprintf(file, "%s%.*s.txt", path, (int)(dot ? dot - name : (long)strlen(name)), name);
    int status = EXIT_DONE;
    if (stat(file, &info) == 0 || errno != ENOENT) {
        status = table_read(file, &table);
        for (size_t i = 0; status == EXIT_DONE && i < table.count; i++)
            status = add_object(y, file, &table.lines[i], image);
        if (status == EXIT_DONE || table.text)
            table_release(&table);
    } else if (y->unlabelled++ == 0) {
        y->expected = file;
        file = NULL;
    }
    free(file);
    free(path);
    return status;
}

/* ---- images ---- */

static int read_image(yolo_reader *y, const char *path, int64_t id)
{
    qz_coco_image image = {.id = id, .file_name = path + strlen(y->o->eval.data) + 1};
    qz_status st = qz_image_check(y->ctx, path, &image.width, &image.height);
    if (st != QZ_OK) {
        const int status = tool_fail_status(y->ctx, st);
        const bool skip = status == EXIT_INPUT && y->o->eval.skip_bad;
        y->skipped += skip;
        return skip ? EXIT_DONE : status;
    }
    st = qz_coco_add_image(y->coco, &image);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(y->ctx, st);
}

static int read_all(yolo_reader *y, const image_list *list)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < list->count && status == EXIT_DONE; i++)
        status = read_image(y, list->paths[i], (int64_t)i + 1);
    /* all images first: adding an object sorts them */
    for (size_t i = 0; i < qz_coco_image_count(y->coco) && status == EXIT_DONE; i++) {
        const qz_coco_image *image = qz_coco_image_at(y->coco, i);
        status = read_labels(y, image->file_name + strlen("images/"), image);
    }
    return status;
}

/* One image may have no object; that no image has one is a fault of names or folders. */
static int check_unlabelled(const yolo_reader *y)
{
    const size_t count = qz_coco_image_count(y->coco);
    if (count > 0 && y->unlabelled == count)
        return tool_fail(EXIT_INPUT,
                         "%s/labels: no image has its file of labels there; the first that was "
                         "expected is %s",
                         y->o->eval.data, y->expected);
    if (y->unlabelled)
        tool_note(y->o->quiet,
                  "%zu of %zu images have no file of labels, and so no objects; the first is %s",
                  y->unlabelled, count, y->expected);
    return EXIT_DONE;
}

static int check_labels(const char *data)
{
    struct stat info;
    char *path = path_join(data, "labels");
    if (!path)
        return EXIT_FAILED;
    int status = EXIT_DONE;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        status =
            tool_fail(EXIT_INPUT,
                      "%s: has no folder labels with YOLO's text labels beside images; or give "
                      "--annotations FILE",
                      data);
    free(path);
    return status;
}

int yolo_read(const tool_options *o, qz_context *ctx, const qz_model *model, int32_t class_count,
              int32_t background, qz_coco **coco, size_t *skipped)
{
    yolo_reader y = {.o = o, .ctx = ctx, .background = background};
    image_list list = {0};
    int status = check_labels(o->eval.data);
    char *folder = status ? NULL : path_join(o->eval.data, "images");
    if (!folder)
        return status ? status : EXIT_FAILED;
    const qz_status st = qz_coco_create(ctx, o->eval.data, coco);
    y.coco = *coco;
    if (st != QZ_OK)
        status = tool_fail_status(ctx, st);
    if (status == EXIT_DONE)
        status = read_classes(&y, model, class_count);
    if (status == EXIT_DONE)
        status = images_find_below(folder, &list);
    if (status == EXIT_DONE && list.count == 0)
        status = tool_fail(EXIT_INPUT, "%s: contains no images", folder);
    if (status == EXIT_DONE)
        status = read_all(&y, &list);
    if (status == EXIT_DONE)
        status = check_unlabelled(&y);
    images_free(&list);
    free(folder);
    free(y.labels);
    free(y.expected);
    *skipped = y.skipped;
    return status;
}

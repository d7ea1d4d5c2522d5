/* SPDX-License-Identifier: MIT */
/*
 * images.c - the images of --calib and INPUT: folders, image files, .npy arrays, synthetic images.
 * Files of a folder are taken in bytewise order of their names, so calibration is the same
 * everywhere.
 */
#include "images.h"

#include "messages.h"
#include "options_parse.h"
#include "recipe.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Synthetic images where --calib is not given or names no number. */
#define SYNTHETIC_DEFAULT 32

/* Of the command, of which a process has one. */
static struct {
    const tool_options *options;
    bool recipe_said;
} reading;

void images_begin(const tool_options *options)
{
    reading.options = options;
    reading.recipe_said = false;
}

void images_note_recipe(const qz_model_info *info)
{
    if (reading.options && !reading.recipe_said)
        recipe_note(reading.options, info);
    reading.recipe_said = true;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    return n > s && strcasecmp(name + n - s, suffix) == 0;
}

bool images_is_image(const char *name)
{
    static const char *const suffixes[] = {".jpg", ".jpeg", ".png", ".bmp", ".npy"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        if (has_suffix(name, suffixes[i]))
            return true;
    }
    return false;
}

static int add_path(image_list *list, char *path)
{
    char **paths = path ? realloc(list->paths, (list->count + 1) * sizeof(*paths)) : NULL;
    if (!paths) {
        free(path);
        return tool_fail_memory();
    }
    paths[list->count++] = path;
    list->paths = paths;
    return EXIT_DONE;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(image_list *list, const char *folder)
{
    DIR *dir = opendir(folder);
    size_t first = list->count;
    int status = EXIT_DONE;
    if (!dir)
        return tool_fail(EXIT_INPUT, "%s: cannot be read: %s", folder, strerror(errno));
    for (struct dirent *entry; status == EXIT_DONE && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || !images_is_image(entry->d_name))
            continue;
        size_t size = strlen(folder) + strlen(entry->d_name) + 2;
        char *path = malloc(size);
        if (path)
            snprintf(path, size, "%s/%s", folder, entry->d_name);
        status = add_path(list, path);
    }
    closedir(dir);
    if (status == EXIT_DONE && list->count == first)
        return tool_fail(EXIT_INPUT, "%s: contains no images (jpg, png, bmp, npy)", folder);
    if (list->count > first)
        qsort(list->paths + first, list->count - first, sizeof(*list->paths), compare_paths);
    return status;
}

static int set_synthetic(image_list *list, const char *what)
{
    list->synthetic = SYNTHETIC_DEFAULT;
    if (what[9] == ':' && !parse_whole(what + 10, 1, 100000, &list->synthetic))
        return tool_fail(EXIT_USAGE, "--calib %s: synthetic:N with N from 1 to 100000 is needed",
                         what);
    list->count = (size_t)list->synthetic;
    return EXIT_DONE;
}

int images_find(const char *const *what, size_t count, image_list *list)
{
    memset(list, 0, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        struct stat st;
        int status;
        if (strcmp(what[i], "synthetic") == 0 || strncmp(what[i], "synthetic:", 10) == 0) {
            if (count != 1)
                return tool_fail(EXIT_USAGE,
                                 "--calib %s: synthetic images cannot be mixed with others",
                                 what[i]);
            return set_synthetic(list, what[i]);
        }
        if (stat(what[i], &st) != 0)
            return tool_fail(EXIT_INPUT, "%s: %s", what[i], strerror(errno));
        status = S_ISDIR(st.st_mode) ? add_folder(list, what[i]) : add_path(list, strdup(what[i]));
        if (status)
            return status;
    }
    return EXIT_DONE;
}

void images_free(image_list *list)
{
    for (size_t i = 0; list->paths && i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
    memset(list, 0, sizeof(*list));
}

static int alloc_image(int64_t h, int64_t w, qz_tensor *tensor)
{
    *tensor = (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, h, w}};
    tensor->data = malloc((size_t)(3 * h * w) * sizeof(float));
    return tensor->data ? EXIT_DONE : tool_fail_memory();
}

static int load_npy(qz_context *ctx, const char *path, qz_tensor *tensor)
{
    qz_tensor npy;
    qz_status st = qz_npy_load(ctx, path, &npy);
    if (st != QZ_OK)
        return tool_fail_status(ctx, st);
    int status = EXIT_DONE;
    *tensor = npy;
    tensor->data = NULL;
    if (npy.ndim == 3) { /* one image without its batch dimension */
        tensor->ndim = 4;
        memmove(tensor->dims + 1, npy.dims, 3 * sizeof(npy.dims[0]));
        tensor->dims[0] = 1;
    }
    int64_t numel = qz_tensor_numel(&npy);
    if (tensor->ndim != 4 || numel < 1)
        status = tool_fail(EXIT_INPUT, "%s: a float32 array N x C x H x W is needed", path);
    else if (!(tensor->data = malloc((size_t)numel * sizeof(float))))
        status = tool_fail_memory();
    else
        memcpy(tensor->data, npy.data, (size_t)numel * sizeof(float));
    qz_npy_free(ctx, &npy);
    return status;
}

int images_load(qz_context *ctx, const image_list *list, size_t index, const qz_model_info *info,
                qz_tensor *tensor)
{
    int status;
    *tensor = (qz_tensor){0}; /* callers release it after a failure too */
    if (list->synthetic) {
        if ((status = alloc_image(info->input_h, info->input_w, tensor)))
            return status;
        qz_synthetic_image((int64_t)index, info->input_h, info->input_w, tensor->data);
        return EXIT_DONE;
    }
    const char *path = list->paths[index];
    if (has_suffix(path, ".npy"))
        return load_npy(ctx, path, tensor);
    qz_image image;
    qz_image_options how = QZ_IMAGE_OPTIONS_INIT;
    how.no_exif = reading.options && reading.options->images.no_exif;
    qz_status st = qz_image_load_with(ctx, path, &how, &image);
    if (st != QZ_OK)
        return tool_fail_status(ctx, st);
    images_note_recipe(info);
    status = alloc_image(info->preprocess.crop_h, info->preprocess.crop_w, tensor);
    if (status == EXIT_DONE) {
        st = qz_image_preprocess(ctx, image.rgb, image.width, image.height, (size_t)image.width * 3,
                                 &info->preprocess, tensor->data);
        if (st != QZ_OK) {
            status = tool_fail_status(ctx, st);
            images_release(tensor);
        }
    }
    qz_image_free(ctx, &image);
    return status;
}

void images_release(qz_tensor *tensor)
{
    free(tensor->data);
    tensor->data = NULL;
}

int images_of_calib(const tool_options *options, image_list *list)
{
    static const char *const synthetic[] = {"synthetic"};
    bool given = options->quant.calib.count > 0;
    return images_find(given ? options->quant.calib.items : synthetic,
                       given ? options->quant.calib.count : 1, list);
}

int images_gather(const tool_options *options, qz_context *ctx, const qz_model_info *info,
                  size_t most, qz_tensor *batch)
{
    image_list list;
    float *data = NULL;
    size_t used = 0;
    int status = images_of_calib(options, &list);
    size_t count = list.count < most ? list.count : most;
    *batch = (qz_tensor){.dtype = QZ_F32, .ndim = 4};
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        qz_tensor image;
        tool_progress(options->quiet, "reading image", i + 1, count);
        if ((status = images_load(ctx, &list, i, info, &image)))
            break;
        size_t elements = (size_t)qz_tensor_numel(&image);
        if (i == 0)
            memcpy(batch->dims + 1, image.dims + 1, 3 * sizeof(image.dims[0]));
        if (memcmp(batch->dims + 1, image.dims + 1, 3 * sizeof(image.dims[0])) == 0) {
            float *grown = realloc(data, (used + elements) * sizeof(*grown));
            if (grown) {
                data = grown;
                memcpy(data + used, image.data, elements * sizeof(*data));
                used += elements;
                batch->dims[0] += image.dims[0];
            } else {
                status = tool_fail_memory();
            }
        }
        images_release(&image);
    }
    images_free(&list);
    batch->data = data;
    return status;
}

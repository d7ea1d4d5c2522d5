/* SPDX-License-Identifier: MIT */
/* picture.c - the names of the pictures that --draw writes, and writing them. */
#include "picture.h"

#include "image_names.h"
#include "messages.h"
#include "output_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096 };

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool picture_is_file(const tool_options *o)
{
    const char *path = o->out.draw;
    return path && (strcmp(path, "-") == 0 || strncmp(path, "/dev/", 5) == 0 ||
                    (has_suffix(path, ".png") && !is_folder(path)));
}

int picture_check_name(const tool_options *o)
{
    static const char *const others[] = {".webp", ".gif",  ".tif", ".tiff", ".ppm",
                                         ".pgm",  ".avif", ".svg", ".pdf"};
    const char *path = o->out.draw;
    if (!path || picture_is_file(o) || is_folder(path))
        return EXIT_DONE;
    bool other = images_is_image(path);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        other |= has_suffix(path, others[i]);
    return other ? tool_fail(EXIT_USAGE, "--draw %s: pictures are PNG files; name FILE.png", path)
                 : EXIT_DONE;
}

/* ---- names ---- */

/* A file's name without its folder and its last suffix: where it begins, and its length. */
static const char *stem_of(const char *path, size_t *length)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    *length = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    return name;
}

/* Where the input's picture goes. */
static int path_of(const tool_options *o, const char *input, char path[PATH_SIZE])
{
    size_t length;
    const char *stem = stem_of(input, &length);
    const size_t folder = strlen(o->out.draw);
    const char *slash = folder && o->out.draw[folder - 1] == '/' ? "" : "/";
    const int n = picture_is_file(o) ? snprintf(path, PATH_SIZE, "%s", output_path(o->out.draw))
                                     : snprintf(path, PATH_SIZE, "%s%s%.*s.png", o->out.draw, slash,
                                                (int)length, stem);
    return n < 0 || n >= PATH_SIZE ? tool_fail(EXIT_USAGE, "--draw: the path is too long")
                                   : EXIT_DONE;
}

static int compare_stems(const void *a, const void *b)
{
    size_t na, nb;
    const char *sa = stem_of(*(const char *const *)a, &na);
    const char *sb = stem_of(*(const char *const *)b, &nb);
    const int order = memcmp(sa, sb, na < nb ? na : nb);
    return order ? order : (na > nb) - (na < nb);
}

static int check_stems(const tool_options *o, const image_list *inputs)
{
    int status = EXIT_DONE;
    const char **paths = malloc(inputs->count * sizeof(*paths) + 1);
    if (!paths)
        return tool_fail_memory();
    for (size_t i = 0; i < inputs->count; i++)
        paths[i] = inputs->paths[i];
    qsort(paths, inputs->count, sizeof(*paths), compare_stems);
    for (size_t i = 1; i < inputs->count && status == EXIT_DONE; i++) {
        if (compare_stems(&paths[i - 1], &paths[i]) == 0)
            status = tool_fail(EXIT_USAGE,
                               "--draw %s: %s and %s would be drawn into one file; rename one",
                               o->out.draw, paths[i - 1], paths[i]);
    }
    free(paths);
    return status;
}

int picture_check(const tool_options *o, const image_list *inputs)
{
    int status = EXIT_DONE;
    if (picture_is_file(o) && inputs->count > 1)
        return tool_fail(EXIT_USAGE,
                         "--draw %s: goes with one input, and there are %zu; name a folder",
                         o->out.draw, inputs->count);
    status = check_stems(o, inputs);
    for (size_t i = 0; i < inputs->count && status == EXIT_DONE; i++) {
        char path[PATH_SIZE];
        bool same = false;
        status = path_of(o, inputs->paths[i], path);
        if (status == EXIT_DONE && qz_file_same(NULL, path, inputs->paths[i], &same) == QZ_OK &&
            same)
            status = tool_fail(EXIT_USAGE, "--draw %s: %s is the input itself", o->out.draw, path);
    }
    return status;
}

/* ---- files ---- */

int picture_begin(const tool_options *o)
{
    if (o->out.draw && !picture_is_file(o) && mkdir(o->out.draw, 0777) != 0 && errno != EEXIST)
        return tool_fail(EXIT_INPUT, "%s: cannot be created: %s", o->out.draw, strerror(errno));
    return EXIT_DONE;
}

int picture_save(const tool_options *o, qz_context *ctx, const char *input,
                 const qz_canvas *picture)
{
    char path[PATH_SIZE];
    const int status = path_of(o, input, path);
    if (status)
        return status;
    if (fflush(stdout) != 0 && strcmp(o->out.draw, "-") == 0)
        return tool_fail(EXIT_FAILED, "standard output cannot be written");
    const qz_status st = qz_image_write_png(ctx, path, picture->rgb, picture->width,
                                            picture->height, picture->stride);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(ctx, st);
}

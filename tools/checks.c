/* SPDX-License-Identifier: MIT */
/*
 * checks.c - what can be known before the work is checked before it: minutes of measuring are not
 * lost to a misspelt name or a folder that cannot be written.
 */
#include "checks.h"

#include "images.h"
#include "messages.h"
#include "output_file.h"
#include "picture.h"
#include "settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- outputs ---- */

typedef struct output {
    const char *option, *path;
} output;

enum { OUTPUTS_MAX = 16 };

/* The text of an option that was given; NULL otherwise. */
static const char *text_of(const tool_options *o, const char *name)
{
    const tool_option *option = option_find(name, strlen(name));
    if (!option || !option_given(o, name))
        return NULL;
    return *(const char *const *)option_value((tool_options *)(uintptr_t)o, option);
}

/* Whether an option of the group `out` names a folder: its value is called DIR. --draw has both. */
static bool writes_folder(const tool_options *o, const tool_option *option)
{
    if (strcmp(option->name, "--draw") == 0)
        return !picture_is_file(o);
    return strcmp(option->value, "DIR") == 0;
}

/* What an option of the group `out` writes, where it was given: a folder, or a file. NULL: none. */
static const char *written_by(const tool_options *o, const tool_option *option, bool folder)
{
    const size_t at = option->target.offset, out = offsetof(tool_options, out);
    if (option->target.kind != OPTION_TEXT || at < out || at >= out + sizeof(o->out) ||
        writes_folder(o, option) != folder)
        return NULL;
    return text_of(o, option->name);
}

static size_t find_outputs(const tool_options *o, output list[OUTPUTS_MAX])
{
    size_t count = 0;
    for (const tool_option *option = tool_option_table; option->name; option++) {
        const char *path = written_by(o, option, false);
        if (path && count < OUTPUTS_MAX - 1)
            list[count++] = (output){option->name, path};
    }
    if (strcmp(o->command, "weights") == 0 && o->args.count == 3 &&
        strcmp(o->args.items[0], "convert") == 0)
        list[count++] = (output){"OUT", o->args.items[2]};
    return count;
}

bool checks_stdout_taken(const tool_options *o)
{
    output list[OUTPUTS_MAX];
    const size_t count = find_outputs(o, list);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].path, "-") == 0)
            return true;
    }
    return false;
}

/*
 * Whether the folder is of the kernel's own file systems, in which no file can be made though root
 * may write by its bits. Nothing is made to find out: a check leaves no trace.
 */
static int check_makes_files(const char *option, const char *path, const char *folder)
{
    enum { PROC = 0x9fa0, SYS = 0x62656572 };
    struct statfs system;
    if (statfs(folder, &system) == 0 && (system.f_type == PROC || system.f_type == SYS))
        return tool_fail(EXIT_INPUT, "%s %s: cannot be created: no files can be made there", option,
                         path);
    return EXIT_DONE;
}

/* A folder that is there and can be written, or that can be made. */
static int check_folder(const char *option, const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0) {
        if (!S_ISDIR(info.st_mode))
            return tool_fail(EXIT_INPUT, "%s %s: is not a folder", option, path);
        if (access(path, W_OK | X_OK) != 0)
            return tool_fail(EXIT_INPUT, "%s %s: cannot be written: %s", option, path,
                             strerror(errno));
        return check_makes_files(option, path, path);
    }
    if (errno != ENOENT)
        return tool_fail(EXIT_INPUT, "%s %s: cannot be created: %s", option, path, strerror(errno));
    char *parent = strdup(path);
    if (!parent)
        return tool_fail_memory();
    for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--)
        parent[n - 1] = '\0';
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0';
    int status = EXIT_DONE;
    if (access(slash ? parent : ".", W_OK | X_OK) != 0)
        status =
            tool_fail(EXIT_INPUT, "%s %s: cannot be created: %s", option, path, strerror(errno));
    else
        status = check_makes_files(option, path, slash ? parent : ".");
    free(parent);
    return status;
}

/* Of a file that is not there yet; links are not followed here, writing follows them. */
static int check_folder_of(const output *out)
{
    struct stat info;
    if (strcmp(out->path, "-") == 0 || lstat(out->path, &info) == 0)
        return EXIT_DONE;
    char *folder = strdup(out->path);
    if (!folder)
        return tool_fail_memory();
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    const int status = check_makes_files(out->option, out->path, slash ? folder : ".");
    free(folder);
    return status;
}

static int check_file(const output *out)
{
    qz_status st = qz_file_check(NULL, output_path(out->path));
    return st == QZ_OK ? check_folder_of(out) : tool_fail_status(NULL, st);
}

/* Whether two outputs, of which one at least is a folder, have one path. */
static bool same_place(const char *a, const char *b)
{
    struct stat x, y;
    size_t na = strlen(a), nb = strlen(b);
    if (stat(a, &x) == 0 && stat(b, &y) == 0)
        return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    while (na > 1 && a[na - 1] == '/')
        na--;
    while (nb > 1 && b[nb - 1] == '/')
        nb--;
    return na == nb && memcmp(a, b, na) == 0;
}

/* The folders beside the files of `list`, to which they are added. */
static int check_folders(const tool_options *o, output list[OUTPUTS_MAX + 1], size_t count)
{
    int status = EXIT_DONE;
    for (const tool_option *option = tool_option_table; option->name && status == EXIT_DONE;
         option++) {
        const char *path = written_by(o, option, true);
        if (!path)
            continue;
        for (size_t i = 0; i < count; i++) {
            if (same_place(path, list[i].path))
                return tool_fail(EXIT_USAGE, "%s %s: %s goes there already; name another folder",
                                 option->name, path, list[i].option);
        }
        if (count <= OUTPUTS_MAX)
            list[count++] = (output){option->name, path};
        status = check_folder(option->name, path);
    }
    return status;
}

static int check_outputs(const tool_options *o)
{
    output list[OUTPUTS_MAX + 1];
    size_t count = find_outputs(o, list);
    int status = EXIT_DONE;
    char *data = NULL;
    if (o->onnx.external_data && o->out.output) {
        if (strcmp(o->out.output, "-") == 0)
            return tool_fail(EXIT_USAGE, "--external-data: goes with -o FILE, not with -o -");
        data = malloc(strlen(o->out.output) + 6);
        if (!data)
            return tool_fail_memory();
        strcat(strcpy(data, o->out.output), ".data");
        list[count++] = (output){"--external-data", data};
    }
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        status = check_file(&list[i]);
        for (size_t k = 0; k < i && status == EXIT_DONE; k++) {
            bool same = false;
            if (qz_file_same(NULL, output_path(list[i].path), output_path(list[k].path), &same) ==
                    QZ_OK &&
                same)
                status = tool_fail(EXIT_USAGE, "%s %s: %s goes there already; name another file",
                                   list[i].option, list[i].path, list[k].option);
        }
    }
    if (status == EXIT_DONE)
        status = check_folders(o, list, count);
    free(data);
    return status;
}

/* ---- inputs ---- */

/* A file that is there and can be read; where `folder` is set, also a folder. */
static int check_input(const char *path, bool folder)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return tool_fail(EXIT_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode) ? !folder : !S_ISREG(info.st_mode))
        return tool_fail(EXIT_INPUT, "%s: is not a regular file", path);
    if (access(path, R_OK) != 0)
        return tool_fail(EXIT_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
    return EXIT_DONE;
}

static int check_model(const tool_options *o, qz_context *ctx, const qz_catalogue *catalogue,
                       const char *name)
{
    qz_arch_info arch;
    const qz_weights_info *weights;
    if (qz_model_is_file(name))
        return check_input(name, false);
    qz_status st = qz_arch_find(ctx, name, &arch);
    if (st == QZ_OK && catalogue)
        st = qz_catalogue_find(catalogue, name, o->model.weights, &weights);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(ctx, st);
}

static int check_models(const tool_options *o, qz_context *ctx)
{
    const size_t count = options_model_count(o);
    const bool tag =
        !qz_weights_is_random(o->model.weights) && !qz_weights_is_file(o->model.weights);
    qz_catalogue *catalogue = NULL;
    int status = EXIT_DONE;
    if (!qz_weights_is_random(o->model.weights) && !tag)
        status = check_input(o->model.weights, false);
    if (status == EXIT_DONE && tag) {
        qz_status st = qz_catalogue_open(ctx, o->fetch.catalogue, &catalogue);
        if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
    }
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        status = check_model(o, ctx, catalogue, o->args.items[i]);
        if (status == EXIT_DONE)
            status = settings_check(o, ctx, o->args.items[i]);
    }
    qz_catalogue_close(catalogue);
    return status;
}

static int check_pictures(const tool_options *o)
{
    image_list list = {0};
    int status = images_find(o->args.items + 1, o->args.count > 0 ? o->args.count - 1 : 0, &list);
    if (status == EXIT_DONE)
        status = picture_check(o, &list);
    images_free(&list);
    return status;
}

int checks_before(const tool_options *o)
{
    qz_context *ctx;
    int status = check_outputs(o);
    if (status || strcmp(o->command, "weights") == 0 || strcmp(o->command, "cpu") == 0)
        return status;
    qz_status st = qz_context_create(NULL, &ctx);
    if (st != QZ_OK)
        return tool_fail_status(NULL, st);
    status = check_models(o, ctx);
    static const char *const inputs[] = {"--labels", "--annotations", "--detections", "--catalogue",
                                         "--ca-file"};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs) && status == EXIT_DONE; i++) {
        if (text_of(o, inputs[i]))
            status = check_input(text_of(o, inputs[i]), false);
    }
    if (status == EXIT_DONE && text_of(o, "--data"))
        status = check_input(text_of(o, "--data"), true);
    if (status == EXIT_DONE && text_of(o, "--masks"))
        status = check_input(text_of(o, "--masks"), true);
    if (status == EXIT_DONE)
        status = images_check_all(o, ctx);
    if (status == EXIT_DONE && o->out.draw)
        status = check_pictures(o);
    qz_context_destroy(ctx);
    return status;
}

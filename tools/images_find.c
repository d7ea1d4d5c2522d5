/* SPDX-License-Identifier: MIT */
/*
 * images_find.c - finds image files. A folder is searched with all below it. Links to folders are
 * followed in the folder that was named, as for class folders elsewhere, and no deeper: a link
 * further down may lead to the whole disk. Nothing is left out in silence: files that are not read,
 * hidden files, empty folders, pipes, links that lead nowhere or in a circle are counted and named.
 */
#include "images_find.h"

#include "image_names.h"
#include "interrupt.h"
#include "messages.h"
#include "options_parse.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Synthetic images where --calib is not given or names no number. */
#define SYNTHETIC_DEFAULT 32
#define DEPTH_MAX 64
#define FOLDERS_MAX 1000000 /* links to folders can multiply them */

static bool is_of_a_system(const char *name)
{
    return name[0] == '.' || strcmp(name, "__MACOSX") == 0 || strcasecmp(name, "thumbs.db") == 0 ||
           strcasecmp(name, "desktop.ini") == 0;
}

/* ---- what is left out ---- */

enum { LEFT_UNREAD, LEFT_HIDDEN, LEFT_EMPTY, LEFT_SPECIAL, LEFT_COUNT };
#define NAMED 3

static struct {
    size_t count;
    char names[NAMED][128];
} left[LEFT_COUNT];

static void leave(int kind, const char *name)
{
    if (left[kind].count < NAMED)
        snprintf(left[kind].names[left[kind].count], sizeof(left[kind].names[0]), "%.120s", name);
    left[kind].count++;
}

/* "a.gif, b.txt, c.xml, ..." */
static void list_names(int kind, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < left[kind].count && i < NAMED && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", left[kind].names[i]);
    if (left[kind].count > NAMED && used < size)
        snprintf(text + used, size - used, ", ...");
}

void images_say_skipped(bool quiet)
{
    /* before the number, after it, after the plural's s */
    static const char *const words[LEFT_COUNT][3] = {
        {"skipped", "file", " that cannot be read"},
        {"ignored", "hidden or system file", ""},
        {"ignored", "folder", " without images"},
        {"skipped", "name",
         " of no file (pipes, devices, links to nothing, in a circle or deep down)"},
    };
    for (int kind = 0; kind < LEFT_COUNT; kind++) {
        char names[512];
        if (!left[kind].count)
            continue;
        list_names(kind, names, sizeof(names));
        tool_note(quiet, "qzoo: %s %zu %s%s%s: %s", words[kind][0], left[kind].count,
                  words[kind][1], left[kind].count > 1 ? "s" : "", words[kind][2], names);
    }
    memset(left, 0, sizeof(left));
}

/* ---- lists ---- */

/* Takes over `path`. */
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

static void sort_from(image_list *list, size_t first)
{
    if (list->count > first)
        qsort(list->paths + first, list->count - first, sizeof(*list->paths), compare_paths);
}

static char *join(const char *folder, size_t length, const char *name)
{
    const bool slash = length > 0 && folder[length - 1] != '/';
    size_t size = length + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%.*s%s%s", (int)length, folder, slash ? "/" : "", name);
    return path;
}

/* ---- folders ---- */

typedef struct level {
    const struct level *above;
    dev_t device;
    ino_t node;
    int depth;
} level;

static size_t folders_seen;

static bool is_above(const level *at, const struct stat *st)
{
    for (; at; at = at->above) {
        if (at->device == st->st_dev && at->node == st->st_ino)
            return true;
    }
    return false;
}

static int add_folder(image_list *list, const char *folder, const level *above,
                      const struct stat *st);

/* Takes over `path`, an entry of a folder. */
static int add_entry(image_list *list, char *path, const char *name, const level *here)
{
    struct stat st;
    if (!path)
        return tool_fail_memory();
    int status = EXIT_DONE;
    if (is_of_a_system(name)) {
        leave(LEFT_HIDDEN, name);
    } else if (stat(path, &st) != 0) {
        leave(LEFT_SPECIAL, path);
    } else if (S_ISDIR(st.st_mode)) {
        const size_t before = list->count;
        if (is_above(here, &st) || here->depth >= DEPTH_MAX ||
            (here->depth > 0 && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))) {
            leave(LEFT_SPECIAL, path);
        } else {
            status = add_folder(list, path, here, &st);
            if (status == EXIT_DONE && list->count == before)
                leave(LEFT_EMPTY, path);
        }
    } else if (!S_ISREG(st.st_mode)) {
        leave(LEFT_SPECIAL, path);
    } else if (!images_is_image(name)) {
        leave(LEFT_UNREAD, name);
    } else {
        return add_path(list, path);
    }
    free(path);
    return status;
}

static int add_folder(image_list *list, const char *folder, const level *above,
                      const struct stat *st)
{
    const level here = {above, st->st_dev, st->st_ino, above ? above->depth + 1 : 0};
    DIR *dir = opendir(folder);
    int status = EXIT_DONE;
    if (!dir)
        return tool_fail(EXIT_INPUT, "%s: cannot be read: %s", folder, strerror(errno));
    if (++folders_seen > FOLDERS_MAX)
        status = tool_fail(EXIT_INPUT, "%s: more than %d folders, by links to folders", folder,
                           FOLDERS_MAX);
    while (status == EXIT_DONE) {
        if (interrupt_signal())
            status = EXIT_FAILED; /* main says which */
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                status = tool_fail(EXIT_INPUT, "%s: cannot be read: %s", folder, strerror(errno));
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status =
                add_entry(list, join(folder, strlen(folder), entry->d_name), entry->d_name, &here);
    }
    closedir(dir);
    return status;
}

/* A folder that the user named: has at least one image. */
static int add_named_folder(image_list *list, const char *folder, const struct stat *st)
{
    const size_t first = list->count;
    folders_seen = 0;
    int status = add_folder(list, folder, NULL, st);
    if (status)
        return status;
    if (list->count == first) {
        char names[512];
        const size_t unread = left[LEFT_UNREAD].count;
        list_names(LEFT_UNREAD, names, sizeof(names));
        return unread
                   ? tool_fail(EXIT_INPUT,
                               "%s: contains no images (jpg, png, bmp, npy), but %zu other "
                               "file%s: %s",
                               folder, unread, unread > 1 ? "s" : "", names)
                   : tool_fail(EXIT_INPUT, "%s: contains no images (jpg, png, bmp, npy)", folder);
    }
    sort_from(list, first);
    return EXIT_DONE;
}

/* ---- files, patterns, lists ---- */

/* A file or a folder that exists, or not. */
static int add_named(image_list *list, const char *path, const char *before)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return tool_fail(EXIT_INPUT, "%s%s: %s", before, path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return add_named_folder(list, path, &st);
    if (!S_ISREG(st.st_mode))
        return tool_fail(EXIT_INPUT,
                         "%s%s: a pipe or a device, not a file; write the image into a file",
                         before, path);
    return add_path(list, strdup(path));
}

/* A path a line, relative to the list's folder. A byte order mark and carriage returns are taken
 * off; empty lines are none. */
static int add_list(image_list *list, const char *file)
{
    FILE *in = fopen(file, "r");
    char *line = NULL;
    size_t capacity = 0;
    const char *slash = strrchr(file, '/');
    const size_t first = list->count;
    int status = EXIT_DONE;
    ssize_t length;
    if (!in)
        return tool_fail(EXIT_INPUT, "%s: %s", file, strerror(errno));
    for (size_t number = 1; status == EXIT_DONE && (length = getline(&line, &capacity, in)) >= 0;
         number++) {
        char before[4200], *name = line;
        if (memchr(line, '\0', (size_t)length)) {
            status = tool_fail(EXIT_INPUT, "%s: line %zu: not a text; a path a line is needed",
                               file, number);
            break;
        }
        if (number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
            name += 3;
        name[strcspn(name, "\r\n")] = '\0';
        if (!*name)
            continue;
        snprintf(before, sizeof(before), "%s: line %zu: ", file, number);
        char *path =
            *name == '/' || !slash ? strdup(name) : join(file, (size_t)(slash - file) + 1, name);
        status = path ? add_named(list, path, before) : tool_fail_memory();
        free(path);
    }
    if (status == EXIT_DONE && ferror(in))
        status = tool_fail(EXIT_INPUT, "%s: cannot be read: %s", file, strerror(errno));
    free(line);
    fclose(in);
    if (status == EXIT_DONE && list->count == first)
        status = tool_fail(EXIT_INPUT, "%s: lists no images", file);
    return status;
}

static int add_pattern(image_list *list, const char *pattern)
{
    glob_t found;
    const size_t first = list->count;
    int status = EXIT_DONE;
    const int code = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (code == GLOB_NOSPACE)
        return tool_fail_memory();
    for (size_t i = 0; code == 0 && i < found.gl_pathc && status == EXIT_DONE; i++) {
        struct stat st;
        const char *path = found.gl_pathv[i], *slash = strrchr(path, '/');
        if (stat(path, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
            leave(LEFT_SPECIAL, path);
        else if (S_ISREG(st.st_mode) && !images_is_image(slash ? slash + 1 : path))
            leave(LEFT_UNREAD, path);
        else
            status = add_named(list, path, "");
    }
    if (code == 0)
        globfree(&found);
    if (status == EXIT_DONE && list->count == first)
        return tool_fail(EXIT_INPUT, "%s: no image matches this pattern", pattern);
    sort_from(list, first);
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
        const bool exists = stat(what[i], &st) == 0; /* a name may have a star in it */
        if (!exists && strpbrk(what[i], "*?["))
            status = add_pattern(list, what[i]);
        else if (exists && S_ISREG(st.st_mode) && images_is_list(what[i]))
            status = add_list(list, what[i]);
        else
            status = add_named(list, what[i], "");
        if (status)
            return status;
    }
    return EXIT_DONE;
}

int images_find_below(const char *folder, image_list *list)
{
    struct stat st;
    memset(list, 0, sizeof(*list));
    folders_seen = 0;
    if (stat(folder, &st) != 0)
        return tool_fail(EXIT_INPUT, "%s: %s", folder, strerror(errno));
    int status = add_folder(list, folder, NULL, &st);
    sort_from(list, 0);
    return status;
}

void images_sort(image_list *list)
{
    if (!list->synthetic)
        sort_from(list, 0);
}

void images_free(image_list *list)
{
    for (size_t i = 0; list->paths && i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
    memset(list, 0, sizeof(*list));
}

/* splitmix64 of a number. */
static uint64_t draw(uint64_t number)
{
    uint64_t z = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void images_limit(image_list *list, size_t limit)
{
    const size_t count = list->count;
    if (list->synthetic || limit >= count)
        return;
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < limit; i++) {
        const size_t begin = (size_t)((uint64_t)i * count / limit);
        const size_t end = (size_t)((uint64_t)(i + 1) * count / limit);
        const size_t chosen = begin + (size_t)(draw(i) % (end - begin));
        for (; at < chosen; at++)
            free(list->paths[at]);
        list->paths[kept++] = list->paths[at++];
    }
    for (; at < count; at++)
        free(list->paths[at]);
    list->count = kept;
}

/* ---- bad files ---- */

static image_list bad; /* of the process, which has one command */

int images_mark_bad(const char *path)
{
    return add_path(&bad, strdup(path));
}

void images_drop_bad(image_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count && !list->synthetic; i++) {
        bool is_bad = false;
        for (size_t k = 0; k < bad.count && !is_bad; k++)
            is_bad = strcmp(bad.paths[k], list->paths[i]) == 0;
        if (is_bad)
            free(list->paths[i]);
        else
            list->paths[kept++] = list->paths[i];
    }
    if (!list->synthetic)
        list->count = kept;
}

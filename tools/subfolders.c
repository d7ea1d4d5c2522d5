/* SPDX-License-Identifier: MIT */
/* subfolders.c - finds the folders in a folder. */
#include "subfolders.h"

#include "messages.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Appends a path, and takes it over. */
static int add_path(folder_list *list, char *path)
{
    char **grown = path ? realloc(list->paths, (list->count + 1) * sizeof(*grown)) : NULL;
    if (!grown) {
        free(path);
        return tool_fail_memory();
    }
    list->paths = grown;
    grown[list->count++] = path;
    return EXIT_DONE;
}

int subfolders_find(const char *path, folder_list *list)
{
    DIR *dir = opendir(path);
    int status = EXIT_DONE;
    *list = (folder_list){0};
    if (!dir)
        return tool_fail(EXIT_INPUT, "%s: %s", path, strerror(errno));
    for (struct dirent *e; status == EXIT_DONE && (e = readdir(dir));) {
        const bool macosx = strcmp(e->d_name, "__MACOSX") == 0;
        list->macosx |= macosx;
        if (macosx || e->d_name[0] == '.')
            continue;
        const size_t size = strlen(path) + strlen(e->d_name) + 2;
        char *sub = malloc(size);
        if (sub)
            snprintf(sub, size, "%s/%s", path, e->d_name);
        if (sub && !is_folder(sub))
            free(sub);
        else
            status = add_path(list, sub);
    }
    closedir(dir);
    if (list->count)
        qsort(list->paths, list->count, sizeof(*list->paths), compare_paths);
    if (status)
        subfolders_free(list);
    return status;
}

void subfolders_free(folder_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
    *list = (folder_list){0};
}

const char *subfolder_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

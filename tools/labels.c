/* SPDX-License-Identifier: MIT */
/* labels.c - reads labels from a csv, or takes them from the names of folders. */
#include "labels.h"

#include "images.h"
#include "messages.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_COLUMNS 64

void labels_free(label_list *labels)
{
    for (size_t i = 0; i < labels->count; i++)
        free(labels->paths[i]);
    free(labels->paths);
    free(labels->classes);
    memset(labels, 0, sizeof(*labels));
}

/* Adds an image; takes ownership of the path. */
static int add(label_list *labels, char *path, int32_t index)
{
    if (path) {
        char **paths = realloc(labels->paths, (labels->count + 1) * sizeof(*paths));
        if (paths)
            labels->paths = paths;
        int32_t *classes = realloc(labels->classes, (labels->count + 1) * sizeof(*classes));
        if (classes)
            labels->classes = classes;
        if (paths && classes) {
            labels->paths[labels->count] = path;
            labels->classes[labels->count++] = index;
            return EXIT_DONE;
        }
    }
    free(path);
    return tool_fail_memory();
}

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/*
 * Splits a csv line in place at commas. Quoted fields may contain commas and doubled quotes
 * (RFC 4180, without line breaks inside fields).
 */
static size_t split_csv(char *line, char **fields)
{
    size_t count = 0;
    char *at = line;
    while (count < MAX_COLUMNS) {
        fields[count++] = at;
        char *to = at;
        bool quoted = *at == '"';
        at += quoted;
        while (*at && (quoted || *at != ',')) {
            if (quoted && *at == '"') {
                if (at[1] != '"') {
                    quoted = false;
                    at++;
                    continue;
                }
                at++;
            }
            *to++ = *at++;
        }
        bool more = *at == ',';
        at += more;
        *to = '\0';
        if (!more)
            break;
    }
    return count;
}

static int parse_row(label_list *labels, const char *data, const char *csv, size_t line_number,
                     char **fields, size_t count, size_t file_at, size_t class_at)
{
    if (count <= file_at || count <= class_at)
        return tool_fail(EXIT_INPUT, "%s: line %zu has too few columns", csv, line_number);
    char *end;
    errno = 0;
    long index = strtol(fields[class_at], &end, 10);
    if (end == fields[class_at] || *end || errno || index < 0 || index > INT32_MAX)
        return tool_fail(EXIT_INPUT, "%s: line %zu: class_index %s is not a number", csv,
                         line_number, fields[class_at]);
    return add(labels, join(data, fields[file_at]), (int32_t)index);
}

int labels_from_csv(const char *data, const char *csv, label_list *labels)
{
    FILE *in = fopen(csv, "r");
    char *line = NULL, *fields[MAX_COLUMNS];
    size_t capacity = 0, file_at = MAX_COLUMNS, class_at = MAX_COLUMNS;
    int status = EXIT_DONE;
    if (!in)
        return tool_fail(EXIT_INPUT, "%s: %s", csv, strerror(errno));
    for (size_t number = 1; status == EXIT_DONE && getline(&line, &capacity, in) >= 0; number++) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!*line)
            continue;
        size_t count = split_csv(line, fields);
        if (number > 1) {
            status = parse_row(labels, data, csv, number, fields, count, file_at, class_at);
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if (strcmp(fields[i], "file") == 0)
                file_at = i;
            if (strcmp(fields[i], "class_index") == 0)
                class_at = i;
        }
        if (file_at == MAX_COLUMNS || class_at == MAX_COLUMNS)
            status = tool_fail(EXIT_INPUT, "%s: needs the columns file and class_index", csv);
    }
    if (status == EXIT_DONE && ferror(in))
        status = tool_fail(EXIT_INPUT, "%s: %s", csv, strerror(errno));
    free(line);
    fclose(in);
    if (status == EXIT_DONE && labels->count == 0)
        status = tool_fail(EXIT_INPUT, "%s: contains no rows", csv);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int folders_of(const char *data, char ***names, size_t *count)
{
    DIR *dir = opendir(data);
    int status = EXIT_DONE;
    if (!dir)
        return tool_fail(EXIT_INPUT, "%s: %s", data, strerror(errno));
    for (struct dirent *e; status == EXIT_DONE && (e = readdir(dir));) {
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        char *path = join(data, e->d_name);
        if (path && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))) {
            free(path);
            continue;
        }
        char **grown = path ? realloc(*names, (*count + 1) * sizeof(*grown)) : NULL;
        if (grown) {
            *names = grown;
            grown[(*count)++] = path;
        } else {
            free(path);
            status = tool_fail_memory();
        }
    }
    closedir(dir);
    if (*count)
        qsort(*names, *count, sizeof(**names), compare_names);
    return status;
}

int labels_from_folders(const char *data, label_list *labels)
{
    char **names = NULL;
    size_t count = 0;
    int status = folders_of(data, &names, &count);
    if (status == EXIT_DONE && count == 0)
        status = tool_fail(EXIT_INPUT,
                           "%s: has no folder for each class; give --labels FILE.csv with the "
                           "columns file and class_index",
                           data);
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        image_list list;
        const char *folder = names[i];
        status = images_find(&folder, 1, &list);
        for (size_t k = 0; k < list.count && status == EXIT_DONE; k++) {
            status = add(labels, list.paths[k], (int32_t)i);
            list.paths[k] = NULL; /* taken */
        }
        images_free(&list);
    }
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return status;
}

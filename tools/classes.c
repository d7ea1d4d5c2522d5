/* SPDX-License-Identifier: MIT */
/* classes.c - reads the names of classes from folders' names, lists and tables. */
#include "classes.h"

#include "messages.h"
#include "subfolders.h"
#include "text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- lists and tables ---- */

static int read_list(const char *path, class_list *list)
{
    text_table table = {0};
    size_t number = 1;
    int status = text_read(path, &table.text);
    for (char *at = table.text; status == EXIT_DONE && at && *at; number++) {
        char *end = at + strcspn(at, "\r\n");
        char *next = end + (end[0] == '\r' && end[1] == '\n' ? 2 : *end ? 1 : 0);
        const size_t left = strspn(next, " \t\r\n");
        at += strspn(at, " \t");
        while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *end = '\0';
        if (end > at)
            status = classes_add(list, at, NULL);
        else if (next[left]) /* empty lines at the end are no classes */
            status = tool_fail(EXIT_INPUT, "%s: line %zu is empty; a name is needed", path, number);
        at = next;
    }
    table_release(&table);
    return status;
}

/* The column that has one of the names; the number of columns where none has. */
static size_t column_of(const text_table *table, const char *const *names)
{
    size_t at = table->count ? table->lines[0].count : 0;
    const size_t none = at;
    for (size_t i = 0; names[i] && at == none; i++)
        at = table_column(table, names[i]);
    return at;
}

/* Puts the rows into the order of their numbers: names[number]. */
static int read_rows(const char *path, const text_table *table, size_t first, size_t number_at,
                     size_t name_at, size_t wnid_at, class_list *list)
{
    const size_t count = table->count - first;
    const table_line **rows = calloc(count + 1, sizeof(*rows));
    int status = rows ? EXIT_DONE : tool_fail_memory();
    for (size_t i = first; i < table->count && status == EXIT_DONE; i++) {
        const table_line *line = &table->lines[i];
        if (line->count <= number_at || line->count <= name_at)
            status = tool_fail(EXIT_INPUT, "%s: line %zu has too few columns", path, line->number);
        const long at = status == EXIT_DONE ? table_number(line->fields[number_at]) : 0;
        if (status)
            break;
        if (at < 0)
            status = tool_fail(EXIT_INPUT, "%s: line %zu: class_index %s is not a number", path,
                               line->number, line->fields[number_at]);
        else if ((size_t)at >= count)
            status = tool_fail(EXIT_INPUT, "%s: line %zu: class %ld, but there are %zu classes",
                               path, line->number, at, count);
        else if (rows[at])
            status = tool_fail(EXIT_INPUT, "%s: lines %zu and %zu: both are class %ld", path,
                               rows[at]->number, line->number, at);
        else
            rows[at] = line;
    }
    for (size_t i = 0; i < count && status == EXIT_DONE; i++)
        status = classes_add(list, rows[i]->fields[name_at],
                             wnid_at < rows[i]->count ? rows[i]->fields[wnid_at] : NULL);
    free(rows);
    return status;
}

static int read_table(const char *path, class_list *list)
{
    static const char *const numbers[] = {"class_index", "index", "class", "id", NULL};
    static const char *const names[] = {"name", "label", "class_name", NULL};
    static const char *const wnids[] = {"wnid", NULL};
    text_table table;
    int status = table_read(path, &table);
    if (status)
        return status;
    const size_t columns = table.count ? table.lines[0].count : 0;
    size_t number_at = column_of(&table, numbers), name_at = column_of(&table, names), first = 1;
    size_t wnid_at = column_of(&table, wnids);
    if (number_at == columns && name_at == columns && columns >= 2 &&
        table_number(table.lines[0].fields[0]) >= 0) { /* no header: number, name */
        number_at = first = 0;
        name_at = 1;
    }
    if (number_at == columns || name_at == columns)
        status = tool_fail(EXIT_INPUT, "%s: needs the columns class_index and name", path);
    else
        status = read_rows(path, &table, first, number_at, name_at,
                           wnid_at == columns ? SIZE_MAX : wnid_at, list);
    table_release(&table);
    return status;
}

static int read_folder(const char *path, class_list *list)
{
    folder_list folders;
    int status = subfolders_find(path, &folders);
    for (size_t i = 0; i < folders.count && status == EXIT_DONE; i++)
        status = classes_add(list, subfolder_name(folders.paths[i]), NULL);
    if (status == EXIT_DONE && folders.count == 0)
        status = tool_fail(EXIT_INPUT, "%s: has no folder for each class", path);
    subfolders_free(&folders);
    return status;
}

/* ---- checks ---- */

typedef struct numbered {
    const char *name;
    size_t index;
} numbered;

static int compare_names(const void *a, const void *b)
{
    const numbered *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

static int check_names(const char *path, const class_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!list->names[i][0])
            return tool_fail(EXIT_INPUT, "%s: class %zu has no name", path, i);
        for (const char *p = list->names[i]; *p; p++) {
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                return tool_fail(EXIT_INPUT, "%s: the name of class %zu has a control character",
                                 path, i);
        }
    }
    numbered *sorted = malloc((list->count + 1) * sizeof(*sorted));
    if (!sorted)
        return tool_fail_memory();
    for (size_t i = 0; i < list->count; i++)
        sorted[i] = (numbered){list->names[i], i};
    qsort(sorted, list->count, sizeof(*sorted), compare_names);
    int status = EXIT_DONE;
    for (size_t i = 1; i < list->count && status == EXIT_DONE; i++) {
        if (strcmp(sorted[i - 1].name, sorted[i].name) == 0)
            status = tool_fail(EXIT_INPUT, "%s: classes %zu and %zu have the same name, %s", path,
                               sorted[i - 1].index, sorted[i].index, sorted[i].name);
    }
    free(sorted);
    return status;
}

static bool ends_with(const char *path, const char *suffix)
{
    const size_t n = strlen(path), s = strlen(suffix);
    return n > s && strcasecmp(path + n - s, suffix) == 0;
}

int classes_read(const char *path, class_list *list)
{
    struct stat info;
    int status;
    *list = (class_list){0};
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        status = read_folder(path, list);
    else if (ends_with(path, ".json"))
        status = classes_read_json(path, list);
    else if (ends_with(path, ".csv") || ends_with(path, ".tsv"))
        status = read_table(path, list);
    else
        status = read_list(path, list);
    if (status == EXIT_DONE && list->count == 0)
        status = tool_fail(EXIT_INPUT, "%s: contains no names", path);
    if (status == EXIT_DONE)
        status = check_names(path, list);
    if (status)
        classes_free(list);
    return status;
}

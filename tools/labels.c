/* SPDX-License-Identifier: MIT */
/* labels.c - labelled images from a table of files and classes. */
#include "labels.h"

#include "messages.h"
#include "text_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- reading a table ---- */

/* The file's path: relative to --data, unless it is absolute. */
static char *join(const char *data, const char *file)
{
    while (strncmp(file, "./", 2) == 0)
        file += 2 + strspn(file + 2, "/");
    const size_t size = strlen(data) + strlen(file) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s%s%s", *file == '/' ? "" : data, *file == '/' ? "" : "/", file);
    return path;
}

typedef struct columns {
    size_t file, class_at;
    bool header, numbers; /* the class is a number, by the header */
} columns;

static int find_columns(const char *csv, const text_table *table, columns *c)
{
    const size_t none = table->lines[0].count;
    const size_t index_at = table_column(table, "class_index");
    const size_t label_at = table_column(table, "label"), wnid_at = table_column(table, "wnid");
    c->file = table_column(table, "file");
    c->numbers = index_at < none;
    c->class_at = index_at < none ? index_at : label_at < none ? label_at : wnid_at;
    c->header = c->file < none || c->class_at < none;
    if (!c->header && none >= 2) {
        c->file = 0;
        c->class_at = 1;
    } else if (c->file == none || c->class_at == none) {
        return tool_fail(EXIT_INPUT,
                         "%s: line %zu: needs the columns file and class_index or label, which "
                         "commas, semicolons, tabs or spaces separate",
                         csv, table->lines[0].number);
    }
    return EXIT_DONE;
}

static int read_line(const tool_options *o, const columns *c, const text_table *table, size_t i,
                     label_list *labels)
{
    const char *csv = o->eval.labels;
    const table_line *line = &table->lines[i];
    struct stat info;
    if (line->count <= c->file || line->count <= c->class_at)
        return tool_fail(EXIT_INPUT, "%s: line %zu has too few columns", csv, line->number);
    if (table->separator == ' ' && line->count != table->lines[0].count)
        return tool_fail(EXIT_INPUT,
                         "%s: line %zu has %zu columns, the first has %zu; quote names with spaces",
                         csv, line->number, line->count, table->lines[0].count);
    const char *text = line->fields[c->class_at];
    if (!line->fields[c->file][0] || !*text)
        return tool_fail(EXIT_INPUT, "%s: line %zu: has no %s", csv, line->number,
                         *text ? "file" : "class");
    if (c->numbers && table_number(text) < 0)
        return tool_fail(EXIT_INPUT, "%s: line %zu: class_index %s is not a number", csv,
                         line->number, text);
    char *path = join(o->eval.data, line->fields[c->file]), *copy = strdup(text);
    if (!path || !copy) {
        free(path);
        free(copy);
        return tool_fail_memory();
    }
    int status = EXIT_DONE;
    if (stat(path, &info) != 0)
        status = tool_fail(EXIT_INPUT, "%s: line %zu: %s: %s%s", csv, line->number, path,
                           strerror(errno),
                           c->header || i ? ""
                                          : "; a header needs the columns file and class_index or "
                                            "label");
    else if (!S_ISREG(info.st_mode))
        status =
            tool_fail(EXIT_INPUT, "%s: line %zu: %s: is no regular file", csv, line->number, path);
    if (status) {
        free(path);
        free(copy);
        return status;
    }
    return labels_add(labels, path, copy, line->number,
                      c->numbers ? (int32_t)table_number(text) : -1);
}

static int read_table(const tool_options *o, label_list *labels)
{
    text_table table;
    columns c = {0};
    int status = table_read(o->eval.labels, &table);
    if (status)
        return status;
    if (table.count == 0)
        status = tool_fail(EXIT_INPUT, "%s: contains no rows", o->eval.labels);
    else
        status = find_columns(o->eval.labels, &table, &c);
    for (size_t i = status == EXIT_DONE && c.header; i < table.count && status == EXIT_DONE; i++)
        status = read_line(o, &c, &table, i, labels);
    if (status == EXIT_DONE && labels->count == 0)
        status = tool_fail(EXIT_INPUT, "%s: contains no rows", o->eval.labels);
    table_release(&table);
    return status;
}

int labels_read(const tool_options *o, label_list *labels)
{
    *labels = (label_list){0};
    return o->eval.labels ? read_table(o, labels)
                          : labels_read_folders(o->eval.data, o->quiet, labels);
}

/* ---- what the texts mean ---- */

static int resolve_text(const char *csv, const qz_model_info *info, const class_finder *finder,
                        label_list *labels, size_t i)
{
    const char *text = labels->texts[i];
    if (labels->classes[i] < 0)
        labels->classes[i] = class_finder_find(finder, text);
    if (labels->classes[i] >= info->num_classes)
        return tool_fail(EXIT_INPUT, "%s: line %zu: class %d; the model has %d classes", csv,
                         labels->lines[i], (int)labels->classes[i], (int)info->num_classes);
    if (labels->classes[i] < 0)
        return tool_fail(EXIT_INPUT, "%s: line %zu: no class is called %s%s", csv, labels->lines[i],
                         text,
                         info->named_classes ? "" : "; name the model's classes by --classes FILE");
    return EXIT_DONE;
}

typedef struct listed {
    const char *path;
    size_t at;
} listed;

static int compare_listed(const void *a, const void *b)
{
    const listed *x = a, *y = b;
    const int order = strcmp(x->path, y->path);
    return order ? order : x->at < y->at ? -1 : x->at > y->at;
}

static void remove_at(label_list *labels, size_t i)
{
    free(labels->paths[i]);
    free(labels->texts[i]);
    labels->paths[i] = labels->texts[i] = NULL;
}

/* Closes the gaps that remove_at left. */
static void close_gaps(label_list *labels)
{
    size_t to = 0;
    for (size_t i = 0; i < labels->count; i++) {
        if (!labels->paths[i])
            continue;
        labels->paths[to] = labels->paths[i];
        labels->texts[to] = labels->texts[i];
        labels->lines[to] = labels->lines[i];
        labels->classes[to++] = labels->classes[i];
    }
    labels->count = to;
}

static int check_twice(const tool_options *o, label_list *labels)
{
    listed *sorted = malloc(labels->count * sizeof(*sorted));
    int status = EXIT_DONE;
    if (!sorted)
        return tool_fail_memory();
    for (size_t i = 0; i < labels->count; i++)
        sorted[i] = (listed){labels->paths[i], i};
    qsort(sorted, labels->count, sizeof(*sorted), compare_listed);
    size_t first = 0; /* the group's first */
    for (size_t i = 1; i < labels->count && status == EXIT_DONE; i++) {
        const size_t a = sorted[first].at, b = sorted[i].at;
        if (strcmp(sorted[first].path, sorted[i].path) != 0) {
            first = i;
            continue;
        }
        if (labels->classes[a] != labels->classes[b])
            status =
                tool_fail(EXIT_INPUT, "%s: line %zu: %s is class %d here and class %d in line %zu",
                          o->eval.labels, labels->lines[b], labels->paths[b],
                          (int)labels->classes[b], (int)labels->classes[a], labels->lines[a]);
        else
            tool_note(o->quiet, "qzoo: %s: line %zu: %s again, as in line %zu; it counts once",
                      o->eval.labels, labels->lines[b], labels->paths[b], labels->lines[a]);
        if (status == EXIT_DONE) {
            sorted[i].path = sorted[first].path;
            remove_at(labels, b);
        }
    }
    free(sorted);
    close_gaps(labels);
    return status;
}

int labels_resolve(const tool_options *o, const qz_model *model, const class_list *names,
                   label_list *labels)
{
    qz_model_info info;
    class_finder *finder = class_finder_create(model, names);
    int status = finder ? EXIT_DONE : tool_fail_memory();
    qz_model_get_info(model, &info);
    if (status == EXIT_DONE && !o->eval.labels)
        status = labels_resolve_folders(o, model, finder, labels);
    for (size_t i = 0; o->eval.labels && i < labels->count && status == EXIT_DONE; i++)
        status = resolve_text(o->eval.labels, &info, finder, labels, i);
    if (status == EXIT_DONE && o->eval.labels)
        status = check_twice(o, labels);
    class_finder_destroy(finder);
    return status;
}

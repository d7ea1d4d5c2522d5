/* SPDX-License-Identifier: MIT */
/* report.c - a table of text, cell after cell. */
#include "report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

report_table *table_new(const char *const *headers, size_t columns)
{
    report_table *t = calloc(1, sizeof(*t));
    if (t) {
        t->headers = headers;
        t->columns = columns;
    }
    return t;
}

void table_cell(report_table *t, const char *fmt, ...)
{
    char raw[256], text[256];
    va_list ap;
    if (!t || t->failed)
        return;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof(raw), fmt, ap);
    va_end(ap);
    qz_text_printable(raw, text, sizeof(text)); /* names come from files */
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 64;
        char **cells = realloc(t->cells, capacity * sizeof(*cells));
        if (!cells) {
            t->failed = true;
            return;
        }
        t->cells = cells;
        t->capacity = capacity;
    }
    t->cells[t->count] = strdup(text);
    t->failed = !t->cells[t->count];
    t->count += !t->failed;
}

void table_free(report_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t);
}

bool table_is_left(const report_table *t, size_t column)
{
    return t->headers[column][0] == '<';
}

const char *table_title(const report_table *t, size_t column)
{
    return t->headers[column] + table_is_left(t, column);
}

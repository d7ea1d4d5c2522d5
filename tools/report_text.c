/* SPDX-License-Identifier: MIT */
/* report_text.c - columns of text that line up: numbers to the right, names to the left. */
#include "report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct text_table {
    size_t columns, count, capacity;
    const char *const *headers;
    char **cells;
    bool failed; /* out of memory: printed as far as it got */
};

text_table *table_new(const char *const *headers, size_t columns)
{
    text_table *t = calloc(1, sizeof(*t));
    if (t) {
        t->headers = headers;
        t->columns = columns;
    }
    return t;
}

void table_cell(text_table *t, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    if (!t || t->failed)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
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

static bool is_left(const char *header)
{
    return header[0] == '<';
}

static const char *header_text(const char *header)
{
    return is_left(header) ? header + 1 : header;
}

/* Width in characters, not bytes. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_row(const text_table *t, const int *widths, const char *const *cells, FILE *out)
{
    for (size_t c = 0; c < t->columns; c++) {
        bool left = is_left(t->headers[c]), last = c + 1 == t->columns;
        int pad = widths[c] - width_of(cells[c]);
        fprintf(out, "%s%*s%s%*s", c ? "  " : "", left ? 0 : pad, "", cells[c],
                left && !last ? pad : 0, "");
    }
    fputc('\n', out);
}

void table_print(const text_table *t, FILE *out)
{
    int widths[32] = {0};
    const char *titles[32];
    if (!t || t->columns > 32)
        return;
    for (size_t c = 0; c < t->columns; c++) {
        titles[c] = header_text(t->headers[c]);
        widths[c] = width_of(titles[c]);
        for (size_t i = c; i < t->count; i += t->columns) {
            int w = width_of(t->cells[i]);
            widths[c] = w > widths[c] ? w : widths[c];
        }
    }
    print_row(t, widths, titles, out);
    for (size_t i = 0; i + t->columns <= t->count; i += t->columns)
        print_row(t, widths, (const char *const *)t->cells + i, out);
}

void table_free(text_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t);
}

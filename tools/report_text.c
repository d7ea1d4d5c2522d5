/* SPDX-License-Identifier: MIT */
/* report_text.c - a table as columns that line up: numbers to the right, names to the left. */
#include "report.h"

#include "messages.h"

#include <string.h>

#define MAX_COLUMNS 32

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

bool report_prints(const tool_options *options)
{
    return !options->quiet && !is_stdout(options->out.json) && !is_stdout(options->out.markdown);
}

/* Width in characters, not bytes. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_row(const report_table *t, const int *widths, const char *const *cells, FILE *out)
{
    for (size_t c = 0; c < t->columns; c++) {
        bool left = table_is_left(t, c), last = c + 1 == t->columns;
        int pad = widths[c] - width_of(cells[c]);
        fprintf(out, "%s%*s%s%*s", c ? "  " : "", left ? 0 : pad, "", cells[c],
                left && !last ? pad : 0, "");
    }
    fputc('\n', out);
}

int table_print(const report_table *t, FILE *out)
{
    int widths[MAX_COLUMNS] = {0};
    const char *titles[MAX_COLUMNS];
    if (!t || t->failed)
        return tool_fail_memory();
    for (size_t c = 0; c < t->columns && c < MAX_COLUMNS; c++) {
        titles[c] = table_title(t, c);
        widths[c] = width_of(titles[c]);
        for (size_t i = c; i < t->count; i += t->columns) {
            int w = width_of(t->cells[i]);
            widths[c] = w > widths[c] ? w : widths[c];
        }
    }
    print_row(t, widths, titles, out);
    for (size_t i = 0; i + t->columns <= t->count; i += t->columns)
        print_row(t, widths, (const char *const *)t->cells + i, out);
    return EXIT_DONE;
}

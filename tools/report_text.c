/* SPDX-License-Identifier: MIT */
/* report_text.c - a table as columns that line up: numbers to the right, names to the left. */
#include "report.h"

#include "checks.h"
#include "messages.h"

#include <stdint.h>
#include <string.h>

bool report_prints(const tool_options *options)
{
    return !checks_stdout_taken(options);
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
    size_t printed = 0;
    int widths[REPORT_COLUMNS_MAX] = {0};
    return t ? table_print_more((report_table *)(uintptr_t)t, out, widths, &printed)
             : tool_fail_memory();
}

int table_print_more(report_table *t, FILE *out, int widths[REPORT_COLUMNS_MAX], size_t *printed)
{
    const char *titles[REPORT_COLUMNS_MAX];
    if (!t || t->failed)
        return tool_fail_memory();
    for (size_t c = 0; c < t->columns && c < REPORT_COLUMNS_MAX; c++) {
        titles[c] = table_title(t, c);
        int w = width_of(titles[c]);
        widths[c] = w > widths[c] ? w : widths[c];
        for (size_t i = c; i < t->count; i += t->columns) {
            w = width_of(t->cells[i]);
            widths[c] = w > widths[c] ? w : widths[c];
        }
    }
    if (*printed == 0)
        print_row(t, widths, titles, out);
    for (; *printed + t->columns <= t->count; *printed += t->columns)
        print_row(t, widths, (const char *const *)t->cells + *printed, out);
    return EXIT_DONE;
}

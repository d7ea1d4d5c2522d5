/* SPDX-License-Identifier: MIT */
/* report_markdown.c - a table as markdown, for pages. */
#include "report.h"

#include "messages.h"
#include "output_file.h"

#include <string.h>

/* A cell's text; characters that markdown would interpret are escaped. */
static void put_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (strchr("\\|*`<", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
    fputs(" |", out);
}

static void put_table(const report_table *t, FILE *out)
{
    fputc('|', out);
    for (size_t c = 0; c < t->columns; c++) {
        fputc(' ', out);
        put_cell(table_title(t, c), out);
    }
    fputs("\n|", out);
    for (size_t c = 0; c < t->columns; c++)
        fputs(table_is_left(t, c) ? "---|" : "---:|", out);
    for (size_t i = 0; i < t->count; i++) {
        fputs(i % t->columns == 0 ? "\n| " : " ", out);
        put_cell(t->cells[i], out);
    }
    fputc('\n', out);
}

int report_markdown(const tool_options *options, const report_table *table)
{
    return report_markdown_list(options, &table, 1);
}

int report_markdown_list(const tool_options *options, const report_table *const *tables,
                         size_t count)
{
    output_file file;
    if (!options->out.markdown)
        return EXIT_DONE;
    for (size_t i = 0; i < count; i++)
        if (!tables[i] || tables[i]->failed)
            return tool_fail_memory();
    int status = output_open(options->out.markdown, &file);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fputc('\n', file.stream);
        put_table(tables[i], file.stream);
    }
    return output_close(&file, EXIT_DONE);
}

/* SPDX-License-Identifier: MIT */
/* report_markdown.c - a table of results as Markdown, for pages and issues. */
#include "tool.h"

#include <errno.h>
#include <string.h>

/* Characters that Markdown would read are escaped. */
static void put_cell(FILE *out, const char *text)
{
    fputc(' ', out);
    for (; *text; text++) {
        if (strchr("|\\*`<", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
    fputs(" |", out);
}

static void put_table(FILE *out, const text_table *t)
{
    fputc('|', out);
    for (size_t c = 0; c < t->columns; c++)
        put_cell(out, table_title(t->headers[c]));
    fputs("\n|", out);
    for (size_t c = 0; c < t->columns; c++)
        fputs(table_is_left(t->headers[c]) ? "---|" : "---:|", out);
    fputc('\n', out);
    for (size_t i = 0; i + t->columns <= t->count; i += t->columns) {
        fputc('|', out);
        for (size_t c = 0; c < t->columns; c++)
            put_cell(out, t->cells[i + c]);
        fputc('\n', out);
    }
}

int markdown_write(const tool_options *options, const text_table *table)
{
    const char *path = options->markdown;
    if (!path)
        return EXIT_DONE;
    if (!table || table->failed)
        return tool_fail(EXIT_FAILED, "out of memory");
    const bool to_stdout = strcmp(path, "-") == 0;
    FILE *out = to_stdout ? stdout : fopen(path, "w");
    if (!out)
        return tool_fail(EXIT_INPUT, "%s: cannot be opened for writing: %s", path, strerror(errno));
    put_table(out, table);
    bool bad = fflush(out) != 0 || ferror(out);
    if (!to_stdout)
        bad |= fclose(out) != 0;
    return bad ? tool_fail(EXIT_FAILED, "%s: cannot be written: %s",
                           to_stdout ? "standard output" : path, strerror(errno))
               : EXIT_DONE;
}

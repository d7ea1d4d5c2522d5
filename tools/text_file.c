/* SPDX-License-Identifier: MIT */
/* text_file.c - reads text files and divides tables into fields. */
#include "text_file.h"

#include "messages.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* No list of names or labels is larger. */
#define TEXT_MAX ((size_t)1 << 30)

static int read_stream(const char *path, FILE *in, char **text)
{
    size_t used = 0, capacity = 0;
    char *all = NULL;
    do {
        if (used + 1 >= capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            char *grown = capacity <= TEXT_MAX ? realloc(all, capacity) : NULL;
            if (!grown) {
                free(all);
                return capacity <= TEXT_MAX
                           ? tool_fail_memory()
                           : tool_fail(EXIT_INPUT, "%s: is too large for a text file", path);
            }
            all = grown;
        }
        used += fread(all + used, 1, capacity - used - 1, in);
    } while (!feof(in) && !ferror(in));
    all[used] = '\0';
    *text = all;
    if (ferror(in))
        return tool_fail(EXIT_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    if (used >= 2 && (memcmp(all, "\xff\xfe", 2) == 0 || memcmp(all, "\xfe\xff", 2) == 0))
        return tool_fail(EXIT_INPUT, "%s: is UTF-16; save it as UTF-8", path);
    if (memchr(all, '\0', used))
        return tool_fail(EXIT_INPUT, "%s: is no text: it has bytes that are 0", path);
    if (used >= 3 && memcmp(all, "\xef\xbb\xbf", 3) == 0)
        memmove(all, all + 3, used - 2);
    return EXIT_DONE;
}

int text_read(const char *path, char **text)
{
    struct stat info;
    *text = NULL;
    if (stat(path, &info) != 0)
        return tool_fail(EXIT_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return tool_fail(EXIT_INPUT, "%s: is no regular file", path);
    FILE *in = fopen(path, "rb");
    if (!in)
        return tool_fail(EXIT_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    int status = read_stream(path, in, text);
    fclose(in);
    if (status) {
        free(*text);
        *text = NULL;
    }
    return status;
}

/* ---- tables ---- */

static bool has_outside_quotes(const char *line, char wanted)
{
    bool quoted = false;
    for (; *line; line++) {
        if (*line == '"')
            quoted = !quoted;
        else if (*line == wanted && !quoted)
            return true;
    }
    return false;
}

static char choose_separator(const char *line)
{
    static const char separators[] = "\t;, ";
    for (const char *s = separators; *s; s++) {
        if (has_outside_quotes(line, *s))
            return *s;
    }
    return ',';
}

/* Without blanks at its ends; in place. */
static char *trim(char *field)
{
    field += strspn(field, " \t");
    size_t length = strlen(field);
    while (length && strchr(" \t", field[length - 1]))
        field[--length] = '\0';
    return field;
}

/*
 * Takes the field at *at out of the line, in place, and moves *at behind its separator, or to NULL
 * at the line's end. NULL for a quote that does not end.
 */
static char *take_field(char **at, char separator)
{
    char *start = *at + strspn(*at, separator == '\t' ? " " : " \t"), *end;
    if (*start == '"') {
        char *to = start, *from = start + 1;
        for (; *from && !(from[0] == '"' && from[1] != '"'); from++) {
            from += from[0] == '"';
            *to++ = *from;
        }
        if (!*from)
            return NULL;
        end = from + 1;
        end += strspn(end, separator == '\t' || separator == ' ' ? "" : " \t");
        const char next = *end;
        if (next && next != separator)
            return NULL;
        *to = '\0';
        *at = next ? end + 1 : NULL;
    } else {
        end = strchr(start, separator);
        *at = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        start = trim(start);
    }
    if (*at && separator == ' ') { /* several spaces are one, and none is at the end */
        *at += strspn(*at, " ");
        *at = **at ? *at : NULL;
    }
    return start;
}

static int split(const char *path, char *text, char separator, table_line *line)
{
    size_t most = 1;
    for (const char *p = text; *p; p++)
        most += *p == separator;
    line->fields = calloc(most, sizeof(*line->fields));
    if (!line->fields)
        return tool_fail_memory();
    for (char *at = text; at;) {
        char *field = take_field(&at, separator);
        if (!field)
            return tool_fail(EXIT_INPUT, "%s: line %zu: a quote that does not end at a separator",
                             path, line->number);
        line->fields[line->count++] = field;
    }
    return EXIT_DONE;
}

static int add_line(const char *path, text_table *table, size_t *capacity, char *text,
                    size_t number)
{
    if (text[strspn(text, " \t")] == '\0')
        return EXIT_DONE;
    if (table->count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        table_line *grown = realloc(table->lines, *capacity * sizeof(*grown));
        if (!grown)
            return tool_fail_memory();
        table->lines = grown;
    }
    if (table->count == 0)
        table->separator = choose_separator(text);
    table_line *line = &table->lines[table->count++];
    *line = (table_line){.number = number};
    return split(path, text, table->separator, line);
}

int table_read(const char *path, text_table *table)
{
    size_t capacity = 0, number = 1;
    *table = (text_table){0};
    int status = text_read(path, &table->text);
    for (char *at = table->text; status == EXIT_DONE && at && *at; number++) {
        char *end = at + strcspn(at, "\r\n");
        char *next = end + (end[0] == '\r' && end[1] == '\n' ? 2 : *end ? 1 : 0);
        *end = '\0';
        status = add_line(path, table, &capacity, at, number);
        at = next;
    }
    if (status)
        table_release(table);
    return status;
}

void table_release(text_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->lines[i].fields);
    free(table->lines);
    free(table->text);
    *table = (text_table){0};
}

size_t table_column(const text_table *table, const char *name)
{
    const table_line *line = table->lines;
    size_t i = 0;
    if (table->count == 0)
        return 0;
    while (i < line->count && strcasecmp(line->fields[i], name) != 0)
        i++;
    return i;
}

long table_number(const char *text)
{
    const size_t length = strlen(text);
    if (length == 0 || length > 10 || strspn(text, "0123456789") != length)
        return -1;
    const long long value = strtoll(text, NULL, 10);
    return value <= INT32_MAX ? (long)value : -1;
}

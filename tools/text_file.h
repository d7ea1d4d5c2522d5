/* SPDX-License-Identifier: MIT */
/* text_file.h - text files and tables that people write: csv in its many forms. */
#ifndef QZOO_TOOLS_TEXT_FILE_H
#define QZOO_TOOLS_TEXT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads a regular file of UTF-8 or other one-byte text: no NUL, and no byte order mark in *text.
 * The caller frees it. EXIT_DONE, or the status of the message that was printed.
 */
int text_read(const char *path, char **text);

/* A line that is not empty, in fields. */
typedef struct table_line {
    size_t number; /* in the file, from 1 */
    char **fields;
    size_t count;
} table_line;

/* A file as lines of fields, which are separated by commas, semicolons, tabs or spaces. */
typedef struct text_table {
    char *text;
    table_line *lines;
    size_t count;
    char separator;
} text_table;

/*
 * Reads a table. The first line decides on the separator: the first of tab, semicolon, comma and
 * space that it has outside quotes. Fields may be quoted, a quote in them doubled (RFC 4180, but no
 * field goes over a line's end). LF, CRLF and CR end lines.
 */
int table_read(const char *path, text_table *table);
void table_release(text_table *table);
/* The column of the first line that is called `name`, whatever the case; count where none is. */
size_t table_column(const text_table *table, const char *name);
/* A whole number from 0 in plain digits; -1 for other text, and above 2147483647. */
long table_number(const char *text);

#endif

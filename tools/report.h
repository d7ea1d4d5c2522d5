/* SPDX-License-Identifier: MIT */
/*
 * report.h - results: a table of text (report.c), printed for people (report_text.c) or as markdown
 * (report_markdown.c), and JSON (report_json.c).
 */
#ifndef QZOO_TOOLS_REPORT_H
#define QZOO_TOOLS_REPORT_H

#include "options.h"

#include <jansson.h>
#include <stdio.h>

/* ---- tables (report.c) ---- */

typedef struct report_table {
    const char *const *headers; /* "<name": left-aligned */
    size_t columns;
    char **cells; /* row after row */
    size_t count, capacity;
    bool failed; /* out of memory: the functions that write the table report it */
} report_table;

/* NULL when out of memory; the functions below take it. `headers` must outlive the table. */
report_table *table_new(const char *const *headers, size_t columns);
/* Adds the next cell, cut to 255 bytes. */
void table_cell(report_table *table, const char *fmt, ...) QZ_PRINTF(2, 3);
void table_free(report_table *table);
/* A column's name without its mark. */
const char *table_title(const report_table *table, size_t column);
bool table_is_left(const report_table *table, size_t column);

/* ---- for people (report_text.c) ---- */

/* Whether text goes to stdout: not where an output does (--json -). */
bool report_prints(const tool_options *options);
#define REPORT_COLUMNS_MAX 32
/* Writes lined-up columns. EXIT_DONE, or EXIT_FAILED after a message. */
int table_print(const report_table *table, FILE *out);
/*
 * Writes the rows that were added since the last call, so that they appear when they are there, and
 * before the first the titles. `widths` and *printed are zeros at first; the caller may widen a
 * column for what is to come.
 */
int table_print_more(report_table *table, FILE *out, int widths[REPORT_COLUMNS_MAX],
                     size_t *printed);

/* ---- markdown (report_markdown.c) ---- */

/* Writes the table to --markdown's target, if the option is given. */
int report_markdown(const tool_options *options, const report_table *table);
/* Several tables, an empty line between two. */
int report_markdown_list(const tool_options *options, const report_table *const *tables,
                         size_t count);

/* ---- JSON (report_json.c) ---- */

/*
 * A text of the user: a path, a name, a key, a message. Bytes that are not UTF-8 become \xe9, a
 * backslash two (qz_text_escape), so that JSON has every text and no two become one.
 */
json_t *json_text(const char *text);
/*
 * Add an item to a list or an object, and take it over. Where there was no memory for the item, or
 * is none now, the next json_write fails: no row is ever lost.
 */
void json_add(json_t *list, json_t *item);
void json_set(json_t *object, const char *key, json_t *item);
void json_merge(json_t *object, json_t *more);
/* EXIT_DONE, or EXIT_FAILED after a message where an item was lost. Before files are written. */
int json_check(void);
/* Writes `root` to --json's target, if the option is given; frees `root`. */
int json_write(const tool_options *options, json_t *root);
int json_write_file(const char *path, json_t *root);
json_t *json_cpu(qz_context *ctx);
/* Finite numbers as such; NaN and infinities, which JSON lacks, as null. */
json_t *json_number(double value);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * report.h - results: a table as text (report_text.c), and JSON (report_json.c).
 */
#ifndef QZOO_TOOLS_REPORT_H
#define QZOO_TOOLS_REPORT_H

#include "options.h"

#include <jansson.h>
#include <stdio.h>

/* Whether tables for people go to stdout: not when results do, nor with --quiet. */
bool report_prints(const tool_options *options);

/* ---- tables (report_text.c) ---- */

typedef struct text_table text_table;
text_table *table_new(const char *const *headers, size_t columns); /* "<name": left-aligned */
void table_cell(text_table *table, const char *fmt, ...) QZ_PRINTF(2, 3); /* next cell */
void table_print(const text_table *table, FILE *out);
void table_free(text_table *table);

/* ---- JSON (report_json.c) ---- */

/* Writes and frees `root` to --json's target. EXIT_DONE or EXIT_FAILED. */
int json_write(const tool_options *options, json_t *root);
int json_write_file(const char *path, json_t *root);
json_t *json_cpu(qz_context *ctx);
/* Finite numbers as such; NaN and infinities, which JSON lacks, as null. */
json_t *json_number(double value);

#endif

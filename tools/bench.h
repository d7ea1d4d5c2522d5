/* SPDX-License-Identifier: MIT */
/* bench.h - what one measured row holds; shared by measuring and by telling. */
#ifndef QZOO_TOOLS_BENCH_H
#define QZOO_TOOLS_BENCH_H

#include "report.h"
#include "subject.h"

typedef struct latency {
    double min, p10, median, p90, p99, mean; /* ms */
    size_t runs;
} latency;

typedef struct bench_row {
    bool int8;
    qz_session *session;
    double *samples; /* seconds */
    size_t count, capacity;
    latency ms;
    uint64_t macs;    /* of one run */
    double gmacs;     /* 1e9 multiply-adds a second, at the median */
    double peak;      /* measured ceiling of all threads */
    double speedup;   /* over fp32; NaN without an fp32 row */
    double sqnr_db;   /* int8; else NaN */
    double agreement; /* int8; else NaN */
    size_t weights_bytes, packed_bytes, arena_bytes, peak_rss_bytes;
    qz_session_memory memory;
    qz_model_memory held; /* by the model, for both rows */
    double read_gb;       /* with --profile: plain reads of packed_bytes bytes, 1e9 a second */
} bench_row;

/* Percentiles by linear interpolation between samples; sorts them. */
void latency_of(bench_row *row);

/* bench_report.c */
json_t *bench_json(const tool_options *o, const subject *s, const bench_row *row,
                   const int64_t input[4], uint32_t threads);
report_table *bench_table_new(void);
void bench_table_add(report_table *table, const subject *s, const bench_row *row);
int bench_print_profile(const tool_options *o, const bench_row *row, const char *model,
                        size_t runs);
json_t *bench_profile_json(const bench_row *row, size_t runs);
json_t *bench_memory_json(const bench_row *row);
/* Merges rows into DIR/<cpu>.json: a row of the same model, precision, backend, threads, batch,
 * input and ISA is replaced. Takes `root`'s results by copy. */
int bench_save_table(const tool_options *o, const char *dir, json_t *root);

#endif

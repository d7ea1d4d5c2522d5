/* SPDX-License-Identifier: MIT */
/* bench.h - one measured row, which cmd_bench.c fills and bench_*.c report. */
#ifndef QZOO_TOOLS_BENCH_H
#define QZOO_TOOLS_BENCH_H

#include "report.h"
#include "subject.h"

typedef struct latency {
    double min, p10, median, p90, p99, mean; /* ms */
    size_t runs;
} latency;

/* Where the runs of a detector took their time (qz_detection_times, in its order). */
enum { BENCH_PARTS = 5 };
typedef struct bench_parts {
    double *samples; /* ms, BENCH_PARTS a run */
    size_t count, capacity;
    double median[BENCH_PARTS]; /* of each part by itself: they need not add up to the run's */
} bench_parts;

typedef struct bench_row {
    bool int8;
    qz_session *session;
    double *samples; /* seconds */
    size_t count, capacity;
    latency ms;
    bench_parts parts; /* of detectors */
    uint64_t macs;     /* of one run */
    uint64_t products; /* multiply-adds that kernels do for these */
    double gmacs;      /* 1e9 multiply-adds a second, at the median */
    double peak;       /* measured ceiling of all threads, of cores at most */
    double share;      /* of the peak: products a second over it */
    double speedup;    /* over fp32; NaN without an fp32 row */
    double sqnr_db;    /* NaN for fp32 */
    double agreement;  /* NaN for fp32 */
    size_t weights_bytes, packed_bytes, arena_bytes, peak_rss_bytes;
    qz_session_memory memory;
    qz_model_memory held; /* by the model, for both rows */
    char advice[600];     /* "": none */
    double read_gb;       /* with --profile: plain reads of packed_bytes, 1e9 bytes a second */
} bench_row;

/* ---- measured times (bench_samples.c) ---- */

void bench_sort(double *values, size_t count);
/* Of sorted values, interpolated linearly between them; p from 0 to 1. */
double bench_percentile(const double *sorted, size_t count, double p);

/* ---- table and JSON (bench_report.c) ---- */

json_t *bench_json(const tool_options *o, const subject *s, const bench_row *row,
                   const int64_t input[4], uint32_t threads);
report_table *bench_table_new(void);
void bench_table_add(report_table *table, const subject *s, const bench_row *row);
int bench_print_profile(const tool_options *o, const bench_row *row, const char *model,
                        size_t runs);
json_t *bench_profile_json(const bench_row *row, size_t runs);
json_t *bench_memory_json(const bench_row *row);

/* ---- a detector's parts (bench_parts.c) ---- */

/* Those of the run that has just ended. */
int bench_parts_add(const subject *s, bench_row *row);
/* The medians. */
int bench_parts_finish(bench_row *row);
json_t *bench_parts_json(const bench_row *row);
void bench_parts_print(const tool_options *o, const subject *s, const bench_row *row);

/* ---- the latency table of a CPU (bench_table.c) ---- */

/* The given options that change the result of the fp32 or int8 row, but for those that have a field
 * of their own. */
json_t *bench_options_json(const tool_options *o, bool int8);
/* Before the work: a file that is in the table's place must be a table. */
int bench_check_table(const char *dir, const json_t *cpu);
/* Adds the rows to DIR/<cpu>.json, whose path is stored in `path`. Rows of the same key are
 * replaced. */
int bench_save_table(const char *dir, json_t *cpu, json_t *rows, char *path, size_t size);

#endif

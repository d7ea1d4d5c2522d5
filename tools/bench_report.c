/* SPDX-License-Identifier: MIT */
/* bench_report.c - measured rows as a table, as JSON and in the latency table of a CPU. */
#include "bench.h"

#include "messages.h"
#include "provenance.h"
#include "qzoo_commit.h"

#include <math.h>
#include <time.h>

static const char *precision_of(const bench_row *row)
{
    return row->int8 ? "int8" : "fp32";
}

static json_t *fallbacks(const subject *s)
{
    json_t *list = json_array();
    const qz_graph *graph = qz_model_graph(s->model, true);
    for (size_t i = 0; graph && i < qz_graph_node_count(graph); i++) {
        qz_node_info n;
        qz_graph_node_at(graph, i, &n);
        if (*n.fallback_reason)
            json_add(list, json_pack("{s:s, s:s, s:s}", "name", n.name, "op", n.op, "reason",
                                     n.fallback_reason));
    }
    return list;
}

/* What the row's key is made of beside its other fields, and when and by what it was measured. */
static void add_identity(const tool_options *o, const subject *s, const bench_row *row,
                         json_t *json)
{
    char date[32];
    const time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_set(json, "weights_sha256", json_string(s->sha256));
    if (row->int8)
        json_set(json, "calibration_hash",
                 json_sprintf("%016llx", (unsigned long long)s->info.calibration_hash));
    json_set(json, "options", bench_options_json(o, row->int8));
    json_set(json, "version", json_string(qz_version()));
    json_set(json, "commit", json_string(QZOO_COMMIT));
    json_set(json, "date", json_string(date));
}

json_t *bench_json(const tool_options *o, const subject *s, const bench_row *row,
                   const int64_t input[4], uint32_t threads)
{
    const latency *ms = &row->ms;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:[I,I,I,I]}", "model", s->info.name, "precision",
        precision_of(row), "backend", row->int8 ? s->info.backend : "", "observer",
        row->int8 ? s->info.observer : "", "isa", qz_isa_name(qz_context_isa(s->ctx)), "threads",
        (json_int_t)threads, "batch", (json_int_t)o->bench.batch, "input", (json_int_t)input[0],
        (json_int_t)input[1], (json_int_t)input[2], (json_int_t)input[3]);
    json_t *rest = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:I}, s:o, s:o, s:o, s:o, "
        "s:o, s:o}",
        "params", (json_int_t)s->info.params, "macs", (json_int_t)row->macs, "weights_bytes",
        (json_int_t)row->weights_bytes, "packed_bytes", (json_int_t)row->packed_bytes,
        "arena_bytes", (json_int_t)row->arena_bytes, "peak_rss_bytes",
        (json_int_t)row->peak_rss_bytes, "latency_ms", "min", json_number(ms->min), "p10",
        json_number(ms->p10), "median", json_number(ms->median), "p90", json_number(ms->p90), "p99",
        json_number(ms->p99), "mean", json_number(ms->mean), "runs", (json_int_t)ms->runs,
        "gmacs_per_s", json_number(row->gmacs), "peak_share", json_number(row->share),
        "speedup_vs_fp32", json_number(row->speedup), "sqnr_db", json_number(row->sqnr_db),
        "top1_agreement", json_number(row->agreement), "fallback_nodes",
        row->int8 ? fallbacks(s) : json_array());
    json_merge(json, rest);
    if (row->int8) {
        json_set(json, "recipe", json_text(s->info.recipe));
        json_set(json, "bias_correction", json_text(s->info.bias_correction));
        json_set(json, "equalize", json_text(s->info.equalize));
    }
    provenance_json(json, &s->info, row->int8);
    add_identity(o, s, row, json);
    if (row->advice[0])
        json_set(json, "advice", json_text(row->advice));
    if (provenance_made_up(&s->info, row->int8))
        json_set(json, "made_up", json_string(provenance_words(&s->info, row->int8)));
    return json;
}

report_table *bench_table_new(void)
{
    static const char *const headers[] = {
        "<model",   "<precision", "<backend",        "median ms", "p10",
        "p90",      "speedup",    "GMAC/s",          "% of peak", "weights MB",
        "arena MB", "SQNR dB",    "top-1 agreement", "<weights",  "<calib"};
    return table_new(headers, 15);
}

/* "-" for NaN. */
static void cell_number(report_table *table, double value, int digits, const char *unit)
{
    if (isnan(value))
        table_cell(table, "-");
    else
        table_cell(table, "%.*f%s", digits, value, unit);
}

void bench_table_add(report_table *table, const subject *s, const bench_row *row)
{
    const char *mark = provenance_made_up(&s->info, row->int8) ? "*" : "";
    table_cell(table, "%s", s->info.name);
    table_cell(table, "%s", precision_of(row));
    table_cell(table, "%s", row->int8 ? s->info.backend : "-");
    table_cell(table, "%.3f", row->ms.median);
    table_cell(table, "%.3f", row->ms.p10);
    table_cell(table, "%.3f", row->ms.p90);
    cell_number(table, row->speedup, 2, "x");
    table_cell(table, "%.1f", row->gmacs);
    table_cell(table, "%.1f", 100.0 * row->share);
    table_cell(table, "%.2f", (double)row->weights_bytes * 1e-6);
    table_cell(table, "%.2f", (double)row->arena_bytes * 1e-6);
    cell_number(table, row->sqnr_db, 1, mark);
    cell_number(table, 100.0 * row->agreement, 1, mark);
    provenance_cells(table, &s->info, row->int8);
}

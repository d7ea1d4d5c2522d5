/* SPDX-License-Identifier: MIT */
/*
 * bench_profile.c - a measured run, node by node: time, rates of arithmetic, and the bytes that
 * must move (qz_profile_row defines them). Also the memory of model and session.
 */
#include "bench.h"

#include "messages.h"

#include <math.h>

/* One node in one run. */
typedef struct node_rates {
    double ms, share; /* share: of the time of all nodes */
    double gmacs;     /* 1e9 multiply-adds a second; NaN without any, or without time */
    double products;  /* the same of what the kernel multiplies, for its share of the peak */
    double gb;        /* 1e9 bytes a second, read and written; NaN as for gmacs */
} node_rates;

static double total_seconds(const qz_profile_row *rows, size_t count)
{
    double total = 0.0;
    for (size_t i = 0; i < count; i++)
        total += rows[i].seconds;
    return total;
}

static node_rates rates_of(const qz_profile_row *row, double total, size_t runs)
{
    const double each = row->seconds / (double)runs;
    const double bytes = (double)(row->read_bytes + row->written_bytes);
    return (node_rates){
        .ms = 1e3 * each,
        .share = total > 0.0 ? row->seconds / total : 0.0,
        .gmacs = row->macs && each > 0.0 ? (double)row->macs * 1e-9 / each : (double)NAN,
        .products = row->products && each > 0.0 ? (double)row->products * 1e-9 / each : (double)NAN,
        .gb = bytes > 0.0 && each > 0.0 ? bytes * 1e-9 / each : (double)NAN,
    };
}

static void cell_or_dash(report_table *t, double value)
{
    if (isnan(value))
        table_cell(t, "-");
    else
        table_cell(t, "%.1f", value);
}

static int print_nodes(const bench_row *row, const qz_profile_row *rows, size_t count, size_t runs)
{
    static const char *const headers[] = {"<node",  "<kernel, or op", "<tile",   "ms",     "%",
                                          "GMAC/s", "% peak",         "read MB", "wr. MB", "GB/s"};
    const double total = total_seconds(rows, count);
    qz_profile_row sum = {.name = "all", .op = "", .kernel = ""};
    report_table *t = table_new(headers, 10);
    for (size_t i = 0; i <= count; i++) {
        const qz_profile_row *r = i < count ? &rows[i] : &sum;
        const node_rates rates = rates_of(r, total, runs);
        table_cell(t, "%s", r->name);
        if (r->within)
            table_cell(t, "%s, with %s", r->op, r->within);
        else
            table_cell(t, "%s", *r->kernel ? r->kernel : r->op);
        if (r->tile_m)
            table_cell(t, "%dx%d", (int)r->tile_m, (int)r->tile_n);
        else
            table_cell(t, "%s", i < count ? "-" : "");
        if (r->within) {
            table_cell(t, "-");
            table_cell(t, "-");
        } else {
            table_cell(t, "%.4f", rates.ms);
            table_cell(t, "%.1f", 100.0 * rates.share);
        }
        cell_or_dash(t, rates.gmacs);
        cell_or_dash(t, 100.0 * rates.products / row->peak);
        table_cell(t, "%.3f", (double)r->read_bytes * 1e-6);
        table_cell(t, "%.3f", (double)r->written_bytes * 1e-6);
        cell_or_dash(t, rates.gb);
        sum.seconds += r->seconds;
        sum.macs += r->macs;
        sum.products += r->products;
        sum.read_bytes += r->read_bytes;
        sum.written_bytes += r->written_bytes;
    }
    int status = table_print(t, stdout);
    table_free(t);
    return status;
}

static double ratio_of(const qz_session_memory *m)
{
    return m->liveness_bytes ? (double)m->planned_bytes / (double)m->liveness_bytes : (double)NAN;
}

static void print_memory(const bench_row *row)
{
    const qz_session_memory *m = &row->memory;
    const qz_model_memory *held = &row->held;
    printf(
        "bytes are those a node must move (each input, packed weights, output once), not measured "
        "traffic\n");
    printf(
        "plain reads of a buffer as large as the packed weights (%.1f MB), repeated: %.1f GB/s\n",
        (double)m->packed_bytes * 1e-6, row->read_gb);
    printf("activations: %.3f MB planned, %.3f MB alive at once at most (%.3f); scratch %.3f MB\n",
           (double)m->planned_bytes * 1e-6, (double)m->liveness_bytes * 1e-6, ratio_of(m),
           (double)m->scratch_bytes * 1e-6);
    printf("weights: %.2f MB packed for this session; of the model: %.2f MB in %zu packing%s,\n"
           "  %.2f MB float, %.2f MB canonical int8, %.2f MB of fp32 islands and norms\n\n",
           (double)m->packed_bytes * 1e-6, (double)held->packed_bytes * 1e-6, held->packings,
           held->packings == 1 ? "" : "s", (double)held->float_bytes * 1e-6,
           (double)held->canonical_bytes * 1e-6, (double)held->island_bytes * 1e-6);
}

int bench_print_profile(const tool_options *o, const bench_row *row, const char *model, size_t runs)
{
    const qz_profile_row *rows;
    size_t count;
    if (!report_prints(o) || qz_session_profile(row->session, &rows, &count) != QZ_OK)
        return EXIT_DONE;
    printf("\n%s %s, by node, mean of %zu runs:\n", model, row->int8 ? "int8" : "fp32", runs);
    int status = print_nodes(row, rows, count, runs);
    if (status == EXIT_DONE)
        print_memory(row);
    return status;
}

json_t *bench_profile_json(const bench_row *row, size_t runs)
{
    const qz_profile_row *rows;
    size_t count;
    json_t *list = json_array();
    if (qz_session_profile(row->session, &rows, &count) != QZ_OK)
        return list;
    const double total = total_seconds(rows, count);
    for (size_t i = 0; i < count; i++) {
        const qz_profile_row *r = &rows[i];
        const node_rates rates = rates_of(r, total, runs);
        json_add(list,
                 json_pack(
                     "{s:s, s:s, s:s, s:s?, s:i, s:i, s:o, s:o, s:I, s:o, s:o, s:I, s:I, s:I, s:o}",
                     "name", r->name, "op", r->op, "kernel", r->kernel, "within", r->within,
                     "tile_m", (int)r->tile_m, "tile_n", (int)r->tile_n, "ms",
                     json_number(rates.ms), "share", json_number(rates.share), "macs",
                     (json_int_t)r->macs, "gmacs_per_s", json_number(rates.gmacs), "peak_share",
                     json_number(rates.products / row->peak), "read_bytes",
                     (json_int_t)r->read_bytes, "packed_bytes", (json_int_t)r->packed_bytes,
                     "written_bytes", (json_int_t)r->written_bytes, "gb_per_s",
                     json_number(rates.gb)));
    }
    return list;
}

json_t *bench_memory_json(const bench_row *row)
{
    const qz_session_memory *m = &row->memory;
    const qz_model_memory *held = &row->held;
    return json_pack("{s:I, s:I, s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I}", "planned_bytes",
                     (json_int_t)m->planned_bytes, "liveness_bytes", (json_int_t)m->liveness_bytes,
                     "planned_over_liveness", json_number(ratio_of(m)), "scratch_bytes",
                     (json_int_t)m->scratch_bytes, "packed_bytes", (json_int_t)m->packed_bytes,
                     "plain_read_gb_per_s", json_number(row->read_gb), "model_packed_bytes",
                     (json_int_t)held->packed_bytes, "model_packings", (json_int_t)held->packings,
                     "model_float_bytes", (json_int_t)held->float_bytes, "model_canonical_bytes",
                     (json_int_t)held->canonical_bytes, "model_island_bytes",
                     (json_int_t)held->island_bytes);
}

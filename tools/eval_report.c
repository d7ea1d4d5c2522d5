/* SPDX-License-Identifier: MIT */
/* eval_report.c - an evaluation as a table and as JSON, with the classes one by one. */
#include "eval.h"

#include "eval_stats.h"
#include "messages.h"
#include "provenance.h"

#include <math.h>
#include <stdlib.h>

/* One class's images, and one model's answers. */
typedef struct class_count {
    size_t n, top1, top5;
    size_t predicted; /* images of any class that the model takes for this one */
} class_count;

bool eval_is_int8(const eval_row *row)
{
    return row->precision[0] == 'i';
}

static const char *backend_of(const evaluation *e, const eval_row *row)
{
    return eval_is_int8(row) ? e->s->info.backend : "";
}

/* NaN where there is none of `count`. */
static double share(size_t part, size_t count)
{
    return count ? (double)part / (double)count : (double)NAN;
}

/* Percent with one digit, "-" for NaN. */
static void cell_percent(report_table *t, double value)
{
    if (isnan(value))
        table_cell(t, "-");
    else
        table_cell(t, "%.1f", 100.0 * value);
}

/* ---- the classes ---- */

/* NULL when out of memory. */
static class_count *count_classes(const evaluation *e, const eval_row *row)
{
    class_count *counts = calloc((size_t)e->s->info.num_classes, sizeof(*counts));
    for (size_t i = 0; counts && i < e->labels->count; i++) {
        if (!e->counts[i])
            continue;
        const eval_answer *a = &row->answers[i];
        class_count *c = &counts[e->labels->classes[i]];
        c->n++;
        c->top1 += a->top == e->labels->classes[i];
        c->top5 += a->in_top;
        counts[a->top].predicted++;
    }
    return counts;
}

/* The classes that have images or were answered. */
static json_t *classes_json(const evaluation *e, const class_count *counts)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < e->s->info.num_classes; i++) {
        const class_count *c = &counts[i];
        const char *name = qz_model_class(e->s->model, i);
        if (c->n || c->predicted)
            json_add(list, json_pack("{s:i, s:o, s:I, s:I, s:I, s:o, s:o, s:I}", "index", (int)i,
                                     "class", json_text(name ? name : ""), "n", (json_int_t)c->n,
                                     "top1_correct", (json_int_t)c->top1, "top5_correct",
                                     (json_int_t)c->top5, "top1", json_number(share(c->top1, c->n)),
                                     "top5", json_number(share(c->top5, c->n)), "predicted",
                                     (json_int_t)c->predicted));
    }
    return list;
}

static void classes_cells(const evaluation *e, const eval_row *row, const class_count *counts,
                          int32_t i, report_table *t)
{
    const char *name = qz_model_class(e->s->model, i);
    table_cell(t, "%d", (int)i);
    table_cell(t, "%s", name ? name : "");
    table_cell(t, "%s", row->precision);
    table_cell(t, "%zu", counts[i].n);
    table_cell(t, "%zu", counts[i].top1);
    cell_percent(t, share(counts[i].top1, counts[i].n));
    cell_percent(t, share(counts[i].top5, counts[i].n));
    table_cell(t, "%zu", counts[i].predicted);
}

/* --per-class: prints a table, which the caller frees, and sets "per_class" of each row. */
static int report_classes(const evaluation *e, json_t *const *rows, report_table **table)
{
    static const char *const headers[] = {"class",         "<name",   "<precision", "n",
                                          "top-1 correct", "top-1 %", "top-5 %",    "predicted"};
    class_count *counts[2] = {NULL, NULL};
    int status = EXIT_DONE;
    for (size_t k = 0; k < e->row_count && status == EXIT_DONE; k++) {
        counts[k] = count_classes(e, &e->rows[k]);
        if (counts[k])
            json_set(rows[k], "per_class", classes_json(e, counts[k]));
        else
            status = tool_fail_memory();
    }
    if (status == EXIT_DONE)
        status = json_check();
    *table = table_new(headers, 8);
    for (int32_t i = 0; i < e->s->info.num_classes && status == EXIT_DONE; i++) {
        size_t seen = 0;
        for (size_t k = 0; k < e->row_count; k++)
            seen += counts[k][i].n + counts[k][i].predicted;
        for (size_t k = 0; k < e->row_count && seen; k++)
            classes_cells(e, &e->rows[k], counts[k], i, *table);
    }
    if (status == EXIT_DONE && report_prints(e->o)) {
        status = table_print(*table, stdout);
        putchar('\n');
    }
    free(counts[0]);
    free(counts[1]);
    return status;
}

/* ---- the models ---- */

static json_t *row_json(const evaluation *e, const eval_row *r)
{
    const bool pair = e->row_count == 2 && e->n;
    double low, high;
    eval_wilson95(r->top1, e->n, &low, &high);
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:[o,o], s:o, s:o, s:I, s:I, s:o}", "model",
        e->s->info.name, "precision", r->precision, "backend", backend_of(e, r), "n",
        (json_int_t)e->n, "top1_correct", (json_int_t)r->top1, "top5_correct", (json_int_t)r->top5,
        "top1", json_number(share(r->top1, e->n)), "top5", json_number(share(r->top5, e->n)),
        "wilson95", json_number(low), json_number(high), "agreement",
        pair ? json_number(share(e->agreements, e->n)) : json_null(), "mcnemar_p",
        pair ? json_number(eval_mcnemar(e->only_fp32_right, e->only_int8_right)) : json_null(),
        "skipped", (json_int_t)e->skipped, "nonfinite", (json_int_t)e->nonfinite, "seconds",
        json_number(r->seconds));
    provenance_json(row, &e->s->info, eval_is_int8(r));
    return row;
}

static void row_cells(const evaluation *e, const eval_row *r, report_table *t)
{
    double low, high;
    eval_wilson95(r->top1, e->n, &low, &high);
    table_cell(t, "%s", e->s->info.name);
    table_cell(t, "%s", r->precision);
    table_cell(t, "%s", backend_of(e, r));
    table_cell(t, "%zu", e->n);
    table_cell(t, "%zu", r->top1);
    cell_percent(t, share(r->top1, e->n));
    if (e->n)
        table_cell(t, "%.1f-%.1f", 100.0 * low, 100.0 * high);
    else
        table_cell(t, "-");
    table_cell(t, "%zu", r->top5);
    cell_percent(t, share(r->top5, e->n));
    cell_percent(t, e->row_count == 2 ? share(e->agreements, e->n) : (double)NAN);
    table_cell(t, "%.1f", r->seconds);
    provenance_cells(t, &e->s->info, eval_is_int8(r));
}

static int print(const evaluation *e, const report_table *t)
{
    int status = table_print(t, stdout);
    if (e->skipped || e->nonfinite)
        printf("left out: %zu image%s that cannot be read, %zu with an output that is no number\n",
               e->skipped, e->skipped == 1 ? "" : "s", e->nonfinite);
    if (e->row_count == 2 && e->n)
        printf("only fp32 is right on %zu images, only int8 on %zu; McNemar's test: p = %.3g\n",
               e->only_fp32_right, e->only_int8_right,
               eval_mcnemar(e->only_fp32_right, e->only_int8_right));
    provenance_note(stdout, &e->s->info, e->s->info.converted, "these figures say");
    return status;
}

int eval_report(const evaluation *e)
{
    static const char *const headers[] = {
        "<model",        "<precision", "<backend",    "n",       "top-1 correct", "top-1 %", "95 %",
        "top-5 correct", "top-5 %",    "agreement %", "seconds", "<weights",      "<calib"};
    json_t *results = json_array(), *rows[2] = {NULL, NULL};
    report_table *t = table_new(headers, 13), *classes = NULL;
    for (size_t i = 0; i < e->row_count; i++) {
        rows[i] = row_json(e, &e->rows[i]);
        json_add(results, rows[i]);
        row_cells(e, &e->rows[i], t);
    }
    int status = json_check();
    if (status == EXIT_DONE && e->o->eval.per_class)
        status = report_classes(e, rows, &classes);
    if (status == EXIT_DONE && report_prints(e->o))
        status = print(e, t);
    if (status == EXIT_DONE)
        status = report_markdown_list(e->o, (const report_table *[]){t, classes}, classes ? 2 : 1);
    table_free(classes);
    table_free(t);
    if (status) {
        json_decref(results);
        return status;
    }
    return json_write(e->o, json_pack("{s:s, s:o, s:o, s:o}", "schema", "qzoo.eval/1", "cpu",
                                      json_cpu(e->s->ctx), "seconds", json_number(e->seconds),
                                      "results", results));
}

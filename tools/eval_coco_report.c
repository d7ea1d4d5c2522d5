/* SPDX-License-Identifier: MIT */
/* eval_coco_report.c - average precision as a table and as JSON, with the categories one by one. */
#include "eval_coco.h"

#include "messages.h"
#include "provenance.h"

#include <math.h>

static const char *const kinds[2] = {"bbox", "segm"};

static bool has_kind(const coco_row *row, int kind)
{
    return kind ? row->scores.has_segm : row->scores.has_bbox;
}

static const double *metrics_of(const coco_row *row, int kind)
{
    return kind ? row->scores.segm : row->scores.bbox;
}

static bool is_int8(const coco_row *row)
{
    return row->precision && row->precision[0] == 'i';
}

/* ---- JSON ---- */

static json_t *metrics_json(const double *metrics)
{
    json_t *object = json_object();
    for (size_t i = 0; i < QZ_COCO_METRICS; i++)
        json_set(object, qz_coco_metric_name(i), json_number(metrics[i]));
    return object;
}

static json_t *categories_json(const coco_report *r, const coco_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < qz_coco_category_count(r->coco); i++) {
        const qz_coco_category *category = qz_coco_category_at(r->coco, i);
        json_t *entry = json_pack("{s:I, s:o}", "id", (json_int_t)category->id, "name",
                                  json_text(category->name));
        for (int kind = 0; kind < 2; kind++) {
            if (has_kind(row, kind))
                json_set(entry, kind ? "segm_AP" : "bbox_AP", json_number(row->each[i][kind]));
        }
        json_add(list, entry);
    }
    return list;
}

/* int8 minus fp32 of the AP of each kind. */
static json_t *difference_json(const coco_report *r)
{
    json_t *object = json_object();
    for (int kind = 0; kind < 2; kind++) {
        if (has_kind(&r->rows[0], kind) && has_kind(&r->rows[1], kind))
            json_set(
                object, kind ? "segm_AP" : "bbox_AP",
                json_number(metrics_of(&r->rows[1], kind)[0] - metrics_of(&r->rows[0], kind)[0]));
    }
    return object;
}

/* Of the objects that fp32 is sure of. */
static json_t *drift_json(const eval_drift *d)
{
    const double n = d->matched ? (double)d->matched : (double)NAN;
    return json_pack("{s:f, s:I, s:I, s:I, s:o, s:o, s:o}", "score", EVAL_DRIFT_SCORE, "boxes",
                     (json_int_t)d->boxes, "matched", (json_int_t)d->matched, "images_without",
                     (json_int_t)d->vanished, "mean", json_number(d->sum / n), "mean_signed",
                     json_number(d->signs / n), "largest",
                     json_number(d->matched ? d->largest : (double)NAN));
}

static json_t *row_json(const coco_report *r, const coco_row *row)
{
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:I}", "model", row->info ? json_text(row->info->name) : json_null(),
        "precision", row->precision ? json_string(row->precision) : json_null(), "backend",
        !row->info     ? json_null()
        : is_int8(row) ? json_string(row->info->backend)
                       : json_string(""),
        "n", (json_int_t)row->scores.images);
    for (int kind = 0; kind < 2; kind++) {
        if (has_kind(row, kind))
            json_set(object, kinds[kind], metrics_json(metrics_of(row, kind)));
    }
    json_set(object, "per_category", categories_json(r, row));
    if (!row->info)
        return object;
    if (r->row_count == 2 && is_int8(row))
        json_set(object, "difference", difference_json(r));
    if (r->drift && is_int8(row))
        json_set(object, "score_drift", drift_json(r->drift));
    json_set(object, "skipped", json_integer((json_int_t)r->skipped));
    json_set(object, "nonfinite", json_integer((json_int_t)r->nonfinite));
    json_set(object, "seconds", json_number(row->seconds));
    provenance_json(object, row->info, is_int8(row));
    return object;
}

/* ---- for people ---- */

/* A fraction, as pycocotools prints it but with a digit more; "-" where there is none. */
static void cell_fraction(report_table *t, double value)
{
    if (isnan(value))
        table_cell(t, "-");
    else
        table_cell(t, "%.4f", value);
}

static void row_cells(const coco_row *row, int kind, report_table *t)
{
    table_cell(t, "%s", row->info ? row->info->name : "");
    table_cell(t, "%s", row->precision ? row->precision : "");
    table_cell(t, "%s", is_int8(row) ? row->info->backend : "");
    table_cell(t, "%s", kinds[kind]);
    table_cell(t, "%zu", row->scores.images);
    for (size_t i = 0; i < QZ_COCO_METRICS; i++)
        cell_fraction(t, metrics_of(row, kind)[i]);
}

/* --per-class: the categories. */
static report_table *categories_table(const coco_report *r)
{
    static const char *const headers[] = {"category", "<name", "<precision", "bbox AP", "segm AP"};
    report_table *t = table_new(headers, 5);
    for (size_t i = 0; i < qz_coco_category_count(r->coco); i++) {
        const qz_coco_category *category = qz_coco_category_at(r->coco, i);
        for (size_t k = 0; k < r->row_count; k++) {
            table_cell(t, "%lld", (long long)category->id);
            table_cell(t, "%s", category->name);
            table_cell(t, "%s", r->rows[k].precision ? r->rows[k].precision : "");
            for (int kind = 0; kind < 2; kind++)
                cell_fraction(t,
                              has_kind(&r->rows[k], kind) ? r->rows[k].each[i][kind] : (double)NAN);
        }
    }
    return t;
}

static void print_drift(const eval_drift *d)
{
    printf("scores, int8 minus fp32, of boxes of fp32 from %g on: %zu of %zu are found again",
           EVAL_DRIFT_SCORE, d->matched, d->boxes);
    if (d->matched)
        printf("; change %.4f on average (%+.4f with sign), %.4f at most",
               d->sum / (double)d->matched, d->signs / (double)d->matched, d->largest);
    printf("; %zu image%s lost all boxes\n", d->vanished, d->vanished == 1 ? "" : "s");
}

/* The table of categories is NULL without --per-class. */
static int print(const coco_report *r, const report_table *t, const report_table *categories)
{
    int status = EXIT_DONE;
    if (r->o->eval.per_class) {
        status = table_print(categories, stdout);
        putchar('\n');
    }
    if (status == EXIT_DONE)
        status = table_print(t, stdout);
    if (r->skipped || r->nonfinite)
        printf("left out: %zu image%s that cannot be read, %zu with an output that is no number\n",
               r->skipped, r->skipped == 1 ? "" : "s", r->nonfinite);
    for (int kind = 0; kind < 2 && r->row_count == 2; kind++) {
        if (has_kind(&r->rows[0], kind) && has_kind(&r->rows[1], kind))
            printf("%s AP, int8 minus fp32: %+.4f\n", kinds[kind],
                   metrics_of(&r->rows[1], kind)[0] - metrics_of(&r->rows[0], kind)[0]);
    }
    if (r->drift)
        print_drift(r->drift);
    const qz_model_info *info = r->rows[0].info;
    if (info)
        provenance_note(stdout, info, info->converted, "these figures say");
    return status;
}

int coco_report_write(const coco_report *r)
{
    enum { COLUMNS = 5 + QZ_COCO_METRICS };
    const char *headers[COLUMNS] = {"<model", "<precision", "<backend", "<kind", "n"};
    for (size_t i = 0; i < QZ_COCO_METRICS; i++)
        headers[5 + i] = qz_coco_metric_name(i);
    json_t *results = json_array();
    report_table *t = table_new(headers, COLUMNS);
    for (size_t i = 0; i < r->row_count; i++) {
        json_add(results, row_json(r, &r->rows[i]));
        for (int kind = 0; kind < 2; kind++) {
            if (has_kind(&r->rows[i], kind))
                row_cells(&r->rows[i], kind, t);
        }
    }
    report_table *categories = r->o->eval.per_class ? categories_table(r) : NULL;
    int status = json_check();
    if (status == EXIT_DONE && report_prints(r->o))
        status = print(r, t, categories);
    if (status == EXIT_DONE)
        status = report_markdown_list(r->o, (const report_table *[]){t, categories},
                                      r->o->eval.per_class ? 2 : 1);
    table_free(categories);
    table_free(t);
    if (status) {
        json_decref(results);
        return status;
    }
    return json_write(r->o, json_pack("{s:s, s:o, s:o, s:o}", "schema", "qzoo.eval/1", "cpu",
                                      json_cpu(r->ctx), "seconds", json_number(r->seconds),
                                      "results", results));
}

/* SPDX-License-Identifier: MIT */
/* eval_masks_report.c - pixel accuracy and intersection over union, as a table and as JSON. */
#include "eval_masks.h"

#include "messages.h"
#include "provenance.h"

#include <math.h>
#include <string.h>

/* All counted over all pixels of the set; NaN where there is nothing to divide by. */
static int64_t true_pixels(const mask_row *row, int32_t classes, int32_t c)
{
    int64_t sum = 0;
    for (int32_t k = 0; k < classes; k++)
        sum += row->counts[(int64_t)c * classes + k];
    return sum;
}

static double iou(const mask_row *row, int32_t classes, int32_t c)
{
    const int64_t both = row->counts[(int64_t)c * classes + c];
    int64_t any = true_pixels(row, classes, c) - both;
    for (int32_t k = 0; k < classes; k++)
        any += row->counts[(int64_t)k * classes + c];
    return any > 0 ? (double)both / (double)any : (double)NAN;
}

static double accuracy(const mask_row *row, int32_t classes)
{
    int64_t right = 0, all = 0;
    for (int32_t c = 0; c < classes; c++) {
        right += row->counts[(int64_t)c * classes + c];
        all += true_pixels(row, classes, c);
    }
    return all > 0 ? (double)right / (double)all : (double)NAN;
}

/* Over the classes that are in a mask or in an answer. */
static double mean_iou(const mask_row *row, int32_t classes)
{
    double sum = 0.0;
    int32_t count = 0;
    for (int32_t c = 0; c < classes; c++) {
        const double v = iou(row, classes, c);
        if (!isnan(v)) {
            sum += v;
            count++;
        }
    }
    return count > 0 ? sum / count : (double)NAN;
}

static bool is_int8(const mask_row *row)
{
    return strcmp(row->precision, "int8") == 0;
}

static const char *name_of(const mask_report *r, int32_t c)
{
    const char *name = qz_model_class(r->s->model, c);
    return name ? name : "";
}

static json_t *row_json(const mask_report *r, const mask_row *row)
{
    const qz_model_info *info = &r->s->info;
    const int32_t classes = info->num_classes;
    json_t *list = json_array();
    for (int32_t c = 0; c < classes; c++)
        json_add(list, json_pack("{s:i, s:o, s:o, s:I}", "id", c, "name", json_text(name_of(r, c)),
                                 "iou", json_number(iou(row, classes, c)), "pixels",
                                 (json_int_t)true_pixels(row, classes, c)));
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:I, s:o}", "model", info->name, "precision",
                  row->precision, "backend", is_int8(row) ? info->backend : "", "n",
                  (json_int_t)r->n, "pixel_accuracy", json_number(accuracy(row, classes)),
                  "mean_iou", json_number(mean_iou(row, classes)), "per_class", list, "skipped",
                  (json_int_t)r->skipped, "seconds", json_number(row->seconds));
    provenance_json(object, info, is_int8(row));
    return object;
}

/* --per-class. */
static report_table *classes_table(const mask_report *r)
{
    static const char *const headers[] = {"class", "<name", "<precision", "IoU", "pixels"};
    const int32_t classes = r->s->info.num_classes;
    report_table *t = table_new(headers, 5);
    for (int32_t c = 0; c < classes; c++) {
        for (size_t k = 0; k < r->row_count; k++) {
            const double v = iou(&r->rows[k], classes, c);
            table_cell(t, "%d", (int)c);
            table_cell(t, "%s", name_of(r, c));
            table_cell(t, "%s", r->rows[k].precision);
            if (isnan(v))
                table_cell(t, "-");
            else
                table_cell(t, "%.4f", v);
            table_cell(t, "%lld", (long long)true_pixels(&r->rows[k], classes, c));
        }
    }
    return t;
}

/* The table of classes is NULL without --per-class. */
static int print(const mask_report *r, const report_table *t, const report_table *each)
{
    const int32_t classes = r->s->info.num_classes;
    int status = EXIT_DONE;
    if (r->o->eval.per_class) {
        status = table_print(each, stdout);
        putchar('\n');
    }
    if (status == EXIT_DONE)
        status = table_print(t, stdout);
    if (r->skipped)
        printf("left out: %zu image%s that cannot be read\n", r->skipped,
               r->skipped == 1 ? "" : "s");
    if (r->row_count == 2)
        printf("pixel accuracy, int8 minus fp32: %+.4f\n",
               accuracy(&r->rows[1], classes) - accuracy(&r->rows[0], classes));
    provenance_note(stdout, &r->s->info, r->s->info.converted, "these figures say");
    return status;
}

int mask_report_write(const mask_report *r)
{
    static const char *const headers[] = {"<model", "<precision",     "<backend",
                                          "n",      "pixel accuracy", "mean IoU"};
    json_t *results = json_array();
    report_table *t = table_new(headers, 6);
    for (size_t i = 0; i < r->row_count; i++) {
        const mask_row *row = &r->rows[i];
        json_add(results, row_json(r, row));
        table_cell(t, "%s", r->s->info.name);
        table_cell(t, "%s", row->precision);
        table_cell(t, "%s", is_int8(row) ? r->s->info.backend : "");
        table_cell(t, "%zu", r->n);
        table_cell(t, "%.4f", accuracy(row, r->s->info.num_classes));
        table_cell(t, "%.4f", mean_iou(row, r->s->info.num_classes));
    }
    report_table *each = r->o->eval.per_class ? classes_table(r) : NULL;
    int status = json_check();
    if (status == EXIT_DONE && report_prints(r->o))
        status = print(r, t, each);
    if (status == EXIT_DONE)
        status = report_markdown_list(r->o, (const report_table *[]){t, each},
                                      r->o->eval.per_class ? 2 : 1);
    table_free(each);
    table_free(t);
    if (status) {
        json_decref(results);
        return status;
    }
    return json_write(r->o, json_pack("{s:s, s:o, s:o, s:o}", "schema", "qzoo.eval/1", "cpu",
                                      json_cpu(r->s->ctx), "seconds", json_number(r->seconds),
                                      "results", results));
}

/* SPDX-License-Identifier: MIT */
/* cmd_eval.c - qzoo eval: top-1 and top-5 on labelled images, float and int8 from one pass. */
#include "commands.h"
#include "images.h"
#include "labels.h"
#include "messages.h"
#include "provenance.h"
#include "report.h"
#include "subject.h"

#include <stdlib.h>

#define TOP 5

typedef struct eval_row {
    const char *precision;
    qz_session *session;
    size_t top1, top5;
} eval_row;

static int eval_image(qz_context *ctx, eval_row *row, const qz_tensor *image, const char *path,
                      int32_t label)
{
    const char *name;
    const qz_tensor *logits;
    qz_top top[TOP];
    qz_status st = qz_session_run(row->session, image);
    if (st == QZ_OK)
        st = qz_session_output(row->session, 0, &name, &logits);
    if (st != QZ_OK)
        return tool_fail_status(ctx, st);
    if (logits->ndim != 2 || logits->dims[0] != 1)
        return tool_fail(EXIT_INPUT, "%s: one image in each file is needed", path);
    size_t count = qz_topk(logits, 0, TOP, top);
    for (size_t k = 0; k < count; k++) {
        row->top1 += k == 0 && top[k].index == label;
        row->top5 += top[k].index == label;
    }
    return EXIT_DONE;
}

static int eval_all(const tool_options *o, subject *s, const label_list *labels, eval_row *rows,
                    size_t row_count)
{
    image_list list = {.paths = labels->paths, .count = labels->count};
    for (size_t i = 0; i < labels->count; i++) {
        qz_tensor image = {0}; /* released below after a failure too */
        tool_progress(o->quiet, "evaluating: image", i + 1, labels->count);
        if (labels->classes[i] < 0 || labels->classes[i] >= s->info.num_classes)
            return tool_fail(EXIT_INPUT, "%s: class %d; the model has %d classes", labels->paths[i],
                             labels->classes[i], s->info.num_classes);
        int status = images_load(s->ctx, &list, i, &s->info, &image);
        for (size_t k = 0; k < row_count && status == EXIT_DONE; k++)
            status = eval_image(s->ctx, &rows[k], &image, labels->paths[i], labels->classes[i]);
        images_release(&image);
        if (status)
            return status;
    }
    return EXIT_DONE;
}

static int report(const tool_options *o, const subject *s, const eval_row *rows, size_t row_count,
                  size_t n)
{
    static const char *const headers[] = {"<model",        "<precision", "<backend",      "n",
                                          "top-1 correct", "top-1 %",    "top-5 correct", "top-5 %",
                                          "<weights",      "<calib"};
    json_t *results = json_array();
    report_table *t = table_new(headers, 10);
    for (size_t i = 0; i < row_count; i++) {
        const eval_row *r = &rows[i];
        const char *backend = r->precision[0] == 'i' ? s->info.backend : "";
        double top1 = (double)r->top1 / (double)n, top5 = (double)r->top5 / (double)n;
        const bool int8 = r->precision[0] == 'i';
        json_t *row =
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o}", "model", s->info.name,
                      "precision", r->precision, "backend", backend, "n", (json_int_t)n,
                      "top1_correct", (json_int_t)r->top1, "top5_correct", (json_int_t)r->top5,
                      "top1", json_number(top1), "top5", json_number(top5));
        provenance_json(row, &s->info, int8);
        json_add(results, row);
        table_cell(t, "%s", s->info.name);
        table_cell(t, "%s", r->precision);
        table_cell(t, "%s", backend);
        table_cell(t, "%zu", n);
        table_cell(t, "%zu", r->top1);
        table_cell(t, "%.1f", 100.0 * top1);
        table_cell(t, "%zu", r->top5);
        table_cell(t, "%.1f", 100.0 * top5);
        provenance_cells(t, &s->info, int8);
    }
    int status = json_check();
    if (status) {
        table_free(t);
        json_decref(results);
        return status;
    }
    if (report_prints(o)) {
        status = table_print(t, stdout);
        provenance_note(stdout, &s->info, s->info.converted, "these figures say");
    }
    if (status == EXIT_DONE)
        status = report_markdown(o, t);
    table_free(t);
    int written = json_write(o, json_pack("{s:s, s:o, s:o}", "schema", "qzoo.eval/1", "cpu",
                                          json_cpu(s->ctx), "results", results));
    return status ? status : written;
}

static int eval_subject(const tool_options *o, qz_context *ctx, const label_list *labels)
{
    subject s;
    eval_row rows[2] = {0};
    size_t row_count = 0;
    int status = subject_open(o, ctx, o->args.items[0], o->quant.ptq, &s);
    if (status)
        return status;
    if (!s.int8_only)
        rows[row_count++].precision = "fp32";
    if (s.info.converted)
        rows[row_count++].precision = "int8";
    for (size_t i = 0; i < row_count && status == EXIT_DONE; i++) {
        qz_session_options so = QZ_SESSION_OPTIONS_INIT;
        so.precision = rows[i].precision[0] == 'i' ? QZ_PRECISION_INT8 : QZ_PRECISION_FP32;
        so.no_winograd = o->run.no_winograd;
        qz_status st = qz_session_create(s.model, &so, &rows[i].session);
        if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
    }
    if (status == EXIT_DONE)
        status = eval_all(o, &s, labels, rows, row_count);
    for (size_t i = 0; i < row_count; i++)
        qz_session_destroy(rows[i].session);
    if (status == EXIT_DONE)
        status = report(o, &s, rows, row_count, labels->count);
    subject_close(&s);
    return status;
}

int cmd_eval(const tool_options *o)
{
    qz_context *ctx;
    label_list labels = {0};
    if (o->args.count != 1)
        return tool_fail(EXIT_USAGE, "eval: needs one model");
    if (!o->eval.data)
        return tool_fail(EXIT_USAGE, "eval: needs --data DIR");
    int status = o->eval.labels ? labels_from_csv(o->eval.data, o->eval.labels, &labels)
                                : labels_from_folders(o->eval.data, &labels);
    if (status == EXIT_DONE && (status = subject_context(o, &ctx)) == EXIT_DONE) {
        status = eval_subject(o, ctx, &labels);
        subject_context_end(ctx);
    }
    labels_free(&labels);
    return status;
}

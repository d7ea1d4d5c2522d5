/* SPDX-License-Identifier: MIT */
/* cmd_quantize.c - qzoo quantize: writes an int8 model, and reports the SQNR of each node. */
#include "commands.h"
#include "images.h"
#include "messages.h"
#include "output_file.h"
#include "report.h"
#include "subject.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Images for the SQNR report, and the number of worst nodes on the screen. */
#define REPORT_IMAGES 16
#define WORST_SHOWN 10

static void cell_db(report_table *t, double db)
{
    if (isnan(db))
        table_cell(t, "-");
    else if (isinf(db))
        table_cell(t, "inf");
    else
        table_cell(t, "%.2f", db);
}

static report_table *table_of(const qz_sqnr_row *rows, size_t count)
{
    static const char *const headers[] = {"<node",         "<op",       "<precision",
                                          "activation dB", "weight dB", "bias dB"};
    report_table *t = table_new(headers, 6);
    for (size_t i = 0; i < count; i++) {
        table_cell(t, "%s", rows[i].name);
        table_cell(t, "%s", rows[i].op);
        table_cell(t, "%s", rows[i].is_int8 ? "int8" : "fp32");
        cell_db(t, rows[i].activation_db);
        cell_db(t, rows[i].weight_db);
        cell_db(t, rows[i].bias_db);
    }
    return t;
}

static json_t *report_json(const qz_sqnr_row *rows, size_t count, double output_db,
                           double agreement, size_t images)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(nodes, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "name",
                                               rows[i].name, "op", rows[i].op, "precision",
                                               rows[i].is_int8 ? "int8" : "fp32", "activation_db",
                                               json_number(rows[i].activation_db), "weight_db",
                                               json_number(rows[i].weight_db), "bias_db",
                                               json_number(rows[i].bias_db)));
    return json_pack("{s:s, s:o, s:o, s:I, s:o}", "schema", "qzoo.sqnr/1", "output_db",
                     json_number(output_db), "top1_agreement", json_number(agreement), "images",
                     (json_int_t)images, "nodes", nodes);
}

static int write_report(const char *path, const qz_sqnr_row *rows, size_t count, double output_db,
                        double agreement, size_t images)
{
    size_t n = strlen(path);
    if (n > 5 && strcmp(path + n - 5, ".json") == 0)
        return json_write_file(path, report_json(rows, count, output_db, agreement, images));
    output_file file;
    int status = output_open(path, &file);
    if (status)
        return status;
    report_table *t = table_of(rows, count);
    fprintf(file.stream, "output %.2f dB, top-1 agreement %.1f %%, %zu images\n", output_db,
            100.0 * agreement, images);
    status = output_close(&file, table_print(t, file.stream));
    table_free(t);
    return status;
}

static int report(const tool_options *o, const subject *s)
{
    const qz_sqnr_row *rows;
    size_t count;
    double output_db, agreement;
    qz_tensor images;
    int status = images_gather(o, s->ctx, &s->info, REPORT_IMAGES, &images);
    if (status == EXIT_DONE) {
        qz_status st = qz_model_sqnr(s->model, &images, &rows, &count, &output_db, &agreement);
        if (st != QZ_OK)
            status = tool_fail_status(s->ctx, st);
    }
    if (status == EXIT_DONE && o->out.report)
        status =
            write_report(o->out.report, rows, count, output_db, agreement, (size_t)images.dims[0]);
    if (status == EXIT_DONE && report_prints(o)) {
        report_table *t = table_of(rows, count < WORST_SHOWN ? count : WORST_SHOWN);
        printf("worst nodes over %lld images (SQNR against fp32):\n", (long long)images.dims[0]);
        status = table_print(t, stdout);
        table_free(t);
        printf("output %.2f dB, top-1 agreement %.1f %%%s\n", output_db, 100.0 * agreement,
               s->info.random_weights || s->synthetic
                   ? " (random weights or synthetic calibration: says nothing about accuracy)"
                   : "");
    }
    if (status == EXIT_DONE)
        status =
            json_write(o, report_json(rows, count, output_db, agreement, (size_t)images.dims[0]));
    free(images.data);
    return status;
}

int cmd_quantize(const tool_options *o)
{
    qz_context *ctx;
    subject s;
    if (o->args.count != 1)
        return tool_fail(EXIT_USAGE, "quantize: needs one model");
    if (!o->out.output)
        return tool_fail(EXIT_USAGE, "quantize: needs -o FILE.safetensors");
    if (is_model_file(o->args.items[0]))
        return tool_fail(EXIT_USAGE, "%s: a saved int8 model cannot be quantized again",
                         o->args.items[0]);
    int status = subject_context(o, &ctx);
    if (status)
        return status;
    status = subject_open(o, ctx, o->args.items[0], true, &s);
    if (status == EXIT_DONE && s.int8_only && (o->out.report || o->out.json)) {
        status = tool_fail(EXIT_USAGE,
                           "%s: an int8 model, which has no float model to compare with; --report "
                           "and --json do not go with it",
                           o->model.weights);
        subject_close(&s);
    }
    if (status == EXIT_DONE) {
        qz_status st = qz_model_save(s.model, o->out.output);
        if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
        else if (report_prints(o) && s.int8_only)
            printf("%s: %s, int8 by %s, imported from %s, %.2f MB of weights\n", o->out.output,
                   s.info.name, s.info.backend, s.info.weights,
                   (double)s.info.int8_weights_bytes * 1e-6);
        else if (report_prints(o))
            printf("%s: %s, int8 by %s, calibrated on %s, %.2f MB of weights (fp32 %.2f MB)\n",
                   o->out.output, s.info.name, s.info.backend, s.calib,
                   (double)s.info.int8_weights_bytes * 1e-6,
                   (double)s.info.fp32_weights_bytes * 1e-6);
        if (status == EXIT_DONE && !s.int8_only)
            status = report(o, &s);
        subject_close(&s);
    }
    qz_context_destroy(ctx);
    return status;
}

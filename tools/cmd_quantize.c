/* SPDX-License-Identifier: MIT */
/* cmd_quantize.c - qzoo quantize: writes an int8 model, and reports the SQNR of each node. */
#include "advice.h"
#include "commands.h"
#include "images.h"
#include "messages.h"
#include "output_file.h"
#include "provenance.h"
#include "recipe_steps.h"
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

static void cell_number(report_table *t, const char *format, double value)
{
    if (isnan(value))
        table_cell(t, "-");
    else
        table_cell(t, format, value);
}

/* `all`: also the columns that do not fit the screen. */
static report_table *table_of(const qz_analysis_row *rows, size_t count, bool all)
{
    static const char *const headers[] = {
        "<node",    "<op",     "<precision", "activation dB", "weight dB", "bias dB",
        "mse",      "cosine",  "kl",         "min",           "max",       "int8 min",
        "int8 max", "clipped", "scales",     "channels",      "constant",  "always 0"};
    report_table *t = table_new(headers, all ? sizeof(headers) / sizeof(*headers) : 6);
    for (size_t i = 0; i < count; i++) {
        const qz_analysis_row *r = &rows[i];
        table_cell(t, "%s", r->sqnr.name);
        table_cell(t, "%s", r->sqnr.op);
        table_cell(t, "%s", r->sqnr.is_int8 ? "int8" : "fp32");
        cell_db(t, r->sqnr.activation_db);
        cell_db(t, r->sqnr.weight_db);
        cell_db(t, r->sqnr.bias_db);
        if (!all)
            continue;
        cell_number(t, "%.3g", r->mse);
        cell_number(t, "%.5f", r->cosine);
        cell_number(t, "%.5f", r->kl);
        cell_number(t, "%.4g", r->min);
        cell_number(t, "%.4g", r->max);
        cell_number(t, "%.4g", r->int8_min);
        cell_number(t, "%.4g", r->int8_max);
        cell_number(t, "%.4f %%", 100.0 * r->clipped);
        table_cell(t, "%d", (int)r->scales);
        table_cell(t, "%d", (int)r->channels);
        table_cell(t, "%d", (int)r->constant_channels);
        table_cell(t, "%d", (int)r->zero_channels);
    }
    return t;
}

/* How far int8 is from fp32, and on what it was measured. */
typedef struct comparison {
    const subject *s;
    const qz_analysis_row *rows;
    size_t count;
    double output_db, agreement;
    size_t images;
} comparison;

/* Outputs of detectors that are reported apart, of all levels together. */
static const struct output_kind {
    const char *name, *words;
} output_kinds[] = {
    {"bbox_regression", "boxes"},
    {"objectness", "objectness"},
    {"cls_logits", "classes"},
    {"bbox_ctrness", "centreness"},
};
#define OUTPUT_KINDS (sizeof(output_kinds) / sizeof(*output_kinds))

static json_t *kinds_json(const comparison *c)
{
    json_t *kinds = json_object();
    for (size_t i = 0; i < OUTPUT_KINDS; i++) {
        const double db = qz_model_sqnr_kind(c->s->model, output_kinds[i].name);
        if (!isnan(db))
            json_set(kinds, output_kinds[i].name, json_number(db));
    }
    return kinds;
}

static void print_kinds(FILE *out, const comparison *c)
{
    size_t printed = 0;
    for (size_t i = 0; i < OUTPUT_KINDS; i++) {
        const double db = qz_model_sqnr_kind(c->s->model, output_kinds[i].name);
        if (!isnan(db))
            fprintf(out, "%s%s %.2f dB", printed++ ? ", " : "", output_kinds[i].words, db);
    }
    if (printed)
        fputc('\n', out);
}

static json_t *node_json(const qz_analysis_row *r)
{
    json_t *node = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o}", "name", r->sqnr.name, "op", r->sqnr.op, "precision",
        r->sqnr.is_int8 ? "int8" : "fp32", "activation_db", json_number(r->sqnr.activation_db),
        "weight_db", json_number(r->sqnr.weight_db), "bias_db", json_number(r->sqnr.bias_db));
    json_set(node, "mse", json_number(r->mse));
    json_set(node, "cosine", json_number(r->cosine));
    json_set(node, "kl", json_number(r->kl));
    json_set(node, "min", json_number(r->min));
    json_set(node, "max", json_number(r->max));
    json_set(node, "int8_min", json_number(r->int8_min));
    json_set(node, "int8_max", json_number(r->int8_max));
    json_set(node, "clipped", json_number(r->clipped));
    json_set(node, "scales", json_integer(r->scales));
    json_set(node, "channels", json_integer(r->channels));
    json_set(node, "constant_channels", json_integer(r->constant_channels));
    json_set(node, "zero_channels", json_integer(r->zero_channels));
    return node;
}

static json_t *report_json(const comparison *c)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < c->count; i++)
        json_add(nodes, node_json(&c->rows[i]));
    json_t *root = json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:o}", "schema", "qzoo.sqnr/1",
                             "model", c->s->info.name, "backend", c->s->info.backend, "output_db",
                             json_number(c->output_db), "top1_agreement", json_number(c->agreement),
                             "images", (json_int_t)c->images, "nodes", nodes);
    json_t *kinds = kinds_json(c);
    if (json_object_size(kinds))
        json_set(root, "outputs_db", kinds);
    else
        json_decref(kinds);
    json_set(root, "recipe", json_text(c->s->info.recipe));
    json_set(root, "bias_correction", json_text(c->s->info.bias_correction));
    json_set(root, "rounding", json_text(c->s->info.rounding));
    json_set(root, "weight_bits", json_integer(c->s->info.weight_bits));
    json_set(root, "weight_scales", json_text(c->s->info.weight_scales));
    json_set(root, "equalize", json_text(c->s->info.equalize));
    json_set(root, "steps", recipe_steps_json(c->s));
    provenance_json(root, &c->s->info, true);
    return root;
}

/* The line with the result, and what it was made with where that was made up. */
static void print_output(FILE *out, const comparison *c)
{
    const char *made_up = provenance_words(&c->s->info, true);
    char agreement[48] = "";
    if (!isnan(c->agreement)) /* of a classifier */
        snprintf(agreement, sizeof(agreement), "top-1 agreement %.1f %%, ", 100.0 * c->agreement);
    fprintf(out, "%s %.2f dB, %s%zu images%s%s%s\n",
            isnan(c->agreement) ? "worst output" : "output", c->output_db, agreement, c->images,
            *made_up ? " (" : "", made_up,
            *made_up ? ": these figures say nothing about accuracy)" : "");
    print_kinds(out, c);
}

static int write_report(const char *path, const comparison *c)
{
    size_t n = strlen(path);
    if (n > 5 && strcmp(path + n - 5, ".json") == 0)
        return json_write_file(path, report_json(c));
    output_file file;
    int status = output_open(path, &file);
    if (status)
        return status;
    report_table *t = table_of(c->rows, c->count, true);
    print_output(file.stream, c);
    status = recipe_steps_print(file.stream, c->s);
    status = output_close(&file, status ? status : table_print(t, file.stream));
    table_free(t);
    return status;
}

/* advice() of the worst nodes, of which it names three layers at most. */
static const char *advice_of(const comparison *c, char *text, size_t size)
{
    qz_sqnr_row worst[4 * WORST_SHOWN];
    size_t count = 0;
    for (; count < c->count && count < sizeof(worst) / sizeof(*worst); count++)
        worst[count] = c->rows[count].sqnr;
    return advice(&c->s->info, worst, count, c->output_db, c->agreement, text, size);
}

static int report(const tool_options *o, const subject *s)
{
    comparison c = {.s = s};
    image_tensors images;
    int status = images_gather(o, s->ctx, &s->info, REPORT_IMAGES, &images);
    if (status == EXIT_DONE) {
        qz_status st = qz_model_analyse(s->model, images.list, images.count, &c.rows, &c.count,
                                        &c.output_db, &c.agreement);
        for (size_t i = 0; i < images.count; i++)
            c.images += (size_t)images.list[i].dims[0];
        if (st != QZ_OK)
            status = tool_fail_status(s->ctx, st);
    }
    json_t *json = status == EXIT_DONE ? report_json(&c) : NULL;
    char text[600] = "";
    if (status == EXIT_DONE && *advice_of(&c, text, sizeof(text)))
        json_set(json, "advice", json_text(text));
    if (status == EXIT_DONE)
        status = json_check();
    if (status == EXIT_DONE && o->out.report)
        status = write_report(o->out.report, &c);
    if (status == EXIT_DONE && report_prints(o)) {
        report_table *t = table_of(c.rows, c.count < WORST_SHOWN ? c.count : WORST_SHOWN, false);
        printf("worst nodes over %zu images (SQNR against fp32):\n", c.images);
        status = table_print(t, stdout);
        table_free(t);
        print_output(stdout, &c);
        if (status == EXIT_DONE)
            status = recipe_steps_print(stdout, s);
        if (*text)
            printf("%s\n", text);
    }
    if (status == EXIT_DONE)
        status = json_write(o, json);
    else
        json_decref(json);
    images_gather_free(&images);
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
    if (has_suffix(o->out.output, ".onnx"))
        return tool_fail(EXIT_USAGE, "-o %s: quantize writes .safetensors; qzoo export writes ONNX",
                         o->out.output);
    if (is_model_file(o->args.items[0]))
        return tool_fail(EXIT_USAGE,
                         "%s: a model's name is needed, as in qzoo quantize resnet18 --weights %s; "
                         "a saved int8 model cannot be quantized again",
                         o->args.items[0], o->args.items[0]);
    if (options_statistics_alone(o) && (o->out.report || o->out.json))
        return tool_fail(EXIT_USAGE,
                         "%s: compares int8 and fp32 on images of --calib; name some "
                         "beside the statistics",
                         o->out.report ? "--report" : "--json");
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
        qz_status st = qz_model_save(s.model, output_path(o->out.output));
        if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
        else if (report_prints(o) && s.int8_only)
            tool_print("%s: %s, int8 by %s, imported from %s, %.2f MB of weights", o->out.output,
                       s.info.name, s.info.backend, s.info.weights,
                       (double)s.info.int8_weights_bytes * 1e-6);
        else if (report_prints(o))
            tool_print("%s: %s, int8 by %s, weights %s, calibrated on %s, %.2f MB of weights (fp32 "
                       "%.2f MB)",
                       o->out.output, s.info.name, s.info.backend, s.info.weights, s.info.calib,
                       (double)s.info.int8_weights_bytes * 1e-6,
                       (double)s.info.fp32_weights_bytes * 1e-6);
        if (status == EXIT_DONE)
            images_note_preprocessing(&s.info);
        if (status == EXIT_DONE && !s.int8_only && !options_statistics_alone(o))
            status = report(o, &s);
        subject_close(&s);
    }
    subject_context_end(ctx);
    return status;
}

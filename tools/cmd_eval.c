/* SPDX-License-Identifier: MIT */
/* cmd_eval.c - qzoo eval: top-1 and top-5 on labelled images, float and int8 from one pass; what
 * detectors and result files are scored by is in eval_*.c. */
#include "commands.h"
#include "eval.h"
#include "eval_coco.h"
#include "eval_masks.h"
#include "images.h"
#include "interrupt.h"
#include "messages.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Beside the exit statuses: the output is no number, and a message has said so. */
enum { NOT_FINITE = -1 };

/* One model's answer: an exit status, or NOT_FINITE. */
static int answer_image(const evaluation *e, eval_row *row, const qz_tensor *image, size_t i)
{
    const char *path = e->labels->paths[i];
    const qz_tensor *logits;
    qz_top top[EVAL_TOP];
    const double start = now();
    const qz_status st = qz_session_run(row->session, image);
    row->seconds += now() - start;
    if (st != QZ_OK) {
        const int status = subject_fail_run(e->s, row->session, st, path);
        return st == QZ_ERR_NUMERIC && status == EXIT_FAILED ? NOT_FINITE : status;
    }
    if (qz_session_output(row->session, 0, NULL, &logits) != QZ_OK || logits->ndim != 2 ||
        logits->dims[0] != 1 || logits->dims[1] != e->s->info.num_classes)
        return tool_fail(EXIT_INPUT, "%s: one image in each file is needed", path);
    const size_t count = qz_topk(logits, 0, EVAL_TOP, top);
    eval_answer *answer = &row->answers[i];
    *answer = (eval_answer){.top = top[0].index, .score = top[0].score};
    for (size_t k = 0; k < count; k++)
        answer->in_top |= top[k].index == e->labels->classes[i];
    return EXIT_DONE;
}

/* All models' answers to an image, which counts only where all have one. */
static int eval_image(evaluation *e, size_t i)
{
    const image_list list = {.paths = e->labels->paths, .count = e->labels->count};
    qz_tensor image;
    size_t without = 0; /* models */
    int status = images_load(e->s->ctx, &list, i, &e->s->info, &image);
    for (size_t k = 0; k < e->row_count && status == EXIT_DONE; k++) {
        status = answer_image(e, &e->rows[k], &image, i);
        without += status == NOT_FINITE;
        status = status == NOT_FINITE ? EXIT_DONE : status;
    }
    images_release(&image);
    if (status == EXIT_INPUT && e->o->eval.skip_bad) { /* its message has named the file */
        e->skipped++;
        return EXIT_DONE;
    }
    if (status)
        return status;
    e->nonfinite += without > 0;
    e->counts[i] = without == 0;
    return EXIT_DONE;
}

static void sum_up(evaluation *e)
{
    for (size_t i = 0; i < e->labels->count; i++) {
        bool right[2] = {false, false};
        if (!e->counts[i])
            continue;
        e->n++;
        for (size_t k = 0; k < e->row_count; k++) {
            eval_row *row = &e->rows[k];
            right[k] = row->answers[i].top == e->labels->classes[i];
            row->top1 += right[k];
            row->top5 += row->answers[i].in_top;
        }
        if (e->row_count < 2)
            continue;
        e->agreements += e->rows[0].answers[i].top == e->rows[1].answers[i].top;
        e->only_fp32_right += right[0] && !right[1];
        e->only_int8_right += right[1] && !right[0];
    }
}

static int eval_all(evaluation *e)
{
    const double start = now();
    int status = EXIT_DONE;
    for (size_t i = 0; i < e->labels->count && status == EXIT_DONE; i++) {
        tool_progress(e->o->quiet, "evaluating: image", i + 1, e->labels->count);
        status = eval_image(e, i);
    }
    e->seconds = now() - start;
    if (status && interrupt_signal()) { /* what was measured until then is reported */
        e->interrupted = status;
        interrupt_resume(e->s->ctx);
        status = EXIT_DONE;
    }
    if (status == EXIT_DONE)
        sum_up(e);
    return status;
}

static int open_rows(evaluation *e)
{
    const size_t count = e->labels->count;
    if (!e->s->int8_only)
        e->rows[e->row_count++].precision = "fp32";
    if (e->s->info.converted)
        e->rows[e->row_count++].precision = "int8";
    if (e->o->out.changes && e->row_count != 2)
        return tool_fail(EXIT_USAGE, "--changes: compares fp32 and int8, and %s has int8 alone",
                         e->s->info.weights);
    e->counts = calloc(count, sizeof(*e->counts));
    if (!e->counts)
        return tool_fail_memory();
    for (size_t k = 0; k < e->row_count; k++) {
        eval_row *row = &e->rows[k];
        qz_session_options so = QZ_SESSION_OPTIONS_INIT;
        so.precision = eval_is_int8(row) ? QZ_PRECISION_INT8 : QZ_PRECISION_FP32;
        so.no_winograd = e->o->run.no_winograd;
        row->answers = calloc(count, sizeof(*row->answers));
        if (!row->answers)
            return tool_fail_memory();
        const qz_status st = qz_session_create(e->s->model, &so, &row->session);
        if (st != QZ_OK)
            return tool_fail_status(e->s->ctx, st);
    }
    return EXIT_DONE;
}

static int report_all(const evaluation *e)
{
    int status = eval_confusion(e);
    if (status == EXIT_DONE)
        status = eval_changes(e);
    if (status == EXIT_DONE)
        status = eval_report(e);
    if (status == EXIT_DONE)
        status = e->interrupted;
    if (status == EXIT_DONE && e->nonfinite) /* each was named when it was found */
        status = EXIT_FAILED;
    if (status == EXIT_DONE && e->n == 0)
        status = tool_fail(EXIT_INPUT, "%s: none of %zu images can be read", e->o->eval.data,
                           e->labels->count);
    return status;
}

/* Of a classifier: what is left to do with its subject. */
static int eval_classes(const tool_options *o, subject *s, label_list *labels)
{
    evaluation e = {.o = o, .s = s, .labels = labels};
    /* before calibration takes its time */
    int status = labels_resolve(o, s->model, &s->classes, labels);
    if (status == EXIT_DONE && !o->eval.skip_bad) { /* the first bad one is not found at the end */
        const image_list images = {.paths = labels->paths, .count = labels->count};
        status = images_check(o, s->ctx, &images);
    }
    if (status == EXIT_DONE)
        status = subject_calibrate(o, o->quant.ptq, s);
    if (status == EXIT_DONE)
        status = open_rows(&e);
    if (status == EXIT_DONE)
        status = eval_all(&e);
    if (status == EXIT_DONE)
        status = report_all(&e);
    for (size_t k = 0; k < e.row_count; k++) {
        qz_session_destroy(e.rows[k].session);
        free(e.rows[k].answers);
    }
    free(e.counts);
    return status;
}

/* Whether the name alone says that the model is no classifier, or may be none. */
static bool may_detect(const tool_options *o, qz_context *ctx, const char *name)
{
    qz_arch_info arch;
    return o->eval.annotations || is_model_file(name) || qz_arch_find(ctx, name, &arch) != QZ_OK ||
           strcmp(arch.task, "classification") != 0;
}

static int eval_subject(const tool_options *o, qz_context *ctx, label_list *labels, qz_coco *truth)
{
    subject s;
    const bool late = may_detect(o, ctx, o->args.items[0]);
    int status = late ? EXIT_DONE : labels_read(o, labels); /* before weights are read */
    if (status == EXIT_DONE)
        status = subject_create(o, ctx, o->args.items[0], o->quant.ptq, &s);
    if (status)
        return status;
    if (strcmp(s.info.task, "detection") == 0)
        status = eval_detection(o, &s, truth);
    else if (strcmp(s.info.task, "segmentation") == 0)
        status = tool_fail(EXIT_USAGE, "eval: %s is a segmenter; give --masks DIR", s.info.name);
    else if (truth)
        status = tool_fail(EXIT_USAGE, "--annotations: goes with detectors only, and %s is none",
                           s.info.name);
    else if (!late || (status = labels_read(o, labels)) == EXIT_DONE)
        status = eval_classes(o, &s, labels);
    subject_close(&s);
    return status;
}

/* With the ground truth of --annotations, which is read before the model. */
static int eval_images(const tool_options *o, qz_context *ctx)
{
    label_list labels = {0};
    qz_coco *truth = NULL;
    int status = o->eval.annotations ? truth_open(o, ctx, &truth) : EXIT_DONE;
    if (status == EXIT_DONE && truth)
        status = truth_check_names(o, truth);
    if (status == EXIT_DONE)
        status = eval_subject(o, ctx, &labels, truth);
    qz_coco_close(truth);
    labels_free(&labels);
    return status;
}

int cmd_eval(const tool_options *o)
{
    qz_context *ctx;
    if (o->eval.detections)
        return eval_detections_file(o);
    if (o->args.count != 1)
        return tool_fail(EXIT_USAGE, "eval: needs one model");
    if (!o->eval.data)
        return tool_fail(EXIT_USAGE, "eval: needs --data DIR");
    if (o->eval.masks)
        return eval_masks(o);
    int status = subject_context(o, &ctx);
    if (status == EXIT_DONE) {
        status = eval_images(o, ctx);
        subject_context_end(ctx);
    }
    return status;
}

/* SPDX-License-Identifier: MIT */
/* eval_detection.c - average precision of a detector, fp32 and int8 from one pass over images. */
#include "eval_coco.h"

#include "images.h"
#include "interrupt.h"
#include "messages.h"
#include "settings_yolo.h"

#include <stdlib.h>
#include <time.h>

typedef struct detection_eval {
    const tool_options *o;
    subject *s;
    qz_coco *coco;
    coco_row rows[2];
    qz_session *sessions[2];
    qz_coco_results *results[2];
    size_t row_count, skipped, nonfinite;
    bool truth_has_masks, model_has_masks;
    int64_t *ids;  /* YOLO: the category of each class, -1: none; NULL: the class's own number */
    uint8_t *mask; /* of an image */
    eval_drift drift;
    double seconds;
    int interrupted; /* the status of the image at which a signal came, or 0 */
} detection_eval;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Beside the exit statuses: the output is no number, and a message has said so. */
enum { NOT_FINITE = -1 };

/* ---- ground truth ---- */

/* Every image is there: the first that is not is not found at the end. */
static int check_images(const detection_eval *e)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < qz_coco_image_count(e->coco) && status == EXIT_DONE; i++) {
        const qz_coco_image *image = qz_coco_image_at(e->coco, i);
        char *path = e->o->eval.skip_bad ? NULL : path_join(e->o->eval.data, image->file_name);
        if (!path && !e->o->eval.skip_bad)
            return EXIT_FAILED;
        const qz_status st = path ? qz_image_check(e->s->ctx, path, NULL, NULL) : QZ_OK;
        if (st != QZ_OK)
            status = tool_fail_status(e->s->ctx, st);
        free(path);
    }
    return status;
}

/* ---- one image ---- */

/* The detections of the session's run go to the row's results. */
static int add_detections(detection_eval *e, size_t k, int64_t image)
{
    const qz_detection *list;
    size_t count;
    qz_status st = qz_session_detections(e->sessions[k], 0, &list, &count);
    /* there is no such detection, but a model without masks says that first */
    if (st == QZ_OK && e->mask)
        e->model_has_masks =
            qz_session_detection_mask(e->sessions[k], 0, SIZE_MAX, e->mask) != QZ_ERR_UNSUPPORTED;
    if (st == QZ_OK)
        st = qz_coco_results_add(e->results[k], image, NULL, 0);
    for (size_t i = 0; i < count && st == QZ_OK; i++) {
        const qz_detection *d = &list[i];
        const double x = (double)d->x1, y = (double)d->y1;
        const int64_t category = e->ids ? e->ids[d->label] : d->label;
        if (category < 0)
            continue;
        const qz_coco_detection one = {
            .category = category,
            .score = (double)d->score,
            .box = {x, y, (double)d->x2 - x, (double)d->y2 - y},
            .mask = e->model_has_masks ? e->mask : NULL,
        };
        if (one.mask)
            st = qz_session_detection_mask(e->sessions[k], 0, i, e->mask);
        if (st == QZ_OK)
            st = qz_coco_results_add(e->results[k], image, &one, 1);
    }
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(e->s->ctx, st);
}

/* Compares what both sessions have just found. */
static int compare(detection_eval *e)
{
    const qz_detection *lists[2];
    size_t counts[2];
    if (e->row_count < 2)
        return EXIT_DONE;
    for (size_t k = 0; k < 2; k++) {
        const qz_status st = qz_session_detections(e->sessions[k], 0, &lists[k], &counts[k]);
        if (st != QZ_OK)
            return tool_fail_status(e->s->ctx, st);
    }
    return eval_drift_add(&e->drift, lists[0], counts[0], lists[1], counts[1]);
}

static int run_image(detection_eval *e, size_t k, const char *path, const qz_image *pixels,
                     int64_t image)
{
    const double start = now();
    const qz_status st = qz_session_run_u8(e->sessions[k], pixels->rgb, pixels->width,
                                           pixels->height, (size_t)pixels->width * 3);
    e->rows[k].seconds += now() - start;
    if (st == QZ_OK)
        return add_detections(e, k, image);
    const int status = subject_fail_run(e->s, e->sessions[k], st, path);
    return st == QZ_ERR_NUMERIC && status == EXIT_FAILED ? NOT_FINITE : status;
}

/* All models' detections, which count only where all have run. */
static int run_pixels(detection_eval *e, const char *path, const qz_image *pixels,
                      const qz_coco_image *image)
{
    int status = EXIT_DONE;
    size_t without = 0; /* models */
    if (image->width && (pixels->width != image->width || pixels->height != image->height))
        return tool_fail(EXIT_INPUT,
                         "%s: is %dx%d, but %dx%d in the annotations; where EXIF turns it, give "
                         "--no-exif",
                         path, (int)pixels->width, (int)pixels->height, (int)image->width,
                         (int)image->height);
    if (e->truth_has_masks && !(e->mask = malloc((size_t)pixels->width * (size_t)pixels->height)))
        return tool_fail_memory();
    for (size_t k = 0; k < e->row_count && status == EXIT_DONE; k++) {
        status = run_image(e, k, path, pixels, image->id);
        without += status == NOT_FINITE;
        status = status == NOT_FINITE ? EXIT_DONE : status;
    }
    if (status == EXIT_DONE && !without)
        status = compare(e);
    free(e->mask);
    e->mask = NULL;
    e->nonfinite += without > 0;
    for (size_t k = 0; k < e->row_count && (status || without); k++)
        qz_coco_results_drop(e->results[k], image->id);
    return status;
}

static int eval_image(detection_eval *e, const qz_coco_image *image)
{
    qz_image pixels;
    qz_image_options how = QZ_IMAGE_OPTIONS_INIT;
    char *path = path_join(e->o->eval.data, image->file_name);
    how.no_exif = e->o->images.no_exif;
    if (!path)
        return EXIT_FAILED;
    const qz_status st = qz_image_load_with(e->s->ctx, path, &how, &pixels);
    int status =
        st == QZ_OK ? run_pixels(e, path, &pixels, image) : tool_fail_status(e->s->ctx, st);
    if (st == QZ_OK)
        qz_image_free(e->s->ctx, &pixels);
    free(path);
    if (status == EXIT_INPUT && e->o->eval.skip_bad) { /* its message has named the file */
        e->skipped++;
        status = EXIT_DONE;
    }
    return status;
}

/* ---- all images ---- */

static int open_rows(detection_eval *e)
{
    if (!e->s->int8_only)
        e->rows[e->row_count++].precision = "fp32";
    if (e->s->info.converted)
        e->rows[e->row_count++].precision = "int8";
    e->truth_has_masks = qz_coco_has_masks(e->coco);
    for (size_t k = 0; k < e->row_count; k++) {
        qz_session_options so = QZ_SESSION_OPTIONS_INIT;
        so.precision = e->rows[k].precision[0] == 'i' ? QZ_PRECISION_INT8 : QZ_PRECISION_FP32;
        so.no_winograd = e->o->run.no_winograd;
        e->rows[k].info = &e->s->info;
        qz_status st = qz_session_create(e->s->model, &so, &e->sessions[k]);
        if (st == QZ_OK)
            st = qz_coco_results_create(e->coco, &e->results[k]);
        if (st != QZ_OK)
            return tool_fail_status(e->s->ctx, st);
    }
    return EXIT_DONE;
}

/* After a signal, what was measured until then is reported. */
static int eval_all(detection_eval *e)
{
    const size_t count = qz_coco_image_count(e->coco);
    const double start = now();
    int status = EXIT_DONE;
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        tool_progress(e->o->quiet, "evaluating: image", i + 1, count);
        status = eval_image(e, qz_coco_image_at(e->coco, i));
        if (status && interrupt_signal()) {
            e->interrupted = status;
            interrupt_resume(e->s->ctx);
        }
    }
    e->seconds = now() - start;
    return e->interrupted ? EXIT_DONE : status;
}

static int report(detection_eval *e)
{
    int status = EXIT_DONE;
    for (size_t k = 0; k < e->row_count && status == EXIT_DONE; k++) {
        status = coco_row_score(e->s->ctx, e->coco, e->results[k], &e->rows[k]);
        /* a model without masks has not failed to find them */
        e->rows[k].scores.has_segm = e->rows[k].scores.has_segm && e->model_has_masks;
    }
    const coco_report all = {.o = e->o,
                             .ctx = e->s->ctx,
                             .coco = e->coco,
                             .rows = e->rows,
                             .row_count = e->row_count,
                             .skipped = e->skipped,
                             .nonfinite = e->nonfinite,
                             .drift = e->row_count == 2 ? &e->drift : NULL,
                             .seconds = e->seconds};
    if (status == EXIT_DONE)
        status = coco_report_write(&all);
    if (status == EXIT_DONE)
        status = e->interrupted;
    if (status == EXIT_DONE && e->nonfinite) /* each was named when it was found */
        status = EXIT_FAILED;
    if (status == EXIT_DONE && e->rows[0].scores.images == 0)
        status = tool_fail(EXIT_INPUT, "%s: none of its images can be read", e->o->eval.data);
    return status;
}

/* Options that are about classes of whole images. */
static int check_options(const tool_options *o)
{
    static const char *const names[] = {"--labels", "--confusion", "--changes"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (option_given(o, names[i]))
            return tool_fail(EXIT_USAGE, "%s: goes with classifiers only", names[i]);
    }
    return EXIT_DONE;
}

/* How the model's classes are the ground truth's categories. */
static int map_categories(detection_eval *e, const qz_coco *truth, bool yolo)
{
    const int32_t classes = e->s->info.num_classes;
    if (!yolo)
        return truth_check_categories(e->o, truth, e->s->model, classes);
    e->ids = calloc((size_t)classes, sizeof(*e->ids));
    return e->ids ? truth_map_categories(e->o, truth, e->s->model, classes, e->ids)
                  : tool_fail_memory();
}

int eval_detection(const tool_options *o, subject *s, qz_coco *truth)
{
    detection_eval e = {.o = o, .s = s, .coco = truth};
    int status = check_options(o);
    const bool yolo = settings_is_yolo(s->ctx, s->info.name); /* without a class of background */
    if (status == EXIT_DONE && !truth)
        status =
            yolo_read(o, s->ctx, s->model, s->info.num_classes, yolo ? 0 : 1, &e.coco, &e.skipped);
    if (status == EXIT_DONE && truth)
        status = map_categories(&e, truth, yolo);
    if (status == EXIT_DONE) /* before calibration takes its time */
        status = check_images(&e);
    if (status == EXIT_DONE)
        status = subject_calibrate(o, o->quant.ptq, s);
    if (status == EXIT_DONE)
        status = open_rows(&e);
    if (status == EXIT_DONE)
        status = eval_all(&e);
    if (status == EXIT_DONE)
        status = report(&e);
    for (size_t k = 0; k < 2; k++) {
        qz_session_destroy(e.sessions[k]);
        qz_coco_results_destroy(e.results[k]);
        coco_row_release(&e.rows[k]);
    }
    free(e.ids);
    if (!truth)
        qz_coco_close(e.coco);
    return status;
}

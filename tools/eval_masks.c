/* SPDX-License-Identifier: MIT */
/*
 * eval_masks.c - qzoo eval of segmenters: each image's class map beside its mask, a PNG of class
 * indices in which 255 is no class. Its colors, where it has a palette, do not count.
 */
#include "eval_masks.h"

#include "images.h"
#include "messages.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IGNORED = 255 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* MASKS/STEM.png of an image. */
static int mask_path(const tool_options *o, const char *image, char *path, size_t size)
{
    const char *slash = strrchr(image, '/'), *name = slash ? slash + 1 : image;
    const char *dot = strrchr(name, '.');
    const int stem = (int)(dot ? dot - name : (long)strlen(name));
    const int n = snprintf(path, size, "%s/%.*s.png", o->eval.masks, stem, name);
    return n > 0 && (size_t)n < size
               ? EXIT_DONE
               : tool_fail(EXIT_INPUT, "%s: the path of its mask is too long", image);
}

/* What of a mask does not fit its image and the model. */
static int check_mask(const mask_report *r, const char *path, const qz_image *mask,
                      const qz_image *image)
{
    if (mask->width != image->width || mask->height != image->height)
        return tool_fail(EXIT_INPUT, "%s: the mask is %dx%d, its image %dx%d", path,
                         (int)mask->width, (int)mask->height, (int)image->width,
                         (int)image->height);
    const uint8_t *p = mask->rgb;
    for (size_t i = 0; i < (size_t)mask->width * (size_t)mask->height; i++, p += 3) {
        if (p[0] != p[1] || p[0] != p[2])
            return tool_fail(EXIT_INPUT,
                             "%s: the mask has colors; save it with a palette, or in gray, so that "
                             "each pixel is its class index",
                             path);
        if (p[0] != IGNORED && p[0] >= r->s->info.num_classes)
            return tool_fail(EXIT_INPUT, "%s: the mask has class %d; the model has %d classes",
                             path, p[0], (int)r->s->info.num_classes);
    }
    return EXIT_DONE;
}

static int score_image(mask_report *r, const char *path, const qz_image *image,
                       const qz_image *mask)
{
    const size_t pixels = (size_t)mask->width * (size_t)mask->height;
    const int64_t classes = r->s->info.num_classes;
    for (size_t k = 0; k < r->row_count; k++) {
        mask_row *row = &r->rows[k];
        const qz_segmentation *map;
        const double start = now();
        qz_status st = qz_session_run_u8(row->session, image->rgb, image->width, image->height,
                                         (size_t)image->width * 3);
        row->seconds += now() - start;
        if (st != QZ_OK)
            return subject_fail_run(r->s, row->session, st, path);
        st = qz_session_segmentation(row->session, 0, &map);
        if (st != QZ_OK)
            return tool_fail_status(r->s->ctx, st);
        for (size_t i = 0; i < pixels; i++) {
            const uint8_t want = mask->rgb[3 * i];
            if (want != IGNORED)
                row->counts[want * classes + map->classes[i]]++;
        }
    }
    r->n++;
    return EXIT_DONE;
}

static int eval_image(mask_report *r, const char *path)
{
    char masked[4096];
    qz_image image = {0}, mask = {0};
    int status = mask_path(r->o, path, masked, sizeof(masked));
    if (status == EXIT_DONE)
        status = images_load_rgb(r->s->ctx, path, &image);
    if (status == EXIT_DONE) { /* a mask is never turned */
        qz_image_options io = QZ_IMAGE_OPTIONS_INIT;
        io.no_exif = io.indices = true;
        const qz_status st = qz_image_load_with(r->s->ctx, masked, &io, &mask);
        status = st == QZ_OK ? EXIT_DONE : tool_fail_status(r->s->ctx, st);
    }
    if (status == EXIT_DONE)
        status = check_mask(r, masked, &mask, &image);
    if (status == EXIT_INPUT && r->o->eval.skip_bad) { /* its message has named the file */
        r->skipped++;
        status = EXIT_DONE;
    } else if (status == EXIT_DONE) {
        status = score_image(r, path, &image, &mask);
    }
    qz_image_free(r->s->ctx, &image);
    qz_image_free(r->s->ctx, &mask);
    return status;
}

static int open_rows(mask_report *r)
{
    const size_t classes = (size_t)r->s->info.num_classes;
    if (!r->s->int8_only)
        r->rows[r->row_count++].precision = "fp32";
    if (r->s->info.converted)
        r->rows[r->row_count++].precision = "int8";
    for (size_t k = 0; k < r->row_count; k++) {
        qz_session_options so = QZ_SESSION_OPTIONS_INIT;
        so.precision =
            strcmp(r->rows[k].precision, "int8") == 0 ? QZ_PRECISION_INT8 : QZ_PRECISION_FP32;
        so.no_winograd = r->o->run.no_winograd;
        r->rows[k].counts = calloc(classes * classes, sizeof(*r->rows[k].counts));
        if (!r->rows[k].counts)
            return tool_fail_memory();
        const qz_status st = qz_session_create(r->s->model, &so, &r->rows[k].session);
        if (st != QZ_OK)
            return tool_fail_status(r->s->ctx, st);
    }
    return EXIT_DONE;
}

static int eval_subject(mask_report *r, subject *s, const image_list *list)
{
    const tool_options *o = r->o;
    if (strcmp(s->info.task, "segmentation") != 0)
        return tool_fail(EXIT_USAGE, "--masks: goes with segmenters only, and %s is none",
                         s->info.name);
    images_note_preprocessing(&s->info);
    int status = subject_calibrate(o, o->quant.ptq, s);
    if (status == EXIT_DONE)
        status = open_rows(r);
    const double start = now();
    for (size_t i = 0; i < list->count && status == EXIT_DONE; i++) {
        tool_progress(o->quiet, "evaluating: image", i + 1, list->count);
        status = eval_image(r, list->paths[i]);
    }
    r->seconds = now() - start;
    if (status == EXIT_DONE)
        status = mask_report_write(r);
    if (status == EXIT_DONE && r->n == 0)
        status =
            tool_fail(EXIT_INPUT, "%s: none of %zu images can be read", o->eval.data, list->count);
    return status;
}

int eval_masks(const tool_options *o)
{
    qz_context *ctx;
    image_list list = {0};
    subject s;
    mask_report r = {.o = o, .s = &s};
    int status = images_find_below(o->eval.data, &list);
    if (status == EXIT_DONE && list.count == 0)
        status = tool_fail(EXIT_INPUT, "%s: contains no images", o->eval.data);
    if (status == EXIT_DONE && (status = subject_context(o, &ctx)) == EXIT_DONE) {
        status = subject_create(o, ctx, o->args.items[0], o->quant.ptq, &s);
        if (status == EXIT_DONE) {
            status = eval_subject(&r, &s, &list);
            for (size_t k = 0; k < r.row_count; k++) {
                qz_session_destroy(r.rows[k].session);
                free(r.rows[k].counts);
            }
            subject_close(&s);
        }
        subject_context_end(ctx);
    }
    images_free(&list);
    return status;
}

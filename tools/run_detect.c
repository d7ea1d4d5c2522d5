/* SPDX-License-Identifier: MIT */
/* run_detect.c - qzoo run with detectors: objects printed, as JSON, dumped and drawn. */
#include "run.h"

#include "messages.h"
#include "picture.h"
#include "provenance.h"
#include "settings_yolo.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* An input as the session takes it: an image file's pixels, or a batch of float images. */
typedef struct detect_input {
    const char *path;
    qz_image image; /* rgb NULL: the tensor */
    qz_tensor tensor;
    int32_t width, height;
} detect_input;

/* The objects of one image that --score lets through. */
typedef struct found {
    const qz_detection *list;
    size_t count;
    uint8_t *mask; /* room for one mask; NULL: the model has none */
} found;

/* ---- the input ---- */

static int load_input(run_state *r, const image_list *list, size_t index, detect_input *in)
{
    int status;
    *in = (detect_input){.path = list->paths[index]};
    if (!images_is_array(in->path)) {
        status = images_load_rgb(r->ctx, in->path, &in->image);
        in->width = in->image.width;
        in->height = in->image.height;
        return status;
    }
    status = images_load(r->ctx, list, index, &r->s.info, &in->tensor);
    in->width = (int32_t)in->tensor.dims[3];
    in->height = (int32_t)in->tensor.dims[2];
    const bool one_by_one = !settings_is_yolo(r->ctx, r->s.info.name);
    if (status == EXIT_DONE && in->tensor.dims[0] > 1 &&
        ((r->o->out.dump && one_by_one) || r->o->out.draw || r->o->out.coco))
        return tool_fail(EXIT_USAGE,
                         "%s: has %lld images; --dump-outputs, --draw and --coco-results go with "
                         "arrays of one",
                         in->path, (long long)in->tensor.dims[0]);
    return status;
}

/* The array's image as bytes, for drawing. */
static int make_rgb(detect_input *in)
{
    const size_t pixels = (size_t)in->width * (size_t)in->height;
    const float *chw = in->tensor.data;
    uint8_t *rgb = malloc(pixels * 3);
    if (!rgb)
        return tool_fail_memory();
    for (size_t i = 0; i < pixels * 3; i++) {
        const float v = chw[i % 3 * pixels + i / 3] * 255.0f + 0.5f;
        rgb[i] = (uint8_t)(v < 0.0f ? 0.0f : v > 255.0f ? 255.0f : v);
    }
    in->image = (qz_image){in->width, in->height, rgb};
    return EXIT_DONE;
}

/* ---- results ---- */

static int find_objects(const run_state *r, const qz_session *session, size_t image,
                        const detect_input *in, found *f)
{
    qz_status st = qz_session_detections(session, image, &f->list, &f->count);
    if (st != QZ_OK)
        return tool_fail_status(r->ctx, st);
    if (r->o->detect.score >= 0.0) {
        size_t kept = 0; /* the most certain come first */
        while (kept < f->count && f->list[kept].score >= (float)r->o->detect.score)
            kept++;
        f->count = kept;
    }
    /* without room the library says only whether there are masks */
    st = qz_session_detection_mask(session, image, 0, NULL);
    f->mask = NULL;
    if (st == QZ_ERR_UNSUPPORTED)
        return EXIT_DONE;
    f->mask = malloc((size_t)in->width * (size_t)in->height);
    return f->mask ? EXIT_DONE : tool_fail_memory();
}

/* Pixels of the mask of object `index`, which is then in f->mask. */
static int read_mask(const run_state *r, const qz_session *session, size_t image, size_t index,
                     const detect_input *in, const found *f, int64_t *area)
{
    const qz_status st = qz_session_detection_mask(session, image, index, f->mask);
    if (st != QZ_OK)
        return tool_fail_status(r->ctx, st);
    *area = 0;
    for (size_t i = 0; i < (size_t)in->width * (size_t)in->height; i++)
        *area += f->mask[i];
    return EXIT_DONE;
}

static void print_head(const run_state *r, const detect_input *in, size_t image, size_t images,
                       const char *precision, const char *made_up, bool none)
{
    char shown[4096];
    qz_text_printable(in->path, shown, sizeof(shown));
    if (!report_prints(r->o))
        return;
    printf("%s", shown);
    if (images > 1)
        printf(" [%zu]", image);
    printf(" (%s%s%s)%s\n", precision, *made_up ? ", " : "", made_up, none ? ": no objects" : "");
}

/* One object: a line, and an item of JSON. */
static json_t *report_object(const run_state *r, const qz_detection *d, const int64_t *area)
{
    const char *name = run_class_name(r, d->label);
    json_t *box = json_array();
    const float edges[4] = {d->x1, d->y1, d->x2, d->y2};
    for (int i = 0; i < 4; i++)
        json_add(box, json_number((double)edges[i]));
    json_t *item = json_pack("{s:i, s:o, s:o, s:o}", "label", d->label, "name", json_text(name),
                             "score", json_number((double)d->score), "box", box);
    char tail[48] = "";
    if (area) {
        json_set(item, "mask_area", json_integer(*area));
        snprintf(tail, sizeof(tail), "  mask %lld", (long long)*area);
    }
    if (report_prints(r->o))
        tool_print("  %4d  %s  %.4f  %.1f %.1f %.1f %.1f%s", d->label, name, (double)d->score,
                   (double)d->x1, (double)d->y1, (double)d->x2, (double)d->y2, tail);
    return item;
}

static int report_image(run_state *r, const qz_session *session, size_t image, size_t images,
                        const detect_input *in, const found *f)
{
    const bool int8 = r->s.info.converted && session == r->session;
    const char *precision = int8 ? "int8" : "fp32";
    const char *made_up = provenance_words(&r->s.info, int8);
    json_t *objects = json_array();
    int status = EXIT_DONE;
    print_head(r, in, image, images, precision, made_up, f->count == 0);
    for (size_t i = 0; i < f->count && status == EXIT_DONE; i++) {
        int64_t area = 0;
        if (f->mask)
            status = read_mask(r, session, image, i, in, f, &area);
        if (status == EXIT_DONE)
            json_add(objects, report_object(r, &f->list[i], f->mask ? &area : NULL));
        if (status == EXIT_DONE && session == r->session)
            status = run_coco_add(r, in->path, &f->list[i], f->mask, in->width, in->height);
    }
    json_t *result = json_pack("{s:o, s:I, s:s, s:s, s:o}", "input", json_text(in->path), "row",
                               (json_int_t)image, "model", r->s.info.name, "precision", precision,
                               "detections", objects);
    provenance_json(result, &r->s.info, int8);
    json_add(r->results, result);
    return status;
}

/* ---- arrays ---- */

static int dump_array(const run_state *r, const char *name, float *data, int32_t ndim,
                      const int64_t dims[3])
{
    qz_tensor t = {.dtype = QZ_F32, .ndim = ndim, .data = data};
    memcpy(t.dims, dims, 3 * sizeof(*dims));
    return run_dump(r, name, &t);
}

static int dump_masks(const run_state *r, const detect_input *in, const found *f)
{
    const size_t pixels = (size_t)in->width * (size_t)in->height;
    const size_t each = pixels * sizeof(float);
    float *masks = f->count < SIZE_MAX / each ? malloc(f->count * each + 1) : NULL;
    if (!masks)
        return tool_fail_memory();
    qz_status st = QZ_OK;
    for (size_t i = 0; i < f->count && st == QZ_OK; i++)
        st = qz_session_detection_mask_prob(r->session, 0, i, masks + i * pixels);
    int status = st == QZ_OK ? EXIT_DONE : tool_fail_status(r->ctx, st);
    if (status == EXIT_DONE)
        status =
            dump_array(r, "masks", masks, 3, (int64_t[]){(int64_t)f->count, in->height, in->width});
    free(masks);
    return status;
}

static int dump_objects(const run_state *r, const detect_input *in, const found *f)
{
    float *values = malloc((f->count * 6 + 1) * sizeof(*values));
    if (!values)
        return tool_fail_memory();
    float *scores = values + f->count * 4, *labels = scores + f->count;
    for (size_t i = 0; i < f->count; i++) {
        const qz_detection *d = &f->list[i];
        memcpy(values + i * 4, (float[]){d->x1, d->y1, d->x2, d->y2}, 4 * sizeof(*values));
        scores[i] = d->score;
        labels[i] = (float)d->label;
    }
    const int64_t dims[3] = {(int64_t)f->count, 4, 0};
    int status = dump_array(r, "boxes", values, 2, dims);
    if (status == EXIT_DONE)
        status = dump_array(r, "scores", scores, 1, dims);
    if (status == EXIT_DONE)
        status = dump_array(r, "labels", labels, 1, dims);
    free(values);
    return status == EXIT_DONE && f->mask ? dump_masks(r, in, f) : status;
}

/* ---- pictures ---- */

/* Masks below boxes, and the most certain above the others. */
static int draw_objects(const run_state *r, detect_input *in, const found *f)
{
    int status = in->image.rgb ? EXIT_DONE : make_rgb(in);
    const qz_canvas canvas = {in->image.rgb, in->width, in->height, 0};
    int64_t area;
    for (size_t i = f->mask ? f->count : 0; i-- > 0 && status == EXIT_DONE;) {
        status = read_mask(r, r->session, 0, i, in, f, &area);
        qz_draw_mask(&canvas, f->mask, 0, qz_draw_color(f->list[i].label), QZ_DRAW_ALPHA);
    }
    for (size_t i = f->count; i-- > 0 && status == EXIT_DONE;) {
        const qz_detection *d = &f->list[i];
        const char *name = run_class_name(r, d->label);
        char text[300];
        if (*name)
            snprintf(text, sizeof(text), "%.280s %.2f", name, (double)d->score);
        else
            snprintf(text, sizeof(text), "class %d %.2f", d->label, (double)d->score);
        qz_draw_box(&canvas, d->x1, d->y1, d->x2, d->y2, qz_draw_color(d->label));
        qz_draw_label(&canvas, d->x1, d->y1, text, qz_draw_color(d->label));
    }
    return status == EXIT_DONE ? picture_save(r->o, r->ctx, in->path, &canvas) : status;
}

/* ---- one input ---- */

static int run_session(run_state *r, qz_session *session, detect_input *in)
{
    const bool array = in->tensor.data != NULL;
    const qz_status st = array ? qz_session_run(session, &in->tensor)
                               : qz_session_run_u8(session, in->image.rgb, in->width, in->height,
                                                   (size_t)in->width * 3);
    if (r->status)
        return r->status;
    if (st != QZ_OK)
        return subject_fail_run(&r->s, session, st, in->path);
    const size_t images = array ? (size_t)in->tensor.dims[0] : 1;
    int status = EXIT_DONE;
    for (size_t i = 0; i < images && status == EXIT_DONE; i++) {
        found f = {0};
        status = find_objects(r, session, i, in, &f);
        if (status == EXIT_DONE)
            status = report_image(r, session, i, images, in, &f);
        if (status == EXIT_DONE && session == r->session && r->o->out.dump && images == 1)
            status = dump_objects(r, in, &f);
        if (status == EXIT_DONE && session == r->session && r->o->out.draw)
            status = draw_objects(r, in, &f);
        free(f.mask);
    }
    if (status == EXIT_DONE && session == r->session)
        status = run_dump_outputs(r);
    return status;
}

int run_detect(run_state *r, const image_list *list, size_t index)
{
    detect_input in;
    int status = load_input(r, list, index, &in);
    if (status == EXIT_DONE && r->float_session)
        status = run_session(r, r->float_session, &in);
    if (status == EXIT_DONE)
        status = run_session(r, r->session, &in);
    if (in.tensor.data)
        free(in.image.rgb); /* made for drawing */
    else
        qz_image_free(r->ctx, &in.image);
    images_release(&in.tensor);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* run_segment.c - qzoo run with segmenters: the classes' shares of pixels; dumps and overlays. */
#include "run.h"

#include "messages.h"
#include "picture.h"
#include "provenance.h"

#include <stdlib.h>

/* An image file's pixels (rgb), or a batch of arrays. */
typedef struct segment_input {
    const char *path;
    qz_image image;
    qz_tensor tensor;
} segment_input;

static void print_head(const run_state *r, const char *path, size_t image, size_t images)
{
    char shown[4096];
    const bool int8 = r->s.info.converted;
    const char *made_up = provenance_words(&r->s.info, int8);
    if (!report_prints(r->o))
        return;
    qz_text_printable(path, shown, sizeof(shown));
    printf("%s", shown);
    if (images > 1)
        printf(" [%zu]", image);
    printf(" (%s%s%s)\n", int8 ? "int8" : "fp32", *made_up ? ", " : "", made_up);
}

/* The classes that have pixels, the largest first. */
static json_t *report_classes(const run_state *r, const qz_segmentation *map)
{
    const double all = (double)map->width * (double)map->height;
    json_t *list = json_array();
    bool done[256] = {false};
    for (;;) {
        int32_t best = -1;
        for (int32_t c = 0; c < map->num_classes; c++) {
            if (!done[c] && map->pixels[c] > 0 && (best < 0 || map->pixels[c] > map->pixels[best]))
                best = c;
        }
        if (best < 0)
            return list;
        done[best] = true;
        const double share = (double)map->pixels[best] / all;
        const char *name = run_class_name(r, best);
        if (report_prints(r->o))
            tool_print("  %5.1f %%  %4d  %s", 100.0 * share, best, name);
        json_add(list,
                 json_pack("{s:i, s:o, s:I, s:o}", "id", best, "name", json_text(name), "pixels",
                           (json_int_t)map->pixels[best], "share", json_number(share)));
    }
}

static int draw(const run_state *r, const segment_input *in, const qz_segmentation *map)
{
    if (!r->o->out.draw)
        return EXIT_DONE;
    if (!in->image.rgb)
        return tool_fail(EXIT_USAGE, "%s: --draw goes with image files, not with arrays", in->path);
    const qz_canvas canvas = {in->image.rgb, in->image.width, in->image.height, 0};
    qz_draw_segmentation(&canvas, map->classes, 0, QZ_DRAW_ALPHA);
    return picture_save(r->o, r->ctx, in->path, &canvas);
}

static int report_image(run_state *r, const segment_input *in, size_t image, size_t images)
{
    const bool int8 = r->s.info.converted;
    const qz_segmentation *map;
    const qz_status st = qz_session_segmentation(r->session, image, &map);
    if (st != QZ_OK)
        return tool_fail_status(r->ctx, st);
    print_head(r, in->path, image, images);
    json_t *result = json_pack("{s:o, s:I, s:s, s:s, s:i, s:i, s:o}", "input", json_text(in->path),
                               "row", (json_int_t)image, "model", r->s.info.name, "precision",
                               int8 ? "int8" : "fp32", "width", map->width, "height", map->height,
                               "segmentation", report_classes(r, map));
    provenance_json(result, &r->s.info, int8);
    json_add(r->results, result);
    return draw(r, in, map);
}

int run_segment(run_state *r, const image_list *list, size_t index)
{
    segment_input in = {.path = list->paths[index]};
    const bool array = images_is_array(in.path);
    int status = array ? images_load(r->ctx, list, index, &r->s.info, &in.tensor)
                       : images_load_rgb(r->ctx, in.path, &in.image);
    if (status == EXIT_DONE) {
        if (!array)
            images_note_preprocessing(&r->s.info);
        const qz_status st = array ? qz_session_run(r->session, &in.tensor)
                                   : qz_session_run_u8(r->session, in.image.rgb, in.image.width,
                                                       in.image.height, (size_t)in.image.width * 3);
        if (r->status)
            status = r->status;
        else if (st != QZ_OK)
            status = subject_fail_run(&r->s, r->session, st, in.path);
    }
    const size_t images = array && status == EXIT_DONE ? (size_t)in.tensor.dims[0] : 1;
    for (size_t i = 0; i < images && status == EXIT_DONE; i++)
        status = report_image(r, &in, i, images);
    if (status == EXIT_DONE)
        status = run_dump_outputs(r);
    qz_image_free(r->ctx, &in.image);
    images_release(&in.tensor);
    return status;
}

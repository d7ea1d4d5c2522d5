/* SPDX-License-Identifier: MIT */
/* detect.c - finds the objects in a photo by YOLOv5n, and draws them. */
#include <qzoo/qzoo.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    qz_session *session = NULL;
    qz_image image = {0, 0, NULL};
    const qz_detection *list = NULL;
    size_t count = 0;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_status st = argc == 4 ? qz_context_create(NULL, &ctx) : QZ_ERR_ARGUMENT;
    options.weights = argc == 4 ? argv[1] : NULL;
    st = st != QZ_OK ? st : qz_model_create(ctx, "yolov5n", &options, &model);
    st = st != QZ_OK ? st : qz_session_create(model, NULL, &session);
    st = st != QZ_OK ? st : qz_image_load(ctx, argv[2], &image);
    st = st != QZ_OK ? st
                     : qz_session_run_u8(session, image.rgb, image.width, image.height,
                                         (size_t)image.width * 3);
    st = st != QZ_OK ? st : qz_session_detections(session, 0, &list, &count);
    const qz_canvas canvas = {image.rgb, image.width, image.height, 0};
    for (size_t i = count; i-- > 0;) { /* the most certain above the others */
        const qz_detection *d = &list[i];
        const char *known = qz_model_class(model, d->label), *name = known ? known : "object";
        qz_draw_box(&canvas, d->x1, d->y1, d->x2, d->y2, qz_draw_color(d->label));
        qz_draw_label(&canvas, d->x1, d->y1, name, qz_draw_color(d->label));
        printf("%.2f %s at %.0f %.0f\n", d->score, name, d->x1, d->y1);
    }
    st = st != QZ_OK ? st
                     : qz_image_write_png(ctx, argv[3], image.rgb, image.width, image.height, 0);
    if (st != QZ_OK)
        fprintf(stderr, "%s\n", ctx ? qz_context_message(ctx) : "usage: detect WEIGHTS PHOTO PNG");
    qz_image_free(ctx, &image);
    qz_session_destroy(session);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    return st != QZ_OK;
}

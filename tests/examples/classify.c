/* SPDX-License-Identifier: MIT */
/* classify.c - an int8 resnet50 made from calibration images, and what it sees in an image. */
#include <qzoo/qzoo.h>

#include <stdio.h>

/* Reads an image and gives it to the session or, without one, to the model for calibration. */
static qz_status feed(qz_context *ctx, qz_model *model, qz_session *session, const char *path)
{
    qz_image image;
    qz_status st = qz_image_load(ctx, path, &image);
    if (st != QZ_OK)
        return st;
    size_t stride = (size_t)image.width * 3;
    st = session ? qz_session_run_u8(session, image.rgb, image.width, image.height, stride)
                 : qz_model_calibrate_u8(model, image.rgb, image.width, image.height, stride);
    qz_image_free(ctx, &image);
    return st;
}

static qz_status print_best(const qz_model *model, const qz_session *session)
{
    qz_top top[5];
    const qz_tensor *logits;
    qz_status st = qz_session_output(session, 0, NULL, &logits);
    for (size_t i = 0, n = st == QZ_OK ? qz_topk(logits, 0, 5, top) : 0; i < n; i++) {
        const char *name = qz_model_class(model, top[i].index); /* NULL: the class has no name */
        printf("%5.1f %%  %s\n", 100.0 * top[i].probability, name ? name : "no name");
    }
    return st;
}

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    qz_session *session = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    if (argc < 4) {
        fprintf(stderr, "usage: %s WEIGHTS CALIBRATION-IMAGE... IMAGE\n", argv[0]);
        return 2;
    }
    options.weights = argv[1]; /* torchvision's .pth file, unchanged; or "random" */
    options.quantize = true;   /* observe activations while calibrating */
    qz_status st = qz_context_create(NULL, &ctx);
    if (st == QZ_OK)
        st = qz_resnet50(ctx, &options, &model);
    for (int i = 2; i < argc - 1 && st == QZ_OK; i++)
        st = feed(ctx, model, NULL, argv[i]);
    if (st == QZ_OK)
        st = qz_model_convert(model); /* int8 from here on */
    if (st == QZ_OK)
        st = qz_session_create(model, NULL, &session);
    if (st == QZ_OK)
        st = feed(ctx, model, session, argv[argc - 1]);
    if (st == QZ_OK)
        st = print_best(model, session);
    if (st != QZ_OK)
        fprintf(stderr, "%s: %s\n", argv[0], qz_context_message(ctx));
    qz_session_destroy(session);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    return st == QZ_OK ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * quantize.c - calibrates a model on images, saves it in int8, and prints the nodes that lost most.
 *
 *   quantize MODEL WEIGHTS OUT.safetensors IMAGE...
 */
#include <qzoo/qzoo.h>

#include <stdio.h>
#include <stdlib.h>

/* Feeds one image to the observers. */
static qz_status calibrate(qz_context *ctx, qz_model *model, const char *path)
{
    qz_image image;
    qz_status st = qz_image_load(ctx, path, &image);
    if (st != QZ_OK)
        return st;
    st =
        qz_model_calibrate_u8(model, image.rgb, image.width, image.height, (size_t)image.width * 3);
    qz_image_free(ctx, &image);
    return st;
}

/* Compares int8 with float, node by node, on one image. */
static qz_status print_sqnr(qz_context *ctx, qz_model *model, const char *path)
{
    qz_model_info info;
    qz_image image;
    const qz_sqnr_row *rows = NULL;
    size_t count = 0;
    double output_db = 0.0;
    qz_model_get_info(model, &info);
    qz_tensor input = {
        .dtype = QZ_F32, .ndim = 4, .dims = {1, 3, info.preprocess.crop_h, info.preprocess.crop_w}};
    qz_status st = qz_image_load(ctx, path, &image);
    if (st != QZ_OK)
        return st;
    input.data = malloc((size_t)qz_tensor_numel(&input) * sizeof(float));
    st = input.data ? qz_image_preprocess(ctx, image.rgb, image.width, image.height,
                                          (size_t)image.width * 3, &info.preprocess, input.data)
                    : QZ_ERR_MEMORY;
    if (st == QZ_OK)
        st = qz_model_sqnr(model, &input, &rows, &count, &output_db, NULL);
    if (st == QZ_OK)
        printf("output %.1f dB\n", output_db);
    for (size_t i = 0; i < count && i < 3; i++)
        printf("%s %.1f dB\n", rows[i].name, rows[i].activation_db);
    free(input.data);
    qz_image_free(ctx, &image);
    return st;
}

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    if (argc < 5) {
        fprintf(stderr, "usage: %s MODEL WEIGHTS OUT.safetensors IMAGE...\n", argv[0]);
        return 2;
    }
    options.weights = argv[2];
    options.quantize = true;
    qz_status st = qz_context_create(NULL, &ctx);
    if (st == QZ_OK)
        st = qz_model_create(ctx, argv[1], &options, &model);
    for (int i = 4; i < argc && st == QZ_OK; i++)
        st = calibrate(ctx, model, argv[i]);
    if (st == QZ_OK)
        st = qz_model_convert(model);
    if (st == QZ_OK)
        st = qz_model_save(model, argv[3]);
    if (st == QZ_OK)
        st = print_sqnr(ctx, model, argv[4]);
    if (st != QZ_OK)
        fprintf(stderr, "%s: %s\n", argv[0], qz_context_message(ctx));
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    return st == QZ_OK ? 0 : 1;
}

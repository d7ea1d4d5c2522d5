/* SPDX-License-Identifier: MIT */
/*
 * test_voc.c - a DeepLabV3 on MobileNetV2 with real weights (Pascal VOC), which torchvision does
 * not build: pixel accuracy on COCO's images, whose masks are mapped to VOC, in float and in int8
 * of every backend.
 *
 * The network: output stride 8 (features 7 and 14 have stride 1, 8 to 14 dilation 2, 15 to 17
 * dilation 4), ASPP without atrous branches; images are stretched to 513 x 513.
 */
#include "zoo/blocks.h"
#include "zoo/qzoo.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 513, CALIBRATION = 16, IMAGES_MAX = 256 };

/* What torch reached in float; how far int8 may be below our float. With one scale for all weights
 * of a layer, which is PyTorch's qnnpack, the depthwise filters lose .03 by themselves, whatever
 * else is done (bench/ACCURACY.md): recipe fast gives that back. */
#define EXPECTED 0.880
static const struct {
    qz_backend id;
    qz_recipe recipe;
    double below;
} trials[4] = {{QZ_BACKEND_FBGEMM, QZ_RECIPE_DEFAULT, 0.005},
               {QZ_BACKEND_QNNPACK, QZ_RECIPE_FAST, 0.005},
               {QZ_BACKEND_NATIVE, QZ_RECIPE_DEFAULT, 0.005},
               {QZ_BACKEND_QNNPACK, QZ_RECIPE_DEFAULT, 0.04}};
static size_t trial_count = QZI_ARRAY_LEN(trials) - 1; /* --all: the last one, too */

/* ---- the network ---- */

static qz_value block(qz_graph *g, qz_value x, int32_t in, int32_t out, int32_t expand,
                      int32_t stride, int32_t dilation)
{
    const int32_t hidden = in * expand;
    int32_t i = 0;
    qz_value y = x;
    qz_graph_enter(g, "conv");
    if (expand != 1)
        y = qzi_block_conv_bn_act(g, QZI_BN, qzi_index(i++).text, y, QZI_CONV1X1(hidden, 1),
                                  QZ_ACT_RELU6);
    y = qzi_block_conv_bn_act(g, QZI_BN, qzi_index(i++).text, y,
                              &(qz_conv2d_options){.out_channels = hidden,
                                                   .kernel_h = 3,
                                                   .stride_h = stride,
                                                   .dilation_h = dilation,
                                                   .groups = hidden},
                              QZ_ACT_RELU6);
    y = qzi_block_conv_bn(g, QZI_BN, qzi_index(i).text, qzi_index(i + 1).text, y,
                          QZI_CONV1X1(out, 1));
    y = qz_graph_leave(g, y);
    return stride == 1 && in == out ? qz_add(g, "skip_add", x, y, QZ_ACT_NONE) : y;
}

static qz_value backbone(qz_graph *g, qz_value x)
{
    static const struct {
        int32_t expand, out, count, stride;
    } stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 1},
                  {6, 96, 3, 1}, {6, 160, 3, 1}, {6, 320, 1, 1}};
    int32_t channels = 32, feature = 1;
    qz_graph_enter(g, "backbone");
    x = qzi_block_conv_bn_act(
        g, QZI_BN, "0", x,
        &(qz_conv2d_options){.out_channels = channels, .kernel_h = 3, .stride_h = 2}, QZ_ACT_RELU6);
    for (size_t i = 0; i < QZI_ARRAY_LEN(stages); i++)
        for (int32_t k = 0; k < stages[i].count; k++, feature++) {
            qz_graph_enter(g, "%d", (int)feature);
            x = block(g, x, channels, stages[i].out, stages[i].expand, k ? 1 : stages[i].stride,
                      feature < 8    ? 1
                      : feature < 15 ? 2
                                     : 4);
            x = qz_graph_leave(g, x);
            channels = stages[i].out;
        }
    return qz_graph_leave(g, x);
}

static qz_value conv_bn_relu(qz_graph *g, const char *scope, int32_t first, qz_value x,
                             int32_t kernel)
{
    qz_graph_enter(g, "%s", scope);
    x = qzi_block_conv_bn(
        g, QZI_BN, qzi_index(first).text, qzi_index(first + 1).text, x,
        &(qz_conv2d_options){.out_channels = 256, .kernel_h = kernel, .padding_h = kernel / 2});
    x = qz_activate(g, qzi_index(first + 2).text, x, QZ_ACT_RELU);
    return qz_graph_leave(g, x);
}

static qz_graph *network(qz_context *ctx)
{
    qz_graph *g;
    qz_value branches[2], x;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    const qz_value image = qzi_block_image_input(g);
    x = backbone(g, image);
    branches[0] = conv_bn_relu(g, "classifier.0.convs.0", 0, x, 1);
    branches[1] = qz_adaptive_avg_pool2d(g, "classifier.0.convs.1.0", x, 1, 1);
    branches[1] = conv_bn_relu(g, "classifier.0.convs.1", 1, branches[1], 1);
    branches[1] =
        qz_resize2d(g, "classifier.0.convs.1.interpolate", branches[1], x, QZ_RESIZE_BILINEAR);
    x = qz_concat(g, "classifier.0.cat", branches, 2);
    x = conv_bn_relu(g, "classifier.0.project", 0, x, 1);
    x = conv_bn_relu(g, "classifier", 1, x, 3);
    x = qz_conv2d(g, "classifier.4", x,
                  &(qz_conv2d_options){.out_channels = 21, .kernel_h = 1, .bias = true});
    qz_graph_output(g, "out", qz_resize2d(g, "out", x, image, QZ_RESIZE_BILINEAR));
    return g;
}

/* FOLDER/NAME SUFFIX in the oracle folder; a static buffer. */
static const char *data_path(const char *folder, const char *name, const char *suffix)
{
    static char path[1024];
    const char *data = getenv("QZOO_TEST_DATA");
    const int n = snprintf(path, sizeof(path), "%s/%s/%.64s%s", data ? data : "../shared/data",
                           folder, name, suffix);
    assert_in_range(n, 1, sizeof(path) - 1);
    return path;
}

static qz_model *model_of(qz_context *ctx, qz_backend backend, qz_recipe recipe)
{
    static const qz_preprocess images = {.crop_h = SIDE,
                                         .crop_w = SIDE,
                                         .resize_h = SIDE,
                                         .resize_w = SIDE,
                                         .mean = {0.5f, 0.5f, 0.5f},
                                         .std = {0.5f, 0.5f, 0.5f}};
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_model *model = NULL;
    options.weights = data_path("weights", "deeplabv3_mobilenet_v2-tfvoc", ".pth");
    options.quantize = backend != QZ_BACKEND_AUTO;
    options.backend = backend;
    options.recipe = recipe;
    if (qz_model_from_graph(ctx, "deeplabv3_mobilenet_v2", network(ctx), &images, &options,
                            &model) != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    return model;
}

/* ---- images and masks ---- */

/* Pascal VOC's number of a class of the masks (COCO's category ids); all others are background. */
static int voc_of(int coco)
{
    static const uint8_t ids[21] = {255, 5,  2,  16, 9, 44, 6,  3,  17, 62, 21,
                                    67,  18, 19, 4,  1, 64, 20, 63, 7,  72};
    for (int c = 1; c < 21; c++)
        if (ids[c] == coco)
            return c;
    return 0;
}

typedef struct sample {
    char stem[64];
    qz_image image, mask;
} sample;

static int by_stem(const void *a, const void *b)
{
    return strcmp(((const sample *)a)->stem, ((const sample *)b)->stem);
}

static size_t load_samples(qz_context *ctx, sample *samples)
{
    size_t count = 0;
    DIR *dir = opendir(data_path("coco", "masks", ""));
    for (struct dirent *entry; dir && count < IMAGES_MAX && (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".png") != 0 || dot - entry->d_name > 60)
            continue;
        snprintf(samples[count++].stem, sizeof(samples->stem), "%.*s", (int)(dot - entry->d_name),
                 entry->d_name);
    }
    if (dir)
        closedir(dir);
    qsort(samples, count, sizeof(*samples), by_stem);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(qz_image_load(ctx, data_path("coco/images", samples[i].stem, ".jpg"),
                                       &samples[i].image),
                         QZ_OK);
        assert_int_equal(
            qz_image_load(ctx, data_path("coco/masks", samples[i].stem, ".png"), &samples[i].mask),
            QZ_OK);
    }
    return count;
}

/* The class with the highest score. */
static int best_class(const float *scores, size_t pixel)
{
    int best = 0;
    for (int c = 1; c < 21; c++)
        if (scores[(size_t)c * SIDE * SIDE + pixel] > scores[(size_t)best * SIDE * SIDE + pixel])
            best = c;
    return best;
}

/* The share of all pixels of the masks whose class the model finds. */
static double pixel_accuracy(qz_context *ctx, qz_model *model, qz_precision precision,
                             const sample *samples, size_t count)
{
    qz_session *session;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    int64_t right = 0, all = 0;
    options.precision = precision;
    assert_int_equal(qz_session_create(model, &options, &session), QZ_OK);
    for (size_t i = 0; i < count; i++) {
        const qz_image *image = &samples[i].image, *mask = &samples[i].mask;
        const qz_tensor *out;
        if (qz_session_run_u8(session, image->rgb, image->width, image->height,
                              (size_t)image->width * 3) != QZ_OK)
            fail_msg("%s", qz_context_message(ctx));
        assert_int_equal(qz_session_output(session, 0, NULL, &out), QZ_OK);
        for (int32_t y = 0; y < mask->height; y++)
            for (int32_t x = 0; x < mask->width; x++) {
                const size_t row = (size_t)((2 * y + 1) * SIDE / (2 * mask->height));
                const size_t column = (size_t)((2 * x + 1) * SIDE / (2 * mask->width));
                const int want = voc_of(mask->rgb[3 * (y * mask->width + x)]);
                right += best_class(out->data, row * SIDE + column) == want;
                all++;
            }
    }
    qz_session_destroy(session);
    return (double)right / (double)all;
}

static void pascal_voc(void **state)
{
    static sample samples[IMAGES_MAX];
    qz_context *ctx;
    (void)state;
    FILE *weights = fopen(data_path("weights", "deeplabv3_mobilenet_v2-tfvoc", ".pth"), "rb");
    if (!weights) {
        printf("skipped: there are no weights\n");
        skip();
    }
    fclose(weights);
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    const size_t count = load_samples(ctx, samples);
    assert_true(count > CALIBRATION);

    qz_model *model = model_of(ctx, QZ_BACKEND_AUTO, QZ_RECIPE_DEFAULT);
    const double plain = pixel_accuracy(ctx, model, QZ_PRECISION_FP32, samples, count);
    printf("pixel accuracy of %zu images: float %.4f\n", count, plain);
    fflush(stdout);
    qz_model_destroy(model);
    for (size_t t = 0; t < trial_count; t++) {
        const char *recipe = qz_recipe_name(trials[t].recipe);
        model = model_of(ctx, trials[t].id, trials[t].recipe);
        for (size_t i = 0; i < CALIBRATION; i++) {
            const qz_image *image = &samples[i * count / CALIBRATION].image;
            assert_int_equal(qz_model_calibrate_u8(model, image->rgb, image->width, image->height,
                                                   (size_t)image->width * 3),
                             QZ_OK);
        }
        if (qz_model_convert(model) != QZ_OK)
            fail_msg("%s", qz_context_message(ctx));
        const double int8 = pixel_accuracy(ctx, model, QZ_PRECISION_INT8, samples, count);
        qz_model_info info;
        qz_model_get_info(model, &info);
        printf("pixel accuracy of %zu images: int8 %s, recipe %s %.4f (%+.4f)\n", count,
               info.backend, recipe, int8, int8 - plain);
        fflush(stdout);
        qz_model_destroy(model);
        if (!(int8 >= plain - trials[t].below))
            fail_msg("%s, recipe %s: int8 is %.4f from float", info.backend, recipe, int8 - plain);
    }
    if (!(plain >= EXPECTED))
        fail_msg("float: %.4f, below %.3f", plain, EXPECTED);
    for (size_t i = 0; i < count; i++) {
        qz_image_free(ctx, &samples[i].image);
        qz_image_free(ctx, &samples[i].mask);
    }
    qz_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pascal_voc)};
    if (argc > 1 && strcmp(argv[1], "--all") == 0)
        trial_count = QZI_ARRAY_LEN(trials);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

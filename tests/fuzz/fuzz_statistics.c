/* SPDX-License-Identifier: MIT */
/*
 * fuzz_statistics.c - libFuzzer target: statistics of calibration images. True ones are made once;
 * the input changes bytes of the header or the tensors, or cuts the file, by four bytes a change:
 * what, where (two), value. So most inputs come past the container's reader. What is still read
 * must convert.
 */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz_load.h"

#include "zoo/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIDE = 12, CHANGE = 4 };

static uint8_t *base;
static size_t base_size, header_size;

static qz_context *context(void)
{
    qz_context *ctx = NULL;
    fuzz_check(qz_context_create(NULL, &ctx) == QZ_OK);
    return ctx;
}

/* A small network, so that an input takes a millisecond: values with one scale, with scales by
 * channel, joined and added. */
static qz_model *create(qz_context *ctx, bool statistics)
{
    static const qz_preprocess recipe = {.crop_h = SIDE, .crop_w = SIDE, .std = {1, 1, 1}};
    qz_model *model = NULL;
    qz_graph *g = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.quantize = true;
    options.statistics = statistics;
    if (!statistics) {
        options.backend = QZ_BACKEND_NATIVE;
        options.recipe = QZ_RECIPE_NONE; /* others need images */
    }
    fuzz_check(qz_graph_create(ctx, &g) == QZ_OK);
    qz_value x = qz_graph_input(g, "input", 3);
    x = qz_conv2d(g, "conv1", x, &(qz_conv2d_options){.out_channels = 8, .kernel_h = 3});
    x = qz_activate(g, "swish", x, QZ_ACT_HARDSWISH);
    const qz_value y = qz_conv2d(
        g, "conv2", x,
        &(qz_conv2d_options){.out_channels = 8, .kernel_h = 3, .padding_h = 1, .groups = 8});
    x = qz_add(g, "add", x, y, QZ_ACT_RELU);
    x = qz_concat(g, "concat", (qz_value[]){x, y}, 2);
    x = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "pool", x, 1, 1));
    qz_graph_output(g, "logits", qz_linear(g, "fc", x, 5, true));
    fuzz_check(qz_model_from_graph(ctx, "net", g, &recipe, &options, &model) == QZ_OK);
    return model;
}

static void make_base(void)
{
    static float pixels[3 * SIDE * SIDE];
    char path[] = "/tmp/fuzz_statistics.XXXXXX";
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIDE, SIDE}, .data = pixels};
    qz_context *ctx = context();
    qz_model *model = create(ctx, true);
    qz_synthetic_image(0, SIDE, SIDE, pixels);
    int fd = mkstemp(path);
    fuzz_check(fd >= 0 && close(fd) == 0);
    fuzz_check(qz_model_calibrate(model, &image) == QZ_OK);
    fuzz_check(qz_model_statistics_save(model, path) == QZ_OK);
    qz_model_destroy(model);
    qz_context_destroy(ctx);

    FILE *file = fopen(path, "rb");
    fuzz_check(file && fseek(file, 0, SEEK_END) == 0);
    base_size = (size_t)ftell(file);
    rewind(file);
    base = malloc(base_size);
    fuzz_check(base && fread(base, 1, base_size, file) == base_size);
    fclose(file);
    unlink(path);
    for (int i = 0; i < 8; i++)
        header_size |= (size_t)base[i] << (8 * i);
    header_size += 8;
    fuzz_check(header_size < base_size);
}

/* The changed file's size; `bytes` holds the base. */
static size_t change(uint8_t *bytes, const uint8_t *data, size_t size)
{
    size_t end = base_size;
    for (; size >= CHANGE; data += CHANGE, size -= CHANGE) {
        size_t where = (size_t)data[1] << 8 | data[2];
        size_t at = data[0] & 1 ? header_size + where * (base_size - header_size) / 65536
                                : where % header_size;
        if ((data[0] & 0x3e) == 0x3e)
            end = at < end ? at : end;
        else
            bytes[at] = data[3];
    }
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    if (!base)
        make_base();
    int fd = memfd_create("fuzz_statistics", 0);
    fuzz_check(fd >= 0 && ftruncate(fd, (off_t)base_size) == 0);
    uint8_t *bytes = mmap(NULL, base_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fuzz_check(bytes != MAP_FAILED);
    memcpy(bytes, base, base_size);
    size_t end = change(bytes, data, size);
    munmap(bytes, base_size);
    fuzz_check(ftruncate(fd, (off_t)end) == 0);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    qz_context *ctx = context();
    qz_model *model = create(ctx, false);
    qz_status st = qz_model_statistics_load(model, path);
    fuzz_check(st != QZ_ERR_MEMORY && st != QZ_ERR_IO);
    if (st == QZ_OK)
        st = qz_model_convert(model);
    fuzz_check(st == QZ_OK || qz_context_message(ctx)[0] != '\0');
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    close(fd);
    return 0;
}

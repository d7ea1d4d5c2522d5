/* SPDX-License-Identifier: MIT */
/*
 * fuzz_saved.c - libFuzzer target: saved int8 models. A true one is made once; the input changes
 * bytes of its header or its tensors, or cuts it, by four bytes a change: what, where (two), value.
 * So most inputs come past the container's reader. What still opens must run. A single byte behind
 * the changes chooses a model of backend native, whose values have scales by channel.
 */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz_load.h"

#include "zoo/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIDE = 32, CHANGE = 4 };

typedef struct saved {
    uint8_t *bytes;
    size_t size, header_size;
} saved;

static qz_context *context(void)
{
    qz_context *ctx = NULL;
    fuzz_check(qz_context_create(NULL, &ctx) == QZ_OK);
    return ctx;
}

static saved make_base(bool native)
{
    static float pixels[3 * SIDE * SIDE];
    char path[] = "/tmp/fuzz_saved.XXXXXX";
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIDE, SIDE}, .data = pixels};
    qz_context *ctx = context();
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.quantize = true;
    options.num_classes = 1;
    options.backend = native ? QZ_BACKEND_NATIVE : QZ_BACKEND_AUTO;
    saved made = {0};
    qz_synthetic_image(0, SIDE, SIDE, pixels);
    int fd = mkstemp(path);
    fuzz_check(fd >= 0 && close(fd) == 0);
    fuzz_check(qz_model_create(ctx, native ? "mobilenet_v3_small" : "squeezenet1_1", &options,
                               &model) == QZ_OK);
    fuzz_check(qz_model_calibrate(model, &image) == QZ_OK && qz_model_convert(model) == QZ_OK);
    fuzz_check(qz_model_save(model, path) == QZ_OK);
    qz_model_destroy(model);
    qz_context_destroy(ctx);

    FILE *file = fopen(path, "rb");
    fuzz_check(file && fseek(file, 0, SEEK_END) == 0);
    made.size = (size_t)ftell(file);
    rewind(file);
    made.bytes = malloc(made.size);
    fuzz_check(made.bytes && fread(made.bytes, 1, made.size, file) == made.size);
    fclose(file);
    unlink(path);
    for (int i = 0; i < 8; i++)
        made.header_size |= (size_t)made.bytes[i] << (8 * i);
    made.header_size += 8;
    fuzz_check(made.header_size < made.size);
    return made;
}

/* The changed file's size; `bytes` holds the base. */
static size_t change(const saved *base, uint8_t *bytes, const uint8_t *data, size_t size)
{
    size_t end = base->size;
    for (; size >= CHANGE; data += CHANGE, size -= CHANGE) {
        size_t where = (size_t)data[1] << 8 | data[2];
        size_t at = data[0] & 1
                        ? base->header_size + where * (base->size - base->header_size) / 65536
                        : where % base->header_size;
        if ((data[0] & 0x3e) == 0x3e)
            end = at < end ? at : end;
        else
            bytes[at] = data[3];
    }
    return end;
}

static void run(qz_context *ctx, qz_model *model)
{
    static float pixels[3 * SIDE * SIDE];
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIDE, SIDE}, .data = pixels};
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    qz_session *session = NULL;
    qz_status st = qz_session_create(model, &options, &session);
    if (st == QZ_OK)
        st = qz_session_run(session, &image);
    fuzz_check(st == QZ_OK || qz_context_message(ctx)[0] != '\0');
    qz_session_destroy(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static saved bases[2];
    const bool native = size % CHANGE == 1;
    saved *base = &bases[native];
    char path[64];
    if (!base->bytes)
        *base = make_base(native);
    int fd = memfd_create("fuzz_saved", 0);
    fuzz_check(fd >= 0 && ftruncate(fd, (off_t)base->size) == 0);
    uint8_t *bytes = mmap(NULL, base->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fuzz_check(bytes != MAP_FAILED);
    memcpy(bytes, base->bytes, base->size);
    size_t end = change(base, bytes, data, size);
    munmap(bytes, base->size);
    fuzz_check(ftruncate(fd, (off_t)end) == 0);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    qz_context *ctx = context();
    qz_model *model = NULL;
    qz_status st = qz_model_open(ctx, path, &model);
    fuzz_check((st == QZ_OK) == (model != NULL) && st != QZ_ERR_MEMORY && st != QZ_ERR_IO);
    if (st == QZ_OK)
        run(ctx, model);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    close(fd);
    return 0;
}

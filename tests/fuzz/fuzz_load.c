/* SPDX-License-Identifier: MIT */
/* fuzz_load.c - see fuzz_load.h. */
#include "fuzz_load.h"

#include "weights/qzoo_weights.h"

#include <stdlib.h>
#include <string.h>

void fuzz_check(bool good)
{
    if (!good)
        abort();
}

/* Budget of a file this small (weights/state_dict.h), and a file that is copied. */
static size_t largest_piece;

static void *limited_alloc(void *user, size_t size, size_t align)
{
    void *ptr = NULL;
    (void)user;
    fuzz_check(size <= largest_piece);
    return posix_memalign(&ptr, align, size) == 0 ? ptr : NULL;
}

static void plain_free(void *user, void *ptr)
{
    (void)user;
    free(ptr);
}

static qz_context *context(void)
{
    static qz_context *ctx;
    if (!ctx) {
        qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
        const qz_allocator allocator = {limited_alloc, plain_free, NULL};
        options.threads = 1;
        options.allocator = &allocator;
        largest_piece = SIZE_MAX;
        fuzz_check(qz_context_create(&options, &ctx) == QZ_OK);
    }
    return ctx;
}

static volatile uint8_t sink; /* so that reading is not optimised away */

static void touch(const qz_state_dict *dict)
{
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        const qz_tensor *tensor = qz_state_dict_tensor(dict, i);
        const uint8_t *bytes = tensor->data;
        size_t size = (size_t)qz_tensor_numel(tensor) * qz_dtype_size(tensor->dtype);
        fuzz_check(qz_state_dict_find(dict, qz_state_dict_key(dict, i)) == tensor);
        fuzz_check((uintptr_t)bytes % qz_dtype_size(tensor->dtype) == 0);
        for (size_t b = 0; b < size; b++)
            sink ^= bytes[b];
    }
}

void fuzz_load(const void *bytes, size_t size)
{
    qz_context *ctx = context();
    qz_state_dict *dict = NULL;
    largest_piece = ((size_t)32 << 20) + 33 * size + 4096;
    qz_status st = qz_state_dict_parse(ctx, bytes, size, "fuzz", &dict);
    fuzz_check(st == QZ_OK || st == QZ_ERR_FORMAT || st == QZ_ERR_UNSUPPORTED);
    fuzz_check((st == QZ_OK) == (dict != NULL));
    fuzz_check(st == QZ_OK || strncmp(qz_context_message(ctx), "fuzz: ", 6) == 0);
    if (st == QZ_OK)
        touch(dict);
    qz_state_dict_destroy(dict);
}

void fuzz_load_after(const void *head, size_t head_size, const void *bytes, size_t size)
{
    uint8_t *file = malloc(head_size + size);
    fuzz_check(file != NULL);
    memcpy(file, head, head_size);
    if (size > 0)
        memcpy(file + head_size, bytes, size);
    fuzz_load(file, head_size + size);
    free(file);
}

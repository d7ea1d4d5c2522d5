/* SPDX-License-Identifier: MIT */
/*
 * fuzz_state_dict.c - libFuzzer target: no bytes may crash the readers of state dicts, make them
 * allocate more than their budget, or give a tensor that cannot be read to its last byte.
 *
 * Checksums would hide the pickle machine from a fuzzer, so every input is also tried as the pickle
 * of an archive that is right otherwise, and, when it is an archive, with its checksums put right.
 */
#include "../unit/zip_writer.h"
#include "weights/qzoo_weights.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
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
    check(size <= largest_piece);
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
    if (ctx == NULL) {
        qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
        const qz_allocator allocator = {limited_alloc, plain_free, NULL};
        options.threads = 1;
        options.allocator = &allocator;
        largest_piece = SIZE_MAX;
        check(qz_context_create(&options, &ctx) == QZ_OK);
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
        check(qz_state_dict_find(dict, qz_state_dict_key(dict, i)) == tensor);
        check((uintptr_t)bytes % qz_dtype_size(tensor->dtype) == 0);
        for (size_t b = 0; b < size; b++)
            sink ^= bytes[b];
    }
}

static void parse(const void *bytes, size_t size)
{
    qz_context *ctx = context();
    qz_state_dict *dict = NULL;
    largest_piece = ((size_t)32 << 20) + 33 * size + 4096;
    qz_status st = qz_state_dict_parse(ctx, bytes, size, "fuzz", &dict);
    check(st == QZ_OK || st == QZ_ERR_FORMAT || st == QZ_ERR_UNSUPPORTED);
    check((st == QZ_OK) == (dict != NULL));
    check(st == QZ_OK || strncmp(qz_context_message(ctx), "fuzz: ", 6) == 0);
    if (st == QZ_OK)
        touch(dict);
    qz_state_dict_destroy(dict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t storage[64] = {1, 0, 1};
    size_t zip_size;
    parse(data, size);
    if (size > 4 && memcmp(data, "PK\3\4", 4) == 0) {
        uint8_t *zip = malloc(size);
        check(zip != NULL);
        memcpy(zip, data, size);
        zip_fix_crcs(zip, size);
        parse(zip, size);
        free(zip);
    } else {
        uint8_t *zip = zip_write_pth(data, size, storage, sizeof(storage), &zip_size);
        parse(zip, zip_size);
        free(zip);
    }
    return 0;
}

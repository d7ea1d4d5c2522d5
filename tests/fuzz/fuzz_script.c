/* SPDX-License-Identifier: MIT */
/* fuzz_script.c - libFuzzer target: the text of a TorchScript class. */
#include "fuzz_load.h"

#include "weights/formats/torch_script.h"

#include <stdlib.h>
#include <string.h>

static qz_status count_call(void *user, const qzi_script_call *call, int32_t *tensor)
{
    int32_t *calls = user;
    fuzz_check(call->function[0] != '\0' && call->line > 0);
    *tensor = (*calls)++;
    return QZ_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t calls = 0;
    qzi_arena arena;
    qzi_script_value result = {0};
    char *text = malloc(size + 1);
    fuzz_check(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    qzi_arena_init(&arena, NULL);
    const qzi_script_reader reader = {
        .path = "fuzz", .arena = &arena, .user = &calls, .call = count_call};
    const qz_status st = qzi_script_read(&reader, text, &result);
    fuzz_check(st == QZ_OK || st == QZ_ERR_FORMAT || st == QZ_ERR_UNSUPPORTED);
    qzi_arena_free(&arena);
    free(text);
    return 0;
}

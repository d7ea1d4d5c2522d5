/* SPDX-License-Identifier: MIT */
/* fuzz_any.c - libFuzzer target: a file of tensors of whatever format its first bytes tell. */
#include "fuzz_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_load(data, size);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * fuzz_safetensors.c - libFuzzer target: a safetensors file whose length of the header is right
 * (the input's first byte says how much of it, in 256ths, is header), and as it comes.
 */
#include "fuzz_load.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t length[8] = {0};
    fuzz_load(data, size);
    if (size < 2)
        return 0;
    size_t header = (size - 1) * data[0] / 255;
    for (size_t i = 0; i < sizeof(length); i++)
        length[i] = (uint8_t)((uint64_t)header >> (8 * i));
    fuzz_load_after(length, sizeof(length), data + 1, size - 1);
    return 0;
}

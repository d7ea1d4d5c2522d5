/* SPDX-License-Identifier: MIT */
/* fuzz_darknet.c - libFuzzer target: darknet .weights files of each version. */
#include "fuzz_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const heads[] = {"\0\0\0\0\1\0\0\0", "\0\0\0\0\2\0\0\0", "\1\0\0\0\0\0\0\0"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        fuzz_load_after(heads[i], 8, data, size);
    return 0;
}

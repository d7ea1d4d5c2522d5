/* SPDX-License-Identifier: MIT */
/* fuzz_legacy.c - libFuzzer target: legacy .pth files after their first three pickles. */
#include "fuzz_load.h"

static const char head[] = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
                           "\x80\2M\xe9\3."
                           "\x80\2}X\x0d\0\0\0little_endian\x88s.";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_load_after(head, sizeof(head) - 1, data, size);
    return 0;
}

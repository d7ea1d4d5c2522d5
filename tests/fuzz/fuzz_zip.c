/* SPDX-License-Identifier: MIT */
/*
 * fuzz_zip.c - libFuzzer target: zip archives (.pth, TorchScript, .npz). Checksums would hide what
 * lies behind them, so every archive is also tried with its checksums put right.
 */
#include "../unit/zip_writer.h"
#include "fuzz_load.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *zip = malloc(size + 1);
    fuzz_check(zip != NULL);
    memcpy(zip, data, size);
    memcpy(zip, "PK\3\4", size < 4 ? size : 4);
    fuzz_load(zip, size);
    zip_fix_crcs(zip, size);
    fuzz_load(zip, size);
    free(zip);
    return 0;
}

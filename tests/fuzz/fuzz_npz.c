/* SPDX-License-Identifier: MIT */
/* fuzz_npz.c - libFuzzer target: an .npy file in an .npz archive that is right otherwise. */
#include "../unit/zip_writer.h"
#include "fuzz_load.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const zip_record record = {"a.npy", data, size, NULL, 0};
    size_t zip_size;
    uint8_t *zip = zip_write(&record, 1, false, &zip_size);
    fuzz_load(zip, zip_size);
    free(zip);
    return 0;
}

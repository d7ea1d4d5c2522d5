/* SPDX-License-Identifier: MIT */
/* fuzz_pickle.c - libFuzzer target: the pickle of a torch archive that is right otherwise. */
#include "../unit/zip_writer.h"
#include "fuzz_load.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t storage[64] = {1, 0, 1};
    size_t zip_size;
    uint8_t *zip = zip_write_pth(data, size, storage, sizeof(storage), &zip_size);
    fuzz_load(zip, zip_size);
    free(zip);
    return 0;
}

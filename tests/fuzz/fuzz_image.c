/* SPDX-License-Identifier: MIT */
/* fuzz_image.c - libFuzzer target: an image file, with and without its EXIF orientation. */
#include "fuzz_load.h"

#include "zoo/qzoo_image.h"

#include <stdlib.h>
#include <string.h>

static volatile uint8_t sink; /* so that reading is not optimised away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static qz_context *ctx;
    qz_image image;
    qz_image_options options = QZ_IMAGE_OPTIONS_INIT;
    if (!ctx)
        fuzz_check(qz_context_create(NULL, &ctx) == QZ_OK);
    for (int i = 0; i < 2; i++) {
        options.no_exif = i > 0;
        qz_status st = qz_image_parse_with(ctx, data, size, "fuzz", &options, &image);
        fuzz_check((st == QZ_OK) == (image.rgb != NULL));
        fuzz_check(st == QZ_OK || strncmp(qz_context_message(ctx), "fuzz: ", 6) == 0 ||
                   st == QZ_ERR_MEMORY);
        for (size_t k = 0; st == QZ_OK && k < (size_t)image.width * (size_t)image.height * 3; k++)
            sink ^= image.rgb[k];
        qz_image_free(ctx, &image);
    }
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * png_indices.c - the stored samples of a PNG file, such as masks of classes: indices into the
 * palette in place of its colors, and gray values of 1, 2 and 4 bits in place of shades.
 *
 * Indices and gray values are stored in the same way. So a copy of the file is declared gray and
 * decoded as any other image; then each shade is divided by the step between shades.
 */
#include "layers/base/memory.h"
#include "zoo/image/preprocess.h"

#include <string.h>

/* The first chunk, IHDR: 8 bytes of signature, length, name, 13 bytes, checksum. */
enum { IHDR = 12, DEPTH = 24, COLOR = 25, IHDR_CRC = 29, IHDR_END = 33 };
enum { GRAY = 0, PALETTE = 3 };

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* png: a whole file, which has been checked. */
static void declare_gray(uint8_t *png, size_t size)
{
    png[COLOR] = GRAY;
    put_u32(png + IHDR_CRC, qzi_image_crc32(png + IHDR, 17));
    /* what is transparent is said in another way there: a chunk of an unknown name is skipped */
    for (size_t at = IHDR_END; size - at >= 12;) {
        const uint8_t *p = png + at;
        const size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (length > size - at - 12)
            return;
        if (memcmp(p + 4, "tRNS", 4) == 0)
            png[at + 5] = 'X';
        at += 12 + length;
    }
}

bool qzi_image_has_indices(const uint8_t *data, size_t size)
{
    return size >= IHDR_END && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0 &&
           memcmp(data + IHDR, "IHDR", 4) == 0 &&
           (data[COLOR] == PALETTE || (data[COLOR] == GRAY && data[DEPTH] != 8));
}

qz_status qzi_image_decode_indices(const qz_context *ctx, const char *path, const uint8_t *data,
                                   size_t size, qz_image *image)
{
    const uint8_t depth = data[DEPTH];
    int64_t scans;
    if (depth == 16)
        return qzi_fail(ctx, QZ_ERR_FORMAT,
                        "%s: indices of 16 bits are not read; save it with 8 bits a pixel", path);
    const char *fault = qzi_image_fault(data, size, &scans);
    if (!fault && depth != 1 && depth != 2 && depth != 4 && depth != 8)
        fault = "the PNG file is damaged: no bits a pixel";
    if (fault)
        return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: %s", path, fault);
    uint8_t *gray = qzi_alloc(ctx, size);
    if (!gray)
        return QZ_ERR_MEMORY;
    memcpy(gray, data, size);
    declare_gray(gray, size);
    const qz_status st = qzi_image_decode(ctx, path, gray, size, image);
    qzi_free(ctx, gray);
    if (st != QZ_OK)
        return st;
    const size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    const uint8_t step = (uint8_t)(255 / ((1 << depth) - 1));
    for (size_t i = 0; step > 1 && i < bytes; i++)
        image->rgb[i] = (uint8_t)(image->rgb[i] / step);
    return QZ_OK;
}

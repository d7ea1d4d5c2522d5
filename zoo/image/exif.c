/* SPDX-License-Identifier: MIT */
/*
 * exif.c - the orientation that a camera wrote into an image file, and turning the pixels by it, as
 * Pillow's ImageOps.exif_transpose does.
 *
 * The orientation is entry 0x0112 of the first directory of a TIFF structure. That structure is in
 * the first APP1 segment "Exif" of a JPEG, in the eXIf chunk of a PNG, in the EXIF chunk of a WebP.
 * What is damaged counts as absent. Every read is within the bytes.
 */
#include "zoo/image/preprocess.h"

#include <string.h>

#define TAG_ORIENTATION 0x0112
#define UPRIGHT 1

typedef struct bytes {
    const uint8_t *data;
    size_t size;
} bytes;

/* `count` bytes as a number; false where they are not there. */
static bool number_at(bytes b, size_t at, size_t count, bool big, uint32_t *value)
{
    if (at > b.size || b.size - at < count)
        return false;
    *value = 0;
    for (size_t i = 0; i < count; i++)
        *value = *value << 8 | b.data[at + (big ? i : count - 1 - i)];
    return true;
}

/* One whole number of two or four bytes; any other value is no orientation. */
static int entry_value(bytes tiff, size_t at, bool big)
{
    uint32_t type, count, value;
    if (!number_at(tiff, at + 2, 2, big, &type) || !number_at(tiff, at + 4, 4, big, &count) ||
        count != 1)
        return UPRIGHT;
    const bool is_short = type == 3 || type == 8, is_long = type == 4 || type == 9;
    if ((!is_short && !is_long) || !number_at(tiff, at + 8, is_short ? 2 : 4, big, &value) ||
        value < 1 || value > 8)
        return UPRIGHT;
    return (int)value;
}

static int tiff_orientation(bytes tiff)
{
    static const uint8_t exif_mark[6] = "Exif\0";
    uint32_t first, count, tag;
    if (tiff.size >= 6 && memcmp(tiff.data, exif_mark, 6) == 0)
        tiff = (bytes){tiff.data + 6, tiff.size - 6};
    if (tiff.size < 8)
        return UPRIGHT;
    const bool big = tiff.data[0] == 'M';
    const char letter = big ? 'M' : 'I';
    if (tiff.data[0] != letter || tiff.data[1] != letter || tiff.data[2] + tiff.data[3] != 42 ||
        (tiff.data[2] && tiff.data[3]))
        return UPRIGHT;
    int orientation = UPRIGHT;
    if (!number_at(tiff, 4, 4, big, &first) || !number_at(tiff, first, 2, big, &count))
        return UPRIGHT;
    size_t at = (size_t)first + 2;
    for (uint32_t i = 0; i < count && at + 12 <= tiff.size; i++, at += 12) {
        if (number_at(tiff, at, 2, big, &tag) && tag == TAG_ORIENTATION)
            orientation = entry_value(tiff, at, big); /* the last one counts */
    }
    return orientation;
}

/* From the start to the first scan: segments follow one another. */
static int jpeg_orientation(bytes jpeg)
{
    size_t at = 2;
    while (at + 4 <= jpeg.size) {
        if (jpeg.data[at] != 0xff) {
            at++; /* rubbish between segments */
            continue;
        }
        const uint8_t marker = jpeg.data[at + 1];
        if (marker == 0xff || marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
            at += marker == 0xff ? 1 : 2;
            continue;
        }
        size_t length = (size_t)jpeg.data[at + 2] << 8 | jpeg.data[at + 3];
        if (marker == 0xd9 || marker == 0xda || length < 2 || length > jpeg.size - at - 2)
            break;
        if (marker == 0xe1 && length >= 8 && memcmp(jpeg.data + at + 4, "Exif", 5) == 0)
            return tiff_orientation((bytes){jpeg.data + at + 4, length - 2});
        at += 2 + length;
    }
    return UPRIGHT;
}

/*
 * Chunks of PNG (length, name, data, checksum) and of RIFF (name, length, data, a byte of padding
 * after an odd length). The last chunk of that name counts.
 */
static int chunk_orientation(bytes file, size_t at, const char *name, bool png)
{
    int orientation = UPRIGHT;
    uint32_t length;
    while (at + 8 <= file.size && number_at(file, at + (png ? 0 : 4), 4, png, &length)) {
        const uint8_t *chunk = file.data + at + (png ? 4 : 0);
        if (length > file.size - at - 8)
            break;
        if (memcmp(chunk, name, 4) == 0)
            orientation = tiff_orientation((bytes){file.data + at + 8, length});
        at += 8 + (size_t)length + (png ? 4 : length & 1);
    }
    return orientation;
}

int qzi_exif_orientation(const uint8_t *data, size_t size)
{
    const bytes file = {data, size};
    if (size >= 4 && data[0] == 0xff && data[1] == 0xd8)
        return jpeg_orientation(file);
    if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
        return chunk_orientation(file, 8, "eXIf", true);
    if (qzi_image_is_webp(data, size))
        return chunk_orientation(file, 12, "EXIF", false);
    return UPRIGHT;
}

qz_status qzi_exif_turn(const qz_context *ctx, int orientation, qz_image *image)
{
    if (orientation < 2 || orientation > 8)
        return QZ_OK;
    const size_t w = (size_t)image->width, h = (size_t)image->height;
    const bool swapped = orientation >= 5;
    /* which ends the output's first pixel comes from */
    const bool right = orientation == 2 || orientation == 3 || orientation >= 7;
    const bool bottom =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    uint8_t *turned = qzi_alloc(ctx, w * h * 3);
    if (!turned)
        return QZ_ERR_MEMORY;
    uint8_t *to = turned;
    for (size_t y = 0; y < (swapped ? w : h); y++) {
        for (size_t x = 0; x < (swapped ? h : w); x++, to += 3) {
            size_t from_x = swapped ? y : x, from_y = swapped ? x : y;
            from_x = right ? w - 1 - from_x : from_x;
            from_y = bottom ? h - 1 - from_y : from_y;
            memcpy(to, image->rgb + (from_y * w + from_x) * 3, 3);
        }
    }
    qzi_free(ctx, image->rgb);
    image->rgb = turned;
    if (swapped) {
        image->width = (int32_t)h;
        image->height = (int32_t)w;
    }
    return QZ_OK;
}

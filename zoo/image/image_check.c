/* SPDX-License-Identifier: MIT */
/*
 * image_check.c - what must be known of an image file before stb_image may see it.
 *
 * stb_image takes Huffman tables of any length into a fixed array, what a file lacks at its end it
 * fills with grey or black, and checksums it does not look at. Here the markers of a JPEG are
 * walked, exactly as stb_image walks them, so that it can meet no table that was not seen; the
 * chunks of a PNG are walked, too; and a BMP must hold its rows.
 */
#include "zoo/image/preprocess.h"

#include <stdlib.h>
#include <string.h>

#define TRUNCATED "the file is truncated"

/* The tables of a DHT segment: each has 16 counts and as many symbols as they say, 256 at most. */
static bool huffman_tables_fit(const uint8_t *p, size_t size)
{
    while (size > 0) {
        if (size < 17)
            return false;
        size_t symbols = 0;
        for (int i = 1; i <= 16; i++)
            symbols += p[i];
        if (symbols > 256 || symbols > size - 17)
            return false;
        p += 17 + symbols;
        size -= 17 + symbols;
    }
    return true;
}

/*
 * From the start marker to the end marker. In compressed data FF is followed by 0 (a literal FF),
 * by more FF (padding), by a restart marker, or by the marker that ends the scan; all other markers
 * but the end have a length. What is no marker where one is due is skipped: there stb_image skips
 * too, or gives up.
 */
static const char *jpeg_fault(const uint8_t *data, size_t size, int64_t *scans)
{
    const uint8_t *p = data, *const end = data + size;
    while (p < end && (p = memchr(p, 0xff, (size_t)(end - p)))) {
        while (p < end && *p == 0xff)
            p++;
        if (p == end)
            break;
        uint8_t marker = *p++;
        if (marker == 0xd9)
            return NULL;
        if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8))
            continue;
        if (end - p < 2)
            break;
        size_t length = (size_t)p[0] << 8 | p[1];
        if (length < 2)
            return "a JPEG segment has no length";
        if (length > (size_t)(end - p))
            break;
        if (marker == 0xc4 && !huffman_tables_fit(p + 2, length - 2))
            return "a JPEG Huffman table is damaged";
        if (marker == 0xda)
            ++*scans;
        p += length;
    }
    return TRUNCATED;
}

static int64_t little(const uint8_t *p, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << (8 * i);
    return (int32_t)value;
}

/* File header of 14 bytes, then a core header (12 bytes, 16-bit sides) or a longer one. */
static const char *bmp_fault(const uint8_t *data, size_t size)
{
    if (size < 26)
        return TRUNCATED;
    bool core = little(data + 14, 4) == 12;
    if (!core && size < 54)
        return TRUNCATED;
    int64_t offset = little(data + 10, 4);
    int64_t width = core ? little(data + 18, 2) : little(data + 18, 4);
    int64_t height = core ? little(data + 20, 2) : little(data + 22, 4);
    int64_t bits = little(data + (core ? 24 : 28), 2);
    height = height < 0 ? -height : height; /* top row first */
    if (width < 1 || height < 1 || width > QZI_IMAGE_SIDE_MAX || height > QZI_IMAGE_SIDE_MAX)
        return "a BMP of that size is not read";
    /* the last row may lack its padding */
    int64_t bytes = (width * bits + 31) / 32 * 4 * (height - 1) + (width * bits + 7) / 8;
    if (offset < 14 || offset > (int64_t)size || bytes > (int64_t)size - offset)
        return TRUNCATED;
    return NULL;
}

/* ---- PNG ---- */

uint32_t qzi_image_crc32(const uint8_t *p, size_t size)
{
    static const uint32_t nibbles[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                         0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                         0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                         0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * Chunks are length, name, data, checksum. The checksums of the chunks that make the pixels must be
 * right, as libpng and Pillow demand; of others (text, EXIF) they are not looked at. The end chunk
 * may be missing.
 */
static const char *png_fault(const uint8_t *data, size_t size)
{
    size_t at = 8;
    bool pixels = false;
    while (size - at >= 12) {
        const size_t length = big_endian(data + at);
        const uint8_t *name = data + at + 4;
        if (length > size - at - 12)
            return TRUNCATED;
        if (memcmp(name, "IEND", 4) == 0)
            break;
        const bool critical = (name[0] & 0x20) == 0;
        if (critical && qzi_image_crc32(name, length + 4) != big_endian(name + 4 + length))
            return "the PNG file is damaged: a checksum is wrong";
        pixels |= memcmp(name, "IDAT", 4) == 0;
        at += 12 + length;
    }
    return pixels ? NULL : TRUNCATED;
}

const char *qzi_image_fault(const uint8_t *data, size_t size, int64_t *scans)
{
    *scans = 0;
    if (size >= 2 && data[0] == 0xff && data[1] != 0x0a && data[1] != 0x4f)
        return jpeg_fault(data, size, scans);
    if (size >= 2 && data[0] == 'B' && data[1] == 'M')
        return bmp_fault(data, size);
    if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
        return png_fault(data, size);
    return NULL;
}

const char *qzi_image_other_kind(const uint8_t *data, size_t size)
{
    static const struct {
        size_t at;
        const char *bytes;
        size_t length;
        const char *kind;
    } marks[] = {
        {0, "GIF8", 4, "GIF"},
        {0, "II*\0", 4, "TIFF"},
        {0, "MM\0*", 4, "TIFF"},

        {4, "ftypavif", 8, "AVIF"},
        {4, "ftypavis", 8, "AVIF"},
        {4, "ftyphei", 7, "HEIC"},
        {4, "ftyphev", 7, "HEIC"},
        {4, "ftypmif1", 8, "HEIC"},
        {0, "8BPS", 4, "Photoshop"},
        {0, "\0\0\1\0", 4, "icon"},
        {4, "jP  ", 4, "JPEG 2000"},
        {0, "\xff\x4f\xff\x51", 4, "JPEG 2000"},
        {4, "JXL ", 4, "JPEG XL"},
        {0, "\xff\x0a", 2, "JPEG XL"},
        {0, "#?RADIANCE", 10, "HDR"},
        {0, "P1\n", 3, "PNM"},
        {0, "P2\n", 3, "PNM"},
        {0, "P3\n", 3, "PNM"},
        {0, "P4\n", 3, "PNM"},
        {0, "P5\n", 3, "PNM"},
        {0, "P6\n", 3, "PNM"},
    };
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
        if (size >= marks[i].at + marks[i].length &&
            memcmp(data + marks[i].at, marks[i].bytes, marks[i].length) == 0)
            return marks[i].kind;
    }
    return NULL;
}

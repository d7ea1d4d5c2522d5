/* SPDX-License-Identifier: MIT */
/* zip_writer.c - see zip_writer.h. */
#include "zip_writer.h"

#include <stdlib.h>
#include <string.h>

typedef struct buffer {
    uint8_t *data;
    size_t size;
} buffer;

static void put(buffer *b, const void *data, size_t size)
{
    uint8_t *wider = realloc(b->data, b->size + size + 1);
    if (!wider)
        abort();
    b->data = wider;
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void put_number(buffer *b, uint64_t number, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        uint8_t byte = (uint8_t)(number >> (8 * i));
        put(b, &byte, 1);
    }
}

static uint32_t crc32_bits(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320 & (0 - (crc & 1)));
    }
    return ~crc;
}

/* What local and central header have in common, from "version needed" to the extra's length. */
static void put_common(buffer *b, const zip_record *r, bool zip64, size_t extra)
{
    size_t packed = r->deflated ? r->deflated_size : r->size;
    put_number(b, zip64 ? 45 : 20, 2);
    put_number(b, 0, 2);
    put_number(b, r->deflated ? 8 : 0, 2);
    put_number(b, 0, 4);
    put_number(b, crc32_bits(r->data, r->size), 4);
    put_number(b, zip64 ? UINT32_MAX : packed, 4);
    put_number(b, zip64 ? UINT32_MAX : r->size, 4);
    put_number(b, strlen(r->name), 2);
    put_number(b, extra, 2);
}

static void put_local(buffer *b, const zip_record *r, bool zip64)
{
    size_t packed = r->deflated ? r->deflated_size : r->size;
    put(b, "PK\3\4", 4);
    put_common(b, r, zip64, zip64 ? 20 : 0);
    put(b, r->name, strlen(r->name));
    if (zip64) {
        put_number(b, 1, 2);
        put_number(b, 16, 2);
        put_number(b, r->size, 8);
        put_number(b, packed, 8);
    }
    put(b, r->deflated ? r->deflated : r->data, packed);
}

static void put_central(buffer *b, const zip_record *r, bool zip64, size_t offset)
{
    put(b, "PK\1\2", 4);
    put_number(b, 45, 2);
    put_common(b, r, zip64, zip64 ? 28 : 0);
    put_number(b, 0, 2); /* comment */
    put_number(b, 0, 8); /* volume, attributes */
    put_number(b, zip64 ? UINT32_MAX : offset, 4);
    put(b, r->name, strlen(r->name));
    if (zip64) {
        put_number(b, 1, 2);
        put_number(b, 24, 2);
        put_number(b, r->size, 8);
        put_number(b, r->deflated ? r->deflated_size : r->size, 8);
        put_number(b, offset, 8);
    }
}

uint8_t *zip_write(const zip_record *records, size_t count, bool zip64, size_t *size)
{
    buffer b = {NULL, 0};
    size_t *offsets = calloc(count + 1, sizeof(*offsets));
    if (!offsets)
        abort();
    for (size_t i = 0; i < count; i++) {
        offsets[i] = b.size;
        put_local(&b, &records[i], zip64);
    }
    size_t start = b.size;
    for (size_t i = 0; i < count; i++)
        put_central(&b, &records[i], zip64, offsets[i]);
    size_t end = b.size;
    if (zip64) {
        put(&b, "PK\6\6", 4);
        put_number(&b, 44, 8);
        put_number(&b, 45, 2);
        put_number(&b, 45, 2);
        put_number(&b, 0, 8); /* volumes */
        put_number(&b, count, 8);
        put_number(&b, count, 8);
        put_number(&b, end - start, 8);
        put_number(&b, start, 8);
        put(&b, "PK\6\7", 4);
        put_number(&b, 0, 4);
        put_number(&b, end, 8);
        put_number(&b, 1, 4);
    }
    put(&b, "PK\5\6", 4);
    put_number(&b, 0, 4); /* volumes */
    put_number(&b, zip64 ? UINT16_MAX : count, 2);
    put_number(&b, zip64 ? UINT16_MAX : count, 2);
    put_number(&b, zip64 ? UINT32_MAX : end - start, 4);
    put_number(&b, zip64 ? UINT32_MAX : start, 4);
    put_number(&b, 0, 2); /* comment */
    free(offsets);
    *size = b.size;
    return b.data;
}

uint8_t *zip_write_pth(const void *pickle, size_t pickle_size, const void *storage,
                       size_t storage_size, size_t *size)
{
    const zip_record records[] = {
        {"a/data.pkl", pickle, pickle_size, NULL, 0},
        {"a/data/0", storage, storage_size, NULL, 0},
        {"a/version", "3\n", 2, NULL, 0},
    };
    return zip_write(records, sizeof(records) / sizeof(records[0]), false, size);
}

static uint32_t get(const uint8_t *p, size_t width)
{
    uint32_t number = 0;
    for (size_t i = width; i-- > 0;)
        number = number << 8 | p[i];
    return number;
}

void zip_fix_crcs(uint8_t *zip, size_t size)
{
    for (size_t i = 0; i + 46 <= size; i++) {
        if (memcmp(zip + i, "PK\1\2", 4) != 0 || get(zip + i + 10, 2) != 0)
            continue;
        size_t length = get(zip + i + 24, 4), local = get(zip + i + 42, 4);
        if (local > size - 30)
            continue;
        size_t data = local + 30 + get(zip + local + 26, 2) + get(zip + local + 28, 2);
        if (data > size || length > size - data)
            continue;
        uint32_t crc = crc32_bits(zip + data, length);
        for (size_t b = 0; b < 4; b++)
            zip[i + 16 + b] = (uint8_t)(crc >> (8 * b));
    }
}

/* SPDX-License-Identifier: MIT */
/* deflate.c - bytes to a zlib stream, by zlib, or stored where there is no zlib. */
#include "weights/deflate.h"

#include <limits.h>

#if defined(QZ_HAVE_ZLIB)

#include <zlib.h>

static void *zlib_alloc(void *opaque, unsigned count, unsigned size)
{
    return qzi_calloc(opaque, count, size);
}

static void zlib_free(void *opaque, void *ptr)
{
    qzi_free(opaque, ptr);
}

uint8_t *qzi_deflate(const qz_context *ctx, const uint8_t *data, size_t size, int *out_size)
{
    z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = (void *)(uintptr_t)ctx};
    uint8_t *out = NULL;
    bool done = false;
    if (deflateInit(&stream, Z_DEFAULT_COMPRESSION) != Z_OK)
        return NULL;
    const size_t bound = deflateBound(&stream, (uLong)size);
    if (bound <= INT_MAX && (out = qzi_alloc(ctx, bound))) {
        stream.next_in = (Bytef *)(uintptr_t)data;
        stream.avail_in = (uInt)size;
        stream.next_out = out;
        stream.avail_out = (uInt)bound;
        done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
        *out_size = (int)stream.total_out;
    }
    deflateEnd(&stream);
    if (!done) {
        qzi_free(ctx, out);
        out = NULL;
    }
    return out;
}

#else

#include <string.h>

/* Deflate's stored blocks of up to 65535 bytes, between zlib's header and the checksum. */
uint8_t *qzi_deflate(const qz_context *ctx, const uint8_t *data, size_t size, int *out_size)
{
    enum { BLOCK = 65535 };
    const size_t blocks = QZI_MAX(QZI_DIV_UP(size, BLOCK), 1);
    const size_t bytes = 2 + blocks * 5 + size + 4;
    uint8_t *out = bytes <= INT_MAX ? qzi_alloc(ctx, bytes) : NULL;
    if (!out)
        return NULL;
    uint8_t *p = out;
    *p++ = 0x78; /* a window of 32 KiB, then the check bits of both bytes */
    *p++ = 0x01;
    uint32_t a = 1, b = 0; /* Adler-32 */
    for (size_t i = 0, at = 0; i < blocks; i++) {
        const size_t now = QZI_MIN(size - at, (size_t)BLOCK);
        *p++ = i + 1 == blocks;
        *p++ = (uint8_t)(now & 255);
        *p++ = (uint8_t)(now >> 8);
        *p++ = (uint8_t)(~now & 255);
        *p++ = (uint8_t)(~now >> 8 & 255);
        memcpy(p, data + at, now);
        for (size_t k = 0; k < now; k++) {
            a = (a + p[k]) % 65521;
            b = (b + a) % 65521;
        }
        p += now;
        at += now;
    }
    const uint32_t sum = b << 16 | a;
    for (int shift = 24; shift >= 0; shift -= 8)
        *p++ = (uint8_t)(sum >> shift);
    *out_size = (int)bytes;
    return out;
}

#endif

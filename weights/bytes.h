/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - little-endian numbers at any address, and the order of the host. Private.
 */
#ifndef QZOO_WEIGHTS_BYTES_H
#define QZOO_WEIGHTS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define QZI_BIG_ENDIAN 1
#else
#define QZI_BIG_ENDIAN 0
#endif

static inline uint16_t qzi_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t qzi_le32(const uint8_t *p)
{
    return (uint32_t)qzi_le16(p) | (uint32_t)qzi_le16(p + 2) << 16;
}

static inline uint64_t qzi_le64(const uint8_t *p)
{
    return (uint64_t)qzi_le32(p) | (uint64_t)qzi_le32(p + 4) << 32;
}

/* Copies `count` elements of `size` bytes (1, 2, 4, 8) with each element's bytes reversed. */
static inline void qzi_copy_swapped(uint8_t *to, const uint8_t *from, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++, to += size, from += size) {
        for (size_t b = 0; b < size; b++)
            to[b] = from[size - 1 - b];
    }
}

/* text.c: well-formed UTF-8 (no surrogates, no overlong forms) without a NUL. */
bool qzi_utf8_valid(const char *text, size_t size);

/*
 * text.c: sorts indices 0..count-1 in place; `before(arg, a, b)` is a strict total order. Heapsort:
 * no memory, and no input makes it slow, which is why lookups here are sorted and not hashed.
 */
void qzi_sort_indices(size_t *index, size_t count, bool (*before)(const void *, size_t, size_t),
                      const void *arg);

#endif

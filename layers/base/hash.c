/* SPDX-License-Identifier: MIT */
/* hash.c - FNV-1a, 64 bits: a fingerprint for tests and caches, not a checksum against malice. */
#include "layers/base/base.h"

uint64_t qzi_fnv1a(const void *data, size_t size, uint64_t seed)
{
    const unsigned char *bytes = data;
    uint64_t hash = seed;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * QZI_FNV_PRIME;
    return hash;
}

uint64_t qzi_fnv1a_numbers(const void *data, size_t count, size_t size, uint64_t seed)
{
    const union {
        uint16_t number;
        uint8_t first;
    } order = {.number = 1};
    if (order.first == 1)
        return qzi_fnv1a(data, count * size, seed);
    const unsigned char *bytes = data;
    for (size_t i = 0; i < count; i++)
        for (size_t b = size; b-- > 0;)
            seed = (seed ^ bytes[i * size + b]) * QZI_FNV_PRIME;
    return seed;
}

/* SPDX-License-Identifier: MIT */
/*
 * read_loop.h - the body of every vector read loop. The including file defines READ_NAME, READ_VEC,
 * READ_ZERO and READ_ADD(acc, address): acc plus the vector there.
 */
#include <string.h>

uint64_t READ_NAME(const void *data, size_t bytes)
{
    const char *at = data, *end = at + bytes;
    READ_VEC a = READ_ZERO, b = READ_ZERO, c = READ_ZERO, d = READ_ZERO;
    for (; at < end; at += 4 * sizeof(READ_VEC)) {
        a = READ_ADD(a, at);
        b = READ_ADD(b, at + sizeof(READ_VEC));
        c = READ_ADD(c, at + 2 * sizeof(READ_VEC));
        d = READ_ADD(d, at + 3 * sizeof(READ_VEC));
    }
    const READ_VEC sums[4] = {a, b, c, d};
    uint64_t words[4 * sizeof(READ_VEC) / sizeof(uint64_t)], sum = 0;
    memcpy(words, sums, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        sum += words[i];
    return sum;
}

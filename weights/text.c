/* SPDX-License-Identifier: MIT */
/*
 * text.c - two small tools of the readers: is this UTF-8, and a sort that hostile input cannot
 * slow down.
 */
#include "weights/bytes.h"

#include "layers/base/base.h"

bool qzi_utf8_valid(const char *text, size_t size)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t i = 0; i < size;) {
        size_t length = qzi_utf8_sequence(p + i, size - i);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

static void sift_down(size_t *index, size_t root, size_t count,
                      bool (*before)(const void *, size_t, size_t), const void *arg)
{
    size_t moving = index[root];
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && before(arg, index[child], index[child + 1]))
            child++;
        if (!before(arg, moving, index[child]))
            break;
        index[root] = index[child];
    }
    index[root] = moving;
}

void qzi_sort_indices(size_t *index, size_t count, bool (*before)(const void *, size_t, size_t),
                      const void *arg)
{
    for (size_t i = 0; i < count; i++)
        index[i] = i;
    for (size_t i = count / 2; i-- > 0;)
        sift_down(index, i, count, before, arg);
    for (size_t i = count; i-- > 1;) {
        size_t largest = index[0];
        index[0] = index[i];
        index[i] = largest;
        sift_down(index, 0, i, before, arg);
    }
}

/* SPDX-License-Identifier: MIT */
/* place.c - see place.h. */
#include "layers/graph/place.h"

#include <stdlib.h>
#include <string.h>

static int by_size(const void *a, const void *b)
{
    const qzi_block *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_offset(const void *a, const void *b)
{
    const qzi_block *const *x = a, *const *y = b;
    if ((*x)->offset != (*y)->offset)
        return (*x)->offset < (*y)->offset ? -1 : 1;
    return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

static bool lives_beside(const qzi_block *a, const qzi_block *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/*
 * Gives every block, in the order of the array, the lowest offset where none placed before that is
 * alive at the same time is placed. Returns the bytes that this takes; *top: the block that ends
 * there. alive: room for all blocks.
 */
static size_t place_in_order(qzi_block *blocks, size_t count, const qzi_block **alive, size_t *top)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        qzi_block *b = &blocks[i];
        size_t beside = 0, at = 0;
        for (size_t k = 0; k < i; k++) {
            if (lives_beside(&blocks[k], b))
                alive[beside++] = &blocks[k];
        }
        qsort(alive, beside, sizeof(*alive), by_offset);
        for (size_t k = 0; k < beside && alive[k]->offset < at + b->bytes; k++)
            at = QZI_MAX(at, alive[k]->offset + alive[k]->bytes);
        b->offset = at;
        if (at + b->bytes > bytes) {
            bytes = at + b->bytes;
            *top = i;
        }
    }
    return bytes;
}

static size_t liveness_of(const qzi_block *blocks, size_t count, size_t steps)
{
    size_t most = 0;
    for (size_t i = 0; i < steps; i++) {
        size_t sum = 0;
        for (size_t k = 0; k < count; k++)
            sum += blocks[k].first <= i && i <= blocks[k].last ? blocks[k].bytes : 0;
        most = QZI_MAX(most, sum);
    }
    return most;
}

qz_status qzi_place(const qz_context *ctx, qzi_block *blocks, size_t count, size_t steps,
                    int orders, size_t *bytes, size_t *liveness)
{
    const qzi_block **alive = qzi_alloc(ctx, QZI_MAX(count, (size_t)1) * sizeof(*alive));
    if (!alive)
        return QZ_ERR_MEMORY;
    qsort(blocks, count, sizeof(*blocks), by_size);
    const size_t bound = liveness_of(blocks, count, steps);
    size_t best = SIZE_MAX;
    for (int order = 0; order < orders && best > bound; order++) {
        size_t top = 0, taken = place_in_order(blocks, count, alive, &top);
        if (taken < best) {
            best = taken;
            for (size_t k = 0; k < count; k++)
                blocks[k].best = blocks[k].offset;
        }
        /* the block that found no room below goes first */
        if (count > 0) {
            const qzi_block first = blocks[top];
            memmove(&blocks[1], &blocks[0], top * sizeof(first));
            blocks[0] = first;
        }
    }
    for (size_t k = 0; k < count; k++)
        blocks[k].offset = blocks[k].best;
    qzi_free(ctx, alive);
    *bytes = best;
    *liveness = bound;
    return QZ_OK;
}

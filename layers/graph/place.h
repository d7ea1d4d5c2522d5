/* SPDX-License-Identifier: MIT */
/* place.h - places blocks of memory that are alive at different times. Private to layers/graph. */
#ifndef QZOO_LAYERS_GRAPH_PLACE_H
#define QZOO_LAYERS_GRAPH_PLACE_H

#include "layers/base/base.h"

typedef struct qzi_block {
    int64_t id; /* the caller's; decides between blocks of one size */
    size_t bytes, offset;
    size_t best;        /* offset in the best order so far */
    size_t first, last; /* steps in which it is alive, inclusive */
} qzi_block;

/*
 * Sets the offsets, and sorts the blocks. Blocks are placed largest first at the lowest offset
 * where no block alive at the same time is placed (Pisarchyk and Lee, "Efficient Memory Management
 * for Deep Neural Net Inference", greedy by size). Where that takes more than what is alive at
 * once, the block that ended highest is placed first, and so on for some orders. *bytes: what it
 * takes in all. *liveness: the most bytes alive at once in a step below `steps`.
 */
qz_status qzi_place(const qz_context *ctx, qzi_block *blocks, size_t count, size_t steps,
                    int orders, size_t *bytes, size_t *liveness);

#endif

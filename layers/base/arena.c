/* SPDX-License-Identifier: MIT */
/*
 * arena.c - many small pieces that are freed together.
 *
 * A list of blocks. A piece that does not fit into the newest block gets a new one; a piece larger
 * than a quarter block gets one of its own behind the newest, whose rest stays in use.
 */
#include "layers/base/base.h"

#include <string.h>

#define BLOCK_BYTES ((size_t)16384)
#define PIECE_ALIGN ((size_t)16)

struct qzi_arena_block {
    struct qzi_arena_block *next;
    size_t used, size; /* of the bytes behind the header */
};
#define HEADER_BYTES QZI_ROUND_UP(sizeof(struct qzi_arena_block), PIECE_ALIGN)

static struct qzi_arena_block *new_block(const qz_context *ctx, size_t size)
{
    size_t bytes;
    if (!qzi_add_size(size, HEADER_BYTES, &bytes))
        bytes = SIZE_MAX; /* no allocator has it */
    struct qzi_arena_block *block = qzi_alloc(ctx, bytes);
    if (block)
        *block = (struct qzi_arena_block){NULL, 0, size};
    return block;
}

static void *take(struct qzi_arena_block *block, size_t size)
{
    char *piece = (char *)block + HEADER_BYTES + block->used;
    block->used += size;
    return memset(piece, 0, size);
}

void qzi_arena_init(qzi_arena *arena, const qz_context *ctx)
{
    arena->ctx = ctx;
    arena->head = NULL;
}

void *qzi_arena_alloc(qzi_arena *arena, size_t size)
{
    if (size <= PTRDIFF_MAX)
        size = QZI_ROUND_UP(QZI_MAX(size, 1), PIECE_ALIGN); /* larger ones fail in qzi_alloc */
    struct qzi_arena_block *head = arena->head;
    if (head && head->size - head->used >= size)
        return take(head, size);
    bool large = size > BLOCK_BYTES / 4;
    struct qzi_arena_block *block = new_block(arena->ctx, large ? size : BLOCK_BYTES);
    if (!block)
        return NULL;
    if (large && head) {
        block->next = head->next;
        head->next = block;
    } else {
        block->next = head;
        arena->head = block;
    }
    return take(block, size);
}

char *qzi_arena_strdup(qzi_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = qzi_arena_alloc(arena, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

void qzi_arena_free(qzi_arena *arena)
{
    while (arena->head) {
        struct qzi_arena_block *block = arena->head;
        arena->head = block->next;
        qzi_free(arena->ctx, block);
    }
}

char *qzi_arena_escape(qzi_arena *arena, const char *text)
{
    const size_t size = qz_text_escape(text, NULL, 0) + 1;
    char *out = qzi_arena_alloc(arena, size);
    if (out)
        qz_text_escape(text, out, size);
    return out;
}

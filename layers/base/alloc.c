/* SPDX-License-Identifier: MIT */
/*
 * alloc.c - memory through the context's allocator, and overflow-checked sizes.
 *
 * Without a context (ctx NULL) the C library serves.
 */
#include "layers/base/context.h"
#include "layers/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From here on a block is compared with what is free before it is asked for (memory.h). */
#define LARGE ((size_t)32 << 20)

/*
 * Large blocks (weights, arenas) ask for huge pages: where weights come from DRAM, fewer walks of
 * the page table make them come faster (bench/NOTES.md). A wish only; it costs at most the rest of
 * one page.
 */
#define HUGE_PAGE ((size_t)2 << 20)

static void *libc_alloc(void *user, size_t size, size_t align)
{
    (void)user;
    void *ptr = NULL;
    const bool large = size >= HUGE_PAGE;
    if (posix_memalign(&ptr, large ? HUGE_PAGE : align, size) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (large)
        (void)madvise(ptr, size & ~(HUGE_PAGE - 1), MADV_HUGEPAGE);
#endif
    return ptr;
}

static void libc_free(void *user, void *ptr)
{
    (void)user;
    free(ptr);
}

const qz_allocator qzi_default_allocator = {libc_alloc, libc_free, NULL};

static const qz_allocator *allocator_of(const qz_context *ctx)
{
    return ctx ? &ctx->allocator : &qzi_default_allocator;
}

void *qzi_alloc(const qz_context *ctx, size_t size)
{
    const qz_allocator *a = allocator_of(ctx);
    if (size >= LARGE && qzi_check_memory(ctx, size, "out of memory: a block takes",
                                          "a smaller image, batch or model takes less") != QZ_OK)
        return NULL;
    void *ptr = size <= PTRDIFF_MAX ? a->alloc(a->user, size > 0 ? size : 1, QZI_ALIGN) : NULL;
    if (!ptr)
        (void)qzi_fail_memory(ctx, size);
    return ptr;
}

void *qzi_calloc(const qz_context *ctx, size_t count, size_t size)
{
    size_t bytes;
    if (!qzi_mul_size(count, size, &bytes))
        bytes = SIZE_MAX; /* no allocator has it */
    void *ptr = qzi_alloc(ctx, bytes);
    if (ptr)
        memset(ptr, 0, bytes);
    return ptr;
}

void *qzi_realloc(const qz_context *ctx, void *ptr, size_t old_size, size_t new_size)
{
    void *fresh = qzi_alloc(ctx, new_size);
    if (!fresh)
        return NULL;
    if (ptr) {
        memcpy(fresh, ptr, QZI_MIN(old_size, new_size));
        qzi_free(ctx, ptr);
    }
    return fresh;
}

void qzi_free(const qz_context *ctx, void *ptr)
{
    if (!ptr)
        return;
    const qz_allocator *a = allocator_of(ctx);
    a->free(a->user, ptr);
}

char *qzi_strdup(const qz_context *ctx, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = qzi_alloc(ctx, size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

char *qzi_format(const qz_context *ctx, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0)
        return NULL;
    char *text = qzi_alloc(ctx, (size_t)length + 1);
    if (!text)
        return NULL;
    va_start(args, fmt);
    vsnprintf(text, (size_t)length + 1, fmt, args);
    va_end(args);
    return text;
}

bool qzi_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool qzi_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

qz_status qzi_grow(const qz_context *ctx, void *items, size_t *capacity, size_t count,
                   size_t item_size)
{
    if (count < *capacity)
        return QZ_OK;
    size_t wanted, bytes;
    if (!qzi_mul_size(QZI_MAX(count, *capacity), 2, &wanted))
        return qzi_fail_memory(ctx, SIZE_MAX);
    wanted = QZI_MAX(wanted, 8);
    if (!qzi_mul_size(wanted, item_size, &bytes))
        bytes = SIZE_MAX;
    /* `items` points to a pointer of some type: read and written as bytes */
    void *ptr;
    memcpy(&ptr, items, sizeof(ptr));
    ptr = qzi_realloc(ctx, ptr, *capacity * item_size, bytes);
    if (!ptr)
        return QZ_ERR_MEMORY;
    memcpy(items, &ptr, sizeof(ptr));
    *capacity = wanted;
    return QZ_OK;
}

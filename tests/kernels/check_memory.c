/* SPDX-License-Identifier: MIT */
/*
 * check_memory.c - random numbers and guarded memory, of the kernel checks and of bench_kernels.
 */
#include "check_kernels.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef QZ_ARCH_X86
#include <immintrin.h>
#endif

uint64_t check_u64(check_rng *rng)
{
    uint64_t z = (rng->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

int64_t check_range(check_rng *rng, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(check_u64(rng) % (uint64_t)(hi - lo + 1));
}

bool check_one_in(check_rng *rng, int64_t n)
{
    return check_range(rng, 1, n) == 1;
}

float check_uniform(check_rng *rng, float lo, float hi)
{
    return lo + (hi - lo) * ((float)(check_u64(rng) >> 40) * 0x1p-24f);
}

static float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

float check_any_float(check_rng *rng)
{
    static const uint32_t special[] = {
        0x00000000, 0x80000000,                         /* zeros */
        0x00000001, 0x80000001, 0x007fffff, 0x807fffff, /* subnormal */
        0x00800000, 0x80800000,                         /* smallest normal */
        0x7f7fffff, 0xff7fffff,                         /* largest */
        0x7f800000, 0xff800000,                         /* infinity */
        0x7fc00000, 0xffc00000, 0x7fc12345,             /* quiet NaN */
        0x3f800000, 0xbf800000, 0x3f000000, 0x3f7fffff, 0x3f800001,
    };
    if (check_one_in(rng, 2))
        return float_of(special[check_range(rng, 0, (int64_t)QZI_ARRAY_LEN(special) - 1)]);
    uint32_t bits = (uint32_t)check_u64(rng);
    if ((bits & 0x7f800000) == 0x7f800000)
        bits |= 0x00400000; /* a signalling NaN is not what any of our inputs holds */
    return float_of(bits);
}

void check_random_bytes(check_rng *rng, void *data, size_t size)
{
    unsigned char *bytes = data;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = check_u64(rng);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

/* The pattern outside the data: never constant, so that a copied byte is seen too. */
static unsigned char canary(size_t i)
{
    return (unsigned char)(0xA5 ^ (i * 0x3D));
}

/*
 * Regions between guard pages that no buffer uses now, by their number of pages. Each region is
 * mapped once: on some machines the first touch of a page takes longer than all else that a call
 * does to it.
 */
enum { CACHED_PAGES = 64, CACHED_EACH = 96 };
static struct {
    unsigned char *pages[CACHED_EACH];
    size_t count;
} cached[CACHED_PAGES + 1];

static unsigned char *map_guarded(size_t size, size_t page)
{
    unsigned char *all = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, size, PROT_READ | PROT_WRITE) != 0)
        return NULL;
    return all + page;
}

check_buffer check_buffer_new(size_t size, size_t align, bool at_front)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    check_buffer b = {.size = size};
    b.pages_size = QZI_ROUND_UP(QZI_MAX(size, 1), page);
    const size_t count = b.pages_size / page;
    if (count <= CACHED_PAGES && cached[count].count > 0)
        b.pages = cached[count].pages[--cached[count].count];
    else
        b.pages = map_guarded(b.pages_size, page);
    if (!b.pages) {
        fprintf(stderr, "check_kernels: no memory for a buffer of %zu bytes\n", size);
        exit(2);
    }
    b.data = at_front ? b.pages : b.pages + ((b.pages_size - size) & ~(align - 1));
    for (size_t i = 0; i < b.pages_size; i++)
        b.pages[i] = canary(i);
    return b;
}

void check_buffer_free(check_buffer *buffer)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t count = buffer->pages_size / page;
    if (buffer->pages && count <= CACHED_PAGES && cached[count].count < CACHED_EACH) {
        if (buffer->readable_only)
            check_buffer_protect(buffer, false);
        cached[count].pages[cached[count].count++] = buffer->pages;
    } else if (buffer->pages) {
        munmap(buffer->pages - page, buffer->pages_size + 2 * page);
    }
    *buffer = (check_buffer){0};
}

void check_buffer_protect(check_buffer *buffer, bool readable_only)
{
    mprotect(buffer->pages, buffer->pages_size, readable_only ? PROT_READ : PROT_READ | PROT_WRITE);
    buffer->readable_only = readable_only;
}

bool check_buffer_intact(const check_buffer *buffer)
{
    size_t begin = (size_t)(buffer->data - buffer->pages), end = begin + buffer->size;
    for (size_t i = 0; i < begin; i++)
        if (buffer->pages[i] != canary(i))
            return false;
    for (size_t i = end; i < buffer->pages_size; i++)
        if (buffer->pages[i] != canary(i))
            return false;
    return true;
}

uint64_t check_fp_state(void)
{
#ifdef QZ_ARCH_X86
    return _mm_getcsr() & 0xffc0; /* all but the sticky exception flags */
#else
    return (uint64_t)fegetround();
#endif
}

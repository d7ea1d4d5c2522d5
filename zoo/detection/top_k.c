/* SPDX-License-Identifier: MIT */
/* top_k.c - the best scores, and sorting them, in memory that the caller has. */
#include "zoo/detection/boxes.h"

/* Room beyond k: so many additions are made between two cuts at least. */
#define SLACK 4096

/* Knuth's linear congruential generator (MMIX) */
#define LCG_FACTOR UINT64_C(6364136223846793005)
#define LCG_STEP UINT64_C(1442695040888963407)

static void swap(qzi_ranked *a, qzi_ranked *b)
{
    const qzi_ranked t = *a;
    *a = *b;
    *b = t;
}

/* ---- Hoare's partition, with pivots that no input can foresee but every run repeats ---- */

/* Of at least two: those before the returned place are at least as large as those from it on, and
 * neither part is empty. */
static size_t partition(qzi_ranked *list, size_t first, size_t end, uint64_t random)
{
    /* never the last, so that the second part is not empty */
    const qzi_ranked pivot = list[first + (size_t)random % (end - first - 1)];
    for (size_t i = first, j = end - 1;; i++, j--) {
        while (list[i] > pivot)
            i++;
        while (list[j] < pivot)
            j--;
        if (i >= j)
            return j + 1;
        swap(&list[i], &list[j]);
    }
}

/* The k best first, in any order. */
static void select_best(qzi_ranked *list, size_t count, size_t k)
{
    size_t first = 0, end = count;
    uint64_t random = QZI_FNV_OFFSET;
    while (end - first > 1) {
        random = random * LCG_FACTOR + LCG_STEP;
        const size_t cut = partition(list, first, end, random >> 33);
        if (cut == k)
            return;
        if (cut > k)
            end = cut;
        else
            first = cut;
    }
}

/* ---- sorting: partitions, the smaller part first so that the stack stays small ---- */

#define SMALL 16 /* numbers that are sorted by insertion */

static void insertion_sort(qzi_ranked *list, size_t first, size_t end)
{
    for (size_t i = first + 1; i < end; i++) {
        const qzi_ranked moved = list[i];
        size_t j = i;
        for (; j > first && list[j - 1] < moved; j--)
            list[j] = list[j - 1];
        list[j] = moved;
    }
}

void qzi_rank_sort(qzi_ranked *list, size_t count)
{
    struct {
        size_t first, end;
    } stack[64]; /* what is worked on is at most half of the part that was pushed before */
    size_t depth = 0, first = 0, end = count;
    uint64_t random = QZI_FNV_OFFSET;
    for (;;) {
        while (end - first > SMALL) {
            random = random * LCG_FACTOR + LCG_STEP;
            const size_t cut = partition(list, first, end, random >> 33);
            if (cut - first < end - cut) {
                stack[depth].first = cut;
                stack[depth++].end = end;
                end = cut;
            } else {
                stack[depth].first = first;
                stack[depth++].end = cut;
                first = cut;
            }
        }
        insertion_sort(list, first, end);
        if (depth == 0)
            return;
        first = stack[--depth].first;
        end = stack[depth].end;
    }
}

/* ---- the list ---- */

static void set_bar(qzi_top_k *top, qzi_ranked bar)
{
    top->bar = bar;
    top->bar_score = qzi_rank_score(bar);
}

qz_status qzi_top_k_init(const qz_context *ctx, qzi_top_k *top, size_t k, float threshold)
{
    size_t bytes;
    *top = (qzi_top_k){.k = k};
    if (!qzi_add_size(k, QZI_MAX(k, (size_t)SLACK), &top->capacity) ||
        !qzi_mul_size(top->capacity, sizeof(*top->list), &bytes))
        return qzi_fail_memory(ctx, SIZE_MAX);
    set_bar(top, qzi_rank(threshold, 0)); /* of all with this score the highest */
    top->list = qzi_alloc(ctx, bytes);
    return top->list ? QZ_OK : QZ_ERR_MEMORY;
}

void qzi_top_k_free(const qz_context *ctx, qzi_top_k *top)
{
    qzi_free(ctx, top->list);
    top->list = NULL;
}

void qzi_top_k_cut(qzi_top_k *top)
{
    if (top->count <= top->k)
        return;
    select_best(top->list, top->count, top->k);
    top->count = top->k;
    qzi_ranked least = top->bar;
    for (size_t i = 0; i < top->count; i++)
        if (i == 0 || top->list[i] < least)
            least = top->list[i];
    set_bar(top, least);
}

void qzi_top_k_finish(qzi_top_k *top)
{
    qzi_top_k_cut(top);
    qzi_rank_sort(top->list, top->count);
}

/* SPDX-License-Identifier: MIT */
/* top_k.c - the best scores, and sorting them, in memory that the caller has. */
#include "zoo/detection/boxes.h"

/* Room beyond k: so many additions are made between two cuts at least. */
#define SLACK 4096

static void swap(qzi_ranked *a, qzi_ranked *b)
{
    const qzi_ranked t = *a;
    *a = *b;
    *b = t;
}

/* ---- heap sort: a heap with the lowest on top; what is taken from it goes to the end ---- */

static void sift(qzi_ranked *heap, size_t i, size_t count)
{
    const qzi_ranked moved = heap[i];
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= moved)
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

void qzi_rank_sort(qzi_ranked *list, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(list, i, count);
    for (size_t left = count; left-- > 1;) {
        swap(&list[0], &list[left]);
        sift(list, 0, left);
    }
}

/* ---- selection: Hoare's, with pivots that no input can foresee but every run repeats ---- */

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
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const size_t cut = partition(list, first, end, random >> 33);
        if (cut == k)
            return;
        if (cut > k)
            end = cut;
        else
            first = cut;
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

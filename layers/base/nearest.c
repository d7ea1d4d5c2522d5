/* SPDX-License-Identifier: MIT */
/*
 * nearest.c - edit distance between names.
 */
#include "layers/base/nearest.h"

#include <stdio.h>
#include <string.h>

#define NEAREST_LENGTH 63

static size_t bounded_length(const char *text)
{
    size_t n = 0;
    while (n < NEAREST_LENGTH && text[n])
        n++;
    return n;
}

/* Levenshtein's: insertions, deletions and replacements that lead from a to b. */
static size_t edit_distance(const char *a, const char *b)
{
    const size_t na = bounded_length(a), nb = bounded_length(b);
    size_t row[NEAREST_LENGTH + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            const size_t gap = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            diagonal = row[j];
            row[j] = replaced < gap ? replaced : gap;
        }
    }
    return row[nb];
}

void qzi_nearest_init(qzi_nearest *nearest, const char *word)
{
    *nearest = (qzi_nearest){.word = word};
}

void qzi_nearest_add(qzi_nearest *nearest, const char *candidate)
{
    const size_t distance = edit_distance(nearest->word, candidate);
    size_t at = nearest->count;
    for (size_t i = 0; i < nearest->count; i++)
        if (strcmp(nearest->name[i], candidate) == 0)
            return;
    while (at > 0 && nearest->distance[at - 1] > distance)
        at--;
    if (at == QZI_NEAREST_MAX)
        return;
    if (nearest->count < QZI_NEAREST_MAX)
        nearest->count++;
    for (size_t i = nearest->count - 1; i > at; i--) {
        nearest->name[i] = nearest->name[i - 1];
        nearest->distance[i] = nearest->distance[i - 1];
    }
    nearest->name[at] = candidate;
    nearest->distance[at] = distance;
}

void qzi_nearest_text(const qzi_nearest *nearest, char *text, size_t size)
{
    size_t used = 0;
    if (size)
        text[0] = '\0';
    for (size_t i = 0; i < nearest->count && used < size; i++) {
        const int n = snprintf(text + used, size - used, "%s%s", i ? ", " : "", nearest->name[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

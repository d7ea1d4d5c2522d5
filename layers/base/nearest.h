/* SPDX-License-Identifier: MIT */
/*
 * nearest.h - the known names nearest to a mistyped one, for messages. Private.
 */
#ifndef QZOO_LAYERS_BASE_NEAREST_H
#define QZOO_LAYERS_BASE_NEAREST_H

#include <stddef.h>

#define QZI_NEAREST_MAX 3

typedef struct qzi_nearest {
    const char *word;
    const char *name[QZI_NEAREST_MAX]; /* nearest first; the candidates' own strings */
    size_t distance[QZI_NEAREST_MAX];
    size_t count;
} qzi_nearest;

void qzi_nearest_init(qzi_nearest *nearest, const char *word);
/* Of equally near candidates the one that came first wins. Time is bounded: only the first 63
 * bytes of the names count. */
void qzi_nearest_add(qzi_nearest *nearest, const char *candidate);
/* "a, b, c" into text; "" when there was no candidate. Cut off where it does not fit. */
void qzi_nearest_text(const qzi_nearest *nearest, char *text, size_t size);

#endif

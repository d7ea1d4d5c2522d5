/* SPDX-License-Identifier: MIT */
/* eval_drift.c - matches the objects of two models on one image, and compares their scores. */
#include "eval_drift.h"

#include "messages.h"

#include <math.h>
#include <stdlib.h>

static double area(const qz_detection *d)
{
    return ((double)d->x2 - (double)d->x1) * ((double)d->y2 - (double)d->y1);
}

static double overlap(const qz_detection *a, const qz_detection *b)
{
    const double w = fmin((double)a->x2, (double)b->x2) - fmax((double)a->x1, (double)b->x1);
    const double h = fmin((double)a->y2, (double)b->y2) - fmax((double)a->y1, (double)b->y1);
    const double both = w > 0 && h > 0 ? w * h : 0;
    const double all = area(a) + area(b) - both;
    return all > 0 ? both / all : 0;
}

/* The number of the best match that is not taken; count: there is none. */
static size_t find_match(const qz_detection *object, const qz_detection *list, size_t count,
                         const bool *taken)
{
    size_t best = count;
    double most = 0.5;
    for (size_t i = 0; i < count; i++) {
        if (taken[i] || list[i].label != object->label)
            continue;
        const double here = overlap(object, &list[i]);
        if (here > most || (best == count && here >= most)) {
            most = here;
            best = i;
        }
    }
    return best;
}

int eval_drift_add(eval_drift *drift, const qz_detection *fp32, size_t fp32_count,
                   const qz_detection *int8, size_t int8_count)
{
    const float least = (float)EVAL_DRIFT_SCORE;
    bool *taken = calloc(int8_count + 1, sizeof(*taken));
    size_t sure = 0;
    if (!taken)
        return tool_fail_memory();
    for (size_t i = 0; i < int8_count; i++)
        sure += int8[i].score >= least;
    drift->vanished += fp32_count > 0 && fp32[0].score >= least && sure == 0;
    for (size_t i = 0; i < fp32_count && fp32[i].score >= least; i++) {
        const size_t match = find_match(&fp32[i], int8, int8_count, taken);
        drift->boxes++;
        if (match == int8_count)
            continue;
        const double change = (double)int8[match].score - (double)fp32[i].score;
        taken[match] = true;
        drift->matched++;
        drift->sum += fabs(change);
        drift->signs += change;
        drift->largest = fmax(drift->largest, fabs(change));
    }
    free(taken);
    return EXIT_DONE;
}

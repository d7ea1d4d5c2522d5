/* SPDX-License-Identifier: MIT */
/* eval_drift.h - how int8 changes the scores of the objects that fp32 finds. */
#ifndef QZOO_TOOLS_EVAL_DRIFT_H
#define QZOO_TOOLS_EVAL_DRIFT_H

#include "qzoo.h"

/* Objects of fp32 from this score on are looked for among those of int8. */
#define EVAL_DRIFT_SCORE 0.25

typedef struct eval_drift {
    size_t boxes;    /* of fp32 */
    size_t matched;  /* with one of int8 */
    size_t vanished; /* images with such objects of fp32, and none of int8 at all from that score */
    double sum;      /* of the changes of the matched ones, without sign … */
    double signs;    /* … and with it: int8 minus fp32 */
    double largest;
} eval_drift;

/*
 * Adds the objects of one image. An object of fp32 matches the one of int8 of its class with the
 * largest overlap, of one half at least, that no other has; the most certain choose first.
 * EXIT_DONE, or EXIT_FAILED after a message.
 */
int eval_drift_add(eval_drift *drift, const qz_detection *fp32, size_t fp32_count,
                   const qz_detection *int8, size_t int8_count);

#endif

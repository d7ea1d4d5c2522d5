/* SPDX-License-Identifier: MIT */
/* notes.h - what looks wrong about a calibration. Private. */
#ifndef QZOO_QUANT_NOTES_H
#define QZOO_QUANT_NOTES_H

#include "quant/prepare.h"

#define QZI_NOTES_MAX 6
typedef struct qzi_notes {
    const char *list[QZI_NOTES_MAX]; /* one line each, of the arena */
    size_t count;
} qzi_notes;

/*
 * Too few images, ranges that still grow, channels that never change. The same for the same images
 * in any order. What is not known is not looked at: how ranges grow, where statistics were
 * loaded; channels, where observers have none.
 */
qz_status qzi_notes_take(const qzi_calibration *calibration, qzi_arena *arena, qzi_notes *notes);

#endif

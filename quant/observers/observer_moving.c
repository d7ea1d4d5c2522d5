/* SPDX-License-Identifier: MIT */
/*
 * observer_moving.c - a moving average of each batch's smallest and largest value, as PyTorch
 * 1.13's MovingAverageMinMaxObserver, bit for bit.
 */
#include "quant/observers/observer.h"

static qz_status observe(qzi_observer *o, const qzi_rows *rows, uint32_t threads, float min,
                         float max)
{
    (void)rows;
    (void)threads;
    o->min = o->seen ? o->min + o->averaging * (min - o->min) : min;
    o->max = o->seen ? o->max + o->averaging * (max - o->max) : max;
    return QZ_OK;
}

const qzi_observer_class qzi_observer_moving = {
    .kind = QZ_OBSERVER_MOVING,
    .name = "moving",
    .observe = observe,
};

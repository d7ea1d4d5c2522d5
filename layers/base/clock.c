/* SPDX-License-Identifier: MIT */
/* clock.c - the monotonic clock. */
#include "layers/base/base.h"

#include <time.h>

double qzi_now(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0.0;
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* SPDX-License-Identifier: MIT */
/*
 * advice.c - what to try where int8 is far from fp32.
 *
 * The limits: of the networks with real weights here, mobilenet_v2 and the squeezenets lose at most
 * 7 of 410 correct answers, above 15 dB; mobilenet_v3_small loses 122 of 411, at 3 dB
 * (bench/ACCURACY.md). Between them nothing is known, so the limits are in the middle.
 */
#include "advice.h"

#include "provenance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GOOD_DB 10.0
#define GOOD_AGREEMENT 0.85

const char *advice(const qz_model_info *info, const qz_sqnr_row *rows, size_t count,
                   double output_db, double agreement, char *text, size_t size)
{
    text[0] = '\0';
    const bool agrees = isnan(agreement) || agreement >= GOOD_AGREEMENT; /* NaN: no classifier */
    if (provenance_made_up(info, true) || (output_db >= GOOD_DB && agrees))
        return text;
    size_t used =
        (size_t)snprintf(text, size, "int8 is far from fp32 here (output %.1f dB", output_db);
    if (!isnan(agreement))
        used += (size_t)snprintf(text + used, size - used, ", top-1 agreement %.1f %%",
                                 100.0 * agreement);
    used += (size_t)snprintf(text + used, size - used,
                             "); check the preprocessing of images, calibrate on more images");
    if (strcmp(info->backend, "native") != 0 && used < size)
        used += (size_t)snprintf(text + used, size - used, ", try --backend native");
    const char *before = ", or keep the worst nodes in fp32: --exclude ";
    for (size_t i = 0, named = 0; i < count && named < 3 && used < size; i++) {
        if (!rows[i].is_int8 || !isfinite(rows[i].weight_db)) /* layers, not what follows them */
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", before, rows[i].name);
        before = ",";
        named++;
    }
    return text;
}

/* SPDX-License-Identifier: MIT */
/* advice.h - what to try where int8 is far from fp32. */
#ifndef QZOO_TOOLS_ADVICE_H
#define QZOO_TOOLS_ADVICE_H

#include "qzoo.h"

/*
 * Writes one line into `text`, or "" where int8 is near enough, or where the figures were made up.
 * `rows` are qz_model_sqnr's, worst first.
 */
const char *advice(const qz_model_info *info, const qz_sqnr_row *rows, size_t count,
                   double output_db, double agreement, char *text, size_t size);

#endif

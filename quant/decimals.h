/* SPDX-License-Identifier: MIT */
/* decimals.h - numbers inside words of options and files; the same in all locales. Private. */
#ifndef QZOO_QUANT_DECIMALS_H
#define QZOO_QUANT_DECIMALS_H

#include "layers/base/base.h"

#define QZI_MILLION 1000000

/* "99.99" in millionths: up to 3 digits, and a point with up to 6 behind it, and nothing else. */
bool qzi_decimals_parse(const char *text, int32_t *millionths);
/* The inverse, without trailing zeros. */
#define QZI_DECIMALS 16
void qzi_decimals_print(int32_t millionths, char text[QZI_DECIMALS]);

#endif

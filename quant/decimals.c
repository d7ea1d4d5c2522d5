/* SPDX-License-Identifier: MIT */
/* decimals.c - numbers inside words of options and files. */
#include "quant/decimals.h"

#include <stdio.h>

#define DECIMALS 6

bool qzi_decimals_parse(const char *text, int32_t *millionths)
{
    int32_t value = 0, digits = 0, decimals = -1;
    for (const char *p = text; *p; p++) {
        if (*p == '.' && digits > 0 && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (*p < '0' || *p > '9' || decimals == DECIMALS || (decimals < 0 && digits == 3))
            return false;
        value = 10 * value + (*p - '0');
        digits++;
        decimals += decimals >= 0;
    }
    if (digits == 0 || decimals == 0)
        return false;
    for (int32_t i = decimals < 0 ? 0 : decimals; i < DECIMALS; i++)
        value *= 10;
    *millionths = value;
    return true;
}

void qzi_decimals_print(int32_t millionths, char text[QZI_DECIMALS])
{
    const int length = snprintf(text, QZI_DECIMALS, "%d.%06d", (int)(millionths / QZI_MILLION),
                                (int)(millionths % QZI_MILLION));
    char *end = text + length;
    while (end[-1] == '0')
        *--end = '\0';
    if (end[-1] == '.')
        end[-1] = '\0';
}

/* SPDX-License-Identifier: MIT */
/* bytes_text.c - sizes as people write them. */
#include "layers/base/base.h"
#include "layers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>

qzi_bytes qzi_bytes_text(uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    qzi_bytes b;
    double value = (double)bytes / 1000;
    size_t i = 0;
    for (; i + 1 < QZI_ARRAY_LEN(units) && value >= 999.995; i++)
        value /= 1000;
    if (bytes < 1000)
        snprintf(b.text, sizeof(b.text), "%" PRIu64 " bytes", bytes);
    else
        snprintf(b.text, sizeof(b.text), "%.2f %s", value, units[i]);
    return b;
}

/* SPDX-License-Identifier: MIT */
/* text.c - small questions about text. */
#include "layers/base/base.h"

#include <string.h>

bool qzi_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

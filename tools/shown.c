/* SPDX-License-Identifier: MIT */
/* shown.c - a name in a file must not move the cursor or colour the terminal. */
#include "shown.h"

#include <stdio.h>
#include <string.h>

/* Bytes of the printable character at `s`; 0: a control character, or no UTF-8. */
static size_t printable(const unsigned char *s)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    const size_t length = s[0] >= 0xf0 && s[0] < 0xf5   ? 4
                          : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                          : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                                                        : 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if (s[0] == 0xc2 && s[1] < 0xa0) /* C1 controls */
        return 0;
    /* marks that turn the direction of text */
    if (s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
                         (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)))
        return 0;
    return length;
}

const char *shown(const char *text, char *out, size_t size)
{
    size_t used = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const size_t length = printable(s), needed = length ? length : 4;
        if (used + needed >= size)
            break;
        if (length)
            memcpy(out + used, s, length);
        else
            snprintf(out + used, 5, "\\x%02x", *s);
        used += needed;
        s += length ? length : 1;
    }
    out[used] = '\0';
    return out;
}

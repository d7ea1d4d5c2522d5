/* SPDX-License-Identifier: MIT */
/* printable.c - text of files as a terminal may show it. */
#include "layers/base/base.h"

size_t qzi_printable_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
    size_t more = s[0] >= 0xc2 && s[0] < 0xe0   ? 1
                  : s[0] >= 0xe0 && s[0] < 0xf0 ? 2
                  : s[0] >= 0xf0 && s[0] < 0xf5 ? 3
                                                : 0;
    if (more == 0)
        return 0;
    for (size_t i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    /* overlong forms, surrogates, beyond U+10FFFF, C1 controls, line and paragraph separators,
     * and the marks that change the direction of text */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90) ||
        (s[0] == 0xc2 && s[1] < 0xa0))
        return 0;
    if (s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
                         (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)))
        return 0;
    return more + 1;
}

/* Adds what still fits; *used grows by all of it. */
static void add(char *out, size_t size, size_t *used, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++, (*used)++)
        if (*used + 1 < size)
            out[*used] = bytes[i];
}

size_t qz_text_printable(const char *text, char *out, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;
    for (const char *p = text ? text : ""; *p != '\0';) {
        const uint8_t byte = (uint8_t)*p;
        const size_t length = qzi_printable_length((const unsigned char *)p);
        const char escaped[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
        if (length == 0)
            add(out, size, &used, escaped, 4);
        else
            add(out, size, &used, p, length);
        p += length == 0 ? 1 : length;
    }
    if (size > 0)
        out[QZI_MIN(used, size - 1)] = '\0';
    return used;
}

/* SPDX-License-Identifier: MIT */
/* text.c - small questions about text: its end, UTF-8, and bytes that are not UTF-8 as text. */
#include "layers/base/base.h"

#include <string.h>

bool qzi_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

size_t qzi_utf8_sequence(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return p[0] != 0;
    size_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return length;
}

bool qz_text_is_utf8(const char *text)
{
    size_t left = text ? strlen(text) : 0, length;
    for (; left > 0; text += length, left -= length) {
        length = qzi_utf8_sequence((const uint8_t *)text, left);
        if (length == 0)
            return false;
    }
    return true;
}

/* ---- bytes that are not UTF-8 ---- */

/* Adds what still fits; *used grows by all of it. */
static void put(char *out, size_t size, size_t *used, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++, (*used)++) {
        if (*used + 1 < size)
            out[*used] = bytes[i];
    }
}

/* \xe9 */
static void put_escaped(char *out, size_t size, size_t *used, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    const char escaped[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
    put(out, size, used, escaped, 4);
}

size_t qz_text_escape(const char *text, char *out, size_t size)
{
    size_t left = text ? strlen(text) : 0, used = 0;
    while (left > 0) {
        const uint8_t byte = (uint8_t)*text;
        const size_t length = qzi_utf8_sequence((const uint8_t *)text, left);
        if (length == 0)
            put_escaped(out, size, &used, byte);
        else if (byte == '\\')
            put(out, size, &used, "\\\\", 2);
        else
            put(out, size, &used, text, length);
        text += length == 0 ? 1 : length;
        left -= length == 0 ? 1 : length;
    }
    if (size > 0)
        out[QZI_MIN(used, size - 1)] = '\0';
    return used;
}

/* The value of a hexadecimal digit as qz_text_escape writes it, or -1. */
static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void qzi_text_unescape(char *text)
{
    char *to = text;
    while (*text) {
        if (text[0] == '\\' && text[1] == '\\') {
            *to++ = '\\';
            text += 2;
            continue;
        }
        /* only bytes that are no ASCII: nothing else is ever escaped */
        const int high = text[0] == '\\' && text[1] == 'x' ? digit(text[2]) : -1;
        const int low = high >= 8 ? digit(text[3]) : -1;
        *to++ = low >= 0 ? (char)(high << 4 | low) : *text;
        text += low >= 0 ? 4 : 1;
    }
    *to = '\0';
}

/* ---- what a terminal may show ---- */

/* Control characters, line and paragraph separators, and the marks that turn the direction of text
 * are well-formed, but not for a terminal. */
size_t qzi_printable_length(const unsigned char *s)
{
    const size_t left = s[0] == 0 ? 0 : s[1] == 0 ? 1 : s[2] == 0 ? 2 : s[3] == 0 ? 3 : 4;
    const size_t length = left > 0 ? qzi_utf8_sequence(s, left) : 0;
    if (length == 1)
        return s[0] >= 0x20 && s[0] != 0x7f;
    if (length == 2 && s[0] == 0xc2 && s[1] < 0xa0)
        return 0;
    if (length == 3 && s[0] == 0xe2 &&
        ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
         (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)))
        return 0;
    return length;
}

size_t qz_text_printable(const char *text, char *out, size_t size)
{
    size_t used = 0;
    for (const char *p = text ? text : ""; *p != '\0';) {
        const size_t length = qzi_printable_length((const unsigned char *)p);
        if (length == 0)
            put_escaped(out, size, &used, (uint8_t)*p);
        else
            put(out, size, &used, p, length);
        p += length == 0 ? 1 : length;
    }
    if (size > 0)
        out[QZI_MIN(used, size - 1)] = '\0';
    return used;
}

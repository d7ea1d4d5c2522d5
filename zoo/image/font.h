/* SPDX-License-Identifier: MIT */
/* font.h - the bitmap font of labels. Private. */
#ifndef QZOO_ZOO_IMAGE_FONT_H
#define QZOO_ZOO_IMAGE_FONT_H

#include <stddef.h>
#include <stdint.h>

enum { QZI_FONT_WIDTH = 5, QZI_FONT_HEIGHT = 9 };

/*
 * Moves *text behind its first character and sets *rows to the character's glyph: QZI_FONT_HEIGHT
 * rows, bit 4 of each the leftmost pixel. Characters of UTF-8 that are not printable ASCII, and
 * bytes that are no UTF-8, have the glyph of '?'. Returns the bytes that were passed; 0 at the end
 * of the text.
 */
size_t qzi_font_next(const char **text, const uint8_t **rows);
/* How many glyphs the text has. */
size_t qzi_font_count(const char *text);

#endif

/* SPDX-License-Identifier: MIT */
/* observer_word.c - observers as words of options and files; the same in all locales. */
#include "quant/observers/observer.h"

#include <stdio.h>
#include <string.h>

#define DECIMALS 6
#define UNIT 1000000 /* 10^DECIMALS */

/* "99.99" in millionths; false for anything else. */
static bool parse_percent(const char *text, int32_t *millionths)
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
    return value > 0 && value <= 100 * UNIT;
}

bool qz_observer_parse_word(const char *word, qz_observer_kind *kind, double *percentile)
{
    int32_t millionths;
    const char *percentile_name = qzi_observer_percentile.name;
    const size_t length = strlen(percentile_name);
    if (word && strncmp(word, percentile_name, length) == 0 && word[length] == ':') {
        if (!parse_percent(word + length + 1, &millionths))
            return false;
        *kind = QZ_OBSERVER_PERCENTILE;
        *percentile = (double)millionths / UNIT;
        return true;
    }
    if (!qz_observer_parse(word, kind))
        return false;
    *percentile = 0.0;
    return true;
}

void qzi_observer_word(qz_observer_kind kind, double percentile, char word[QZI_OBSERVER_WORD])
{
    const qzi_observer_class *cls = qzi_observer_class_get(kind);
    snprintf(word, QZI_OBSERVER_WORD, "%s", cls ? cls->name : "");
    if (kind != QZ_OBSERVER_PERCENTILE)
        return;
    const double percent = percentile > 0.0 ? percentile : QZ_PERCENTILE_DEFAULT;
    const int32_t millionths = (int32_t)qzi_rne(percent * UNIT);
    const int length = snprintf(word, QZI_OBSERVER_WORD, "%s:%d.%06d", cls->name,
                                (int)(millionths / UNIT), (int)(millionths % UNIT));
    char *end = word + length;
    while (end[-1] == '0')
        *--end = '\0';
    if (end[-1] == '.')
        end[-1] = '\0';
}

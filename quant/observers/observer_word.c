/* SPDX-License-Identifier: MIT */
/* observer_word.c - observers as words of options and files; the same in all locales. */
#include "quant/decimals.h"
#include "quant/observers/observer.h"

#include <stdio.h>
#include <string.h>

bool qz_observer_parse_word(const char *word, qz_observer_kind *kind, double *percentile)
{
    int32_t millionths;
    const char *percentile_name = qzi_observer_percentile.name;
    const size_t length = strlen(percentile_name);
    if (word && strncmp(word, percentile_name, length) == 0 && word[length] == ':') {
        if (!qzi_decimals_parse(word + length + 1, &millionths) || millionths == 0 ||
            millionths > 100 * QZI_MILLION)
            return false;
        *kind = QZ_OBSERVER_PERCENTILE;
        *percentile = (double)millionths / QZI_MILLION;
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
    char number[QZI_DECIMALS];
    qzi_decimals_print((int32_t)qzi_rne(percent * QZI_MILLION), number);
    snprintf(word, QZI_OBSERVER_WORD, "%s:%s", cls->name, number);
}

/* SPDX-License-Identifier: MIT */
/* eval_stats.h - how sure a measured accuracy is, and whether two models differ. */
#ifndef QZOO_TOOLS_EVAL_STATS_H
#define QZOO_TOOLS_EVAL_STATS_H

#include <stddef.h>

/*
 * Wilson's score interval of a share at 95 %: of `count` trials `correct` were right. NaN and NaN
 * where there was no trial. (E. B. Wilson, Probable inference, JASA 22, 1927.)
 */
void eval_wilson95(size_t correct, size_t count, double *low, double *high);
/*
 * McNemar's test, exact: images where only the one model is right, and where only the other is. The
 * probability that two equally good models differ at least so much: two-sided, by the binomial
 * distribution with 1/2, for any counts; 1 where they never differ.
 * (Q. McNemar, Psychometrika 12, 1947.)
 */
double eval_mcnemar(size_t only_first, size_t only_second);

#endif

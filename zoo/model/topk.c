/* SPDX-License-Identifier: MIT */
/*
 * topk.c - the best classes of a row of logits, with their softmax probabilities.
 */
#include "zoo/model/model.h"

size_t qz_topk(const qz_tensor *logits, int64_t row, size_t k, qz_top *top)
{
    if (!logits || !logits->data || !top || logits->dtype != QZ_F32 || logits->ndim != 2 ||
        row < 0 || row >= logits->dims[0] || logits->dims[1] < 1 || logits->dims[1] > INT32_MAX)
        return 0;
    int32_t classes = (int32_t)logits->dims[1];
    const float *x = (const float *)logits->data + row * classes;
    size_t count = 0;
    if (!qzi_all_finite(x, (size_t)classes))
        return 0;
    for (int32_t i = 0; i < classes; i++) { /* among equals the lower index came first */
        if (count == k && (k == 0 || x[i] <= top[k - 1].score))
            continue;
        size_t at = count < k ? count++ : k - 1;
        for (; at > 0 && x[i] > top[at - 1].score; at--)
            top[at] = top[at - 1];
        top[at] = (qz_top){.index = i, .score = x[i]};
    }
    if (count == 0)
        return 0;
    /* In double and in order of the index: the same bits on every machine. */
    qzi_fpenv env = qzi_fpenv_enter();
    double max = (double)top[0].score, sum = 0.0;
    for (int32_t i = 0; i < classes; i++)
        sum += qzi_math_exp((double)x[i] - max);
    for (size_t j = 0; j < count; j++)
        top[j].probability = (float)(qzi_math_exp((double)top[j].score - max) / sum);
    qzi_fpenv_leave(env);
    return count;
}

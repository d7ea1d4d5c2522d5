/* SPDX-License-Identifier: MIT */
/* loss.c - losses over the channels of pixels. See loss.h. */
#include "zoo/train/loss.h"

/* Pixels whose losses one thread adds up. */
#define BLOCK 64

typedef struct rows_task {
    const qzi_loss_run *r;
    const qzk_view *x, *other, *gradient;
    const qzi_cross_entropy *o;
    const int64_t *labels;
    const float *targets;
    double smoothing, temperature, total; /* what the sum is divided by */
    double (*row)(const struct rows_task *t, int64_t pixel);
    double *sums; /* of each block */
} rows_task;

static void run_blocks(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const rows_task *t = arg;
    const int64_t pixels = qzi_view_pixels(t->x);
    (void)thread;
    for (int64_t b = begin; b < end; b++) {
        double sum = 0.0;
        for (int64_t p = b * BLOCK; p < QZI_MIN((b + 1) * BLOCK, pixels); p++)
            sum += t->row(t, p);
        t->sums[b] = sum;
    }
}

/* The sum of all rows, in blocks, in order, over `total`. */
static qz_status run_rows(rows_task *t, double *loss)
{
    const qzi_loss_run *r = t->r;
    const int64_t blocks = QZI_DIV_UP(qzi_view_pixels(t->x), BLOCK);
    t->sums = qzi_calloc(r->ctx, (size_t)blocks, sizeof(*t->sums));
    if (!t->sums)
        return QZ_ERR_MEMORY;
    qzi_parallel(r->ctx, r->threads, blocks, 1, run_blocks, t);
    *loss = 0.0;
    for (int64_t b = 0; b < blocks; b++)
        *loss += t->sums[b];
    *loss = t->total > 0.0 ? *loss / t->total : 0.0;
    qzi_free(r->ctx, t->sums);
    return QZ_OK;
}

/* ln of the sum of e^(x / temperature), and the largest x. */
static double log_sum(const float *x, int32_t c, double temperature)
{
    double most = (double)x[0], sum = 0.0;
    for (int32_t k = 1; k < c; k++)
        most = QZI_MAX(most, (double)x[k]);
    for (int32_t k = 0; k < c; k++)
        sum += qzi_math_exp(((double)x[k] - most) / temperature);
    return qzi_math_log(sum) + most / temperature;
}

static void add_gradient(const rows_task *t, int64_t pixel, int32_t k, double g)
{
    float *to = qzi_view_at(t->gradient, pixel) + k;
    *to = *to + (float)(g * t->r->scale / t->total);
}

/* ---- cross entropy ---- */

static double weight_of(const rows_task *t, int64_t k)
{
    return t->o->class_weights ? (double)t->o->class_weights[k] : 1.0;
}

static bool counts(const rows_task *t, int64_t pixel)
{
    return !(t->o->has_ignore && t->labels[pixel] == t->o->ignore);
}

static double label_row(const rows_task *t, int64_t pixel)
{
    if (!counts(t, pixel))
        return 0.0;
    const int32_t c = t->x->c;
    const float *x = qzi_view_at(t->x, pixel);
    const int64_t label = t->labels[pixel];
    const double log_total = log_sum(x, c, 1.0), smooth = t->smoothing / c;
    double weights = 0.0, sum = 0.0;
    for (int32_t k = 0; k < c; k++) {
        const double w = (k == label ? 1.0 - t->smoothing : 0.0) * weight_of(t, label) +
                         smooth * weight_of(t, k);
        sum += w * (log_total - (double)x[k]);
        weights += w;
    }
    for (int32_t k = 0; k < c && t->gradient->data; k++) {
        const double w = (k == label ? 1.0 - t->smoothing : 0.0) * weight_of(t, label) +
                         smooth * weight_of(t, k);
        add_gradient(t, pixel, k, weights * qzi_math_exp((double)x[k] - log_total) - w);
    }
    return sum;
}

qz_status qzi_loss_cross_entropy(const qzi_loss_run *r, const qzi_cross_entropy *o,
                                 const qzk_view *logits, const int64_t *labels,
                                 const qzk_view *gradient, double *loss)
{
    rows_task t = {.r = r,
                   .x = logits,
                   .gradient = gradient,
                   .o = o,
                   .labels = labels,
                   .smoothing = o->smoothing,
                   .row = label_row};
    for (int64_t p = 0; p < qzi_view_pixels(logits); p++) {
        if (!counts(&t, p))
            continue;
        if (labels[p] < 0 || labels[p] >= logits->c)
            return qzi_fail(r->ctx, QZ_ERR_ARGUMENT, "label %lld is no class: there are %d",
                            (long long)labels[p], logits->c);
        t.total += weight_of(&t, labels[p]);
    }
    return run_rows(&t, loss);
}

static double soft_row(const rows_task *t, int64_t pixel)
{
    const int32_t c = t->x->c;
    const float *x = qzi_view_at(t->x, pixel), *target = t->targets + pixel * c;
    const double log_total = log_sum(x, c, 1.0);
    double weights = 0.0, sum = 0.0;
    for (int32_t k = 0; k < c; k++) {
        const double w = (double)target[k] * (1.0 - t->smoothing) + t->smoothing / c;
        sum += w * (log_total - (double)x[k]);
        weights += w;
    }
    for (int32_t k = 0; k < c && t->gradient->data; k++) {
        const double w = (double)target[k] * (1.0 - t->smoothing) + t->smoothing / c;
        add_gradient(t, pixel, k, weights * qzi_math_exp((double)x[k] - log_total) - w);
    }
    return sum;
}

qz_status qzi_loss_soft_cross_entropy(const qzi_loss_run *r, double smoothing,
                                      const qzk_view *logits, const float *targets,
                                      const qzk_view *gradient, double *loss)
{
    rows_task t = {.r = r,
                   .x = logits,
                   .gradient = gradient,
                   .targets = targets,
                   .smoothing = smoothing,
                   .total = (double)qzi_view_pixels(logits),
                   .row = soft_row};
    return run_rows(&t, loss);
}

/* ---- distillation ---- */

static double distill_row(const rows_task *t, int64_t pixel)
{
    const int32_t c = t->x->c;
    const float *x = qzi_view_at(t->x, pixel), *teacher = qzi_view_at(t->other, pixel);
    const double temperature = t->temperature;
    const double own = log_sum(x, c, temperature), theirs = log_sum(teacher, c, temperature);
    double sum = 0.0;
    for (int32_t k = 0; k < c; k++) {
        const double log_p = (double)teacher[k] / temperature - theirs, p = qzi_math_exp(log_p);
        const double log_q = (double)x[k] / temperature - own;
        sum += p * (log_p - log_q);
        if (t->gradient->data)
            add_gradient(t, pixel, k, temperature * (qzi_math_exp(log_q) - p));
    }
    return temperature * temperature * sum;
}

qz_status qzi_loss_distill(const qzi_loss_run *r, double temperature, const qzk_view *student,
                           const qzk_view *teacher, const qzk_view *gradient, double *loss)
{
    rows_task t = {.r = r,
                   .x = student,
                   .other = teacher,
                   .gradient = gradient,
                   .temperature = temperature,
                   .total = (double)qzi_view_pixels(student),
                   .row = distill_row};
    return run_rows(&t, loss);
}

static double squares_row(const rows_task *t, int64_t pixel)
{
    const float *x = qzi_view_at(t->x, pixel), *target = qzi_view_at(t->other, pixel);
    double sum = 0.0;
    for (int32_t k = 0; k < t->x->c; k++) {
        const double d = (double)x[k] - (double)target[k];
        sum += d * d;
        if (t->gradient->data)
            add_gradient(t, pixel, k, 2.0 * d);
    }
    return sum;
}

qz_status qzi_loss_squares(const qzi_loss_run *r, const qzk_view *x, const qzk_view *target,
                           const qzk_view *gradient, double *loss)
{
    rows_task t = {.r = r,
                   .x = x,
                   .other = target,
                   .gradient = gradient,
                   .total = (double)qzi_view_pixels(x) * x->c,
                   .row = squares_row};
    return run_rows(&t, loss);
}

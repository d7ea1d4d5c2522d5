/* SPDX-License-Identifier: MIT */
/*
 * dropout_grad.c - dropout and stochastic depth. What is dropped follows from the seed, the step,
 * the node and the number of the value alone, so that no mask is kept.
 */
#include "layers/grad/grad.h"

#include <string.h>

/* Number `index` of a sequence: splitmix64, as GOLDEN fills use it. */
static uint64_t random_word(uint64_t key, uint64_t index)
{
    uint64_t z = key + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t key_of(const qzi_grad_run *r)
{
    const uint64_t step = random_word(r->mode->seed, r->mode->step);
    return random_word(step, (uint64_t)r->number);
}

/* Whether value `index` is kept: with probability 1 - p. */
static bool is_kept(uint64_t key, int64_t index, float p)
{
    const float u = (float)(random_word(key, (uint64_t)index) >> 40) * 0x1p-24f;
    return !(u < p);
}

static bool acts(const qzi_node *node, const qzi_train_mode *mode)
{
    return mode->dropout && node->u.dropout.p > 0.0f;
}

/* Values of dropout; of stochastic depth images, which are kept whole. */
static void drop_pixels(const qzi_grad_run *r, const qzk_view *x, const qzk_view *y, int64_t begin,
                        int64_t end)
{
    const float p = r->node->u.dropout.p, scale = p < 1.0f ? 1.0f / (1.0f - p) : 0.0f;
    const bool depth = r->node->op == QZI_OP_STOCHASTIC_DEPTH;
    const int64_t per_image = (int64_t)x->h * x->w;
    const uint64_t key = key_of(r);
    for (int64_t i = begin; i < end; i++) {
        const float *from = qzi_view_at(x, i);
        float *to = qzi_view_at(y, i);
        const bool image = !depth || is_kept(key, i / per_image, p);
        for (int32_t c = 0; c < x->c; c++) {
            const bool kept = depth ? image : is_kept(key, i * x->c + c, p);
            to[c] = kept ? from[c] * scale : 0.0f;
        }
    }
}

static void forward_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    drop_pixels(r, &r->x[0], &r->y, begin, end);
}

static void forward(const qzi_grad_run *r)
{
    qzi_grad_pixels(r, qzi_view_pixels(&r->y), 16 * (int64_t)r->y.c, forward_pixels);
}

static void backward_pixels(const qzi_grad_run *r, int64_t begin, int64_t end)
{
    if (acts(r->node, r->mode)) {
        drop_pixels(r, &r->dy, &r->dx[0], begin, end);
        return;
    }
    for (int64_t p = begin; p < end && r->dx[0].data != r->dy.data; p++)
        memcpy(qzi_view_at(&r->dx[0], p), qzi_view_at(&r->dy, p), (size_t)r->dy.c * sizeof(float));
}

static void backward(const qzi_grad_run *r)
{
    qzi_grad_pixels(r, qzi_view_pixels(&r->dy), 16 * (int64_t)r->dy.c, backward_pixels);
}

const qzi_grad_class qzi_grad_dropout = {
    .op = QZI_OP_DROPOUT,
    .acts = acts,
    .forward = forward,
    .backward = backward,
    .in_place = true,
};

const qzi_grad_class qzi_grad_stochastic_depth = {
    .op = QZI_OP_STOCHASTIC_DEPTH,
    .acts = acts,
    .forward = forward,
    .backward = backward,
    .in_place = true,
};

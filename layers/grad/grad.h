/* SPDX-License-Identifier: MIT */
/*
 * grad.h - what each op knows of training: which values its backward reads, how it runs forward
 * where training differs (batch statistics, dropout), and its backward.
 *
 * One file an op or a few, named as in layers/ops; layers/graph/backward.c calls them through
 * qzi_grad_get. GRADIENTS.md, has the numbers. All values are float32.
 */
#ifndef QZOO_LAYERS_GRAD_GRAD_H
#define QZOO_LAYERS_GRAD_GRAD_H

#include "layers/kernels/grad.h"
#include "layers/ops/ops.h"

/* How a step runs; the same in its forward and its backward. */
typedef struct qzi_train_mode {
    bool batch_stats;  /* batch norms use the batch's statistics; else the running ones */
    bool update_stats; /* and move the running ones */
    float momentum;    /* of these: torch's, 0.1 by default there */
    bool dropout;      /* dropout and stochastic depth act */
    uint64_t seed;     /* of their random numbers, with */
    uint64_t step;     /* the number of the step */
} qzi_train_mode;

/* What the backward of a node reads: the values of inputs (bit i: input i) and its own. */
#define QZI_NEEDS_X(i) (1u << (i))
#define QZI_NEEDS_Y (1u << 31)

/* One forward or backward of a node. */
typedef struct qzi_grad_run {
    const qz_context *ctx;
    const qzk_kernels *kernels;
    const qzk_grad_kernels *grad;
    const qzi_train_mode *mode;
    const qzi_node *node;
    qz_value number; /* of the node: a part of its random numbers */
    const qzi_node *const *inputs;
    const qzk_view *x; /* the inputs' values: of the backward those that it needs */
    qzk_view y;        /* the node's value, likewise */
    /* backward: the gradient of the value, behind the fused clamp */
    qzk_view dy;
    /* backward: the gradients of the inputs; data NULL where none is needed. Of an op that is
     * in_place, the first may be dy. */
    const qzk_view *dx;
    /* backward, of an op that adds: input i's gradient has values already, to which it adds. Of
     * inputs that are one value the last one comes first. */
    const bool *add;
    /* float data; a batch norm's forward writes the running statistics */
    const qz_tensor *params[QZI_P_COUNT];
    /* backward: sums in torch's layout, to which the op adds; NULL where none is needed */
    float *dparam[QZI_P_COUNT];
    void *kept;      /* bytes of its own, from forward to backward */
    void *hook_kept; /* of a hook (layers/graph/backward.h): the bytes that are its own */
    uint32_t threads;
    void *scratch; /* one piece for all threads */
} qzi_grad_run;

typedef struct qzi_grad_class {
    qzi_op op;
    unsigned (*needs)(const qzi_node *node, const qzi_train_mode *mode); /* NULL: nothing */
    /* Whether it can run with these shapes: a message names the node. NULL: always. */
    qz_status (*check)(const qzi_grad_run *r);
    size_t (*kept)(const qzi_grad_run *r);    /* NULL: no bytes */
    size_t (*scratch)(const qzi_grad_run *r); /* of forward and backward; NULL: no bytes */
    /* NULL, or where it returns false: the op's own run */
    bool (*acts)(const qzi_node *node, const qzi_train_mode *mode);
    void (*forward)(const qzi_grad_run *r);
    void (*backward)(const qzi_grad_run *r); /* NULL: no gradient passes */
    bool in_place;                           /* the first input's gradient may overwrite dy */
    bool adds; /* it adds to gradients by itself, where `add` says so */
} qzi_grad_class;

/* Never NULL. */
const qzi_grad_class *qzi_grad_get(qzi_op op);

/* ---- what several ops share (grad.c) ---- */

static inline int64_t qzi_view_pixels(const qzk_view *v)
{
    return (int64_t)v->n * v->h * v->w;
}

static inline float *qzi_view_at(const qzk_view *v, int64_t pixel)
{
    return (float *)v->data + pixel * v->pixel_stride;
}

/* Pixels begin to end of x and y, which have the same channels. */
static inline qzk_rows qzi_grad_rows(const qzk_view *x, const qzk_view *y, int64_t begin,
                                     int64_t end)
{
    return (qzk_rows){.x = qzi_view_at(x, begin),
                      .y = qzi_view_at(y, begin),
                      .pixels = (size_t)(end - begin),
                      .c = (size_t)x->c,
                      .x_stride = x->pixel_stride,
                      .y_stride = y->pixel_stride};
}

/* fn on all pixels, shared among threads; bytes: read and written for a pixel. */
typedef void (*qzi_grad_pixels_fn)(const qzi_grad_run *r, int64_t begin, int64_t end);
void qzi_grad_pixels(const qzi_grad_run *r, int64_t pixels, int64_t bytes, qzi_grad_pixels_fn fn);

/* fn on runs of elements of dy, v and dx, which are of one size; v may be NULL. */
typedef void (*qzi_grad_elements_fn)(const qzi_grad_run *r, const float *dy, const float *v,
                                     float *dx, size_t n);
void qzi_grad_elements(const qzi_grad_run *r, const qzk_view *v, qzi_grad_elements_fn fn);

/*
 * Sums over all pixels in double, for each channel: of a, then of a * b. Blocks of QZK_SUM_PIXELS
 * pixels, added in order. b NULL: of a * a. The result is in `room`, which has the bytes of
 * qzi_grad_sums_bytes(a): sum[c], product[c].
 */
size_t qzi_grad_sums_bytes(const qzk_view *a);
const double *qzi_grad_sums(const qzi_grad_run *r, const qzk_view *a, const qzk_view *b,
                            void *room);

/* fn on parts of the channels of each image, of at most QZI_GRAD_PART channels: for what adds up
 * over pixels in an order. */
enum { QZI_GRAD_PART = 64 };
typedef void (*qzi_grad_image_fn)(const qzi_grad_run *r, int32_t image, int32_t channel,
                                  int32_t channels);
void qzi_grad_images(const qzi_grad_run *r, const qzk_view *v, qzi_grad_image_fn fn);

/* Sets channels of all pixels of an image to 0. */
void qzi_grad_clear(const qzk_view *v, int32_t image, int32_t channel, int32_t channels);

/* dy = 0 where the fused clamp of y cut its value. */
void qzi_grad_clamp(const qzi_grad_run *r, const qzk_view *dy, qz_activation act);

#define QZI_GRAD_CLASS(NAME, name) extern const qzi_grad_class qzi_grad_##name;
QZI_OP_MAP(QZI_GRAD_CLASS)
#undef QZI_GRAD_CLASS

#endif

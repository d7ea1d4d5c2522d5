/* SPDX-License-Identifier: MIT */
/* test_loss.c - losses and their gradients beside PyTorch's (gen/loss_goldens.py). */
#include "../unit/one_op.h"
#include "loss_goldens.inc"
#include "zoo/train/loss.h"

enum { ROWS = 6, CLASSES = 5, VALUES = ROWS * CLASSES, BOXES = 6 };

static const int64_t labels[] = {0, 3, 4, 255, 3, 1};
static float got[VALUES]; /* gradients */

static qzi_loss_run run_of(uint32_t threads, double scale)
{
    memset(got, 0, sizeof(got));
    return (qzi_loss_run){ctx, threads, scale};
}

static qzk_view rows(const float *x)
{
    return (qzk_view){(void *)(uintptr_t)x, ROWS, 1, 1, CLASSES, CLASSES};
}

static void compare(const char *name, double loss, double want_loss, const float *want, int n,
                    double scale)
{
    if (!(fabs(loss - want_loss) <= 1e-7 * fabs(want_loss)))
        fail_msg("%s: %.12g, not %.12g", name, loss, want_loss);
    for (int i = 0; i < n; i++)
        if (!(fabs((double)got[i] - scale * (double)want[i]) <=
              2e-7 * (1e-3 + fabs(scale * (double)want[i]))))
            fail_msg("%s, gradient %d: %.9g, not %.9g", name, i, (double)got[i],
                     scale * (double)want[i]);
}

#define COMPARE(name, n, scale) compare(#name, loss, name##_loss, name##_gradient, n, scale)

static void rows_of_classes(void **state)
{
    const qzk_view x = rows(logits), t = rows(teacher), dx = rows(got), none = {0};
    double loss;
    (void)state;
    for (uint32_t threads = 1; threads <= 3; threads += 2) {
        qzi_loss_run r = run_of(threads, 0.5);
        qzi_cross_entropy o = {.ignore = 255, .has_ignore = true};
        ASSERT_OK(ctx, qzi_loss_cross_entropy(&r, &o, &x, labels, &dx, &loss));
        COMPARE(plain, VALUES, 0.5);
        r = run_of(threads, 1.0);
        o.smoothing = 0.1;
        ASSERT_OK(ctx, qzi_loss_cross_entropy(&r, &o, &x, labels, &dx, &loss));
        COMPARE(smooth, VALUES, 1.0);
        r = run_of(threads, 2.0);
        o.smoothing = 0.2;
        o.class_weights = class_weights;
        ASSERT_OK(ctx, qzi_loss_cross_entropy(&r, &o, &x, labels, &dx, &loss));
        COMPARE(weighted, VALUES, 2.0);
        r = run_of(threads, 1.0);
        ASSERT_OK(ctx, qzi_loss_soft_cross_entropy(&r, 0.1, &x, targets, &dx, &loss));
        COMPARE(soft, VALUES, 1.0);
        r = run_of(threads, 1.0);
        ASSERT_OK(ctx, qzi_loss_distill(&r, 4.0, &x, &t, &dx, &loss));
        COMPARE(distill, VALUES, 1.0);
        r = run_of(threads, 1.0);
        ASSERT_OK(ctx, qzi_loss_squares(&r, &x, &t, &dx, &loss));
        COMPARE(squares, VALUES, 1.0);
        ASSERT_OK(ctx, qzi_loss_squares(&r, &x, &t, &none, &loss)); /* the loss alone */
        COMPARE(squares, VALUES, 1.0);
    }
}

static void elements(void **state)
{
    double loss;
    (void)state;
    qzi_loss_run r = run_of(1, 1.0);
    loss = qzi_loss_binary(&r, logits, targets, VALUES, got);
    COMPARE(binary, VALUES, 1.0);
    r = run_of(1, 0.25);
    loss = qzi_loss_focal(&r, logits, hard, VALUES, 0.25, 2.0, got);
    COMPARE(focal, VALUES, 0.25);
    r = run_of(1, 1.0);
    loss = qzi_loss_focal(&r, logits, hard, VALUES, -1.0, 1.5, got);
    COMPARE(focal_plain, VALUES, 1.0);
    r = run_of(1, 1.0);
    loss = qzi_loss_smooth_l1(&r, logits, teacher, VALUES, 0.5, got);
    COMPARE(smooth_l1, VALUES, 1.0);
    r = run_of(1, 1.0);
    loss = qzi_loss_smooth_l1(&r, logits, teacher, VALUES, 0.0, got);
    COMPARE(l1, VALUES, 1.0);
    r = run_of(1, 1.0);
    loss = qzi_loss_giou(&r, boxes, wanted, BOXES, got);
    COMPARE(giou, 4 * BOXES, 1.0);
    assert_true(qzi_loss_giou(&r, boxes, wanted, BOXES, NULL) >= loss);
}

/* Large logits neither overflow nor lose the gradient; labels that are no class are refused. */
static void corners(void **state)
{
    float values[] = {1000.0f, -1000.0f, 0.0f, 3.0f, 3.0f}, d[5] = {0};
    const qzk_view x = {values, 1, 1, 1, 5, 5}, dx = {d, 1, 1, 1, 5, 5};
    const qzi_cross_entropy plain = {0}, ignoring = {.ignore = -100, .has_ignore = true};
    const qzi_loss_run r = {ctx, 1, 1.0};
    int64_t label = 1;
    double loss;
    (void)state;
    ASSERT_OK(ctx, qzi_loss_cross_entropy(&r, &plain, &x, &label, &dx, &loss));
    assert_true(fabs(loss - 2000.0) < 1e-9 && fabsf(d[0] - 1.0f) < 1e-6f &&
                fabsf(d[1] + 1.0f) < 1e-6f);
    label = 5;
    assert_int_equal(qzi_loss_cross_entropy(&r, &plain, &x, &label, &dx, &loss), QZ_ERR_ARGUMENT);
    label = -100;
    assert_int_equal(qzi_loss_cross_entropy(&r, &plain, &x, &label, &dx, &loss), QZ_ERR_ARGUMENT);
    ASSERT_OK(ctx, qzi_loss_cross_entropy(&r, &ignoring, &x, &label, &dx, &loss));
    assert_true(fabs(loss) <= 0.0); /* nothing counts */
    loss = qzi_loss_binary(&r, values, d, 2, NULL);
    assert_true(loss < 2000.0);
    loss = qzi_loss_focal(&r, values, (const float[]){1.0f, 0.0f}, 2, 0.25, 2.0, d);
    assert_true(fabs(loss) <= 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_classes),
        cmocka_unit_test(elements),
        cmocka_unit_test(corners),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_backward.c - the backward of every op: against differences of the forward along random
 * directions, and the same bytes for every instruction set and number of threads.
 *
 * The loss is a sum of the outputs with random weights, in double. Where the output is linear in
 * what is moved, the difference is exact but for the roundings of the forward.
 */
#include "../unit/counting.h"
#include "grad_layers.h"

/* Multiples of 0.06 and an offset: 0.03 from 0, 3 and 6, and no two are equal. */
static void space(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = 0.03f + 0.06f * (float)(i - n / 3);
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t k = draw((uint32_t)i + 1);
        const float v = x[i];
        x[i] = x[k];
        x[k] = v;
    }
}

/* The sum of the outputs times weights that follow from their places. */
static double weight_of(int64_t i)
{
    const uint32_t bits = (uint32_t)i * 2654435761u;
    return (double)(bits >> 8) * 0x1p-23 - 1.0;
}

static double loss_of(qzi_backward *b, const layer *l, const qz_tensor *x, bool fill)
{
    qzk_view y, dy;
    double sum = 0.0;
    ASSERT_OK(ctx, qzi_backward_forward(b, &l->mode, x, 1));
    ASSERT_OK(ctx, qzi_backward_output(b, 0, &y, &dy));
    for (int64_t p = 0; p < qzi_view_pixels(&y); p++)
        for (int32_t c = 0; c < y.c; c++) {
            const double w = weight_of(p * y.c + c);
            sum += w * (double)qzi_view_at(&y, p)[c];
            if (fill && dy.data)
                qzi_view_at(&dy, p)[c] = (float)w;
        }
    return sum;
}

/* The derivative along a direction, by five points. */
static double difference(qzi_backward *b, const layer *l, const qz_tensor *x, float *values,
                         const float *direction, int64_t n)
{
    static const double weights[4] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    float *saved = malloc((size_t)n * sizeof(*saved));
    double sum = 0.0;
    memcpy(saved, values, (size_t)n * sizeof(*saved));
    for (int k = 0; k < 4; k++) {
        const double at = (k < 2 ? k - 2 : k - 1) * l->step;
        for (int64_t i = 0; i < n; i++)
            values[i] = (float)(saved[i] + at * direction[i]);
        sum += weights[k] * loss_of(b, l, x, false) / l->step;
    }
    memcpy(values, saved, (size_t)n * sizeof(*saved));
    free(saved);
    return sum;
}

static void check_direction(qzi_backward *b, const layer *l, const qz_tensor *x, float *values,
                            const float *gradient, int64_t n, const char *what)
{
    float *direction = malloc((size_t)n * sizeof(*direction));
    for (int round = 0; round < 4; round++) {
        double want, got = 0.0, length = 0.0, moved = 0.0;
        /* all of them, then single ones; multiples of 1/4, so that steps are exact */
        const int64_t one = round < 2 ? -1 : (int64_t)draw((uint32_t)n);
        for (int64_t i = 0; i < n; i++) {
            direction[i] = one < 0 ? 0.25f * (float)((int)draw(9) - 4) : i == one ? 1.0f : 0.0f;
            got += (double)gradient[i] * (double)direction[i];
            length += (double)gradient[i] * (double)gradient[i];
            moved += (double)direction[i] * (double)direction[i];
        }
        want = difference(b, l, x, values, direction, n);
        const double bound = l->tolerance * (1.0 + sqrt(length) * sqrt(moved)) * (one < 0 ? 1 : 4);
        if (!(fabs(got - want) <= bound))
            fail_msg("%s, %s: derivative %.9g, by differences %.9g (bound %.3g)", l->name, what,
                     got, want, bound);
    }
    free(direction);
}

static qzi_backward *start(qz_graph *g, qz_isa isa, uint32_t threads)
{
    qzi_backward *b;
    const qzi_backward_options o = {.isa = isa, .threads = threads, .input_gradients = true};
    ASSERT_OK(ctx, qzi_backward_create(g, &o, &b));
    return b;
}

/* The gradient of the input in NCHW; the caller frees it. */
static float *input_gradient(const qzi_backward *b)
{
    qzk_view v;
    ASSERT_OK(ctx, qzi_backward_input_gradient(b, 0, &v));
    const int64_t plane = (int64_t)v.h * v.w;
    float *x = malloc((size_t)(v.n * plane * v.c) * sizeof(*x));
    for (int64_t p = 0; p < v.n * plane; p++)
        for (int32_t c = 0; c < v.c; c++)
            x[(p / plane * v.c + c) * plane + p % plane] = qzi_view_at(&v, p)[c];
    return x;
}

static void check_gradients(const layer *l, qz_graph *g, qz_tensor *x)
{
    qzi_backward *b = start(g, QZ_ISA_AUTO, 1);
    loss_of(b, l, x, true);
    ASSERT_OK(ctx, qzi_backward_run(b));
    float *dx = input_gradient(b);
    check_direction(b, l, x, x->data, dx, qz_tensor_numel(x), "input");
    free(dx);
    for (size_t i = 0; i < g->param_count; i++) {
        qz_tensor *t = &g->params[i].tensor;
        const float *dw = qzi_backward_gradient(b, i);
        assert_int_equal(dw != NULL, g->params[i].trainable);
        if (dw)
            check_direction(b, l, x, t->data, dw, qz_tensor_numel(t), g->params[i].key);
    }
    qzi_backward_destroy(b);
}

/* All gradients, one after the other. */
static void gather(qz_graph *g, const layer *l, const qz_tensor *x, qz_isa isa, uint32_t threads,
                   float **all, size_t *count)
{
    qzi_backward *b = start(g, isa, threads);
    loss_of(b, l, x, true);
    ASSERT_OK(ctx, qzi_backward_run(b));
    float *dx = input_gradient(b);
    *count = (size_t)qz_tensor_numel(x);
    *all = malloc((*count) * sizeof(**all));
    memcpy(*all, dx, *count * sizeof(**all));
    free(dx);
    for (size_t i = 0; i < g->param_count; i++) {
        const float *dw = qzi_backward_gradient(b, i);
        const size_t n = dw ? (size_t)qz_tensor_numel(&g->params[i].tensor) : 0;
        *all = realloc(*all, (*count + n) * sizeof(**all));
        if (dw)
            memcpy(*all + *count, dw, n * sizeof(*dw));
        *count += n;
    }
    qzi_backward_destroy(b);
}

static void check_bytes(const layer *l, qz_graph *g, const qz_tensor *x)
{
    float *want, *got;
    size_t count, other;
    gather(g, l, x, QZ_ISA_REF, 1, &want, &count);
    for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++) {
        if (!qz_isa_available((qz_isa)isa))
            continue;
        for (uint32_t threads = 1; threads <= 3; threads += 2) {
            gather(g, l, x, (qz_isa)isa, threads, &got, &other);
            for (size_t i = 0; i < count; i++)
                if (memcmp(&want[i], &got[i], sizeof(*got)) != 0)
                    fail_msg("%s, %s, %u threads, gradient %zu: %.9g, not %.9g", l->name,
                             qz_isa_name((qz_isa)isa), threads, i, (double)got[i], (double)want[i]);
            free(got);
        }
    }
    free(want);
}

static void every_op(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(layers); i++) {
        const layer *l = &layers[i];
        qz_graph *g = make(l);
        qz_tensor x = draw_image(l->n, l->c, l->h, l->w, (qzi_qparams){0});
        if (l->spaced)
            space(x.data, qz_tensor_numel(&x));
        check_gradients(l, g, &x);
        check_bytes(l, g, &x);
        free(x.data);
        qz_graph_destroy(g);
    }
}

/* A batch of one pixel has no variance; parameters that are frozen have no gradient. */
static void refusals_and_frozen(void **state)
{
    const layer one = {"one", batch_norm, 1, 3, 1, 1, SMOOTH, .mode = BATCH};
    qzi_backward *b;
    qzk_view y, dy;
    (void)state;
    qz_graph *g = make(&one);
    qz_tensor x = draw_image(1, 3, 1, 1, (qzi_qparams){0});
    b = start(g, QZ_ISA_AUTO, 1);
    assert_int_equal(qzi_backward_forward(b, &one.mode, &x, 1), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "layer: one value for each channel"));
    assert_int_equal(qzi_backward_run(b), QZ_ERR_STATE);
    assert_int_equal(qzi_backward_output(b, 0, &y, &dy), QZ_ERR_STATE);
    const qzi_train_mode running = {0};
    ASSERT_OK(ctx, qzi_backward_forward(b, &running, &x, 1));
    ((float *)x.data)[1] = NAN;
    assert_int_equal(qzi_backward_forward(b, &running, &x, 1), QZ_ERR_NUMERIC);
    assert_int_equal(qzi_backward_forward(b, &running, &x, 2), QZ_ERR_ARGUMENT);
    qzi_backward_destroy(b);
    ((float *)x.data)[1] = 0.0f;

    /* all parameters frozen, and no gradient of the image: nothing is computed */
    const bool frozen[8] = {true, true, true, true, true, true, true, true};
    ASSERT_OK(ctx, qzi_backward_create(g, &(qzi_backward_options){.frozen = frozen}, &b));
    ASSERT_OK(ctx, qzi_backward_forward(b, &running, &x, 1));
    ASSERT_OK(ctx, qzi_backward_output(b, 0, &y, &dy));
    assert_null(dy.data);
    for (size_t i = 0; i < g->param_count; i++)
        assert_null(qzi_backward_gradient(b, i));
    ASSERT_OK(ctx, qzi_backward_run(b));
    assert_int_equal(qzi_backward_input_gradient(b, 0, &dy), QZ_ERR_STATE);
    qzi_backward_destroy(b);
    free(x.data);
    qz_graph_destroy(g);
}

/* torch's rule, by hand: the mean 0.1 of the way, the variance of a sample. */
static void running_statistics(void **state)
{
    const layer l = {"norm", batch_norm,
                     2,      1,
                     1,      2,
                     SMOOTH, .mode = {.batch_stats = true, .update_stats = true, .momentum = 0.1f}};
    float values[] = {1.0f, 2.0f, 4.0f, 9.0f};
    qz_tensor x = {.dtype = QZ_F32, .ndim = 4, .dims = {2, 1, 1, 2}, .data = values};
    (void)state;
    qz_graph *g = make(&l);
    const qzi_node *node = &g->nodes[1];
    float *mean = g->params[node->param[QZI_P_MEAN]].tensor.data;
    float *var = g->params[node->param[QZI_P_VAR]].tensor.data;
    *mean = 3.0f;
    *var = 2.0f;
    qzi_backward *b = start(g, QZ_ISA_AUTO, 2);
    ASSERT_OK(ctx, qzi_backward_forward(b, &l.mode, &x, 1));
    assert_true(fabsf(*mean - 3.1f) < 1e-6f);
    assert_true(fabsf(*var - (1.8f + 0.1f * 38.0f / 3.0f)) < 1e-6f);
    assert_int_equal(*(int64_t *)g->params[node->param[QZI_P_BATCHES]].tensor.data, 1);
    qzi_backward_destroy(b);
    qz_graph_destroy(g);
}

/* Gradients add up until they are cleared, and a plan is made anew for another size. */
static void steps(void **state)
{
    const layer l = {"block", block, 3, 5, 6, 7, .mode = {.batch_stats = true}};
    (void)state;
    qz_graph *g = make(&l);
    qz_tensor x = draw_image(3, 5, 6, 7, (qzi_qparams){0});
    qz_tensor small = draw_image(2, 5, 3, 4, (qzi_qparams){0});
    qzi_backward *b = start(g, QZ_ISA_AUTO, 2);
    float once[16], *gradient = qzi_backward_gradient(b, 0);
    for (int round = 0; round < 4; round++) {
        if (round == 2)
            qzi_backward_zero(b);
        if (round < 3) {
            loss_of(b, &l, &x, true);
            ASSERT_OK(ctx, qzi_backward_run(b));
        } else {
            loss_of(b, &l, &small, true);
            ASSERT_OK(ctx, qzi_backward_run(b));
        }
        if (round == 0)
            memcpy(once, gradient, sizeof(once));
        for (int i = 0; i < 16 && round < 3; i++)
            assert_true(fabsf(gradient[i] - (round == 1 ? 2.0f : 1.0f) * once[i]) <= 0.0f);
    }
    const qzi_backward_memory m = qzi_backward_memory_of(b);
    assert_true(m.arena >= m.liveness && m.liveness > m.kept && m.kept > 0);
    qzi_backward_destroy(b);
    free(x.data);
    free(small.data);
    qz_graph_destroy(g);
}

/* Each allocation of a step may fail: that is reported, leaks nothing, and the next try works. */
static void out_of_memory(void **state)
{
    const layer l = {"block", block, 2, 5, 6, 7, .mode = {.batch_stats = true, .dropout = true}};
    counting c = COUNTING_INIT;
    qz_context *usual = ctx;
    (void)state;
    ctx = counting_context(&c, 2);
    assert_non_null(ctx);
    qz_graph *g = make(&l);
    qz_tensor x = draw_image(2, 5, 6, 7, (qzi_qparams){0});
    qzi_backward *first = start(g, QZ_ISA_AUTO, 2); /* the context's threads are made here */
    loss_of(first, &l, &x, true);
    qzi_backward_destroy(first);
    const int64_t live = c.live;
    qz_status st = QZ_ERR_MEMORY;
    int64_t n = 0;
    for (; st == QZ_ERR_MEMORY && counting_fail(&c, n); n++) {
        qzi_backward *b = NULL;
        st = qzi_backward_create(g, &(qzi_backward_options){.threads = 2}, &b);
        if (st == QZ_OK)
            st = qzi_backward_forward(b, &l.mode, &x, 1);
        if (st == QZ_ERR_MEMORY && b) {
            c.fail_at = -1;
            ASSERT_OK(ctx, qzi_backward_forward(b, &l.mode, &x, 1));
        }
        if (b)
            qzi_backward_destroy(b);
    }
    assert_int_equal(st, QZ_OK);
    assert_true(n > 20);
    assert_int_equal(c.live, live);
    free(x.data);
    qz_graph_destroy(g);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
    ctx = usual;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op),           cmocka_unit_test(refusals_and_frozen),
        cmocka_unit_test(running_statistics), cmocka_unit_test(steps),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_by_channel.c - ops that compute values whose parameters differ by channel are within half a
 * step of the real numbers, and have the same bytes on every instruction set and number of threads.
 */
#include "by_channel.h"

#include "layers/graph/plan.h"

static const size sizes[] = {{2, 5, 6, 7}, {1, 24, 9, 8}, {2, 40, 5, 5}, {1, 72, 7, 3}};

/* ---- one op each ---- */

static void test_add(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (int k = 0; k < 4; k++) {
            const qz_activation act = k == 1 ? QZ_ACT_RELU : k == 2 ? QZ_ACT_RELU6 : QZ_ACT_NONE;
            qz_graph *g = new_graph();
            const qz_value x = input(g, &sizes[i]);
            const qz_value a = scaled(g, "a", x, false);
            const qz_value y = qz_add(g, "add", a, k == 3 ? x : scaled(g, "b", x, false), act);
            draw_q(g, y, act != QZ_ACT_NONE);
            if (act == QZ_ACT_RELU6) /* 6 is beyond the largest byte */
                for (int32_t c = 0; c < sizes[i].c; c++)
                    g->nodes[y].channel_q->scale[c] *= 0.5f;
            finish(g, y);
            check_graph(g, &sizes[i], "add");
        }
}

static void test_mul(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (int k = 0; k < 4; k++) {
            qz_graph *g = new_graph();
            const qz_value x = input(g, &sizes[i]), a = scaled(g, "a", x, false);
            qz_value b = scaled(g, "b", x, false);
            if (k == 1 || k == 2) {
                b = qz_adaptive_avg_pool2d(g, "pool", b, 1, 1);
                draw_q(g, b, false);
            }
            const qz_value y = k == 3 ? qz_mul(g, "mul", a, x) : qz_mul(g, "mul", a, b);
            if (k == 2) { /* the factor first */
                const qz_value first = g->nodes[y].in[0];
                g->nodes[y].in[0] = g->nodes[y].in[1];
                g->nodes[y].in[1] = first;
            }
            draw_q(g, y, false);
            finish(g, y);
            check_graph(g, &sizes[i], "mul");
        }
}

static void test_pools(void **state)
{
    static const qz_pool2d_options averages[] = {
        {.kernel_h = 2, .stride_h = 2},
        {.kernel_h = 3, .stride_h = 1, .padding_h = 1},
        {.kernel_h = 3, .stride_h = 2, .padding_h = 1, .count_exclude_pad = true},
        {.kernel_h = 3, .stride_h = 2, .ceil_mode = true},
    };
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (size_t k = 0; k < QZI_ARRAY_LEN(averages) + 4; k++) {
            const bool average = k < QZI_ARRAY_LEN(averages);
            qz_graph *g = new_graph();
            const qz_value x = scaled(g, "x", input(g, &sizes[i]), false);
            qz_value y;
            if (average)
                y = qz_avg_pool2d(g, "pool", x, &averages[k]);
            else if (k < QZI_ARRAY_LEN(averages) + 2)
                y = qz_adaptive_avg_pool2d(g, "pool", x, k % 2 ? 1 : 2, k % 2 ? 1 : 3);
            else /* the second one by rows, then by columns */
                y = qz_max_pool2d(g, "pool", x,
                                  &(qz_pool2d_options){.kernel_h = k % 2 ? 5 : 3,
                                                       .stride_h = 1,
                                                       .padding_h = k % 2 ? 2 : 1});
            if (g->nodes[y].op == QZI_OP_MAX_POOL2D)
                move_q(g, x, y, same);
            else
                draw_q(g, y, k == 0);
            finish(g, y);
            check_graph(g, &sizes[i], "pool");
        }
}

static void test_large_window(void **state)
{
    const size s = {1, 20, 12, 11}; /* more taps than the stack holds */
    (void)state;
    qz_graph *g = new_graph();
    const qz_value x = scaled(g, "x", input(g, &s), false);
    const qz_value y = qz_adaptive_avg_pool2d(g, "pool", x, 1, 1);
    draw_q(g, y, false);
    finish(g, y);
    check_graph(g, &s, "pool of 132 pixels");
}

static void test_affine(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (int k = 0; k < 4; k++) {
            float constants[2][512];
            qz_graph *g = new_graph();
            const qz_value x = scaled(g, "x", input(g, &sizes[i]), false);
            for (size_t c = 0; c < 2 * 512; c++)
                constants[c / 512][c % 512] = draw_float();
            const qz_value y = k == 0   ? qz_channel_affine(g, "y", x, constants[0], constants[1])
                               : k == 3 ? qz_activate(g, "y", x, QZ_ACT_RELU)
                                        : qz_batch_norm2d(g, "y", x, 1e-5f);
            if (k == 2)
                g->nodes[y].act = QZ_ACT_RELU;
            if (k == 3) {
                draw_q(g, x, true);
                move_q(g, x, y, same);
            } else {
                draw_q(g, y, k == 2);
            }
            finish(g, y);
            check_graph(g, &sizes[i], "affine");
        }
}

static void test_functions(void **state)
{
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(sizes); i++)
        for (int act = QZ_ACT_HARDSWISH; act < QZ_ACT_COUNT; act++) {
            qz_graph *g = new_graph();
            qz_value x = input(g, &sizes[i]);
            /* from one kind of value to the other, too */
            if (i != 1)
                x = scaled(g, "x", x, false);
            const qz_value y = qz_activate(g, "y", x, (qz_activation)act);
            draw_q(g, y, false);
            if (i == 2) {
                qzi_channel_q_free(ctx, g->nodes[y].channel_q);
                g->nodes[y].channel_q = NULL;
            }
            finish(g, y);
            check_graph(g, &sizes[i], qzi_act_name((qz_activation)act));
        }
}

/* Numbers with which a sum could be infinite are refused; those below are clamped. */
static void test_far_apart(void **state)
{
    static const float scales[] = {1e-37f, 1e-10f};
    const size s = {1, 8, 4, 4};
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(scales); i++)
        for (int k = 0; k < 4; k++) {
            qz_graph *g = new_graph();
            const qz_value x = scaled(g, "x", input(g, &s), false);
            const qz_value y = k == 0   ? qz_add(g, "y", x, x, QZ_ACT_NONE)
                               : k == 1 ? qz_mul(g, "y", x, x)
                               : k == 2 ? qz_adaptive_avg_pool2d(g, "y", x, 2, 2)
                                        : qz_batch_norm2d(g, "y", x, 1e-5f);
            draw_q(g, y, false);
            g->nodes[y].channel_q->scale[5] = scales[i];
            finish(g, y);
            if (i == 1) {
                check_graph(g, &s, "far apart");
                continue;
            }
            qzi_packed *packed;
            assert_int_equal(qzi_packed_create(g, QZ_ISA_REF, &packed), QZ_ERR_NUMERIC);
            assert_non_null(strstr(qz_context_message(ctx), "y: the scales of channel 5"));
            qz_graph_destroy(g);
        }
}

/* A 1x1 convolution with weights of int8, whose value is uniform. */
static qz_value conv(qz_graph *g, qz_value x, int32_t c)
{
    const qz_value y = qz_conv2d(g, "conv", x, &(qz_conv2d_options){.out_channels = c});
    qzi_node *node = &g->nodes[y];
    const size_t count = (size_t)c * (size_t)g->nodes[x].c;
    node->dtype = QZ_U8;
    node->q = (qzi_qparams){0.03f, 128};
    qzi_qweights *qw = node->qw = qzi_calloc(ctx, 1, sizeof(*qw));
    qw->w = qzi_alloc(ctx, count);
    qw->scales = qzi_alloc(ctx, (size_t)c * sizeof(float));
    qw->bias = qzi_calloc(ctx, (size_t)c, sizeof(int32_t));
    qw->bias_f32 = qzi_calloc(ctx, (size_t)c, sizeof(float));
    for (size_t i = 0; i < count; i++)
        qw->w[i] = (int8_t)((int32_t)draw(256) - 128);
    for (int32_t o = 0; o < c; o++)
        qw->scales[o] = 0.004f;
    return y;
}

/* Ops by channel follow a convolution, region by region: the bytes of passes of their own. */
static void test_followers(void **state)
{
    static const size follow_sizes[] = {{2, 24, 9, 8}, {1, 40, 14, 14}, {1, 136, 7, 7}};
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(follow_sizes); i++) {
        const size *s = &follow_sizes[i];
        qz_graph *g = new_graph();
        qzi_plan *plan;
        const qz_value x = input(g, s), side = scaled(g, "side", x, false);
        const qz_value head = conv(g, x, s->c);
        qz_value y = qz_add(g, "add", head, side, QZ_ACT_NONE);
        draw_q(g, y, false);
        y = qz_activate(g, "act", y, QZ_ACT_HARDSWISH);
        draw_q(g, y, false);
        y = scaled(g, "scaled", y, false);
        y = qz_batch_norm2d(g, "norm", y, 1e-5f);
        draw_q(g, y, false);
        finish(g, y);
        ASSERT_OK(ctx, qzi_plan_create(g, &(qzi_shape){s->n, s->h, s->w, s->c}, &plan));
        for (qz_value v = head + 1; v <= y; v++)
            assert_int_equal(plan->values[v].head, head);
        qzi_plan_destroy(plan);
        check_graph(g, s, "followers");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),       cmocka_unit_test(test_mul),
        cmocka_unit_test(test_pools),     cmocka_unit_test(test_large_window),
        cmocka_unit_test(test_affine),    cmocka_unit_test(test_functions),
        cmocka_unit_test(test_followers), cmocka_unit_test(test_far_apart),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: MIT */
/*
 * test_by_channel_moves.c - parameters by channel follow bytes that move, and nodes that are
 * copied; ops that are uniform only refuse them by name.
 */
#include "by_channel.h"

/* ---- ops that move bytes ---- */

static int32_t sliced(const qzi_node *y, int32_t c)
{
    return qzi_slice_channel(y, c);
}

static int32_t shuffled(const qzi_node *y, int32_t c)
{
    return c % 4 * (y->c / 4) + c / 4;
}

static int32_t flattened(const qzi_node *y, int32_t c)
{
    (void)y;
    return c / 6;
}

static void test_moves(void **state)
{
    const size s = {2, 24, 6, 5};
    (void)state;
    for (int k = 0; k < 8; k++) {
        qz_graph *g = new_graph();
        const qz_value in = input(g, &s);
        qz_value x = scaled(g, "x", in, false), y;
        int32_t (*from)(const qzi_node *, int32_t) = same;
        if (k < 3) {
            from = sliced;
            y = k == 2 ? qz_pick_channels(g, "y", x, 1, 2, 6)
                       : qz_slice_channels(g, "y", x, k == 0 ? 3 : 8, 9);
        } else if (k == 3) {
            from = shuffled;
            y = qz_channel_shuffle(g, "y", x, 4);
        } else if (k == 4) {
            from = flattened;
            x = qz_adaptive_avg_pool2d(g, "pool", x, 2, 3);
            draw_q(g, x, false);
            y = qz_flatten(g, "y", x);
        } else if (k == 5) {
            y = qz_stochastic_depth(g, "y", x, 0.5f);
        } else if (k == 6) {
            y = qz_dropout(g, "y", x, 0.5f);
        } else {
            const qz_value small =
                qz_max_pool2d(g, "small", in, &(qz_pool2d_options){.kernel_h = 2, .stride_h = 2});
            g->nodes[small].dtype = QZ_U8;
            g->nodes[small].q = q_in;
            y = qz_resize2d(g, "y", x, small, QZ_RESIZE_NEAREST);
        }
        move_q(g, x, y, from);
        finish(g, y);
        check_graph(g, &s, "moves");
    }
}

/* Of a value by channel, the network's own, and another one by channel; `first` channels of it. */
static void test_concat(void **state)
{
    static const int32_t firsts[] = {24, 8, 5};
    const size s = {2, 24, 6, 5};
    (void)state;
    for (size_t k = 0; k < QZI_ARRAY_LEN(firsts); k++) {
        float scale[512];
        uint8_t zero[512];
        qz_graph *g = new_graph();
        const qz_value in = input(g, &s);
        qz_value a = scaled(g, "a", in, false), parts[3];
        if (firsts[k] != 24) {
            const qz_value whole = a;
            a = qz_slice_channels(g, "slice", a, 24 - firsts[k], firsts[k]);
            move_q(g, whole, a, sliced);
        }
        parts[0] = a;
        parts[1] = in;
        parts[2] = scaled(g, "b", in, false);
        const qz_value y = qz_concat(g, "cat", parts, 3);
        size_t channel = 0;
        for (int i = 0; i < 3; i++)
            for (int32_t c = 0; c < g->nodes[parts[i]].c; c++, channel++) {
                scale[channel] = qzi_q_scale(&g->nodes[parts[i]], c);
                zero[channel] = (uint8_t)qzi_q_zero(&g->nodes[parts[i]], c);
            }
        g->nodes[y].dtype = QZ_U8;
        ASSERT_OK(ctx, qzi_node_set_channel_q(ctx, &g->nodes[y], scale, zero));
        finish(g, y);
        check_graph(g, &s, "concat");
    }
}

/* ---- what only carries them ---- */

static void add_text(void *user, const char *text)
{
    char *all = user;
    strncat(all, text, 4095 - strlen(all));
}

static void test_copies(void **state)
{
    const size s = {1, 24, 4, 4};
    char text[4096] = "";
    bool readers[3] = {false, true, false};
    qz_graph *copy;
    qz_value inserted;
    (void)state;
    qz_graph *g = new_graph();
    const qz_value y = scaled(g, "y", scaled(g, "x", input(g, &s), false), false);
    finish(g, y);
    ASSERT_OK(ctx, qzi_graph_clone(g, true, &copy));
    assert_ptr_not_equal(copy->nodes[y].channel_q, g->nodes[y].channel_q);
    assert_memory_equal(copy->nodes[y].channel_q->scale, g->nodes[y].channel_q->scale,
                        24 * sizeof(float));
    assert_memory_equal(copy->nodes[y].channel_q->zero_point, g->nodes[y].channel_q->zero_point,
                        24);
    float largest = 0.0f;
    for (int32_t c = 0; c < 24; c++)
        largest = fmaxf(largest, qzi_q_scale(&g->nodes[y], c));
    assert_true(g->nodes[y].q.scale == largest);
    qz_graph_print(g, add_text, text);
    assert_non_null(strstr(text, "uint8 by channel"));
    qz_node_info info;
    qz_graph_node_at(g, (size_t)y, &info);
    assert_true(info.by_channel);
    qz_graph_node_at(g, 0, &info);
    assert_false(info.by_channel);
    /* nodes move, and their parameters with them */
    ASSERT_OK(ctx, qzi_graph_insert(copy, 0, QZI_OP_DROPOUT, "drop", readers, false, &inserted));
    copy->nodes[inserted].dtype = QZ_U8;
    copy->nodes[inserted].q = q_in;
    assert_null(copy->nodes[inserted].channel_q);
    ASSERT_OK(ctx, qzi_graph_verify(copy));
    bool keep_node[4] = {true, false, true, true};
    const qz_value redirect[4] = {0, 0, 0, 0};
    ASSERT_OK(ctx, qzi_graph_remove(copy, keep_node, redirect));
    assert_memory_equal(copy->nodes[y].channel_q->scale, g->nodes[y].channel_q->scale,
                        24 * sizeof(float));
    qz_graph_destroy(copy);
    check_graph(g, &s, "two scales");
}

/* ---- refusals ---- */

static void refuse(qz_graph *g, qz_value y, qz_status status, const char *message)
{
    qz_graph_output(g, "out", y);
    draw_params(g);
    assert_int_equal(qz_graph_finish(g), status);
    if (!strstr(qz_context_message(ctx), message))
        fail_msg("\"%s\" does not say \"%s\"", qz_context_message(ctx), message);
    qz_graph_destroy(g);
}

static void test_refusals(void **state)
{
    const size s = {1, 8, 4, 4};
    (void)state;
    qz_graph *g = new_graph();
    qz_value x = input(g, &s);
    draw_q(g, x, false);
    refuse(g, x, QZ_ERR_INTERNAL, "input: input writes no parameters by channel");

    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    qz_value y = qz_layer_norm(g, "norm", x, 1e-5f);
    g->nodes[y].dtype = QZ_U8;
    g->nodes[y].q = q_in;
    refuse(g, y, QZ_ERR_INTERNAL, "norm: layer_norm reads no parameters by channel");

    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    y = qz_resize2d(g, "resize", x, x, QZ_RESIZE_BILINEAR);
    move_q(g, x, y, same);
    refuse(g, y, QZ_ERR_INTERNAL, "resize: bilinear");

    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    y = qz_concat(g, "cat", (qz_value[]){x, 0}, 2);
    draw_q(g, y, false);
    refuse(g, y, QZ_ERR_INTERNAL, "cat: must share the scales of x");

    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    y = qz_slice_channels(g, "slice", x, 1, 4);
    draw_q(g, y, false);
    refuse(g, y, QZ_ERR_INTERNAL, "slice: must share its input's scale");

    /* no byte is 0 in all channels */
    g = new_graph();
    x = scaled(g, "x", input(g, &s), false);
    y = qz_add(g, "add", x, x, QZ_ACT_RELU);
    draw_q(g, y, true);
    g->nodes[y].channel_q->zero_point[3] = 1;
    refuse(g, y, QZ_ERR_INTERNAL, "add: relu has another range of bytes in channel 3");

    static const float bad[] = {0.0f, -1.0f, INFINITY, NAN};
    for (size_t i = 0; i < QZI_ARRAY_LEN(bad); i++) {
        g = new_graph();
        x = scaled(g, "x", input(g, &s), false);
        g->nodes[x].channel_q->scale[2] = bad[i];
        refuse(g, x, QZ_ERR_INTERNAL, "x: channel 2 has the scale");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_concat),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

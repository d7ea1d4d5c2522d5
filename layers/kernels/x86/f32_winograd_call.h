/* SPDX-License-Identifier: MIT */
/*
 * f32_winograd_call.h - float 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): transforms
 * (f32_winograd_tile.h) around 36 matrix products, which the tiles of the direct convolution
 * (f32_conv_tile.h) compute: at each point a tile of 4x4 outputs is a pixel, summed over channels
 * in order.
 *
 * Tiles are taken in blocks whose transformed input V[point][tile][ic] stays in the second-level
 * cache. For a panel of output channels all points are multiplied, M[point][tile][channel], and
 * transformed back. A block's panels come in several groups where there are few blocks, so that
 * threads have something to share; each then transforms the input itself.
 *
 * Packed: [zero row][panel of output channels: bias, then [point][ic]].
 */
#include "layers/kernels/x86/f32_conv_call.h"
#include "layers/kernels/x86/f32_winograd_tile.h"

static qzk_conv_shape point_shape(const qzk_conv_shape *s)
{
    return (qzk_conv_shape){.ic = s->ic,
                            .oc = s->oc,
                            .groups = 1,
                            .kh = 1,
                            .kw = 1,
                            .stride_h = 1,
                            .stride_w = 1,
                            .dil_h = 1,
                            .dil_w = 1};
}

/* The first float of a panel's bias; its weights follow. */
static size_t winograd_panel(const qzk_conv_shape *s, const conv_plan *p, int32_t panel,
                             int32_t *vectors)
{
    const size_t before = (size_t)panel_at(p, panel, vectors) * VL;
    return p->zero_floats + before * (QZK_WINOGRAD_POINTS * (size_t)s->ic + 1);
}

static size_t winograd_packed_size(const qzk_conv_shape *shape)
{
    const qzk_conv_shape point = point_shape(shape);
    const conv_plan p = plan_shape(&point);
    const size_t channels = (size_t)p.vectors * VL;
    return (p.zero_floats + channels * (QZK_WINOGRAD_POINTS * (size_t)shape->ic + 1)) *
           sizeof(float);
}

static void winograd_pack(const qzk_conv_shape *s, const qzk_conv_weights *from, void *packed)
{
    const qzk_conv_shape point = point_shape(s);
    const conv_plan p = plan_shape(&point);
    memset(packed, 0, winograd_packed_size(s));
    for (int32_t panel = 0; panel < p.panels; panel++) {
        int32_t vectors;
        float *to = (float *)packed + winograd_panel(s, &p, panel, &vectors);
        const int32_t first = panel_at(&p, panel, &vectors) * VL, width = vectors * VL;
        for (int32_t j = 0; j < QZI_MIN(width, s->oc - first); j++) {
            const size_t oc = (size_t)first + (size_t)j;
            to[j] = from->bias_f32 ? from->bias_f32[oc] : 0.0f;
            for (int32_t ic = 0; ic < s->ic; ic++) {
                float u[QZK_WINOGRAD_POINTS];
                qzk_winograd_weights(from->w_f32 + (oc * (size_t)s->ic + (size_t)ic) * 9, u);
                float *column = to + width + (size_t)ic * (size_t)width + j;
                for (int i = 0; i < QZK_WINOGRAD_POINTS; i++)
                    column[(size_t)i * (size_t)s->ic * (size_t)width] = u[i];
            }
        }
    }
}

/* ---- how a call is cut ---- */

/* Of V and the M of one panel, in bytes: with weights on their way they stay in a 2 MB cache. */
#ifndef WINOGRAD_NEAR
#define WINOGRAD_NEAR ((size_t)900 << 10)
#endif
/*
 * Tiles of a block at least: weights must be used that often. Where they come from DRAM it is
 * better to read them once and V from the third-level cache.
 */
#define WINOGRAD_TILES_MIN 16
#define WINOGRAD_TILES_MIN_FAR 49
#define WINOGRAD_FAR ((size_t)4 << 20)
#define WINOGRAD_TILES_MAX 128

typedef struct winograd_cut {
    conv_plan plan; /* of the products at one point */
    qzk_winograd_grid grid;
    int64_t blocks;
    int64_t block;         /* tiles of the largest, */
    int64_t larger;        /* as this many have; the others have one less */
    int32_t steps;         /* pixel tiles of f32_conv_tile.h in a block */
    int32_t groups;        /* of panels */
    bool far;              /* the weights do not stay in the second-level cache */
    size_t v_row, v_point; /* floats to the next tile, to the next point */
    size_t m_point;        /* of M; rows are as wide as the panel */
    size_t v_floats, m_floats;
} winograd_cut;

/* Floats between points: an odd number of cache lines, so that all 36 fall into different sets. */
static size_t odd_lines(size_t floats)
{
    return (QZI_DIV_UP(floats, 16u) | 1u) * 16u;
}

static winograd_cut winograd_cut_call(const qzk_conv_args *args)
{
    const qzk_conv_shape point = point_shape(args->shape);
    winograd_cut c;
    c.plan = plan_shape(&point);
    c.grid = qzk_winograd_grid_of(&args->out);
    c.v_row = QZI_ROUND_UP((size_t)point.ic, (size_t)VL);
    const size_t tile = (c.v_row + PANEL_VECTORS * VL) * QZK_WINOGRAD_POINTS * sizeof(float);
    const size_t weights =
        (size_t)c.plan.vectors * VL * (size_t)point.ic * QZK_WINOGRAD_POINTS * sizeof(float);
    const size_t least = weights > WINOGRAD_FAR ? WINOGRAD_TILES_MIN_FAR : WINOGRAD_TILES_MIN;
    const int64_t most =
        (int64_t)QZI_MIN(QZI_MAX(WINOGRAD_NEAR / tile, least), (size_t)WINOGRAD_TILES_MAX);
    const int64_t ways = QZI_MAX(args->ways, 1);
    c.blocks = QZI_MAX(QZI_DIV_UP(c.grid.tiles, most), 1);
    if (!args->by_channels)
        c.blocks = QZI_MAX(QZI_MIN(QZI_ROUND_UP(c.blocks, ways), c.grid.tiles), 1);
    const bool even = c.blocks % ways == 0 && !args->by_channels;
    c.groups = (int32_t)(even ? 1 : QZI_MIN(ways, (int64_t)c.plan.panels));
    c.block = QZI_DIV_UP(c.grid.tiles, c.blocks);
    c.larger = c.grid.tiles - (c.block - 1) * c.blocks;
    c.steps = (int32_t)QZI_DIV_UP(c.block, c.plan.wide > 0 ? TILE_PIXELS : TILE_PIXELS_NARROW);
    c.far = weights > WEIGHTS_NEAR;
    c.v_point = odd_lines((size_t)c.block * c.v_row);
    c.m_point = odd_lines((size_t)c.block * PANEL_VECTORS * VL);
    c.v_floats = c.v_point * QZK_WINOGRAD_POINTS;
    c.m_floats = c.m_point * QZK_WINOGRAD_POINTS;
    return c;
}

static size_t winograd_scratch_size(const qzk_conv_args *args)
{
    const winograd_cut c = winograd_cut_call(args);
    const size_t table = (size_t)c.steps * PIXELS_MAX * sizeof(const float *);
    return QZI_ROUND_UP((c.v_floats + c.m_floats) * sizeof(float) + table, (size_t)QZI_ALIGN);
}

static int64_t winograd_units(const qzk_conv_args *args)
{
    const winograd_cut c = winograd_cut_call(args);
    return c.grid.tiles > 0 ? c.blocks * c.groups : 0;
}

/* ---- one block ---- */

typedef struct winograd_state {
    const qzk_conv_args *args;
    winograd_cut cut;
    float *v, *m;
    const float **rows; /* [step][PIXELS_MAX]: of V */
    int64_t first;      /* tile of the block, */
    int64_t tiles;      /* and how many */
} winograd_state;

/* The first tile of a step of the block, and how many it has. */
static int64_t winograd_step(const winograd_state *st, int32_t step, int *count)
{
    const int64_t less = st->tiles / st->cut.steps, larger = st->tiles % st->cut.steps;
    *count = (int)(less + (step < larger));
    return step * less + QZI_MIN(step, larger);
}

static void winograd_begin_block(winograd_state *st, int64_t block)
{
    const qzk_conv_args *args = st->args;
    const winograd_cut *c = &st->cut;
    const int32_t ic = args->shape->ic, whole = ic / VL * VL;
    st->first = block * (c->block - 1) + QZI_MIN(block, c->larger);
    st->tiles = c->block - (block >= c->larger);
    for (int64_t i = 0; i < st->tiles; i++) {
        const float *pixels[QZK_WINOGRAD_POINTS];
        float *v = st->v + (size_t)i * c->v_row;
        qzk_winograd_pixels(args, qzk_winograd_tile_at(&c->grid, st->first + i), args->packed,
                            pixels);
        for (int32_t at = 0; at < whole; at += VL)
            winograd_input_vector(pixels, at, true, VL, v + at, c->v_point);
        if (whole < ic)
            winograd_input_vector(pixels, whole, false, ic - whole, v + whole, c->v_point);
    }
    for (int32_t step = 0; step < c->steps; step++) {
        int count;
        const float *v = st->v + (size_t)winograd_step(st, step, &count) * c->v_row;
        for (int i = 0; i < count; i++)
            st->rows[step * PIXELS_MAX + i] = v + (size_t)i * c->v_row;
    }
}

/* M of one panel. */
static void winograd_multiply(const winograd_state *st, const float *weights, int32_t vectors)
{
    const winograd_cut *c = &st->cut;
    const int32_t ic = st->args->shape->ic, width = vectors * VL;
    tile_args t = {.runs = 1, .y_stride = width, .channels = width, .w = weights};
    t.ahead_step = c->far ? QZI_DIV_UP(width * (int64_t)sizeof(float), c->steps) : 64;
    for (int p = 0; p < QZK_WINOGRAD_POINTS; p++) {
        const char *next = (const char *)(t.w + (size_t)ic * (size_t)width);
        t.from = (int64_t)((size_t)p * c->v_point);
        t.to = t.from + ic;
        for (int32_t step = 0; step < c->steps; step++) {
            int count;
            const int64_t first = winograd_step(st, step, &count);
            if (count == 0)
                break;
            t.rows = st->rows + step * PIXELS_MAX;
            t.ahead = c->far ? next + step * ic * t.ahead_step : NULL;
            t.y = st->m + (size_t)p * c->m_point + first * width;
            tiles[vectors - 1][count - 1](&t);
        }
        t.w += (size_t)ic * (size_t)width;
    }
}

/* The outputs of one panel. */
static void winograd_finish(const winograd_state *st, const float *bias, int32_t vector,
                            int32_t vectors)
{
    const qzk_conv_args *args = st->args;
    const winograd_cut *c = &st->cut;
    const qzk_view *out = &args->out;
    winograd_outputs o = {.pixel = out->pixel_stride,
                          .row = out->pixel_stride * out->w,
                          .lo = vf_set1(args->lo),
                          .hi = vf_set1(args->hi)};
    for (int64_t i = 0; i < st->tiles; i++) {
        const qzk_winograd_tile tile = qzk_winograd_tile_at(&c->grid, st->first + i);
        const int64_t pixel = ((int64_t)tile.n * out->h + tile.y) * out->w + tile.x;
        float *y = (float *)out->data + pixel * out->pixel_stride;
        const float *m = st->m + i * vectors * VL;
        o.rows = QZI_MIN(out->h - tile.y, QZK_WINOGRAD_OUT);
        o.pixels = QZI_MIN(out->w - tile.x, QZK_WINOGRAD_OUT);
        for (int32_t j = 0; j < vectors; j++) {
            o.y = y + (vector + j) * VL;
            o.left = out->c - (vector + j) * VL;
            o.bias = vf_load(bias + j * VL);
            winograd_output_vector(m + j * VL, c->m_point, &o);
        }
    }
}

/* Reports the outputs of a group of panels in the block as done. */
static void winograd_done(const winograd_state *st, int32_t group)
{
    const winograd_cut *c = &st->cut;
    const int64_t first = (int64_t)c->plan.panels * group / c->groups;
    const int64_t last = (int64_t)c->plan.panels * (group + 1) / c->groups;
    int32_t vectors;
    const int64_t channel = (int64_t)panel_at(&c->plan, (int32_t)first, &vectors) * VL;
    const int64_t stop = (int64_t)panel_at(&c->plan, (int32_t)last, &vectors) * VL;
    for (int64_t i = 0; i < st->tiles; i++)
        qzk_winograd_done(st->args, qzk_winograd_tile_at(&c->grid, st->first + i), channel,
                          QZI_MIN(stop, st->args->shape->oc) - channel);
}

static void winograd_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    winograd_state st = {.args = args, .cut = winograd_cut_call(args), .v = scratch};
    const winograd_cut *c = &st.cut;
    st.m = st.v + c->v_floats;
    st.rows = (const float **)(void *)(st.m + c->m_floats);
    int64_t block = -1;
    for (; begin < end; begin++) {
        const int64_t at = args->by_channels ? begin % c->blocks : begin / c->groups;
        const int32_t group = (int32_t)(args->by_channels ? begin / c->blocks : begin % c->groups);
        if (block != at)
            winograd_begin_block(&st, at);
        block = at;
        const int32_t stop = (int32_t)((int64_t)c->plan.panels * (group + 1) / c->groups);
        int32_t panel = (int32_t)((int64_t)c->plan.panels * group / c->groups);
        for (; panel < stop; panel++) {
            int32_t vectors;
            const float *bias = (const float *)args->packed +
                                winograd_panel(args->shape, &c->plan, panel, &vectors);
            winograd_multiply(&st, bias + vectors * VL, vectors);
            winograd_finish(&st, bias, panel_at(&c->plan, panel, &vectors), vectors);
        }
        if (args->done)
            winograd_done(&st, group);
    }
}

const qzk_conv_kernel QZK_BUNDLE(qzk_f32_winograd) = {
    .name = "f32_winograd_" TILE_NAME QZK_BUNDLE_NAME,
    .isa = QZK_BUNDLE_ISA,
    .macs_per_ns = 64,
    .weight_bytes = 4,
    .tile_m = TILE_PIXELS,
    .tile_n = PANEL_VECTORS * VL,
    .supports = qzk_winograd_supports,
    .packed_size = winograd_packed_size,
    .pack = winograd_pack,
    .scratch_size = winograd_scratch_size,
    .units = winograd_units,
    .run = winograd_run,
};

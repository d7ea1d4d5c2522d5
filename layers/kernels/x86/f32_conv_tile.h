/* SPDX-License-Identifier: MIT */
/*
 * f32_conv_tile.h - dense float convolution (and linear): an implicit GEMM over NHWC, written once
 * over f32_vec.h.
 *
 * A tile is some output pixels by a panel of output channels, all accumulators in registers
 * through the whole of K, so that every output is one chain of fused operations in the contract's
 * order. Pixels are counted through n, oh, ow, so that small images make full tiles too, and are
 * dealt out evenly (49 pixels are 9 + 8 + 8 + 8 + 8 + 8). The input is never copied: K falls into
 * runs of contiguous floats (one for each tap), and a table holds the address of every run for
 * every pixel of a tile; padding is the address of a row of zeros.
 *
 * Packed: [zero row][group][panel of output channels: bias, then [kh][kw][ic]].
 */
#include <string.h>

#include "layers/base/base.h"
#include "layers/kernels/x86/f32_vec.h"

/*
 * Vectors of a panel, and pixels of a tile. What limits a tile is loads per multiplication: with
 * AVX-512 three vectors by 9 pixels (27 accumulators of 32 registers) reach 95 % of the peak of
 * the FMA units, two by 14 reach 89 %. With AVX2 two by 6 reach 93 %.
 */
#if VL == 16
#define PANEL_VECTORS 3
#define TILE_PIXELS 9
#define TILE_PIXELS_NARROW 14 /* where no panel has PANEL_VECTORS */
#define TILE_NAME "9x48"
#else
#define PANEL_VECTORS 2
#define TILE_PIXELS 6
#define TILE_PIXELS_NARROW 12
#define TILE_NAME "6x16"
#endif
#define PIXELS_MAX 14

/* ---- what follows from the shape --------------------------------------------------------------
 */

typedef struct conv_plan {
    int32_t icg, ocg;     /* channels of a group */
    int32_t vectors;      /* that hold ocg */
    int32_t panels;       /* of a group: wide ones first, then */
    int32_t wide;         /* of them have PANEL_VECTORS */
    int32_t last_vectors; /* the others have this many */
    int32_t run_max;      /* most floats of a run */
    size_t k;
    size_t group_floats;
    size_t zero_floats;
} conv_plan;

/*
 * With few input channels the taps of one kernel row are taken as one run of kw * ic floats, where
 * the view lets them: they stand one after the other in memory.
 */
#define ROW_RUN_MAX 64
static bool rows_are_runs(const qzk_conv_shape *s)
{
    return s->groups == 1 && s->dil_w == 1 && s->kw > 1 && s->kw <= ROW_RUN_MAX &&
           s->ic <= ROW_RUN_MAX && s->kw * s->ic <= ROW_RUN_MAX;
}

static conv_plan plan_shape(const qzk_conv_shape *s)
{
    conv_plan p;
    p.icg = s->ic / s->groups;
    p.ocg = s->oc / s->groups;
    p.vectors = QZI_DIV_UP(p.ocg, VL);
    p.panels = QZI_DIV_UP(p.vectors, PANEL_VECTORS);
    /* the last ones are narrower by one each; only a single vector makes a panel of one by itself
     */
    int32_t missing = p.panels * PANEL_VECTORS - p.vectors;
    if (missing > p.panels || PANEL_VECTORS - 1 == 1) {
        p.wide = p.vectors / PANEL_VECTORS;
        p.last_vectors = p.vectors % PANEL_VECTORS;
    } else {
        p.wide = p.panels - missing;
        p.last_vectors = PANEL_VECTORS - 1;
    }
    p.k = (size_t)s->kh * (size_t)s->kw * (size_t)p.icg;
    p.group_floats = (p.k + 1) * (size_t)p.vectors * VL;
    p.run_max = rows_are_runs(s) ? s->kw * s->ic : p.icg;
    /* without row runs, a pointer into the zero row moves through the channels of all groups */
    p.zero_floats = QZI_ROUND_UP((size_t)QZI_MAX(p.run_max, s->ic), 16u);
    return p;
}

/* The first vector of a panel, and how many it has. */
static int32_t panel_at(const conv_plan *p, int32_t panel, int32_t *vectors)
{
    int32_t narrow = QZI_MAX(panel - p->wide, 0);
    *vectors = panel < p->wide ? PANEL_VECTORS : p->last_vectors;
    return (panel - narrow) * PANEL_VECTORS + narrow * p->last_vectors;
}

static bool conv_supports(const qzk_conv_shape *shape)
{
    (void)shape;
    return true;
}

static size_t conv_packed_size(const qzk_conv_shape *shape)
{
    conv_plan p = plan_shape(shape);
    return (p.zero_floats + p.group_floats * (size_t)shape->groups) * sizeof(float);
}

static void conv_pack(const qzk_conv_shape *shape, const qzk_conv_weights *weights, void *packed)
{
    conv_plan p = plan_shape(shape);
    size_t taps = (size_t)shape->kh * (size_t)shape->kw;
    float *to = packed;
    memset(to, 0, conv_packed_size(shape));
    to += p.zero_floats;
    for (int32_t g = 0; g < shape->groups; g++) {
        for (int32_t panel = 0; panel < p.panels; panel++) {
            int32_t vectors;
            int32_t first = panel_at(&p, panel, &vectors) * VL;
            int32_t used = QZI_MIN(p.ocg - first, vectors * VL);
            size_t oc = (size_t)g * (size_t)p.ocg + (size_t)first;
            for (int32_t j = 0; j < used; j++) {
                const float *w = weights->w_f32 + (oc + (size_t)j) * p.k;
                float *column = to + j;
                *column = weights->bias_f32 ? weights->bias_f32[oc + (size_t)j] : 0.0f;
                for (size_t tap = 0; tap < taps; tap++)
                    for (int32_t c = 0; c < p.icg; c++) {
                        column += vectors * VL;
                        *column = w[(size_t)c * taps + tap];
                    }
            }
            to += (p.k + 1) * (size_t)(vectors * VL);
        }
    }
}

/* ---- the tile ---------------------------------------------------------------------------------
 */

typedef struct tile_args {
    const float *const *rows; /* [runs][PIXELS_MAX] */
    int64_t row_offset;       /* floats to add to every row: where the group's channels begin */
    int32_t runs, run;        /* how many, and floats in each */
    const float *w;           /* the panel */
    size_t panel_floats;      /* to the next panel */
    float *y;
    int64_t y_stride;
    int32_t channels; /* of y, from here on */
    float lo, hi;
} tile_args;

/*
 * Accumulators are named variables rather than an array, so that every compiler keeps them in
 * registers; PIXELS and VECTORS are constants, and what they exclude disappears.
 */
#if VL == 16
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#else
#define ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#endif

/*
 * A multiplication happens here, and memory is read in the order written. Without it clang loads
 * all inputs of a step first and spills accumulators. It also makes the last row pointers be read
 * again in each step, where general registers do not suffice: gcc would keep them in vector
 * registers, and fetching them from there takes issue slots from the multiplications.
 */
#define FMA_HERE(acc, x, b)                            \
    do {                                               \
        acc = vf_fma(x, b, acc);                       \
        __asm__ volatile("" : "+v"(acc) : : "memory"); \
    } while (0)
#define ROWS_IN_REGISTERS 11
#define PREFETCH_BYTES 2048 /* how far ahead of the multiplications weights are asked for */

QZK_INLINE void tile(const tile_args *a, const int PIXELS, const int VECTORS)
{
    const int width = VECTORS * VL;
#define ROW(i) vf acc##i##_0 = vf_zero(), acc##i##_1 = vf_zero(), acc##i##_2 = vf_zero();
    ROWS(ROW)
#undef ROW
    const float *w = a->w + width;
    const float *const *rows = a->rows;
    const int64_t from = a->row_offset, to = from + a->run;
    for (int32_t r = a->runs; r > 0; r--, rows += PIXELS_MAX) {
#define ROW(i) const float *x##i = PIXELS > i && i < ROWS_IN_REGISTERS ? rows[i] : NULL;
        ROWS(ROW)
#undef ROW
        QZK_NO_UNROLL
        for (int64_t k = from; k < to; k++) {
            vf b0 = vf_load(w);
            vf b1 = VECTORS > 1 ? vf_load(w + VL) : b0;
            vf b2 = VECTORS > 2 ? vf_load(w + 2 * VL) : b0;
            vf_prefetch((const char *)w + PREFETCH_BYTES, width * (int)sizeof(float));
            w += width;
#define ROW(i)                                                        \
    if (PIXELS > i) {                                                 \
        vf xi = vf_set1((i < ROWS_IN_REGISTERS ? x##i : rows[i])[k]); \
        FMA_HERE(acc##i##_0, xi, b0);                                 \
        if (VECTORS > 1)                                              \
            FMA_HERE(acc##i##_1, xi, b1);                             \
        if (VECTORS > 2)                                              \
            FMA_HERE(acc##i##_2, xi, b2);                             \
    }
            ROWS(ROW)
#undef ROW
        }
    }
    const vf lo = vf_set1(a->lo), hi = vf_set1(a->hi);
    const vf bias0 = vf_load(a->w);
    const vf bias1 = VECTORS > 1 ? vf_load(a->w + VL) : bias0;
    const vf bias2 = VECTORS > 2 ? vf_load(a->w + 2 * VL) : bias0;
    float *y = a->y;
    if (a->channels >= width) {
#define ROW(i)                                                                 \
    if (PIXELS > i) {                                                          \
        vf_store(y, vf_clamp(vf_add(acc##i##_0, bias0), lo, hi));              \
        if (VECTORS > 1)                                                       \
            vf_store(y + VL, vf_clamp(vf_add(acc##i##_1, bias1), lo, hi));     \
        if (VECTORS > 2)                                                       \
            vf_store(y + 2 * VL, vf_clamp(vf_add(acc##i##_2, bias2), lo, hi)); \
        y += a->y_stride;                                                      \
    }
        ROWS(ROW)
#undef ROW
    } else {
        /* only the last vector of a group has fewer channels than lanes */
        const vmask m = vf_mask(a->channels - (VECTORS - 1) * VL);
#define ROW(i)                                                                                \
    if (PIXELS > i) {                                                                         \
        vf v0 = vf_clamp(vf_add(acc##i##_0, bias0), lo, hi);                                  \
        vf v1 = vf_clamp(vf_add(acc##i##_1, bias1), lo, hi);                                  \
        vf v2 = vf_clamp(vf_add(acc##i##_2, bias2), lo, hi);                                  \
        if (VECTORS > 1)                                                                      \
            vf_store(y, v0);                                                                  \
        if (VECTORS > 2)                                                                      \
            vf_store(y + VL, v1);                                                             \
        vf_store_mask(y + (VECTORS - 1) * VL, VECTORS == 1 ? v0 : VECTORS == 2 ? v1 : v2, m); \
        y += a->y_stride;                                                                     \
    }
        ROWS(ROW)
#undef ROW
    }
}

/*
 * A single pixel (linear at batch 1) by several wide panels: enough chains to hide the latency,
 * and several streams of weights, which is all that such a call is about.
 */
#define FEW_PANELS 4
#define CHAINS(X) X(0) X(1) X(2) X(3)
static void tile_one_pixel(const tile_args *a)
{
    const int width = PANEL_VECTORS * VL;
#define CHAIN(i)                                            \
    const float *w##i = a->w + (size_t)i * a->panel_floats; \
    vf acc##i##_0 = vf_zero(), acc##i##_1 = vf_zero(), acc##i##_2 = vf_zero();
    CHAINS(CHAIN)
#undef CHAIN
    const float *const *rows = a->rows;
    const int64_t from = a->row_offset, to = from + a->run;
    int64_t at = 0;
    for (int32_t r = a->runs; r > 0; r--, rows += PIXELS_MAX) {
        const float *x0 = rows[0];
        QZK_NO_UNROLL
        for (int64_t k = from; k < to; k++) {
            at += width;
            vf x = vf_set1(x0[k]);
#define CHAIN(i)                                                                         \
    vf_prefetch((const char *)(w##i + at) + PREFETCH_BYTES, width * (int)sizeof(float)); \
    acc##i##_0 = vf_fma(x, vf_load(w##i + at), acc##i##_0);                              \
    acc##i##_1 = vf_fma(x, vf_load(w##i + at + VL), acc##i##_1);                         \
    if (PANEL_VECTORS > 2)                                                               \
        acc##i##_2 = vf_fma(x, vf_load(w##i + at + 2 * VL), acc##i##_2);
            CHAINS(CHAIN)
#undef CHAIN
        }
    }
    const vf lo = vf_set1(a->lo), hi = vf_set1(a->hi);
#define FINISH(i, j)                                                                     \
    {                                                                                    \
        int left = a->channels - i * width - j * VL;                                     \
        float *y = a->y + i * width + j * VL;                                            \
        vf_store_mask(y, vf_clamp(vf_add(acc##i##_##j, vf_load(w##i + j * VL)), lo, hi), \
                      vf_mask(QZI_MIN(left, VL)));                                       \
    }
#define CHAIN(i)           \
    FINISH(i, 0)           \
    FINISH(i, 1)           \
    if (PANEL_VECTORS > 2) \
    FINISH(i, 2)
    CHAINS(CHAIN)
#undef CHAIN
#undef FINISH
}

#define TILE(pixels, vectors)                                 \
    static void tile_##pixels##x##vectors(const tile_args *a) \
    {                                                         \
        tile(a, pixels, vectors);                             \
    }
#define TILE_ENTRY(pixels, vectors) tile_##pixels##x##vectors,
#define TO_6(X, v) X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v)
#define TO_9(X, v) TO_6(X, v) X(7, v) X(8, v) X(9, v)
#define TO_12(X, v) TO_9(X, v) X(10, v) X(11, v) X(12, v)
#define TO_14(X, v) TO_12(X, v) X(13, v) X(14, v)
typedef void (*tile_fn)(const tile_args *a);
#if VL == 16
TO_14(TILE, 1)
TO_14(TILE, 2)
TO_9(TILE, 3)
static const tile_fn tiles_1[] = {TO_14(TILE_ENTRY, 1)};
static const tile_fn tiles_2[] = {TO_14(TILE_ENTRY, 2)};
static const tile_fn tiles_3[] = {TO_9(TILE_ENTRY, 3)};
static const tile_fn *const tiles[] = {tiles_1, tiles_2, tiles_3};
#else
TO_12(TILE, 1)
TO_6(TILE, 2)
static const tile_fn tiles_1[] = {TO_12(TILE_ENTRY, 1)};
static const tile_fn tiles_2[] = {TO_6(TILE_ENTRY, 2)};
static const tile_fn *const tiles[] = {tiles_1, tiles_2};
#endif

/* ---- one call ---------------------------------------------------------------------------------
 */

/* How a call is cut: steps of panels by tiles of pixels, tiles in blocks whose input stays near. */
typedef struct conv_cut {
    conv_plan plan;
    int64_t pixels, tiles;
    int64_t block;        /* tiles in a block: within it every panel is read once */
    int32_t step_panels;  /* panels side by side in one tile: more where there are few pixels */
    int32_t group_steps;  /* steps of a group */
    int32_t runs, run;    /* of K */
    bool row_runs;        /* a run is a kernel row rather than a tap */
    size_t table_floats;  /* row runs: floats of one tile's copies of rows that touch padding */
    size_t table_entries; /* addresses of one tile */
} conv_cut;

#define BLOCK_MAX 32 /* bits of the set of tables that are filled, with room to spare */

static conv_cut cut_call(const qzk_conv_args *args)
{
    const qzk_conv_shape *s = args->shape;
    conv_cut c;
    c.plan = plan_shape(s);
    c.pixels = (int64_t)args->out.n * args->out.h * args->out.w;
    int64_t tile_m = c.plan.wide > 0 ? TILE_PIXELS : TILE_PIXELS_NARROW;
    c.tiles = QZI_DIV_UP(c.pixels, tile_m);
    c.step_panels = c.pixels == 1 ? FEW_PANELS : 1;
    c.group_steps = QZI_DIV_UP(c.plan.panels, c.step_panels);
    c.row_runs = rows_are_runs(s) && args->in.pixel_stride == s->ic;
    c.runs = c.row_runs ? s->kh : s->kh * s->kw;
    c.run = c.row_runs ? s->kw * s->ic : c.plan.icg;
    c.table_entries = (size_t)c.runs * PIXELS_MAX;
    c.table_floats = c.row_runs ? c.table_entries * (size_t)c.run : 0;

    /*
     * Weights that fit the second-level cache are read again for every tile, and the tile's input
     * stays in the first level. Larger ones are read once for a block of tiles.
     */
    c.block = 1;
    size_t weights = c.plan.group_floats * sizeof(float);
    if (weights > (size_t)512 << 10) {
        size_t near = (size_t)s->stride_h * (size_t)s->stride_w;
        size_t taps = (size_t)s->kh * (size_t)s->kw;
        size_t input = (size_t)tile_m * (size_t)c.plan.icg * sizeof(float) * QZI_MIN(near, taps);
        c.block = (int64_t)QZI_MAX(((size_t)512 << 10) / input, 1u);
        c.block = QZI_MIN(c.block, BLOCK_MAX);
    }
    int64_t blocks = QZI_DIV_UP(c.tiles, c.block);
    if (blocks > 0)
        c.block = QZI_DIV_UP(c.tiles, blocks);
    return c;
}

static size_t conv_scratch_size(const qzk_conv_args *args)
{
    conv_cut c = cut_call(args);
    size_t table = c.table_entries * sizeof(const float *) + c.table_floats * sizeof(float);
    return QZI_ROUND_UP(table * (size_t)c.block, 64u);
}

static int64_t conv_units(const qzk_conv_args *args)
{
    conv_cut c = cut_call(args);
    return c.tiles * c.group_steps * args->shape->groups;
}

/* The address of every run of one pixel whose first tap is at (y, x) of image n. */
static void fill_rows(const qzk_conv_args *args, const conv_cut *c, int64_t n, int64_t y, int64_t x,
                      const float **rows, float *copies)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const float *zeros = args->packed;
    const float *image = (const float *)in->data + n * in->h * in->w * in->pixel_stride;
    for (int32_t kh = 0; kh < s->kh; kh++, y += s->dil_h) {
        bool inside = y >= 0 && y < in->h;
        const float *line = image + (inside ? y * in->w * in->pixel_stride : 0);
        if (!c->row_runs) {
            int64_t at = x;
            for (int32_t kw = 0; kw < s->kw; kw++, at += s->dil_w, rows += PIXELS_MAX)
                *rows = inside && at >= 0 && at < in->w ? line + at * in->pixel_stride : zeros;
            continue;
        }
        int64_t from = QZI_MAX(x, 0), to = QZI_MIN(x + s->kw, in->w);
        if (!inside || from >= to) {
            *rows = zeros;
        } else if (to - from == s->kw) {
            *rows = line + x * in->pixel_stride;
        } else {
            memset(copies, 0, (size_t)c->run * sizeof(float));
            memcpy(copies + (from - x) * s->ic, line + from * s->ic,
                   (size_t)((to - from) * s->ic) * sizeof(float));
            *rows = copies;
            copies += c->run;
        }
        rows += PIXELS_MAX;
    }
}

static void fill_table(const qzk_conv_args *args, const conv_cut *c, int64_t first, int pixels,
                       const float **rows, float *copies)
{
    const qzk_conv_shape *s = args->shape;
    int64_t image = (int64_t)args->out.h * args->out.w;
    int64_t n = first / image;
    int64_t oy = first % image / args->out.w, ox = first % args->out.w;
    for (int i = 0; i < pixels; i++) {
        fill_rows(args, c, n, oy * s->stride_h - s->pad_top, ox * s->stride_w - s->pad_left,
                  rows + i, copies);
        copies += c->row_runs ? (size_t)s->kh * (size_t)c->run : 0;
        if (++ox == args->out.w) {
            ox = 0;
            if (++oy == args->out.h) {
                oy = 0;
                n++;
            }
        }
    }
}

/* One tile by one step: four wide panels at once where the tile has one pixel. */
static void run_step(const conv_cut *c, tile_args *t, int pixels, int32_t panel, int32_t panels)
{
    if (panels == FEW_PANELS && panel + panels <= c->plan.wide) {
        tile_one_pixel(t);
        return;
    }
    for (int32_t i = 0; i < panels; i++) {
        int32_t vectors = panel + i < c->plan.wide ? PANEL_VECTORS : c->plan.last_vectors;
        tiles[vectors - 1][pixels - 1](t);
        t->w += (c->plan.k + 1) * (size_t)(vectors * VL);
        t->y += vectors * VL;
        t->channels -= vectors * VL;
    }
}

static void conv_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    conv_cut c = cut_call(args);
    const float **tables = scratch;
    float *copies = (float *)(tables + c.table_entries * (size_t)c.block);
    const float *packed = (const float *)args->packed + c.plan.zero_floats;
    int64_t steps = (int64_t)c.group_steps * args->shape->groups;
    int64_t filled_block = -1;
    uint64_t filled = 0; /* tiles of that block whose table stands */
    while (begin < end) {
        int64_t block = begin / (c.block * steps);
        int64_t rest = begin % (c.block * steps);
        int64_t in_block = QZI_MIN(c.block, c.tiles - block * c.block);
        int64_t step = rest / in_block, index = rest % in_block;
        int64_t stop = QZI_MIN(in_block, index + (end - begin));
        begin += stop - index;
        if (block != filled_block) {
            filled_block = block;
            filled = 0;
        }
        int32_t group = (int32_t)(step / c.group_steps);
        int32_t panel = (int32_t)(step % c.group_steps) * c.step_panels;
        int32_t panels = QZI_MIN(c.step_panels, c.plan.panels - panel);
        for (; index < stop; index++) {
            int64_t at = block * c.block + index;
            int64_t first = at * c.pixels / c.tiles;
            int pixels = (int)((at + 1) * c.pixels / c.tiles - first);
            const float **rows = tables + (size_t)index * c.table_entries;
            if (!(filled >> index & 1)) {
                fill_table(args, &c, first, pixels, rows, copies + (size_t)index * c.table_floats);
                filled |= (uint64_t)1 << index;
            }
            int32_t vectors;
            int32_t vector = panel_at(&c.plan, panel, &vectors);
            int32_t channel = group * c.plan.ocg + vector * VL;
            tile_args t = {
                .rows = rows,
                .row_offset = (int64_t)group * c.plan.icg,
                .runs = c.runs,
                .run = c.run,
                .w = packed + (size_t)group * c.plan.group_floats +
                     (size_t)vector * VL * (c.plan.k + 1),
                .panel_floats = (c.plan.k + 1) * PANEL_VECTORS * VL,
                .y = (float *)args->out.data + first * args->out.pixel_stride + channel,
                .y_stride = args->out.pixel_stride,
                .channels = c.plan.ocg - vector * VL,
                .lo = args->lo,
                .hi = args->hi,
            };
            run_step(&c, &t, pixels, panel, panels);
        }
    }
}

const qzk_conv_kernel QZK_BUNDLE(qzk_f32_conv) = {
    .name = "f32_conv_" TILE_NAME QZK_BUNDLE_NAME,
    .isa = QZK_BUNDLE_ISA,
    .tile_m = TILE_PIXELS,
    .tile_n = PANEL_VECTORS * VL,
    .supports = conv_supports,
    .packed_size = conv_packed_size,
    .pack = conv_pack,
    .scratch_size = conv_scratch_size,
    .units = conv_units,
    .run = conv_run,
};

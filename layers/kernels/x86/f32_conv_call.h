/* SPDX-License-Identifier: MIT */
/*
 * f32_conv_call.h - dense float convolution (and linear): an implicit GEMM over NHWC, written once
 * over vec.h.
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

#include "layers/kernels/x86/f32_conv_tile.h"

/* ---- what follows from the shape ---- */

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
 * the view allows: they are one after the other in memory.
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

/* ---- one call ---- */

/* How a call is cut: steps of panels by tiles of pixels, tiles in blocks whose input stays near. */
typedef struct conv_cut {
    conv_plan plan;
    int64_t pixels, tiles;
    int32_t tile_pixels;  /* of a tile, */
    int64_t larger_tiles; /* but of so many one more */
    int64_t block;        /* tiles in a block, at most: within it weights are read once */
    int64_t blocks;       /* they differ by a tile at most */
    bool far;             /* the weights do not stay in the second-level cache */
    int32_t chunk;        /* terms of a panel at once, about */
    int32_t step_panels;  /* panels side by side in one tile: more where there are few pixels */
    int32_t group_steps;  /* steps of a group */
    int32_t runs, run;    /* of K */
    bool row_runs;        /* a run is a kernel row rather than a tap */
    size_t pixel_floats;  /* row runs: of a pixel's copies of rows that are partly padding */
    size_t table_entries; /* addresses of one tile */
} conv_cut;

#define BLOCK_MAX 32 /* bits of the set of tables that are filled, with room to spare */
#ifndef WEIGHTS_NEAR
#define WEIGHTS_NEAR ((size_t)512 << 10)
#endif
#ifndef INPUT_NEAR
#define INPUT_NEAR ((size_t)512 << 10)
#endif
#ifndef L1_NEAR
#define L1_NEAR ((size_t)28 << 10)
#endif
#ifndef CHUNK_FLOATS
#define CHUNK_FLOATS (24 << 10)
#endif

static conv_cut cut_call(const qzk_conv_args *args)
{
    const qzk_conv_shape *s = args->shape;
    conv_cut c;
    c.plan = plan_shape(s);
    c.pixels = (int64_t)args->out.n * args->out.h * args->out.w;
    int64_t tile_m = c.plan.wide > 0 ? TILE_PIXELS : TILE_PIXELS_NARROW;
    c.tiles = QZI_MAX(QZI_DIV_UP(c.pixels, tile_m), 1);
    c.tile_pixels = (int32_t)(c.pixels / c.tiles);
    c.larger_tiles = c.pixels % c.tiles;
    c.step_panels = c.pixels == 1 ? FEW_PANELS : 1;
    c.group_steps = QZI_DIV_UP(c.plan.panels, c.step_panels);
    c.row_runs = rows_are_runs(s) && args->in.pixel_stride == s->ic;
    c.runs = c.row_runs ? s->kh : s->kh * s->kw;
    c.run = c.row_runs ? s->kw * s->ic : c.plan.icg;
    c.table_entries = (size_t)c.runs * PIXELS_MAX;
    c.pixel_floats = c.row_runs ? (size_t)c.runs * (size_t)c.run : 0;

    /*
     * Weights of a modest size stay in the second-level cache: they are read again for every tile,
     * whose input stays in the first level. Larger ones come from afar, once for a block of tiles,
     * in chunks that stay in the second level while the tiles of the block go over them, and the
     * next chunk is fetched meanwhile.
     */
    const size_t near = (size_t)s->stride_h * (size_t)s->stride_w;
    const size_t taps = (size_t)s->kh * (size_t)s->kw;
    const size_t input = (size_t)tile_m * (size_t)c.plan.icg * sizeof(float) * QZI_MIN(near, taps);
    const size_t panel = c.plan.k * PANEL_VECTORS * VL * sizeof(float);
    const size_t weights = c.plan.group_floats * sizeof(float);
    c.far = weights > WEIGHTS_NEAR;
    c.chunk = CHUNK_FLOATS / (PANEL_VECTORS * VL);
    const size_t room = c.far ? INPUT_NEAR : panel < L1_NEAR ? L1_NEAR - panel : 0;
    c.block = (int64_t)QZI_MIN(QZI_MAX(room / input, 1u), (size_t)BLOCK_MAX);
    c.blocks = QZI_DIV_UP(c.tiles, c.block);
    /* a block is cut by panels; so that shares are cut by pixels, they are whole blocks */
    if (args->ways > 1 && !args->by_channels)
        c.blocks = QZI_MIN(QZI_ROUND_UP(c.blocks, args->ways), c.tiles);
    c.block = QZI_DIV_UP(c.tiles, c.blocks);
    return c;
}

static size_t conv_scratch_size(const qzk_conv_args *args)
{
    conv_cut c = cut_call(args);
    size_t copies = PIXELS_MAX * c.pixel_floats * sizeof(float);
    size_t table = c.table_entries * sizeof(const float *) + copies;
    return QZI_ROUND_UP((size_t)c.runs * sizeof(uintptr_t) + table * (size_t)c.block, 64u);
}

static int64_t conv_units(const qzk_conv_args *args)
{
    conv_cut c = cut_call(args);
    return c.pixels > 0 ? c.tiles * c.group_steps * args->shape->groups : 0;
}

/*
 * A pixel whose window, from (y, x) on, is partly outside the image: runs that are padding take
 * the row of zeros, a run that is partly padding becomes a copy.
 */
static void pad_rows(const qzk_conv_args *args, const conv_cut *c, int64_t y, int64_t x,
                     const float **rows, float *copies)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const float *zeros = args->packed;
    for (int32_t kh = 0; kh < s->kh; kh++, y += s->dil_h) {
        const bool inside = y >= 0 && y < in->h;
        if (!c->row_runs) {
            int64_t at = x;
            for (int32_t kw = 0; kw < s->kw; kw++, at += s->dil_w, rows += PIXELS_MAX)
                if (!inside || at < 0 || at >= in->w)
                    *rows = zeros;
            continue;
        }
        const int64_t from = QZI_MAX(-x, 0), to = QZI_MIN(in->w - x, s->kw);
        if (!inside || from >= to) {
            *rows = zeros;
        } else if (to - from < s->kw) {
            memset(copies, 0, (size_t)c->run * sizeof(float));
            memcpy(copies + from * s->ic, *rows + from * s->ic,
                   (size_t)((to - from) * s->ic) * sizeof(float));
            *rows = copies;
            copies += c->run;
        }
        rows += PIXELS_MAX;
    }
}

/*
 * The address of every run of every pixel of a tile. Addresses are computed as numbers, because
 * before padding is put in some lie outside the tensor.
 */
static void fill_table(const qzk_conv_args *args, const conv_cut *c, int64_t first, int pixels,
                       const uintptr_t *run_offsets, const float **rows, float *copies)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in;
    const int64_t pixel = in->pixel_stride * (int64_t)sizeof(float);
    const int64_t y_end = in->h - (int64_t)(s->kh - 1) * s->dil_h;
    const int64_t x_end = in->w - (int64_t)(s->kw - 1) * s->dil_w;
    const int64_t row = first / args->out.w;
    int64_t ox = first - row * args->out.w, n = row / args->out.h, oy = row - n * args->out.h;
    uintptr_t base[PIXELS_MAX] = {0};
    int64_t ys[PIXELS_MAX], xs[PIXELS_MAX];
    uint32_t padded = 0;
    for (int i = 0; i < pixels; i++) {
        const int64_t y = oy * s->stride_h - s->pad_top, x = ox * s->stride_w - s->pad_left;
        base[i] = (uintptr_t)in->data + (uintptr_t)(((n * in->h + y) * in->w + x) * pixel);
        ys[i] = y;
        xs[i] = x;
        padded |= (uint32_t)(y < 0 || x < 0 || y >= y_end || x >= x_end) << i;
        if (++ox == args->out.w) {
            ox = 0;
            if (++oy == args->out.h) {
                oy = 0;
                n++;
            }
        }
    }
    for (int32_t r = 0; r < c->runs; r++)
        for (int i = 0; i < PIXELS_MAX; i++)
            rows[r * PIXELS_MAX + i] = (const float *)(base[i] + run_offsets[r]);
    for (int i = 0; padded; i++, padded >>= 1)
        if (padded & 1)
            pad_rows(args, c, ys[i], xs[i], rows + i, copies + (size_t)i * c->pixel_floats);
}

/* Where each run begins, in bytes from the first tap. */
static void fill_offsets(const qzk_conv_args *args, const conv_cut *c, uintptr_t *offsets)
{
    const qzk_conv_shape *s = args->shape;
    const int64_t pixel = args->in.pixel_stride * (int64_t)sizeof(float);
    const int32_t columns = c->row_runs ? 1 : s->kw;
    for (int32_t kh = 0; kh < s->kh; kh++)
        for (int32_t kw = 0; kw < columns; kw++)
            *offsets++ =
                (uintptr_t)(((int64_t)kh * s->dil_h * args->in.w + (int64_t)kw * s->dil_w) * pixel);
}

typedef struct conv_state {
    const qzk_conv_args *args;
    conv_cut cut;
    uintptr_t *run_offsets;
    const float **tables;
    float *copies;
    int64_t block;   /* whose tables these are; */
    int64_t first;   /* its first tile */
    uint64_t filled; /* tiles of it whose table is filled */
} conv_state;

/* The first pixel of a tile; of the one behind the last: all pixels. */
static int64_t tile_pixel(const conv_cut *c, int64_t tile)
{
    return tile * c->tile_pixels + QZI_MIN(tile, c->larger_tiles);
}

/* The table of a tile of the block, the number of its first pixel and how many it has. */
static const float **tile_table(conv_state *st, int64_t index, int64_t *first, int *pixels)
{
    const conv_cut *c = &st->cut;
    int64_t at = st->first + index;
    *first = tile_pixel(c, at);
    *pixels = c->tile_pixels + (at < c->larger_tiles);
    const float **rows = st->tables + (size_t)index * c->table_entries;
    if (!(st->filled >> index & 1)) {
        fill_table(st->args, c, *first, *pixels, st->run_offsets, rows,
                   st->copies + (size_t)index * PIXELS_MAX * c->pixel_floats);
        st->filled |= (uint64_t)1 << index;
    }
    return rows;
}

/* What does not depend on the tile. */
static tile_args panel_args(const conv_state *st, int32_t group, int32_t panel, int32_t *vectors)
{
    const qzk_conv_args *args = st->args;
    const conv_plan *p = &st->cut.plan;
    int32_t vector = panel_at(p, panel, vectors);
    const float *bias = (const float *)args->packed + p->zero_floats +
                        (size_t)group * p->group_floats + (size_t)vector * VL * (p->k + 1);
    return (tile_args){
        .w = bias + *vectors * VL,
        .bias = bias,
        .panel_floats = (p->k + 1) * PANEL_VECTORS * VL,
        .y = (float *)args->out.data + group * p->ocg + vector * VL,
        .y_stride = args->out.pixel_stride,
        .channels = p->ocg - vector * VL,
        .lo = args->lo,
        .hi = args->hi,
    };
}

/* Several wide panels for the only pixel there is. */
static void run_one_pixel(conv_state *st, int32_t group, int32_t panel)
{
    int32_t vectors;
    int64_t first;
    int pixels;
    tile_args t = panel_args(st, group, panel, &vectors);
    t.rows = tile_table(st, 0, &first, &pixels);
    t.runs = st->cut.runs;
    t.from = (int64_t)group * st->cut.plan.icg;
    t.to = t.from + st->cut.run;
    tile_one_pixel(&t);
}

/* One panel for the tiles [index, stop) of the block, chunk after chunk of its terms. */
static void run_panel(conv_state *st, int32_t group, int32_t panel, int64_t index, int64_t stop)
{
    const conv_cut *c = &st->cut;
    int32_t vectors;
    tile_args t = panel_args(st, group, panel, &vectors);
    float *const y = t.y;
    const float *const bias = t.bias;
    const int64_t channel = (int64_t)group * c->plan.icg;
    const bool whole = stop - index == 1;
    /* a chunk is some runs or, where a run is long, a piece of one */
    const int32_t pieces = whole ? 1 : QZI_DIV_UP(c->run, c->chunk);
    const int32_t piece = QZI_DIV_UP(c->run, pieces);
    const int32_t some = whole ? c->runs : pieces > 1 ? 1 : QZI_MAX(c->chunk / c->run, 1);
    /* the tiles share the fetching of the next chunk evenly, so as not to get in their own way */
    const int64_t share = QZI_DIV_UP(vectors * VL * (int64_t)sizeof(float), stop - index);
    t.ahead_step = c->far ? QZI_MIN(share, 128) : 64;
    int32_t run = 0, from = 0;
    while (run < c->runs) {
        const int32_t to = QZI_MIN(from + piece, c->run);
        t.runs = QZI_MIN(some, c->runs - run);
        t.from = channel + from;
        t.to = channel + to;
        t.bias = to == c->run && run + t.runs == c->runs ? bias : NULL;
        const size_t terms = (size_t)t.runs * (size_t)(to - from);
        const float *next = t.w + terms * (size_t)(vectors * VL);
        for (int64_t i = index; i < stop; i++) {
            int64_t first;
            int pixels;
            t.rows = tile_table(st, i, &first, &pixels) + (size_t)run * PIXELS_MAX;
            t.y = y + first * t.y_stride;
            t.ahead =
                c->far ? (const char *)next + (i - index) * (int64_t)terms * t.ahead_step : NULL;
            tiles[vectors - 1][pixels - 1](&t);
        }
        t.w = next;
        t.resume = true;
        from = to == c->run ? 0 : to;
        run += from == 0 ? t.runs : 0;
    }
}

/* The first output channel of a step; of the one behind the last: all channels. */
static int64_t step_channel(const conv_cut *c, int64_t step)
{
    const int32_t panel =
        QZI_MIN((int32_t)(step % c->group_steps) * c->step_panels, c->plan.panels);
    int32_t vectors;
    return step / c->group_steps * c->plan.ocg + panel_at(&c->plan, panel, &vectors) * VL;
}

static void tell_done(const conv_state *st, int64_t step, int64_t end, int64_t from, int64_t to)
{
    const int64_t channel = step_channel(&st->cut, step);
    qzk_conv_done(st->args, from, to - from, channel, step_channel(&st->cut, end) - channel);
}

static void conv_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    conv_state st = {.args = args, .cut = cut_call(args), .run_offsets = scratch, .block = -1};
    const conv_cut *c = &st.cut;
    fill_offsets(args, c, st.run_offsets);
    st.tables = (const float **)(st.run_offsets + c->runs);
    st.copies = (float *)(st.tables + c->table_entries * (size_t)c->block);
    const int64_t steps = (int64_t)c->group_steps * args->shape->groups;
    bool block_whole =
        false; /* all of the block is ours: reported at once, otherwise step by step */
    while (begin < end) {
        /* the block of the tile that would be next if a tile were all of a unit */
        int64_t block = ((begin / steps + 1) * c->blocks - 1) / c->tiles;
        int64_t first = c->tiles * block / c->blocks, rest = begin - first * steps;
        int64_t in_block = c->tiles * (block + 1) / c->blocks - first;
        int64_t step = rest / in_block, index = rest % in_block;
        int64_t stop = QZI_MIN(in_block, index + (end - begin));
        begin += stop - index;
        if (block != st.block) {
            st.block = block;
            st.first = first;
            st.filled = 0;
            block_whole = rest == 0 && begin + steps * in_block - (stop - index) <= end;
        }
        const int64_t from = tile_pixel(c, first + (block_whole ? 0 : index));
        const int64_t to = tile_pixel(c, first + (block_whole ? in_block : stop));
        int32_t group = (int32_t)(step / c->group_steps);
        int32_t panel = (int32_t)(step % c->group_steps) * c->step_panels;
        int32_t last = QZI_MIN(panel + c->step_panels, c->plan.panels);
        if (last - panel == FEW_PANELS && last <= c->plan.wide) {
            run_one_pixel(&st, group, panel);
        } else {
            for (int32_t i = panel; i < last; i++)
                run_panel(&st, group, i, index, stop);
        }
        if (!block_whole || step + 1 == steps)
            tell_done(&st, block_whole ? 0 : step, step + 1, from, to);
    }
}

const qzk_conv_kernel QZK_BUNDLE(qzk_f32_conv) = {
    .name = "f32_conv_" TILE_NAME QZK_BUNDLE_NAME,
    .isa = QZK_BUNDLE_ISA,
    .macs_per_ns = 64,
    .weight_bytes = 4,
    .tile_m = TILE_PIXELS,
    .tile_n = PANEL_VECTORS * VL,
    .supports = conv_supports,
    .packed_size = conv_packed_size,
    .pack = conv_pack,
    .scratch_size = conv_scratch_size,
    .units = conv_units,
    .run = conv_run,
};

/* SPDX-License-Identifier: MIT */
/*
 * u8s8_conv_amx.c - int8 convolution and linear for AMX: tdpbusd, 32 pixels x 32 channels.
 *
 * A tile register has 16 rows of 64 bytes. Two of pixels and two of weights are multiplied into
 * four of sums: 65536 multiply-adds in 64 cycles, eight times what vpdpbusd does.
 *
 * The rows of a tile lie at one distance, so the rows of the image that some output rows need are
 * copied into a grid with its padding: then output pixels that follow one another, over the ends of
 * rows too, read at one distance for every tap. Positions between the rows (two of 58 in a 3x3
 * kernel over 56 pixels) compute sums that are not read. With a vertical stride s, the rows of the
 * image are dealt to s planes, so that the next output row reads the next row of each plane.
 *
 * K consists of runs: a kernel row of the image is kw * channels bytes side by side, padded to 64
 * by weights of zero; the grid's content there does not matter. Kernels with gaps between
 * their columns have a run for each tap. 1x1 kernels are a grid of one column, and whole tiles of
 * multiples of 64 channels are read from the input in place.
 */
#include "layers/kernels/x86/u8s8_amx_tile.h"

enum {
    GRID_BYTES = 1 << 17, /* of a block, about */
    GRID_POSITIONS = 256, /* of a block, about */
    FLAT_POSITIONS = 128, /* the same for 1x1 kernels */
    FEW_PIXELS = 4,       /* up to which tiles are not worth it */
    MIN_K = 32,           /* below, requantizing is all there is to do */
    MIN_GROUP = 16,       /* channels; smaller groups have a kernel of their own */
    MIN_CHANNELS = 8,     /* of the output */
};

typedef struct amx_plan {
    int32_t icg, ocg;
    int32_t slot;             /* bytes of a tap in K */
    int32_t pitch;            /* bytes from pixel to pixel of the grid */
    int32_t runs, run_taps;   /* of a pixel; taps that are side by side in one */
    int32_t run_steps, steps; /* of 64 bytes of K, in a run and in all */
    int32_t vectors;          /* of output channels, in one group */
    int32_t blocks;           /* of two vectors, in one group; the last may have one */
    size_t vector_weights;
    size_t bias_at, mult_at, zp_at, weights_at, size;
} amx_plan;

static bool amx_supports(const qzk_conv_shape *s)
{
    const int32_t icg = s->ic / s->groups, ocg = s->oc / s->groups;
    if (s->groups > 1 && (icg < MIN_GROUP || ocg < MIN_GROUP))
        return false;
    return ocg >= MIN_CHANNELS && s->kh * s->kw * icg >= MIN_K;
}

/* The row of a pixel in the padding, and what copies of its last channels read behind it. */
static size_t zp_bytes(const qzk_conv_shape *s)
{
    return QZI_ROUND_UP((size_t)QZK_CEIL4(s->ic) + VB, (size_t)QZI_ALIGN);
}

static amx_plan amx_plan_make(const qzk_conv_shape *s)
{
    amx_plan plan;
    plan.icg = s->ic / s->groups;
    plan.ocg = s->oc / s->groups;
    plan.slot = s->groups == 1 ? QZK_CEIL4(s->ic) : plan.icg;
    plan.run_taps = s->dil_w == 1 ? s->kw : 1;
    plan.runs = s->kh * s->kw / plan.run_taps;
    /* taps of a run lie side by side; else whole cache lines, an odd number: other sets */
    plan.pitch = plan.run_taps > 1 ? plan.slot : (QZI_DIV_UP(plan.slot, STEP) | 1) * STEP;
    plan.run_steps = QZI_DIV_UP(plan.run_taps * plan.slot, STEP);
    plan.steps = plan.runs * plan.run_steps;
    plan.vectors = QZI_DIV_UP(plan.ocg, VL);
    plan.blocks = QZI_DIV_UP(plan.vectors, BLOCK_N);
    plan.vector_weights = (size_t)plan.steps * TILE_BYTES;
    const size_t all = (size_t)s->groups * (size_t)plan.vectors;
    plan.bias_at = PACKED_HEAD;
    plan.mult_at = plan.bias_at + all * VB;
    plan.zp_at = plan.mult_at + all * VB * finish_vectors(s);
    plan.weights_at = plan.zp_at + zp_bytes(s);
    plan.size = plan.weights_at + all * plan.vector_weights;
    return plan;
}

static size_t amx_packed_size(const qzk_conv_shape *shape)
{
    return amx_plan_make(shape).size;
}

static void amx_pack(const qzk_conv_shape *s, const qzk_conv_weights *weights, void *packed)
{
    const amx_plan plan = amx_plan_make(s);
    const int32_t taps = s->kh * s->kw;
    uint8_t *blob = packed;
    int32_t *bias = (int32_t *)(void *)(blob + plan.bias_at);
    float *mult = (float *)(void *)(blob + plan.mult_at);
    memset(blob, 0, plan.size);
    packed_zp_row(weights, s->ic, QZK_CEIL4(s->ic) + VB, zp_bytes(s), blob + plan.zp_at);
    const size_t mult_step = s->by_channel ? (size_t)s->groups * (size_t)plan.vectors * VL : 0;
    for (int32_t o = 0; o < s->oc; o++) {
        const int32_t group = o / plan.ocg, in_group = o % plan.ocg;
        const int32_t before = in_group / BLOCK_LANES * BLOCK_N, c = in_group % BLOCK_LANES;
        const int32_t n_count = QZI_MIN(BLOCK_N, plan.vectors - before);
        const size_t vector = (size_t)group * (size_t)plan.vectors + (size_t)before;
        /* the order in which vb_narrow leaves the channels side by side */
        const int32_t n = c / 4 % n_count, lane = c / (4 * n_count) * 4 + c % 4;
        int8_t *to = (int8_t *)blob + plan.weights_at + vector * plan.vector_weights +
                     (size_t)n * TILE_BYTES + (size_t)lane * 4;
        const int8_t *from = weights->w_s8 + (size_t)o * (size_t)plan.icg * (size_t)taps;
        uint32_t sum = 0, magnitude = 0;
        for (int32_t i = 0; i < plan.icg; i++) {
            const uint32_t zp = packed_zp(weights, group * plan.icg + i);
            for (int32_t tap = 0; tap < taps; tap++) {
                const int32_t run = tap / plan.run_taps;
                const int32_t k = tap % plan.run_taps * plan.slot + i; /* in the run */
                const size_t step = (size_t)run * (size_t)plan.run_steps + (size_t)(k / STEP);
                const int8_t w = *from++;
                to[step * (size_t)n_count * TILE_BYTES + (size_t)(k % STEP / 4) * VB +
                   (size_t)(k % 4)] = w;
                sum += (uint32_t)w * zp;
                magnitude += (uint32_t)(w < 0 ? -w : w);
            }
        }
        const size_t at = (vector + (size_t)n) * VL + (size_t)lane;
        packed_channel(weights, o, sum, magnitude, bias + at, mult + at, mult_step, packed);
    }
}

/* ---- the grid ---- */

/* What is the same for all units of a run. */
typedef struct amx_work {
    const qzk_conv_args *args;
    amx_plan plan;
    bool flat;   /* a 1x1 kernel over pixels in place: one column, a row for each pixel */
    bool direct; /* whole tiles are taken from the input */
    bool few;    /* pixels: no tiles at all */
    int64_t images, in_h, in_w, out_h, out_w;
    int64_t x_step;    /* columns of the grid from position to position */
    int64_t x_pick;    /* columns of the image from column to column of the grid */
    int64_t columns;   /* of the grid */
    int64_t positions; /* in a row of the grid */
    int64_t planes, plane_rows;
    int64_t rows;     /* of the output, in a block, at most */
    int64_t steps;    /* of one row; in a flat grid of 32 pixels: whole tiles, two by two */
    int64_t blocks;   /* in an image; they differ by a step at most */
    int32_t parts;    /* of the output channels */
    bool parts_first; /* units go part by part through the blocks, else block by block */
    int64_t row_bytes;
    size_t grid_at, sums_at, out_at, in_at, trash_at, scratch; /* in the scratch: first run_at */
} amx_work;

/* Positions of a block that are multiplied, in whole tiles. */
static int64_t block_positions(const amx_work *work, int64_t rows)
{
    return QZI_ROUND_UP((rows - 1) * work->positions + work->out_w, TILE_ROWS);
}

/* Blocks of an image: as few tiles in all as can be, an odd one counting half more. */
static int64_t choose_blocks(const amx_work *work, int64_t extra)
{
    const int64_t row = work->row_bytes * work->planes;
    const int64_t limit = work->flat ? FLAT_POSITIONS / PIXELS : GRID_POSITIONS;
    const int64_t fit = QZI_MIN(limit / work->positions, GRID_BYTES / row - extra);
    const int64_t most = QZI_MAX(QZI_MIN(fit, work->steps), 1);
    const int64_t fewest = QZI_DIV_UP(work->steps, most);
    int64_t best = fewest, best_cost = INT64_MAX;
    for (int64_t blocks = fewest; blocks <= 2 * fewest && !work->flat; blocks++) {
        const int64_t tiles = block_positions(work, QZI_DIV_UP(work->steps, blocks)) / TILE_ROWS;
        const int64_t cost = blocks * (2 * tiles + (tiles & 1));
        if (cost < best_cost) {
            best = blocks;
            best_cost = cost;
        }
    }
    return best;
}

/* Blocks and parts, for as many threads as there are. */
static void choose_cut(amx_work *work, int64_t extra)
{
    const int64_t ways = QZI_MAX(work->args->ways, 1);
    const int64_t parts = (int64_t)work->args->shape->groups * work->plan.blocks;
    const int64_t blocks = choose_blocks(work, extra), all = work->images * blocks;
    work->parts_first = work->args->by_channels;
    work->blocks = blocks;
    work->parts = 1;
    if (work->parts_first && (parts % ways == 0 || parts >= 8 * ways)) {
        work->parts = (int32_t)QZI_MIN(parts, ways);
    } else if (work->parts_first) { /* a share may end within a part */
        work->parts = (int32_t)parts;
        work->blocks = QZI_MIN(QZI_MAX(blocks, 2), work->steps);
    } else if (all % ways != 0 && all < 8 * ways) {
        /* the images alone may do */
        const int64_t more = work->images % ways == 0 ? blocks : QZI_ROUND_UP(blocks, ways);
        work->blocks = QZI_MIN(more, work->steps);
        if (work->blocks < more)
            work->parts = (int32_t)QZI_MIN(ways, parts);
    }
    const int64_t most = QZI_DIV_UP(work->steps, work->blocks);
    work->rows = work->flat ? QZI_MIN(most * PIXELS, work->out_h) : most;
}

/* First output row of a block; of the one behind the last: all rows. */
static int64_t block_row(const amx_work *work, int64_t block)
{
    const int64_t step = work->steps * block / work->blocks;
    return work->flat ? QZI_MIN(step * PIXELS, work->out_h) : step;
}

static amx_work amx_work_make(const qzk_conv_args *args)
{
    const qzk_conv_shape *s = args->shape;
    const qzk_view *in = &args->in, *out = &args->out;
    amx_work work = {.args = args, .plan = amx_plan_make(s)};
    work.flat = s->kh == 1 && s->kw == 1 && s->stride_h == 1 && s->stride_w == 1 &&
                s->pad_top == 0 && s->pad_left == 0 && out->h == in->h && out->w == in->w;
    work.direct = work.flat && work.plan.icg % STEP == 0;
    work.few = work.flat && s->groups == 1 && (int64_t)in->n * in->h * in->w <= FEW_PIXELS;
    work.images = work.flat ? 1 : in->n;
    work.in_h = work.flat ? (int64_t)in->n * in->h * in->w : in->h;
    work.in_w = work.flat ? 1 : in->w;
    work.out_h = work.flat ? work.in_h : out->h;
    work.out_w = work.flat ? 1 : out->w;
    work.x_step = s->kw == 1 ? 1 : s->stride_w;
    work.x_pick = s->kw == 1 ? s->stride_w : 1;
    const int64_t width = (work.out_w - 1) * work.x_step + (int64_t)(s->kw - 1) * s->dil_w + 1;
    work.columns = QZI_ROUND_UP(width, work.x_step);
    work.positions = work.columns / work.x_step;
    work.row_bytes = work.columns * work.plan.pitch;
    work.planes = s->kh == 1 ? 1 : s->stride_h;
    const int64_t extra = (int64_t)(s->kh - 1) * s->dil_h / s->stride_h;
    work.steps = work.flat ? QZI_DIV_UP(work.out_h, PIXELS) : work.out_h;
    choose_cut(&work, extra);
    work.plane_rows = work.rows + extra;

    const size_t most = (size_t)QZI_ROUND_UP(block_positions(&work, work.rows), PIXELS);
    /* copies are whole vectors; the last tile and the last run may reach behind the last row */
    const int64_t behind =
        PIXELS * work.x_step * work.plan.pitch + (int64_t)(work.plan.run_steps + 1) * STEP;
    work.out_at = QZI_ROUND_UP((size_t)work.plan.runs * sizeof(int64_t), (size_t)QZI_ALIGN);
    work.in_at = QZI_ROUND_UP(work.out_at + most * sizeof(uint8_t *), (size_t)QZI_ALIGN);
    const size_t residuals = args->residual.data ? most * sizeof(uint8_t *) : 0;
    work.trash_at = QZI_ROUND_UP(work.in_at + residuals, (size_t)QZI_ALIGN);
    /* the trash is as long as a pixel of the output: any channel may be added */
    work.sums_at = QZI_ROUND_UP(work.trash_at + (size_t)s->oc + VB, (size_t)QZI_ALIGN);
    work.grid_at = work.sums_at + 2 * SUMS * sizeof(int32_t);
    work.scratch = work.grid_at + (size_t)(work.planes * work.plane_rows * work.row_bytes + behind);
    return work;
}

static size_t amx_scratch_size(const qzk_conv_args *args)
{
    return amx_work_make(args).scratch;
}

static int64_t amx_units(const qzk_conv_args *args)
{
    const amx_work work = amx_work_make(args);
    return work.images * work.blocks * work.parts;
}

/* Copies bytes; may write up to the end of a vector, what follows must be written later. */
VEC_INLINE void copy_bytes(const uint8_t *from, uint8_t *to, int64_t bytes)
{
    int64_t at = 0;
    for (; at + VB <= bytes; at += VB)
        vb_store(to + at, vb_load(from + at));
    if (at < bytes)
        vb_store(to + at, _mm512_maskz_loadu_epi8(~UINT64_C(0) >> (VB - (bytes - at)), from + at));
}

/* Columns of a grid that lie in the padding; writes as copy_bytes does. */
static void grid_padding(const amx_work *work, int64_t group, int64_t columns, uint8_t *to)
{
    const uint8_t *zp = (const uint8_t *)work->args->packed + work->plan.zp_at;
    if (!work->args->shape->by_channel && columns > 0) {
        memset(to, zp[0], (size_t)(columns * work->plan.pitch));
        return;
    }
    for (int64_t x = 0; x < columns; x++, to += work->plan.pitch)
        copy_bytes(zp + group * work->plan.icg, to, work->plan.slot);
}

/* One row of the grid, from row y of the image. */
static void grid_row(const amx_work *work, int64_t image, int64_t y, int64_t group, uint8_t *to)
{
    const qzk_view *in = &work->args->in;
    const int64_t slot = work->plan.slot, pitch = work->plan.pitch, pick = work->x_pick,
                  pad = work->args->shape->pad_left;
    /* columns [first, end) lie inside the image */
    int64_t first = QZI_MIN(QZI_DIV_UP(pad, pick), work->columns);
    int64_t end = QZI_MIN((work->in_w - 1 + pad) / pick + 1, work->columns);
    if (y < 0 || y >= work->in_h || end < first)
        first = end = 0;
    const uint8_t *from =
        (const uint8_t *)in->data +
        ((image * work->in_h + y) * work->in_w + first * pick - pad) * in->pixel_stride +
        group * work->plan.icg;
    grid_padding(work, group, first, to);
    to += first * pitch;
    if (pick == 1 && in->pixel_stride == slot && pitch == slot) {
        copy_bytes(from, to, (end - first) * slot);
        to += (end - first) * slot;
    } else {
        for (int64_t x = first; x < end; x++, to += pitch, from += pick * in->pixel_stride)
            copy_bytes(from, to, slot);
    }
    grid_padding(work, group, work->columns - end, to);
}

/* The grid of one group's channels for output rows [oy + skip, oy + rows). */
static void grid_fill(const amx_work *work, int64_t image, int64_t oy, int64_t skip, int64_t rows,
                      int64_t group, uint8_t *grid)
{
    const qzk_conv_shape *s = work->args->shape;
    if (work->flat) {
        const int64_t stride = work->args->in.pixel_stride;
        const uint8_t *from =
            (const uint8_t *)work->args->in.data + (oy + skip) * stride + group * work->plan.icg;
        for (int64_t r = skip; r < rows; r++, from += stride)
            copy_bytes(from, grid + r * work->row_bytes, work->plan.slot);
        return;
    }
    for (int64_t plane = 0; plane < work->planes; plane++) {
        uint8_t *to = grid + (plane * work->plane_rows + skip) * work->row_bytes;
        for (int64_t r = skip; r < work->plane_rows - (work->rows - rows); r++) {
            grid_row(work, image, (oy + r) * s->stride_h + plane - s->pad_top, group, to);
            to += work->row_bytes;
        }
    }
}

/* Where each run begins in the grid. */
static void run_offsets(const amx_work *work, int64_t *run_at)
{
    const qzk_conv_shape *s = work->args->shape;
    const int32_t in_row = s->kw / work->plan.run_taps;
    for (int32_t run = 0; run < work->plan.runs; run++) {
        const int64_t y = (int64_t)(run / in_row) * s->dil_h;
        const int64_t x = (int64_t)(run % in_row) * s->dil_w;
        run_at[run] = (y % s->stride_h * work->plane_rows + y / s->stride_h) * work->row_bytes +
                      x * work->plan.pitch;
    }
}

/* Where the output of each position goes: of those between the rows and behind them, to trash. */
static void out_pointers(const amx_work *work, int64_t image, int64_t oy, int64_t rows,
                         uint8_t *trash, uint8_t **out)
{
    const int64_t stride = work->args->out.pixel_stride;
    uint8_t *to =
        (uint8_t *)work->args->out.data + (image * work->out_h + oy) * work->out_w * stride;
    uint8_t **end = out + QZI_ROUND_UP(block_positions(work, rows), PIXELS);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t x = 0; x < work->out_w; x++, to += stride)
            *out++ = to;
        for (int64_t x = work->out_w; x < work->positions && out < end; x++)
            *out++ = trash;
    }
    while (out < end)
        *out++ = trash;
}

/* The residual of each position, as out_pointers; of those that are not read, the trash. */
static void residual_pointers(const amx_work *work, int64_t image, int64_t oy, int64_t rows,
                              const uint8_t *trash, const uint8_t **in)
{
    const qzk_view *residual = &work->args->residual;
    const uint8_t *from = (const uint8_t *)residual->data +
                          (image * work->out_h + oy) * work->out_w * residual->pixel_stride;
    const uint8_t **end = in + QZI_ROUND_UP(block_positions(work, rows), PIXELS);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t x = 0; x < work->out_w; x++, from += residual->pixel_stride)
            *in++ = from;
        for (int64_t x = work->out_w; x < work->positions && in < end; x++)
            *in++ = trash;
    }
    while (in < end)
        *in++ = trash;
}

static void few_multiply_all(const amx_work *work, const amx_job *job, const uint8_t *in,
                             int32_t vectors)
{
    const int64_t words = QZI_DIV_UP(work->plan.icg, 4);
    for (int64_t m = 0; m < work->out_h; m++, in += work->args->in.pixel_stride) {
        if (vectors == 2)
            few_multiply(in, job->w, words, job->bias, job->sums + m * BLOCK_LANES, 2);
        else
            few_multiply(in, job->w, words, job->bias, job->sums + m * VL, 1);
    }
}

/* ---- the whole ---- */

/* One block of output channels for `count` positions, the first `own` of which are no padding. */
static void amx_block(const amx_work *work, int64_t block, const uint8_t *in, int64_t own,
                      int64_t count, uint8_t *scratch, amx_pending *pending)
{
    const amx_plan *plan = &work->plan;
    const uint8_t *blob = work->args->packed;
    const int64_t group = block / plan->blocks;
    const int32_t before = (int32_t)(block % plan->blocks) * BLOCK_N; /* vectors */
    const size_t vector = (size_t)group * (size_t)plan->vectors + (size_t)before;
    int32_t *sums = (int32_t *)(void *)(scratch + work->sums_at);
    uint8_t *const *out = (uint8_t *const *)(void *)(scratch + work->out_at);
    const uint8_t *const *residual = (const uint8_t *const *)(void *)(scratch + work->in_at);
    const int32_t vectors = QZI_MIN(BLOCK_N, plan->vectors - before);
    const int64_t grid_stride = work->x_step * plan->pitch;
    amx_job job = {
        .run_at = (const int64_t *)(const void *)scratch,
        .runs = plan->runs,
        .run_steps = plan->run_steps,
        .w = (const int8_t *)blob + plan->weights_at + vector * plan->vector_weights,
        .bias = (const int32_t *)(const void *)(blob + plan->bias_at) + vector * VL,
    };
    for (int64_t i = 0; i < count; i += PIXELS) {
        const bool both = i + TILE_ROWS < count;
        const int64_t in_stride = work->args->in.pixel_stride;
        const bool direct = work->direct && i + (both ? PIXELS : TILE_ROWS) <= own;
        job.stride = direct ? in_stride : grid_stride;
        job.first = direct ? in + i * in_stride + group * plan->icg
                           : scratch + work->grid_at + i * grid_stride;
        job.second = both ? job.first + TILE_ROWS * job.stride : NULL;
        job.sums = pending->sums == sums ? sums + SUMS : sums;
        if (work->few) {
            amx_finish(pending, PIXELS);
            few_multiply_all(work, &job, in, vectors);
        } else {
            amx_multiply_any(&job, pending, vectors);
        }
        pending->sums = job.sums;
        pending->mult = (const float *)(const void *)(blob + plan->mult_at) + vector * VL;
        pending->fin.mult = pending->mult;
        pending->zero = work->args->shape->by_channel && !pending->fin.later
                            ? pending->mult + 2 * pending->fin.step
                            : NULL;
        pending->out = out + i;
        pending->residual = residual + i;
        pending->channel = group * plan->ocg + before * VL;
        pending->vectors = vectors;
        pending->channels = QZI_MIN(BLOCK_LANES, plan->ocg - before * VL);
        pending->done = 0;
        pending->pixels = work->few ? (int32_t)own : both ? PIXELS : TILE_ROWS;
    }
}

/* The first output channel of a block; of the one behind the last: all channels. */
static int64_t block_channel(const amx_plan *plan, int64_t block)
{
    return block / plan->blocks * plan->ocg + block % plan->blocks * BLOCK_LANES;
}

static void amx_run(const qzk_conv_args *args, int64_t begin, int64_t end, void *scratch)
{
    const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    const amx_work work = amx_work_make(args);
    const int64_t all = (int64_t)args->shape->groups * work.plan.blocks;
    const int64_t places = work.images * work.blocks;
    uint8_t *bytes = scratch;
    amx_pending pending = {
        .rq = vb_requant_init(args),
        .fin = finish_init(args, NULL, (size_t)args->shape->groups * (size_t)work.plan.vectors, 0),
    };
    int64_t filled = -1, copied = -1;
    run_offsets(&work, scratch);
    __asm__ volatile("" ::"m"(config));
    _tile_loadconfig(&config);
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t at = work.parts_first ? unit % places : unit / work.parts;
        const int64_t part = work.parts_first ? unit / places : unit % work.parts;
        const int64_t image = at / work.blocks, oy = block_row(&work, at % work.blocks);
        const int64_t rows = block_row(&work, at % work.blocks + 1) - oy;
        const int64_t count = block_positions(&work, rows);
        if (filled != at) {
            amx_finish(&pending, PIXELS); /* before its pointers are gone */
            out_pointers(&work, image, oy, rows, bytes + work.trash_at,
                         (uint8_t **)(void *)(bytes + work.out_at));
            if (pending.fin.residual)
                residual_pointers(&work, image, oy, rows, bytes + work.trash_at,
                                  (const uint8_t **)(void *)(bytes + work.in_at));
            copied = -1;
        }
        filled = at;
        /* of a direct input only what the last tiles lack */
        const int64_t skip = work.few ? rows : work.direct ? rows / PIXELS * PIXELS : 0;
        const uint8_t *in = (const uint8_t *)args->in.data + oy * args->in.pixel_stride;
        const int64_t block = all * part / work.parts, stop = all * (part + 1) / work.parts;
        for (int64_t b = block; b < stop; b++) {
            if (copied != b / work.plan.blocks && skip < rows)
                grid_fill(&work, image, oy, skip, rows, b / work.plan.blocks, bytes + work.grid_at);
            copied = b / work.plan.blocks;
            amx_block(&work, b, in, rows, count, scratch, &pending);
        }
        if (args->done) {
            const int64_t channel = block_channel(&work.plan, block);
            amx_finish(&pending, PIXELS);
            qzk_conv_done(args, (image * work.out_h + oy) * work.out_w, rows * work.out_w, channel,
                          block_channel(&work.plan, stop) - channel);
        }
    }
    amx_finish(&pending, PIXELS);
    _tile_release();
}

const qzk_conv_kernel qzk_u8s8_conv__amx = {
    .name = "u8s8_conv_32x32__amx",
    .isa = QZ_ISA_AMX,
    .macs_per_ns = 512,
    .weight_bytes = 1,
    .tile_m = PIXELS,
    .tile_n = BLOCK_LANES,
    .slow_values = 1 << 18,
    .supports = amx_supports,
    .packed_size = amx_packed_size,
    .pack = amx_pack,
    .scratch_size = amx_scratch_size,
    .units = amx_units,
    .run = amx_run,
};

/* SPDX-License-Identifier: MIT */
/*
 * yolo_input.c - a photo into the network's input: resized, letterboxed, and each byte replaced by
 * what the input node would make of it, band by band. No image of floats is made, and none of the
 * letterboxed bytes.
 */
#include "zoo/detection/yolo.h"

#define BAND 16 /* rows that a thread resizes at once: their source rows stay near */

qz_status qzi_yolo_input_prepare(qzi_yolo_input *input, uint32_t threads)
{
    const qzi_window window = qzi_letterbox_window(&input->box);
    QZI_TRY(qzi_resize_plan_make(input->ctx, input->in.width, input->in.height, &window,
                                 QZ_INTERPOLATION_BILINEAR, &input->plan));
    size_t each, band, bytes;
    input->threads = QZI_MAX(threads, 1u);
    if (!qzi_mul_size((size_t)window.width, (size_t)BAND * 3, &band) ||
        !qzi_add_size(QZI_ROUND_UP(band, 64), qzi_resize_scratch(&input->plan, BAND), &each) ||
        !qzi_mul_size(each, input->threads, &bytes))
        return qzi_fail_memory(input->ctx, SIZE_MAX);
    input->scratch_each = each;
    if (bytes <= input->scratch_bytes)
        return QZ_OK;
    qzi_free(input->ctx, input->scratch);
    input->scratch_bytes = 0;
    input->scratch = qzi_alloc(input->ctx, bytes);
    if (!input->scratch)
        return QZ_ERR_MEMORY;
    input->scratch_bytes = bytes;
    return QZ_OK;
}

void qzi_yolo_input_free(const qz_context *ctx, qzi_yolo_input *input)
{
    qzi_resize_plan_free(ctx, &input->plan);
    qzi_free(ctx, input->scratch);
    *input = (qzi_yolo_input){0};
}

/* ---- rows ---- */

typedef struct job {
    const qzi_yolo_input *input;
    const qzk_view *out;
    bool bytes;
    float floats[256];  /* what a byte becomes, in a float graph … */
    uint8_t table[256]; /* … and in an int8 graph: */
    bool same;          /* itself, where the input's scale is 1 / 255 */
} job;

static void fill_f32(const job *j, const uint8_t *rgb, int64_t pixel, int64_t count)
{
    float *to = (float *)j->out->data + pixel * j->out->pixel_stride;
    for (int64_t i = 0; i < count; i++, rgb += 3, to += j->out->pixel_stride) {
        to[0] = j->floats[rgb[0]];
        to[1] = j->floats[rgb[1]];
        to[2] = j->floats[rgb[2]];
    }
}

static void pad_f32(const job *j, int64_t pixel, int64_t count)
{
    float *to = (float *)j->out->data + pixel * j->out->pixel_stride;
    for (int64_t i = 0; i < count; i++, to += j->out->pixel_stride)
        to[0] = to[1] = to[2] = j->floats[QZ_YOLO_PAD];
}

/* 4 bytes a pixel; no result depends on the last of them. */
static void spread_pixels(const uint8_t *rgb, uint8_t *to, int64_t count)
{
    for (int64_t i = 0; i + 1 < count; i++, rgb += 3, to += 4)
        memcpy(to, rgb, 4);
    if (count > 0)
        memcpy(to, rgb, 3);
}

static void fill_u8(const job *j, uint8_t *rgb, int64_t pixel, int64_t count)
{
    uint8_t *to = (uint8_t *)j->out->data + pixel * j->out->pixel_stride;
    if (!j->same)
        j->input->plan.kernels.u8_lut(rgb, rgb, (size_t)count * 3, j->table);
    if (j->out->pixel_stride == (int64_t)QZK_CEIL4(3)) {
        spread_pixels(rgb, to, count);
        return;
    }
    for (int64_t i = 0; i < count; i++, rgb += 3, to += j->out->pixel_stride)
        memcpy(to, rgb, 3);
}

/* Pixels without gaps, bytes between them included: all have the same value. */
static void pad_u8(const job *j, int64_t pixel, int64_t count)
{
    const size_t stride = (size_t)j->out->pixel_stride;
    uint8_t *to = (uint8_t *)j->out->data + (size_t)pixel * stride;
    if (stride == QZK_CEIL4(3)) {
        memset(to, j->table[QZ_YOLO_PAD], (size_t)count * stride);
        return;
    }
    for (int64_t i = 0; i < count; i++, to += stride)
        memset(to, j->table[QZ_YOLO_PAD], 3);
}

static void pad(const job *j, int64_t pixel, int64_t count)
{
    if (j->bytes)
        pad_u8(j, pixel, count);
    else
        pad_f32(j, pixel, count);
}

/* A row of the network's input; rgb: the image's row there, which is overwritten; NULL: none. */
static void fill_row(const job *j, int32_t y, uint8_t *rgb)
{
    const qz_letterbox *b = &j->input->box;
    const int64_t first = (int64_t)y * b->width, columns = b->image_width;
    if (!rgb) {
        pad(j, first, b->width);
        return;
    }
    pad(j, first, b->left);
    if (j->bytes)
        fill_u8(j, rgb, first + b->left, columns);
    else
        fill_f32(j, rgb, first + b->left, columns);
    pad(j, first + b->left + columns, b->width - b->left - columns);
}

static void run_rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const job *j = arg;
    const qzi_yolo_input *in = j->input;
    const int32_t top = in->box.top, bottom = top + in->box.image_height;
    uint8_t *band = in->scratch + thread * in->scratch_each;
    const size_t row = (size_t)in->box.image_width * 3;
    uint8_t *rest = band + QZI_ROUND_UP(row * BAND, 64);
    for (int32_t y = (int32_t)begin; y < end;) {
        if (y < top || y >= bottom) {
            fill_row(j, y++, NULL);
            continue;
        }
        const int32_t stop = QZI_MIN(QZI_MIN(y + BAND, bottom), (int32_t)end);
        qzi_resize_rows(&in->plan, &in->in, y - top, stop - top, rest, band);
        for (uint8_t *line = band; y < stop; y++, line += row)
            fill_row(j, y, line);
    }
}

void qzi_yolo_input_fill(void *user, const qz_context *ctx, const qzi_node *node,
                         const qzk_view *out, uint32_t threads)
{
    const qzi_yolo_input *in = user;
    job j = {.input = in, .out = out, .bytes = node->dtype == QZ_U8};
    for (int v = 0; v < 256; v++)
        j.floats[v] = (float)v / 255.0f;
    if (j.bytes) { /* as the input node quantizes */
        qzk_kernels ref;
        qzk_init(&ref, QZ_ISA_REF);
        ref.quantize(j.floats, j.table, 256, 1.0f / node->q.scale, node->q.zero_point);
        j.same = true;
        for (int v = 0; v < 256; v++)
            j.same = j.same && j.table[v] == v;
    }
    qzi_parallel(ctx, QZI_MIN(threads, in->threads), in->box.height, BAND, run_rows, &j);
}

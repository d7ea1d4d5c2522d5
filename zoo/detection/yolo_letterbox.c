/* SPDX-License-Identifier: MIT */
/*
 * yolo_letterbox.c - an image in the middle of the network's input, and boxes back from there.
 * Sizes and margins are rounded as ultralytics' letterbox rounds them; the resize is Pillow's.
 */
#include "zoo/detection/yolo.h"

/* ---- sizes ---- */

/* Gray before the image, of `spare` in all: round(spare / 2 - 0.1), so that the odd one is behind.
 */
static int32_t margin(int32_t spare)
{
    return (int32_t)qzi_rne((double)spare / 2 - 0.1);
}

qz_status qz_yolo_letterbox_size(qz_context *context, int32_t width, int32_t height,
                                 int32_t net_width, int32_t net_height, int32_t stride,
                                 qz_letterbox *box)
{
    if (!box || width < 1 || height < 1 || net_width < 1 || net_height < 1 || stride < 0)
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "letterbox of an image of %d x %d in %d x %d: a side is missing", width,
                        height, net_width, net_height);
    qzi_fpenv env = qzi_fpenv_enter();
    const double across = (double)net_width / width, down = (double)net_height / height;
    const double ratio = QZI_MIN(across, down);
    const int32_t w = (int32_t)qzi_rne((double)width * ratio);
    const int32_t h = (int32_t)qzi_rne((double)height * ratio);
    int32_t spare_w = net_width - w, spare_h = net_height - h;
    if (stride > 0) {
        spare_w %= stride;
        spare_h %= stride;
    }
    *box = (qz_letterbox){.width = w + spare_w,
                          .height = h + spare_h,
                          .left = margin(spare_w),
                          .top = margin(spare_h),
                          .image_width = w,
                          .image_height = h,
                          .ratio = ratio};
    qzi_fpenv_leave(env);
    if (w < 1 || h < 1)
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "image of %d x %d: resized to %d x %d nothing is left of it; use one that "
                        "is less narrow, or a larger size",
                        width, height, w, h);
    return QZ_OK;
}

qzi_window qzi_letterbox_window(const qz_letterbox *box)
{
    return (qzi_window){.full_width = box->image_width,
                        .full_height = box->image_height,
                        .width = box->image_width,
                        .height = box->image_height};
}

/* ---- pixels ---- */

static bool fits(const qz_letterbox *box)
{
    return box->width >= 1 && box->height >= 1 && box->left >= 0 && box->top >= 0 &&
           box->image_width >= 1 && box->image_height >= 1 &&
           box->image_width <= box->width - box->left &&
           box->image_height <= box->height - box->top;
}

qz_status qz_yolo_letterbox(qz_context *context, const uint8_t *rgb, int32_t width, int32_t height,
                            size_t stride, const qz_letterbox *box, uint8_t *out)
{
    const qzi_pixels in = {rgb, width, height, stride};
    QZI_TRY(qzi_check_pixels(context, "qz_yolo_letterbox", &in));
    if (!box || !out || !fits(box))
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_yolo_letterbox: there is no room, or the image is outside of the "
                        "letterbox; begin with qz_yolo_letterbox_size");
    const qzi_window window = qzi_letterbox_window(box);
    const size_t row = (size_t)box->width * 3, image_row = (size_t)box->image_width * 3;
    size_t bytes;
    if (!qzi_mul_size(image_row, (size_t)box->image_height, &bytes))
        return qzi_fail_memory(context, SIZE_MAX);
    uint8_t *resized = qzi_alloc(context, bytes);
    if (!resized)
        return QZ_ERR_MEMORY;
    qzi_fpenv env = qzi_fpenv_enter();
    const qz_status st =
        qzi_resize_window(context, &in, &window, QZ_INTERPOLATION_BILINEAR, resized);
    qzi_fpenv_leave(env);
    for (int32_t y = 0; y < box->height && st == QZ_OK; y++, out += row) {
        const int32_t line = y - box->top;
        memset(out, QZ_YOLO_PAD, row);
        if (line >= 0 && line < box->image_height)
            memcpy(out + (size_t)box->left * 3, resized + (size_t)line * image_row, image_row);
    }
    qzi_free(context, resized);
    return st;
}

/* ---- boxes ---- */

bool qzi_letterbox_to_image(const qz_letterbox *box, int32_t height, int32_t width, qzi_box *b)
{
    const float ratio = (float)box->ratio, left = (float)box->left, top = (float)box->top;
    const qzi_box moved = {(b->x1 - left) / ratio, (b->y1 - top) / ratio, (b->x2 - left) / ratio,
                           (b->y2 - top) / ratio};
    *b = qzi_box_clip(moved, height, width);
    return b->x2 > b->x1 && b->y2 > b->y1; /* of NaN nothing is left */
}

qz_status qz_yolo_to_image(qz_context *context, const qz_letterbox *box, int32_t width,
                           int32_t height, qz_detection *list, size_t *count)
{
    size_t kept = 0;
    if (!box || !count || (!list && *count > 0) || width < 1 || height < 1 || !(box->ratio > 0.0))
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_yolo_to_image: there is no letterbox, no list or no image");
    qzi_fpenv env = qzi_fpenv_enter();
    for (size_t i = 0; i < *count; i++) {
        qzi_box b = {list[i].x1, list[i].y1, list[i].x2, list[i].y2};
        if (qzi_letterbox_to_image(box, height, width, &b))
            list[kept++] = (qz_detection){b.x1, b.y1, b.x2, b.y2, list[i].score, list[i].label};
    }
    qzi_fpenv_leave(env);
    *count = kept;
    return QZ_OK;
}

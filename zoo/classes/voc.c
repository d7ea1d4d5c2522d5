/* SPDX-License-Identifier: MIT */
/* voc.c - the names of the 21 classes of Pascal VOC, which torchvision's segmenters have. */
#include "layers/base/base.h"
#include "zoo/qzoo_model.h"

/* clang-format off */
static const char *const names[] = {
    "__background__", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat",
    "chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep",
    "sofa", "train", "tvmonitor",
};
/* clang-format on */
_Static_assert(QZI_ARRAY_LEN(names) == 21, "Pascal VOC has 20 classes and the background");

const char *qz_voc_class(int32_t index)
{
    return index >= 0 && (size_t)index < QZI_ARRAY_LEN(names) ? names[index] : NULL;
}

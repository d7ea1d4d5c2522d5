/* SPDX-License-Identifier: MIT */
/* coco.c - the names of the 91 classes of torchvision's COCO detectors, and of the 80 of YOLO. */
#include "layers/base/base.h"
#include "zoo/qzoo_model.h"

/* By COCO's category ids; of 91 numbers COCO uses 80. */
/* clang-format off */
static const char *const names[] = {
    "__background__", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck",
    "boat", "traffic light", "fire hydrant", "N/A", "stop sign", "parking meter", "bench", "bird",
    "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "N/A",
    "backpack", "umbrella", "N/A", "N/A", "handbag", "tie", "suitcase", "frisbee", "skis",
    "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "N/A", "wine glass", "cup", "fork", "knife", "spoon", "bowl",
    "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut",
    "cake", "chair", "couch", "potted plant", "bed", "N/A", "dining table", "N/A", "N/A", "toilet",
    "N/A", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "N/A", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
};
/* clang-format on */
_Static_assert(QZI_ARRAY_LEN(names) == 91, "COCO's largest category id is 90");

const char *qz_coco_class(int32_t index)
{
    return index >= 0 && (size_t)index < QZI_ARRAY_LEN(names) ? names[index] : NULL;
}

const char *qz_coco80_class(int32_t index)
{
    for (size_t i = 1; i < QZI_ARRAY_LEN(names) && index >= 0; i++)
        if (names[i][1] != '/' && index-- == 0)
            return names[i];
    return NULL;
}

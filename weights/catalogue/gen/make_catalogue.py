# SPDX-License-Identifier: MIT
"""Writes weights/catalogue/catalogue_torchvision.inc from the facts that an installed torchvision holds.

    python3 make_catalogue.py > ../catalogue_torchvision.inc      (torchvision 0.14.1 made it)

Image classification, quantization, detection and segmentation; video and optical flow are left
out. Metrics are told in thousandths, so that the table holds no rounding.
"""
import re

from torchvision.models import get_model_weights, list_models

TASKS = {"models": "classification", "quantization": "classification", "detection": "detection",
         "segmentation": "segmentation"}
METRICS = {"acc@1": "acc@1", "acc@5": "acc@5", "box_map": "box_map", "mask_map": "mask_map",
           "kp_map": "kp_map", "miou": "miou", "pixel_acc": "pixel_acc"}
CLASSES = {1000: "imagenet1k", 91: "coco91", 21: "voc21", 2: "coco_person", 0: ""}
PLAIN = "QZI_LICENCE_TORCHVISION"


def licence(meta):
    link = meta.get("license", "")
    return '"CC-BY-NC-4.0 (%s)"' % link if link else PLAIN


def task_of(enum):
    parts = enum.__module__.split(".")
    return TASKS.get(parts[2] if len(parts) > 3 else "models")


def recipe(weights, task):
    if task == "detection":
        return "QZI_RECIPE(0, 0, BILINEAR)"
    t = weights.transforms()
    if task == "segmentation":
        return "QZI_RECIPE(%d, 0, %s)" % (t.resize_size[0], t.interpolation.name)
    suffix = {0.485: "", 0.5: "_HALF", 0.48235: "_CAFFE"}[t.mean[0]]
    return "QZI_RECIPE%s(%d, %d, %s)" % (suffix, t.resize_size[0], t.crop_size[0],
                                        t.interpolation.name)


# whose builders call overwrite_eps(model, 0.0)
ZERO_EPS = {("retinanet_resnet50_fpn", "COCO_V1"), ("fasterrcnn_resnet50_fpn", "COCO_V1"),
            ("maskrcnn_resnet50_fpn", "COCO_V1")}


def row(model, weights, default):
    meta, task = weights.meta, task_of(type(weights))
    quantized = model.startswith("quantized_")
    name = model[len("quantized_"):] if quantized else model
    sha = re.search(r"[-_]([0-9a-f]{8,64})\.pth$", weights.url).group(1)
    (data_set, values), = meta["_metrics"].items()
    values = {k: v for k, v in values.items() if v == v}
    parent = meta.get("unquantized")
    classes = len(meta["categories"] or ())  # VGG16's features only: no classifier, no metrics
    metrics = ", ".join('{"%s", %d}' % (METRICS[k], round(v * 1000)) for k, v in values.items())
    return "\n".join([
        'QZI_WEIGHTS(.model = "%s", .tag = "%s", .task = "%s",' % (name, weights.name, task),
        '    .url = "%s",' % weights.url,
        '    .sha256 = "%s", .classes = %d, .categories = "%s", .params = %d,' %
        (sha, classes, CLASSES[classes], meta["num_params"]),
        '    .data_set = "%s", .metrics = {%s},' % (data_set, metrics or "{0}"),
        '    %s, .licence = %s,' % (recipe(weights, task), licence(meta)),
        # what torchvision's builders set when they are given weights
        '    .transform_input = %s,%s' %
        ("true" if name in ("googlenet", "inception_v3") else "false",
         " .zero_eps = true," if (name, weights.name) in ZERO_EPS else ""),
        '    .quantized = "%s", .parent = "%s", .is_default = %s)' %
        (meta.get("backend", "") if quantized else "", parent.name if parent else "",
         "true" if default else "false"),
    ])


print("/* SPDX-License-Identifier: MIT */")
print("/* catalogue_torchvision.inc - made by gen/make_catalogue.py; do not edit. */")
print("/* clang-format off */")
for model in sorted(list_models(), key=lambda m: (m.replace("quantized_", ""), len(m))):
    enum = get_model_weights(model)
    if task_of(enum) is None:
        continue
    for weights in enum:
        print(row(model, weights, weights is enum.DEFAULT))
print("/* clang-format on */")

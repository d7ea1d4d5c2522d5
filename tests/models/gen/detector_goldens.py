# SPDX-License-Identifier: MIT
"""Writes tests/models/detector_goldens.inc: what torchvision 0.14.1's RoI heads make of noise.

Weights are those of the oracle folder's goldens (QZOO_TEST_DATA: their gains), the pooled features
are seeded noise in [0, 1): the goldens themselves have pooled features as statistics only.
"""
import json
import os
import sys

import numpy as np
import torch
from torchvision.models import detection

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../unit/gen"))
from golden_fill import fill, uniform  # noqa: E402

ROIS = 2


def noise(name, side):
    count = ROIS * 256 * side * side
    return torch.from_numpy(uniform(name, 0.0, 1.0, count).reshape(ROIS, 256, side, side))


data = os.environ.get("QZOO_TEST_DATA", "../shared/data")
lines = []
for arch in ["fasterrcnn_resnet50_fpn_v2", "fasterrcnn_mobilenet_v3_large_320_fpn",
             "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"]:
    with open(os.path.join(data, "goldens", arch + ".json")) as f:
        rules = json.load(f)["gain_rules"]
    heads = getattr(detection, arch)(weights=None, weights_backbone=None).roi_heads.eval()
    fill(heads, "roi_heads.", lambda key: next(gain for part, gain in rules if part in key))
    with torch.no_grad():
        logits, boxes = heads.box_predictor(heads.box_head(noise("box_features", 7)))
        out = {"roi_cls_logits": logits, "roi_bbox_regression": boxes}
        if heads.mask_predictor is not None:
            out["mask_logits"] = heads.mask_predictor(heads.mask_head(noise("mask_features", 14)))
    for name, t in out.items():
        flat = t.flatten()
        values = [flat[i * (flat.numel() - 1) // 7].item() for i in range(8)]
        lines.append(f'    {{"{arch}", "{name}", {flat.numel()}, {t.double().norm().item()!r},\n'
                     f'     {{{", ".join(f"{v!r}f" for v in values)}}}}},\n')

path = os.path.join(os.path.dirname(__file__), "..", "detector_goldens.inc")
with open(path, "w") as f:
    f.write("/* SPDX-License-Identifier: MIT */\n"
            "/* Written by gen/detector_goldens.py. clang-format off */\n"
            f"#define DETECTOR_ROIS {ROIS}\n"
            "static const struct {\n    const char *arch, *output;\n    int64_t count;\n"
            "    double l2;\n    float spread[8];\n} detector_goldens[] = {\n" + "".join(lines)
            + "};\n")

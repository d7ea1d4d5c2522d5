# SPDX-License-Identifier: MIT
"""Writes tests/models/detector_goldens.inc: what torchvision 0.14.1's RoI heads make of noise.

Weights are those of the oracle folder's goldens (QZOO_TEST_DATA: their gains), the pooled features
are seeded noise in [0, 1): the goldens themselves have pooled features as statistics only.
"""
import json
import math
import os

import numpy as np
import torch
from torchvision.models import detection

ROIS = 2


def uniform(key, off, mul, count):
    h = 0xCBF29CE484222325
    for b in key.encode():
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        i = np.arange(1, count + 1, dtype=np.uint64)
        z = np.uint64(h) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float64) * 2.0 ** -24
    return ((u + off) * mul).astype(np.float32)


def fill(module, prefix, rules):
    state = module.state_dict()
    for name, t in state.items():
        key, leaf = prefix + name, name.rsplit(".", 1)[-1]
        if leaf == "num_batches_tracked":
            continue
        sibling = state.get(name[: -len("bias")] + "weight") if leaf == "bias" else None
        if leaf == "running_mean":
            off, mul = -0.5, 0.2
        elif leaf == "running_var" or (leaf == "weight" and t.ndim == 1):
            off, mul = 0.5, 1.0
        elif leaf == "weight":
            gain = next(g for s, g in rules if s in key)
            off, mul = -0.5, 2.0 * (gain * math.sqrt(3.0 / (t.numel() // t.shape[0])))
        else:
            off, mul = -0.5, 0.2 if sibling is not None and sibling.ndim == 1 else 0.1
        t.copy_(torch.from_numpy(uniform(key, off, mul, t.numel()).reshape(t.shape)))


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
    fill(heads, "roi_heads.", rules)
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

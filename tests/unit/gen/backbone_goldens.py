# SPDX-License-Identifier: MIT
"""Writes tests/unit/backbone_goldens.inc: feature maps of torchvision 0.14.1's dilated backbones.

Weights are the seeded fill that qz_random_fill makes (one gain, seed suffix ""); the input is noise
of the same generator. Each map is told by its shape, its L2 norm and its first values.
"""
import os

import numpy as np
import torch
from torchvision.models import mobilenet_v3_large, resnet50
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops.misc import FrozenBatchNorm2d

from golden_fill import fill, uniform

GAIN = 1.2


cases = [
    ("resnet50", "backbone.body.", [False, True, True], True, ["layer2", "layer4"],
     lambda **k: resnet50(replace_stride_with_dilation=[False, True, True], **k)),
    ("mobilenet_v3_large", "backbone.", [False, False, True], False, ["4", "16"],
     lambda **k: mobilenet_v3_large(dilated=True, **k).features),
]
lines = []
for arch, prefix, dilate, frozen, layers, make in cases:
    model = make(norm_layer=FrozenBatchNorm2d) if frozen else make()
    body = IntermediateLayerGetter(model, {name: name for name in layers}).eval()
    fill(body, prefix, lambda key: GAIN)
    with torch.no_grad():
        x = torch.from_numpy(uniform("input", -0.5, 2.0, 3 * 65 * 81).reshape(1, 3, 65, 81))
        maps = body(x)
    for name in layers:
        m = maps[name]
        first = ", ".join(f"{v!r}f" for v in m.flatten()[:4].tolist())
        lines.append(f'    {{"{arch}", "{prefix[:-1]}", {{{", ".join(str(int(d)) for d in dilate)}}}, '
                     f'{int(frozen)}, "{name}", {{{m.shape[1]}, {m.shape[2]}, {m.shape[3]}}}, '
                     f"{m.double().norm().item()!r}, {{{first}}}}},\n")

path = os.path.join(os.path.dirname(__file__), "..", "backbone_goldens.inc")
with open(path, "w") as f:
    f.write("/* SPDX-License-Identifier: MIT */\n"
            "/* Written by gen/backbone_goldens.py. clang-format off */\n"
            "static const struct {\n    const char *arch, *scope;\n    bool dilate[3], frozen;\n"
            "    const char *layer;\n    int32_t shape[3]; /* c, h, w */\n    double l2;\n"
            "    float first[4];\n} backbone_goldens[] = {\n" + "".join(lines) + "};\n"
            f"#define BACKBONE_GAIN {GAIN}\n")

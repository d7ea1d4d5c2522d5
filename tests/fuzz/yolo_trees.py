# SPDX-License-Identifier: MIT
"""Writes the module trees in regressions/yolo: pickles whose keys and shapes are those of YOLOs, with
all tensors in one storage of 16 numbers.

    python3 yolo_trees.py FOLDER      (PyTorch 1.13 made the committed ones)
"""
import io
import os
import sys
import types
import zipfile

import torch
from torch import nn

base = torch.tensor([8.0, 16.0, 32.0] + 13 * [1.0])


def foreign(name):
    """A class of a package that is not installed."""
    sys.modules.setdefault("models", types.ModuleType("models"))
    package = sys.modules.setdefault("models.yolo", types.ModuleType("models.yolo"))
    cls = type(name, (nn.Module,), {"__module__": "models.yolo", "__qualname__": name})
    setattr(package, name, cls)
    return cls


Model, Detect, Conv = map(foreign, ("Model", "Detect", "Conv"))


def of(*shape):
    return base[:1].expand(shape)


def net(stem, last, stride=base[:3], nc=80, act=None, names=None, dfl=False):
    model, conv, detect = Model(), Conv(), Detect()
    model.model = nn.Sequential()
    conv.conv, conv.act = nn.Module(), act or nn.SiLU()
    conv.conv.register_buffer("weight", of(*stem))
    model.model.add_module("0", conv)
    detect.register_buffer("anchors", of(3, 3, 2))
    detect.register_buffer("anchor_grid", of(3, 1, 3, 1, 1, 2))
    detect.m = nn.ModuleList([nn.Module() for _ in range(3)])
    for i, head in enumerate(detect.m):
        head.register_buffer("weight", of(255, 64 << i, 1, 1))
    if dfl:
        detect.dfl = Conv()
        detect.dfl.conv = nn.Module()
        detect.dfl.conv.register_buffer("weight", of(1, 16, 1, 1))
    detect.nc, detect.stride = nc, stride
    model.model.add_module(str(last), detect)
    model.names = names or ["a", "b"]
    return model


def write(name, mode, thing):
    archive = io.BytesIO()
    torch.save(thing, archive)
    with zipfile.ZipFile(archive) as records:
        pickle = records.read([n for n in records.namelist() if n.endswith("data.pkl")][0])
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(bytes([mode]) + pickle)


write("tree", 0, {"epoch": -1, "model": net((16, 3, 6, 6), 24), "ema": None})
write("tree-average", 0, {"model": net((16, 3, 6, 6), 24), "ema": (net((16, 3, 6, 6), 24), 7)})
write("tree-v3", 2, {"model": net((32, 3, 3, 3), 28, act=nn.LeakyReLU(0.1)), "ema": None})
write("tree-silu", 2, {"model": net((32, 3, 3, 3), 28), "ema": None})
write("tree-seven-classes", 0, {"model": net((16, 3, 6, 6), 24, nc=7, names={0: "x"})})
write("tree-strides", 0, net((16, 3, 6, 6), 24, stride=base))
write("tree-larger", 4, {"model": net((32, 3, 6, 6), 33)})
write("tree-later", 0, {"model": net((16, 3, 3, 3), 22, dfl=True)})

# SPDX-License-Identifier: MIT
"""Writes the files that test_formats.c reads, in all containers that hold tensors, and what PyTorch
and numpy read from them (expected.txt).

    python3 make_format_files.py OUTPUT_FOLDER      (PyTorch 1.13 made the committed ones)

A line of expected.txt: file, key, dtype, shape (dxd, or scalar), FNV-1a 64 of the bytes in
row-major order, and for quantized tensors axis (-1: per tensor), scales, zero points.
"""
import collections
import datetime
import functools
import os
import pathlib
import struct
import sys
import types

import numpy
import torch
from torch import nn

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
lines = []
torch.manual_seed(1)


def path(name):
    return os.path.join(out, name)


def fnv(data):
    h = 0xcbf29ce484222325
    for b in data:
        h = (h ^ b) * 0x100000001b3 % 2**64
    return h


def to_bytes(t):
    t = t.detach().contiguous()
    if t.dtype == torch.bfloat16:
        return t.view(torch.int16).numpy().tobytes()
    return t.numpy().tobytes()


def expect(name, key, value):
    quant = ""
    if isinstance(value, numpy.ndarray):
        dtype, shape = str(value.dtype.newbyteorder("=")), value.shape
        data = numpy.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes()
    elif value.is_quantized:
        dtype, shape = str(value.int_repr().dtype).split(".")[1], value.shape
        if value.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            axis, scales, zeros = -1, [value.q_scale()], [value.q_zero_point()]
        else:
            axis = value.q_per_channel_axis()
            scales = value.q_per_channel_scales().tolist()
            zeros = value.q_per_channel_zero_points().tolist()
        quant = "\t%d\t%s\t%s" % (axis, " ".join(float(s).hex() for s in scales),
                                  " ".join(str(int(z)) for z in zeros))
        data = to_bytes(value.int_repr())
    else:
        dtype, shape, data = str(value.dtype).split(".")[1], value.shape, to_bytes(value)
    lines.append("%s\t%s\t%s\t%s\t%016x%s" % (
        name, key, dtype, "x".join(map(str, shape)) or "scalar", fnv(data), quant))


def expect_all(name, items):
    for key, value in items:
        expect(name, key, value)


def save(name, thing, items=None, **options):
    torch.save(thing, path(name), **options)
    expect_all(name, (items if items is not None else thing).items())


LEGACY = {"_use_new_zipfile_serialization": False}
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.bool)


def ramp(dtype, *shape):
    n = int(numpy.prod(shape))
    values = torch.arange(n).reshape(shape) - (0 if dtype in (torch.uint8, torch.bool) else 2)
    return (values % 2 if dtype == torch.bool else values).to(dtype)


# every dtype in every layout, in both containers of torch.save
layouts = collections.OrderedDict()
for dtype in DTYPES:
    name = str(dtype).split(".")[1]
    base = ramp(dtype, 2, 3, 4, 5)
    layouts[name + ".dense"] = ramp(dtype, 2, 3)
    layouts[name + ".scalar"] = ramp(dtype, 1)[0].clone()
    layouts[name + ".channels_last"] = base.contiguous(memory_format=torch.channels_last)
    layouts[name + ".transposed"] = base[0, 0].t()
    layouts[name + ".strided"] = base[:, 1:, ::2, 1::3]
    layouts[name + ".expanded"] = ramp(dtype, 1, 3).expand(4, 3)
    layouts[name + ".empty"] = torch.zeros(0, 3, dtype=dtype)
save("layouts.pth", layouts)
save("layouts-legacy.pth", layouts, **LEGACY)

# quantized
real = torch.randn(3, 4, 2, 2)
q = collections.OrderedDict()
q["qint8"] = torch.quantize_per_tensor(real, 0.03, 0, torch.qint8)
q["quint8"] = torch.quantize_per_tensor(real, 0.02, 117, torch.quint8)
q["qint32"] = torch.quantize_per_tensor(real, 1e-5, 3, torch.qint32)
scales = torch.tensor([0.01, 0.02, 0.05], dtype=torch.float64)
q["by_row"] = torch.quantize_per_channel(real, scales, torch.zeros(3, dtype=torch.int64), 0,
                                         torch.qint8)
q["by_column"] = torch.quantize_per_channel(
    real, torch.rand(4) + 0.01, torch.tensor([1, 2, 3, 200]), 1, torch.quint8)
q["channels_last"] = q["qint8"].contiguous(memory_format=torch.channels_last)
save("quantized.pth", q)
save("quantized-legacy.pth", q, **LEGACY)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, 2 * c, 3, bias=False)
        self.bn = nn.BatchNorm2d(2 * c)
        self.act = nn.SiLU()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("anchors", torch.arange(6.0).reshape(3, 2))
        self.register_buffer("scratch", torch.zeros(5), persistent=False)
        self.model = nn.Sequential(Block(1), Block(2))
        self.head = nn.Linear(4, 2)
        self.names = ["a", "b"]

    def forward(self, x):
        return self.head(self.model(x).mean((2, 3)) + self.anchors.sum())


net = Net()
for name, options in (("module.pt", {}), ("module-legacy.pt", LEGACY),
                      ("module4.pt", {"pickle_protocol": 4})):
    save(name, net, net.state_dict(), **options)
# as ultralytics' checkpoints are
half = Net().half()
save("checkpoint.pt", {
    "epoch": -1, "best_fitness": numpy.array([0.25]), "model": half, "ema": None, "updates": 3,
    "optimizer": None, "opt": {"project": pathlib.PurePosixPath("runs/train"), "lr": 0.01},
    "wandb_id": None, "date": datetime.datetime(2022, 11, 22), "device": torch.device("cpu"),
    "seen": {1, 2}, "scores": collections.defaultdict(list)}, half.state_dict())
save("ema.pt", {"model": net, "ema": half, "epoch": 2}, net.state_dict())

# TorchScript
scripted = torch.jit.script(net)
scripted.save(path("script.pt"))
expect_all("script.pt", [(k, v) for k, v in scripted.state_dict().items()
                         if k != "scratch"] + [("scratch", net.scratch)])

# a quantized network: as a state dict, and as TorchScript with packed parameters
torch.backends.quantized.engine = "qnnpack"


class Quantized(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = torch.ao.quantization.QuantStub()
        self.conv = nn.Conv2d(2, 4, 3)
        self.plain = nn.Conv2d(4, 2, 1, bias=False)
        self.fc = nn.Linear(2, 3)
        self.dequant = torch.ao.quantization.DeQuantStub()

    def forward(self, x):
        x = self.plain(self.conv(self.quant(x)))
        return self.dequant(self.fc(x.mean((2, 3))))


model = Quantized().eval()
model.qconfig = torch.ao.quantization.get_default_qconfig("qnnpack")
torch.ao.quantization.prepare(model, inplace=True)
model(torch.randn(1, 2, 8, 8))
torch.ao.quantization.convert(model, inplace=True)
items = {}
for key, value in model.state_dict().items():
    if isinstance(value, tuple):
        items[key + ".weight"], items[key + ".bias"] = value
    elif torch.is_tensor(value):
        items[key] = value
save("quantized-net.pth", model.state_dict(), items)
torch.jit.script(model).save(path("quantized-script.pt"))
for key in ("conv", "plain"):
    weight, bias = getattr(model, key)._weight_bias()
    expect("quantized-script.pt", key + ".weight", weight)
    if bias is not None:
        expect("quantized-script.pt", key + ".bias", bias)
weight, bias = model.fc._packed_params._weight_bias()
expect("quantized-script.pt", "fc._packed_params._packed_params.weight", weight)
expect("quantized-script.pt", "fc._packed_params._packed_params.bias", bias)

# numpy
arrays = collections.OrderedDict()
for dtype in ("<f4", "<f8", "<f2", "<i8", "<i4", "<i2", "i1", "u1", "?", ">f4", ">i8"):
    name = dtype.replace("<", "").replace(">", "big_").replace("?", "b1")
    arrays[name] = (numpy.arange(24).reshape(2, 3, 4) % (2 if dtype == "?" else 99)).astype(dtype)
arrays["fortran"] = numpy.asfortranarray(numpy.arange(24, dtype="<f4").reshape(2, 3, 4))
arrays["scalar"] = numpy.array(7.5, dtype="<f8")
arrays["empty"] = numpy.zeros((0, 2), dtype="<f4")
arrays["one"] = numpy.arange(3, dtype="<f4")
for name, write in (("arrays.npz", numpy.savez), ("arrays-deflated.npz", numpy.savez_compressed)):
    write(path(name), **arrays)
    expect_all(name, arrays.items())

# darknet: 0.2.5 with a wide count of images, 0.1.0 with a narrow one
weights = numpy.linspace(-1, 1, 33, dtype="<f4")
for name, version, seen in (("v2.weights", (0, 2, 5), "<q"), ("v1.weights", (0, 1, 0), "<i")):
    with open(path(name), "wb") as f:
        f.write(struct.pack("<3i", *version) + struct.pack(seen, 32013312) + weights.tobytes())
    expect(name, "header", numpy.array(version, dtype="<i4"))
    expect(name, "seen", numpy.array(32013312, dtype="<i8" if seen == "<q" else "<i4"))
    expect(name, "weights", weights)



# as releases of ultralytics' YOLOs are: classes of packages that are not installed, half precision
@functools.lru_cache(None)
def foreign(name):
    where = "models.yolo"
    sys.modules.setdefault("models", types.ModuleType("models"))
    sys.modules.setdefault(where, types.ModuleType(where))
    cls = type(name, (nn.Module,), {"__module__": where, "__qualname__": name})
    setattr(sys.modules[where], name, cls)
    return cls


def detector(value):
    conv, detect = foreign("Conv")(), foreign("Detect")()
    conv.conv, conv.bn, conv.act = nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2), nn.SiLU()
    conv.act2 = nn.LeakyReLU(0.1)
    detect.register_buffer("anchors", torch.arange(6.0).reshape(1, 3, 2))
    detect.m = nn.ModuleList([nn.Conv2d(2, 3 * (5 + 2), 1)])
    detect.nc, detect.stride = 2, torch.tensor([8.0])
    whole = foreign("DetectionModel")()
    whole.model, whole.stride = nn.Sequential(conv, detect), detect.stride
    whole.names = {0: "cat", 1: "dog"}
    for parameter in whole.parameters():
        nn.init.constant_(parameter, value)
    return whole.half()


released = {"epoch": -1, "best_fitness": None, "model": detector(1), "ema": None, "updates": None,
            "opt": None}
save("ultralytics.pt", released, released["model"].state_dict())
released.update(ema=detector(2), updates=3)
save("ultralytics-ema.pt", released, released["ema"].state_dict())

with open(path("expected.txt"), "w") as f:
    f.write("\n".join(lines) + "\n")

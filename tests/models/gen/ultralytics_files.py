# SPDX-License-Identifier: MIT
"""Saves YOLOv5 in each way that ultralytics' releases did, as trees of modules whose classes are not
installed here, and compares what qzoo computes with its outputs of a plain state dict.

    python3 ultralytics_files.py QZOO      (PyTorch, Debian's python3-torch)

The weights are QZOO_TEST_DATA/weights/yolov5n.pth. Exits with 77 (skipped, to meson) where they or
torch are missing. Also files that are refused, and what is said of each.
"""
import collections
import copy
import datetime
import filecmp
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
import warnings

try:
    import numpy
    import torch
    from torch import nn
except ImportError as error:
    print(f"skipped: {error} ({sys.executable})")
    sys.exit(77)

qzoo = os.path.realpath(sys.argv[1])
data = os.environ.get("QZOO_TEST_DATA", os.path.join(os.path.dirname(qzoo), "../../../shared/data"))
source = os.path.join(data, "weights", "yolov5n.pth")
if not os.path.exists(source):
    print(f"skipped: no {source}")
    sys.exit(77)
warnings.simplefilter("ignore")  # the legacy container looks for the source of classes
bad = ran = 0


def package(path, base=nn.Module):
    """A class that a pickle names by its path; the package exists only here."""
    where, name = path.rsplit(".", 1)
    parts = where.split(".")
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
    cls = type(name, (base,), {"__module__": where, "__qualname__": name})
    setattr(sys.modules[where], name, cls)
    return cls


Model, DetectionModel, Detect = map(package, ("models.yolo.Model", "models.yolo.DetectionModel",
                                              "models.yolo.Detect"))
common = {name: package("models.common." + name) for name in ("Conv", "C3", "Bottleneck", "SPPF",
                                                              "Focus", "C2f")}


def leaf(tensors):
    """A layer that has these parameters and buffers."""
    weight = tensors["weight"]
    if "running_mean" in tensors:
        layer = nn.BatchNorm2d(len(weight), eps=1e-3, momentum=0.03)
    else:
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:],
                          bias="bias" in tensors)
    layer.load_state_dict(tensors)
    return layer


def tree(tensors, act, top=False):
    """The module of a state dict; its classes by what is in it."""
    below = collections.OrderedDict()
    own = {key: value for key, value in tensors.items() if "." not in key}
    for key, value in tensors.items():
        if "." in key:
            name, rest = key.split(".", 1)
            below.setdefault(name, collections.OrderedDict())[rest] = value
    if "weight" in own:
        return leaf(tensors)
    children = {name: tree(part, act) for name, part in below.items()}
    if own:
        module = Detect()
    elif all(name.isdigit() for name in children):
        module = nn.Sequential()
    else:
        kind = ("Conv" if "bn" in children else "C3" if "m" in children else
                "Focus" if "conv" in children else "SPPF" if top else "Bottleneck")
        module = common[kind]()
    for name, value in own.items():
        module.register_buffer(name, value)
    for name, child in children.items():
        module.add_module(name, child)
    if "bn" in children:
        module.act = act
    return module


def network(tensors, act=None, names=None, cls=Model, stride=(8.0, 16.0, 32.0), nc=80):
    model = cls()
    model.model = tree({k.split(".", 1)[1]: v for k, v in tensors.items()}, act or nn.SiLU())
    model.yaml = {"nc": nc, "depth_multiple": 0.33, "anchors": [[10, 13, 16, 30, 33, 23]]}
    model.names = names or [f"thing {i}" for i in range(nc)]
    model.stride = torch.tensor(stride)
    detect = list(model.model.children())[-1]
    if isinstance(detect, Detect):
        detect.nc, detect.no, detect.nl, detect.na = nc, nc + 5, 3, 3
        detect.stride = model.stride
        detect.grid = [torch.zeros(1)] * 3
    return model


def run(model, path, *options):
    folder = "out-" + path
    done = subprocess.run([qzoo, "run", model, "x.npy", "--weights", path, "--dump-outputs", folder,
                           *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=200)
    return done.returncode, done.stderr.decode(), folder


def complain(name, text):
    global bad
    bad += 1
    print(f"FAIL: {name}: {text}")


def like(name, plain, thing, said="", *options, model="yolov5n", **how):
    """The outputs are, to the last bit, those of the plain state dict."""
    global ran
    ran += 1
    torch.save(thing, "x.pt", **how)
    torch.save(collections.OrderedDict((k, v.float() if v.is_floating_point() else v)
                                       for k, v in plain.items()), "plain.pth")
    status, err, folder = run(model, "x.pt", *options)
    expected, plain_err, plain_folder = run(model, "plain.pth")
    if status or expected:
        return complain(name, err + plain_err)
    files = sorted(os.listdir(plain_folder))
    if not files or filecmp.cmpfiles(folder, plain_folder, files, shallow=False)[0] != files:
        complain(name, "other outputs")
    if not re.search(said, err):
        complain(name, f"stderr lacks '{said}': {err}")


def refused(name, model, said, thing, expected=3):
    global ran
    ran += 1
    torch.save(thing, "x.pt")
    status, err, _ = run(model, "x.pt")
    if status != expected or not re.search(said, err) or err.count("\n") != 1:
        complain(name, f"status {status}, expected {expected} with '{said}': {err}")


def half(tensors):
    return collections.OrderedDict((k, v.half() if v.is_floating_point() else v)
                                   for k, v in tensors.items())


class Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


def loaded(weights):
    rounded = half(weights)
    other = half(collections.OrderedDict(
        (k, v * 1.25 if k.endswith("bn.weight") else v) for k, v in weights.items()))
    released = {"epoch": -1, "best_fitness": None, "model": network(rounded), "ema": None,
                "updates": None, "optimizer": None, "wandb_id": None}
    like("release 6.0", rounded, released)
    like("release 7.0", rounded, {
        **released, "model": network(rounded, cls=DetectionModel, names=dict(enumerate("ab" * 40))),
        "opt": {"project": pathlib.PurePosixPath("runs"), "attack": Attack()}, "git": None,
        "best_fitness": numpy.array([0.25]), "date": datetime.datetime(2022, 11, 22).isoformat()})
    if os.path.exists("attacked"):
        complain("release 7.0", "an object was executed")
    like("legacy container", rounded, released, _use_new_zipfile_serialization=False)
    averaged = {**released, "model": network(other), "ema": network(rounded), "updates": 7}
    like("the average", rounded, averaged, "took 'ema' and left 'model'")
    like("the model by name", other, averaged, "took 'model'", "--key", "model")
    like("an average and its count", rounded, {**averaged, "ema": (network(rounded), 7)},
         "took 'ema.0'")
    like("the module alone", rounded, network(rounded))
    grid = collections.OrderedDict(rounded)
    grid["model.24.anchor_grid"] = torch.ones(3, 1, 3, 1, 1, 2)
    like("anchors in pixels beside those that count", rounded, {**released, "model": network(grid)})
    anchors = collections.OrderedDict(rounded)
    anchors["model.24.anchors"] = rounded["model.24.anchors"] * 2
    like("anchors of its own", anchors, {**released, "model": network(anchors)})
    few = collections.OrderedDict(
        (k, v[:24].clone() if k.startswith("model.24.m.") else v) for k, v in rounded.items())
    like("three classes", few, {**released, "model": network(few, nc=3)}, "3 classes")
    for prefix in ("model.", "module.", "module.model."):
        like("prefix " + prefix, weights,
             collections.OrderedDict((prefix + k, v) for k, v in weights.items()),
             f"removed the prefix '{prefix}'")
    return rounded, released


def not_loaded(rounded, released):
    refused("another size", "yolov5s", "the file is of yolov5n, not of yolov5s; name yolov5n",
            released)
    refused("another activation", "yolov5n", r"activation is LeakyReLU\(0.1\), and yolov5n has SiLU",
            {**released, "model": network(rounded, act=nn.LeakyReLU(0.1))})
    refused("classes that its heads have not", "yolov5n", "says that it has 7 classes, but .* 255",
            {**released, "model": network(rounded, nc=7)})
    refused("strides of another network", "yolov5n", "strides are 4 8 16, and yolov5n has 8 16 32",
            {**released, "model": network(rounded, stride=(4.0, 8.0, 16.0))})
    refused("an object in place of a weight", "yolov5n", "refuses to run",
            {"model.0.conv.weight": Attack(), "model.0.bn.weight": rounded["model.0.bn.weight"]},
            expected=5)
    focus = collections.OrderedDict((k.replace("model.0.", "model.0.conv."), v)
                                    for k, v in rounded.items())
    refused("release 5.0", "yolov5n", "is of yolov5n of release 4.0 or 5.0, which begins with Focus",
            {**released, "model": network(focus)})


def main():
    torch.manual_seed(1)
    weights = torch.load(source, map_location="cpu")
    numpy.save("x.npy", torch.rand(1, 3, 64, 96).numpy())
    rounded, released = loaded(weights)
    not_loaded(rounded, released)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    main()
    os.chdir("/")
print(f"{ran} files, {bad} failed")
sys.exit(bad != 0)

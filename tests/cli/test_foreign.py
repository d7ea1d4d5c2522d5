#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_foreign.py QZOO - checkpoints with objects beside their weights, as training scripts save
them, and in the place of a tensor. Nothing in them is run."""
import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import uuid

import torch_file as tf

qzoo = os.path.realpath(sys.argv[1])
bad = ran = 0


def run(*args):
    done = subprocess.run([qzoo, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def expect(name, status, pattern, *args):
    """stdout must match where status is 0; stderr, one line, where not."""
    global bad, ran
    ran += 1
    got, out, err = run(*args)
    text = err if status else out
    if got != status or not re.search(pattern, text) or (status and err.count("\n") != 1):
        bad += 1
        print("FAIL: %s: status %d, expected %d with '%s':\n%s" % (name, got, status, pattern,
                                                                   text[:600] + err[:300]))


class Mode(enum.Enum):
    TRAIN = 1


@dataclasses.dataclass
class Settings:
    lr: float = 0.1
    sizes: tuple = (1, 2)


class Named(collections.namedtuple("Named", "a b")):
    pass


class MyDict(dict):
    pass


class Slots:
    __slots__ = ("x",)

    def __init__(self):
        self.x = tf.floats(1)


class Keywords:
    def __new__(cls, *, x=0):
        return object.__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"x": 1}


def settings(x):
    return x


scalar = tf.Call("numpy.core.multiarray.scalar", tf.Call("numpy.dtype", "f8", False, True),
                 b"\0" * 8)
array = tf.Call("numpy.core.multiarray._reconstruct", tf.foreign("numpy.ndarray"), (0,), b"b")
attribute_dict = tf.foreign("pytorch_lightning.utilities.parsing.AttributeDict", dict)
node = tf.foreign("omegaconf.dictconfig.DictConfig")()
node.__dict__.update(_content={"lr": 0.1}, _parent=None, _metadata=Mode.TRAIN)
one_cycle = tf.foreign("torch.optim.lr_scheduler.OneCycleLR")()
one_cycle.__dict__.update(anneal_func=settings, base_lrs=[0.1], optimizer=object)
random_state = tf.Call("numpy.random._pickle.__randomstate_ctor", "MT19937")

BESIDE = {
    "Counter": collections.Counter({30: 1, 60: 2}), "Enum": Mode.TRAIN,
    "partial": functools.partial(settings, 1), "Path": pathlib.Path("runs/x"),
    "PurePath": pathlib.PureWindowsPath("c:/x"), "Namespace": argparse.Namespace(lr=0.1, m=Mode.TRAIN),
    "datetime": datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
    "timedelta": datetime.timedelta(3), "OrderedDict": collections.OrderedDict(a=1),
    "MyDict": MyDict(a=1), "defaultdict": collections.defaultdict(list, a=[1]),
    "set": {1, 2}, "frozenset": frozenset("ab"), "dataclass": Settings(), "namedtuple": Named(1, 2),
    "function": settings, "class": Settings, "builtin": len, "method": Mode.TRAIN.__str__,
    "rng": {"python": random.getstate(), "numpy": random_state, "torch": tf.Tensor("U8", [4], b"abcd")},
    "numpy scalar": scalar, "numpy array": array, "AttributeDict": attribute_dict(lr=0.1),
    "omegaconf": node, "OneCycleLR": one_cycle, "Decimal": decimal.Decimal("0.1"), "slots": Slots(),
    "keywords": Keywords(), "complex": 1 + 2j, "range": range(3), "slice": slice(1), "bytes": b"x\xff",
    "bytearray": bytearray(b"xyz"), "uuid": uuid.uuid4(), "big": 1 << 200, "none": None,
    "deque": collections.deque([1], 3), "chain": collections.ChainMap({"a": 1}), "ellipsis": ...,
    "device": tf.Call("torch.device", "cuda", 0), "dtype": tf.Call("torch._utils._get", tf.foreign("torch.T"), "f"),
    "nested call": tf.Call("a.b", tf.Call("c.d", {"e": [tf.Call("f.g")]})),
    "complex tensor": tf.Tensor("C64", [2], b"\0" * 16), "metric": tf.floats(76.1),
    "nine dimensions": tf.Tensor("F32", [1] * 9, b"\0\0\0\0"),
    "regex": re.compile("a+"), "system": tf.Call("os.system", "touch ran"),
}
AT_PLACE = {"Counter": "Counter", "Enum": "Mode", "partial": "partial", "numpy array": "_reconstruct",
            "numpy scalar": "scalar", "Path": "Path", "datetime": "datetime", "OneCycleLR": "OneCycleLR",
            "system": "os.system", "complex tensor": "ComplexFloatStorage", "dataclass": "Settings",
            "nine dimensions": "dimensions", "Namespace": "Namespace"}
SAVES = {"zip": tf.save, "legacy": tf.save_legacy}


def weights():
    return collections.OrderedDict([("conv1.weight", tf.floats(1, 2)), ("conv1.bias", tf.floats(3))])


def main():
    show = ("weights", "show")
    for kind, save in SAVES.items():
        for protocol in (2, 3, 4, 5):
            save("all.pth", {"epoch": 3, **BESIDE, "state_dict": weights()}, protocol)
            expect("%s, protocol %d" % (kind, protocol), 0, "conv1.weight +float32 +2 ", *show, "all.pth")
        # each by itself, to see which it is: --each
        for name, thing in BESIDE.items() if "--each" in sys.argv else ():
            save("x.pth", {"state_dict": weights(), name: thing})
            expect("%s beside, %s" % (name, kind), 0, "conv1.bias", *show, "x.pth")
        for name, words in list(AT_PLACE.items())[::1 if kind == "zip" else 4]:
            save("x.pth", {"conv1.weight": BESIDE[name], "conv1.bias": tf.floats(1)})
            expect("%s as a tensor, %s" % (name, kind), 5, "conv1.weight.*" + words, *show, "x.pth")
            save("x.pth", {"a": BESIDE[name]})
            expect("%s as a tensor of no module, %s" % (name, kind), 5, "'a'.*" + words, *show, "x.pth")
        save("x.pth", tf.Call("os.system", "touch ran"))
        expect("the whole file is a call", 5, "os.system", *show, "x.pth")
        # flat, beside the tensors themselves
        save("x.pth", {**weights(), **{k: v for k, v in BESIDE.items() if k != "rng"}})
        expect("between the tensors, %s" % kind, 0, "conv1.bias", *show, "x.pth")
    save = tf.save
    save("x.pth", MyDict(weights()))
    expect("a subclass of dict", 0, "conv1.bias", *show, "x.pth")
    save("x.pth", collections.defaultdict(list, weights()))
    expect("a defaultdict", 0, "conv1.bias", *show, "x.pth")
    # dicts, by whatever name
    for name in ("net", "model_state_dict", "state_dict", "model", "ema", "shadow", "weights"):
        save("x.pth", {"epoch": 1, name: weights()})
        expect("one under %s" % name, 0, "conv1.bias", *show, "x.pth")
    save("x.pth", (3, weights()))
    expect("in a tuple", 0, "conv1.bias", *show, "x.pth")
    save("x.pth", [{"lr": 0.1}, {"a": {"b": weights()}}])
    expect("nested in a list", 0, "conv1.bias", *show, "x.pth")
    other = {k: tf.Tensor(t.dtype, t.shape + (1,), t.data) for k, t in weights().items()}
    save("x.pth", {"model": weights(), "Model_EMA": other, "optimizer": {"state": {0: {"m": tf.floats(1)}}}})
    expect("plain before EMA", 0, r"conv1.bias +float32 +1 ", *show, "x.pth")
    if "took 'model' and left 'Model_EMA' (--key takes another)" not in run(*show, "x.pth")[2]:
        expect("the choice is said", 1, "", *show, "x.pth")
    if run(*show, "x.pth", "--quiet")[2]:
        expect("not with --quiet", 1, "", *show, "x.pth", "--quiet")
    expect("--key", 0, r"conv1.bias +float32 +1x1 ", *show, "x.pth", "--key", "Model_EMA")
    expect("--key of nothing", 3, r"has no 'gone' \(--key\).*'model'", *show, "x.pth", "--key", "gone")
    expect("--key without tensors", 3, "no tensors in 'optimizer.state'", *show, "x.pth", "--key",
           "optimizer.state")
    save("x.pth", {"netG": weights(), "netD": other})
    expect("two plain", 3, r"'netG', 'netD'.*--key", *show, "x.pth")
    save("x.pth", {"a.b": {"c": [weights(), other]}})
    expect("--key of a path", 0, r"conv1.bias +float32 +1x1 ", *show, "x.pth", "--key", "a.b.c.1")
    tf.save_safetensors("x.bin", weights())
    expect("a flat format", 2, "leave out --key", *show, "x.bin", "--key", "a")
    if os.path.exists("ran"):
        expect("a call was run", 1, "", "--version")
    print("%d checks, %d bad" % (ran, bad))
    return bad > 0


with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    sys.exit(main())

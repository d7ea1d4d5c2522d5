# SPDX-License-Identifier: MIT
"""Writes files as torch.save does, without PyTorch: any picklable object, in which Tensor stands for
torch.Tensor. Classes of packages that need not be installed are stood in for by foreign()."""
import collections
import functools
import io
import json
import pickle
import struct
import sys
import types
import zipfile

STORAGES = {"F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage",
            "F64": "DoubleStorage", "I64": "LongStorage", "U8": "ByteStorage",
            "C64": "ComplexFloatStorage"}
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "U8": 1, "C64": 8}


def module(name):
    """The module of that name, made where it is missing, so that pickle finds what is in it."""
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
    return sys.modules[name]


def foreign(path, base=object, **members):
    """A class that a pickle names by `path` ("timm.utils.Config")."""
    where, name = path.rsplit(".", 1)
    cls = type(name, (base,), dict(members, __module__=where, __qualname__=name))
    setattr(module(where), name, cls)
    return cls


@functools.lru_cache(maxsize=None)
def function(path):
    """A function that a pickle calls by that name."""
    where, name = path.rsplit(".", 1)

    def call(*_):
        raise RuntimeError(path)
    call.__module__, call.__name__, call.__qualname__ = where, name, name
    setattr(module(where), name, call)
    return call


class Call:
    """Pickled as the result of function(*arguments)."""

    def __init__(self, path, *arguments):
        self.parts = function(path), arguments

    def __reduce__(self):
        return self.parts


rebuild = function("torch._utils._rebuild_tensor_v2")
for storage in STORAGES.values():
    foreign("torch." + storage)


class Storage:
    def __init__(self, dtype, data):
        self.dtype, self.data = dtype, data


class Tensor:
    """dtype: safetensors' word; data: bytes in row-major order."""

    def __init__(self, dtype, shape, data):
        self.dtype, self.shape, self.data = dtype, tuple(shape), data

    def __reduce__(self):
        strides, step = [], 1
        for n in reversed(self.shape):
            strides.insert(0, step)
            step *= n
        return rebuild, (Storage(self.dtype, self.data), 0, self.shape, tuple(strides), False,
                         collections.OrderedDict())


def floats(*values):
    return Tensor("F32", [len(values)], struct.pack("<%df" % len(values), *values))


class Pickler(pickle.Pickler):
    def __init__(self, out, protocol):
        super().__init__(out, protocol)
        self.storages = []

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        self.storages.append(thing)
        kind = getattr(sys.modules["torch"], STORAGES[thing.dtype])
        return ("storage", kind, str(len(self.storages) - 1), "cpu",
                len(thing.data) // SIZES[thing.dtype])


def save(path, thing, protocol=2):
    out = io.BytesIO()
    pickler = Pickler(out, protocol)
    pickler.dump(thing)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", out.getvalue())
        for i, storage in enumerate(pickler.storages):
            archive.writestr("archive/data/%d" % i, storage.data)


def save_legacy(path, thing, protocol=2):
    out, keys = io.BytesIO(), io.BytesIO()
    pickler = Pickler(out, protocol)
    pickler.dump(thing)
    with open(path, "wb") as f:
        for head in (0x1950a86a20f9469cfc6c, 1001, {"protocol_version": 1001, "little_endian": True,
                                                    "type_sizes": {"short": 2, "int": 4}}):
            pickle.dump(head, f, 2)
        f.write(out.getvalue())
        pickle.dump([str(i) for i in range(len(pickler.storages))], f, 2)
        for storage in pickler.storages:
            f.write(struct.pack("<q", len(storage.data) // SIZES[storage.dtype]))
            f.write(storage.data)


def load_safetensors(path):
    with open(path, "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    return collections.OrderedDict(
        (key, Tensor(row["dtype"], row["shape"], data[slice(*row["data_offsets"])]))
        for key, row in header.items() if key != "__metadata__")


def save_safetensors(path, tensors):
    header, data = {}, b""
    for key, t in tensors.items():
        header[key] = {"dtype": t.dtype, "shape": list(t.shape),
                       "data_offsets": [len(data), len(data) + len(t.data)]}
        data += t.data
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)

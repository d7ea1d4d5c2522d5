# SPDX-License-Identifier: MIT
"""Writes the files that test_pth.c and test_safetensors.c read, as PyTorch writes them.

    python3 make_state_dicts.py OUTPUT_FOLDER      (PyTorch 1.13 made the committed ones)

Expected values stand in the tests; hostile files are made by the tests themselves.
"""
import collections
import io
import json
import os
import struct
import sys
import zipfile

import torch

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def path(name):
    return os.path.join(out, name)


def rezip(source, target, method=zipfile.ZIP_STORED, change=lambda name, data: data, extra=()):
    """Copies an archive record by record; no dates, so that the bytes are always the same."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        records = [(i.filename, old.read(i)) for i in old.infolist()]
        for name, data in records + list(extra):
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            new.writestr(info, change(name, data))


def ramp(dtype):
    return (torch.arange(6).reshape(2, 3) - 2).to(dtype)


# every dtype: -2 -1 0 1 2 3
dtypes = collections.OrderedDict(
    (str(d).split(".")[1], ramp(d) if d.is_floating_point or d != torch.uint8 else ramp(d) + 2)
    for d in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64,
              torch.int32, torch.int16, torch.int8, torch.uint8))
dtypes["bool"] = torch.tensor([[True, False, True], [False, False, True]])
torch.save(dtypes, path("dtypes.pth"))
rezip(path("dtypes.pth"), path("deflated.pth"), zipfile.ZIP_DEFLATED)

# the same as a big-endian machine would save it
sizes = {str(i): t.element_size() for i, t in enumerate(dtypes.values())}


def swap(name, data):
    size = sizes[name.split("/")[-1]] if "/data/" in name else 1
    return b"".join(data[i:i + size][::-1] for i in range(0, len(data), size))


rezip(path("dtypes.pth"), path("big_endian.pth"), change=swap,
      extra=[("dtypes/byteorder", b"big")])

# views: of one storage, transposed, channels last, expanded, without elements, of no dimension
base = torch.arange(24, dtype=torch.float32)
torch.save({
    "whole": base,
    "tail": base[20:],
    "transposed": base[:6].reshape(2, 3).t(),
    "every_third": base[1::3],
    "channels_last": base.reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "expanded": torch.tensor([5.0]).expand(2, 3),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(7, dtype=torch.int64),
}, path("views.pth"))

# a checkpoint around a module's own state dict, which carries _metadata
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
with torch.no_grad():
    net[0].weight.copy_(torch.tensor([1.5, -2.5]).reshape(2, 1, 1, 1))
    net[0].bias.zero_()
checkpoint = {"epoch": 3, "best": 71.25, "arch": "net", "none": None, "seed": 2**70,
              "offset": -2**40, "shape": torch.Size([1, 2]), "dtype": torch.float32, "flags": [True],
              "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]},
              "state_dict": net.state_dict()}
for protocol in (2, 3, 4, 5):
    torch.save(checkpoint, path("checkpoint%d.pth" % protocol), pickle_protocol=protocol)
torch.save({"model": {"weight": torch.nn.Parameter(torch.tensor([3.0]))}, "ema": 0.5},
           path("parameter.pth"))

# what is refused
torch.save(net, path("module.pth"))
torch.save(torch.zeros(1), path("tensor.pth"))
torch.save({"a": torch.zeros(1), "b": 1}, path("mixed.pth"))
torch.save({"a": torch.zeros(1, dtype=torch.complex64)}, path("complex.pth"))
torch.save({"a": torch.zeros(1)}, path("legacy.pth"), _use_new_zipfile_serialization=False)


class Attack:
    def __reduce__(self):
        return os.system, ("echo a state dict should not do this",)


torch.save({"a": torch.zeros(1), "b": Attack()}, path("system.pth"))
# only what tells a TorchScript archive apart; whole ones are large
torch.save({}, path("empty.pth"))
rezip(path("empty.pth"), path("torchscript.pt"), extra=[("empty/constants.pkl", b"\x80\x02).")])

# safetensors, by the description of the format
names = {"float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
         "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
header, data = {"__metadata__": {"format": "pt", "note": "caf\u00e9 \U0001f600 \"x\"\n"}}, b""
for key, tensor in dtypes.items():
    raw = io.BytesIO()
    bytes_ = tensor.contiguous().view(torch.uint8) if tensor.dtype != torch.bool else tensor.byte()
    raw.write(bytes_.numpy().tobytes())
    header[key] = {"dtype": names[key], "shape": list(tensor.shape),
                   "data_offsets": [len(data), len(data) + len(raw.getvalue())]}
    data += raw.getvalue()
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(path("dtypes.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data)

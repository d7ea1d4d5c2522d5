# SPDX-License-Identifier: MIT
"""Compares what qzoo reads from files with what PyTorch reads from them, byte for byte.

    python3 compare_with_torch.py QZOO FILE...      (state dicts, and modules that PyTorch can load)
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

import torch

NAMES = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16,
         "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
         "U8": torch.uint8, "BOOL": torch.bool}


def to_bytes(tensor):
    tensor = tensor.contiguous()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()


def read_safetensors(path):
    with open(path, "rb") as f:
        data = f.read()
    size, = struct.unpack("<Q", data[:8])
    for key, value in json.loads(data[8:8 + size]).items():
        if key != "__metadata__":
            begin, end = value["data_offsets"]
            raw = bytearray(data[8 + size + begin:8 + size + end])
            yield key, (torch.frombuffer(raw, dtype=NAMES[value["dtype"]]) if raw
                        else torch.zeros(0, dtype=NAMES[value["dtype"]])).reshape(value["shape"])


for name in sys.argv[2:]:
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.safetensors")
        subprocess.run([sys.argv[1], "weights", "convert", name, out], check=True)
        ours = dict(read_safetensors(out))
    theirs = torch.load(name, map_location="cpu")
    theirs = theirs.state_dict() if hasattr(theirs, "state_dict") else theirs
    assert ours.keys() == theirs.keys(), name
    for key, value in theirs.items():
        assert value.dtype == ours[key].dtype and value.shape == ours[key].shape, (name, key)
        assert to_bytes(value) == to_bytes(ours[key]), (name, key)
    print("%s: %d tensors are equal" % (name, len(ours)))

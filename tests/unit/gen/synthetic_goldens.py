# SPDX-License-Identifier: MIT
"""Writes tests/unit/synthetic_goldens.inc: hashes of calibration images, computed by numpy.

x[c,y,x] = A[c, 8y/H, 8x/W] + 0.5 B[c,y,x]; A and B are uniform in [-1, 1) from splitmix64, seeded by
FNV-1a of "synthetic<i>.coarse" and "synthetic<i>".
"""
import io
import os

import numpy as np


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


out = io.StringIO()
out.write("/* SPDX-License-Identifier: MIT */\n"
          "/* Written by gen/synthetic_goldens.py. clang-format off */\n")


def uniform(key, count):
    seed = fnv(key.encode())
    i = np.arange(1, count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float64) * 2.0**-24
    return ((u - 0.5) * 2.0).astype(np.float32)


out.write("static const struct {\n    int64_t index;\n    int32_t h, w;\n    uint64_t hash;\n} "
          "synthetic_goldens[] = {\n")
for index, h, w in ((0, 32, 32), (1, 32, 32), (31, 17, 45), (123456789012, 8, 3), (2, 1, 1)):
    A = uniform(f"synthetic{index}.coarse", 192).reshape(3, 8, 8)
    B = uniform(f"synthetic{index}", 3 * h * w).reshape(3, h, w)
    x = A[:, (8 * np.arange(h)) // h][:, :, (8 * np.arange(w)) // w] + np.float32(0.5) * B
    assert x.dtype == np.float32
    out.write(f"    {{INT64_C({index}), {h}, {w}, UINT64_C(0x{fnv(x.tobytes()):016x})}},\n")
out.write("};\n")

path = os.path.join(os.path.dirname(__file__), "..", "synthetic_goldens.inc")
with open(path, "w") as f:
    f.write(out.getvalue())

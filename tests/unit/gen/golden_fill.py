# SPDX-License-Identifier: MIT
"""golden_fill.py - the seeded numbers of qz_random_uniform, and the fill that qz_random_fill makes."""
import math

import numpy as np
import torch


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


def fill(module, prefix, gain_of):
    """Fills a module; its keys begin with `prefix`. gain_of(key): the gain of a weight."""
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
            off, mul = -0.5, 2.0 * (gain_of(key) * math.sqrt(3.0 / (t.numel() // t.shape[0])))
        else:
            off, mul = -0.5, 0.2 if sibling is not None and sibling.ndim == 1 else 0.1
        t.copy_(torch.from_numpy(uniform(key, off, mul, t.numel()).reshape(t.shape)))

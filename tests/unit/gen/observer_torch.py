# SPDX-License-Identifier: MIT
"""Prints the table of tests/unit/test_observer.c that torch itself computed; needs torch 1.13.

Longer and rougher sequences than the goldens have: thousands of values, ranges that grow by up to
a hundredfold, empty stretches, few bins. What torch's HistogramObserver holds after the last batch
(range, FNV-1a of the histogram's bytes) and what its search takes go into the table as C.
"""
import numpy as np
import torch
from torch.ao.quantization.observer import HistogramObserver

F = np.float32
MASK = (1 << 64) - 1


def uniform(seed, n):
    """splitmix64, as in the test: [-1, 1) in steps of 2^-23."""
    i = np.arange(1, n + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / 8388608.0 - 1.0).astype(F)


def values(kind, seed, n, scale):
    x = uniform(seed, n)
    if kind == "RELU":
        x = np.maximum(x, F(0))
    elif kind == "CUBE":
        x = x * x * x
    elif kind == "SPARSE":
        x = np.where(uniform(seed + 1000, n) < F(0.9), F(0), x * x * x * x * x)
    elif kind == "STEPS":
        x = np.round(x * F(4)) / F(4)
    return np.ascontiguousarray(x * F(scale))


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


CASES = [  # kind, seed, values in a batch, batches, first scale, growth, bins
    ("FLAT", 1, 20000, 6, 0.7, 1.3, 0),
    ("RELU", 2, 30000, 8, 2.5, 1.1, 0),
    ("CUBE", 3, 10000, 5, 0.01, 3.0, 0),
    ("SPARSE", 4, 40000, 6, 5.0, 1.2, 0),
    ("STEPS", 5, 5000, 4, 3.0, 1.0, 0),
    ("CUBE", 6, 7000, 6, 40.0, 0.9, 0),
    ("RELU", 7, 3000, 3, 0.3, 30.0, 0),
    ("FLAT", 8, 1000, 3, 0.05, 100.0, 0),
    ("SPARSE", 9, 9000, 12, 1.5, 1.05, 100),
    ("CUBE", 10, 2000, 5, 6.0, 1.7, 37),
    ("RELU", 11, 50000, 4, 6.0, 1.0, 4096),
    ("FLAT", 12, 100, 20, 1e-4, 1.5, 256),
    # these tell apart: the order of operations of a bin, the step of the search, its order of sums
    ("FLAT", 117, 20000, 3, 0.5, 0.9, 1000),
    ("SPARSE", 146, 20000, 5, 1.5, 1.25, 0),
    ("SPARSE", 739, 20000, 8, 7.0, 1.25, 0),
]


def literal(x):
    """A float32 as a C constant."""
    return x.item().hex().replace("0000000p", "p") + "f"


def main():
    torch.set_num_threads(1)
    for kind, seed, n, batches, first, growth, bins in CASES:
        observer = HistogramObserver(bins=bins or 2048)
        scale = F(first)
        for b in range(batches):
            observer(torch.from_numpy(values(kind, seed + 100 * b, n, scale)))
            scale = scale * F(growth)
        low, high = observer._non_linear_param_search()
        step, zero_point = observer.calculate_qparams()
        print(f"    {{{kind}, {seed}, {n}, {batches}, {first!r}f, {growth!r}f, {bins},")
        print(f"     {literal(observer.min_val)}, {literal(observer.max_val)},"
              f" UINT64_C(0x{fnv1a(observer.histogram.numpy().tobytes()):016x}),")
        print(f"     {literal(low)}, {literal(high)}, {literal(step)}, {zero_point.item()}}},")


if __name__ == "__main__":
    main()

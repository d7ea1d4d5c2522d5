# SPDX-License-Identifier: MIT
"""Prints the table of tests/unit/test_qparams.c that torch itself computed; needs torch 1.13.

Weights through torch's default weight observers (per channel and per tensor, symmetric qint8) and
quantize_per_channel / quantize_per_tensor: FNV-1a of the scales' and of the int8 bytes.
"""
import torch
from observer_torch import F, fnv1a, literal, uniform
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver

CASES = [(1, 64, 147, 0.2), (2, 32, 9, 3.0), (3, 16, 1024, 1e-3), (4, 10, 1280, 1e-6), (5, 7, 33, 1e4)]


def main():
    for seed, oc, per, gain in CASES:
        x = uniform(seed, oc * per)
        w = torch.from_numpy((x * x * x * F(gain)).reshape(oc, per))
        one = PerChannelMinMaxObserver(dtype=torch.qint8, qscheme=torch.per_channel_symmetric)
        one(w)
        scales, zeros = one.calculate_qparams()
        all_ = MinMaxObserver(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric)
        all_(w)
        scale, zero = all_.calculate_qparams()
        q = torch.quantize_per_channel(w, scales, zeros, 0, torch.qint8).int_repr()
        t = torch.quantize_per_tensor(w, scale, zero, torch.qint8).int_repr()
        print(f"    {{{seed}, {oc}, {per}, {gain!r}f,")
        print(f"     UINT64_C(0x{fnv1a(scales.numpy().tobytes()):016x}),"
              f" UINT64_C(0x{fnv1a(q.numpy().tobytes()):016x}),")
        print(f"     {literal(scale)}, UINT64_C(0x{fnv1a(t.numpy().tobytes()):016x})}},")


if __name__ == "__main__":
    main()

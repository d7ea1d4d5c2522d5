#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bench_train.py MODEL BATCH SIZE THREADS RUNS [BACKEND]: forward and backward of torchvision's model in
training mode, the best of the runs; what bench_train is compared with."""

import resource
import sys
import time

import torch
import torchvision

name, batch, size, threads, runs = sys.argv[1:6]
backend = sys.argv[6] if len(sys.argv) > 6 else ""
torch.set_num_threads(int(threads))
torch.manual_seed(0)
options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
if backend:
    from torch.ao import quantization

    models = torchvision.models.quantization
    model = getattr(models, name)(weights=None, quantize=False, **options).train()
    model.fuse_model(is_qat=True)
    model.qconfig = quantization.get_default_qat_qconfig(backend)
    quantization.prepare_qat(model, inplace=True)
else:
    model = getattr(torchvision.models, name)(weights=None, **options).train()
x = torch.randn(int(batch), 3, int(size), int(size))
forward = backward = 1e9
for run in range(int(runs) + 1):
    model.zero_grad(set_to_none=True)
    begin = time.perf_counter()
    y = model(x)
    middle = time.perf_counter()
    y.backward(torch.full_like(y, 1e-4))
    end = time.perf_counter()
    if run > 0:
        forward, backward = min(forward, middle - begin), min(backward, end - middle)
print(
    f"{name}, batch {batch}, {threads} threads, torch: forward {forward * 1e3:.1f} ms, backward "
    f"{backward * 1e3:.1f} ms, step {(forward + backward) * 1e3:.1f} ms, peak "
    f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB"
)

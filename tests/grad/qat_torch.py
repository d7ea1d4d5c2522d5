#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""qat_torch.py STEP_DUMP MODEL BATCH H W BACKEND: one step of quantization-aware training of ours
beside torchvision's quantizable model, from the same weights. Prints how far outputs, scales and
gradients are from PyTorch's, and PyTorch's from its own when weights are moved by 1e-7: rounding and
gates decide. Exits with 77 where there is no torchvision."""

import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.ao.quantization as quantization
    import torchvision
except ImportError:
    print("skipped: no torchvision")
    sys.exit(77)


def distance(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12)


def prepare(name, state, backend):
    torch.backends.quantized.engine = "qnnpack" if backend == "qnnpack" else "onednn"
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model = getattr(torchvision.models.quantization, name)(
        weights=None, quantize=False, **options
    )
    own = model.state_dict()
    own.update({k: torch.from_numpy(v) for k, v in state.items() if k in own})
    model.load_state_dict(own)
    model.train()
    model.fuse_model(is_qat=True)
    model.qconfig = quantization.get_default_qat_qconfig(backend)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
            module.qconfig = None
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.1
    quantization.prepare_qat(model, inplace=True)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.1
    return model


def main():
    program, name, batch, height, width, backend = sys.argv[1:]
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, name, batch, height, width, folder, backend], check=True)
        files = {f[:-4]: np.load(os.path.join(folder, f)) for f in os.listdir(folder)}

    def kind(word):
        return {k[len(word) + 1 :]: v for k, v in files.items() if k.startswith(word + ".")}

    def step(state):
        model = prepare(name, state, backend)
        y = model(torch.from_numpy(files["input.0"]))
        (y * torch.from_numpy(files["dy.output"])).sum().backward()
        gradients = [(k, p.grad.numpy()) for k, p in model.named_parameters() if p.grad is not None]
        scales = sorted(
            float(m.scale[0])
            for n, m in model.named_modules()
            if n.endswith("activation_post_process")
            and "weight_fake_quant" not in n
            and isinstance(m, quantization.FakeQuantizeBase)
            # sums that a block does not use have seen nothing
            and bool(torch.isfinite(getattr(m.activation_post_process, "min_val", m.scale)).all())
        )
        return y.detach().numpy(), np.array(scales), gradients

    def compare(a, b):
        """outputs, scales, median and worst gradient"""
        same = len(a[1]) == len(b[1])
        scales = np.max(np.abs(a[1] - b[1]) / b[1]) if same else np.inf
        gradients = sorted((distance(g, h), k) for (_, g), (k, h) in zip(a[2], b[2]))
        return distance(a[0], b[0]), scales, gradients[len(gradients) // 2][0], gradients[-1]

    state = kind("param")
    want = step(state)
    rng = np.random.default_rng(1)
    moved = {
        k: (v * (1 + 1e-7 * rng.choice([-1.0, 1.0], v.shape))).astype(np.float32)
        for k, v in state.items()
    }
    noise = compare(step(moved), want)
    mine = [g for k, g in kind("grad").items()]
    ours = []
    for key, gradient in want[2]:
        # the same parameter has another name unfused: the nearest of its shape
        near = [g for g in mine if g.shape == gradient.shape]
        ours.append((key, min(near, key=lambda g: distance(g, gradient))))
    values = np.array(sorted(float(v[0]) for v in kind("value").values()))
    got = compare((files["output.output"], values, ours), want)
    print(
        f"{name}, {backend}: outputs {got[0]:.1e} ({noise[0]:.1e} PyTorch from itself), scales of "
        f"{len(values)} of {len(want[1])} values {got[1]:.1e} ({noise[1]:.1e}), gradients median "
        f"{got[2]:.1e} ({noise[2]:.1e}), worst {got[3][0]:.1e} ({noise[3][0]:.1e})"
    )
    good = len(values) == len(want[1])
    for a, b in zip(got[:3], noise[:3]):
        good = good and a < 3 * b + 1e-4
    return 0 if good else 1


sys.exit(main())

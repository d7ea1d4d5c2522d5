#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""step_torch.py STEP_DUMP MODEL BATCH H W: one training step of ours beside torchvision's, from the
same weights and gradients of the outputs. Prints outputs, statistics and gradients that differ;
exits with 77 where there is no torchvision."""

import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torchvision
except ImportError:
    print("skipped: no torchvision")
    sys.exit(77)


def make(name):
    if name in torchvision.models.segmentation.__dict__:
        return getattr(torchvision.models.segmentation, name)(
            weights=None, weights_backbone=None, aux_loss=True
        )
    options = {}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False, "aux_logits": True}
    return getattr(torchvision.models, name)(weights=None, **options)


def prepare(model):
    """Training, but without what is random."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.1
        elif hasattr(module, "p") and isinstance(module.p, float):
            module.p = 0.0


def outputs_of(model, y):
    if isinstance(y, dict):
        return dict(y)
    if hasattr(y, "logits"):
        y = y.logits
    return {"output": y}


def distance(a, b):
    """Relative, of all values together."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12)


def main():
    program, name, batch, height, width = sys.argv[1:]
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, name, batch, height, width, folder], check=True)
        files = {f[:-4]: np.load(os.path.join(folder, f)) for f in os.listdir(folder)}

    def kind(word):
        return {k[len(word) + 1 :]: v for k, v in files.items() if k.startswith(word + ".")}

    model = make(name)
    state = model.state_dict()
    metadata = state._metadata  # mnasnet's version
    state = type(state)((k, torch.from_numpy(v)) for k, v in kind("param").items())
    state._metadata = metadata
    missing = model.load_state_dict(state, strict=False)
    lost = [k for k in missing.missing_keys if not k.endswith("num_batches_tracked")]
    assert not lost and not missing.unexpected_keys, (lost, missing.unexpected_keys)
    prepare(model)
    got = outputs_of(model, model(torch.from_numpy(files["input.0"])))
    loss = 0.0
    worst = {"output": 0.0, "statistics": 0.0, "gradient": 0.0}
    for key, value in kind("output").items():
        worst["output"] = max(worst["output"], distance(value, got[key].detach().numpy()))
        loss = loss + (got[key] * torch.from_numpy(files["dy." + key])).sum()
    loss.backward()
    after = model.state_dict()
    for key, value in kind("after").items():
        if key.endswith(("running_mean", "running_var")) and not key.startswith("aux"):
            worst["statistics"] = max(worst["statistics"], distance(value, after[key].numpy()))
    distances = []
    for key, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        want = parameter.grad.numpy()
        # the bias before a batch norm has no gradient but noise
        if np.linalg.norm(want) > 1e-6 * np.linalg.norm(parameter.detach().numpy()):
            distances.append((distance(files["grad." + key], want), key))
    distances.sort()
    worst["gradient"] = distances[-1][0]
    median = distances[len(distances) // 2][0]
    print(
        f"{name}: outputs {worst['output']:.1e}, running statistics {worst['statistics']:.1e}, "
        f"gradients median {median:.1e}, worst {distances[-1][0]:.1e} ({distances[-1][1]}), "
        f"of {len(distances)}"
    )
    # a gate of ReLU that falls to the other side moves a gradient by 1e-2
    good = worst["output"] < 1e-4 and worst["statistics"] < 1e-4 and median < 0.02
    return 0 if good else 1


sys.exit(main())

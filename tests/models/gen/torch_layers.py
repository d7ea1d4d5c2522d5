# SPDX-License-Identifier: MIT
"""Runs torch's own int8 models and hands every layer's input, weights, parameters and output to
test_torch_layers, which computes the layer from the same bytes.

    python3 torch_layers.py TEST_TORCH_LAYERS [MODEL ENGINE]...

Exits with 77 (skipped, to meson) where torch or torchvision is not installed.
"""
import os
import shlex
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.ao.nn.quantized as nnq
    import torch.ao.quantization as aq
    import torchvision
except ImportError as error:
    print(f"skipped: {error} ({sys.executable})")
    sys.exit(77)

from safetensors_file import save  # needs numpy


def image_of(x):
    """Bytes as N x C x H x W; features are images of one pixel."""
    q = x.int_repr().numpy()
    return q.reshape(q.shape + (1,) * (4 - q.ndim))


class Recorder:
    def __init__(self):
        self.tensors, self.count = {}, 0

    def add(self, name, inputs, output, ints, **more):
        key = f"{self.count:03d}.{name}"
        self.count += 1
        floats = [x.q_scale() for x in inputs] + [output.q_scale()]
        ints = [x.q_zero_point() for x in inputs] + [output.q_zero_point()] + ints
        for i, x in enumerate(inputs):
            self.tensors[f"{key}/x{i}"] = image_of(x)
        self.tensors[f"{key}/y"] = image_of(output)
        self.tensors[f"{key}/floats"] = np.array(floats, np.float32)
        self.tensors[f"{key}/ints"] = np.array(ints, np.int32)
        for suffix, x in more.items():
            self.tensors[f"{key}/{suffix}"] = x

    def layer(self, name, module, inputs, output):
        conv = isinstance(module, nnq.Conv2d)
        w, b = module._weight_bias() if conv else (module.weight(), module.bias())
        q = w.int_repr().numpy()
        per_channel = w.qscheme() == torch.per_channel_affine
        scales = (w.q_per_channel_scales().numpy() if per_channel
                  else np.full(q.shape[0], w.q_scale()))
        geometry = ([*module.stride, *module.padding, *module.dilation, module.groups] if conv
                    else [1, 1, 0, 0, 1, 1, 1])
        self.add(name, [inputs[0]], output, geometry + ["ReLU" in type(module).__name__],
                 w=q.reshape(q.shape + (1,) * (4 - q.ndim)), w_scales=scales.astype(np.float32),
                 bias=b.detach().numpy())

    def watch_add(self, name, module):
        for method, relu in (("add", False), ("add_relu", True)):
            def call(a, b, original=getattr(module, method), relu=relu):
                y = original(a, b)
                self.add(name, [a, b], y, [relu])
                return y
            setattr(module, method, call)


def record(model_name, engine, path):
    torch.backends.quantized.engine = engine
    torch.manual_seed(0)
    model = getattr(torchvision.models.quantization, model_name)(weights=None, quantize=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    model.eval()
    model.fuse_model(is_qat=False)
    model.qconfig = aq.get_default_qconfig(engine)
    aq.prepare(model, inplace=True)
    with torch.no_grad():
        for _ in range(2):
            model(torch.randn(1, 3, 64, 80))
        aq.convert(model, inplace=True)
        recorder = Recorder()
        for name, module in model.named_modules():
            if isinstance(module, (nnq.Conv2d, nnq.Linear)):
                module.register_forward_hook(
                    lambda m, i, o, name=name: recorder.layer(name, m, i, o))
            if isinstance(module, nnq.QFunctional):
                recorder.watch_add(name, module)
        model(torch.randn(1, 3, 64, 80))
    save(path, recorder.tensors)


def main():
    # how this machine runs a program of another (.ci/cross)
    test = shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")) + [sys.argv[1]]
    cases = sys.argv[2:]
    for name, engine in zip(cases[::2], cases[1::2]):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"{name}.{engine}.safetensors")
            record(name, engine, path)
            subprocess.run([*test, path], check=True)


main()

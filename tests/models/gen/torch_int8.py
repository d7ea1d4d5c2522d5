# SPDX-License-Identifier: MIT
"""Makes torch's own int8 models in the forms in which torchvision publishes them, and hands them to
test_torch_int8 beside what torch has in them and computes with them; then files that are wrong in
one thing each, which must be refused by name.

    python3 torch_int8.py TEST_TORCH_INT8 CASE...

CASE is MODEL:FORM, or hostile. FORM is per_channel (fbgemm's qconfig), per_tensor (qnnpack's)
or qat (qnnpack's, not converted).

Exits with 77 (skipped, to meson) where torch or torchvision is not installed.
"""
import os
import shlex
import subprocess
import sys
import tempfile
import warnings

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

warnings.filterwarnings("ignore")

CLASSES = 20


def float_model(name):
    torch.manual_seed(0)
    more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = getattr(torchvision.models.quantization, name)(weights=None, quantize=False,
                                                           num_classes=CLASSES, **more)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
    return model


def images(count, size):
    return torch.nn.functional.interpolate(torch.randn(count, 3, 8, 8), size) + torch.randn(
        count, 3, size, size) / 4


def quantized(name, form):
    """(what is saved, the int8 model)"""
    size = 128 if name == "inception_v3" else 96
    model = float_model(name)
    torch.backends.quantized.engine = "qnnpack"  # computes with weights of either kind
    qconfig = aq.get_default_qconfig("fbgemm" if form == "per_channel" else "qnnpack")
    if form == "qat":
        model.fuse_model(is_qat=True)
        model.qconfig = aq.get_default_qat_qconfig("qnnpack")
        model.train()
        aq.prepare_qat(model, inplace=True)
        with torch.no_grad():
            for _ in range(2):
                model(images(4, size))
        model.apply(torch.nn.intrinsic.qat.freeze_bn_stats)
        # one layer keeps its observer on: convert lets it see the folded weights once more
        for module_name, module in model.named_modules():
            if module_name.endswith("weight_fake_quant") and not module_name.startswith("features.1."):
                module.disable_observer()
        state = {k: v.clone() for k, v in model.state_dict().items()}
    else:
        model.eval()
        model.fuse_model(is_qat=False)
        model.qconfig = qconfig
        aq.prepare(model, inplace=True)
        with torch.no_grad():
            for _ in range(2):
                model(images(2, size))
        state = None
    aq.convert(model, inplace=True)
    model.eval()
    return state if state is not None else model.state_dict(), model, images(2, size)


def expected(model, x):
    tensors = {"x": x.numpy()}
    with torch.no_grad():
        y = model(x)
    tensors["y"] = (y[0] if isinstance(y, tuple) else y).detach().numpy()
    for name, module in model.named_modules():
        if name.startswith(("aux", "AuxLogits")) or not hasattr(module, "scale"):
            continue
        tensors[f"{name}/scale"] = np.array([float(module.scale)], np.float32)
        tensors[f"{name}/zero_point"] = np.array([int(module.zero_point)], np.int32)
        if not isinstance(module, (nnq.Conv2d, nnq.Linear)):
            continue
        conv = isinstance(module, nnq.Conv2d)
        w, b = module._weight_bias() if conv else (module.weight(), module.bias())
        q = w.int_repr().numpy()
        tensors[f"{name}/weight"] = q
        tensors[f"{name}/weight_scale"] = (
            w.q_per_channel_scales().numpy() if w.qscheme() == torch.per_channel_affine
            else np.full(q.shape[0], w.q_scale())).astype(np.float32)
        tensors[f"{name}/bias"] = b.detach().numpy()
    return tensors


def compare(test, folder, name, form):
    state, model, x = quantized(name, form)
    weights, want = os.path.join(folder, "state.pth"), os.path.join(folder, "want.safetensors")
    torch.save(state, weights)
    save(want, expected(model, x))
    subprocess.run([*test, "compare", name, form, weights, want], check=True)


def hostile(test, folder):
    path = os.path.join(folder, "hostile.pth")

    def refuse(name, state, text, **changes):
        state = dict(state)
        for key, value in changes.items():
            key = key.replace("__", ".")
            assert key in state, key
            if value is None:
                del state[key]
            else:
                state[key] = value
        torch.save(state, path)
        subprocess.run([*test, "refuse", name, path, text], check=True)

    def whole(value):
        return torch.tensor(value)

    name = "shufflenet_v2_x0_5"
    good, _, _ = quantized(name, "per_channel")
    w = good["conv1.0.weight"]
    refuse(name, good, "conv1.0.scale is missing", conv1__0__scale=None)
    refuse(name, good, "quant.zero_point is missing", quant__zero_point=None)
    refuse(name, good, "stage2.0.cat.scale is missing", stage2__0__cat__scale=None)
    refuse(name, good, "conv1.0.weight is missing", conv1__0__weight=None)
    refuse(name, good, "the scale of conv1.0 is 0", conv1__0__scale=whole(0.0))
    refuse(name, good, "the scale of conv1.0 is -1", conv1__0__scale=whole(-1.0))
    refuse(name, good, "the scale of conv1.0 is nan", conv1__0__scale=whole(float("nan")))
    refuse(name, good, "the scale of fc is inf", fc__scale=whole(float("inf")))
    refuse(name, good, "the zero point of conv1.0 is 256", conv1__0__zero_point=whole(256))
    refuse(name, good, "the zero point of conv1.0 is -1", conv1__0__zero_point=whole(-1))
    refuse(name, good, "conv1.0.scale is not one number", conv1__0__scale=torch.ones(2))
    refuse(name, good, "conv1.0.weight has another shape",
           conv1__0__weight=good["stage2.0.branch1.0.weight"])
    refuse(name, good, "conv1.0.weight is not quantized", conv1__0__weight=w.dequantize())
    refuse(name, good, "conv1.0.bias is not float32", conv1__0__bias=torch.zeros(3))
    refuse(name, good, "NaN", conv1__0__bias=torch.full((24,), float("nan")))
    refuse(name, good, "must be symmetric", conv1__0__weight=torch.quantize_per_tensor(
        w.dequantize(), 0.1, 3, torch.qint8))
    refuse("resnet18", good, "is missing; is this an int8 file of resnet18?")

    name = "mobilenet_v3_large"
    good, _, _ = quantized(name, "qat")
    layer = "features__0__0__"
    ranges = "activation_post_process__activation_post_process__"
    low, high = layer + ranges + "min_val", layer + ranges + "max_val"
    seen = layer + "weight_fake_quant__activation_post_process__min_val"
    refuse(name, good, "min_val is missing", **{low: None})
    refuse(name, good, "has NaN or infinity", **{low: whole(float("-inf"))})
    refuse(name, good, "features.0.0 was trained with is from 9 to", **{low: whole(9.0)})
    refuse(name, good, "the layer's number of elements", **{high: torch.ones(2)})
    refuse(name, good, "weight_fake_quant.activation_post_process.min_val is missing",
           **{seen: None})
    refuse(name, good, "features.0.0.bn.weight is missing", **{layer + "bn__weight": None})


def main():
    # how this machine runs a program of another (.ci/cross)
    test = shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")) + [sys.argv[1]]
    cases = sys.argv[2:]
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            if case == "hostile":
                hostile(test, folder)
            else:
                compare(test, folder, *case.split(":"))


main()

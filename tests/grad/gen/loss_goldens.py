#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""loss_goldens.py > ../loss_goldens.inc: losses and gradients by PyTorch, in double."""

import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(7)
SIX, BOXES = 6, 6


def numbers(tensor):
    return ", ".join(f"{v:.9g}f" if "." in f"{v:.9g}" or "e" in f"{v:.9g}" else f"{v:.9g}.0f"
                     for v in tensor.detach().float().reshape(-1).tolist())


def array(name, tensor):
    print(f"static const float {name}[] = {{{numbers(tensor)}}};")


def row(name, loss, x):
    (gradient,) = torch.autograd.grad(loss, x)
    print(f"static const double {name}_loss = {loss.item():.17g};")
    array(f"{name}_gradient", gradient)


def floats(factor, *shape):
    """Numbers that are float32."""
    return (factor * torch.randn(*shape)).float().double()


print("/* SPDX-License-Identifier: MIT */")
print("/* Made by gen/loss_goldens.py with PyTorch", torch.__version__.split("a")[0], "*/")
x = floats(3, SIX, 5).requires_grad_()
teacher = floats(3, SIX, 5)
labels = torch.tensor([0, 3, 4, 255, 3, 1])
targets = torch.softmax(floats(1, SIX, 5), 1).float().double()
weights = (torch.rand(5) + 0.5).double()
array("logits", x)
array("teacher", teacher)
array("targets", targets)
array("class_weights", weights)
row("plain", F.cross_entropy(x, labels, ignore_index=255), x)
row("smooth", F.cross_entropy(x, labels, ignore_index=255, label_smoothing=0.1), x)
row(
    "weighted",
    F.cross_entropy(x, labels, weight=weights, ignore_index=255, label_smoothing=0.2),
    x,
)
row("soft", F.cross_entropy(x, targets, label_smoothing=0.1), x)
T = 4.0
row(
    "distill",
    T * T * F.kl_div(F.log_softmax(x / T, 1), F.softmax(teacher / T, 1), reduction="batchmean"),
    x,
)
row("squares", F.mse_loss(x, teacher), x)
hard = (torch.rand(SIX, 5) < 0.4).double()
array("hard", hard)
row("binary", F.binary_cross_entropy_with_logits(x, targets, reduction="sum"), x)
row("focal", torchvision.ops.sigmoid_focal_loss(x, hard, 0.25, 2.0, "sum"), x)
row("focal_plain", torchvision.ops.sigmoid_focal_loss(x, hard, -1, 1.5, "sum"), x)
row("smooth_l1", F.smooth_l1_loss(x, teacher, beta=0.5, reduction="sum"), x)
row("l1", F.l1_loss(x, teacher, reduction="sum"), x)
corner, size = 10 * torch.rand(BOXES, 2), 1 + 8 * torch.rand(BOXES, 2)
other, other_size = 10 * torch.rand(BOXES, 2), 1 + 8 * torch.rand(BOXES, 2)
other[0], other_size[0] = corner[0] + 0.25 * size[0], 0.5 * size[0]  # inside
other[1] = corner[1] + size[1] + 1  # apart
boxes = torch.cat([corner, corner + size], 1).float().double().requires_grad_()
wanted = torch.cat([other, other + other_size], 1).float().double()
array("boxes", boxes)
array("wanted", wanted)
row("giou", torchvision.ops.generalized_box_iou_loss(boxes, wanted, "sum"), boxes)

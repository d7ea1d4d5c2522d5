# SPDX-License-Identifier: MIT
"""Saves one fine-tuned network in every wrapping that people use, by PyTorch, and compares what qzoo
computes from each file with PyTorch's own logits.

    python3 make_checkpoints.py FOLDER [QZOO]      (PyTorch 1.13, Debian's python3-torch)

Without QZOO the files are only written. torchvision is not needed: the network is torchvision's
resnet18, written down here. A row of the printed table: wrapping, largest difference of the logits,
what qzoo said. Nothing that is made here is committed; tests/cli/test_checkpoints.py has the same
wrappings without PyTorch.
"""
import collections
import copy
import os
import subprocess
import sys

import numpy
import torch
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, inplanes, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False),
                                            nn.BatchNorm2d(planes))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.downsample is not None:
            x = self.downsample(x)
        return torch.relu(x + y)


class ResNet18(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        planes, blocks = 64, (2, 2, 2, 2)
        for i, count in enumerate(blocks):
            layers = []
            for b in range(count):
                layers.append(BasicBlock(planes, 64 << i, 2 if i > 0 and b == 0 else 1))
                planes = 64 << i
            setattr(self, "layer%d" % (i + 1), nn.Sequential(*layers))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Lightning(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(5))


class Compiled(nn.Module):
    def __init__(self, model):
        super().__init__()
        self._orig_mod = model


def train(net):
    """A few steps, so that optimizer, scheduler and running statistics have a state."""
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    for _ in range(3):
        loss = nn.functional.cross_entropy(net(torch.randn(4, 3, 64, 64)), torch.arange(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    net.eval()
    return optimizer, scheduler


def wrappings():
    torch.manual_seed(1)
    net = ResNet18(5)
    optimizer, scheduler = train(net)
    one_cycle = torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD(net.parameters(), 0.1, 0.9), 0.1,
                                                    total_steps=10)
    other = copy.deepcopy(net)
    nn.init.normal_(other.fc.weight)
    sd, ema = net.state_dict(), other.state_dict()
    dropped = copy.deepcopy(net)
    dropped.fc = nn.Sequential(nn.Dropout(0.3), net.fc)
    rng = {"torch": torch.get_rng_state(), "numpy": numpy.random.get_state()}
    yield "plain", sd, net, {}
    yield "legacy", sd, net, {"_use_new_zipfile_serialization": False}
    yield "protocol 4", sd, net, {"pickle_protocol": 4}
    yield "DataParallel", nn.DataParallel(net).state_dict(), net, {}
    yield "compiled", Compiled(net).state_dict(), net, {}
    yield "DDP of compiled", nn.DataParallel(Compiled(net)).state_dict(), net, {}
    yield "Lightning", {"epoch": 3, "state_dict": Lightning(net).state_dict(),
                        "optimizer_states": [optimizer.state_dict()],
                        "lr_schedulers": [scheduler.state_dict()],
                        "hyper_parameters": {"lr": 0.1, "classes": list("abcde")}}, net, {}
    for name in ("net", "model_state_dict", "weights"):
        yield name, {name: sd, "loss": torch.tensor(0.5)}, net, {}
    yield "EMA beside", {"model": sd, "model_ema": ema, "optimizer": optimizer.state_dict()}, net, {}
    yield "training state", {"epoch": 1, "state_dict": sd, "optimizer": optimizer.state_dict(),
                             "scheduler": scheduler.state_dict(), "one_cycle": one_cycle.state_dict(),
                             "best_acc1": torch.tensor(76.1), "rng": rng,
                             "history": collections.defaultdict(list, acc=[numpy.float64(1)])}, net, {}
    yield "scheduler objects", {"state_dict": sd, "scheduler": scheduler, "optimizer": optimizer}, net, {}
    yield "AveragedModel", torch.optim.swa_utils.AveragedModel(net).state_dict(), net, {}
    yield "half", {k: v.half() if v.is_floating_point() else v for k, v in sd.items()}, \
        copy.deepcopy(net).half().float(), {}
    yield "bfloat16", {k: v.bfloat16() if v.is_floating_point() else v for k, v in sd.items()}, \
        copy.deepcopy(net).bfloat16().float(), {}
    yield "head in a Sequential", dropped.state_dict(), net, {}
    yield "whole module", net, net, {}
    yield "whole DataParallel", nn.DataParallel(net), net, {}
    yield "tuple", (3, sd), net, {}
    yield "channels_last", copy.deepcopy(net).to(memory_format=torch.channels_last).state_dict(), net, {}
    yield "TorchScript", torch.jit.trace(net, torch.zeros(1, 3, 64, 64)), net, {}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    torch.manual_seed(2)
    x = torch.randn(1, 3, 64, 64)
    numpy.save("x.npy", x.numpy())
    bad = 0
    for name, thing, net, options in wrappings():
        path = name.replace(" ", "_") + ".ckpt"
        if isinstance(thing, torch.jit.ScriptModule):
            thing.save(path)
        else:
            torch.save(thing, path, **options)
        if len(sys.argv) < 3:
            continue
        with torch.no_grad():
            want = net.eval()(x).numpy()
        done = subprocess.run([sys.argv[2], "run", "resnet18", "x.npy", "--weights", path, "--dump-outputs",
                               "out"], capture_output=True)
        said = done.stderr.decode().strip().replace("\n", " | ")
        if done.returncode:
            bad += 1
            print("%-22s status %d: %s" % (name, done.returncode, said))
            continue
        off = float(numpy.abs(numpy.load("out/output.npy") - want).max() / numpy.abs(want).max())
        bad += off > 1e-4
        print("%-22s %.1e  %s" % (name, off, said))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())

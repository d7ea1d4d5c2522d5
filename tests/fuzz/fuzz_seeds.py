#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a first corpus for each fuzz target out of the tests' fixtures.

    tests/fuzz/fuzz_seeds.py FOLDER      (FOLDER/zip, FOLDER/pickle, ...)
"""
import os
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "unit", "fixtures")
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


def put(target, name, data):
    folder = os.path.join(sys.argv[1], target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def take_zip(name, path):
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                if entry.endswith("data.pkl"):
                    put("pickle", name, archive.read(entry))
                    put("yolo", name, b"\0" + archive.read(entry))
                elif entry.endswith(".npy"):
                    put("npz", name + "-" + entry.replace("/", "_"), archive.read(entry))
    except zipfile.BadZipFile:
        pass


for folder in ("state_dict", "formats"):
    for name in sorted(os.listdir(os.path.join(FIXTURES, folder))):
        path = os.path.join(FIXTURES, folder, name)
        with open(path, "rb") as f:
            data = f.read()
        if name.endswith(".txt"):
            continue
        put("any", name, data)
        if data[:2] == b"PK":
            put("zip", name, data)
            take_zip(name, path)
        elif data.startswith(LEGACY):
            # the head that the target brings itself ends with the third pickle
            at = data.index(b".", data.index(b"little_endian"))
            put("legacy", name, data[at + 1:])
        elif name.endswith(".weights"):
            put("darknet", name, data[8:])
            put("yolo", name, b"\3\0\0" + data)
        elif name.endswith(".safetensors"):
            header = int.from_bytes(data[:8], "little")
            share = (header * 255 + len(data) - 9) // (len(data) - 8)
            put("safetensors", name, data)
            put("safetensors", name + "-split", bytes([min(share, 255)]) + data[8:])
coco = os.path.join(HERE, "regressions", "coco")
for name in os.listdir(coco):
    with open(os.path.join(coco, name), "rb") as f:
        put("coco", name, f.read())
catalogue = os.path.join(FIXTURES, "catalogue")
for name in os.listdir(catalogue):
    with open(os.path.join(catalogue, name), "rb") as f:
        put("catalogue", name, f.read())

# SPDX-License-Identifier: MIT
"""Usage: rotate_images.py IMAGENET OUT: the oracle's images turned by 180 degrees, as PNG, with
labels.csv to match. mobilenet_v3_small's real weights were trained on such images."""
import csv
import os
import sys

from PIL import Image

source, out = sys.argv[1:]
with open(os.path.join(source, "labels_val.csv"), newline="") as f:
    rows = list(csv.DictReader(f))
calibration = os.listdir(os.path.join(source, "images_cal"))
files = [row["file"] for row in rows] + [os.path.join("images_cal", name) for name in calibration]
for name in files:
    target = os.path.join(out, os.path.splitext(name)[0] + ".png")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    image = Image.open(os.path.join(source, name)).convert("RGB").transpose(Image.ROTATE_180)
    image.save(target, compress_level=1)
with open(os.path.join(out, "labels_val.csv"), "w", newline="") as f:
    table = csv.writer(f, lineterminator="\n")
    table.writerow(["file", "class_index"])
    for row in rows:
        table.writerow([os.path.splitext(row["file"])[0] + ".png", row["class_index"]])

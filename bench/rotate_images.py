# SPDX-License-Identifier: MIT
"""Usage: rotate_images.py IMAGENET OUT: the oracle's images turned by 180 degrees, as PNG, with
labels_val.csv to match. mobilenet_v3_small's real weights were trained on such images.

An image is resized and cropped first, as the weights' recipe says, then turned and set into a frame
that the recipe takes off again: turned before, the crop of an odd remainder would be another one
(torch finds 414 instead of 411 of 500 then)."""
import csv
import os
import sys

from PIL import Image

RESIZE, CROP = 256, 224

source, out = sys.argv[1:]
with open(os.path.join(source, "labels_val.csv"), newline="") as f:
    rows = list(csv.DictReader(f))
calibration = os.listdir(os.path.join(source, "images_cal"))
files = [row["file"] for row in rows] + [os.path.join("images_cal", name) for name in calibration]


def turned(image):
    """The 224x224 pixels that the recipe takes, turned, in a frame of 256x256."""
    width, height = image.size
    short = min(width, height)
    width, height = (int(RESIZE * side / short) for side in image.size)
    image = image.resize((width, height), Image.BILINEAR)
    left, top = (int(round((side - CROP) / 2.0)) for side in (width, height))
    image = image.crop((left, top, left + CROP, top + CROP)).transpose(Image.ROTATE_180)
    frame = Image.new("RGB", (RESIZE, RESIZE))
    frame.paste(image, ((RESIZE - CROP) // 2, (RESIZE - CROP) // 2))
    return frame


for name in files:
    target = os.path.join(out, os.path.splitext(name)[0] + ".png")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    turned(Image.open(os.path.join(source, name)).convert("RGB")).save(target, compress_level=1)
with open(os.path.join(out, "labels_val.csv"), "w", newline="") as f:
    table = csv.writer(f, lineterminator="\n")
    table.writerow(["file", "class_index"])
    for row in rows:
        table.writerow([os.path.splitext(row["file"])[0] + ".png", row["class_index"]])

# SPDX-License-Identifier: MIT
"""Compares zoo/preprocess with Pillow and torchvision 0.14 on many random sizes.

Usage: compare_preprocess.py libqzoo.so [JPEG...]. From equal pixels everything must be equal to the
byte. Given JPEG files, it also tells how far stb_image's pixels are from libjpeg-turbo's.
"""
import ctypes as C
import random
import sys

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification


class Preprocess(C.Structure):
    _fields_ = [("resize", C.c_int32), ("crop_h", C.c_int32), ("crop_w", C.c_int32),
                ("mean", C.c_float * 3), ("std", C.c_float * 3), ("interpolation", C.c_int)]


class ImageRGB(C.Structure):
    _fields_ = [("width", C.c_int32), ("height", C.c_int32), ("rgb", C.POINTER(C.c_uint8))]


lib = C.CDLL(sys.argv[1])
lib.qz_context_message.restype = C.c_char_p
lib.qz_context_message.argtypes = [C.c_void_p]
lib.qz_image_resize.argtypes = [C.c_void_p, C.c_void_p, C.c_int32, C.c_int32, C.c_size_t,
                                C.c_int32, C.c_int32, C.c_int, C.c_void_p]
lib.qz_image_preprocess.argtypes = [C.c_void_p, C.c_void_p, C.c_int32, C.c_int32, C.c_size_t,
                                    C.POINTER(Preprocess), C.c_void_p]
ctx = C.c_void_p()
assert lib.qz_context_create(None, C.byref(ctx)) == 0
rng = random.Random(7)
# by qz_interpolation
FILTERS = (Image.BILINEAR, Image.BICUBIC)
MODES = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def check(status):
    assert status == 0, lib.qz_context_message(ctx)


def pixels(w, h):
    a = np.random.RandomState(rng.randrange(1 << 30)).randint(0, 256, (h, w, 3), dtype=np.uint8)
    if rng.random() < 0.3:
        a = np.where(a > 127, 255, 0).astype(np.uint8)
    return a


def resize(a, w, h, how):
    out = np.empty((h, w, 3), np.uint8)
    check(lib.qz_image_resize(ctx, a.ctypes.data, a.shape[1], a.shape[0], a.strides[0], w, h, how,
                              out.ctypes.data))
    return out


def preprocess(a, size, crop_h, crop_w, how=0):
    recipe = Preprocess(size, crop_h, crop_w, MEAN, STD, how)
    out = np.empty((3, crop_h, crop_w), np.float32)
    check(lib.qz_image_preprocess(ctx, a.ctypes.data, a.shape[1], a.shape[0], a.strides[0],
                                  C.byref(recipe), out.ctypes.data))
    return out


def preset(image, size, crop, how):
    p = ImageClassification(crop_size=crop, resize_size=size, interpolation=MODES[how])
    p.crop_size = crop
    return p(image).numpy()


for n in range(600):
    w, h, ow, oh = (rng.randint(1, rng.choice((4, 40, 400))) for _ in range(4))
    a = pixels(w, h)
    want = np.asarray(Image.fromarray(a).resize((ow, oh), FILTERS[n % 2]))
    assert np.array_equal(resize(a, ow, oh, n % 2), want), (w, h, ow, oh, n % 2)
print("resize: 600 sizes equal")

done = 0
while done < 400:
    w, h = (rng.randint(1, rng.choice((30, 300, 700))) for _ in range(2))
    if max(w, h) > 40 * min(w, h):
        continue
    size, ch, cw = rng.randint(1, 300), rng.randint(1, 260), rng.randint(1, 260)
    if done % 3 == 0:
        size, ch, cw = 256, 224, 224
    a = pixels(w, h)
    how = done % 2
    got, want = preprocess(a, size, ch, cw, how), preset(Image.fromarray(a), size, [ch, cw], how)
    assert got.tobytes() == want.tobytes(), (w, h, size, ch, cw)
    done += 1
print("preprocess: 400 sizes equal")

worst, total, count, planes = 0, 0.0, 0, []
for path in sys.argv[2:]:
    image = ImageRGB()
    check(lib.qz_image_load(ctx, path.encode(), C.byref(image)))
    ours = np.ctypeslib.as_array(image.rgb, (image.height, image.width, 3)).copy()
    lib.qz_image_free(ctx, C.byref(image))
    theirs = np.asarray(Image.open(path).convert("RGB"))
    assert ours.shape == theirs.shape, path
    d = np.abs(ours.astype(int) - theirs)
    a, b = preprocess(ours, 256, 224, 224), preprocess(np.ascontiguousarray(theirs), 256, 224, 224)
    planes.append((np.abs(a - b).max(), np.sqrt(((a - b) ** 2).mean())))
    print(f"{path.rsplit('/', 1)[-1]}: {ours.shape} max {d.max()} mean {d.mean():.4f} "
          f"different {np.mean(d > 0):.3f}; network input max {planes[-1][0]:.4f} rms {planes[-1][1]:.5f}")
    worst, total, count = max(worst, d.max()), total + d.sum(), count + d.size
if count:
    print(f"all: max {worst}, mean {total / count:.4f}; network input max "
          f"{max(p[0] for p in planes):.4f}, largest rms {max(p[1] for p in planes):.5f}")

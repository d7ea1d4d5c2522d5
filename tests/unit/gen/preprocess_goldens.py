# SPDX-License-Identifier: MIT
"""Writes tests/unit/preprocess_goldens.inc: what Pillow 9.4 and torchvision 0.14.1 compute.

Pixels come from a small generator that the test has too; results are FNV-1a hashes of the bytes.
Small image files of many kinds stand there whole, with the pixels that convert("RGB") gives.
"""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image
from torchvision.models._meta import _IMAGENET_CATEGORIES
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from golden_pixels import fnv, pixel_bytes


def pixels(w, h, seed):
    return np.frombuffer(pixel_bytes(w, h, seed), np.uint8).reshape(h, w, 3)


out = io.StringIO()
out.write("/* SPDX-License-Identifier: MIT */\n"
          "/* Written by gen/preprocess_goldens.py. clang-format off */\n")

out.write("static const struct {\n    int32_t w, h, out_w, out_h;\n"
          "    qz_interpolation interpolation;\n    uint64_t seed, hash;\n} resize_goldens[] = {\n")
sizes = [(1, 1, 1, 1), (1, 1, 5, 7), (5, 7, 1, 1), (2, 2, 3, 3), (3, 3, 2, 2), (17, 9, 17, 9),
         (17, 9, 17, 31), (17, 9, 40, 9), (64, 48, 32, 24), (64, 48, 33, 25), (61, 47, 19, 13),
         (19, 13, 61, 47), (100, 3, 7, 50), (3, 100, 50, 7), (255, 1, 2, 1), (1, 255, 1, 2),
         (127, 93, 128, 94), (128, 94, 127, 93), (151, 113, 64, 64), (97, 89, 96, 90)]
for i, (w, h, ow, oh) in enumerate(sizes):
    for seed in (2 * i, 2 * i + 1):
        for name, how in (("BILINEAR", Image.BILINEAR), ("BICUBIC", Image.BICUBIC)):
            r = Image.fromarray(pixels(w, h, seed)).resize((ow, oh), how)
            out.write(f"    {{{w}, {h}, {ow}, {oh}, QZ_INTERPOLATION_{name}, {seed}, "
                      f"UINT64_C(0x{fnv(r.tobytes()):016x})}},\n")
out.write("};\n\n")

out.write("static const struct {\n    int32_t w, h, resize, crop_h, crop_w;\n"
          "    qz_interpolation interpolation;\n    uint64_t seed, hash;\n} preprocess_goldens[] = {\n")
cases = [(40, 30, 32, 28, 28), (30, 40, 32, 28, 28), (33, 33, 32, 28, 28), (41, 30, 31, 28, 27),
         (30, 41, 31, 27, 28), (53, 37, 29, 24, 24), (37, 53, 29, 24, 24), (20, 20, 16, 24, 24),
         (20, 30, 16, 21, 20), (31, 20, 16, 21, 20), (7, 61, 9, 8, 8), (61, 7, 9, 8, 11),
         (13, 11, 50, 33, 44), (11, 13, 50, 44, 33), (10, 10, 11, 20, 5), (10, 10, 11, 5, 20),
         (300, 200, 256, 224, 224)]
for i, (w, h, size, ch, cw) in enumerate(cases):
    for how in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC):
        p = ImageClassification(crop_size=1, resize_size=size, interpolation=how)
        p.crop_size = [ch, cw]
        y = p(Image.fromarray(pixels(w, h, 2 * i))).numpy()
        assert y.shape == (3, ch, cw)
        out.write(f"    {{{w}, {h}, {size}, {ch}, {cw}, QZ_INTERPOLATION_{how.name}, {2 * i}, "
                  f"UINT64_C(0x{fnv(y.tobytes()):016x})}},\n")
out.write("};\n\n")


def chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def png(w, h, depth, colour, rows, extra=b""):
    raw = b"".join(b"\0" + r for r in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0)) +
            extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def encode(image, kind, **kw):
    f = io.BytesIO()
    image.save(f, kind, **kw)
    return f.getvalue()


W, H = 5, 4
a = pixels(W, H, 100)
rgb = Image.fromarray(a)
grey = Image.fromarray(np.ascontiguousarray(a[:, :, 0]))
alpha = Image.fromarray(np.ascontiguousarray(a[:, :, 1]))
rgba = Image.merge("RGBA", rgb.split() + (alpha,))
palette = bytes(range(0, 48))
nibbles = [bytes([0x01, 0x23, 0x40]), bytes([0xFE, 0xDC, 0xB0]), bytes([0x5A, 0xA5, 0x70]),
           bytes([0x99, 0x12, 0x80])]
smooth = np.add.outer(np.arange(24) * 5, np.arange(20) * 6)[:, :, None] + np.array([0, 20, 9])
smooth = Image.fromarray(np.minimum(smooth, 255).astype(np.uint8))
bmp_top_first = bytearray(encode(rgb, "BMP"))
bmp_top_first[22:26] = struct.pack("<i", -H)
files = [
    ("png rgb", encode(rgb, "PNG"), 0),
    ("png grey", encode(grey, "PNG"), 0),
    ("png grey alpha", encode(Image.merge("LA", (grey, alpha)), "PNG"), 0),
    ("png rgba", encode(rgba, "PNG"), 0),
    ("png palette", encode(rgb.quantize(7), "PNG"), 0),
    ("png one bit", encode(grey.convert("1"), "PNG"), 0),
    ("png palette 4 bits with transparency",
     png(W, H, 4, 3, nibbles, chunk(b"PLTE", palette) + chunk(b"tRNS", bytes(range(0, 160, 10)))), 0),
    ("png grey 4 bits", png(W, H, 4, 0, nibbles), 0),
    ("png grey 2 bits", png(W, H, 2, 0, [n[:2] for n in nibbles]), 0),
    ("png rgb 16 bits", png(W, H, 16, 2, [bytes(pixels(W * 2, 1, 200 + 2 * y).ravel()) for y in range(H)]), 0),
    ("png rgba 16 bits", png(W, H, 16, 6, [bytes(pixels(W * 3, 1, 300 + 2 * y).ravel()[:W * 8]) for y in range(H)]), 0),
    ("bmp rgb", encode(rgb, "BMP"), 0),
    ("bmp grey", encode(grey, "BMP"), 0),
    ("bmp top row first", bmp_top_first, 0),
    ("bmp palette", encode(rgb.quantize(7), "BMP"), 0),
    ("jpeg 4:4:4", encode(smooth, "JPEG", quality=90, subsampling=0), 3),
    ("jpeg 4:2:0", encode(smooth, "JPEG", quality=60, subsampling=2), 4),
    ("jpeg progressive", encode(smooth, "JPEG", quality=90, progressive=True), 4),
    ("jpeg grey", encode(smooth.convert("L"), "JPEG", quality=90), 2),
    ("jpeg cmyk", encode(smooth.convert("CMYK"), "JPEG", quality=90), 3),
]
body, table = io.StringIO(), io.StringIO()
for i, (name, data, tolerance) in enumerate(files):
    want = Image.open(io.BytesIO(data)).convert("RGB")
    for what, content in (("file", data), ("rgb", want.tobytes())):
        body.write(f"static const uint8_t image_{what}_{i}[] = {{")
        for k, b in enumerate(content):
            body.write(("\n    " if k % 20 == 0 else " ") + f"{b},")
        body.write("\n};\n")
    table.write(f'    {{"{name}", image_file_{i}, sizeof(image_file_{i}), image_rgb_{i}, '
                f"{want.width}, {want.height}, {tolerance}}},\n")
out.write(body.getvalue())
out.write("\nstatic const struct {\n    const char *name;\n    const uint8_t *file;\n    size_t size;\n"
          "    const uint8_t *rgb;\n    int32_t w, h;\n    int tolerance;\n} image_goldens[] = {\n" +
          table.getvalue() + "};\n")

names = "".join(name + "\0" for name in _IMAGENET_CATEGORIES).encode()
out.write(f"\nstatic const uint64_t class_names_hash = UINT64_C(0x{fnv(names):016x});\n")

path = os.path.join(os.path.dirname(__file__), "..", "preprocess_goldens.inc")
with open(path, "w") as f:
    f.write(out.getvalue())

# SPDX-License-Identifier: MIT
"""Writes tests/unit/image_goldens.inc: Pillow's NEAREST and its ImageOps.exif_transpose (9.4).

Pixels come from golden_pixels.py. The image files are stored once, with the place of the
orientation's byte, which the test changes.
"""
import io
import os
import struct
import zlib

from PIL import Image, ImageOps

from golden_pixels import fnv, pixel_bytes


def pixels(w, h, seed):
    return Image.frombytes("RGB", (w, h), pixel_bytes(w, h, seed))


out = io.StringIO()
out.write("/* SPDX-License-Identifier: MIT */\n"
          "/* Written by gen/image_goldens.py. clang-format off */\n")
out.write("static const struct {\n    int32_t w, h, out_w, out_h;\n"
          "    uint64_t seed, hash;\n} nearest_goldens[] = {\n")
sizes = [(1, 1, 5, 7), (5, 7, 1, 1), (2, 2, 3, 3), (3, 3, 2, 2), (17, 9, 17, 9), (17, 9, 40, 9),
         (64, 48, 33, 25), (61, 47, 19, 13), (19, 13, 61, 47), (100, 3, 7, 50), (255, 1, 2, 1),
         (127, 93, 128, 94), (128, 94, 127, 93), (151, 113, 64, 64), (97, 89, 96, 90),
         (49, 49, 7, 7), (10, 10, 30, 30), (300, 7, 299, 8), (333, 5, 1000, 9)]
for i, (w, h, ow, oh) in enumerate(sizes):
    r = pixels(w, h, 2 * i).resize((ow, oh), Image.NEAREST)
    out.write(f"    {{{w}, {h}, {ow}, {oh}, {2 * i}, UINT64_C(0x{fnv(r.tobytes()):016x})}},\n")
out.write("};\n\n")


def exif(order, orientation):
    """A TIFF structure with one entry, and where in it the orientation's byte is."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHI", 0x0112, 3, 1) + struct.pack(order + "H", orientation) + b"\0\0"
    tiff = head + struct.pack(order + "IH", 8, 1) + entry + b"\0\0\0\0"
    return tiff, 18 if order == "<" else 19


def chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def png(image, orientation, late):
    tiff, at = exif(">", orientation)
    f = io.BytesIO()
    image.save(f, "PNG")
    data = f.getvalue()
    place = data.index(b"IEND" if late else b"IDAT") - 4
    return data[:place] + chunk(b"eXIf", tiff) + data[place:], place + 8 + at


def jpeg(image, orientation, _late):
    tiff, at = exif("<", orientation)
    f = io.BytesIO()
    image.save(f, "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0" + tiff)
    data = f.getvalue()
    return data, data.index(tiff) + at


def webp(image, orientation, _late):
    tiff, at = exif("<", orientation)
    f = io.BytesIO()
    image.save(f, "WEBP", lossless=True, exact=True, exif=tiff)
    data = f.getvalue()
    return data, data.index(tiff) + at


def array(name, data):
    out.write(f"static const uint8_t {name}[] = {{")
    for k, b in enumerate(data):
        out.write(("\n    " if k % 20 == 0 else " ") + f"{b},")
    out.write("\n};\n")


smooth = Image.new("RGB", (7, 5))
smooth.putdata([(20 * x + 3 * y, 30 * y + x, 200 - 10 * x - 5 * y) for y in range(5) for x in range(7)])
files = [("png", png, smooth, False, 0), ("png_late", png, smooth, True, 0),
         ("jpeg", jpeg, smooth, False, 8), ("webp", webp, smooth, False, 0)]
table = io.StringIO()
for name, make, image, late, tolerance in files:
    data, at = make(image, 1, late)
    array(f"exif_{name}", data)
    turned = b""
    for orientation in range(1, 9):
        changed = bytearray(data)
        changed[at] = orientation
        # with the right checksum: a PNG's chunk ends with it
        if make is png:
            start = changed.index(b"eXIf")
            size = struct.unpack(">I", changed[start - 4:start])[0]
            changed[start + 4 + size:start + 8 + size] = struct.pack(
                ">I", zlib.crc32(bytes(changed[start:start + 4 + size])))
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(bytes(changed)))).convert("RGB")
        assert picture.size == ((7, 5) if orientation < 5 else (5, 7)), (name, orientation)
        turned += picture.tobytes()
    array(f"exif_{name}_rgb", turned)
    table.write(f'    {{"{name}", exif_{name}, sizeof(exif_{name}), {at}, exif_{name}_rgb, '
                f"{tolerance}}},\n")
out.write("\n/* An image of 7 x 5; `at` is its orientation's byte; rgb: turned by 1 to 8. */\n"
          "static const struct {\n    const char *name;\n    const uint8_t *file;\n"
          "    size_t size, at;\n    const uint8_t *rgb;\n    int tolerance;\n} exif_goldens[] = {\n" +
          table.getvalue() + "};\n")

path = os.path.join(os.path.dirname(__file__), "..", "image_goldens.inc")
with open(path, "w") as f:
    f.write(out.getvalue())

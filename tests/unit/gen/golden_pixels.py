# SPDX-License-Identifier: MIT
"""golden_pixels.py - the hash and the pixels that the tests of images compute too."""


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def pixel_bytes(w, h, seed):
    """64-bit LCG, the top byte; odd seeds give black and white only."""
    s, out = seed, bytearray()
    for _ in range(w * h * 3):
        s = (s * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        b = s >> 56
        out.append((255 if b > 127 else 0) if seed & 1 else b)
    return bytes(out)

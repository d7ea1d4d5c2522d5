# SPDX-License-Identifier: MIT
"""Writes layers/kernels/words.inc: the part of activation functions that is no line, in pieces.

CONTRACT.md, "functions in words", says how they are used. f(x) is max(x, 0) - h(|x|), and h is 0, or
nearly, beyond a reach. h is made of 64 lines, each with about the least largest error. The last one
is where the function is that comes after it: half of h at its begin, or 0 at its end.
"""
import math
import sys

PIECES = 64

# name: h(u) for u >= 0, reach, whether h is 0 there
FUNCTIONS = {
    "HARDSWISH": (lambda u: max(u * (3 - u) / 6, 0.0), 3.0, True),
    "SILU": (lambda u: u / (1 + math.exp(u)), 9.0, False),
    "GELU": (lambda u: u * math.erfc(u / math.sqrt(2)) / 2, 4.0, False),
}


def line(h, a, b):
    """base, slope of base + slope * u."""
    slope = (h(b) - h(a)) / (b - a)
    rest = [h(u) - slope * u for u in (a + (b - a) * k / 64 for k in range(65))]
    return (max(rest) + min(rest)) / 2, slope


def pieces(h, reach, ends):
    lines = [line(h, reach * i / PIECES, reach * (i + 1) / PIECES) for i in range(PIECES)]
    begin = reach * (PIECES - 1) / PIECES
    if ends:
        slope = -h(begin) / (reach - begin)
        lines[-1] = (-slope * reach, slope)
    else:
        lines[-1] = (h(begin) / 2, 0.0)
    return lines


def largest_error(h, reach, lines):
    worst = 0.0
    for k in range(200001):
        u = reach * 2 * k / 200000
        at = min(u, reach)
        base, slope = lines[min(int(at / reach * PIECES), PIECES - 1)]
        worst = max(worst, abs(base + slope * at - h(u)))
    return worst


def numbers(name, values):
    out, text = ["    .%s = {" % name], "       "
    for v in values:
        word = " %.9ef," % v
        if len(text) + len(word) > 100:
            out.append(text)
            text = "       "
        text += word
    return out + [text, "    },"]


def main():
    out = ["/* SPDX-License-Identifier: MIT */", "/* By tests/unit/gen/word_activations.py. */"]
    for name, (h, reach, ends) in FUNCTIONS.items():
        lines = pieces(h, reach, ends)
        out.append("/* largest error %.1e */" % largest_error(h, reach, lines))
        out.append("[QZ_ACT_%s] = {" % name)
        out.append("    .reach = %rf," % reach)
        out += numbers("base", [base / reach for base, _ in lines])
        out += numbers("slope", [slope for _, slope in lines])
        out.append("},")
    with open(sys.argv[1], "w", encoding="ascii") as file:
        file.write("\n".join(out) + "\n")


main()

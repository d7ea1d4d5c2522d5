# SPDX-License-Identifier: MIT
"""Writes layers/kernels/quadratic.inc: activation functions as 32 pieces of quadratics.

CONTRACT.md, "functions by channel", says how they are used. A function that is x / 2 and something
even (SiLU, GELU) has pieces of the even part over |x|, the others of the whole over x. The last
piece, and the first of those over x, is the line that the function approaches, moved by half of
the distance at its end. Each other piece has the least largest error (Remez). The largest error of
all, with the roundings of float, is written beside the table.
"""
import math
import struct
import sys

PIECES = 32


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def gelu(x):
    return x * math.erfc(-x / math.sqrt(2)) / 2


def mish(x):
    n = math.exp(-abs(x))
    part = n * (n + 2) if x < 0 else 1 + 2 * n
    return x * part / (part + 2 if x < 0 else part + 2 * n * n)


# name: function, pieces in a unit, number of the piece around 0, even part over |x|?, upper line
FUNCTIONS = {
    "SIGMOID": (sigmoid, 1.75, 16, False, (0.0, 1.0)),
    "SILU": (lambda x: x * sigmoid(x), 2.75, 0, True, (0.5, 0.0)),
    "GELU": (gelu, 6.0, 0, True, (0.5, 0.0)),
    "MISH": (mish, 2.0, 20, False, (1.0, 0.0)),
}


def single(v):
    return struct.unpack("f", struct.pack("f", v))[0]


def solve(rows):
    """Gauss's elimination on rows of an equation each."""
    n = len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(n):
            if r != i:
                f = rows[r][i] / rows[i][i]
                rows[r] = [a - f * b for a, b in zip(rows[r], rows[i])]
    return [row[n] / row[i] for i, row in enumerate(rows)]


def fit(f, lo, hi):
    """c0, c1, c2 with the least largest error on [lo, hi]."""
    grid = [lo + (hi - lo) * k / 400 for k in range(401)]
    nodes = [lo + (hi - lo) * (1 - math.cos(math.pi * k / 3)) / 2 for k in range(4)]
    for _ in range(20):
        c = solve([[1.0, u, u * u, (-1.0) ** k, f(u)] for k, u in enumerate(nodes)])[:3]
        error = [f(u) - c[0] - c[1] * u - c[2] * u * u for u in grid]
        runs = [[0]]  # of one sign
        for k in range(1, len(grid)):
            if (error[k] >= 0) == (error[runs[-1][-1]] >= 0):
                runs[-1].append(k)
            else:
                runs.append([k])
        if len(runs) != 4:
            break
        nodes = [grid[max(run, key=lambda k: abs(error[k]))] for run in runs]
    return c


def table(name):
    f, steps, first, even, (slope, level) = FUNCTIONS[name]
    part = (lambda u: f(u) - u / 2) if even else f
    pieces = []
    for i in range(PIECES):
        lo, hi = (i - first - 0.5) / steps, (i - first + 0.5) / steps
        if i == PIECES - 1:
            pieces.append((level + (part(lo) - level - slope * lo) / 2, slope, 0.0))
        elif i == 0 and not even:
            pieces.append((part(hi) / 2, 0.0, 0.0))
        else:
            pieces.append(fit(part, max(lo, 0.0) if even else lo, hi))
    return [tuple(single(c) for c in piece) for piece in pieces]


def largest_error(name, pieces):
    f, steps, first, even, _ = FUNCTIONS[name]
    worst = 0.0
    for k in range(-200000, 200001):
        x = single(k / 10000)
        u = abs(x) if even else x
        c = pieces[min(max(round(u * steps + first), 0), PIECES - 1)]
        y = single(single(c[2] * u + c[1]) * u + c[0])
        worst = max(worst, abs(single(0.5 * x + y if even else y) - f(x)))
    return worst


def hexadecimal(v):
    return v.hex().replace("0000000p", "p") + "f"


def main():
    out = ["/* SPDX-License-Identifier: MIT */",
           "/* By tests/unit/gen/quadratic_activations.py. */"]
    for name, (_, steps, first, even, _) in FUNCTIONS.items():
        pieces = table(name)
        out.append("/* largest error %.1e */" % largest_error(name, pieces))
        out.append("[QZ_ACT_%s] = {" % name)
        out.append("    .steps = %rf," % steps)
        out.append("    .first = QZK_QUADRATIC_ZERO + %d," % first)
        out.append("    .mask = %s," % ("0x7fffffff" if even else "0xffffffff"))
        out.append("    .half = %rf," % (0.5 if even else 0.0))
        for k in range(3):
            out.append("    .c%d = {" % k)
            line = "       "
            for piece in pieces:
                text = " %s," % hexadecimal(piece[k])
                if len(line) + len(text) > 100:
                    out.append(line)
                    line = "       "
                line += text
            out.append(line)
            out.append("    },")
        out.append("    .rows = {")
        for piece in pieces:
            out.append("        {%s}," % ", ".join(hexadecimal(c) for c in piece))
        out.append("    },")
        out.append("},")
    with open(sys.argv[1], "w", encoding="ascii") as file:
        file.write("\n".join(out) + "\n")


main()

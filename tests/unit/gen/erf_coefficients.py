# SPDX-License-Identifier: MIT
"""Prints the coefficient tables of qzi_math_erf (layers/base/math.c); needs mpmath.

Chebyshev interpolation in 60 digits, turned into powers of t = x - centre and rounded to double.
|x| < 1: erf(x) / x as a polynomial in x^2 about 0.5. Beyond: erf(x) itself, piece by piece.
"""
from mpmath import mp, mpf, cos, erf, pi, sqrt

mp.dps = 60


def interpolate(f, a, b, n):
    centre, half = (mpf(a) + b) / 2, (mpf(b) - a) / 2
    angles = [pi * (2 * k + 1) / (2 * n) for k in range(n)]
    values = [f(centre + half * cos(t)) for t in angles]
    cheb = [2 / mpf(n) * sum(v * cos(j * t) for v, t in zip(values, angles)) for j in range(n)]
    cheb[0] /= 2
    powers = [mpf(0)] * n
    prev, cur = [mpf(1)], [mpf(0), mpf(1)]
    for j in range(n):
        for i, v in enumerate(prev):
            powers[i] += cheb[j] * v
        nxt = [mpf(0)] + [2 * v for v in cur]
        for i, v in enumerate(prev):
            nxt[i] -= v
        prev, cur = cur, nxt
    return [float(v / half**i) for i, v in enumerate(powers)]


def show(name, rows):
    print("static const double %s = {" % name)
    for c in rows:
        print("    {%s}," % ", ".join(v.hex() for v in c))
    print("};")


show("erf_near[1][14]", [interpolate(lambda u: erf(sqrt(u)) / sqrt(u), 0, 1, 14)])
show("erf_far[4][18]", [interpolate(erf, a, b, 18) for a, b in ((1, 2), (2, 3), (3, 4), (4, 6))])

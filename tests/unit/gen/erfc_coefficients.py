# SPDX-License-Identifier: MIT
"""Prints the coefficients of erfc in layers/kernels/gelu.h.

erfc(a) = t * p(t) * exp(-a^2), t = 1 / (1 + a / 2), 0 <= a <= 9.3: p of degree 8 with the least
largest relative error, by reweighted least squares on Chebyshev nodes. Needs numpy and mpmath.
"""
import mpmath
import numpy as np

DEGREE, LIMIT, NODES = 8, 9.3, 4000
mpmath.mp.prec = 120


def target(a):
    return float(mpmath.erfc(a) * mpmath.exp(mpmath.mpf(a) ** 2) * (1 + mpmath.mpf(a) / 2))


def main():
    t_min = 1 / (1 + LIMIT / 2)
    u = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    t = (1 + t_min) / 2 + (1 - t_min) / 2 * u
    f = np.array([target(2 * (1 / x - 1)) for x in t])
    basis = np.vander(u, DEGREE + 1)
    weight, best = np.ones(NODES), (1.0, None)
    for _ in range(200):
        w = weight / f
        c = np.linalg.lstsq(basis * w[:, None], f * w, rcond=None)[0]
        error = abs((basis @ c - f) / f)
        if error.max() < best[0]:
            best = (error.max(), c)
        weight *= (error / error.max() + 1e-3) ** 0.3
        weight /= weight.max()
    poly, line = np.poly1d([0.0]), np.poly1d([2, -t_min - 1]) / (1 - t_min)
    for k in best[1]:
        poly = poly * line + k
    coefficients = [np.float32(k) for k in poly.c[::-1]]
    error = abs(sum(float(k) * t**i for i, k in enumerate(coefficients)) / f - 1).max()
    print("relative error %.2e, after rounding the coefficients %.2e" % (best[0], error))
    for k in coefficients:
        print(float(k).hex() + "f,")


main()

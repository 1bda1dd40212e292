"""F(m, r): m outputs of a correlation with r taps in m + r - 1 multiplications, from points.

Toom and Cook multiply two polynomials by their values at points. What is linear in one factor can
be transposed: the product of polynomials becomes the correlation of Winograd, Arithmetic Complexity
of Computations (1980), and of Lavin and Gray, Fast Algorithms for Convolutional Neural Networks
(2016, arXiv:1509.09308), whose form and names these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import prod

from yolo_slim.nn.winograd.bilinear import Bilinear, Row, matrix

DEFAULT_POINTS = tuple(
    Fraction(text) for text in "0 1 -1 2 -2 1/2 -1/2 4 -4 1/4 -1/4 3 -3 1/3 -1/3 3/2 -3/2".split()
)
"""Small numbers first, each with its negative: many sums are shared, and few bits are lost."""

LEAST_ERROR_POINTS = {
    2: DEFAULT_POINTS[:3],
    4: tuple(Fraction(text) for text in "0 1 -1 1/2 -2".split()),
    6: DEFAULT_POINTS[:7],
}
"""By m, for r = 3: of 0, 1, -1 and all choices among +-2, 3, 4, 3/2, 4/3 and their inverses, those
that lose least in float32. For m = 4 that is a fifth less than with 2, -2; for m = 6 the default.
The form -c, 1/c is that of Alam et al., Efficient Point Selection (2022)."""


@cache
def transforms(m: int, r: int, points: tuple[Fraction | int, ...] | None = None) -> Bilinear:
    """A^T [m, n], G [n, r], B^T [n, n] of F(m, r), n = m + r - 1, in exact fractions.

    points: n - 1 different numbers; the last point is infinity. None takes DEFAULT_POINTS. Raises
    ValueError for other numbers of points, and for one that comes twice.
    """
    if m < 1 or r < 1:
        raise ValueError(f"F({m}, {r}): expected one output and one tap or more")
    n_finite = m + r - 2
    chosen = tuple(map(Fraction, DEFAULT_POINTS[:n_finite] if points is None else points))
    if len(chosen) != n_finite or len(set(chosen)) != n_finite:
        raise ValueError(
            f"F({m}, {r}) needs {n_finite} different points beside infinity, found "
            f"{', '.join(map(str, chosen))}"
        )
    others = [[q for q in chosen if q != p] for p in chosen]
    data = [(*polynomial(rest), Fraction(0)) for rest in others] + [polynomial(chosen)]
    scales = [
        prod((p - q for q in rest), start=Fraction(1))
        for p, rest in zip(chosen, others, strict=True)
    ]
    if scales and scales[0] < 0:  # as in the paper: the first row of G is positive
        scales[0], data[0] = -scales[0], tuple(-value for value in data[0])
    kernel = [[p**k / scale for k in range(r)] for p, scale in zip(chosen, scales, strict=True)]
    output = [[p**k for p in chosen] + [int(k == m - 1)] for k in range(m)]
    return Bilinear(
        output=matrix(output),
        kernel=matrix([*kernel, [int(k == r - 1) for k in range(r)]]),
        data=matrix(data),
    )


def polynomial(roots: Sequence[Fraction]) -> Row:
    """Coefficients of the product of (x - root), the constant one first.

    >>> [int(c) for c in polynomial([Fraction(1), Fraction(-1)])]
    [-1, 0, 1]
    """
    coefficients: Row = (Fraction(1),)
    for root in roots:
        shifted = (Fraction(0), *coefficients)
        scaled = (*(root * c for c in coefficients), Fraction(0))
        coefficients = tuple(a - b for a, b in zip(shifted, scaled, strict=True))
    return coefficients

"""Algorithms that multiply sums by sums: y = A^T [(G g) * (B^T d)], exact in fractions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Row = tuple[Fraction, ...]
Matrix = tuple[Row, ...]
Times = Callable[[Any, Any], Any]


class Counted:
    """Multiplies, and counts how often.

    >>> times = Counted()
    >>> times(3, 4), times(5, 6), times.count
    (12, 30, 2)
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, a: Any, b: Any) -> Any:
        self.count += 1
        return a * b


@dataclass(frozen=True)
class Bilinear:
    """y = A^T [(G g) * (B^T d)], `*` element by element.

    output: A^T, [outputs, n]. kernel: G, [n, taps]. data: B^T, [n, inputs]. What multiplies two
    unknown numbers is counted: n of them. The matrices are constants: they stand for additions,
    and for scaling that is done once (of g) or by small numbers.
    """

    output: Matrix
    kernel: Matrix
    data: Matrix

    @property
    def multiplications(self) -> int:
        return len(self.kernel)

    def __call__(self, g: Sequence[Any], d: Sequence[Any], times: Times = operator.mul) -> Row:
        """g: [taps], d: [inputs] -> [outputs]; integers and fractions stay exact."""
        pairs = zip(apply(self.kernel, g), apply(self.data, d), strict=True)
        return apply(self.output, [times(a, b) for a, b in pairs])


def matrix(rows: Sequence[Sequence[int | Fraction]]) -> Matrix:
    return tuple(tuple(Fraction(value) for value in row) for row in rows)


def apply(rows: Matrix, vector: Sequence[Any]) -> Row:
    """Matrix times vector."""
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in rows)

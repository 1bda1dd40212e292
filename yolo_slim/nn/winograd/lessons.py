"""The two examples that a lecture on fast algorithms begins with, and how often each multiplies.

After Parhi, VLSI Digital Signal Processing Systems (1999), chapter 8.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from yolo_slim.nn.winograd.bilinear import Bilinear, Times, matrix

COMPLEX_PRODUCT = Bilinear(
    output=matrix([[1, 0, 1], [0, 1, 1]]),
    kernel=matrix([[1, -1], [1, 1], [0, 1]]),
    data=matrix([[1, 0], [0, 1], [1, -1]]),
)
"""(a + ib)(c + id) in 3 multiplications: a (c - d) + d (a - b), b (c + d) + d (a - b)."""


def complex_product(
    kernel: tuple[Any, Any], data: tuple[Any, Any], times: Times = operator.mul
) -> tuple[Any, Any]:
    """(c, d) and (a, b) -> e = ac - bd, f = ad + bc, as it is defined: 4 multiplications."""
    (c, d), (a, b) = kernel, data
    return times(a, c) - times(b, d), times(a, d) + times(b, c)


def correlate(
    kernel: Sequence[Any], data: Sequence[Any], times: Times = operator.mul
) -> tuple[Any, ...]:
    """g: [r], d: [m + r - 1] -> y_i = sum of d_(i+k) g_k, [m], as it is defined: m r of them.

    What networks call a convolution. F(2, 3) does with 4 multiplications what takes 6 here:

    >>> from yolo_slim.nn.winograd.bilinear import Counted
    >>> from yolo_slim.nn.winograd.cook_toom import transforms
    >>> slow, fast = Counted(), Counted()
    >>> correlate([1, 2, 3], [5, 6, 7, 8], slow)
    (38, 44)
    >>> [int(y) for y in transforms(2, 3)([1, 2, 3], [5, 6, 7, 8], fast)]
    [38, 44]
    >>> slow.count, fast.count
    (6, 4)
    """
    outputs = len(data) - len(kernel) + 1
    return tuple(sum(times(data[i + k], g) for k, g in enumerate(kernel)) for i in range(outputs))

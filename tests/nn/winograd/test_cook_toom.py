"""F(m, r) is the correlation, exactly, for whatever points it is made from."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_slim.nn.winograd.bilinear import apply, matrix
from yolo_slim.nn.winograd.cook_toom import DEFAULT_POINTS, LEAST_ERROR_POINTS, transforms
from yolo_slim.nn.winograd.lessons import correlate

SIZES = [(m, r) for m, r in product(range(1, 10), range(1, 8)) if m + r - 2 <= len(DEFAULT_POINTS)]


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_it_is_the_correlation_exactly(m, r):
    n = m + r - 1
    draw = torch.Generator().manual_seed(m * 10 + r)
    kernel, data = (torch.randint(-999, 1000, (k,), generator=draw).tolist() for k in (r, n))
    algorithm = transforms(m, r)
    assert algorithm(kernel, data) == correlate(kernel, data)
    assert algorithm.multiplications == n
    assert [len(algorithm.output), len(algorithm.kernel[0]), len(algorithm.data[0])] == [m, r, n]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_points_will_do(data):
    m, r = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    numbers = st.fractions(-9, 9, max_denominator=9)
    points = data.draw(st.lists(numbers, min_size=m + r - 2, max_size=m + r - 2, unique=True))
    whole = st.integers(-99, 99)
    kernel = data.draw(st.lists(whole, min_size=r, max_size=r))
    inputs = data.draw(st.lists(whole, min_size=m + r - 1, max_size=m + r - 1))
    assert transforms(m, r, tuple(points))(kernel, inputs) == correlate(kernel, inputs)


PAPER = {  # Lavin and Gray 2016, equations (7) and (13)
    2: (
        [[1, 1, 1, 0], [0, 1, -1, -1]],
        [[1, 0, 0], ["1/2", "1/2", "1/2"], ["1/2", "-1/2", "1/2"], [0, 0, 1]],
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    ),
    4: (
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
        [
            ["1/4", 0, 0], ["-1/6", "-1/6", "-1/6"], ["-1/6", "1/6", "-1/6"],
            ["1/24", "1/12", "1/6"], ["1/24", "-1/12", "1/6"], [0, 0, 1],
        ],
        [
            [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("m", PAPER)
def test_the_matrices_are_the_paper_s_up_to_the_sign_of_a_product(m):
    ours = transforms(m, 3)
    output, kernel, data = (matrix([[Fraction(v) for v in row] for row in t]) for t in PAPER[m])
    for i in range(m + 2):
        columns = [tuple(row[i] for row in t) for t in (ours.output, output)]
        signs = [
            1 if a == b else -1 if a == tuple(-v for v in b) else 0
            for a, b in (columns, (ours.kernel[i], kernel[i]), (ours.data[i], data[i]))
        ]
        assert 0 not in signs
        assert signs[0] * signs[1] * signs[2] == 1


@pytest.mark.parametrize("m", LEAST_ERROR_POINTS)
def test_what_is_multiplied_with_at_run_time_is_exact_in_float32(m):
    algorithm = transforms(m, 3, LEAST_ERROR_POINTS[m])
    for value in {v for t in (algorithm.output, algorithm.data) for row in t for v in row}:
        assert Fraction(torch.tensor(float(value), dtype=torch.float32).item()) == value


def error(m: int, points: tuple[Fraction, ...]) -> float:
    """Mean error of F(m x m, 3 x 3) in float32, over 64 channels."""
    draw = torch.Generator().manual_seed(1)
    exact = transforms(m, 3, points)
    n, channels, tiles = m + 2, 64, 400
    output, kernel, data = (
        torch.tensor([[float(v) for v in row] for row in t], dtype=torch.float64)
        for t in (exact.output, exact.kernel, exact.data)
    )
    x = torch.randn(tiles, channels, n, n, generator=draw)
    g = torch.randn(channels, 3, 3, generator=draw)
    maps = data.float() @ x @ data.float().T
    products = (maps * (kernel @ g.double() @ kernel.T).float()).sum(1)
    found = output.float() @ products @ output.float().T
    direct = torch.nn.functional.conv2d(x.double(), g.double()[None])[:, 0]
    return (found - direct).abs().mean().item()


def test_the_points_of_least_error_are_better_for_tiles_of_4():
    assert error(4, LEAST_ERROR_POINTS[4]) < 0.9 * error(4, DEFAULT_POINTS[:5])


def test_the_error_grows_with_the_tile_and_with_points_far_from_1():
    errors = [error(m, LEAST_ERROR_POINTS[m]) for m in (2, 4, 6)]
    assert errors[0] < errors[1] / 2 < errors[2] / 4
    assert error(6, tuple(map(Fraction, (0, 1, -1, 2, -2, 3, -3)))) > 2 * errors[2]


@pytest.mark.parametrize(
    ("m", "r", "points", "words"),
    [
        (2, 3, (0, 1), "needs 3 different points beside infinity, found 0, 1"),
        (2, 3, (0, 1, 1), "needs 3 different points"),
        (0, 3, None, "one output and one tap or more"),
        (20, 3, None, "needs 21 different points"),  # more than there are by default
    ],
)
def test_points_that_make_no_algorithm_are_refused(m, r, points, words):
    with pytest.raises(ValueError, match=words):
        transforms(m, r, points)


def test_polynomials_multiply_by_the_same_matrices():
    # What Toom and Cook are about: the transpose of F(m, r) is the product of polynomials.
    algorithm = transforms(3, 2)
    first, second = (2, -3, 5), (7, 11)  # 2 - 3x + 5x^2, 7 + 11x
    values = [
        a * b
        for a, b in zip(
            apply(tuple(zip(*algorithm.output, strict=True)), first),
            apply(algorithm.kernel, second),
            strict=True,
        )
    ]
    assert apply(tuple(zip(*algorithm.data, strict=True)), values) == (14, 1, 2, 55)

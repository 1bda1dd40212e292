"""Counted multiplications are those that the algorithm does, edge tiles included."""

from __future__ import annotations

from fractions import Fraction

import pytest

from yolo_slim.cfg import measure, parse, suits_winograd, totals, winograd_multiplications
from yolo_slim.nn.winograd.bilinear import Counted, Matrix, apply
from yolo_slim.nn.winograd.cook_toom import transforms
from yolo_slim.zoo import build

CONV = "[convolutional]\nfilters={}\nsize={}\npad=1\nstride={}\nactivation=linear\n"


def conv(width: int, height: int, channels: int, filters: int, size: int = 3, stride: int = 1):
    text = f"[net]\nwidth={width}\nheight={height}\nchannels={channels}\n"
    return parse(text + CONV.format(filters, size, stride))


@pytest.mark.parametrize(("tile", "times"), [(2, 2.25), (4, 4), (6, 5.0625)])
def test_where_tiles_fit_there_are_so_many_times_fewer(tile, times):
    cfg = conv(48, 24, 5, 7)
    assert totals(cfg).macs == 48 * 24 * 5 * 7 * 9
    assert totals(cfg).macs / winograd_multiplications(cfg, tile)[0] == times


@pytest.mark.parametrize(
    ("side", "tile", "tiles"), [(13, 2, 7), (13, 4, 4), (13, 6, 3), (1, 6, 1), (416, 6, 70)]
)
def test_a_tile_over_the_edge_counts_as_one(side, tile, tiles):
    assert winograd_multiplications(conv(side, 8, 3, 2), tile) == (
        tiles * -(-8 // tile) * (tile + 2) ** 2 * 6,
    )


def test_a_large_tile_on_a_small_map_can_be_worse_than_the_definition():
    cfg = conv(1, 1, 3, 2)
    assert winograd_multiplications(cfg, 6)[0] > totals(cfg).macs


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (5, 1), (3, 2)])
def test_other_convolutions_are_counted_by_their_definition(size, stride):
    cfg = conv(16, 16, 3, 4, size, stride)
    assert winograd_multiplications(cfg, 4) == (measure(cfg)[0].macs,)


@pytest.mark.parametrize("tile", [2, 4])
def test_the_algorithm_multiplies_so_often(tile):
    """A 3 x 3 convolution in fractions, nested from F(m, 3): counted, and right."""
    width, height = 5, 6
    image = [[Fraction((7 * y + 3 * x) % 11 - 5) for x in range(width)] for y in range(height)]
    kernel = [[Fraction(v) for v in row] for row in ([1, -2, 3], [5, 0, -4], [2, 7, -6])]
    times, m = Counted(), tile
    algorithm = transforms(m, 3)

    def both_sides(by: Matrix, of: list[list[Fraction]]) -> list[list[Fraction]]:
        """by @ of @ by^T"""
        rows = [apply(by, column) for column in zip(*of, strict=True)]
        return [list(apply(by, row)) for row in zip(*rows, strict=True)]

    def pixel(y: int, x: int) -> Fraction:
        return image[y][x] if 0 <= y < height and 0 <= x < width else Fraction(0)

    def direct(y: int, x: int) -> Fraction:
        return sum(
            (pixel(y + i - 1, x + j - 1) * kernel[i][j] for i in range(3) for j in range(3)),
            start=Fraction(0),
        )

    g = both_sides(algorithm.kernel, kernel)
    for top in range(0, height, m):
        for left in range(0, width, m):
            read = [[pixel(top + i - 1, left + j - 1) for j in range(m + 2)] for i in range(m + 2)]
            d = both_sides(algorithm.data, read)
            products = [[times(a, b) for a, b in zip(*rows, strict=True)]
                        for rows in zip(g, d, strict=True)]  # fmt: skip
            for i, row in enumerate(both_sides(algorithm.output, products)):
                for j, value in enumerate(row):
                    if top + i < height and left + j < width:
                        assert value == direct(top + i, left + j)
    assert (times.count,) == winograd_multiplications(conv(width, height, 1, 1), tile)


def test_yolov3():
    cfg = build("yolov3")
    eligible = [cost for cost in measure(cfg) if suits_winograd(cost.section)]
    assert len(eligible) == 33
    rest = totals(cfg).macs - sum(cost.macs for cost in eligible)
    fewer = sum(winograd_multiplications(cfg, 4)) - rest
    assert 3.3 < sum(cost.macs for cost in eligible) / fewer < 4  # 26 and 13 are no multiples of 4

"""Which way to convolve is fastest, by a count of what each of them does."""

from __future__ import annotations

from yolo_slim.cfg import Shape
from yolo_slim.nn.winograd.convolution import Tile

PRODUCT, TRANSFORMED, KERNEL = 1.2, 60.0, 6.0
"""What a multiplication of the matrix product takes, a number that is transformed and written to
memory or read back, and a number of the kernel: in multiplications of a direct convolution. Ratios
of times at YOLOv3's layers on one core with AVX512; see docs/mathematical-operations.md."""


def fastest(channels: int, written: Shape) -> Tile | None:
    """Tile for a convolution of 3 x 3 from `channels` to a map of shape `written`; None: directly.

    >>> fastest(128, Shape(256, 52, 52)), fastest(3, Shape(32, 416, 416))
    (4, None)
    """
    filters, height, width = written
    direct = 9.0 * channels * filters * height * width
    tiles: tuple[Tile, ...] = (2, 4)
    counts = {tile: count(tile, channels, written) for tile in tiles}
    best = min(tiles, key=counts.__getitem__)
    return best if counts[best] < direct else None


def count(tile: Tile, channels: int, written: Shape) -> float:
    """Of tiles of `tile` x `tile`, in multiplications of a direct convolution."""
    filters, height, width = written
    places = (tile + 2) ** 2
    n_tiles = -(-height // tile) * -(-width // tile)
    products = n_tiles * channels * filters
    maps = n_tiles * (channels + filters)
    return places * (PRODUCT * products + TRANSFORMED * maps + KERNEL * channels * filters)

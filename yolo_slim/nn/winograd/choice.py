"""Which way to convolve is fastest, by a count of what each of them does."""

from __future__ import annotations

from yolo_slim.cfg import Shape
from yolo_slim.nn.winograd.convolution import Tile

PRODUCT, TRANSFORMED, KERNEL, CALL = 1.2, 80.0, 8.0, 3e6
"""What these take, in multiplications of a direct convolution: one of the matrix product, a number
that is transformed, a number of the kernel that is read, and the calls of a layer. Fitted to times
of 17 layers on one core with AVX512, from 32 channels up; see docs/mathematical-operations.md."""


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
    """Of tiles of `tile` x `tile` for one image, in multiplications of a direct convolution."""
    filters, height, width = written
    places = (tile + 2) ** 2
    n_tiles = -(-height // tile) * -(-width // tile)
    products = n_tiles * channels * filters
    maps = n_tiles * (channels + filters)
    read = channels * filters
    return CALL + places * (PRODUCT * products + TRANSFORMED * maps + KERNEL * read)

"""How a map is covered by tiles, and how many of them are transformed at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

LEAST_TILES = 128
MAPS_TO_KERNELS = 3
"""A block's transformed maps take up to about so many times the room of the kernels: few enough to
stay in a cache, enough that reading the kernels again for each block is not what takes the time."""


@dataclass(frozen=True)
class Blocks:
    """Equal parts of `images` maps of `rows` x `columns` tiles.

    Each has `high` rows of tiles of `deep` images. Where that leaves a rest the last ones overlap
    those before: every block has the same number of tiles, for which kernels were laid out.
    """

    images: int
    rows: int
    columns: int
    deep: int
    high: int

    @property
    def tiles(self) -> int:
        """In one block."""
        return self.deep * self.high * self.columns

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Which images, which rows of tiles."""
        for image in range(0, self.images, self.deep):
            for row in range(0, self.rows, self.high):
                first = min(image, self.images - self.deep), min(row, self.rows - self.high)
                yield slice(first[0], first[0] + self.deep), slice(first[1], first[1] + self.high)


def blocks(images: int, rows: int, columns: int, channels: int, filters: int) -> Blocks:
    """Blocks for a convolution from `channels` to `filters`."""
    limit = max(LEAST_TILES, MAPS_TO_KERNELS * channels * filters // (channels + filters))
    if rows * columns > limit:
        return Blocks(images, rows, columns, 1, _evenly(rows, limit // columns))
    return Blocks(images, rows, columns, _evenly(images, limit // (rows * columns)), rows)


def _evenly(length: int, at_most: int) -> int:
    """Parts of a length: as few as `at_most` allows, as equal as can be."""
    parts = -(-length // max(1, at_most))
    return -(-length // parts)


def windows(x: Tensor, padding_px: int, m: int, rows: int, columns: int) -> Tensor:
    """What each tile of m x m outputs reads, of maps with `padding_px` zeros around them.

    x: [B, C, H, W] -> a view [B, rows, columns, m + 2, m + 2, C] of one padded copy: neighbours
    share two rows or columns. Channels lie next to each other, and so do the columns of a window.
    """
    images, channels, height, width = x.shape
    padded = x.new_zeros(images, rows * m + 2, columns * m + 2, channels)
    inside = padded[:, padding_px : padding_px + height, padding_px : padding_px + width]
    inside.copy_(x.permute(0, 2, 3, 1))
    image, row, column, channel = padded.stride()
    return padded.as_strided(
        (images, rows, columns, m + 2, m + 2, channels),
        (image, m * row, m * column, row, column, channel),
    )

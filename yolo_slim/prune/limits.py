"""How narrow a layer may become, and which widths it may have."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolo_slim.errors import InputError

ROUNDINGS = ("up", "nearest")


@dataclass(frozen=True)
class Limits:
    """layer_keep: every layer keeps at least this share of its channels, and at least one.
    multiple: kept counts become multiples of it, by `rounding`: 'up' or 'nearest'.

    >>> limits = Limits(layer_keep=0.25, multiple=8, rounding="nearest")
    >>> [limits.width(kept, of=60) for kept in (3, 19, 20, 58)]  # at least 15; 60 is whole again
    [16, 16, 24, 60]
    """

    layer_keep: float = 0.05
    multiple: int = 1
    rounding: str = "up"

    def __post_init__(self) -> None:
        if not 0 <= self.layer_keep <= 1:
            raise InputError(f"--layer-keep {self.layer_keep}: expected a share between 0 and 1")
        if self.multiple < 1:
            raise InputError(f"--multiple {self.multiple}: expected 1 or more")
        if self.rounding not in ROUNDINGS:
            raise InputError(
                f"--rounding {self.rounding}: unknown; expected one of {', '.join(ROUNDINGS)}"
            )

    def least(self, of: int) -> int:
        """What a layer of `of` channels keeps at least."""
        return max(1, math.ceil(of * self.layer_keep))

    def width(self, kept: int, of: int) -> int:
        """The legal width for a layer of `of` channels of which `kept` are wanted.

        Never beyond the original width, which is legal whatever the multiple, and never under the
        floor, so never 0. Halfway is rounded up.
        """
        wanted = max(kept, self.least(of))
        below = wanted // self.multiple * self.multiple
        above = min(of, -(-wanted // self.multiple) * self.multiple)
        nearer = self.rounding == "nearest" and wanted - below < above - wanted
        return below if nearer and below >= self.least(of) else above


USUAL = Limits()

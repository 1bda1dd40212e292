"""All ways to factor one section that cost less than it does, as columns of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from yolo_slim.factorize.sites import Ranks, Site

Method = Literal["svd", "tucker"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """read, written: int64 [n], ranks as in Ranks, with all channels for none. macs: int64 [n]."""

    read: Counts
    written: Counts
    macs: Counts
    site: Site

    def __len__(self) -> int:
        return len(self.macs)

    def ranks(self, place: int) -> Ranks:
        """The candidate at that place of the table."""
        read, written = int(self.read[place]), int(self.written[place])
        return Ranks(
            None if read == self.site.channels else read,
            None if written == self.site.filters else written,
        )


def candidates(site: Site, method: Method, multiple: int = 1) -> Candidates:
    """Those of which every rank is a multiple of `multiple`, and that cost less than the section.

    'svd': a k x k kernel that writes few channels and a 1x1 one behind it, or a 1x1 kernel that
    leaves few channels and the k x k one behind it (both of Zhang et al., Accelerating Very Deep
    Convolutional Networks, 2016, and before). 'tucker': 1x1, k x k, 1x1 (Kim et al., 2016), and the
    two of 'svd', which are its borders. Of a matrix both are one.
    """
    whole_in, whole_out = np.array([site.channels]), np.array([site.filters])
    narrow_in = np.arange(multiple, min(site.max_read + 1, site.channels), multiple)
    narrow_out = np.arange(multiple, min(site.max_written + 1, site.filters), multiple)
    if site.whole:
        narrow_in, narrow_out = narrow_in[:0], narrow_out[:0]
    elif site.is_matrix:
        narrow_in = narrow_in[:0]
    pairs = [(whole_in, narrow_out), (narrow_in, whole_out)]
    if method == "tucker":
        pairs.append((narrow_in, narrow_out))
    grids = [np.meshgrid(*pair, indexing="ij") for pair in pairs]
    read, written = (
        np.concatenate([grid[axis].ravel() for grid in grids]).astype(np.int64) for axis in (0, 1)
    )
    macs = site.places_out * site.area * read * written
    macs += np.where(read < site.channels, site.places_in * site.channels * read, 0)
    macs += np.where(written < site.filters, site.places_out * written * site.filters, 0)
    cheaper = macs < site.macs
    return Candidates(read[cheaper], written[cheaper], macs[cheaper], site)

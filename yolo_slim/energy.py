"""Which numbers of a layer are weak: those that hold next to nothing of its energy.

The energy of a layer is the sum of squares of what its channels are worth (Ye et al., 2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPREAD = 20
"""Where the largest of a layer is below so many times its smallest, none of it is weak."""


def weak(sizes: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """bool [n], the smallest that together hold at most `share` of the energy, never the largest.

    sizes: float64 [n], n > 0, none below 0. Of equal ones the first are the smaller.

    >>> weak(np.array([3.0, 0.1, 0.2]), 0.01)
    array([False,  True,  True])
    """
    found = np.zeros(len(sizes), bool)
    if sizes.max() < SPREAD * sizes.min():
        return found
    order = np.argsort(sizes, kind="stable")
    energy = np.square(sizes[order]).cumsum()
    found[order[:-1][energy[:-1] <= share * energy[-1]]] = True
    return found

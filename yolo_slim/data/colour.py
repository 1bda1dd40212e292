"""Other colours for a training picture, as one matrix."""

from __future__ import annotations

import math
from typing import Any

import albumentations as A
import cv2
import numpy as np

# NTSC: luma Y, and the colour difference as a plane I, Q in which hue is an angle.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_RGB = np.linalg.inv(_YIQ)


def _through_yiq(matrix: list[list[float]]) -> np.ndarray:
    result: np.ndarray = (_RGB @ np.array(matrix) @ _YIQ).astype(np.float32)
    return result


# What stays of a colour when it is turned round the grey axis, by parts: its grey; what goes with
# the cosine of the turn; what goes with its sine.
_GREY = _through_yiq([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
_ALONG = _through_yiq([[0, 0, 0], [0, 1, 0], [0, 0, 1]])
_ACROSS = _through_yiq([[0, 0, 0], [0, 0, -1], [0, 1, 0]])


def colour_matrix(hue: float, saturation: float, exposure: float) -> np.ndarray:
    """Matrix [3, 3], float32, for red, green, blue, after Haeberli (Matrix Operations for Image
    Processing, 1993).

    hue: turns colours round the grey axis by this share of the circle. saturation: factor on the
    distance from grey. exposure: factor on everything. 0, 1, 1 change nothing.
    """
    angle = -2 * math.pi * hue  # from red over yellow to green, as in HSV
    along, across = saturation * math.cos(angle), saturation * math.sin(angle)
    matrix: np.ndarray = exposure * (_GREY + along * _ALONG + across * _ACROSS)
    return matrix


def random_colour_matrix(
    rng: np.random.Generator, hue: float, saturation: float, exposure: float
) -> np.ndarray:
    """A `colour_matrix` whose hue is turned by at most `hue` either way, and whose factors lie
    between 1 / f and f for `saturation` and `exposure`, as in Darknet's [net]: 2 and 1/2 are as
    likely as each other."""
    turn, saturate, expose = rng.uniform(-1, 1, 3)
    return colour_matrix(turn * hue, saturation**saturate, exposure**expose)


class ColourTwist(A.ImageOnlyTransform):  # type: ignore[misc]
    """Multiplies a picture by a `random_colour_matrix`.

    A way through HSV takes ten times as long at 320 px: a third of the time of a training item.
    """

    def __init__(self, hue: float, saturation: float, exposure: float, p: float) -> None:
        super().__init__(p=p)
        self.hue, self.saturation, self.exposure = hue, saturation, exposure

    def get_params(self) -> dict[str, Any]:
        extent = self.hue, self.saturation, self.exposure
        return {"matrix": random_colour_matrix(self.random_generator, *extent)}

    def apply(self, img: np.ndarray, matrix: np.ndarray, **_: Any) -> np.ndarray:
        """img: uint8 [h, w, 3], red, green, blue."""
        return cv2.transform(img, matrix)

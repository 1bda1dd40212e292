"""A small network for each way that a head can be read, and what a file of it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from kitchen_sink import conv

from yolo_slim.cfg import Cfg, parse

_TRUNK = "[net]\nwidth={}\nheight={}\n" + conv(8, stride=2) + conv(8, stride=2)
_TWO_YOLOS = (
    "[convolutional]\nfilters=16\nsize=1\nactivation={act}\n"
    "[{kind}]\nmask=2,0\nanchors=4,5, 9,8, 12,30\nclasses={n}\n{more}\n"
    "[route]\nlayers=-3\n" + conv(8, stride=2)
    + "[convolutional]\nfilters=8\nsize=1\nactivation={act}\n"
    "[{kind}]\nmask=1\nanchors=4,5, 9,8, 12,30\nclasses={n}\n{more}\n"
)  # fmt: skip
_REGION = (
    "[convolutional]\nfilters=24\nsize=1\nactivation=linear\n"
    "[region]\nanchors=0.5,1.5, 2,1, 3.25,4\nclasses=3\nnum=3\nsoftmax={}\n"
)
_DETECTION = (
    "[connected]\noutput=117\nactivation=linear\n"
    "[detection]\ncoords=4\nclasses=3\nside=3\nnum=2\nsqrt={}\nsoftmax={}\n"
)


def _yolos(kind: str = "yolo", n: int = 3, act: str = "linear", more: str = "") -> str:
    return _TRUNK.format(64, 32) + _TWO_YOLOS.format(kind=kind, n=n, act=act, more=more)


TEXTS = {
    "yolo": _yolos(),
    "yolo scale_x_y": _yolos(more="scale_x_y=1.2"),
    "yolo new_coords": _yolos(act="logistic", more="scale_x_y=2.0\nnew_coords=1"),
    "yolo new_coords linear": _yolos(more="new_coords=1"),
    "Gaussian_yolo": _yolos("Gaussian_yolo", 3, more="scale_x_y=1.1").replace(
        "filters=16", "filters=24").replace("filters=8\nsize=1", "filters=12\nsize=1"),
    "region softmax": _TRUNK.format(64, 32) + _REGION.format(1),
    "region": _TRUNK.format(32, 64) + _REGION.format(0),
    "detection": _TRUNK.format(48, 36) + _DETECTION.format(0, 0),
    "detection sqrt softmax": _TRUNK.format(48, 36) + _DETECTION.format(1, 1),
}  # fmt: skip


def head_cfg(name: str) -> Cfg:
    return parse(TEXTS[name], f"{name}.cfg")


def images(cfg: Cfg, count: int = 2, seed: int = 0) -> np.ndarray:
    shape = (count, cfg.net.channels, *cfg.input_hw)
    return np.random.default_rng(seed).random(shape, np.float32)


def run_file(path: Path, x: np.ndarray) -> list[np.ndarray]:
    """What plain ONNX Runtime makes of a file."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(session.run(None, {"images": x}))

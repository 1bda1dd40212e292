"""INT8 by NNCF, OpenVINO's own post-training quantization (Kozlov et al., 2020)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import rich
from numpy.typing import NDArray

from yolo_slim.errors import InputError
from yolo_slim.openvino_graph import openvino_core, openvino_module

_WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")


@dataclass(frozen=True)
class Calibration:
    """What NNCF sees and what it leaves alone.

    images: gives float32 [1, C, H, W], RGB, 0..1, preprocessed as for inference; the same ones
        each time that it is called. Some hundred are enough.
    n_images: how many.
    int8_convs: the sections whose kernels run in INT8; all others stay as they are.
    progress: called with the number of each image.
    """

    images: Callable[[], Iterable[NDArray[np.float32]]]
    n_images: int
    int8_convs: Collection[int]
    progress: Callable[[int], None] | None = None

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for number, image in enumerate(self.images(), start=1):
            if self.progress is not None:
                self.progress(number)
            yield image


def quantized(model: Any, calibration: Calibration) -> Any:
    """The openvino.Model with its ranges: kernels in symmetric steps, one for each channel, maps in
    asymmetric ones, as leaky activations ask for; biases corrected.

    Raises InputError without any image, and where NNCF is not installed.
    """
    if calibration.n_images < 1:
        raise InputError("INT8 needs images to calibrate on, and the data set gave none")
    openvino_core()
    nncf = openvino_module("nncf")
    nncf.set_log_level(logging.ERROR)
    with _no_bars_of_its_own():
        return nncf.quantize(
            model,
            nncf.Dataset(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=calibration.n_images,
            ignored_scope=nncf.IgnoredScope(names=_left_alone(model, calibration.int8_convs)),
        )


def _left_alone(model: Any, int8_convs: Collection[int]) -> list[str]:
    """The names of what has kernels and stays as it is; a name begins with its section's number."""
    names = [op.get_friendly_name() for op in model.get_ops() if op.get_type_name() in _WEIGHTED]
    chosen = {str(index) for index in int8_convs}
    return [name for name in names if name.split(".")[0] not in chosen]


@contextmanager
def _no_bars_of_its_own() -> Iterator[None]:
    """NNCF draws on rich's own console, and two bars at a time garble each other."""
    console = rich.get_console()
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before

"""How ranges and scales are found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from yolo_slim.errors import InputError
from yolo_slim.quantize.ranges import CALIBRATORS, Calibrator
from yolo_slim.quantize.weight_scales import WEIGHT_SCALES, WeightScale


@dataclass(frozen=True)
class QuantizeSettings:
    """calibrator: of activations, see ranges.py. weights: step of a kernel's channel, by its
    largest number or by least squared error.
    equalize: the channels of maps are brought to more equal ranges first, see equalize.py.
    correct_bias: what rounding kernels shifts on average is taken back, see bias_correction.py.
    keep_float: sections that stay in float.

    Raises InputError for a method that there is none of.
    """

    calibrator: Calibrator = "mse"
    weights: WeightScale = "max"
    equalize: bool = True
    correct_bias: bool = False
    keep_float: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for option, value, known in (
            ("calibrator", self.calibrator, tuple(CALIBRATORS)),
            ("weights", self.weights, WEIGHT_SCALES),
        ):
            if value not in known:
                raise InputError(f"--{option} {value}: expected one of {', '.join(known)}")

    def told(self) -> dict[str, Any]:
        """What differs from the defaults, for a record of what was done."""
        plain = asdict(QuantizeSettings())
        return {name: value for name, value in asdict(self).items() if value != plain[name]}

"""Which number type each section runs in: ranges and scales found by calibration. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

from yolo_slim.errors import BundleError


@dataclass(frozen=True)
class Range:
    """The interval that a tensor's values are clipped to before they are rounded."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"a range needs finite low <= high, found {self.low}, {self.high}")

    @property
    def symmetric_scale(self) -> float:
        """Step of the signed grid -128..127 with zero point 0."""
        return max(-self.low / 128, self.high / 127, 1e-12)

    @property
    def unsigned_grid(self) -> tuple[float, int]:
        """Step and zero point of the grid 0..255 that holds 0 exactly."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = max((high - low) / 255, 1e-12)
        return scale, min(255, max(0, round(-low / scale)))


@dataclass(frozen=True)
class ConvPrecision:
    """An INT8 convolution.

    weight_scales: step of each output channel's kernel on the grid -127..127.
    convolved: range of its output before the activation.
    """

    weight_scales: tuple[float, ...]
    convolved: Range


@dataclass(frozen=True)
class Precision:
    """The INT8 plan of one network; sections that it does not name run in float.

    image: range of the normalised input.
    outputs: range of each section's output, by section index.
    convs: the convolutions that run in INT8, by section index.
    kept: those that stay in float for the sake of exactness: what they read is not rounded either.
    """

    image: Range
    outputs: dict[int, Range]
    convs: dict[int, ConvPrecision]
    kept: tuple[int, ...] = ()

    def of(self, link: int) -> Range:
        """Range of a section's output; of the image for link -1."""
        return self.image if link < 0 else self.outputs[link]

    def without(self, sections: Collection[int]) -> Precision:
        """The plan with these convolutions in float."""
        left = {k: v for k, v in self.convs.items() if k not in sections}
        kept = tuple(sorted({*self.kept, *(self.convs.keys() - left.keys())}))
        return replace(self, convs=left, kept=kept)

    def to_json(self) -> str:
        return json.dumps({"format": "yolo_slim precision 1", **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str, source: str = "precision.json") -> Precision:
        """Raises BundleError for anything but a document that `to_json` wrote."""
        try:
            document: dict[str, Any] = json.loads(text)
            return cls(
                image=Range(**document["image"]),
                outputs={int(k): Range(**v) for k, v in document["outputs"].items()},
                convs={
                    int(k): ConvPrecision(
                        tuple(float(s) for s in v["weight_scales"]), Range(**v["convolved"])
                    )
                    for k, v in document["convs"].items()
                },
                kept=tuple(int(k) for k in document.get("kept", ())),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = "no JSON" if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise BundleError(
                f"{source}: not a precision plan ({what}: {error}): quantize the model again"
            ) from None

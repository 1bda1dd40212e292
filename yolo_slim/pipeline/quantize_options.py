"""What a quantize step says: how ranges are found, what stays in float, and what is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from yolo_slim.quantize.ranges import Calibrator
from yolo_slim.quantize.settings import QuantizeSettings
from yolo_slim.quantize.weight_scales import WeightScale
from yolo_slim.train.settings import Machines

Ranges = Literal["frozen", "learned"]

SELF, NO_TEACHER = "self", "none"
"""Teachers of a quantization-aware training: the model that is quantized; nobody."""


class QuantizeOptions(BaseModel):
    """images: calibrated on. keep_float: so many of the most sensitive convolutions stay in float;
    'auto': those few that cost most, where the rounding costs much. keep_sections: these do.
    max_ap_drop: as many of the most sensitive as it takes to lose no more.
    The rest: see quantize/settings.py."""

    images: Annotated[int, Field(ge=1)] = 200
    calibrator: Calibrator = "mse"
    weight_scale: WeightScale = "max"
    equalize: bool = True
    correct_bias: bool = False
    keep_float: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    keep_sections: tuple[Annotated[int, Field(ge=0)], ...] = ()
    max_ap_drop: Annotated[float, Field(ge=0, le=1)] | None = None

    def settings(self) -> QuantizeSettings:
        return QuantizeSettings(
            self.calibrator, self.weight_scale, self.equalize, self.correct_bias,
            self.keep_sections,
        )  # fmt: skip


class QatOptions(BaseModel):
    """Quantization-aware training after the calibration; 0 epochs are none.

    teacher: SELF, NO_TEACHER, or in a recipe the name of a step before. labels: learn from them,
    too; without a teacher there is nothing else.
    """

    epochs: Annotated[int, Field(ge=0)] = 0
    lr: Annotated[float, Field(gt=0, lt=10)] = 1e-4
    batch_size: Annotated[int, Field(ge=1)] = 16
    ranges: Ranges = "learned"
    teacher: str = SELF
    labels: bool = False

    def training(self) -> dict[str, Any]:
        """Fields of TrainSettings, whatever the cfg says.

        Weight decay would work against the float model's answers, and steps of 8 bits need more
        digits than bf16 has. Ranges were found at one size, on pictures that are not mixed; so is
        the training, unless mixing is asked for. One process: what comes before and after is not
        shared."""
        return {
            "epochs": self.epochs, "batch_size": self.batch_size, "lr": self.lr,
            "ranges": self.ranges, "labels": self.labels or self.teacher == NO_TEACHER,
            "weight_decay": 0.0, "precision": "float32", "multi_scale": 1.0,
            "machines": Machines(devices=1),
        }  # fmt: skip

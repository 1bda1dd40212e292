"""The steps that a recipe is made of."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from yolo_slim.cfg import BoxLoss, Cfg
from yolo_slim.distill.settings import DistillSettings, Position, Statistics, read_losses
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import Profile
from yolo_slim.factorize.options import Method as FactorizeMethod
from yolo_slim.pipeline.prune_options import (
    SPELLING,
    ChannelOptions,
    LayerOptions,
    ZeroOptions,
    require_target,
)
from yolo_slim.pipeline.quantize_options import QatOptions, QuantizeOptions
from yolo_slim.pipeline.teaching import Lessons, Method
from yolo_slim.pipeline.training import LOSS, require_calm, settings_of
from yolo_slim.train.settings import Machines, TrainSettings
from yolo_slim.train.sparsity_settings import (
    LEAST_IMPORTANT,
    SparsityPenalty,
    SparsitySchedule,
    SparsitySettings,
    SparsityStep,
    SparsityWeight,
)

DEFAULT_ENERGY = 0.9
"""The share of its energy that a factored section keeps, if nothing is said."""


class Strict(BaseModel):
    """Unknown keys, other types and numbers that are none are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


StepName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]


class _Step(Strict):
    name: StepName


class TaughtOptions(BaseModel):
    """What a training has of a teacher: see pipeline/teaching.py and distill/settings.py."""

    teacher: str | None = None
    loss: str = "logits"
    method: Method = "together"
    feature_epochs: Annotated[int, Field(ge=0)] = 0
    keep_features: Annotated[float, Field(ge=0)] = 0.0
    position: Position = "before"
    margin: bool = True
    partial: bool = True
    statistics: Statistics = "auto"
    temperature: Annotated[float, Field(gt=0, le=100)] = 4.0

    def lessons(self) -> Lessons:
        """Raises InputError for what does not go together."""
        losses = DistillSettings(
            read_losses(self.loss), (), self.position, self.margin, self.partial, self.statistics,
            self.temperature,
        )  # fmt: skip
        return Lessons(losses, self.method, self.feature_epochs, self.keep_features)


class TrainStep(_Step, TaughtOptions):
    """A training, as the cfg says where the step says nothing: see pipeline/training.py.

    close_mosaic: epochs, at the end, in which pictures are not mixed.
    """

    verb: Literal["train"]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] | None = None
    lr: Annotated[float, Field(gt=0, lt=10)] | None = None
    optimizer: Literal["adamw", "sgd"] | None = None
    schedule: Literal["cosine", "cfg"] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    warmup_epochs: Annotated[float, Field(ge=0)] = 1.0
    multi_scale: Annotated[float, Field(ge=1, le=4)] | None = None
    close_mosaic: Annotated[int, Field(ge=0)] | None = None
    sparsity: Annotated[float, Field(ge=0, lt=1000)] = 0.0
    keep_zeros: bool | None = None
    sparsity_schedule: SparsitySchedule = "constant"
    sparsity_fraction: Annotated[float, Field(gt=0, lt=1)] = LEAST_IMPORTANT
    sparsity_weight: SparsityWeight = "none"
    sparsity_penalty: SparsityPenalty = "l1"
    sparsity_step: SparsityStep = "proximal"
    sparsity_patience: Annotated[int, Field(ge=0)] = 0
    accumulate: Annotated[int, Field(ge=1)] | None = None
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    precision: Literal["auto", "bf16", "float32"] = "auto"
    validations: Annotated[int, Field(ge=0)] = 3
    box_loss: BoxLoss | None = None
    box_weight: Annotated[float, Field(ge=0, lt=1e6)] | None = None
    objectness: Literal["one", "iou"] | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = None
    focal_gamma: Annotated[float, Field(ge=0, le=10)] | None = None
    cells: Literal["own", "neighbours"] = "own"

    def settings(self, seed: int, workers: int, cfg: Cfg | None = None) -> TrainSettings:
        """For the network of `cfg`. Raises InputError for what does not go together."""
        of_teacher = set(TaughtOptions.model_fields)
        chosen = self.model_dump(exclude={"verb", "name", "close_mosaic"} | of_teacher)
        sparse = {f.name: chosen.pop(f"sparsity_{f.name}") for f in fields(SparsitySettings)}
        loss = {of_loss: chosen.pop(key) for of_loss, key in LOSS.items()}
        # One process: all would do the steps of the recipe beside each other.
        typed = chosen | {
            "seed": seed, "workers": workers, "sparse": SparsitySettings(**sparse),
            "machines": Machines(devices=1),
        }  # fmt: skip
        return settings_of(cfg, typed, loss)

    @model_validator(mode="after")
    def _settings_fit(self) -> TrainStep:
        try:
            require_calm(self.epochs, self.close_mosaic)
            self.settings(seed=0, workers=0)
            self.lessons()
        except InputError as error:
            raise ValueError(str(error)) from None
        return self


class Arm(Strict, TaughtOptions):
    """A way to be taught, beside others: what it says takes the place of what they all share.

    epochs: its own, so that one with `feature_epochs` can have as many as the others in all.
    """

    name: StepName
    epochs: Annotated[int, Field(ge=1)] | None = None


class SharedTraining(TrainStep):
    """A train step of many arms: they have its name."""

    verb: Literal["train"] = "train"
    name: StepName = "arm"


class PruneStep(_Step, ChannelOptions, LayerOptions, ZeroOptions):
    """How much goes, of what, and by which order: see prune_options.py."""

    verb: Literal["prune"]

    @property
    def ranks_layers(self) -> bool:
        """Whether whole layers go, by their number or to a latency."""
        return self.layers is not None or self.granularity == "layer"

    @model_validator(mode="after")
    def _says_how_much(self, info: ValidationInfo) -> PruneStep:
        require_target(self, (info.context or {}).get(SPELLING, str))
        return self


class FactorizeStep(_Step):
    """energy: the share that each section keeps; target_macs: of the whole network's MACs; without
    either, DEFAULT_ENERGY. heads: what they read is factored, too. n_images: on how many training
    images factors and ranks are chosen; 0 by the weights alone. recalibrate: as in a prune step."""

    verb: Literal["factorize"]
    method: FactorizeMethod = "svd"
    energy: Annotated[float, Field(gt=0, le=1)] | None = None
    target_macs: Annotated[float, Field(gt=0, le=1)] | None = None
    multiple: Annotated[int, Field(ge=1)] = 1
    heads: bool = False
    n_images: Annotated[int, Field(ge=0)] = 0
    recalibrate: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _says_how_much_once(self, info: ValidationInfo) -> FactorizeStep:
        if self.energy is not None and self.target_macs is not None:
            spelled = (info.context or {}).get(SPELLING, str)
            both = " and ".join(map(spelled, ("energy", "target_macs")))
            raise ValueError(f"{both} both say how much: name one of them")
        return self


class QuantizeStep(_Step, QuantizeOptions, QatOptions):
    verb: Literal["quantize"]

    @model_validator(mode="after")
    def _trains_or_not(self) -> QuantizeStep:
        idle = self.model_fields_set & (set(QatOptions.model_fields) - {"epochs"})
        if not self.epochs and idle:
            raise ValueError(f"{min(idle)} means nothing without epochs")
        return self


class ExportStep(_Step):
    verb: Literal["export_onnx"]
    int8: Profile | None = None
    dynamic_batch: bool = False


SingleStep = TrainStep | PruneStep | FactorizeStep | QuantizeStep | ExportStep


class RepeatStep(_Step):
    """Its steps in turn, `times` over: prune a little, train a little.

    It ends early once AP after a round is more than `max_ap_drop` below that before the first: the
    last round that was not goes on. Rounds are named NAME-1-STEP, NAME-2-STEP and so on.
    """

    verb: Literal["repeat"]
    times: Annotated[int, Field(ge=1, le=99)]
    max_ap_drop: Annotated[float, Field(ge=0, le=1)] = 0.01
    step: Annotated[
        tuple[Annotated[TrainStep | PruneStep, Field(discriminator="verb")], ...],
        Field(min_length=1),
    ]

    def round_name(self, number: int, step: TrainStep | PruneStep) -> str:
        """Of a step in a round, from 1."""
        return f"{self.name}-{number}-{step.name}"

    def names(self) -> list[str]:
        """Of all steps of all rounds."""
        rounds = range(1, self.times + 1)
        return [self.round_name(number, step) for number in rounds for step in self.step]


Step = Annotated[SingleStep | RepeatStep, Field(discriminator="verb")]

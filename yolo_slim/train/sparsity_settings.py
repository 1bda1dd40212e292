"""How sparsity pulls at gammas."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from yolo_slim.errors import InputError
from yolo_slim.train.ranges import require

SparsitySchedule = Literal["constant", "global", "local"]
SparsityWeight = Literal["none", "macs"]
SparsityPenalty = Literal["l1", "group"]
SparsityStep = Literal["proximal", "sign"]

LEAST_IMPORTANT = 0.85
"""Share of the gammas that 'local' goes on to pull at with all its strength."""


@dataclass(frozen=True)
class SparsitySettings:
    """What is beside the strength S.

    schedule: 'constant'; 'global', from the middle on S/100; 'local', from the middle on S for the
    `fraction` of the gammas that are the smallest, S/100 for the others.
    weight: 'macs' pulls at a channel by what it costs, 1 on average.
    penalty: 'l1' of each gamma alone; 'group' of the joint norm of gammas that go together.
    step: 'proximal' ends in exact zeros; 'sign' is the subgradient of Liu et al. (2017).
    patience: stop where so many epochs after the middle have freed hardly a channel more; 0 never.
    """

    schedule: SparsitySchedule = "constant"
    fraction: float = LEAST_IMPORTANT
    weight: SparsityWeight = "none"
    penalty: SparsityPenalty = "l1"
    step: SparsityStep = "proximal"
    patience: int = 0

    def __post_init__(self) -> None:
        require(
            {
                "sparsity-fraction": (self.fraction, 0 < self.fraction < 1, "above 0 and below 1"),
                "sparsity-patience": (self.patience, self.patience >= 0, "0 or more epochs"),
            }
        )
        if self.fraction != LEAST_IMPORTANT and self.schedule != "local":
            raise InputError(
                f"--sparsity-fraction {self.fraction} means nothing to --sparsity-schedule "
                f"{self.schedule}: it is for local"
            )

    def changed(self) -> dict[str, Any]:
        """What differs from the default, field -> value."""
        default = asdict(SparsitySettings())
        return {name: value for name, value in asdict(self).items() if value != default[name]}

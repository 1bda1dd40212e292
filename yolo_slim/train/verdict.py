"""What a sparse training has achieved: how many channels may go, and where it would break."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from yolo_slim.bundle import Bundle
from yolo_slim.files import whole_file
from yolo_slim.knee import cost_within, knee
from yolo_slim.train.free_channels import (
    DEAD_BELOW,
    ENERGY_LOSS,
    dead_share,
    energy_curve,
    freed_share,
    score_knee,
)
from yolo_slim.train.gammas import judged

VERDICT = "sparsity.json"

ENERGY_LOSSES = (ENERGY_LOSS, 1e-3, 1e-2)

AP_LOSS = 0.005
"""What a cut may cost, before it is recovered, to be called free."""

LEAST_AP = 0.01
"""An uncut model below it does not detect: what a cut costs it says nothing."""

ApCurve = Callable[[Bundle], Sequence[tuple[float, float]]]
"""A bundle -> (share of its channels that went, AP without any training after it), from ratio 0."""


@dataclass(frozen=True)
class Verdict:
    """n_channels: that may go, coupled ones counted as one. dead: threshold, in means of the layer
    -> share of the gammas. by_layer, over_all: share of the energy lost -> share of the channels
    that could go, where each layer loses it, and where one ranking does.
    knee: of the ranked scores; None where they do not part.
    ap_curve: see ApCurve; None where it was not measured.
    """

    n_channels: int
    dead: dict[float, float]
    by_layer: dict[float, float]
    over_all: dict[float, float]
    knee: float | None
    ap_curve: tuple[tuple[float, float], ...] | None = None

    @property
    def detects(self) -> bool:
        """Whether there is a curve, and it begins at an AP that a cut could cost."""
        return bool(self.ap_curve) and self._ap()[1][0] >= LEAST_AP

    @property
    def ap_knee(self) -> float | None:
        return knee(*self._ap()) if self.detects else None

    @property
    def ap_free(self) -> float | None:
        """Share of the channels that may go for AP_LOSS."""
        return cost_within(*self._ap(), AP_LOSS) if self.detects else None

    def _ap(self) -> tuple[list[float], list[float]]:
        points = self.ap_curve or ()
        return [ratio for ratio, _ in points], [ap for _, ap in points]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Verdict:
        """From what `document` gave; raises KeyError, TypeError or ValueError for anything else."""

        def numbers(name: str) -> dict[float, float]:
            return {float(key): float(value) for key, value in document[name].items()}

        knee_at, ap = document["knee_of_scores"], document["ap"]
        return cls(
            int(document["channels"]),
            numbers("dead_below_layer_mean"),
            numbers("free_by_layer_energy"),
            numbers("free_by_global_energy"),
            None if knee_at is None else float(knee_at),
            ap and tuple((float(p["ratio"]), float(p["AP"])) for p in ap["curve"]),
        )

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        ap = None
        if self.ap_curve:
            points = [{"ratio": ratio, "AP": ap} for ratio, ap in self.ap_curve]
            ap = {"curve": points, "loss": AP_LOSS, "free": self.ap_free, "knee": self.ap_knee}
        return {
            "channels": self.n_channels,
            "dead_below_layer_mean": {f"{k:g}": v for k, v in self.dead.items()},
            "free_by_layer_energy": {f"{k:g}": v for k, v in self.by_layer.items()},
            "free_by_global_energy": {f"{k:g}": v for k, v in self.over_all.items()},
            "knee_of_scores": self.knee,
            "ap": ap,
        }

    def lines(self) -> list[str]:
        """As a person reads it."""
        by_layer = "  ".join(f"{k:g}: {v:.1%}" for k, v in self.by_layer.items())
        over_all = "  ".join(f"{k:g}: {v:.1%}" for k, v in self.over_all.items())
        lines = [
            f"of {self.n_channels} channels could go, by the energy of gammas that is lost",
            f"  in each layer   {by_layer}",
            f"  in one ranking  {over_all}",
            f"  the knee of the scores is at {self.knee:.2f}"
            if self.knee is not None
            else "  the scores have no knee: sparsity has not parted the channels yet",
        ]
        if self.ap_curve and not self.detects:
            lines.append(undetecting(self.ap_curve[0][1]))
        elif self.detects:
            where = "the curve has no knee"
            if self.ap_knee is not None:
                where = f"the knee is at {self.ap_knee:.2f}"
            lines.append(
                f"at AP -{AP_LOSS:g} about {self.ap_free:.0%} of the channels are free; {where}"
            )
        return lines


def undetecting(AP: float) -> str:
    """What is told of a model whose AP is below LEAST_AP before any cut."""
    return (
        f"The uncut model does not detect on these data (AP {AP:.3f}): of what a cut costs it "
        "nothing can be said. Is it trained? Are its classes those of the data, in the same order? "
        "Is the input as large as in its training?"
    )


def verdict(bundle: Bundle, ap_curve: ApCurve | None = None) -> Verdict:
    """Judges the gammas of a bundle, and its AP where a curve can be measured."""
    gammas = judged(bundle.cfg)
    values = gammas.of_weights(bundle.weights).double().cpu().numpy()
    curve = energy_curve(values, gammas)
    return Verdict(
        gammas.n_classes,
        {below: dead_share(values, gammas, below) for below in DEAD_BELOW},
        {loss: freed_share(values, gammas, loss) for loss in ENERGY_LOSSES},
        {loss: curve.ratio_at(loss) for loss in ENERGY_LOSSES},
        score_knee(values, gammas),
        None if ap_curve is None else tuple((float(x), float(y)) for x, y in ap_curve(bundle)),
    )


def tell_verdict(bundle: Bundle, out: Path, console: Console, ap_curve: ApCurve | None) -> None:
    """Prints the verdict and writes it to `out`/sparsity.json."""
    found = verdict(bundle, ap_curve)
    for line in found.lines():
        console.print(line)
    with whole_file(out / VERDICT) as temporary:
        temporary.write_text(json.dumps(found.document(), indent=1), encoding="utf-8")

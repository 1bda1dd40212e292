"""A pruning sweep on real data: what is measured of each cut network, and what is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor

from yolo_slim.bundle import Bundle, is_bundle
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import InputError
from yolo_slim.files import require_writable, whole_file, write_csv
from yolo_slim.knee import cost_within, knee
from yolo_slim.pipeline.pruning import (
    Surroundings,
    limits_of,
    prune_bundle,
    scoring_of,
)
from yolo_slim.pipeline.recipe_steps import PruneStep
from yolo_slim.pipeline.scoring import bundle_scorer, input_batches
from yolo_slim.pipeline.timing import bundle_latency_ms
from yolo_slim.prune.place import plan_ratio
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.recalibrate import recalibrate, require_some
from yolo_slim.prune.sensitivity import Group, sensitivity
from yolo_slim.prune.sweep import Point, sweep
from yolo_slim.report.sweep_page import SweepPage, write_sweep_page
from yolo_slim.train.verdict import LEAST_AP, undetecting

Layers = tuple[tuple[Group, tuple[float, ...]], ...]

CSV, JSON, PAGE = "sweep.csv", "sweep.json", "sweep.html"

MARKS = {CSV: b"ratio,AP,", JSON: b'"points"', PAGE: b"Pruning sweep of"}
"""What each file of a sweep holds: another of that name is somebody else's."""


@dataclass(frozen=True)
class Sweep:
    """points: by rising ratio, uncut first. knee: the ratio before the fall, None without one, and
    where the uncut network does not detect.
    layers: AP of each group cut alone, one a share of `shares`; empty where it was not asked for.
    """

    points: tuple[Point, ...]
    knee: float | None
    shares: tuple[float, ...] = ()
    layers: Layers = ()

    @classmethod
    def of(
        cls, points: Sequence[Point], shares: Sequence[float] = (), layers: Layers = ()
    ) -> Sweep:
        bend = knee([point.ratio for point in points], [point.AP for point in points])
        found = cls(tuple(points), bend, tuple(shares), layers)
        return found if found.detects else replace(found, knee=None)

    @property
    def detects(self) -> bool:
        """Whether there is an AP that a cut could cost."""
        return self.points[0].AP >= LEAST_AP


class Sweeper:
    """Cuts one bundle as a prune step says, again and again, and scores what is left.

    val_data: what AP is measured on. around: see Surroundings; with images to recalibrate on, each
    cut network gets its own running statistics before it is scored.
    """

    def __init__(
        self, bundle: Bundle, step: PruneStep, val_data: Dataset, around: Surroundings
    ) -> None:
        self.bundle, self.step, self.around = bundle, step, around
        self.limits = limits_of(step)
        self.scoring = scoring_of(bundle, step, around)
        self.numbers = bundle_scorer(val_data)
        self.batches: list[Tensor] = []
        if around.recalibration is not None:
            some = around.some_to_recalibrate(step.n_images)
            require_some(len(some.samples), "recalibrate from")
            # Read once, used at every point.
            self.batches = list(input_batches(some, bundle.cfg, step.n_images))

    def points(self, progress: Callable[[int, int], None] | None = None) -> list[Point]:
        """The curve: see prune.sweep."""
        around = self.around
        return sweep(
            self.bundle,
            lambda ratio: self._cut(plan_ratio(self.bundle, ratio, self.scoring, self.limits)),
            self.numbers,
            lambda bundle: bundle_latency_ms(bundle, around.threads, around.engine),
            progress=progress,
        )

    def layers(self, progress: Callable[[int, int], None] | None = None) -> Layers:
        """AP of each group of layers cut alone, at sensitivity.SHARES."""
        found = sensitivity(
            self.bundle,
            self.scoring,
            lambda plan: self.numbers(self._cut(plan))["AP"],
            progress=progress,
        )
        return tuple(found.items())

    def _cut(self, plan: Plan) -> Bundle:
        cut = prune_bundle(self.bundle, plan, self.step.absorb)
        return recalibrate(cut, self.batches) if self.batches else cut


def verdict(found: Sweep, loss: float = 0.005) -> str:
    """The curve in a sentence or two."""
    whole = found.points[0]
    if not found.detects:
        return undetecting(whole.AP)
    ratios, APs = ([getattr(p, name) for p in found.points] for name in ("ratio", "AP"))
    free = cost_within(ratios, APs, loss)
    told = f"Without any training, AP stays within {loss} of {whole.AP:.3f} up to ratio {free:.2f}"
    if found.knee is None:
        return f"{told}; the curve has no knee."
    at = next(point for point in found.points if point.ratio == found.knee)
    beyond = next((point for point in found.points if point.ratio > found.knee), None)
    cliff = "" if beyond is None else f", and {beyond.AP:.3f} at {beyond.ratio:.2f}"
    return f"{told}; the knee is at {found.knee:.2f}: AP {at.AP:.3f} there{cliff}."


def require_own(folder: Path) -> None:
    """Raises InputError where a sweep in `folder` would replace what is none, OSError where it
    cannot be written. Other files there are left alone; but a bundle is replaced as a whole, and
    takes no guests."""
    if is_bundle(folder):
        raise InputError(f"{folder} is a bundle, and holds its own files alone; name another --out")
    require_writable(folder / PAGE)
    for name, mark in MARKS.items():
        path = folder / name
        if path.is_dir() or (path.is_file() and mark not in path.read_bytes()):
            raise InputError(
                f"{path} exists and is of no sweep: nothing was written; name another --out"
            )


def write_sweep(
    folder: Path, name: str, found: Sweep, circumstances: dict[str, str], verdict: str
) -> None:
    """The curve as CSV, everything as JSON, and a page, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / CSV, [{**asdict(point), **circumstances} for point in found.points])
    with whole_file(folder / JSON) as temporary:
        temporary.write_text(
            json.dumps(sweep_document(found) | {"verdict": verdict}, indent=1), encoding="utf-8"
        )
    write_sweep_page(folder / PAGE, _page(name, found, circumstances, verdict))


def sweep_document(found: Sweep) -> dict[str, object]:
    """The sweep as JSON holds it."""
    return {
        "points": [asdict(point) for point in found.points],
        "knee": found.knee,
        "shares": list(found.shares),
        "layers": [
            {"sections": list(group.sections), "channels": len(group.classes), "AP": list(values)}
            for group, values in found.layers
        ],
    }


def _page(name: str, found: Sweep, circumstances: dict[str, str], verdict: str) -> SweepPage:
    points, whole = found.points, found.points[0]
    ratios = [point.ratio for point in points]
    curve = {
        "AP": (ratios, [point.AP for point in points]),
        "MACs left": (ratios, [point.macs / whole.macs for point in points]),
        "parameters left": (ratios, [point.parameters / whole.parameters for point in points]),
    }
    if whole.latency_ms:
        left = [(point.latency_ms or 0) / whole.latency_ms for point in points]
        curve["latency left"] = (ratios, left)
    at_knee = next((point for point in points if point.ratio == found.knee), None)
    cards = {} if at_knee is None else {
        "knee": f"{at_knee.ratio:.2f}",
        "AP there": f"{at_knee.AP:.3f} of {whole.AP:.3f}",
        "MACs there": f"{at_knee.macs / whole.macs:.0%}",
        "parameters there": f"{at_knee.parameters / whole.parameters:.0%}",
    }  # fmt: skip
    return SweepPage(
        title=f"Pruning sweep of {name}",
        summary=verdict,
        rows=sweep_table(points),
        curve=curve,
        knee=found.knee,
        shares=found.shares,
        layers={group.label: values for group, values in found.layers},
        cards=cards,
        circumstances=circumstances,
    )


def sweep_table(points: Sequence[Point]) -> list[list[str]]:
    """The head, and a row a point, as text."""
    whole = points[0]
    head = ["ratio", "AP", "AP50", "MACs", "parameters"]
    head += ["latency, ms"] if whole.latency_ms else []
    rows = [head]
    for point in points:
        row = [f"{point.ratio:.3f}", f"{point.AP:.4f}", f"{point.AP50:.4f}"]
        row += [f"{point.macs / whole.macs:.1%}", f"{point.parameters / whole.parameters:.1%}"]
        row += [f"{point.latency_ms:.1f}"] if point.latency_ms else []
        rows.append(row)
    return rows

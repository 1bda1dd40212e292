"""What a report tells: the numbers of a compression run and their circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from yolo_slim.report.plan_tables import PlanTables


@dataclass(frozen=True)
class StepRow:
    """One model of the run. What was not measured is None; rows are compared with the first one.

    name: of the model, such as "pruned". verb: what made it, such as "prune --ratio 0.5".
    parameters, macs (multiply-adds) and latency_ms on `runtime`, both for one image; file_bytes.
    AP, AP50: fractions, 0 to 1 (-1, COCO's "undefined", is shown as not measured).
    seconds: what the step took. kept: what comes after goes on from it; not so the round of a
    repeat that fell too far.
    """

    name: str
    verb: str = ""
    parameters: float | None = None
    macs: float | None = None
    file_bytes: float | None = None
    latency_ms: float | None = None
    AP: float | None = None
    AP50: float | None = None
    seconds: float | None = None
    runtime: str | None = None
    kept: bool = True


@dataclass(frozen=True)
class ClassRow:
    """One class: its boxes in the data set, its AP with the first and with the last model."""

    name: str
    n_boxes: int
    first_AP: float | None
    last_AP: float | None


@dataclass(frozen=True)
class Report:
    """Everything the page shows; only the title is needed, and parts left empty are left out.

    summary: the run in a sentence or two. recipe: its text. circumstances: device, date, version,
        commit, seed ... in the order to be shown. settings: name -> value, of a training.
    history: the head of a table, then a row for each thing that was done, as text.
    side_by_side: the rows of `steps` are runs, each on its own, not the steps of one.
    gammas: label -> BatchNorm |gamma|, one-dimensional; for instance before and after sparsity.
    plans: what each prune step has decided, by its name.
    curves: run name -> curve name -> (epochs, values); curves of one name share a plot.
    pictures: (caption, uint8 [H, W, 3] BGR) with detections drawn; two stand side by side.
    """

    title: str
    summary: str = ""
    recipe: str = ""
    circumstances: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Sequence[str]] = ()
    steps: Sequence[StepRow] = ()
    classes: Sequence[ClassRow] = ()
    gammas: Mapping[str, np.ndarray] = field(default_factory=dict)
    plans: Mapping[str, PlanTables] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]] = field(
        default_factory=dict
    )
    pictures: Sequence[tuple[str, np.ndarray]] = ()
    notes: Sequence[str] = ()
    side_by_side: bool = False

    @property
    def row_title(self) -> str:
        """What a row of `steps` is."""
        return "Run" if self.side_by_side else "Step"

"""What a finished compression has to say: its table, and the content of its page."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle, load_bundle
from yolo_slim.errors import InputError
from yolo_slim.files import write_csv
from yolo_slim.pipeline.compress import Compression
from yolo_slim.pipeline.finished_run import FinishedRun
from yolo_slim.pipeline.prune_document import PLAN
from yolo_slim.pipeline.recipe_steps import FactorizeStep, PruneStep, RepeatStep, SingleStep
from yolo_slim.pipeline.showcase import Showcase
from yolo_slim.pipeline.step_folder import RECIPE, TABLE
from yolo_slim.report.model import Report, StepRow
from yolo_slim.report.plan_tables import PlanTables

LATENCY = (
    "Latency: median for one image in ONNX Runtime, the models timed in alternation; resizing and "
    "suppression are not counted."
)


def keep_summary(run: Compression) -> None:
    """Leaves in the folder of a run what its page is made of: the run has then ended."""
    Showcase.of(run).save(run.out)
    write_csv(run.out / TABLE, table_rows(run))


def table_rows(run: Compression) -> list[dict[str, Any]]:
    """One dictionary a step, with the circumstances in each: numbers travel with them."""
    return [{"recipe": run.recipe.title, **asdict(d.row), **d.circumstances} for d in run.steps]


def compress_report(run: FinishedRun) -> Report:
    """Everything the page shows of a compression, from its folder alone."""
    assert run.recipe is not None
    showcase = Showcase.read(run.folder)
    notes = [
        "AP is measured on the validation images with every step, which also guided no choice "
        "of weights: the average of the last epochs is taken as it is.",
        LATENCY,
    ]
    if showcase is None:
        notes.append(
            "AP by class and pictures are not in the folder of the run: the compress that made it "
            "puts them there; it trains nothing again."
        )
        showcase = Showcase()
    return Report(
        title=run.recipe.title,
        summary=_headline(run),
        recipe=(run.folder / RECIPE).read_text(encoding="utf-8"),
        circumstances=run.last.circumstances,
        steps=run.rows,
        classes=showcase.classes,
        gammas=_gammas(run),
        plans=_plans(run),
        curves=run.curves,
        pictures=showcase.pictures,
        notes=notes,
    )


def _headline(run: FinishedRun) -> str:
    """The first model against the last, of those that an ONNX file was written of."""
    runnable = [row for row in run.rows if row.file_bytes] or list(run.rows)
    kept = [row for row in runnable if row.kept]
    return _against(runnable[0], (kept or runnable)[-1])


def _against(a: StepRow, b: StepRow) -> str:
    parts = []
    if a.macs and b.macs:
        parts.append(f"{b.macs / a.macs:.1%} of the MACs")
    if a.file_bytes and b.file_bytes:
        parts.append(f"{b.file_bytes / a.file_bytes:.1%} of the file")
    if a.latency_ms and b.latency_ms:
        parts.append(f"{b.latency_ms / a.latency_ms:.0%} of the latency")
    if a.AP is not None and b.AP is not None:
        parts.append(f"AP {a.AP:.3f} -> {b.AP:.3f}")
    return f"From {a.name} to {b.name}: " + ", ".join(parts) + "."


def _asked(run: FinishedRun) -> dict[str, SingleStep]:
    """Name of a step, or of one in a round -> what it was to do."""
    assert run.recipe is not None
    asked: dict[str, SingleStep] = {}
    for step in run.recipe.step:
        if isinstance(step, RepeatStep):
            rounds = range(1, step.times + 1)
            asked |= {step.round_name(k, inner): inner for k in rounds for inner in step.step}
        else:
            asked[step.name] = step
    return asked


def _gammas(run: FinishedRun) -> dict[str, np.ndarray]:
    """|gamma| before the first sparse training, where a step came before it, and after the last."""
    asked, lines = _asked(run), [line for line in run.lines if line.row.kept]
    sparse = [k for k in range(len(lines)) if getattr(asked.get(lines[k].row.name), "sparsity", 0)]
    if not sparse:
        return {}
    shown = {"before sparsity": sparse[0] - 1, "after sparsity": sparse[-1]}
    return {
        name: all_gammas(load_bundle(lines[k].folder / BUNDLE_IN_RUN))
        for name, k in shown.items()
        if k >= 0
    }


def all_gammas(bundle: Bundle) -> np.ndarray:
    """|gamma| of every BatchNorm, [N]."""
    gammas = [v.abs().numpy() for k, v in bundle.weights.items() if k.endswith("bn.weight")]
    return np.concatenate(gammas) if gammas else np.zeros(0)


def _plans(run: FinishedRun) -> dict[str, PlanTables]:
    """What each step that prunes or factorizes has decided, from its folder."""
    asked = _asked(run)
    plans = {}
    for line in run.lines:
        path, step = line.folder / PLAN, asked.get(line.row.name)
        if not path.is_file() or not isinstance(step, PruneStep | FactorizeStep):
            continue
        read = PlanTables.of if isinstance(step, PruneStep) else PlanTables.of_factors
        try:
            plans[line.row.name] = read(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is no plan of a {step.verb} step ({error!r})") from None
    return plans

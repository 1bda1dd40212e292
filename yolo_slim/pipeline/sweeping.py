"""A pruning sweep on real data: what is measured of each cut network, and what is written."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.data.dataset import Dataset
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.files import whole_file
from yolo_slim.pipeline.scoring import input_batches, score
from yolo_slim.prune.recalibrate import recalibrate
from yolo_slim.prune.sensitivity import Group
from yolo_slim.prune.sweep import Point
from yolo_slim.report.sweep_page import SweepPage, write_sweep_page
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.session import OnnxSession, TorchSession

CSV, JSON, PAGE = "sweep.csv", "sweep.json", "sweep.html"
RECALIBRATION_IMAGES = 200


@dataclass(frozen=True)
class Sweep:
    """points: by rising ratio, uncut first. knee: the ratio before the fall, None without a fall.
    layers: AP of each group cut alone, one a share of `shares`; empty where it was not asked for.
    """

    points: tuple[Point, ...]
    knee: float | None
    shares: tuple[float, ...] = ()
    layers: tuple[tuple[Group, tuple[float, ...]], ...] = ()


def bundle_scorer(dataset: Dataset, threads: int) -> Callable[[Bundle], dict[str, float]]:
    """The COCO numbers of a bundle in torch, BatchNorm folded."""
    return lambda bundle: score(Detector(TorchSession(bundle, threads)), dataset)


def latency_ms(bundle: Bundle, threads: int, rounds: int = 3) -> float:
    """Median milliseconds for one image in ONNX Runtime on this CPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(bundle, path)
        opener = partial(OnnxSession, path, threads)
        return measure_latency({"it": opener}, rounds)["it"].median_ms


def recalibration_batches(
    bundle: Bundle, dataset: Dataset, n_images: int = RECALIBRATION_IMAGES, seed: int = 0
) -> list[Tensor]:
    """Images to recalibrate from, read once: [B, channels, H, W], 0..1."""
    return list(input_batches(dataset, bundle.cfg, n_images, seed))


def recalibrated(batches: Sequence[Tensor]) -> Callable[[Bundle], Bundle]:
    """What brings a cut network's statistics up to date: nothing where there are no images."""
    return partial(recalibrate, batches=batches) if batches else lambda bundle: bundle


def write_sweep(
    folder: Path, name: str, found: Sweep, circumstances: dict[str, str], verdict: str
) -> None:
    """The curve as CSV, everything as JSON, and a page, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(point), **circumstances} for point in found.points]
    with whole_file(folder / CSV) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with whole_file(folder / JSON) as temporary:
        temporary.write_text(json.dumps(sweep_document(found) | {"verdict": verdict}, indent=1))
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

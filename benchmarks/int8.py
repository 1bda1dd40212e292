"""AP of public COCO detectors in INT8, by every way to find ranges, in both export profiles.

    python benchmarks/int8.py [MODEL ...]                    # calibration alone; minutes
    python benchmarks/int8.py --way defaults                 # one of the ways
    YOLO_SLIM_RUNS=~/runs python benchmarks/int8.py --qat    # and trained with the rounding; hours

Calibrated on 128 images of COCO train2017, scored on 128 of val2017, both in ../shared, at 320 px,
stretched. Every row is what ONNX Runtime finds with the exported file. A row that
benchmarks/int8.csv has already is not made again. cpu-vnni asks a CPU that has it.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measured import write_rows

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cli.options import progress
from yolo_slim.data.coco import read_coco
from yolo_slim.data.dataset import Dataset
from yolo_slim.export.onnx_model import Profile, export_onnx
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.quantize_options import QuantizeOptions
from yolo_slim.pipeline.quantizing import int8_share, run_quantize
from yolo_slim.pipeline.scoring import score
from yolo_slim.runtime.cpu import has_vnni
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import OnnxSession, default_threads

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
COCO = SHARED / "data/coco"
CSV = HERE / "int8.csv"
N_CALIBRATED = 128
PROFILES: tuple[Profile, ...] = ("tensorrt", "cpu", *(["cpu-vnni"] if has_vnni() else []))

MODELS = {
    "yolo-fastest-1.1-xl": "yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl",
    "MobileNetV2-YOLOv3-Nano":
        "mobilenet-yolo/MobileNetV2-YOLOv3-Nano/COCO/MobileNetV2-YOLOv3-Nano-coco",
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """options: of the calibration. qat: options of `quantize --qat`, None where nothing trains."""

    name: str
    options: QuantizeOptions
    qat: tuple[str, ...] | None = None


def options(**changes: Any) -> QuantizeOptions:
    """All in INT8 unless told otherwise, so that the ways differ in one thing."""
    return QuantizeOptions(images=N_CALIBRATED, **{"keep_float": 0, **changes})


TRAINED = ("--epochs", "8", "--mosaic", "0")
WAYS = [
    Way("defaults", options(keep_float="auto")),
    Way("all in INT8", options()),
    Way("minmax", options(calibrator="minmax")),
    Way("percentile", options(calibrator="percentile")),
    Way("entropy", options(calibrator="entropy")),
    Way("not equalized", options(equalize=False)),
    Way("not equalized, entropy", options(equalize=False, calibrator="entropy")),
    Way("kernels by mse", options(weight_scale="mse")),
    Way("bias corrected", options(correct_bias=True)),
    Way("4 most sensitive in float", options(keep_float=4)),
    Way("8 most sensitive in float", options(keep_float=8)),
    Way("QAT, ranges learned", options(), (*TRAINED, "--keep-float", "0")),
    Way("QAT, ranges frozen", options(), (*TRAINED, "--keep-float", "0", "--ranges", "frozen")),
    Way("QAT of the defaults", options(), TRAINED),
]


def split(name: str) -> Dataset:
    return read_coco(COCO / f"dev_{name}2017", COCO / f"annotations/dev_{name}2017.json")


def source_of(model: str) -> ModelSource:
    stem = SHARED / "weights" / MODELS[model]
    return ModelSource(f"{stem}.cfg", stem.with_name(f"{stem.name}.weights"), size_px=320)


def trained(model: str, way: Way, runs: Path) -> Bundle:
    """By the command that people type; an interrupted training goes on."""
    assert way.qat is not None
    out = runs / "int8" / f"{model}-{way.name}".replace(" ", "-").replace(",", "")
    source = source_of(model)
    described = out.with_name(f"{out.name}.yaml")  # a name may hold points
    described.parent.mkdir(parents=True, exist_ok=True)
    described.write_text(
        "".join(
            f"{side}: {{images: {COCO}/dev_{name}2017, annotations: "
            f"{COCO}/annotations/dev_{name}2017.json}}\n"
            for side, name in (("train", "train"), ("val", "val"))
        )
    )
    begun = ["--resume"] if (out / "checkpoints/last.ckpt").exists() else []
    command = [
        sys.executable, HERE.parent / "tools/quantize.py", source.model, "--weights",
        source.weights, "--size", "320", "--data", described, "--n-images", N_CALIBRATED, "--out",
        out, "--qat", *way.qat, *begun,
    ]  # fmt: skip
    subprocess.run([str(part) for part in command], check=True)
    return load_bundle(out / "bundle")


def scored(bundle: Bundle, profile: Profile | None, data: Dataset) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(bundle, path, profile)
        detector = Detector(OnnxSession(path, default_threads()), resize_mode="stretch")
        numbers = score(detector, data)
        return {"AP": numbers["AP"], "AP50": numbers["AP50"], "file_bytes": path.stat().st_size}


def new_rows(
    model: str, ways: Collection[Way], done: set[tuple[str, str]], runs: Path | None
) -> Iterator[dict[str, Any]]:
    """Of one model, those that are not in `done`; runs: where trainings lie, None without them."""
    bundle, train_data, val_data = load_model(source_of(model)), split("train"), split("val")

    def row(way: str, made: Bundle, profile: Profile | None) -> dict[str, Any]:
        share = int8_share(made) if profile else 0.0
        said = {"model": model, "way": way, "profile": profile or "float", "int8_macs": share}
        return {**said, **scored(made, profile, val_data)}

    if ("float", "float") not in done:
        yield row("float", bundle, None)
    for way in ways:
        todo = [profile for profile in PROFILES if (way.name, profile) not in done]
        if not todo or (way.qat is not None and runs is None):
            continue
        if way.qat is None:
            made = run_quantize(bundle, way.options, train_data, None, progress).bundle
        else:
            assert runs is not None
            made = trained(model, way, runs)
        for profile in todo:
            yield row(way.name, made, profile)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--way", choices=[way.name for way in WAYS])
    parser.add_argument("--qat", action="store_true")
    asked = parser.parse_args()
    ways = [way for way in WAYS if asked.way in (None, way.name)]
    runs = None
    if asked.qat:
        if "YOLO_SLIM_RUNS" not in os.environ:
            sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
        runs = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser()
    rows: list[dict[str, Any]] = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for model in asked.models or MODELS:
        done = {(row["way"], row["profile"]) for row in rows if row["model"] == model}
        for row in new_rows(model, ways, done, runs):
            rows.append(row)
            write_rows(CSV, rows)
            print(f"{model}, {row['way']}, {row['profile']}: AP {row['AP']:.4f}", flush=True)


if __name__ == "__main__":
    main()

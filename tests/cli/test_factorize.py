"""`factorize`: its options reach the plan, its JSON says what becomes of each section."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import status, told

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import totals
from yolo_slim.data.digits import make_digits
from yolo_slim.factorize.judge import Judge
from yolo_slim.fold import fold_batchnorm
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A model for digits, and digits."""
    folder = tmp_path_factory.mktemp("factorize")
    make_digits(folder / "digits", 16, 2, 128)
    cfg = build("yolov3-nano", 10, 64)
    bundle = Bundle(cfg, random_weights(cfg))
    bundle.save(folder / "model")
    fold_batchnorm(bundle).save(folder / "folded")
    quantize(bundle, [torch.rand(2, 3, 64, 64)]).save(folder / "int8")
    return folder


@pytest.fixture
def place(made, monkeypatch) -> Path:
    monkeypatch.chdir(made)
    return made


CASES = {
    "--energy 0.7 --method tucker --multiple 2": lambda b: Judge(b, "tucker", 2).by_energy(0.7),
    "--target-macs 0.5 --heads": lambda b: Judge(b, with_heads=True).by_target(0.5),
    "": lambda b: Judge(b).by_energy(0.9),
}


@pytest.mark.parametrize("options", CASES)
def test_options_reach_the_plan(options, place, capsys):
    assert status(f"factorize model --out thin --json told.json {options}") == 0
    before, after = load_bundle(place / "model"), load_bundle(place / "thin")
    plan = CASES[options](before)
    document = json.loads((place / "told.json").read_text())
    for side, bundle in (("before", before), ("after", after)):
        total = totals(bundle.cfg)
        counts = {key: document[side][key] for key in ("parameters", "macs")}
        assert counts == {"parameters": total.parameters, "macs": total.macs}
        assert document[side]["latency_ms"] > 0
    assert document["after"]["macs"] == plan.macs
    by_section = {row["section"]: row for row in document["sections"]}
    for index, ranks in plan.ranks.items():
        row = by_section[index]
        assert (row["read"], row["written"]) == (ranks.read, ranks.written)
        assert 0 < row["energy"] <= 1.0001 and row["macs_after"] < row["macs_before"]
    assert {i: row["whole"] for i, row in by_section.items() if not row["into"]} == plan.whole
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{len(plan.ranks)} of {len(document['sections'])} sections are factored" in printed
    assert all(f"note: {text}" in printed for text in plan.notes)


def test_images_choose_and_statistics_are_measured(place, capsys):
    data = "digits/digits.yaml"
    command = f"factorize model --target-macs 0.6 --data {data} --recalibrate {data} --out seen"
    assert status(f"{command} --json seen.json") == 0
    verbs = [(e.verb, e.settings) for e in load_bundle(place / "seen").history]
    settings = {"method": "svd", "multiple": 1, "target_macs": 0.6, "images": 16}
    assert verbs == [("factorize", settings), ("recalibrate", {"images": 16})]
    assert json.loads((place / "seen.json").read_text())["images"] == 16
    assert status(f"evaluate seen --data {data}") == 0


REFUSED = {
    "model --out x --energy 0.9 --target-macs 0.5": (
        "--energy and --target-macs both say how much: name one of them"),
    "model --out x --energy 0": "--energy 0: expected above 0 to 1",
    "model --out x --target-macs 1.5": "--target-macs 1.5: expected above 0 to 1",
    "model --out x --multiple 0": "--multiple 0: expected 1 or more",
    "model --out x --target-macs 0.01": "1.0% of the macs cannot be reached by svd alone: the ",
    "model --out x --n-images 20": (
        "--n-images does nothing here: it is for --data and --recalibrate"),
    "model --out x --seed 3": "--seed does nothing here: it is for --data and --recalibrate",
    "model --out x --data digits/digits.yaml --n-images 4": (
        "4 images are too few to choose factors by: expected 16 or more"),
    "model --out x --recalibrate digits/digits.yaml --n-images 4": "too few to recalibrate from",
    "folded --out x --recalibrate digits/digits.yaml": "recalibrate needs BatchNorm",
    "int8 --out x": "int8/model.cfg has INT8 ranges",
    "model --out model": "model would replace model/",
    "model --out x --json model/model.cfg": "model/model.cfg would replace model/model.cfg",
    "yolov3-nano --out x": "no trained weights",
    "model --out x --method cp": "--method",
    "model --out digits": "digits exists and is no bundle",
}  # fmt: skip


@pytest.mark.parametrize("command", REFUSED)
def test_refused_before_anything_is_written(command, place, capsys):
    files = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    code, error = told(f"factorize {command}", capsys)
    assert code == 2 and error.startswith("error: ") and len(error.splitlines()) <= 2
    assert REFUSED[command] in error
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == files

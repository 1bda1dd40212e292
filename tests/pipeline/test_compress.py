"""A micro recipe runs to its end, and a second call finds all of it done."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import totals
from yolo_slim.cli import main
from yolo_slim.data.digits import make_digits
from yolo_slim.in_use import in_use

RECIPE = """
title = "micro"
[data]
description = "digits/digits.yaml"
[model]
zoo = "yolov3-nano"
size = 64
anchors = "fit"
[augment]
mosaic = 0.0
flip = 0.0
[[step]]
verb = "train"
name = "teacher"
epochs = 1
batch_size = 8
precision = "float32"
[[step]]
verb = "train"
name = "sparse"
epochs = 1
batch_size = 8
sparsity = 0.5
teacher = "teacher"
precision = "float32"
[[step]]
verb = "prune"
name = "pruned"
target_macs = 0.5
layers = 1
recalibrate = 16
[[step]]
verb = "quantize"
name = "quantized"
images = 8
epochs = 1
[[step]]
verb = "export_onnx"
name = "int8"
int8 = "cpu"
"""
STEPS = ["01-teacher", "02-sparse", "03-pruned", "04-quantized", "05-int8"]


def run(recipe: Path, out: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["compress", str(recipe), "--out", str(out), "--threads", "1"])
    assert caught.value.code == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compress")
    make_digits(folder / "digits", 16, 8, 128)
    (folder / "r.toml").write_text(RECIPE)
    run(folder / "r.toml", folder / "run")
    return folder / "r.toml", folder / "run"


def times(out: Path) -> dict[Path, int]:
    kept = ("bundle/*", "model.onnx", "result.json", "checkpoints/*", "recipe-key.txt")
    return {
        path: path.stat().st_mtime_ns
        for step in STEPS
        for pattern in kept
        for path in (out / step).glob(pattern)
    }


def test_each_step_leaves_its_bundle_and_the_run_its_report(finished):
    _, out = finished
    bundles = {step: load_bundle(out / step / "bundle") for step in STEPS}
    page = (out / "report.html").read_text()
    assert "micro" in page
    assert all(step.split("-")[1] in page for step in STEPS)
    macs = {step: totals(bundle.cfg).macs for step, bundle in bundles.items()}
    assert macs["03-pruned"] <= 0.5 * macs["02-sparse"] == 0.5 * macs["01-teacher"]
    assert bundles["04-quantized"].precision is not None
    assert bundles["03-pruned"].precision is None
    verbs = [event.verb for event in bundles["05-int8"].history]
    cut = ["take_layers", "absorb", "take", "recalibrate"]
    assert verbs == ["train", "train", *cut, "fold", "quantize", "train"]
    assert "What pruned has decided" in page
    assert (out / "recipe.toml").read_text() == RECIPE


def test_the_table_has_a_row_a_step_with_its_circumstances(finished):
    _, out = finished
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [step.split("-")[1] for step in STEPS]
    for row in rows:
        assert row["seed"] == "0"
        assert row["date"] and row["device"] and row["commit"]
        assert 0 <= float(row["AP"]) <= float(row["AP50"]) <= 1
    assert float(rows[-1]["latency_ms"]) > 0


def test_a_second_call_does_nothing_again(finished, capsys):
    recipe, out = finished
    before = times(out)
    assert len(before) > 20
    run(recipe, out)
    assert times(out) == before
    assert capsys.readouterr().out.count("done before") == len(STEPS)


@pytest.mark.parametrize("damaged", ["[", "[]", "{}"])
def test_damaged_latencies_are_measured_again(finished, damaged):
    recipe, out = finished
    (out / "latency.json").write_text(damaged)
    run(recipe, out)
    assert json.loads((out / "latency.json").read_text())["median_ms"]


def test_two_at_a_time_would_spoil_the_folder(finished, capsys):
    recipe, out = finished
    before = times(out)
    with in_use(out), pytest.raises(SystemExit) as caught:
        main(["compress", str(recipe), "--out", str(out), "--threads", "1"])
    assert caught.value.code == 2
    assert "is in use by another command" in " ".join(capsys.readouterr().err.split())
    assert times(out) == before


def test_other_threads_are_other_times(finished):
    recipe, out = finished
    before = json.loads((out / "latency.json").read_text())
    with pytest.raises(SystemExit):
        main(["compress", str(recipe), "--out", str(out), "--threads", "2"])
    assert json.loads((out / "latency.json").read_text())["key"] != before["key"]
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(", 1 threads" in row["device"] for row in rows)  # where AP was measured
    assert all(", 2 threads" in row["latency_device"] for row in rows)


def test_a_changed_last_step_redoes_that_one_alone(finished):
    recipe, out = finished
    before = times(out)
    other = recipe.with_name("other.toml")
    other.write_text(RECIPE.replace('int8 = "cpu"', 'int8 = "tensorrt"'))
    run(other, out)
    after = times(out)
    changed = {path.relative_to(out).parts[0] for path in before if before[path] != after[path]}
    assert changed == {"05-int8"}


def test_random_weights_are_not_pruned(finished, capsys, tmp_path):
    recipe, _ = finished
    text = RECIPE.split("[[step]]")
    bad = recipe.with_name("bad.toml")
    bad.write_text(text[0] + "[[step]]" + text[3])
    with pytest.raises(SystemExit) as caught:
        main(["compress", str(bad), "--out", str(tmp_path / "run")])
    assert caught.value.code == 2
    assert "train it first" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_page_draws_every_term_of_the_log(finished):
    from yolo_slim.pipeline.finished_run import read_run

    _, out = finished
    header = (out / "02-sparse/metrics.csv").read_text().splitlines()[0].split(",")
    terms = {name for name in header if name.startswith("teacher_")}
    drawn = read_run(out).curves["sparse"]
    assert len(terms) == 3 and terms | {"loss", "box", "classes", "lr"} <= set(drawn)
    assert set(drawn) == set(header) - {"epoch", "step"}


def test_report_writes_the_same_page_from_the_folder_alone(finished, tmp_path):
    recipe, out = finished
    run(recipe, out)
    before = times(out)
    for source, name in ((out, "run"), (recipe.parent / "digits", "digits")):
        shutil.move(source, tmp_path / name)
    with pytest.raises(SystemExit) as caught:
        main(["report", str(tmp_path / "run"), "--out", str(tmp_path / "again.html")])
    for name, place in (("run", out), ("digits", recipe.parent / "digits")):
        shutil.move(tmp_path / name, place)
    assert caught.value.code == 0
    assert (tmp_path / "again.html").read_bytes() == (out / "report.html").read_bytes()
    assert b"AP of each class" in (tmp_path / "again.html").read_bytes()
    assert times(out) == before

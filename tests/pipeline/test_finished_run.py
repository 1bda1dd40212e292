"""What a finished run is, and that one which is not finished, or is none, is never taken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from made_runs import made_comparison, made_compression, made_training

from yolo_slim.errors import InputError
from yolo_slim.pipeline.finished_run import read_run
from yolo_slim.pipeline.training_log import read_curves

APS = {3: (0.5, 0.6), 4: (0.4, 0.45)}


def test_a_training_is_its_last_score_and_its_bundle(tmp_path):
    run = read_run(made_training(tmp_path / "t"))
    assert (run.kind, run.result.AP, run.result.AP50) == ("train", 0.3, None)
    assert run.result.parameters > 0 and run.result.macs > 0 and run.result.latency_ms is None
    assert run.result.file_bytes == (tmp_path / "t/bundle/model.safetensors").stat().st_size
    assert run.curves["t"]["AP"] == ([1, 2], [0.1, 0.3])
    assert list(run.curves["t"]) == ["AP", "loss", "box", "lr"]


def test_of_a_compression_the_last_round_that_was_kept_is_the_result(tmp_path):
    run = read_run(made_compression(tmp_path / "c"))
    assert [row.name for row in run.rows] == ["teacher", "slim-1-cut", "slim-2-cut"]
    assert run.result.AP == 0.49 and run.result.latency_ms == 2.5
    assert run.last.circumstances == {
        "device": "one CPU, 1 threads", "date": "today", "commit": "abc", "seed": "0",
    }  # fmt: skip


def test_of_a_comparison_every_arm_with_every_seed(tmp_path):
    run = read_run(made_comparison(tmp_path / "a", APS))
    assert run.kind == "compare"
    assert [row.AP for row in run.rows] == [0.5, 0.4, 0.6, 0.45]


def test_where_both_verbs_have_run_it_is_either(tmp_path):
    folder = made_comparison(tmp_path / "a", APS)
    other = made_compression(tmp_path / "c")
    for path in other.glob("0*"):
        if not (folder / path.name).exists():
            path.rename(folder / path.name)
    (folder / "01-teacher/result.json").write_text((other / "01-teacher/result.json").read_text())
    (other / "table.csv").rename(folder / "table.csv")
    assert read_run(folder).kind == "compress"
    assert read_run(folder, arms_first=True).kind == "compare"


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def resumed(folder: Path) -> None:
    with (folder / "metrics.csv").open("a") as file:
        file.write(",2,1.0,0.001,1.5,30\n")


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no bundle yet": ("t", lambda f: (f / "bundle/model.cfg").unlink(), "goes on with --resume"),
    "longer, and not at its end": ("t", resumed, "of 2 epochs, metrics.csv tells of 3"),
    "no log": ("t", lambda f: (f / "metrics.csv").unlink(), "has no metrics.csv"),
    "an empty log": ("t", lambda f: (f / "metrics.csv").write_text(""), "no column 'epoch'"),
    "a log of bytes": ("t", lambda f: (f / "metrics.csv").write_bytes(b"epoch\n\xff"), "be read"),
    "a word for a loss": (
        "t", lambda f: edited(f / "metrics.csv", "3.0", "many"), "metrics.csv:2: loss is 'many'"),
    "no epoch": ("t", lambda f: edited(f / "metrics.csv", ",0,3.0", ",,3.0"), "epoch is nothing"),
    "an endless epoch": ("t", lambda f: edited(f / "metrics.csv", ",0,3.0", ",inf,3.0"), "is inf"),
    "a line too long": ("t", lambda f: edited(f / "metrics.csv", ",0,3.0", ",0,3.0,,,,,9"), "more"),
    "a bundle never trained": (
        "t", lambda f: (f / "bundle/history.json").write_text("[]"), "was not trained"),
    "no table": ("c", lambda f: (f / "table.csv").unlink(), "not finished (it has no table.csv)"),
    "a step anew": ("c", lambda f: (f / "01-teacher/result.json").unlink(), "disagree about teac"),
    "another result": (
        "c", lambda f: edited(f / "01-teacher/result.json", "0.5", "0.6"), "disagree about teach"),
    "a result that is none": (
        "c", lambda f: (f / "01-teacher/result.json").write_text("[1"), "no result of a step"),
    "another recipe": (
        "c", lambda f: edited(f / "recipe.toml", '"teacher"', '"master"'), "nothing of step mas"),
    "a recipe that is none": ("c", lambda f: (f / "recipe.toml").write_text("="), "not TOML"),
    "a table without rows": ("c", lambda f: (f / "table.csv").write_text("name\n"), "no table of"),
    "a word for a latency": (
        "c", lambda f: edited(f / "table.csv", "2.5", "fast"), "latency_ms of teacher is 'fast'"),
    "an arm to come": ("a", lambda f: edited(f / "recipe.toml", "3,", "9, 3,"), "with seed 9"),
    "no arm yet": ("a", lambda f: (f / "arms.csv").unlink(), "not finished (it has no arms.csv)"),
    "an arm anew": (
        "a", lambda f: (f / "arms/02-taught-3/result.json").unlink(), "disagree about taught-3"),
    "another kind of folder": ("a", lambda f: (f / "recipe.toml").unlink(), "is no run: expected"),
    "a bundle": ("t", lambda f: (f / "bundle").rename(f.parent / "x"), "not finished"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_finished_run_is_told_in_a_line(case, tmp_path):
    name, spoil, told = BROKEN[case]
    makers = {"t": made_training, "c": made_compression, "a": partial(made_comparison, APs=APS)}
    makers[name](tmp_path / name)
    spoil(tmp_path / name)
    with pytest.raises(InputError) as caught:
        read_run(tmp_path / name)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="is not there: expected the folder"):
        read_run(tmp_path / "none")


def test_parts_of_a_log_are_one_and_a_gap_is_a_gap(tmp_path):
    (tmp_path / "metrics-000.csv").write_text("epoch,loss,step\n0,nan,1\n")
    (tmp_path / "metrics.csv").write_text("epoch,loss,step\n1,2.5,2\n1,,2\n")
    curves = read_curves(tmp_path)
    assert curves["loss"][0] == [1, 2]
    assert curves["loss"][1][0] != curves["loss"][1][0] and curves["loss"][1][1] == 2.5
    assert read_curves(tmp_path / "none") == {}


def test_a_verdict_is_read_as_it_was_written():
    from yolo_slim.train.verdict import Verdict

    for curve in (None, ((0.0, 0.5), (0.5, 0.4), (0.9, 0.0))):
        found = Verdict(9, {0.01: 0.5}, {1e-4: 0.1}, {1e-4: 0.2}, None if curve else 0.4, curve)
        assert Verdict.of(json.loads(json.dumps(found.document()))) == found

"""`report` tells a finished run, or several, and takes the place of its own pages alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import status, told
from made_runs import made_comparison, made_compression, made_training

VERDICT = {
    "channels": 1072, "dead_below_layer_mean": {"0.01": 0.4}, "knee_of_scores": 0.44, "ap": None,
    "free_by_layer_energy": {"0.0001": 0.457}, "free_by_global_energy": {"0.0001": 0.465},
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    made_training(tmp_path / "t")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_training_has_its_curves_settings_history_and_totals(place):
    assert status("report t --json told.json") == 0
    page = (place / "t/report.html").read_text()
    for word in ("Training: loss", "Training: box", "Training: lr", "Training: AP", "64x64",
                 "keep-zeros", "not given", "epochs 2, batch_size 8", "AP 0.300"):  # fmt: skip
        assert word in page, word
    assert "Channel scales" not in page
    (row,) = json.loads((place / "told.json").read_text())["steps"]
    assert row["name"] == "t" and row["AP"] == 0.3 and row["parameters"] > 0


def test_a_sparse_one_has_its_verdict_and_gammas(place):
    made_training(place / "s", sparsity=0.1)
    (place / "s/sparsity.json").write_text(json.dumps(VERDICT))
    assert status("report s") == 0
    page = (place / "s/report.html").read_text()
    assert "of 1072 channels could go" in page and "Channel scales" in page
    assert "sparsity 0.1" in page


def test_features_that_were_learned_first_are_drawn_too(place):
    (place / "t/features").mkdir()
    (place / "t/features/metrics.csv").write_text("epoch,overhaul\n0,1.5\n")
    assert status("report t") == 0
    assert "Training: overhaul" in (place / "t/report.html").read_text()


def test_a_run_without_its_checkpoint_is_told_all_the_same(place):
    (place / "t/checkpoints/last.ckpt").unlink()
    assert status("report t") == 0
    assert "<h2>Settings</h2>" not in (place / "t/report.html").read_text()


def test_several_runs_are_a_row_each(place):
    made_compression(place / "c")
    assert status("report t c --out all.html --json told.json") == 0
    rows = json.loads((place / "told.json").read_text())["runs"]
    assert [(row["name"], row["AP"]) for row in rows] == [("t", 0.3), ("c", 0.49)]
    page = (place / "all.html").read_text()
    assert "<h2>Runs</h2>" in page and "Training: AP" in page and "Training: loss" not in page
    assert {path.name for path in place.iterdir()} == {"t", "c", "all.html", "told.json"}


def test_a_compression_without_its_pictures_says_where_they_are(place):
    made_compression(place / "c")
    assert status("report c") == 0
    page = (place / "c/report.html").read_text()
    assert "by hand" in page and "slim-2-cut" in page and "(not kept)" in page
    assert "the compress that made it puts them there" in page
    (place / "c/showcase").mkdir()
    (place / "c/showcase/showcase.json").write_text('{"classes": [1]}')
    assert status("report c") == 2


def test_runs_of_compare_have_their_seeds_put_together(place):
    made_comparison(place / "a", {3: (0.5, 0.6)})
    made_comparison(place / "b", {4: (0.4, 0.46)})
    assert status("report a b --out ab.html") == 0
    page = (place / "ab.html").read_text()
    assert "taught: AP 53.00 ± 9.90 %, +8.00 points over alone" in page
    assert all(name in page for name in ("alone-3", "alone-4", "taught-3", "taught-4"))


def test_a_page_is_replaced_and_nothing_else(place):
    assert status("report t") == status("report t") == 0


REFUSED = {
    "several without a place": ("report t c", "name one with --out FILE.html"),
    "a folder that is none": ("report none", "none is not there"),
    "a folder that is no run": ("report other", "other exists and is no run"),
    "a file": ("report thesis.html", "thesis.html exists and is no run"),
    "one that is not finished": ("report begun", "begun is not finished"),
    "a run twice": ("report t ./t --out x.html", "are the same run"),
    "over another page": ("report t --out thesis.html", "no page of yolo_slim"),
    "over the log": ("report t --out t/metrics.csv", "one that ends in .html"),
    "into a folder": ("report t --out other", "is a folder"),
    "json over the history": (
        "report t --json t/bundle/history.json", "history.json, which this command reads"),
    "a page and a document": ("report t --out x.html --json x.html", "name two files"),
    "json over a text": ("report t --json thesis.html", "is no JSON document"),
    "a verdict that is none": ("report odd", "sparsity.json is no verdict"),
    "a damaged checkpoint": ("report cut", "last.ckpt is damaged"),
    "arms beside a training": ("report t a --out x.html", "expected arms in all runs, or in none"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_everything_as_it_was(case, place, capsys):
    made_comparison(place / "a", {3: (0.5, 0.6)})
    made_training(place / "odd")
    (place / "odd/sparsity.json").write_text("[]")
    made_training(place / "cut")
    (place / "cut/checkpoints/last.ckpt").write_bytes(b"PK")
    (place / "begun/checkpoints").mkdir(parents=True)
    (place / "other").mkdir()
    (place / "other/page.html").write_text("mine")
    (place / "thesis.html").write_text("<!DOCTYPE html>dear")
    before = snapshot(place)
    command, fault = REFUSED[case]
    code, message = told(command, capsys)
    assert code == 2 and message.startswith("error: ") and fault in message
    assert message.count("\n") == 1
    assert snapshot(place) == before

"""`compare` of finished runs: seeds put together, or a row a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from command_line import status, told
from made_runs import made_comparison, made_compression, made_training


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    made_comparison(tmp_path / "a", {3: (0.5, 0.6), 4: (0.4, 0.45)})
    made_comparison(tmp_path / "b", {9: (0.6, 0.63)})
    made_comparison(tmp_path / "again", {3: (0.5, 0.6)})
    made_comparison(tmp_path / "longer", {5: (0.5, 0.6)}, epochs=2)
    made_compression(tmp_path / "c")
    made_training(tmp_path / "t")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_seeds_of_all_runs_are_put_together(place, capsys):
    """By hand: 0.1, 0.05 and 0.03 are gained: 0.06 on average."""
    assert status("compare a b --out ab --json told.json") == 0
    found = json.loads((place / "told.json").read_text())
    assert found["seeds"] == [3, 4, 9]
    alone, taught = found["arms"]
    assert alone["AP"] == [0.5, 0.4, 0.6] and taught["AP"] == [0.6, 0.45, 0.63]
    assert alone["mean"] == pytest.approx(0.5) and alone["deviation"] == pytest.approx(0.1)
    assert taught["gain"] == pytest.approx(0.06)
    assert taught["gain_error"] == pytest.approx(0.0208167, abs=1e-6)
    written = lines(place / "ab/arms.csv")
    assert [(line["arm"], line["seed"]) for line in written] == [
        (arm, seed) for arm in ("alone", "taught") for seed in "349"
    ]
    assert {line["device"] for line in written} == {"one CPU, 1 threads"}
    assert "the recipes" not in capsys.readouterr().out


def test_one_run_is_told_again(place):
    assert status("compare a --json told.json") == 0
    assert json.loads((place / "told.json").read_text())["seeds"] == [3, 4]


def test_what_else_differs_in_the_recipes_is_told(place, capsys):
    text = (place / "b/recipe.toml").read_text()
    (place / "b/recipe.toml").write_text(text.replace('"d.yaml"', '"other.yaml"'))
    assert status("compare a b") == 0
    assert "the recipes of these runs differ in: data" in capsys.readouterr().out


def test_other_runs_are_a_row_each(place):
    assert status("compare t c --out tc --json told.json") == 0
    rows = json.loads((place / "told.json").read_text())["runs"]
    assert [(row["name"], row["AP"], row["latency_ms"]) for row in rows] == [
        ("t", 0.3, None), ("c", 0.49, 2.5),
    ]  # fmt: skip
    first, second = lines(place / "tc/arms.csv")
    assert first["run"] == "t" and first["device"] == ""
    assert second["run"] == "c" and second["device"] == "one CPU, 1 threads"
    assert status("compare c t --out tc") == 0  # its own table is replaced


REFUSED = {
    "a recipe without a folder": ("compare a/recipe.toml", "--out is missing: a/recipe.toml"),
    "a recipe that is not there": ("compare none.toml --out x", "none.toml is not there"),
    "a recipe beside a run": ("compare a a/recipe.toml", "a/recipe.toml is a file"),
    "a folder that is none": ("compare a none", "none is not there"),
    "a seed twice": ("compare a again", "seed 3 is in a and in again"),
    "a run twice": ("compare a ./a", "are the same run"),
    "arms of another length": ("compare a longer", "arm alone is trained otherwise in longer"),
    "other arms": ("compare a other", "other has the arms alone, guided, a has alone, taught"),
    "arms beside none": ("compare a c", "a is a run of compare, c is one of compress"),
    "threads of runs": ("compare a b --threads 2", "--threads is for a recipe"),
    "into a run": ("compare a b --out t", "t is the folder of a run"),
    "over a run's own table": ("compare a b --out a", "a is the folder of a run"),
    "over another table": ("compare a b --out mine", "is no table of compare"),
    "json over a result": (
        "compare a --json a/01-teacher/result.json", "result.json, which this command reads"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_everything_as_it_was(case, place, capsys):
    made_comparison(place / "other", {7: (0.5, 0.6)})
    for path in ("recipe.toml", "arms.csv"):
        text = (place / "other" / path).read_text()
        (place / "other" / path).write_text(text.replace("taught", "guided"))
    result = place / "other/arms/02-taught-7"
    result.rename(place / "other/arms/02-guided-7")
    (place / "mine").mkdir()
    (place / "mine/arms.csv").write_text("my,own\n1,2\n")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    command, fault = REFUSED[case]
    code, message = told(command, capsys)
    assert code == 2 and message.startswith("error: ") and fault in message
    assert message.count("\n") == 1
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before


def test_what_is_not_there_is_no_recipe(place, capsys):
    assert status("compare nothere --out x") == 2
    assert "nothere is not there" in " ".join(capsys.readouterr().err.split())

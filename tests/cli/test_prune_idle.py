"""A cut that cuts nothing says so, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import totals
from yolo_slim.cli import main
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

KEPT = "keeps all that would have gone"


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    for folder, name, size in (("model", "yolov3-nano", 64), ("early", "preresnet20", 32)):
        cfg = build(name, 2, size)
        Bundle(cfg, random_weights(cfg)).save(tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def notes(command: str, capsys) -> list[str]:
    """Those of the JSON, each of which is printed, too."""
    with pytest.raises(SystemExit) as ended:
        main(f"{command} --out x --json x.json".split())
    assert ended.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    found = json.loads(Path("x.json").read_text())["notes"]
    assert all(f"note: {text}" in out for text in found)
    return found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--energy 0.001", "no channel went: no layer has channels weak enough for --energy 0.001"),
        ("--ratio 0", "no channel went: --ratio 0 of "),
        ("--ratio 0.00001", "no channel went: --ratio 1e-05 of "),
        ("--target-macs 1", "no channel went: the target is met without any"),
        ("--layers 6 --target-params 0.99", "no channel went: the target is met without any"),
        ("--granularity weight --ratio 0", "nothing became 0: --ratio 0 "),
        ("--granularity kernel --layer-keep 1", "nothing became 0: --ratio 0.5 "),
    ],
)
def test_nothing_goes_and_why_is_told(options, told, place, capsys):
    (note,) = notes(f"prune model {options}", capsys)
    assert note.startswith(told)
    document = json.loads((place / "x.json").read_text())
    if "--layers" not in options:
        counts = [
            {key: document[side][key] for key in ("parameters", "macs")}
            for side in ("before", "after")
        ]
        assert counts[0] == counts[1]
        assert document["before"]["macs"] == totals(build("yolov3-nano", 2, 64)).macs


@pytest.mark.parametrize(
    ("options", "told"),
    [("--select 0", "every block reads all: --select 0 of 224 is none"),
     ("--select 0.4 --layer-keep 1", f"every block reads all: --layer-keep 1 {KEPT}")],
)  # fmt: skip
def test_blocks_that_read_all_are_told(options, told, place, capsys):
    assert notes(f"prune early {options}", capsys) == [told]


def test_zeros_that_were_there_are_told(place, capsys):
    assert notes("prune model --granularity 2:4", capsys) == []
    (place / "x").rename(place / "zeros")
    told = "nothing became 0: two of every four were 0 before"
    assert notes("prune zeros --granularity 2:4", capsys) == [told]


@pytest.mark.parametrize(
    "options",
    ["--ratio 0.3", "--multiple 8", "--target-macs 0.5", "--granularity weight --ratio 0.3"],
)
def test_a_cut_that_cuts_does_not(options, place, capsys):
    assert not [note for note in notes(f"prune model {options}", capsys) if "no channel" in note]

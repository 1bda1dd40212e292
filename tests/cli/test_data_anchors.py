"""yolo-slim data anchors: numbers before and after, and a cfg that can be trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_sets import picture, voc_file, voc_object

from yolo_slim.cfg import read_cfg, render
from yolo_slim.cli import main
from yolo_slim.zoo import build


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """Twelve pictures of one box each, and a cfg."""
    for k in range(12):
        picture(tmp_path / "images" / f"{k}.png", 100, 100)
        voc_file(tmp_path / "xml" / f"{k}.xml", voc_object("cat", (0, 0, 10 + 7 * k, 90 - 5 * k)))
    picture(tmp_path / "bare" / "0.png")
    voc_file(tmp_path / "bare_xml" / "0.xml")
    (tmp_path / "my.cfg").write_text(render(build("yolov3-nano", 1, 64)))
    (tmp_path / "classifier.cfg").write_text(render(build("resnet18")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["data", "anchors", *command.split()])
    return int(caught.value.code or 0)


PAIR = "--images images --annotations xml"


def test_of_a_model_before_and_after_and_its_cfg(place, capsys):
    command = f"{PAIR} --model my.cfg --out fitted.cfg --json fit.json"
    assert run(command) == 0
    out = capsys.readouterr().out
    assert "of the model" in out and "fitted" in out and "64x64" in out
    told = json.loads((place / "fit.json").read_text())
    fit = told["fit"]
    assert told["boxes"] == 12
    assert fit["fitted"]["mean_best_iou"] > fit["of the model"]["mean_best_iou"]
    line = next(line for line in out.splitlines() if line.startswith("anchors="))
    typed = [float(word) for word in line.removeprefix("anchors=").split(",")]
    flat = [side for anchor in told["anchors"] for side in anchor]
    fitted = read_cfg(place / "fitted.cfg")
    assert typed == flat == [side for a in fitted.yolos[0].anchors_wh for side in a]
    given = read_cfg(place / "my.cfg")
    assert fitted.input_hw == given.input_hw and len(fitted.sections) == len(given.sections)
    assert run(command.replace("fit.json", "again.json")) == 0
    assert (place / "again.json").read_bytes() == (place / "fit.json").read_bytes()


def test_of_a_zoo_name_for_the_classes_of_the_data(place):
    assert run(f"{PAIR} --model yolov3-nano --size 96 --generations 0 --out zoo.cfg") == 0
    cfg = read_cfg(place / "zoo.cfg")
    assert cfg.input_hw == (96, 96) and cfg.n_classes == 1


def test_without_a_model(place, capsys):
    assert run(f"{PAIR} --k 3 --size 200") == 0
    out = capsys.readouterr().out
    assert "of the model" not in out and "200x200" in out
    line = next(line for line in out.splitlines() if line.startswith("anchors="))
    assert len(line.split(",")) == 6


BAD = {
    "no data": ("", "no data"),
    "no boxes": ("--images bare --annotations bare_xml", "has no boxes to fit anchors to"),
    "too many": (f"{PAIR} --k 50", "12 different box sizes cannot give 50 anchors"),
    "two counts": (f"{PAIR} --k 3 --model my.cfg", "leave one of them out"),
    "a cfg of nothing": (f"{PAIR} --out x.cfg", "--out writes the cfg of a model"),
    "no name of a cfg": (f"{PAIR} --model my.cfg --out x.txt", "ends in .cfg"),
    "over the model": (f"{PAIR} --model my.cfg --out my.cfg", "would replace"),
    "no such model": (f"{PAIR} --model yolov3-nan", "yolov3-nano"),
    "no such cfg": (f"{PAIR} --model none.cfg", "none.cfg"),
    "no detector": (f"{PAIR} --model classifier.cfg", "it is no detector"),
    "a size that does not fit": (f"{PAIR} --model my.cfg --size 100", "--size 100 does not fit"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_two_lines(place, case, capsys):
    command, told = BAD[case]
    before = sorted(place.rglob("*"))
    assert run(command) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and told in captured.err, captured.err
    assert len(captured.err.strip().splitlines()) <= 2
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("command", ["--k 0", "--generations -1", "--size 7", "--seed -1"])
def test_numbers_out_of_range_are_status_2(place, command):
    assert run(f"{PAIR} {command}") == 2

"""`--json FILE` takes the place of a JSON document, and of nothing else, whatever the verb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import status
from typer.main import get_command

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import totals
from yolo_slim.cli.app import app_of
from yolo_slim.cli.options import write_json
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

TWO = "--images pictures --annotations two.json"
COMMANDS = {
    "prune": "prune model --out x", "evaluate": "evaluate model " + TWO, "zoo": "zoo",
    "profile": "profile model", "scale": "scale yolov3-nano --search",
    "export_trt": "export_trt model --out x.engine", "factorize": "factorize model --out x",
    "quantize": "quantize model --out x " + TWO,
    "train": "train model --epochs 1 --out x " + TWO,
    "distill": "distill model --teacher model --out x " + TWO,
    "detect": "detect model 0 --out x",
    "convert": "convert model --out x", "export_onnx": "export_onnx model --out x.onnx",
    "export_openvino": "export_openvino model --out x.xml",
    "compress": "compress recipe.toml --out x", "compare": "compare recipe.toml --out x",
    "report": "report model",
    "data check": "data check " + TWO, "check_onnx": "check_onnx model.onnx",
    "data digits": "data digits --out x", "data download": "data download coco --out x",
    "data anchors": "data anchors " + TWO, "data convert": "data convert --to yolo --out x " + TWO,
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    cfg = build("yolov3-nano", 2, 64)
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    (tmp_path / "thesis.txt").write_text("dear")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("verb", COMMANDS)
def test_another_file_is_kept(verb, place, capsys):
    assert status(f"{COMMANDS[verb]} --json thesis.txt") == 2
    assert capsys.readouterr().err == (
        "error: thesis.txt exists and is no JSON document: nothing was written; choose another "
        "--json\n"
    )
    assert (place / "thesis.txt").read_text() == "dear"
    assert {path.name for path in place.iterdir()} == {"model", "thesis.txt"}


def test_every_verb_has_json_and_was_asked():
    commands = dict(get_command(app_of()).commands)
    commands |= {f"data {name}": c for name, c in commands.pop("data").commands.items()}
    found = {name for name, c in commands.items() if any("--json" in p.opts for p in c.params)}
    assert found == commands.keys() == COMMANDS.keys()


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("convert model --out x.json", "x.json"),
        ("convert model --darknet x", "x.cfg"),
        ("export_onnx model --out x.onnx", "x.onnx"),
        ("export_openvino model --out x.xml", "x.bin"),
    ],
)
def test_what_the_command_itself_writes_is_another_file(command, file, place, capsys):
    assert status(f"{command} --json {file}") == 2
    assert f"{file} would replace {file}" in capsys.readouterr().err
    assert not list(place.glob("x.*"))


def test_convert_tells_what_it_wrote(place):
    assert status("convert model --out b --json b.json") == 0
    assert status("convert model --darknet pair --json pair.json") == 0
    bundle, pair = (json.loads((place / f).read_text()) for f in ("b.json", "pair.json"))
    assert (bundle["written"], pair["written"]) == (["b"], ["pair.cfg", "pair.weights"])
    counts = totals(load_bundle(place / "model").cfg)
    for told, file in ((bundle, "b/model.safetensors"), (pair, "pair.weights")):
        assert (told["parameters"], told["macs"]) == (counts.parameters, counts.macs)
        assert told["file_bytes"] == (place / file).stat().st_size


@pytest.mark.parametrize(
    "there",
    ['{"images": [], "annotations": [], "categories": []}', '{"shapes": [], "imagePath": "a.png"}'],
)
def test_annotations_are_kept(there, place, capsys):
    (place / "train.json").write_text(there)
    assert status("prune model --out x --json train.json") == 2
    assert "train.json holds annotations and is kept" in capsys.readouterr().err
    assert (place / "train.json").read_text() == there and not (place / "x").exists()


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("prune model --out x", "x/history.json"),
        ("prune model --out x", "model/precision.json"),
        ("prune model --out x", "x"),
        ("data digits --train 2 --val 2 --out x", "x/annotations/train.json"),
        ("scale yolov3-nano --phi 1 --out x.cfg", "x.cfg"),
    ],
)
def test_what_a_command_has_made_meanwhile_is_kept(command, file, place, capsys):
    assert status(f"{command} --json {file}") == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    if (place / "x").is_dir() and "data" not in command:
        load_bundle(place / "x")
    load_bundle(place / "model")
    for made in place.glob("x/annotations/*.json"):
        assert json.loads(made.read_text())["categories"]
    for made in place.glob("x.cfg"):
        assert made.read_text().startswith("[net]")


@pytest.mark.parametrize("there", ["", "\n", '{"AP": 0.3}', "[]"])
def test_an_empty_file_or_a_document_is_replaced(there, place):
    (place / "told.json").write_text(there)
    assert status("prune model --out x --json told.json") == 0
    assert "convolutions" in json.loads((place / "told.json").read_text())


@pytest.mark.parametrize("there", [b"\xff\xd8\xff", b"[" * 100_000, b'{"a": 1}\n{"a": 2}\n'])
def test_what_cannot_be_read_as_one_document_is_kept(there, place):
    (place / "told.json").write_bytes(there)
    assert status("prune model --out x --json told.json") == 2
    assert (place / "told.json").read_bytes() == there


def test_a_device_is_written_to(place):
    assert status("prune model --out x --json /dev/null") == 0


def test_what_json_has_no_word_for_is_null(tmp_path):
    document = {"ap": float("nan"), "rows": [(1.5, float("inf")), {"-": -float("inf")}], "n": 2}
    write_json(tmp_path / "j", document)
    found = json.loads((tmp_path / "j").read_text(), parse_constant=pytest.fail)
    assert found == {"ap": None, "rows": [[1.5, None], {"-": None}], "n": 2}

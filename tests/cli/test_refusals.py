"""Bad input ends in status 2 and one or two lines, and nothing lies where nothing lay before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import render
from yolo_slim.cli import main
from yolo_slim.darknet_weights import write_darknet_weights
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build, names

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A folder with a bundle, a Darknet pair, a small data set and several broken things."""
    cfg = build("yolov3-nano", 2, 64)
    weights = random_weights(cfg)
    Bundle(cfg, weights).save(tmp_path / "model")

    (tmp_path / "good.cfg").write_text(render(cfg))
    write_darknet_weights(tmp_path / "good.weights", cfg, weights)
    (tmp_path / "cut.weights").write_bytes((tmp_path / "good.weights").read_bytes()[:999])
    (tmp_path / "broken.cfg").write_text("[net]\nwidth=64\nheight=64\n[convolutional]\nfilters=x\n")
    (tmp_path / "broken.onnx").write_bytes(b"no onnx at all")
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "note.txt").write_text("dear")
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "thesis.txt").write_text("dear")
    for folder in ("images", "corrupt", "absent"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((40, 50, 3), 90, np.uint8))
    (tmp_path / "corrupt" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n no pixels")
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 40}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400,
             "iscrowd": 0}
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }  # fmt: skip
    (tmp_path / "two.json").write_text(json.dumps(document))
    document["categories"] = document["categories"][:1]
    (tmp_path / "one.json").write_text(json.dumps(document))
    (tmp_path / "empty.json").write_text(json.dumps({k: [] for k in document}))
    (tmp_path / "broken.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"folder"
            for p in sorted(folder.rglob("*"))}  # fmt: skip


TWO = "--images images --annotations two.json"
CASES = {
    "model that is nowhere": ("evaluate nowhere " + TWO, "'nowhere'"),
    "zoo name with a typo": ("profile yolov3-tinny", "yolov3-tiny"),
    "zoo name without weights": ("prune yolov3-nano --out x", "no trained weights"),
    "folder that is no bundle": ("prune images --out x", "no bundle"),
    "file that is no model": ("prune note.txt --out x", "expected a bundle folder"),
    "missing cfg": ("convert none.cfg --out x", "none.cfg: cannot be read"),
    "broken cfg": ("convert broken.cfg --weights good.weights --out x", "broken.cfg:5"),
    "missing weights": ("convert good.cfg --weights none.weights --out x", "cannot be read"),
    "truncated weights": ("convert good.cfg --weights cut.weights --out x", "cut short"),
    "weights for a bundle": ("convert model --weights good.weights --out x", "leave out --weights"),
    "names that are too many": ("convert model --names names.txt --out x", "3 names"),
    "missing names": ("convert model --names none.txt --out x", "none.txt"),
    "convert to nothing": ("convert model", "--out"),
    "convert to both": ("convert model --out x --darknet y", "--darknet"),
    "convert over a folder": ("convert model --out occupied", "no bundle"),
    "convert over a file": ("convert model --out note.txt", "no bundle"),
    "prune over a folder": ("prune model --ratio 0.3 --out occupied", "no bundle"),
    "prune by two targets": ("prune model --ratio 0.3 --target-macs 0.5 --out x", "exactly one"),
    "prune by too much": ("prune model --ratio 1.5 --out x", "--ratio"),
    "impossible target": ("prune model --target-macs 0.0001 --out x", "the least is"),
    "int8 without ranges": ("export_onnx model --int8 cpu --out x.onnx", "run quantize first"),
    "export of an onnx": ("export_onnx broken.onnx --out x.onnx", "is an ONNX file"),
    "export over a folder": ("export_onnx model --out occupied", "occupied"),
    "unknown runtime": ("evaluate model --runtime tpu " + TWO, "'tpu'"),
    "onnx in torch": ("evaluate broken.onnx --runtime torch " + TWO, "onnxruntime"),
    "missing onnx": ("evaluate none.onnx " + TWO, "none.onnx"),
    "broken onnx": ("evaluate broken.onnx " + TWO, "broken.onnx"),
    "check of a missing onnx": ("check_onnx none.onnx", "none.onnx"),
    "check of a broken onnx": ("check_onnx broken.onnx", "broken.onnx: no ONNX model"),
    "check of a folder": ("check_onnx model", "model is a folder"),
    "no data": ("evaluate model", "no data"),
    "missing data": ("evaluate model --data none.yaml", "none.yaml"),
    "images alone": ("evaluate model --images images", "annotations"),
    "missing annotations": ("evaluate model --images images --annotations none.json", "none.json"),
    "broken annotations": (
        "evaluate model --images images --annotations broken.json", "broken.json"),
    "empty data set": ("evaluate model --images images --annotations empty.json", "empty.json"),
    "other classes": ("evaluate model --images images --annotations one.json", "2 classes"),
    "missing image": ("evaluate model --images absent --annotations two.json", "a.png"),
    "corrupt image": ("evaluate model --images corrupt --annotations two.json", "a.png"),
    "corrupt image to calibrate on": (
        "quantize model --images corrupt --annotations two.json --out x", "a.png"),
    "quantize without data": ("quantize model --out x", "no data"),
    "train without data": ("train yolov3-nano --epochs 1 --out x", "no data"),
    "train on a corrupt image": (
        "train yolov3-nano --size 64 --epochs 1 --images corrupt --annotations two.json --out x",
        "a.png"),
    "train to resume nothing": (
        "train yolov3-nano --epochs 1 --resume --out x " + TWO, "no checkpoint"),
    "rate out of range": ("train yolov3-nano --epochs 1 --lr 99 --out x " + TWO, "--lr"),
    "teacher that was never trained": (
        "train yolov3-tiny --size 64 --epochs 1 --teacher resnet18 --out x " + TWO, "resnet18"),
    "missing recipe": ("compress none.toml --out x", "none.toml"),
    "recipe that is none": ("compress note.txt --out x", "not TOML"),
    "missing picture": ("detect model none.jpg --out x", "none.jpg"),
    "corrupt picture": ("detect model corrupt/a.png --out x", "a.png"),
    "digits over a folder": ("data digits --out occupied", "occupied"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_in_two_lines_and_leaves_nothing(case, place, capsys):
    command, told = CASES[case]
    before = snapshot(place)
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    captured = capsys.readouterr()
    assert caught.value.code == 2, captured.err
    assert captured.err.startswith("error: ")
    assert told in captured.err
    assert len(captured.err.strip().splitlines()) <= 2
    assert "Traceback" not in captured.err + captured.out
    assert snapshot(place) == before


@pytest.mark.parametrize(
    "command",
    [
        "",
        "frobnicate",
        "prune model",
        "evaluate",
        "zoo --size 7",
        "evaluate model --conf 2",
        "data digits --out x --train 0",
    ],
)
def test_unusable_arguments_are_status_2(command, place, capsys):
    before = snapshot(place)
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
    assert snapshot(place) == before


def test_good_input_is_status_0_and_what_it_writes_can_be_read(place, capsys):
    for command in (
        "convert good.cfg --weights good.weights --out again",
        "prune again --ratio 0.3 --out slim --json slim.json",
        "quantize slim --out int8 " + TWO,
        "export_onnx int8 --int8 cpu --out int8.onnx",
        "evaluate int8.onnx --json ap.json " + TWO,
    ):
        with pytest.raises(SystemExit) as caught:
            main(command.split())
        assert caught.value.code == 0, capsys.readouterr().err
    told = json.loads((place / "slim.json").read_text())
    assert 0 < told["after"]["macs"] < told["before"]["macs"]
    numbers = json.loads((place / "ap.json").read_text())
    assert numbers["runtime"] == "onnxruntime"
    assert {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm",
            "ARl", "model", "images"} <= numbers.keys()  # fmt: skip


def test_a_tool_is_a_door_to_the_same_verb(tmp_path):
    command = [sys.executable, str(REPOSITORY / "tools" / "check_onnx.py"), "none.onnx"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("error: none.onnx: ")


def test_the_zoo_is_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, out, err = told("zoo --json zoo.json", capsys)
    assert status == 0 and err == ""
    assert all(name in out for name in names())
    document = json.loads((tmp_path / "zoo.json").read_text())
    assert document["yolov3-tiny"] == {"parameters": 8_852_366, "macs": 2_782_480_896}


def told(command: str, capsys) -> tuple[int, str, str]:
    """Exit status, standard output in one line, standard error of a command."""
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), " ".join(out.split()), err


@pytest.mark.parametrize(
    "command",
    ["convert typo.cfg --weights my.weights --out made", "prune typo.cfg --weights my.weights "
     "--ratio 0.1 --out made", "export_onnx typo.cfg --weights my.weights --out made.onnx",
     "detect typo.cfg picture.png --weights my.weights --out made",
     "profile typo.cfg --weights my.weights --runtime torch"],
    ids=lambda c: c.split()[0],
)  # fmt: skip
def test_every_verb_tells_a_misspelt_key(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cfg = build("yolov3-nano", 2, 64)
    write_darknet_weights(Path("my.weights"), cfg, random_weights(cfg))
    Path("typo.cfg").write_text(render(cfg).replace("size=3\n", "size=3\nstrid=2\n", 1))
    cv2.imwrite("picture.png", np.zeros((40, 40, 3), np.uint8))
    status, out, err = told(command, capsys)
    assert (status, err) == (0, "")
    assert "strid=2 is kept, and read by nobody; did you mean stride?" in out


def test_profile_counts_the_network_as_it_was_made(tmp_path, capsys):
    for runtime in ("torch", "onnxruntime"):
        path = tmp_path / f"{runtime}.json"
        command = f"profile mobilenetv2-0.5 --size 32 --runtime {runtime} --json {path}"
        assert told(command, capsys)[0] == 0
        assert json.loads(path.read_text())["totals"]["parameters"] == 1_968_680


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("profile yolov3-tiny --size 100", "--size 100 does not fit yolov3-tiny"),
        ("zoo --match nothing", "'nothing'"),
        ("scale yolov3-nano --phi 1 --latency", "--latency goes with --search"),
        ("zoo --json .", ". is a folder"),
        ("convert mobilenetv2 --backbone-weights none.pth --out x", "none.pth: cannot be read"),
        ("convert yolov3-mobilenetv4 --out x", "did you mean yolov3-mobilenetv"),
    ],
)
def test_a_wish_that_cannot_be_met_is_told_in_a_line(command, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, _, err = told(command, capsys)
    assert status == 2
    assert words in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())

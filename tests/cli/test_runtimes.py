"""--runtime and export_openvino as they are typed: what comes of them, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import status, told

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import parse, render
from yolo_slim.cli import profile
from yolo_slim.darknet_weights import write_darknet_weights
from yolo_slim.export.openvino_model import export_openvino
from yolo_slim.pipeline.darknet_pair import write_darknet_pair
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.weights import random_weights

TEXT = (
    "[net]\nwidth=32\nheight=32\n[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=4\n"
    "pad=1\nactivation={}\n[convolutional]\nfilters=14\nactivation=linear\n"
    "[yolo]\nmask=0,1\nanchors=4,5, 9,8\nclasses=2\nnum=2\n"
)
TWO = "--images images --annotations two.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, bytes]:
    """A bundle for OpenVINO."""
    folder = tmp_path_factory.mktemp("made")
    cfg = parse(TEXT.format("leaky"), "small.cfg")
    export_openvino(Bundle(cfg, random_weights(cfg)), folder / "good.xml")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch, made) -> Path:
    """Bundles, a data set, .xml files that are whole, broken or somebody else's; short timings."""
    quick = partial(measure_latency, rounds=1, seconds_per_round=0.01)
    monkeypatch.setattr(profile, "measure_latency", quick)
    for name, activation in (("model", "leaky"), ("six", "relu6")):
        cfg = parse(TEXT.format(activation), "small.cfg")
        Bundle(cfg, random_weights(cfg)).save(tmp_path / name)
    (tmp_path / "images").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"images/{number}.png"), np.full((40, 50, 3), 60, np.uint8))
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 50, "height": 40} for n in range(4)],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400,
             "iscrowd": 0}
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }  # fmt: skip
    (tmp_path / "two.json").write_text(json.dumps(document))
    good = made[".xml"].decode()
    files = {
        "good.xml": good,
        "lonely.xml": good,
        "cut.xml": good[: len(good) // 2],
        "bin-cut.xml": good,
        "empty.xml": "",
        "voc.xml": "<annotation><object/></annotation>",
        "other.xml": good.replace("yolo_slim.cfg", "ultralytics"),
        "lying.xml": good.replace("classes=2", "classes=3").replace("filters=14", "filters=16"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).with_suffix(".bin").write_bytes(made[".bin"])
    (tmp_path / "lonely.bin").unlink()
    (tmp_path / "bin-cut.bin").write_bytes(made[".bin"][:100])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


CASES = {
    "no such engine": ("evaluate model --runtime tpu " + TWO, "'tpu' is unknown; choose one of"),
    "no such engine for a file": ("evaluate good.xml --runtime tpu " + TWO, "'tpu' is unknown"),
    "an .xml that is nowhere": ("evaluate none.xml " + TWO, "none.xml: no such file"),
    "an .xml in torch": (
        "evaluate good.xml --runtime torch " + TWO,
        "good.xml is an OpenVINO file: it runs in openvino, openvino-f32, not torch"),
    "an .onnx in opencv": (
        "evaluate a.onnx --runtime opencv " + TWO,
        "is an ONNX file: it runs in onnxruntime, openvino, openvino-f32, not opencv"),
    "weights for an .xml": (
        "evaluate good.xml --weights good.bin " + TWO, "--weights makes no sense with it"),
    "names for an .xml": (
        "evaluate good.xml --names names.txt " + TWO, "--names makes no sense with it"),
    "another size of an .xml": ("evaluate good.xml --size 64 " + TWO, "made for 32x32 px"),
    "half an .xml": ("evaluate cut.xml " + TWO, "cut.xml: OpenVINO cannot load it"),
    "an empty .xml": ("evaluate empty.xml " + TWO, "empty.xml: OpenVINO cannot load it"),
    "no .bin": ("evaluate lonely.xml " + TWO, "lonely.xml: OpenVINO cannot load it"),
    "half a .bin": ("evaluate bin-cut.xml " + TWO, "bin-cut.xml: OpenVINO cannot load it"),
    "an annotation": ("evaluate voc.xml " + TWO, "voc.xml"),
    "somebody else's": ("detect other.xml images --out x", "carries no cfg in its metadata"),
    "other heads": ("evaluate lying.xml " + TWO, "outputs are not the heads"),
    "training of an .xml": ("prune good.xml --ratio 0.1 --out x", "good.xml is an OpenVINO file"),
    "an .xml exported": ("export_openvino good.xml --out x.xml", "good.xml is an OpenVINO file"),
    "relu6 in opencv": (
        "evaluate six --runtime opencv " + TWO, "activation=relu6: OpenCV does not read it"),
    "another ending": ("export_openvino model --out x.onnx", "ends in .xml"),
    "data without --int8": ("export_openvino model --out x.xml " + TWO, "--int8 calibrates on"),
    "images without --int8": (
        "export_openvino model --out x.xml --n-images 9", "--n-images does nothing without --int8"),
    "seed without --int8": (
        "export_openvino model --out x.xml --seed 0", "--seed does nothing without --int8"),
    "--int8 without data": ("export_openvino model --out x.xml --int8", "no data"),
    "over its own weights": (
        "export_openvino pair.cfg --weights pair.bin --out pair.xml", "pair.bin would replace"),
    "over a folder": ("export_openvino model --out images.xml", "images.xml is a folder"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_run_is_told_in_two_lines_and_leaves_nothing(case, place, capfd):
    command, words = CASES[case]
    (place / "images.xml").mkdir()
    cfg = parse(TEXT.format("leaky"))
    (place / "pair.cfg").write_text(render(cfg))
    write_darknet_weights(place / "pair.bin", cfg, random_weights(cfg))
    before = snapshot(place)
    assert status(command) == 2
    err = capfd.readouterr().err  # OpenVINO and OpenCV write past Python
    assert err.startswith("error: ") and words in err
    assert len(err.strip().splitlines()) <= 2
    assert snapshot(place) == before


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("openvino", "evaluate model --runtime openvino " + TWO),
        ("openvino", "evaluate good.xml " + TWO),
        ("openvino", "profile model --runtime openvino-f32"),
        ("openvino", "export_openvino model --out x.xml"),
        ("nncf", "export_openvino model --out x.xml --int8 " + TWO),
        ("pnnx", "evaluate model --runtime ncnn " + TWO),
        ("openvino", "prune model --out slim --latency --runtime openvino"),
        ("ncnn", "prune model --out slim --target-latency-ms 9 --runtime ncnn"),
        ("openvino", "prune model --out curve --sweep --runtime openvino --data none.yaml"),
    ],
)
def test_a_package_that_is_missing_is_named(package, command, place, capsys, monkeypatch):
    for module in [m for m in sys.modules if m == package or m.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    before = snapshot(place)
    code, err = told(command, capsys)
    assert code == 2
    assert err.startswith(f"error: {package} is needed and cannot be imported")
    extra = "openvino" if package in ("openvino", "nncf") else "ncnn"
    assert err.endswith(f'pip install "yolo-slim[{extra}]"\n')
    assert snapshot(place) == before


def test_profile_says_where_int8_is_imitated(place, capsys):
    assert status("quantize model --images images --out rounded") == 0
    capsys.readouterr()
    assert status("profile model --compare rounded --runtime torch --runtime onnxruntime") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.count("is imitated in float") == 1
    assert "rounded in torch: INT8 is imitated in float" in text


def test_what_is_exported_can_be_evaluated_drawn_and_profiled(place, capsys):
    for command in (
        "export_openvino model --out float.xml",
        f"export_openvino model --out int8.xml --int8 --n-images 3 --json x.json {TWO}",
        f"evaluate float.xml --json float.json {TWO}",
        f"evaluate int8.xml --runtime openvino-f32 --json int8.json {TWO}",
        "detect int8.xml images --out seen",
        "profile float.xml --compare int8.xml --compare model --json profile.json",
    ):
        assert status(command) == 0, capsys.readouterr().err
    out = " ".join(capsys.readouterr().out.split())
    assert "1 convolutions in INT8, ranges from 3 images" in out
    assert "3 images are few" in out
    told = json.loads((place / "x.json").read_text())
    assert (told["file"], told["int8"]) == ("int8.xml", "nncf")
    assert told["file_bytes"] == sum(
        (place / f"int8{end}").stat().st_size for end in (".xml", ".bin")
    )
    assert told["inputs"] == [{"name": "images", "shape": [1, 3, 32, 32]}]
    assert told["outputs"] == [{"name": "head_0", "shape": [1, 14, 8, 8]}]
    assert json.loads((place / "float.json").read_text())["runtime"] == "openvino"
    assert json.loads((place / "int8.json").read_text())["runtime"] == "openvino-f32"
    document = json.loads((place / "profile.json").read_text())
    found = [(row["model"], row["runtime"]) for row in document["latencies"]]
    assert found == [("float.xml", "openvino"), ("int8.xml", "openvino"), ("model", "onnxruntime")]
    sizes = sum((place / name).stat().st_size for name in ("float.xml", "float.bin"))
    assert document["totals"]["file_bytes"] == sizes


@pytest.mark.parametrize(
    "how", ["six third", "--compare six third", "--compare six --compare third"]
)
def test_models_to_compare_may_follow_each_other(how, place):
    shutil.copytree(place / "model", place / "third")
    assert status(f"profile model {how} --json p.json") == 0
    document = json.loads((place / "p.json").read_text())
    assert [row["model"] for row in document["latencies"]] == ["model", "six", "third"]
    assert list(document["compare"]) == ["six", "third"]


@pytest.mark.parametrize("how", ["model", "six --compare six"])
def test_a_model_is_timed_once(how, place, capsys):
    code, err = told(f"profile model {how}", capsys)
    assert code == 2
    assert f"{how.split()[0]} is named twice" in err


def test_the_file_of_a_run_is_that_of_its_bundle(place):
    """Beside it lie what it began with, answers of a teacher and the like."""
    for name in ("run/bundle", "run/calibrated", "run/cache/teacher/other"):
        shutil.copytree(place / "model", place / name)
    write_darknet_pair(load_bundle(place / "model"), place / "pair")
    size = (place / "model/model.safetensors").stat().st_size
    assert status("profile run model pair.cfg --json p.json") == 0
    document = json.loads((place / "p.json").read_text())
    assert document["totals"]["file_bytes"] == document["compare"]["model"]["file_bytes"] == size
    assert document["compare"]["pair.cfg"]["file_bytes"] is None


def test_one_model_is_timed_in_several_engines(place, capsys):
    engines = ["torch", "openvino", "opencv"]
    wanted = " ".join(f"--runtime {name}" for name in engines)
    assert status(f"profile model --compare six {wanted} --json p.json") == 2  # relu6
    assert status(f"profile model {wanted} --json p.json") == 0
    document = json.loads((place / "p.json").read_text())
    assert [row["runtime"] for row in document["latencies"]] == engines
    assert document["runtime"] == "torch"
    assert document["totals"]["latency_ms"] == document["latencies"][0]["latency_ms"] > 0

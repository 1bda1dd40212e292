"""export_onnx as it is typed: what goes together, what does not, and that the files are run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from command_line import status, told
from head_zoo import head_cfg, images
from kitchen_sink import classifier

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import totals
from yolo_slim.quantize.calibrate import quantize


@pytest.fixture
def place(tmp_path: Path, random_bundle, monkeypatch) -> Path:
    """A detector, the same with INT8 ranges, one with nms_kind=diounms, a classifier, a picture."""
    cfg = head_cfg("yolo")
    bundle = random_bundle(cfg, dtype=torch.float32)
    bundle.save(tmp_path / "model")
    quantize(bundle, [torch.from_numpy(images(cfg, 4))]).save(tmp_path / "int8")
    sections = [replace(s, nms_kind="diounms") if s in cfg.heads else s for s in cfg]
    replace(bundle, cfg=replace(cfg, sections=tuple(sections))).save(tmp_path / "diou")
    random_bundle(classifier(), dtype=torch.float32).save(tmp_path / "classifier")
    noise = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), noise)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("int8 --int8 tensorrt --half --dynamic-batch", {"int8": "tensorrt", "half": True}),
        ("model --output boxes", {"int8": None, "half": False, "gives": "boxes"}),
        ("model --nms", {"gives": "detections"}),
    ],
)
def test_json_tells_what_the_file_takes_and_gives(options, expected, place):
    assert status(f"export_onnx {options} --out x.onnx --json x.json") == 0
    document = json.loads((place / "x.json").read_text())
    path = place / "x.onnx"
    assert document.items() >= {**expected, "file": "x.onnx"}.items()
    assert document["file_bytes"] == path.stat().st_size
    counts = totals(load_bundle(place / options.split()[0]).cfg)
    assert (document["parameters"], document["macs"]) == (counts.parameters, counts.macs)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for key, tensors in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        assert document[key] == [{"name": t.name, "shape": t.shape} for t in tensors]


REFUSED = {
    "boxes of a classifier": ("classifier --output boxes", "no detection head"),
    "suppression of a classifier": ("classifier --nms", "no detection head"),
    "rules without suppression": ("model --conf 0.3 --nms-iou 0.5", "--conf, --nms-iou without"),
    "a limit without suppression": ("model --output boxes --max-detections 9", "add --nms"),
    "raw maps and suppression": ("model --output raw --nms", "leave one out"),
    "FP16 for integer kernels of a CPU": ("int8 --int8 cpu --half", "--int8 tensorrt"),
    "INT8 boxes without ranges": ("model --int8 tensorrt --nms --half", "run quantize first"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_written(case, place, capsys):
    options, words = REFUSED[case]
    code, err = told(f"export_onnx {options} --out x.onnx", capsys)
    assert (code, words in err, len(err.strip().splitlines()) <= 2) == (2, True, True), err
    assert not list(place.glob("*.onnx"))


@pytest.mark.parametrize("option", ["--max-detections 3001", "--max-detections 0", "--conf 1.5",
                                    "--nms-iou -1"])  # fmt: skip
def test_out_of_range(option, place, capsys):
    assert told(f"export_onnx model --nms {option} --out x.onnx", capsys)[0] == 2
    assert not list(place.glob("*.onnx"))


def found(folder: str) -> list[dict]:
    lines = Path(folder, "detections.jsonl").read_text().splitlines()
    return [detection for line in lines for detection in json.loads(line)["detections"]]


def test_every_file_is_run_and_finds_what_the_bundle_does(place, capsys):
    files = {
        "raw": "model",
        "boxes": "model --output boxes --dynamic-batch",
        "nms": "model --nms --conf 0.2 --nms-iou 0.4",
    }
    seen = {}
    for name, options in files.items():
        assert status(f"export_onnx {options} --out {name}.onnx") == 0
        assert status(f"detect {name}.onnx a.png --conf 0.3 --nms 0.4 --out {name}") == 0
        seen[name] = found(name)
    assert "note:" not in capsys.readouterr().out
    assert len(seen["raw"]) > 5
    for name in ("boxes", "nms"):
        for a, b in zip(seen["raw"], seen[name], strict=True):
            assert a["class_id"] == b["class_id"]
            assert a["box_xyxy"] == pytest.approx(b["box_xyxy"], abs=0.02)


@pytest.mark.parametrize("options", ["--int8 tensorrt --half --output boxes", "--int8 cpu --nms",
                                     "--int8 tensorrt --half --nms --dynamic-batch"])  # fmt: skip
def test_int8_goes_with_boxes(options, place, capsys):
    assert status("export_onnx int8 --int8 tensorrt --out raw.onnx") == 0
    assert status(f"export_onnx int8 {options} --out x.onnx") == 0
    for name in ("raw", "x"):
        assert status(f"detect {name}.onnx a.png --conf 0.1 --out {name}") == 0
    raw, x = found("raw"), found("x")
    assert len(raw) > 5
    assert abs(len(raw) - len(x)) <= 0.2 * len(raw)


def test_what_a_file_has_decided_is_told_where_something_else_is_asked(place, capsys):
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 90, "height": 70}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20],
                         "area": 400, "iscrowd": 0}],
        "categories": [{"id": k, "name": f"class {k}"} for k in (1, 2, 3)],
    }  # fmt: skip
    Path("a.json").write_text(json.dumps(document))
    assert status("export_onnx model --nms --conf 0.25 --out x.onnx") == 0
    capsys.readouterr()
    data = "--images . --annotations a.json"
    for command, unheard in {
        f"evaluate x.onnx {data}": "--conf 0.005 cannot",
        "detect x.onnx a.png --out d": "",
        f"evaluate x.onnx {data} --conf 0.3 --nms 0.6": "--nms 0.6 cannot",
        "detect x.onnx a.png --out d --conf 0.1 --nms 0.6": "--conf 0.1 and --nms 0.6 cannot",
    }.items():
        assert status(command) == 0
        out = " ".join(capsys.readouterr().out.split())
        if unheard:
            assert "x.onnx suppresses by itself: scores above 0.25, IoU above 0.45, 300 an" in out
            assert unheard in out
        else:
            assert "suppresses" not in out


@pytest.mark.parametrize(
    ("profile", "vnni", "warned"),
    [("cpu-vnni", False, True), ("cpu-vnni", True, False), ("cpu", False, False)],
)
def test_kernels_of_another_cpu_are_warned_of(profile, vnni, warned, place, monkeypatch, capsys):
    monkeypatch.setattr("yolo_slim.cli.options.has_vnni", lambda: vnni)
    assert status(f"export_onnx int8 --int8 {profile} --out x.onnx") == 0
    assert status("detect x.onnx a.png --out d") == 0
    assert ("made for CPUs with VNNI" in capsys.readouterr().out) == warned


def test_a_cfg_that_asks_for_other_suppression_is_told(place, capsys):
    assert status("export_onnx diou --output boxes --out x.onnx") == 0
    assert "diounms" not in capsys.readouterr().out
    assert status("export_onnx diou --nms --out x.onnx") == 0
    assert "nms_kind=diounms: in the graph IoU alone decides" in capsys.readouterr().out.replace(
        "\n", " "
    )


def test_the_last_line_says_what_the_file_is(place, capsys):
    assert status("export_onnx int8 --int8 tensorrt --half --nms --out x.onnx") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("x.onnx: ")
    assert out.endswith("input 64x32, INT8 for tensorrt, else FP16, gives detections")

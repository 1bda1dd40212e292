"""export_trt: what is written, what is refused before anything is, and what a check tells."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import imitation_tensorrt
import numpy as np
import onnx
import pytest
import torch
from command_line import status, told

from yolo_slim.bundle import Bundle
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.runtime.latency import Latency
from yolo_slim.trt.engine_file import read_plan, read_record
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

RTX = "--flavor rtx --compute-capability 8.6"
TWO = "--images pictures --annotations two.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A float bundle, a quantized one, and ONNX files of them."""
    folder = tmp_path_factory.mktemp("made")
    cfg = build("yolov3-nano", 2, 64)
    bundle = Bundle(cfg, random_weights(cfg), class_names=("cat", "dog"))
    bundle.save(folder / "model")
    int8 = quantize(bundle, [torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))])
    int8.save(folder / "int8")
    export_onnx(bundle, folder / "float.onnx")
    export_onnx(bundle, folder / "dynamic.onnx", dynamic_batch=True)
    export_onnx(bundle, folder / "suppressed.onnx", answer="detections")
    export_onnx(int8, folder / "cpu.onnx", int8="cpu")
    foreign = onnx.load(folder / "float.onnx")
    del foreign.metadata_props[:]
    onnx.save(foreign, folder / "foreign.onnx")
    (folder / "broken.onnx").write_bytes(b"no onnx at all")
    (folder / "note.txt").write_text("dear")
    (folder / "taken.engine.json").write_text('{"AP": 0.3}')
    (folder / "pictures").mkdir()
    cv2.imwrite(str(folder / "pictures/a.png"), np.full((40, 50, 3), 90, np.uint8))
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400,
           "iscrowd": 0}  # fmt: skip
    (folder / "two.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 40}],
        "annotations": [box], "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }))  # fmt: skip
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Path:
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_gpu(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


WITHOUT_TENSORRT = {
    "no GPU": ("model --out x.engine", "needs an NVIDIA GPU"),
    "no GPU for layers": (f"model --out x.engine {RTX} --layers l.json", "--layers needs a"),
    "no GPU for torch": ("model --out x.engine --route torch-tensorrt", "needs an NVIDIA GPU"),
    "no name": ("model", "--out is missing"),
    "another suffix": (f"model --out x.plan {RTX}", "ends in .engine"),
    "a folder": (f"model --out pictures {RTX}", "ends in .engine"),
    "what is read": (f"float.onnx --out x.engine {RTX} --json float.onnx", "would replace"),
    "another record": (f"model --out taken.engine {RTX}", "taken.engine.json exists and does not"),
    "cache over the model": ("float.onnx --out x.engine --timing-cache float.onnx", "replace"),
    "cache over the engine": ("model --out x.engine --timing-cache x.engine", "would replace"),
    "json over the record": ("model --out x.engine --json x.engine.json", "would replace"),
    "layers over json": ("model --out x.engine --json j --layers j", "would replace"),
    "layers over a text": (f"model --out x.engine {RTX} --layers note.txt", "no JSON document"),
    "batch that is none": (f"model --out x.engine {RTX} --batch 4,2,1", "MIN,OPT,MAX"),
    "capability of the other": ("model --out x.engine --compute-capability 8.6", "--flavor rtx"),
    "cache for rtx": (f"model --out x.engine {RTX} --timing-cache c", "--timing-cache is for"),
    "versions for rtx": (f"model --out x.engine {RTX} --version-compatible", "lean runtime"),
    "hardware for rtx": (f"model --out x.engine {RTX} --hardware-compatible", "8.0 and newer"),
    "rest of a float": (f"model --out x.engine {RTX} --precision fp16 --float-rest fp16", "INT8"),
    "rest without INT8": (f"model --out x.engine {RTX} --float-rest fp16", "model is fp32"),
    "an engine": (f"x.engine --out y.engine {RTX}", "is an engine already"),
    "data without a check": (f"model --out x.engine {RTX} --data d.yaml", "is for --selftest"),
    "a check that writes": (f"model --selftest --out x.engine {RTX}", "--out makes no sense"),
    "a check of one type": (f"model --selftest --precision fp16 {RTX}", "--precision makes no"),
    "a check of a file": (f"float.onnx --selftest {RTX}", "needs a bundle"),
    "torch for rtx": (f"model --out x.engine --route torch-tensorrt {RTX}", "--flavor makes no"),
    "torch of many": ("model --out x.engine --route torch-tensorrt --batch 4", "--batch makes no"),
    "torch of INT8": ("model --out x.engine --route torch-tensorrt --precision int8", "ModelOpt"),
    "torch of a file": ("float.onnx --out x.engine --route torch-tensorrt", "starts at a bundle"),
}  # fmt: skip

WITH_RTX = {
    "unknown capability": ("model --out x.engine --flavor rtx --compute-capability 9.0",
                           "builds for 7.5, 8.0, 8.6"),
    "nowhere": (f"nowhere --out x.engine {RTX}", "'nowhere'"),
    "no such file": (f"nowhere.onnx --out x.engine {RTX}", "no such file"),
    "no weights": (f"yolov3-nano --out x.engine {RTX}", "no trained weights"),
    "a text": (f"note.txt --out x.engine {RTX}", "expected a bundle folder"),
    "broken": (f"broken.onnx --out x.engine {RTX}", "no ONNX model"),
    "of another maker": (f"foreign.onnx --out x.engine {RTX}", "no cfg in its metadata"),
    "never quantized": (f"model --out x.engine {RTX} --precision int8", "`yolo-slim quantize`"),
    "a float file as INT8": (f"float.onnx --out x.engine {RTX} --precision int8", "is fp32"),
    "weights of a file": (f"float.onnx --out x.engine {RTX} --weights w", "--weights makes no"),
    "size of a file": (f"float.onnx --out x.engine {RTX} --size 96", "--size makes no sense"),
    "batch of a file": (f"float.onnx --out x.engine {RTX} --batch 1,2,4", "--dynamic-batch"),
    "suppression": (f"suppressed.onnx --out x.engine {RTX}", "--output boxes"),
    "for the CPU": (f"cpu.onnx --out x.engine {RTX}", "check_onnx` names all"),
}  # fmt: skip


@pytest.mark.parametrize("case", [*WITHOUT_TENSORRT, *WITH_RTX])
def test_refused_in_a_line_or_two_with_nothing_written(case, place, no_gpu, capsys):
    if case in WITH_RTX:
        pytest.importorskip("tensorrt_rtx")
    arguments, fault = (WITHOUT_TENSORRT | WITH_RTX)[case]
    before = snapshot(place)
    code, error = told(f"export_trt {arguments}", capsys)
    assert (code, error.startswith("error: ")) == (2, True), error
    assert fault in error and error.count("\n") <= 2 and "Traceback" not in error
    assert snapshot(place) == before


def test_an_engine_and_what_it_is(place, capsys):
    pytest.importorskip("tensorrt_rtx")
    command = f"export_trt int8 --out new/x.engine {RTX} --float-rest fp16 --batch 1,2,4 --json j"
    assert status(command) == 0
    path = place / "new/x.engine"
    record = read_record(path)
    assert len(read_plan(path, record)) == record.plan_bytes
    assert (record.precision, record.compute_capability, record.batch) == (
        "int8+fp16",
        "8.6",
        (1, 2, 4),
    )
    assert record.outputs == ("head_0", "head_1")
    document = json.loads((place / "j").read_text())
    assert document["sha256"] == record.sha256 and document["flavor"] == "rtx"
    assert "note:" not in capsys.readouterr().out
    assert status(f"export_trt float.onnx --out new/x.engine {RTX}") == 0  # its own may be replaced
    assert read_record(path).precision == "fp32"


def test_without_a_capability_it_says_for_what_it_built(place, capsys):
    pytest.importorskip("tensorrt_rtx")
    assert status("export_trt dynamic.onnx --out x.engine --flavor rtx --precision fp16") == 0
    out = capsys.readouterr().out
    assert "note: no --compute-capability" in out and "8.0 and newer" in out
    assert read_record(place / "x.engine").compute_capability == "portable"


def test_an_engine_cannot_be_run_without_a_gpu(place, no_gpu, capsys):
    (place / "x.engine").write_bytes(b"plan")
    for command in (f"evaluate x.engine {TWO}", "profile x.engine",
                    "detect x.engine pictures --out seen"):  # fmt: skip
        code, error = told(command, capsys)
        assert code == 2 and "x.engine: an engine needs an NVIDIA GPU" in error
    assert not (place / "seen").exists()


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (f"evaluate model --runtime tensorrt {TWO}", "export_trt MODEL --out FILE.engine"),
        (f"evaluate none.engine {TWO}", "no such file"),
        ("profile x.engine --runtime onnxruntime", "it runs in tensorrt, not onnxruntime"),
        ("profile float.onnx --runtime tensorrt", "runs in onnxruntime, openvino"),
        ("profile x.engine --weights w", "--weights makes no sense"),
        ("prune x.engine --out p", "needs a bundle folder"),
    ],
)  # fmt: skip
def test_runtimes_and_files_that_do_not_meet(command, fault, place, capsys):
    (place / "x.engine").write_bytes(b"plan")
    code, error = told(command, capsys)
    assert code == 2 and fault in error


def test_what_tensorrt_runs_is_scored_as_the_onnx_file_is(place, monkeypatch):
    imitation_tensorrt.install(monkeypatch)
    monkeypatch.setattr("yolo_slim.pipeline.engines.build_plan", imitation_tensorrt.plan_of)
    monkeypatch.setattr("yolo_slim.cli.export_trt.ready_api", lambda *_: None)
    assert status("export_trt float.onnx --out x.engine --layers l.json --json j.json") == 0
    assert json.loads((place / "l.json").read_text())["convolutions"] == {"FP32": 1}
    assert json.loads((place / "j.json").read_text())["convolutions"] == {"FP32": 1}
    scored = []
    for name, runtime in (("x.engine", "tensorrt"), ("float.onnx", "onnxruntime")):
        assert status(f"evaluate {name} {TWO} --json s.json") == 0
        numbers = json.loads((place / "s.json").read_text())
        assert (numbers.pop("model"), numbers.pop("runtime")) == (name, runtime)
        scored.append(numbers)
    assert scored[0] == scored[1]
    monkeypatch.setattr(
        "yolo_slim.cli.profile.measure_latency",
        lambda openers, **_: dict.fromkeys(openers, Latency(1.5, 1.0, 7)),
    )
    assert status("profile x.engine --compare float.onnx --json p.json") == 0
    profiled = json.loads((place / "p.json").read_text())
    assert profiled["runtime"] == "tensorrt" and profiled["totals"]["latency_ms"] == 1.5
    assert status("detect x.engine pictures --out seen") == 0
    assert (place / "seen/detections.jsonl").is_file()


def test_a_check_without_a_gpu_says_what_was_not_run(place, no_gpu, capsys):
    pytest.importorskip("tensorrt_rtx")
    before = snapshot(place)
    assert (
        status("export_trt --selftest int8 --compute-capability 8.6 --json j.json --flavor rtx")
        == 0
    )
    out = " ".join(capsys.readouterr().out.split())
    assert "built ahead of time for 8.6. NOT RUN, for want of a GPU: outputs, AP" in out
    assert "difference" not in out and "latency │" not in out
    document = json.loads((place / "j.json").read_text())
    assert document["ran"] is False
    assert [e["precision"] for e in document["engines"]] == ["fp32", "fp16", "int8", "int8+fp16"]
    assert all(e["difference"] is None for e in document["engines"])
    assert snapshot(place).keys() == {*before, str(place / "j.json")}


@pytest.fixture
def imitated(monkeypatch) -> None:
    """A GPU on which a check can run whole."""
    imitation_tensorrt.install(monkeypatch)
    api = type("Api", (), {"name": "TensorRT", "version": "11.4", "flavor": "tensorrt"})
    monkeypatch.setattr("yolo_slim.cli.engine_check.ready_api", lambda settings: api)
    monkeypatch.setattr("yolo_slim.pipeline.engines.build_plan", imitation_tensorrt.plan_of)
    monkeypatch.setattr("yolo_slim.pipeline.engine_check.measure_latency",
                        lambda openers: {"engine": Latency(1.5, 1.0, 7)})  # fmt: skip


@pytest.mark.parametrize("words", ["--out x.engine --layers l.json", "--selftest"])
def test_what_may_not_be_run_is_not_built_to_be_run(words, place, imitated, capsys, monkeypatch):
    monkeypatch.setattr("yolo_slim.cli.export_trt.ready_api", lambda *_: None)
    monkeypatch.setattr("yolo_slim.pipeline.engines.build_plan", None)
    before = snapshot(place)
    code, error = told(f"export_trt model --version-compatible {words}", capsys)
    assert code == 2 and "program code, which is not run unasked" in error
    assert snapshot(place) == before


def test_a_check_with_a_gpu_runs_all_of_it(place, imitated, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert status(f"export_trt --selftest model {TWO} --json j.json") == 0
    out = capsys.readouterr().out
    assert "1 FP32" in out and "1.50 ms" in out and "NOT RUN" not in out
    for engine in json.loads((place / "j.json").read_text())["engines"]:
        assert engine["is_sound"] and engine["difference"] < 1e-5
        assert engine["onnx_ap"] == engine["engine_ap"]


def test_an_engine_that_computes_something_else_fails_the_check(
    place, imitated, capsys, monkeypatch
):
    other = onnx.load(place / "float.onnx")
    monkeypatch.setattr("yolo_slim.pipeline.engines.build_plan",
                        lambda *_, **__: imitation_tensorrt.plan_of(scaled(other)))  # fmt: skip
    code, error = told("export_trt --selftest model --json j.json", capsys)
    assert code == 1 and "engines differ from ONNX Runtime: fp32 by" in error
    assert json.loads((place / "j.json").read_text())["engines"][0]["is_sound"] is False


def scaled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with other kernels."""
    for constant in model.graph.initializer:
        if constant.name == "0.conv.weight":
            values = onnx.numpy_helper.to_array(constant)
            constant.CopyFrom(onnx.numpy_helper.from_array(-3 * values, constant.name))
    return model

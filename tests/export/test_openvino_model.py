"""What is written for OpenVINO computes what the ONNX file does, and says what it is."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from kitchen_sink import conv

from yolo_slim.cfg import parse
from yolo_slim.errors import InputError
from yolo_slim.export.nncf import Calibration
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.export.openvino_model import export_openvino
from yolo_slim.openvino_graph import openvino_module, read_graph
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.quantize.plan import int8_convs
from yolo_slim.runtime.openvino import OpenvinoSession
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.zoo import build


def images(count, seed=0):
    return np.random.default_rng(seed).random((count, 3, 64, 64), np.float32)


@pytest.fixture
def bundle(random_bundle):
    made = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    return replace(made, class_names=('a "b" <c> & é', "d"))


def calibration(bundle, seed=0, count=24):
    return Calibration(
        lambda: (image[None] for image in images(count, seed)), count, int8_convs(bundle.cfg)
    )


def assert_alike(theirs, ours, share):
    for a, b in zip(theirs, ours, strict=True):
        assert np.abs(a - b).max() <= share * np.abs(a).max()


def biases_of(path):
    adds = [op for op in read_graph(path).get_ops() if op.get_friendly_name().endswith(".conv")]
    nodes = {add.get_friendly_name(): add.input_value(1).get_node() for add in adds}
    return {name: node.get_data() for name, node in nodes.items()}


def test_what_another_maker_adds_to_the_metadata_is_passed_over(bundle, tmp_path):
    path = tmp_path / "a.xml"
    export_openvino(bundle, path)
    start, framework, end = re.split(r"(<framework>.*</framework>)", path.read_text(), flags=re.S)
    nested = framework.replace("<framework>", '<framework><more><deep value="1"/></more>')
    path.write_text(start + nested + end)
    read_graph(path)
    path.write_text(start + '<framework value="onnx"/>' + end)
    with pytest.raises(InputError, match="carries no cfg"):
        read_graph(path)


def test_a_float_bundle(bundle, tmp_path):
    export_openvino(bundle, tmp_path / "a.xml")
    export_onnx(bundle, tmp_path / "a.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"a.xml", "a.bin", "a.onnx"}
    session = OpenvinoSession(tmp_path / "a.xml", 1, float32=True)
    onnx_session = OnnxSession(tmp_path / "a.onnx", 1)
    assert (session.cfg, session.names) == (onnx_session.cfg, bundle.class_names)
    assert_alike(onnx_session.run(images(3)), session.run(images(3)), 1e-4)


def test_the_bundle_s_own_int8(bundle, tmp_path):
    int8 = quantize(bundle, [torch.from_numpy(images(8, s)) for s in range(4)])
    export_openvino(int8, tmp_path / "a.xml")
    export_onnx(int8, tmp_path / "a.onnx", "cpu")
    whole, exported = (OpenvinoSession(tmp_path / name, 1, True) for name in ("a.onnx", "a.xml"))
    assert_alike(whole.run(images(2)), exported.run(images(2)), 1e-4)
    assert (tmp_path / "a.bin").stat().st_size < 0.3 * 4 * sum(
        value.numel() for value in int8.weights.values()
    )


def test_a_file_for_any_number_of_images_runs_one_by_one(bundle, tmp_path):
    export_onnx(bundle, tmp_path / "a.onnx", dynamic_batch=True)
    session = OpenvinoSession(tmp_path / "a.onnx", 1, float32=True)
    assert_alike(OnnxSession(tmp_path / "a.onnx", 1).run(images(3)), session.run(images(3)), 1e-4)


def test_nncf_s_int8_follows_float_and_leaves_the_heads_alone(bundle, tmp_path, capsys):
    told: list[int] = []
    export_openvino(bundle, tmp_path / "a.xml", replace(calibration(bundle), progress=told.append))
    assert told[:24] == list(range(1, 25))
    assert capsys.readouterr().out == ""
    convs = {
        int(op.get_friendly_name().split(".")[0]): op.input_value(1).get_node().get_type_name()
        for op in read_graph(tmp_path / "a.xml").get_ops()
        if op.get_type_name() == "Convolution"
    }
    in_float = {index for index, kernel in convs.items() if kernel == "Constant"}
    assert in_float == set(bundle.cfg.head_convs)
    export_openvino(bundle, tmp_path / "float.xml")
    float_biases, biases = (biases_of(tmp_path / name) for name in ("float.xml", "a.xml"))
    assert any(not np.array_equal(biases[k], float_biases[k]) for k in float_biases)
    export_onnx(bundle, tmp_path / "a.onnx")
    exact = OnnxSession(tmp_path / "a.onnx", 1).run(images(4, 9))
    session = OpenvinoSession(tmp_path / "a.xml", 1)
    assert session.names == bundle.class_names
    for a, b in zip(exact, session.run(images(4, 9)), strict=True):
        assert 0 < np.abs(a - b).max()
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97


def test_the_same_images_make_the_same_file(random_bundle, tmp_path):
    text = (
        conv(8, stride=2) + conv(16, stride=2) + "[convolutional]\nfilters=21\nactivation=linear\n"
    )
    head = "[yolo]\nmask=0,1,2\nanchors=4,5, 9,8, 9,9\nclasses=2\nnum=3\n"
    cfg = parse(f"[net]\nwidth=64\nheight=64\n{text}{head}")
    bundle = random_bundle(cfg, dtype=torch.float32)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        export_openvino(bundle, tmp_path / f"{name}.xml", calibration(bundle, seed, 8))
    a, b, c = ((tmp_path / f"{name}.bin").read_bytes() for name in "abc")
    assert a == b != c


def test_nothing_is_reported_to_anybody():
    openvino_module("nncf")
    assert sys.modules["openvino_telemetry"] is None


def test_int8_of_int8_and_int8_of_nothing_are_refused(bundle, tmp_path):
    int8 = quantize(bundle, [torch.from_numpy(images(8))])
    with pytest.raises(InputError, match="quantized already"):
        export_openvino(int8, tmp_path / "a.xml", calibration(bundle))
    with pytest.raises(InputError, match="needs images"):
        export_openvino(bundle, tmp_path / "a.xml", calibration(bundle, count=0))
    assert not list(tmp_path.iterdir())


SIGNALLED = """
import gc, os, signal, sys
from pathlib import Path
from yolo_slim.runtime.openvino import OpenvinoSession

signal.signal(signal.SIGINT, lambda *_: print("heard"))
first, second = (OpenvinoSession(Path(sys.argv[1]), 1) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_is_heard_after_sessions_that_ended_in_any_order(bundle, tmp_path):
    """OpenVINO lends its thread a stack for signals and gave a freed one back."""
    export_openvino(bundle, tmp_path / "a.xml")
    command = [sys.executable, "-X", "faulthandler", "-c", SIGNALLED, str(tmp_path / "a.xml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr[-1000:]

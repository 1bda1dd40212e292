"""Every engine computes what torch computes; what one cannot run is refused."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from yolo_slim.data.coco import read_coco
from yolo_slim.errors import InputError
from yolo_slim.pipeline.models import ModelSource, open_session, runtime_for
from yolo_slim.pipeline.runtimes import RUNTIMES, find_runtime
from yolo_slim.pipeline.scoring import score
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import NetworkSession
from yolo_slim.weights import network_of
from yolo_slim.zoo import build

NETWORKS = ("yolov3-tiny", "yolov3-nano", "yolov3-tiny-mobilenetv2")
# How far a map may lie from torch's, as a share of its largest value.
FLOAT = {
    "torch": 1e-4, "onnxruntime": 1e-4, "openvino-f32": 1e-4, "opencv": 1e-4,
    "openvino": 5e-2, "ncnn": 5e-2,  # bfloat16 and float16 where the CPU has them
}  # fmt: skip
MODELS = {
    "yf1.1": "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1",
    "mbv2-nano": "weights/mobilenet-yolo/MobileNetV2-YOLOv3-Nano/COCO/MobileNetV2-YOLOv3-Nano-coco",
}


def images(cfg, seed=0, count=2):
    return np.random.default_rng(seed).random((count, 3, *cfg.input_hw), np.float32)


def made(name, random_bundle):
    return random_bundle(build(name, 4, 64), dtype=torch.float32)


def maps(bundle, runtime, folder, x):
    if runtime == "ncnn":
        pytest.importorskip("ncnn")
    session = find_runtime(runtime).of_bundle(bundle, folder, 1)()
    assert session.runtime == runtime
    assert (session.cfg.heads, session.names) == (bundle.cfg.heads, bundle.names)
    return session.run(x)


def test_every_runtime_is_tested():
    needs_a_gpu = {"tensorrt"}  # and opens engines alone: tests/runtime/test_tensorrt.py
    assert FLOAT.keys() == RUNTIMES.keys() - needs_a_gpu


@pytest.mark.parametrize("runtime", FLOAT)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_heads_are_torchs(name, runtime, random_bundle, tmp_path):
    bundle = made(name, random_bundle)
    if runtime == "opencv" and name == "yolov3-tiny-mobilenetv2":
        with pytest.raises(InputError, match=r"relu6.*OpenCV does not read it"):
            maps(bundle, runtime, tmp_path, images(bundle.cfg))
        return
    x = images(bundle.cfg)
    exact = NetworkSession(network_of(bundle.cfg, bundle.weights)).run(x)
    for a, b in zip(exact, maps(bundle, runtime, tmp_path, x), strict=True):
        assert (b.shape, b.dtype) == (a.shape, np.float32)
        assert np.abs(a - b).max() <= FLOAT[runtime] * np.abs(a).max()


@pytest.mark.parametrize("runtime", ["openvino", "openvino-f32"])
def test_int8_in_openvino_is_that_of_onnx_runtime(runtime, random_bundle, tmp_path):
    bundle = made("yolov3-nano", random_bundle)
    int8 = quantize(bundle, [torch.from_numpy(images(bundle.cfg, s, 8)) for s in range(4)])
    x = images(int8.cfg, 9)
    theirs = maps(int8, "onnxruntime", tmp_path, x)
    for a, b in zip(theirs, maps(int8, runtime, tmp_path, x), strict=True):
        # A value on the edge between two steps may fall to either side, and then travels.
        step = (a.max() - a.min()) / 255
        assert np.quantile(np.abs(a - b), 0.99) <= 8 * step
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.995


@pytest.mark.parametrize(
    ("runtime", "words"),
    [("opencv", "have no INT8: take the float"), ("ncnn", "given float bundles alone")],
)
def test_float_alone(runtime, words, random_bundle, tmp_path):
    bundle = made("yolov3-nano", random_bundle)
    int8 = quantize(bundle, [torch.from_numpy(images(bundle.cfg, 0, 8))])
    with pytest.raises(InputError, match=words):
        find_runtime(runtime).of_bundle(int8, tmp_path, 1)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("yolov3-tiny-shufflenetv1-g3", "ncnn has no layer for AveragePool"),
        ("yolov3-tiny-shufflenetv2-1.0", "ncnn gives a map of .* expected"),
        ("resnet18", "pnnx makes another network of it"),
    ],
)
def test_what_pnnx_gets_wrong_is_seen(name, words, random_bundle, tmp_path, capfd):
    pytest.importorskip("ncnn")
    with pytest.raises(InputError, match=words):
        find_runtime("ncnn").of_bundle(made(name, random_bundle), tmp_path, 1)
    assert capfd.readouterr().err == ""


def test_opencv_s_own_word_is_told_in_a_line(random_bundle, tmp_path):
    bundle = made("yolov3-nano", random_bundle)
    session = find_runtime("opencv").of_bundle(bundle, tmp_path, 1)
    (weights,) = tmp_path.rglob("*.cfg")
    weights.write_text("[net]\nwidth=64\nheight=64\n[hologram]\n")
    with pytest.raises(InputError, match=r"OpenCV cannot run it \(.*hologram.*\)$") as told:
        session()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("model", "wanted", "found"),
    [
        ("yolov3", None, "torch"), ("folder", "opencv", "opencv"), ("a.onnx", None, "onnxruntime"),
        ("a.onnx", "openvino-f32", "openvino-f32"), ("a.xml", None, "openvino"),
        ("a.xml", "openvino-f32", "openvino-f32"), ("a.engine", None, "tensorrt"),
    ],
)  # fmt: skip
def test_the_runtime_that_suits_a_model(model, wanted, found):
    assert runtime_for(ModelSource(model), wanted) == found


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_ap_is_the_same_in_every_runtime(name, shared_root):
    stem = shared_root / MODELS[name]
    source = ModelSource(f"{stem}.cfg", weights=stem.with_name(stem.name + ".weights"), size_px=320)
    coco = shared_root / "data/coco"
    data = read_coco(coco / "dev_val2017", coco / "annotations/dev_val2017.json")
    found = {}
    for runtime in FLOAT.keys() - (set() if find_spec("ncnn") else {"ncnn"}):
        with open_session(source, runtime) as session:
            found[runtime] = score(Detector(session, resize_mode="stretch"), data)["AP"]
    for runtime, ap in found.items():
        tolerance = 0.002 if FLOAT[runtime] < 1e-3 else 0.005
        assert ap == pytest.approx(found["torch"], abs=tolerance), runtime

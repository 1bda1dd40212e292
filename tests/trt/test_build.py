"""Graphs through the real parser and builder of TensorRT for RTX, which need no GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from yolo_slim.errors import InputError, RunError
from yolo_slim.trt import build
from yolo_slim.trt.api import Api, load_api
from yolo_slim.trt.build import build_plan, ready_api
from yolo_slim.trt.settings import BuildSettings

pytest.importorskip("tensorrt_rtx")

AMPERE = BuildSettings("rtx", "8.6")


def graph(
    nodes: list[onnx.NodeProto], batch: int | str = 1, **constants: np.ndarray
) -> onnx.ModelProto:
    """From `images` [batch, 3, 8, 8] to `head_0` of the same shape."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3, 8, 8])
            for name in ("images", "head_0")]  # fmt: skip
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    body = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("my", 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=10)


def relu(batch: int | str = 1) -> onnx.ModelProto:
    return graph([helper.make_node("Relu", ["images"], ["head_0"], name="0.relu")], batch)


def rounded(zero_point: int, dtype: type) -> onnx.ModelProto:
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "s", "z"], ["q"], name="image.q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["head_0"], name="image.dq"),
    ]
    return graph(nodes, s=np.array(0.1, np.float32), z=np.array(zero_point, dtype))


def test_a_plan_knows_what_it_is_for():
    plan = build_plan(relu(), "r.onnx", AMPERE)
    assert plan.data[:4] != b"" and len(plan.data) > 1000
    assert plan.compute_capability == "8.6" and plan.version.startswith("1.")
    assert plan.timing_cache is None
    portable = build_plan(relu(), "r.onnx", BuildSettings("rtx"))
    assert portable.compute_capability == "portable"


@pytest.mark.parametrize(
    "settings", [AMPERE, BuildSettings("rtx", "7.5", workspace_mib=64, sparse_weights=True)]
)
def test_progress_is_told_to_its_end(settings):
    told = []
    build_plan(relu(), "r.onnx", settings, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told) and len(told) > 3
    assert 0.5 < told[-1][0] / told[-1][1] <= 1


@pytest.mark.parametrize("batch", [(1, 2, 4), (3, 3, 3)])
def test_a_dynamic_batch_has_a_profile(batch):
    build_plan(relu("batch"), "r.onnx", BuildSettings("rtx", "8.6", batch=batch))


def test_a_batch_for_a_graph_that_has_one_is_refused():
    with pytest.raises(InputError, match=r"r\.onnx is made for 1 image at a time.*--dynamic-batch"):
        build_plan(relu(), "r.onnx", BuildSettings("rtx", "8.6", batch=(1, 2, 4)))


def int32_bias() -> onnx.ModelProto:
    nodes = [
        helper.make_node("DequantizeLinear", ["steps", "s"], ["bias"], name="0.conv.bias.dq"),
        helper.make_node("Add", ["images", "bias"], ["head_0"], name="0.add"),
    ]
    return graph(nodes, steps=np.ones((1, 3, 1, 1), np.int32), s=np.array(0.1, np.float32))


def unknown_operator() -> onnx.ModelProto:
    return graph([helper.make_node("Fold", ["images"], ["head_0"], name="7.fold", domain="my")])


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            lambda: rounded(128, np.uint8),
            r"node image\.q \(QuantizeLinear\): Non-zero zero",
        ),
        (lambda: rounded(3, np.int8), r"node image\.q \(QuantizeLinear\): Non-zero zero"),
        (int32_bias, r"refuses node 0\.conv\.bias\.dq \(DequantizeLinear\): .*Int32"),
        (unknown_operator, r"refuses node 7\.fold \(Fold\)"),
    ],
)
def test_a_graph_that_tensorrt_does_not_take_is_told_with_its_node(
    model: Callable[[], onnx.ModelProto], told
):
    with pytest.raises(InputError, match=rf"^g\.onnx: .*{told}") as refused:
        build_plan(model(), "g.onnx", AMPERE)
    assert "\n" not in str(refused.value)
    wants_int8 = "export_onnx --int8 tensorrt" in str(refused.value)
    assert wants_int8 == ("Quantize" in told or "Dequantize" in told)


def test_signed_symmetric_rounding_is_taken():
    build_plan(rounded(0, np.int8), "g.onnx", AMPERE)


def test_ctrl_c_stops_a_build(monkeypatch):
    """As the handler would: the monitor says no at its next step, and TensorRT gives no plan."""
    stopping = []

    class Stopped(build.Phases):
        def step(self, name, step):
            stopping.append(name)
            self.stop()
            return super().step(name, step)

    monkeypatch.setattr(build, "Phases", Stopped)
    with pytest.raises(KeyboardInterrupt):
        build_plan(relu(), "r.onnx", AMPERE)
    assert len(stopping) < 5


def test_a_build_that_fails_says_why():
    """TensorRT for RTX takes the flag and then misses a library that it does not come with."""
    settings = BuildSettings("rtx", "8.6", version_compatible=True)
    with pytest.raises(RunError, match=r"^r\.onnx: TensorRT for RTX cannot build it: .*lean"):
        build._build(load_api("rtx"), relu(), "r.onnx", settings, None, None)


def test_both_generations_of_the_api_build(monkeypatch):
    """TensorRT for RTX in the place of TensorRT 10 and 11, with their flags, levels and cache."""
    rtx = load_api("rtx").trt

    class Renamed:
        def __init__(self, version: str) -> None:
            self.__version__ = version

        def __getattr__(self, name):
            return getattr(rtx, name)

    settings = BuildSettings("tensorrt", workspace_mib=64, hardware_compatible=True)
    monkeypatch.setattr(build, "gpu_capability", lambda: "8.6")
    for version in ("10.3.0", "11.4.0.106"):
        api = Api(Renamed(version), "tensorrt")
        plan = build._build(api, relu(), "r.onnx", settings, b"", None)
        assert plan.version == version and plan.compute_capability == "8.6"
        assert plan.timing_cache


def test_tensorrt_wants_a_gpu_before_anything_else(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("yolo_slim.trt.build.load_api", None)
    with pytest.raises(InputError, match=r"needs an NVIDIA GPU.*--flavor rtx"):
        ready_api(BuildSettings())

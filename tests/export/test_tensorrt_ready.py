"""Graphs of real exporters: ours for TensorRT are ready, those for CPUs are not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from tensorrt_verdict import parse

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.export.tensorrt_rules import check
from yolo_slim.export.tensorrt_rules.run import findings, view_of
from yolo_slim.export.tensorrt_rules.summary import int8_share
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.zoo import build

FAULTS_FOR_CPUS = {"not-int8", "nonzero-zero-point", "int32-bias", "rounding-before-activation"}
# What our own exports may be told; a fault is never among it.
TOLERATED = {"unequal-scales", "channel-multiple"}
DETECTORS = {
    "yolov3-nano": (0.98, 1), "yolov3-tiny": (0.98, 1), "yolov3-mobilenetv2-0.5": (0.98, 1),
    "yolov3-lite-ghostnet-0.5": (0.9, 0.99), "yolov3-tiny-mobilenetv3-small": (0.9, 0.99),
}  # fmt: skip
"""The least and the most of a network's MACs that run in INT8."""


def by_severity(model: onnx.ModelProto, severity: str) -> Counter[str]:
    return Counter(f.kind for f in check(model) if f.severity == severity)


@pytest.fixture(params=DETECTORS)
def int8(request, random_bundle) -> tuple[str, Bundle]:
    bundle = random_bundle(build(request.param, 2, 64), dtype=torch.float32)
    draw = torch.Generator().manual_seed(0)
    return request.param, quantize(bundle, [torch.rand(4, 3, 64, 64, generator=draw)])


def test_what_is_exported_for_tensorrt_is_ready_and_for_cpus_is_not(int8, tmp_path):
    name, bundle = int8
    model = export_onnx(bundle, tmp_path / "a.onnx", "tensorrt")
    view = view_of(model)
    found = findings(view)
    assert [f for f in found if f.severity == "fault"] == []
    assert {f.kind for f in found if f.severity == "warning"} <= TOLERATED
    share = int8_share(view)
    assert share.n_int8 == len(bundle.precision.convs)
    assert share.n_convs == sum(isinstance(section, Conv) for section in bundle.cfg)
    least, most = DETECTORS[name]
    assert least <= share.macs_share <= most

    for_cpus = export_onnx(bundle, tmp_path / "b.onnx", "cpu")
    assert by_severity(for_cpus, "fault").keys() >= FAULTS_FOR_CPUS
    assert by_severity(for_cpus, "fault")["int32-bias"] == len(bundle.precision.convs)

    pytest.importorskip("tensorrt_rtx")
    assert parse(model) == ""
    assert "Int32" in parse(for_cpus)


def test_a_float_export_is_ready_and_has_no_int8(random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    model = export_onnx(bundle, tmp_path / "a.onnx", dynamic_batch=True)
    assert {f.kind for f in check(model)} == {"no-int8", "dynamic-shape"}
    assert int8_share(view_of(model)).macs_share == 0


# --- ONNX Runtime's quantizer ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def float_export(tmp_path_factory):
    from yolo_slim.weights import random_weights

    path = tmp_path_factory.mktemp("float") / "a.onnx"
    cfg = build("yolov3-nano", 2, 32)
    export_onnx(Bundle(cfg, random_weights(cfg)), path)
    return path, {f"{index}.conv" for index in cfg.head_convs}


@pytest.fixture
def quantize_static(float_export, tmp_path):
    """onnxruntime.quantization.quantize_static on two random pictures."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Pictures(CalibrationDataReader):
        def __init__(self) -> None:
            draw = np.random.default_rng(0)
            self.left = [draw.random((1, 3, 32, 32), np.float32) for _ in range(2)]

        def get_next(self):
            return {"images": self.left.pop()} if self.left else None

    def run(**options) -> onnx.ModelProto:
        quantize_static(float_export[0], tmp_path / "b.onnx", Pictures(), **options)
        return onnx.load(tmp_path / "b.onnx")

    return run


def test_the_default_of_onnx_runtime_is_refused(quantize_static):
    model = quantize_static()
    assert by_severity(model, "fault").keys() == FAULTS_FOR_CPUS - {"not-int8"}
    assert by_severity(model, "warning")["quantized-head"] == 2
    pytest.importorskip("tensorrt_rtx")
    assert parse(model)


def test_integer_operators_of_onnx_runtime_are_refused(quantize_static):
    from onnxruntime.quantization import QuantFormat

    model = quantize_static(quant_format=QuantFormat.QOperator)
    assert "integer-operator" in by_severity(model, "fault")
    pytest.importorskip("tensorrt_rtx")
    assert parse(model)


def test_onnx_runtime_told_what_tensorrt_wants_is_ready(quantize_static, float_export):
    path, heads = float_export
    names = [n.name for n in onnx.load(path).graph.node if n.op_type == "Conv"]
    model = quantize_static(
        per_channel=True,
        nodes_to_quantize=[name for name in names if name not in heads],
        extra_options={
            "ActivationSymmetric": True, "WeightSymmetric": True, "AddQDQPairToWeight": True,
            "QuantizeBias": False, "OpTypesToExcludeOutputQuantization": ["Conv"],
            "QDQDisableWeightAdjustForInt32Bias": True,
        },
    )  # fmt: skip
    assert not by_severity(model, "fault")
    assert by_severity(model, "warning")["residual-add"] == 6  # one side of each, the source
    pytest.importorskip("tensorrt_rtx")
    assert parse(model) == ""

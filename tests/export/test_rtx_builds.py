"""TensorRT for RTX reads and builds what is exported; neither needs a GPU. It is the only TensorRT
that can be had from PyPI whole. It has no suppression: there all nodes around it are built."""

from __future__ import annotations

import onnx
import pytest
import torch
from head_zoo import TEXTS, head_cfg, images
from onnx import TensorProto, helper

from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.zoo import build

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")


def assert_builds(model: onnx.ModelProto) -> None:
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    read = parser.parse(model.SerializeToString())
    assert read, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile = builder.create_optimization_profile()
    for tensor in map(network.get_input, range(network.num_inputs)):
        if -1 in tuple(tensor.shape):
            sides = [[n if side == -1 else side for side in tensor.shape] for n in (1, 2, 4)]
            profile.set_shape(tensor.name, *sides)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None and plan.nbytes > 10_000


def without_suppression(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with what its NonMaxSuppression nodes find as inputs of any length."""
    others = [node for node in model.graph.node if node.op_type != "NonMaxSuppression"]
    found = [n.output[0] for n in model.graph.node if n.op_type == "NonMaxSuppression"]
    assert len(found) == 2
    model.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.INT64, [f"{name}.found", 3])
        for name in found
    )
    model.graph.ClearField("node")
    model.graph.node.extend(others)
    return model


@pytest.fixture
def nano(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    return quantize(bundle, [torch.from_numpy(images(bundle.cfg, 4))])


@pytest.mark.parametrize("name", TEXTS)
def test_boxes_of_every_kind_of_head(name, random_bundle, tmp_path):
    bundle = random_bundle(head_cfg(name), dtype=torch.float32)
    assert_builds(export_onnx(bundle, tmp_path / "a.onnx", None, True, "boxes", half=True))


def in_short(case: tuple) -> str:
    int8, half, dynamic, answer = case
    return f"{int8 or 'float'} {'FP16' if half else ''} {'dynamic' if dynamic else ''} {answer}"


QUICK = [(None, False, False, "raw"), ("tensorrt", True, True, "boxes"),
         (None, True, True, "detections")]  # fmt: skip
CASES = [(int8, half, dynamic, answer) for int8 in (None, "tensorrt") for half in (False, True)
         for dynamic in (False, True) for answer in ("raw", "boxes", "detections")]  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
    ids=in_short,
)
def test_a_small_network(case, nano, tmp_path):
    int8, half, dynamic, answer = case
    model = export_onnx(nano, tmp_path / "a.onnx", int8, dynamic, answer, half=half)
    assert_builds(without_suppression(model) if answer == "detections" else model)


def test_suppression_is_read(nano, tmp_path):
    """By the parser, which is TensorRT's; the builder for RTX has no such layer."""
    model = export_onnx(nano, tmp_path / "a.onnx", dynamic_batch=True, answer="detections")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(model.SerializeToString())
    assert network.get_output(0).name == "detections"

"""FP16 up to the heads: the same network, float32 outside, INT8 steps in the type they round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from head_zoo import images, run_file
from kitchen_sink import SMALL_NETWORKS
from onnx import TensorProto, numpy_helper

from yolo_slim.cfg import parse
from yolo_slim.errors import InputError
from yolo_slim.export.half import to_half
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.nn.suppress import Suppression
from yolo_slim.precision import Range
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.quantize.settings import QuantizeSettings
from yolo_slim.zoo import build

NETWORKS = {
    **SMALL_NETWORKS,
    "yolov3-nano": lambda: build("yolov3-nano", 2, 64),
}


def constants(model) -> dict[str, np.ndarray]:
    return {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}


def types(model) -> dict[str, int]:
    """Element type of every tensor, inferred."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    found = {info.name: info.type.tensor_type.elem_type for info in infos}
    return found | {c.name: c.data_type for c in graph.initializer}


@pytest.fixture
def nano(random_bundle):
    return random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)


@pytest.fixture
def int8(nano):
    batches = [torch.from_numpy(images(nano.cfg, 8, seed)) for seed in range(2)]
    return quantize(nano, batches)


@pytest.mark.parametrize("name", NETWORKS)
def test_heads_are_those_of_float32_to_the_precision_of_fp16(name, random_bundle, tmp_path):
    bundle = random_bundle(NETWORKS[name](), dtype=torch.float32)
    x = images(bundle.cfg)
    exact = export_onnx(bundle, tmp_path / "a.onnx", dynamic_batch=True)
    export_onnx(bundle, tmp_path / "b.onnx", dynamic_batch=True, half=True)
    pairs = zip(run_file(tmp_path / "a.onnx", x), run_file(tmp_path / "b.onnx", x), strict=True)
    for a, b in pairs:
        assert b.dtype == np.float32
        # 2^-11 a rounding; a network adds up some tens of them, and "stair" jumps.
        error = np.sqrt(np.mean((a - b) ** 2)) / a.std()
        assert 0 < error < 0.02
    half = onnx.load(tmp_path / "b.onnx")
    assert half.metadata_props == exact.metadata_props
    assert half.graph.output == exact.graph.output
    assert half.graph.input == exact.graph.input


def test_every_float_up_to_the_heads_is_fp16(nano, tmp_path):
    model = export_onnx(nano, tmp_path / "a.onnx", half=True)
    kinds = types(model)
    for node in model.graph.node:
        wide = [n for n in (*node.input, *node.output) if kinds.get(n) == TensorProto.FLOAT]
        if node.op_type == "Resize":
            assert wide == [node.input[2]]
        elif node.op_type != "Cast":
            assert wide == [], node.name
    casts = [node.name for node in model.graph.node if node.op_type == "Cast"]
    assert casts == ["images.half.cast", "head_0.cast", "head_1.cast"]
    assert (tmp_path / "a.onnx").stat().st_size < 0.6 * 4 * sum(
        value.numel() for value in nano.weights.values()
    )


@pytest.mark.parametrize("answer", ["boxes", "detections"])
def test_boxes_are_worked_out_in_float32(answer, nano, tmp_path):
    rules = Suppression(0.2, 0.45, 20)
    model = export_onnx(nano, tmp_path / "a.onnx", answer=answer, suppression=rules, half=True)
    kinds = types(model)
    after = [n for n in model.graph.node if n.name.startswith(("decode.", "suppress."))]
    assert len(after) > 20
    assert TensorProto.FLOAT16 not in {kinds.get(name) for n in after for name in n.output}
    wide = export_onnx(nano, tmp_path / "wide.onnx", answer=answer, suppression=rules)
    for a, b in zip(*(run_file(tmp_path / f"{name}.onnx", images(nano.cfg, 1))
                      for name in ("wide", "a")), strict=True):  # fmt: skip
        assert a.shape[1:] == b.shape[1:]
        if answer == "boxes":
            assert np.abs(a - b).max() < 0.02 * np.abs(a).max()
    assert model.graph.output == wide.graph.output


def test_steps_of_int8_have_the_type_of_what_they_round(int8, tmp_path):
    model = export_onnx(int8, tmp_path / "a.onnx", "tensorrt", half=True)
    found = constants(model)
    kinds = ("QuantizeLinear", "DequantizeLinear")
    rounding = [node for node in model.graph.node if node.op_type in kinds]
    assert len(rounding) > 20
    for node in rounding:
        assert found[node.input[1]].dtype == np.float16
        assert (found[node.input[1]] > 0).all()
        assert found[node.input[2]].dtype == np.int8
        assert not found[node.input[2]].any()
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert found[node.input[2]].dtype == np.float16


def test_int8_in_fp16_is_int8_in_float32_but_for_values_on_an_edge(int8, tmp_path):
    x = images(int8.cfg, 1, 5)
    given = []
    for half in (False, True):
        export_onnx(int8, tmp_path / "a.onnx", "tensorrt", half=half)
        given.append(run_file(tmp_path / "a.onnx", x))
    for a, b in zip(*given, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
        assert np.sqrt(np.mean((a - b) ** 2)) < 0.05 * a.std()


def test_integer_kernels_of_the_cpu_profile_are_refused(int8, tmp_path):
    with pytest.raises(InputError, match="--int8 tensorrt"):
        export_onnx(int8, tmp_path / "a.onnx", "cpu", half=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [65505.0, -1e6, np.inf, np.nan])
def test_a_number_that_does_not_fit_is_refused_by_its_name(value, nano, tmp_path):
    nano.weights["3.bn.bias"][2] = value
    with pytest.raises(InputError, match=r"^3\.conv\.bias reaches .*65504"):
        export_onnx(nano, tmp_path / "a.onnx", half=True)
    assert list(tmp_path.iterdir()) == []
    export_onnx(nano, tmp_path / "a.onnx")


def test_the_largest_number_fits(nano, tmp_path):
    nano.weights["3.bn.running_mean"][2] = 0
    nano.weights["3.bn.bias"][2] = 65504.0
    model = export_onnx(nano, tmp_path / "a.onnx", half=True)
    assert constants(model)["3.conv.bias.half"].max() == 65504


def test_a_range_that_does_not_fit_is_refused(int8, tmp_path):
    outputs = {**int8.precision.outputs, 2: Range(-1e5, 1e5)}
    wide = replace(int8, precision=replace(int8.precision, outputs=outputs))
    with pytest.raises(InputError, match=r"^2\.in\.q reaches"):
        export_onnx(wide, tmp_path / "a.onnx", "tensorrt", half=True)


def test_kernels_on_steps_below_normal_numbers_are_rounded_anew(random_bundle, tmp_path):
    """A step of 1e-7 becomes 1.19e-7 in FP16: the integers must follow, or each weight of the
    channel is 19% too large. A weight is rounded twice, then."""
    cfg = parse(
        "[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=4\nsize=3\nactivation=linear\n"
        "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"
        "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0\nanchors=4,4\nclasses=2\n"
    )
    bundle = random_bundle(cfg, dtype=torch.float32)
    kernel = bundle.weights["1.conv.weight"]
    wanted = np.array([1e-7, 3e-6, 1e-3, 1e-9])
    for channel, step in enumerate(wanted):
        kernel[channel] *= 127 * step / kernel[channel].abs().max()
    int8 = quantize(bundle, [torch.rand(4, 3, 8, 8)], QuantizeSettings(equalize=False))
    found = constants(export_onnx(int8, tmp_path / "a.onnx", "tensorrt", half=True))
    steps = found["1.conv.weight.scale.half"].astype(np.float64)
    stored = found["1.conv.weight.steps"] * steps.reshape(-1, 1, 1, 1)
    error = np.abs(stored - kernel.numpy()).max(axis=(1, 2, 3))
    assert (steps > 0).all()
    assert (error <= 0.501 * (steps + wanted)).all()
    assert steps[0] == pytest.approx(1.19e-7, rel=0.01)
    assert np.abs(found["1.conv.weight.steps"][2]).max() == 127


def test_the_model_that_is_given_stays_as_it_is(int8, tmp_path):
    model = export_onnx(int8, tmp_path / "a.onnx", "tensorrt")
    before = model.SerializeToString()
    to_half(model)
    assert model.SerializeToString() == before

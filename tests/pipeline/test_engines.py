"""Networks of the zoo, as we export them, through TensorRT for RTX's parser and builder."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from core_zoo import by_night
from kitchen_sink import SMALL_NETWORKS
from onnx import TensorProto, numpy_helper

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import read_cfg, totals
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.metadata import Answer, answer_of, from_metadata, output_names
from yolo_slim.pipeline.engines import EngineGraph, build_engine, bundle_graph, graph_of
from yolo_slim.pipeline.models import ModelSource
from yolo_slim.prune.cut import take
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.place import plan_ratio
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.trt.engine_file import sha256_of
from yolo_slim.trt.settings import BuildSettings
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

AMPERE = BuildSettings("rtx", "8.6")
FLOAT = ("fp32", "fp16")
TYPES = {"fp32": ("fp32", "fp32"), "fp16": ("fp16", "fp16"), "int8": ("int8", "fp32"),
         "int8+fp16": ("int8", "fp16")}  # fmt: skip
FAMILIES = ("yolov3-lite-mobilenetv2-0.5", "yolov3-lite-shufflenetv2-0.5",
            "yolov3-lite-ghostnet-0.5", "yolov3-lite-efficientnet-b0")  # fmt: skip


def rounded(bundle: Bundle, count: int = 8) -> Bundle:
    draw = torch.Generator().manual_seed(0)
    shape = (count, bundle.cfg.net.channels, *bundle.cfg.input_hw)
    return quantize(bundle, [torch.rand(shape, generator=draw)])


@pytest.fixture(scope="module")
def builder():
    return pytest.importorskip("tensorrt_rtx")


def built(graph: EngineGraph, settings: BuildSettings = AMPERE) -> int:
    """Bytes of the plan; what the record says of it is looked at on the way."""
    plan, record = build_engine(graph, settings)
    assert record.sha256 == sha256_of(plan.data) and record.plan_bytes == len(plan.data)
    assert (record.precision, record.batch) == (graph.precision, settings.batch)
    cfg, _ = from_metadata(record.metadata, "record")
    assert record.outputs == output_names(cfg, answer_of(record.metadata, "record")[0])
    return len(plan.data)


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    cfg = build("yolov3-tiny", 2, 64)
    return rounded(Bundle(cfg, random_weights(cfg)))


def test_yolov3_tiny_in_every_number_type(tiny, builder):
    """8.7 M parameters: the plan is little but its weights, and tells in what they are stored."""
    n_bytes = {told: built(bundle_graph(tiny, *case)) for told, case in TYPES.items()}
    assert n_bytes["fp32"] > 4 * totals(tiny.cfg).parameters
    assert n_bytes["fp16"] < 0.6 * n_bytes["fp32"]
    assert n_bytes["int8"] < 0.35 * n_bytes["fp32"]
    assert n_bytes["int8+fp16"] < 0.35 * n_bytes["fp32"]


def test_a_dynamic_batch(tiny, builder):
    settings = replace(AMPERE, batch=(1, 2, 4))
    built(bundle_graph(tiny, "int8", dynamic_batch=True), settings)


@pytest.mark.parametrize("answer", get_args(Answer))
@pytest.mark.parametrize("profile", [None, "tensorrt"])
def test_a_file_of_every_answer(answer, profile, small, tmp_path, builder):
    export_onnx(small, tmp_path / "a.onnx", profile, answer=answer, half=profile is None)
    graph = graph_of(ModelSource(str(tmp_path / "a.onnx")), None, "fp16", False)
    assert graph.precision == ("fp16" if profile is None else "int8+fp16")
    if answer != "detections":
        built(graph)
        return
    with pytest.raises(InputError, match=r"has no suppression: export it with --output boxes"):
        built(graph)


@pytest.mark.parametrize("name", [FAMILIES[0], *by_night(*FAMILIES[1:])])
def test_a_light_network_of_each_family(name, random_bundle, builder):
    bundle = rounded(random_bundle(build(name, 2, 64), dtype=torch.float32))
    built(bundle_graph(bundle, "int8", "fp16"))


@pytest.mark.slow
@pytest.mark.parametrize("told", TYPES)
@pytest.mark.parametrize("name", [FAMILIES[0], *by_night(*FAMILIES[1:])])
def test_every_number_type_of_each_family(name, told, random_bundle, builder):
    bundle = rounded(random_bundle(build(name, 2, 64), dtype=torch.float32))
    built(bundle_graph(bundle, *TYPES[told]))


@pytest.mark.slow
@pytest.mark.parametrize("told", FLOAT)
@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_every_kind_of_section(name, told, random_bundle, builder):
    built(bundle_graph(random_bundle(SMALL_NETWORKS[name](), dtype=torch.float32), *TYPES[told]))


PUBLIC = {
    "yolo-fastest-1.1-xl": "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl",
    "MobileNetV2-YOLOv3-Nano":
        "weights/mobilenet-yolo/MobileNetV2-YOLOv3-Nano/COCO/MobileNetV2-YOLOv3-Nano-coco",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("told", TYPES)
@pytest.mark.parametrize("name", PUBLIC)
def test_public_weights(name, told, shared_root, builder):
    cfg = read_cfg(shared_root / f"{PUBLIC[name]}.cfg")
    weights, _ = read_darknet_weights(shared_root / f"{PUBLIC[name]}.weights", cfg)
    built(bundle_graph(rounded(Bundle(cfg, weights)), *TYPES[told]))


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_yolov3_whole_and_pruned(ratio, random_bundle, builder):
    bundle = random_bundle(build("yolov3", 80, 416), dtype=torch.float32)
    if ratio:
        bundle = take(bundle, plan_ratio(bundle, ratio, limits=Limits(multiple=8)))
    assert 5e6 < totals(bundle.cfg).parameters < (40e6 if ratio else 63e6)
    bundle = rounded(bundle, 2)
    n_bytes = {told: built(bundle_graph(bundle, *TYPES[told])) for told in ("fp32", "int8")}
    assert n_bytes["int8"] <= 0.35 * n_bytes["fp32"]


# --- graphs ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> Bundle:
    cfg = build("yolov3-nano", 2, 64)
    return rounded(Bundle(cfg, random_weights(cfg), class_names=("cat", "große Katze")))


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}


@pytest.mark.parametrize("told", TYPES)
def test_number_types_meet_where_they_must(told, small):
    """TensorRT is strongly typed: a scale has the type of the data, and is above 0; the ends of the
    graph stay float32 for whoever feeds it."""
    graph = bundle_graph(small, *TYPES[told])
    assert graph.precision == told
    stored = constants(graph.model)
    wanted = np.float16 if told.endswith("fp16") else np.float32
    for node in graph.model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert stored[node.input[1]].dtype == wanted and (stored[node.input[1]] > 0).all()
            assert stored[node.input[2]].dtype == np.int8
        if node.op_type == "Conv":
            assert stored[node.input[2]].dtype == wanted
    for end in (*graph.model.graph.input, *graph.model.graph.output):
        assert end.type.tensor_type.elem_type == TensorProto.FLOAT
    assert len(graph.int8_convolutions) == (len(small.precision.convs) if "int8" in told else 0)
    cfg, names = from_metadata(graph.metadata, "graph")
    assert len(cfg) == len(small.cfg) and names == small.class_names


@pytest.mark.parametrize("told", ["fp16", "int8+fp16"])
def test_half_precision_computes_nearly_the_same(told, small, tmp_path):
    precision = TYPES[told][0]
    onnx.save(bundle_graph(small, *TYPES[told]).model, tmp_path / "half.onnx")
    whole = "int8" if precision == "int8" else "fp32"
    onnx.save(bundle_graph(small, whole, "fp32").model, tmp_path / "whole.onnx")
    x = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    pairs = zip(*(OnnxSession(tmp_path / f"{n}.onnx", 1).run(x) for n in ("half", "whole")),
                strict=True)  # fmt: skip
    for half, full in pairs:
        assert half.dtype == np.float32
        assert 0 < np.abs(half - full).max() <= 0.03 * np.abs(full).max()


def test_a_bundle_is_what_it_is_unless_asked(small, tmp_path):
    small.save(tmp_path / "int8")
    replace(small, precision=None, history=()).save(tmp_path / "float")
    found = {
        name: graph_of(ModelSource(str(tmp_path / name)), None, "fp32", False).precision
        for name in ("int8", "float")
    }
    assert found == {"int8": "int8", "float": "fp32"}
    with pytest.raises(InputError, match="no INT8 ranges: `yolo-slim quantize`"):
        graph_of(ModelSource(str(tmp_path / "float")), "int8", "fp32", False)


@pytest.fixture(scope="module")
def files(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    for told, case in TYPES.items():
        onnx.save(bundle_graph(small, *case).model, folder / f"{told}.onnx")
    export_onnx(small, folder / "cpu.onnx", int8="cpu")
    return folder


@pytest.mark.parametrize(
    ("name", "precision", "told"),
    [
        ("fp32", None, "fp32"), ("fp32", "fp32", "fp32"), ("fp32", "fp16", "fp16"),
        ("fp16", None, "fp16"), ("fp16", "fp16", "fp16"),
        ("int8", None, "int8"), ("int8", "int8", "int8"), ("int8+fp16", None, "int8+fp16"),
    ],
)  # fmt: skip
def test_a_file_is_taken_as_it_is(name, precision, told, files):
    graph = graph_of(ModelSource(str(files / f"{name}.onnx")), precision, "fp32", False)
    assert graph.precision == told


def test_what_is_float_in_an_int8_file_can_be_halved(files):
    graph = graph_of(ModelSource(str(files / "int8.onnx")), None, "fp16", False)
    assert graph.precision == "int8+fp16"


@pytest.mark.parametrize(
    ("name", "precision", "told"),
    [
        ("fp32", "int8", "is fp32, and int8 was asked for: quantize the model first"),
        ("fp16", "fp32", "is fp16, and fp32 was asked for"),
        ("int8", "fp16", "is int8, and fp16 was asked for"),
        ("nowhere", None, "no such file"),
    ],
)
def test_a_file_is_not_made_into_another(name, precision, told, files):
    with pytest.raises(InputError, match=told):
        graph_of(ModelSource(str(files / f"{name}.onnx")), precision, "fp32", False)


@pytest.mark.parametrize("raw", [b"", b"no onnx", b"\x08\x0a" * 40])
def test_a_broken_file_is_refused(raw, tmp_path):
    (tmp_path / "a.onnx").write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.onnx"):
        graph_of(ModelSource(str(tmp_path / "a.onnx")), None, "fp32", False)


def test_a_file_whose_weights_lie_outside_is_refused(files, tmp_path):
    model = onnx.load(files / "fp32.onnx")
    stored = model.graph.initializer[0]
    stored.ClearField("raw_data")
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value="../weights.bin")
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"a\.onnx: the numbers of .* not in its folder"):
        graph_of(ModelSource(str(tmp_path / "a.onnx")), None, "fp32", False)


def test_a_file_that_gives_other_tensors_is_refused(files, tmp_path):
    model = onnx.load(files / "fp32.onnx")
    del model.graph.output[1]
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(InputError, match="gives head_0; its metadata promise images and head_0, h"):
        graph_of(ModelSource(str(tmp_path / "a.onnx")), None, "fp32", False)


def unsigned(model: onnx.ModelProto) -> None:
    """UINT8 with zero point 0, which TensorRT's parser takes for INT8, with a warning."""
    (zero,) = (c for c in model.graph.initializer if c.name == "image.in.zero_point")
    zero.CopyFrom(numpy_helper.from_array(np.array(0, np.uint8), zero.name))


def shifted(model: onnx.ModelProto) -> None:
    (zero,) = (c for c in model.graph.initializer if c.name == "image.in.zero_point")
    zero.CopyFrom(numpy_helper.from_array(np.array(3, np.int8), zero.name))


@pytest.mark.parametrize(
    ("change", "told"),
    [(unsigned, r"image\.in\.\w+: .*(?i:uint8)"), (shifted, r"image\.in\.\w+: .*zero point")],
)
def test_q_dq_that_tensorrt_reads_otherwise_is_refused_with_its_node(change, told, files, tmp_path):
    model = onnx.load(files / "int8.onnx")
    change(model)
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(InputError, match=rf"a\.onnx: {told}") as refused:
        graph_of(ModelSource(str(tmp_path / "a.onnx")), None, "fp32", False)
    assert "\n" not in str(refused.value)


def test_the_cpu_profile_is_refused_and_the_rest_is_counted(files):
    with pytest.raises(InputError, match=r"cpu\.onnx: \S+: .* `yolo-slim check_onnx` names all"):
        graph_of(ModelSource(str(files / "cpu.onnx")), None, "fp32", False)

"""What stands in an ONNX file: rounding where the profile says so, and what travels along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from core_zoo import by_night
from onnx import numpy_helper

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import ACTIVATIONS, Cfg, parse, read_cfg, resize
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.metadata import from_metadata
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.runtime.session import NetworkSession, OnnxSession
from yolo_slim.weights import network_of
from yolo_slim.zoo import build

SPECIAL = [
    "cfg/mobilenet-yolo/yoloface-500k-v2", *by_night("cfg/AlexeyAB/csresnext50-panet-spp"),
]  # fmt: skip


def images(cfg: Cfg, count: int = 2, seed: int = 0) -> np.ndarray:
    shape = (count, cfg.net.channels, *cfg.input_hw)
    return np.random.default_rng(seed).random(shape, np.float32)


def run(bundle: Bundle, x: np.ndarray) -> list[np.ndarray]:
    return NetworkSession(network_of(bundle.cfg, bundle.weights, bundle.precision)).run(x)


def assert_equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.std() > 1e-3
        assert np.abs(a - b).max() <= 1e-4 * max(1.0, np.abs(a).max())


@pytest.mark.parametrize("stem", SPECIAL)
def test_onnx_is_torch_on_groups_and_gates(stem, shared_root, random_bundle, tmp_path):
    cfg = resize(read_cfg(shared_root / f"{stem}.cfg"), 64, 64)
    bundle = random_bundle(cfg, dtype=torch.float32)
    export_onnx(bundle, tmp_path / "a.onnx", dynamic_batch=True)
    assert_equal(run(bundle, images(cfg)), OnnxSession(tmp_path / "a.onnx", 1).run(images(cfg)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_has_its_onnx_form(activation, random_bundle, tmp_path):
    cfg = parse(
        "[net]\nwidth=12\nheight=8\nmean=.4,.5,.6\nstd=.2,.3,.4\n[convolutional]\n"
        f"batch_normalize=1\nfilters=6\nsize=3\npad=1\nactivation={activation}\n"
        "[maxpool]\nsize=2\nstride=1\n[maxpool]\nsize=3\nstride=2\n"
        "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
        "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n[upsample]\nstride=3\n"
    )
    bundle = random_bundle(cfg, dtype=torch.float32)
    export_onnx(bundle, tmp_path / "a.onnx")
    assert_equal(run(bundle, images(cfg)), OnnxSession(tmp_path / "a.onnx", 1).run(images(cfg)))


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_batch_is_what_its_images_are_alone(dynamic, random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    model = export_onnx(bundle, tmp_path / "a.onnx", dynamic_batch=dynamic)
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert (batch.dim_param == "batch") if dynamic else (batch.dim_value == 1)
    session = OnnxSession(tmp_path / "a.onnx", 1)
    x = images(bundle.cfg, 3)
    together, alone = session.run(x), [session.run(x[i : i + 1]) for i in range(3)]
    for head, whole in enumerate(together):
        assert whole.shape[0] == 3
        one_by_one = np.concatenate([maps[head] for maps in alone])
        np.testing.assert_allclose(whole, one_by_one, atol=1e-4)


def test_cfg_and_names_travel_in_the_file(random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    bundle = replace(bundle, class_names=("cat", "große Katze"))
    export_onnx(bundle, tmp_path / "a.onnx")
    session = OnnxSession(tmp_path / "a.onnx", 1)
    folded = [replace(s, batch_normalize=False) if hasattr(s, "batch_normalize") else s
              for s in bundle.cfg]  # fmt: skip
    assert session.cfg == replace(bundle.cfg, sections=tuple(folded))
    assert session.class_names == ("cat", "große Katze")
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


def test_a_file_of_another_maker_is_refused():
    with pytest.raises(InputError, match="no cfg in its metadata"):
        from_metadata({}, "theirs.onnx")


@pytest.mark.parametrize("raw", [b"", b"no onnx", b"\x08\x0a" * 40])
def test_a_corrupt_file_is_refused(raw, tmp_path):
    (tmp_path / "a.onnx").write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.onnx"):
        OnnxSession(tmp_path / "a.onnx", 1)


# --- INT8 -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["yolov3-nano", "swish", "relu gate"])
def quantized(request, module_bundle) -> tuple[Bundle, Bundle]:
    if request.param == "yolov3-nano":
        cfg = build("yolov3-nano", 2, 64)
    else:
        bn = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation={}\n"
        kind = request.param.split()[0]
        gate = (
            "[avgpool]\n[convolutional]\nfilters=8\nsize=1\nactivation=logistic\n"
            "[scale_channels]\nfrom=-3\nactivation=linear\n"
        )
        cfg = parse(
            "[net]\nwidth=32\nheight=32\n" + bn.format(kind) * 2
            + "[shortcut]\nfrom=-2\nactivation=linear\n" + (gate if "gate" in request.param else "")
            + bn.format(kind) + "[route]\nlayers=-1,-2\n"
            + "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
            + "[yolo]\nmask=0\nanchors=4,4\nclasses=2\n"
        )  # fmt: skip
    bundle = module_bundle(cfg)
    batches = [torch.from_numpy(images(cfg, 8, seed)) for seed in range(4)]
    return bundle, quantize(bundle, batches)


@pytest.fixture(scope="module")
def module_bundle():
    from yolo_slim.weights import random_weights

    def make(cfg: Cfg) -> Bundle:
        draw = torch.Generator().manual_seed(0)
        weights = random_weights(cfg)
        for key, value in weights.items():
            if key.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=draw) + 0.5)
            elif key.endswith("bn.weight"):
                value.copy_(torch.rand(value.shape, generator=draw) + 0.2)
            elif key.endswith("bn.bias"):
                value.copy_(torch.randn(value.shape, generator=draw) * 0.3)
        for index in cfg.head_convs:
            kernel = weights[f"{index}.conv.weight"]
            kernel.copy_(torch.randn(kernel.shape, generator=draw) / kernel[0].numel() ** 0.5)
            weights[f"{index}.conv.bias"].zero_()
        return Bundle(cfg, weights)

    return make


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}


def test_tensorrt_rounds_to_int8_around_zero_and_keeps_biases_float(quantized, tmp_path):
    _, int8 = quantized
    model = export_onnx(int8, tmp_path / "a.onnx", "tensorrt")
    constants = _constants(model)
    kinds = ("QuantizeLinear", "DequantizeLinear")
    rounding = [node for node in model.graph.node if node.op_type in kinds]
    assert len(rounding) > 2 * len(int8.precision.convs)
    for node in rounding:
        zero_point = constants[node.input[2]]
        assert zero_point.dtype == np.int8, node.name
        assert not zero_point.any(), node.name
        assert (constants[node.input[1]] > 0).all()
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert constants[node.input[2]].dtype == np.float32, node.name


@pytest.mark.parametrize("profile", ["tensorrt", "cpu"])
def test_heads_and_gates_stay_float(profile, quantized, tmp_path):
    _, int8 = quantized
    model = export_onnx(int8, tmp_path / "a.onnx", profile)
    constants = _constants(model)
    floats = {int(n.name.split(".")[0]) for n in model.graph.node
              if n.op_type == "Conv" and n.input[1] in constants}  # fmt: skip
    assert int8.cfg.head_convs <= floats
    assert floats.isdisjoint(int8.precision.convs)
    stored = [v for k, v in constants.items() if k.endswith("weight.steps")]
    assert len(stored) == len(int8.precision.convs)
    assert all(v.dtype == np.int8 and v.min() >= -127 for v in stored)


def test_the_tensorrt_graph_computes_what_torch_imitates(quantized, tmp_path):
    """Values on the edge of two steps may fall to either side, and travel from there: the two
    differ by no more than torch does from itself when its input moves by a millionth."""
    _, int8 = quantized
    export_onnx(int8, tmp_path / "a.onnx", "tensorrt", dynamic_batch=True)
    x = images(int8.cfg, 4, 9)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(
        str(tmp_path / "a.onnx"), options, providers=["CPUExecutionProvider"]
    )
    nudged = run(int8, x + np.float32(1e-6))
    for a, b, c in zip(run(int8, x), plain.run(None, {"images": x}), nudged, strict=True):
        itself = np.abs(a - c)
        assert np.abs(a - b).max() <= max(2 * itself.max(), 0.02 * a.std())
        assert np.sqrt(np.mean((a - b) ** 2)) <= 0.02 * a.std()


@pytest.mark.parametrize("profile", ["tensorrt", "cpu"])
def test_int8_stays_near_float(profile, quantized, tmp_path):
    bundle, int8 = quantized
    export_onnx(int8, tmp_path / "a.onnx", profile)
    x = images(int8.cfg, 4, 9)
    for a, b in zip(run(bundle, x), OnnxSession(tmp_path / "a.onnx", 1).run(x), strict=True):
        error = np.sqrt(np.mean((a - b) ** 2)) / a.std()
        assert 0 < error < 0.15


def test_a_float_export_of_a_quantized_bundle_has_no_rounding(quantized, tmp_path):
    bundle, int8 = quantized
    model = export_onnx(int8, tmp_path / "a.onnx")
    assert not [n for n in model.graph.node if "Quantize" in n.op_type]
    x = images(int8.cfg)
    assert_equal(run(bundle, x), OnnxSession(tmp_path / "a.onnx", 1).run(x))


def test_integer_kernels_are_as_good_as_the_rounding_they_stand_for(quantized, tmp_path):
    """The CPU graph as it is written, against what ONNX Runtime's optimiser makes of it. With
    weights of 8 bits it is not, where the CPU has no VNNI: sums of two products saturate."""
    bundle, int8 = quantized
    export_onnx(int8, tmp_path / "a.onnx", "cpu", dynamic_batch=True)
    x = images(int8.cfg, 4, 9)
    levels = onnxruntime.GraphOptimizationLevel
    errors = []
    for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(
            str(tmp_path / "a.onnx"), options, providers=["CPUExecutionProvider"]
        )
        pairs = zip(run(bundle, x), session.run(None, {"images": x}), strict=True)
        errors.append([np.sqrt(np.mean((a - b) ** 2)) / a.std() for a, b in pairs])
    assert np.array(errors[1]) == pytest.approx(np.array(errors[0]), rel=0.3)

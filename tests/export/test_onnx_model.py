from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from core_zoo import COMPUTED, by_night
from kitchen_sink import SMALL_NETWORKS, conv
from onnx import helper, numpy_helper

from yolo_slim.cfg import parse, read_cfg, resize
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.quantize.settings import QuantizeSettings
from yolo_slim.runtime.session import NetworkSession, OnnxSession
from yolo_slim.weights import network_of
from yolo_slim.zoo import build

SPECIAL = ["AlexeyAB/yolov4-tiny", "AlexeyAB/yolov3-tiny-prn", "AlexeyAB/enet-coco",
           "yolo-fastest/yolo-fastest-1.1", *by_night("AlexeyAB/yolov4-csp")]  # fmt: skip


def images(cfg, seed=0, count=2):
    return np.random.default_rng(seed).random((count, 3, *cfg.input_hw), np.float32)


def heads(bundle, x):
    return NetworkSession(network_of(bundle.cfg, bundle.weights, bundle.precision)).run(x)


def assert_onnx_is_torch(bundle, path):
    export_onnx(bundle, path, dynamic_batch=True)
    x = images(bundle.cfg)
    for a, b in zip(heads(bundle, x), OnnxSession(path, 2).run(x), strict=True):
        assert np.std(a) > 1e-3
        assert np.abs(a - b).max() <= 1e-4 * max(1.0, np.abs(a).max())


@pytest.mark.parametrize("name", COMPUTED)
def test_onnx_is_torch_on_the_zoo(name, random_bundle, tmp_path):
    bundle = random_bundle(build(name, 4, 64), dtype=torch.float32)
    assert_onnx_is_torch(bundle, tmp_path / "a.onnx")


@pytest.mark.parametrize("stem", SPECIAL)
def test_onnx_is_torch_on_special_cfgs(stem, shared_root, random_bundle, tmp_path):
    cfg = resize(read_cfg(shared_root / "cfg" / f"{stem}.cfg"), 64, 64)
    assert_onnx_is_torch(random_bundle(cfg, dtype=torch.float32), tmp_path / "a.onnx")


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_onnx_is_torch_on_every_kind_of_section(name, random_bundle, tmp_path):
    cfg = SMALL_NETWORKS[name]()
    assert_onnx_is_torch(random_bundle(cfg, dtype=torch.float32), tmp_path / "a.onnx")


@pytest.mark.parametrize("profile", ["cpu", "tensorrt"])
def test_int8_of_every_kind_of_section(profile, random_bundle, tmp_path):
    bundle = random_bundle(SMALL_NETWORKS["kitchen sink"](), dtype=torch.float32)
    int8 = quantize(bundle, [torch.from_numpy(images(bundle.cfg, s, 8)) for s in range(4)])
    export_onnx(int8, tmp_path / "a.onnx", profile)
    x = images(bundle.cfg, 9)
    for a, b in zip(heads(bundle, x), OnnxSession(tmp_path / "a.onnx", 2).run(x), strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9


def test_relu6_that_writes_a_single_pixel(random_bundle, tmp_path):
    """Such a map has no range: it cannot end with that of the rounding."""
    text = "[net]\nwidth=4\nheight=4\nchannels=3\n" + conv(8, 3, 2, "relu6") * 2
    cfg = parse(text + "[convolutional]\nfilters=4\nactivation=linear\n")
    bundle = random_bundle(cfg, dtype=torch.float32)
    int8 = quantize(bundle, [torch.from_numpy(images(cfg, 0, 32))])
    assert 1 in int8.precision.convs and 1 not in int8.precision.outputs
    for profile in ("cpu", "tensorrt"):
        export_onnx(int8, tmp_path / "a.onnx", profile)
        OnnxSession(tmp_path / "a.onnx", 1).run(images(cfg, 1))


def test_signs_are_asked_of_what_is_not_rounded(random_bundle, tmp_path):
    """A small number would become 0, and its sign another."""
    text = "[net]\nwidth=16\nheight=16\nchannels=3\n" + conv(8) * 2 + conv(8) + "xnor=1\n"
    cfg = parse(text + "[convolutional]\nfilters=4\nactivation=linear\n")
    bundle = random_bundle(cfg, dtype=torch.float32)
    int8 = quantize(bundle, [torch.from_numpy(images(cfg, 0, 32))])
    graph = export_onnx(int8, tmp_path / "a.onnx", "cpu").graph
    (asked,) = [node.input[0] for node in graph.node if node.op_type == "Greater"]
    (maker,) = [node.op_type for node in graph.node if asked in node.output]
    assert maker == "LeakyRelu"
    a, b = heads(int8, x := images(cfg, 9)), OnnxSession(tmp_path / "a.onnx", 1).run(x)
    assert np.corrcoef(a[0].ravel(), b[0].ravel())[0, 1] > 0.99


@pytest.fixture
def quantized(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 4, 64), dtype=torch.float32)
    return bundle, quantize(bundle, [torch.from_numpy(images(bundle.cfg, s, 8)) for s in range(4)])


@pytest.mark.parametrize("profile", ["cpu", "cpu-vnni", "tensorrt"])
def test_int8_follows_float(profile, quantized, tmp_path):
    bundle, int8 = quantized
    export_onnx(int8, tmp_path / "a.onnx", profile)
    rounded = OnnxSession(tmp_path / "a.onnx", 2).run(images(int8.cfg, 9))
    for a, b in zip(heads(bundle, images(int8.cfg, 9)), rounded, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_the_tensorrt_graph_is_what_torch_imitates(quantized, tmp_path):
    _, int8 = quantized
    export_onnx(int8, tmp_path / "a.onnx", "tensorrt")
    theirs = OnnxSession(tmp_path / "a.onnx", 2).run(images(int8.cfg, 9))
    for a, b in zip(heads(int8, images(int8.cfg, 9)), theirs, strict=True):
        # A value on the edge between two steps may fall to either side, and then travels.
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999


def test_convolutions_become_integer_kernels(quantized, tmp_path):
    _, int8 = quantized
    export_onnx(int8, tmp_path / "a.onnx", "cpu")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "b.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(tmp_path / "a.onnx"), options, providers=["CPUExecutionProvider"]
    )
    kinds = [node.op_type for node in onnx.load(tmp_path / "b.onnx").graph.node]
    assert kinds.count("QLinearConv") >= 0.95 * len(int8.precision.convs)


@pytest.mark.parametrize(("profile", "limit"), [("cpu", 64), ("cpu-vnni", 127)])
def test_kernels_have_the_bits_of_their_profile(profile, limit, quantized, tmp_path):
    model = export_onnx(quantized[1], tmp_path / "a.onnx", profile)
    kernels = [
        numpy_helper.to_array(constant)
        for constant in model.graph.initializer
        if constant.name.endswith("conv.weight.steps")
    ]
    assert len(kernels) == len(quantized[1].precision.convs)
    assert max(int(np.abs(kernel.astype(int)).max()) for kernel in kernels) == limit


def test_what_a_kept_convolution_reads_is_not_rounded(random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 4, 64), dtype=torch.float32)
    batches = [torch.from_numpy(images(bundle.cfg, s, 8)) for s in range(4)]
    kept = next(
        i for i in list(quantize(bundle, batches).precision.convs)[1:]
        if sum(bundle.cfg.links(i)[0] in bundle.cfg.links(k) for k in range(len(bundle.cfg))) == 1
    )  # fmt: skip
    int8 = quantize(bundle, batches, QuantizeSettings(keep_float=(kept,)))
    assert int8.precision.kept == (kept,)
    for profile in ("cpu", "tensorrt"):
        model = export_onnx(int8, tmp_path / "a.onnx", profile)
        made = {node.output[0]: node for node in model.graph.node}
        conv = made[f"{kept}.conv"]
        assert made[conv.input[0]].op_type != "DequantizeLinear"
        assert conv.input[1] not in made  # its kernel is a constant in float
        before = int8.cfg.links(kept)[0]
        if profile == "cpu":
            assert f"{before}.out.q" not in made and f"{before}.convolved.q" not in made


def test_relu6_needs_no_kernel_where_its_range_ends(random_bundle, tmp_path):
    """The same numbers come out with the Clip that is left out."""
    bundle = random_bundle(build("yolov3-tiny-mobilenetv2", 4, 64), dtype=torch.float32)
    int8 = quantize(bundle, [torch.from_numpy(images(bundle.cfg, s, 8)) for s in range(2)])
    model = export_onnx(int8, tmp_path / "a.onnx", "cpu")
    n_relu6 = sum(getattr(section, "activation", "") == "relu6" for section in int8.cfg)
    kinds = [node.op_type for node in model.graph.node]
    assert n_relu6 > 30 and kinds.count("Clip") < 0.2 * n_relu6
    x = images(int8.cfg, 9, 1)
    without = OnnxSession(tmp_path / "a.onnx", 1).run(x)
    for node in list(model.graph.node):
        section = node.input[0].removesuffix(".conv")
        if node.op_type != "QuantizeLinear" or not section.isdecimal():
            continue
        if getattr(int8.cfg[int(section)], "activation", "") == "relu6":
            ends = [helper.make_tensor(f"{section}.{e}", 1, [], [e]) for e in (0.0, 6.0)]
            model.graph.initializer.extend(ends)
            names = [node.input[0], *(end.name for end in ends)]
            place = list(model.graph.node).index(node)
            model.graph.node.insert(place, helper.make_node("Clip", names, [f"{section}.c"]))
            node.input[0] = f"{section}.c"
    assert sum(node.op_type == "Clip" for node in model.graph.node) > 0.8 * n_relu6
    onnx.save(model, tmp_path / "b.onnx")
    for a, b in zip(without, OnnxSession(tmp_path / "b.onnx", 1).run(x), strict=True):
        assert np.abs(a - b).max() <= 1e-4 * np.abs(a).max()


def test_a_plan_without_int8_is_not_exported(quantized, tmp_path):
    _, int8 = quantized
    empty = replace(int8, precision=int8.precision.without(int8.precision.convs))
    with pytest.raises(InputError, match="leaves every convolution in float"):
        export_onnx(empty, tmp_path / "a.onnx", "cpu")
    assert not list(tmp_path.iterdir())


def test_patches_that_take_gigabytes_are_refused(random_bundle, tmp_path):
    cfg = parse("[net]\nwidth=255\nheight=255\n[local]\nfilters=1\nsize=255\n", "net.cfg")
    with pytest.raises(InputError, match=r"net\.cfg:4 \[local\] size=255 of 3 channels"):
        export_onnx(random_bundle(cfg, dtype=torch.float32), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_int8_without_ranges_is_refused(random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 4, 64), dtype=torch.float32)
    with pytest.raises(InputError, match="run quantize first"):
        export_onnx(bundle, tmp_path / "a.onnx", "cpu")
    assert not list(tmp_path.iterdir())


def test_quantize_never_guesses(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 4, 64), dtype=torch.float32)
    with pytest.raises(InputError, match="needs images"):
        quantize(bundle, [])

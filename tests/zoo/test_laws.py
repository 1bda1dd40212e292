"""Every network of the zoo is pruned exactly, exported exactly, and read by OpenCV where it can."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from yolo_slim import zoo
from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Conv, Softmax, couple, infer_shapes
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.pipeline.darknet_pair import write_darknet_pair
from yolo_slim.prune.cut import mask, take
from yolo_slim.prune.place import plan_ratio
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.weights import network_of
from yolo_slim.zoo import build, classifier, classifiers

# One of each family by default, all others with -m slow.
QUICK = {
    "darknet19", "resnet18", "preresnet20", "mobilenetv1-0.25", "mobilenetv2-0.5",
    "mobilenetv3-small", "mnasnet-0.5", "shufflenetv1-g3", "shufflenetv2-0.5", "efficientnet-b0",
    "tinynet-e", "ghostnet-0.5", "densenet40",
}  # fmt: skip
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in classifiers()]
BACKBONES = [
    n if n in QUICK and n in {"mobilenetv3-small", "ghostnet-0.5", "shufflenetv2-0.5"}
    else pytest.param(n, marks=pytest.mark.slow)
    for n in classifiers() if classifier(n).stages
]  # fmt: skip


def small(name: str) -> Cfg:
    """At 64 px, where its matrices and pools allow; the cut of [vgg] reads 7 x 7 maps."""
    cfg = build(name, 10)
    return cfg if name.startswith("vgg") else build(name, 10, max(32, min(64, cfg.net.width)))


def outputs(bundle: Bundle) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, *bundle.cfg.input_hw, generator=generator)
    dtype = next(iter(bundle.weights.values())).dtype
    with torch.no_grad():
        return network_of(bundle.cfg, bundle.weights)(images.to(dtype))


def assert_pruned_exactly(bundle: Bundle) -> None:
    plan = plan_ratio(bundle, 0.5)
    masked = mask(bundle, plan)
    taken = take(masked, plan)
    for a, b in zip(outputs(masked), outputs(taken), strict=True):
        assert torch.isfinite(a).all()
        assert a.std() > 1e-6 * a.abs().max()
        assert (a - b).abs().max() <= 1e-9 * a.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_is_pruned_at_half_exactly(name, random_bundle):
    assert_pruned_exactly(random_bundle(small(name)))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_detector_is_pruned_at_half_exactly(name, random_bundle):
    assert_pruned_exactly(random_bundle(build(f"yolov3-tiny-{name}", 3, 64)))


@pytest.mark.parametrize("name", NAMES)
def test_onnx_is_torch(name, random_bundle, tmp_path):
    bundle = random_bundle(small(name), dtype=torch.float32)
    export_onnx(bundle, tmp_path / "a.onnx", dynamic_batch=True)
    session = OnnxSession(tmp_path / "a.onnx", 2)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, *bundle.cfg.input_hw, generator=generator).numpy()
    for a, b in zip(outputs(bundle), session.run(images), strict=True):
        assert a.std() > 1e-6
        assert np.abs(a.numpy() - b).max() <= 1e-4 * max(1.0, float(a.abs().max()))


@pytest.mark.parametrize(
    ("names", "least"),
    [
        (["mobilenetv1-1.0", "mobilenetv2", "mobilenetv3-large", "mobilenetv3-small"], 0.9),
        (["ghostnet", "mnasnet-1.0", "efficientnet-b0", "tinynet-a"], 0.9),
        (["resnet50", "seresnet50", "densenet121", "vgg16", "darknet53"], 0.9),
    ],
)
def test_how_many_batchnorm_channels_may_go(names, least):
    for name in names:
        cfg = build(f"yolov3-{name}")
        coupling = couple(cfg)
        free = [coupling.free[coupling.classes(i)] for i, s in enumerate(cfg)
                if isinstance(s, Conv) and s.batch_normalize]  # fmt: skip
        assert np.concatenate(free).mean() >= least, name


# What OpenCV reads as it is, and what it reads with ReLU in the place of ReLU6.
FOR_OPENCV = ["darknet19", "darknet53", "resnet18", "resnet50", "mobilenetv1-0.5", "mobilenetv2"]


@pytest.mark.parametrize(
    "name",
    [n if n in {"darknet19", "resnet18", "mobilenetv1-0.5", "mobilenetv2"}
     else pytest.param(n, marks=pytest.mark.slow) for n in FOR_OPENCV],
)  # fmt: skip
def test_opencv_computes_the_same_maps(name, random_bundle, tmp_path):
    found = classifier(name)
    trunk = tuple(
        replace(s, activation="relu") if isinstance(s, Conv) and s.activation == "relu6" else s
        for s in found.trunk
    )
    cfg = build(f"yolov3-{name}", 2, 96)
    cfg = replace(cfg, net=replace(cfg.net, bn_eps=1e-6),
                  sections=(*trunk, *cfg.sections[len(trunk):]))  # fmt: skip
    bundle = random_bundle(cfg, dtype=torch.float32)
    pair = write_darknet_pair(bundle, tmp_path / "net", reader="opencv")
    net = cv2.dnn.readNetFromDarknet(*map(str, pair))
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(1, 3, 96, 96, generator=generator)
    net.setInput(images.numpy())
    theirs = net.forward([f"conv_{i - 1}" for i in cfg.head_indices])
    with torch.no_grad():
        ours = network_of(cfg, bundle.weights)(images)
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a.numpy() - b).max() <= 1e-4 * max(1.0, np.abs(b).max())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mobilenetv3-small", "activation=hswish"),
        ("shufflenetv2-1.0", "[shuffle]"),
        ("ghostnet", "activation=hsigmoid"),
    ],
)
def test_what_is_not_portable_is_named(name, told, random_bundle, tmp_path):
    bundle = random_bundle(build(f"yolov3-{name}", 2, 64), dtype=torch.float32)
    with pytest.raises(InputError) as caught:
        write_darknet_pair(bundle, tmp_path / "net")
    assert told in str(caught.value)


def test_every_name_builds_and_the_nearest_is_told():
    for name in zoo.detectors()[::7]:
        shapes = infer_shapes(build(name))
        assert len(shapes)
    with pytest.raises(InputError, match="did you mean"):
        build("yolov3-mobilenetv4")
    assert isinstance(build("darknet53").sections[-1], Softmax)


def test_yolov3_tiny_stands_on_darknet_tiny():
    """The detector by its own name and the one by its parts are one network."""
    ours, own = build("yolov3-tiny-darknet-tiny"), build("yolov3-tiny")
    assert ours.sections == own.sections

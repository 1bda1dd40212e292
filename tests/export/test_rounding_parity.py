"""What torch imitates is what ONNX Runtime computes, section by section.

Whole networks cannot be compared so: a value on the edge between two steps falls to either side by
the order of a sum, and what reads it rounds another value. torch with another memory layout is as
far from itself as from ONNX Runtime; the last test measures both.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from core_zoo import by_night

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Conv, read_cfg, resize
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.export.onnx_model import _Exporter
from yolo_slim.prune.cut import take
from yolo_slim.prune.place import plan_ratio
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.weights import network_of
from yolo_slim.zoo import build

REAL = {
    "yolo-fastest-1.1-xl": "yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl",
    "MobileNetV2-YOLOv3-Nano":
        "mobilenet-yolo/MobileNetV2-YOLOv3-Nano/COCO/MobileNetV2-YOLOv3-Nano-coco",
}  # fmt: skip


def images(cfg: Cfg, seed: int, count: int = 1) -> torch.Tensor:
    """Smooth noise, nearer to pictures than noise is."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, cfg.net.channels, 8, 8, generator=draw)
    return torch.nn.functional.interpolate(coarse, size=cfg.input_hw, mode="bilinear")


def quantized(name: str, random_bundle, shared_root) -> Bundle:
    if name in REAL:
        stem = shared_root / "weights" / REAL[name]
        cfg = resize(read_cfg(stem.with_name(stem.name + ".cfg")), 160, 160)
        bundle = Bundle(cfg, read_darknet_weights(stem.with_name(stem.name + ".weights"), cfg)[0])
    else:
        bundle = random_bundle(build("yolov3" if name == "yolov3 pruned" else name, 4, 64),
                               dtype=torch.float32)  # fmt: skip
    if name == "yolov3 pruned":
        bundle = take(bundle, plan_ratio(bundle, 0.6))
    return quantize(bundle, [images(bundle.cfg, seed, 4) for seed in range(2)])


def traced(bundle: Bundle, x: torch.Tensor) -> dict[int, np.ndarray]:
    """section -> the map that ONNX Runtime makes of it, and that of the image."""
    exporter = _Exporter(bundle, "tensorrt", dynamic_batch=True)
    model = exporter.run()
    given = {output.name for output in model.graph.output}
    for tensor in set(exporter.tensors.values()) - given - {"images"}:
        model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"images": x.numpy()}), strict=True))
    found["images"] = x.numpy()
    return {index: found[tensor] for index, tensor in exporter.tensors.items()}


@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov3-nano", *by_night("yolov3 pruned", *REAL)])
def test_every_section_makes_the_same_of_the_same(name, random_bundle, shared_root):
    bundle = quantized(name, random_bundle, shared_root)
    assert bundle.precision is not None
    maps = traced(bundle, images(bundle.cfg, 9))
    network = network_of(bundle.cfg, bundle.weights, bundle.precision)
    n_convs = 0
    for index, section in enumerate(bundle.cfg):
        links = bundle.cfg.links(index)
        with torch.no_grad():
            theirs = {link: torch.from_numpy(maps[link]) for link in links}
            inputs = [network._read(theirs, link, index) for link in links]
            module = network.get_submodule(str(index))
            ours = module(*inputs).numpy()
        error, step = np.abs(ours - maps[index]), max(np.abs(ours).max(), 1e-3) / 127
        # One divides by a step, one multiplies by its inverse: an edge may part them, rarely, in
        # what a kernel makes or in what it reads.
        edge = step
        if isinstance(section, Conv):
            kernel = module.conv.weight.detach().abs().max()
            edge += float(kernel * inputs[0].abs().max()) / 127
        assert error.max() <= edge, section
        assert np.quantile(error, 0.99) <= 0.05 * step, section
        n_convs += isinstance(section, Conv)
    assert n_convs > len(bundle.precision.convs) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_whole_networks_differ_no_more_than_torch_from_itself(name, random_bundle, shared_root):
    bundle = quantized(name, random_bundle, shared_root)
    x = images(bundle.cfg, 9)
    network = network_of(bundle.cfg, bundle.weights, bundle.precision)
    maps = traced(bundle, x)
    with torch.no_grad():
        plain = network(x)
        other = network.to(memory_format=torch.channels_last)(
            x.contiguous(memory_format=torch.channels_last)
        )
    for index, a, b in zip(bundle.cfg.output_indices, plain, other, strict=True):
        step = float(a.max() - a.min()) / 255
        from_itself = float((a - b).abs().mean()) / step
        from_ort = float(np.abs(a.numpy() - maps[index]).mean()) / step
        print(f"{name} head {index}: mean difference {from_ort:.2f} steps, {from_itself:.2f}")
        assert from_ort <= 2 * from_itself + 1

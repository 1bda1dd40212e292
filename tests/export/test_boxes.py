"""Boxes in the graph are those that nn.decode reads off the raw maps, for every kind of head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from head_zoo import TEXTS, head_cfg, images, run_file

from yolo_slim.cfg import parse
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.nn.decode import decode_all
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.zoo import build


def assert_decoded(raws, boxes, scores, cfg):
    expected_boxes, expected_scores = decode_all([torch.from_numpy(raw) for raw in raws], cfg)
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes.shape == expected_boxes.shape
    assert scores.shape == expected_scores.shape
    np.testing.assert_allclose(boxes, expected_boxes.numpy(), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(scores, expected_scores.numpy(), rtol=1e-5, atol=1e-6)


def exported(bundle, folder, **options):
    """What the two files of a bundle give: raw maps; boxes and scores."""
    x = images(bundle.cfg, 2 if options.get("dynamic_batch") else 1)
    given = []
    for answer in ("raw", "boxes"):
        export_onnx(bundle, folder / "a.onnx", answer=answer, **options)
        given.append(run_file(folder / "a.onnx", x))
    return given


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_boxes_are_what_decode_reads_off_the_maps(name, dynamic, random_bundle, tmp_path):
    bundle = random_bundle(head_cfg(name), dtype=torch.float32)
    raws, (boxes, scores) = exported(bundle, tmp_path, dynamic_batch=dynamic)
    assert_decoded(raws, boxes, scores, bundle.cfg)
    assert boxes.std() > 1
    assert scores.std() > 0.01


def test_a_box_of_an_untrained_head_is_bounded_as_in_torch(random_bundle, tmp_path):
    bundle = random_bundle(head_cfg("yolo"), dtype=torch.float32)
    for index in bundle.cfg.head_convs:
        bundle.weights[f"{index}.conv.weight"] *= 100
    raws, (boxes, scores) = exported(bundle, tmp_path)
    assert max(raw.max() for raw in raws) > 50
    assert_decoded(raws, boxes, scores, bundle.cfg)


@pytest.mark.parametrize("softmax", ["", " sqrt softmax"])
def test_scores_of_detection_are_within_0_and_1_as_in_torch(softmax, random_bundle, tmp_path):
    bundle = random_bundle(head_cfg(f"detection{softmax}"), dtype=torch.float32)
    bundle.weights["2.connected.bias"] += 5
    raws, (boxes, scores) = exported(bundle, tmp_path)
    assert_decoded(raws, boxes, scores, bundle.cfg)
    assert scores.max() == 1


def test_sizes_of_detection_end_at_0_as_in_torch(random_bundle, tmp_path):
    bundle = random_bundle(head_cfg("detection"), dtype=torch.float32)
    raws, (boxes, scores) = exported(bundle, tmp_path)
    assert_decoded(raws, boxes, scores, bundle.cfg)
    sizes = boxes[..., 2:] - boxes[..., :2]
    assert sizes.min() == 0
    assert sizes.max() > 0


def test_places_are_constants(random_bundle, tmp_path):
    """No engine has to work them out, or to know the shape of a map before it runs."""
    bundle = random_bundle(head_cfg("yolo"), dtype=torch.float32)
    model = export_onnx(bundle, tmp_path / "a.onnx", answer="boxes", dynamic_batch=True)
    kinds = {node.op_type for node in model.graph.node}
    assert kinds <= {"Conv", "LeakyRelu", "Reshape", "Transpose", "Slice", "Sigmoid", "Min", "Exp",
                     "Mul", "Add", "Sub", "Concat"}  # fmt: skip
    assert [
        (out.name, [d.dim_param or d.dim_value for d in out.type.tensor_type.shape.dim])
        for out in model.graph.output
    ] == [("boxes", ["batch", 288, 4]), ("scores", ["batch", 288, 3])]


@pytest.mark.parametrize("profile", ["tensorrt", "cpu"])
def test_int8_ends_at_the_heads(profile, random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    int8 = quantize(bundle, [torch.from_numpy(images(bundle.cfg, 8, seed)) for seed in range(2)])
    raws, (boxes, scores) = exported(int8, tmp_path, int8=profile)
    assert_decoded(raws, boxes, scores, int8.cfg)
    model = export_onnx(int8, tmp_path / "a.onnx", profile, answer="boxes")
    after = [node for node in model.graph.node if node.name.startswith("decode.")]
    made = {name for node in after for name in node.output}
    assert {node.op_type for node in after}.isdisjoint({"QuantizeLinear", "DequantizeLinear"})
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            assert node.input[0] not in made


CLASSIFIER = "[net]\nwidth=16\nheight=16\n[convolutional]\nfilters=4\nsize=3\n[avgpool]\n"
TREE = (
    "[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=14\nsize=1\n"
    "[region]\nanchors=1,1, 2,2\nclasses=2\nnum=2\ntree=9k.tree\n"
)


@pytest.mark.parametrize("answer", ["boxes", "detections"])
@pytest.mark.parametrize(
    ("text", "told"), [(CLASSIFIER, "no detection head"), (TREE, r"tree=9k\.tree")]
)
def test_a_network_without_boxes_is_refused(text, told, answer, random_bundle, tmp_path):
    bundle = random_bundle(parse(text, "net.cfg"), dtype=torch.float32)
    with pytest.raises(InputError, match=told):
        export_onnx(bundle, tmp_path / "a.onnx", answer=answer)
    assert list(tmp_path.iterdir()) == []
    export_onnx(bundle, tmp_path / "a.onnx")

"""Suppression in the graph leaves what nn.suppress leaves; of ties either may go."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from head_zoo import head_cfg, images, run_file
from onnx import TensorProto, helper

from yolo_slim.cfg import resize
from yolo_slim.export import suppression as graph_suppression
from yolo_slim.export.graph import IR_VERSION, OPSET, Graph
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.export.suppression import MAX_CANDIDATES, add_suppression
from yolo_slim.nn.decode import decode_all
from yolo_slim.nn.suppress import Suppression, suppress
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.zoo import build

RULES = Suppression(conf=0.2, nms_iou=0.4, max_detections=25)


def draw(n_images: int, n_boxes: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Boxes [B, N, 4] that overlap a lot, and scores [B, N, C] of which no two are equal."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (n_images, n_boxes, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 40, corners.shape)], axis=2)
    scores = rng.permutation(n_images * n_boxes * n_classes) / (n_images * n_boxes * n_classes)
    return boxes.astype(np.float32), scores.reshape(n_images, n_boxes, -1).astype(np.float32)


def suppressed(boxes: np.ndarray, scores: np.ndarray, rules: Suppression) -> np.ndarray:
    """The rows of a graph that holds the suppression alone."""
    graph = Graph()
    name = add_suppression(graph, "boxes", "scores", *scores.shape[1:], rules)
    inputs = [
        helper.make_tensor_value_info(which, TensorProto.FLOAT, ["batch", *tensor.shape[1:]])
        for which, tensor in (("boxes", boxes), ("scores", scores))
    ]
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["detections", 7])
    constants = list(graph.constants.values())
    model = helper.make_model(
        helper.make_graph(graph.nodes, "suppression", inputs, [output], constants),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"boxes": boxes, "scores": scores})[0]


def expected(boxes: np.ndarray, scores: np.ndarray, rules: Suppression) -> np.ndarray:
    rows = []
    for number, pair in enumerate(zip(boxes, scores, strict=True)):
        left = suppress(*map(torch.from_numpy, pair), rules.conf, rules.nms_iou,
                        rules.max_detections)  # fmt: skip
        kept, kept_scores, class_ids = (tensor.numpy() for tensor in left)
        image = np.full((len(kept), 1), number)
        rows.append(np.hstack([image, kept, kept_scores[:, None], class_ids[:, None]]))
    return np.concatenate(rows).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "rules"),
    [
        ((1, 200, 3), RULES),
        ((3, 200, 3), RULES),  # the limit is one of each image
        ((2, 50, 1), RULES),
        ((1, 1, 1), Suppression(0.0, 0.5, 3)),  # a single score, 0: nothing
        ((2, 300, 4), Suppression(0.0, 1.0, 3000)),  # nothing is suppressed, nothing cut off
        ((2, 300, 4), Suppression(0.5, 0.0, 300)),  # whatever touches
        ((2, 40, 5), Suppression(1.0, 0.4, 10)),  # nothing is that sure
        ((1, 60, 80), Suppression(0.005, 0.45, 300)),
    ],
)
def test_it_is_suppress(shape, rules):
    boxes, scores = draw(*shape)
    found = suppressed(boxes, scores, rules)
    wanted = expected(boxes, scores, rules)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("side_px", [1e5, 1e7, 1e12])
def test_a_huge_box_of_another_class_changes_nothing(side_px):
    """In float32 it would take the pixels from the others; in the graph it never did."""
    rules = Suppression(0.2, 0.4, 3000)
    boxes, scores = draw(1, 12, 80)
    scores[..., 0] = 0
    without = expected(boxes, scores, rules)
    huge = np.full((1, 1, 4), side_px / 2, np.float32) * [-1, -1, 1, 1]
    boxes = np.concatenate([boxes, huge.astype(np.float32)], axis=1)
    scores = np.concatenate([scores, np.float32([[[0.21] + 79 * [0]]])], axis=1)
    found = expected(boxes, scores, rules)
    np.testing.assert_array_equal(found, suppressed(boxes, scores, rules))
    np.testing.assert_array_equal(found[found[:, 6] > 0], without)


def test_a_class_does_not_reach_into_the_one_before():
    """What lies at negative coordinates, of class 1, is none of class 0's at the other end."""
    boxes = torch.tensor([[50.0, 50, 99, 99], [-50, -50, -1, -1]])
    left = suppress(boxes, torch.tensor([[0.9, 0], [0, 0.8]]), 0.1, 0.45, 10)
    assert len(left[0]) == 2


def test_a_box_may_be_of_two_classes_and_classes_do_not_compete():
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 9.5]]], np.float32)
    scores = np.array([[[0.9, 0.8], [0.7, 0.85]]], np.float32)
    rows = suppressed(boxes, scores, RULES)
    np.testing.assert_allclose(
        rows, [[0, 0, 0, 10, 10, 0.9, 0], [0, 0, 0, 10, 9.5, 0.85, 1]], rtol=1e-6
    )


def test_beyond_the_limit_the_boxes_of_the_best_class_scores_are_looked_at(monkeypatch):
    monkeypatch.setattr(graph_suppression, "MAX_CANDIDATES", 50)
    boxes, scores = draw(2, 400, 3)
    rows = suppressed(boxes, scores, RULES)
    best = np.argsort(-scores.max(axis=2), axis=1)[:, :50, None]
    picked = (np.take_along_axis(tensor, best, axis=1) for tensor in (boxes, scores))
    np.testing.assert_array_equal(rows, expected(*picked, RULES))


def test_within_the_limits_of_tensorrt(random_bundle, tmp_path):
    """TopK takes fewer than 3840, suppression at most 5000 boxes, and there are no plugins."""
    cfg = resize(head_cfg("yolo"), 320, 160)  # 7200 boxes
    model = export_onnx(
        random_bundle(cfg, dtype=torch.float32), tmp_path / "a.onnx", answer="detections",
        suppression=Suppression(max_detections=MAX_CANDIDATES),
    )  # fmt: skip
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    sizes = [int(constants[n.input[1]][0]) for n in model.graph.node if n.op_type == "TopK"]
    assert sizes == [3000, 3000]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
              for v in inferred.graph.value_info}  # fmt: skip
    for node in model.graph.node:
        assert node.domain == ""
        if node.op_type == "NonMaxSuppression":
            assert shapes[node.input[0]] == [1, 3000, 4]
    # NonZero and its like are plugins there.
    assert {n.op_type for n in model.graph.node}.isdisjoint({"NonZero", "Compress", "Loop"})


def test_more_than_the_limit_is_refused():
    with pytest.raises(ValueError, match="3000 of an image at most"):
        add_suppression(Graph(), "boxes", "scores", 10, 2, Suppression(max_detections=3001))


@pytest.mark.parametrize("head", ["yolo", "Gaussian_yolo", "region softmax", "yolo new_coords",
                                  "detection sqrt softmax"])  # fmt: skip
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_file_with_suppression_is_the_raw_file_and_what_we_do_with_it(
    head, dynamic, random_bundle, tmp_path
):
    bundle = random_bundle(head_cfg(head), dtype=torch.float32)
    assert_same(bundle, tmp_path, dynamic=dynamic)


def test_int8_with_suppression(random_bundle, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    batches = [torch.from_numpy(images(bundle.cfg, 8, seed)) for seed in range(2)]
    assert_same(quantize(bundle, batches), tmp_path, "cpu", dynamic=False)


def assert_same(bundle, folder, int8=None, dynamic=True):
    x = images(bundle.cfg, 3 if dynamic else 1)
    export_onnx(bundle, folder / "raw.onnx", int8, dynamic)
    raws = [torch.from_numpy(raw) for raw in run_file(folder / "raw.onnx", x)]
    boxes, scores = (tensor.numpy() for tensor in decode_all(raws, bundle.cfg))
    rules = Suppression(float(np.quantile(scores, 0.8)), 0.45, 60)
    export_onnx(bundle, folder / "nms.onnx", int8, dynamic, "detections", rules)
    (rows,) = run_file(folder / "nms.onnx", x)
    wanted = expected(boxes, scores, rules)
    assert len(wanted) > 10
    np.testing.assert_allclose(rows, wanted, rtol=1e-4, atol=1e-3)

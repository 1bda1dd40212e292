"""Non-maximum suppression as ONNX nodes: standard operators alone, within TensorRT's limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, numpy_helper

from yolo_slim.export.graph import Graph
from yolo_slim.nn.suppress import Suppression

MAX_CANDIDATES = 3000
"""Boxes of an image that are looked at, and the most that are kept: TensorRT's TopK takes fewer
than 3840, its suppression at most 5000."""


def add_suppression(
    graph: Graph, boxes: str, scores: str, n_boxes: int, n_classes: int, suppression: Suppression
) -> str:
    """Tensor `detections` [M, 7] of boxes [B, N, 4] and scores [B, N, C].

    A row: number of the image in the batch, x1, y1, x2, y2, score, class id. Images in turn, each
    with its best detection first. As nn.suppress does it by IoU, but of the `MAX_CANDIDATES` boxes
    whose best class scores highest. The nodes before have names that begin with `suppress.`.

    Raises ValueError where more detections are asked for than there are candidates.
    """
    if suppression.max_detections > MAX_CANDIDATES:
        raise ValueError(f"{suppression}: a graph keeps {MAX_CANDIDATES} of an image at most")
    return _Suppressor(graph, n_boxes, n_classes, suppression).add(boxes, scores)


@dataclass(frozen=True)
class _Suppressor:
    graph: Graph
    n_boxes: int
    n_classes: int
    suppression: Suppression

    def add(self, boxes: str, scores: str) -> str:
        n_candidates = min(MAX_CANDIDATES, self.n_boxes)
        if n_candidates < self.n_boxes:
            best = self.node(
                "ReduceMax", [scores, self.ints("axis_2", [2])], "top_scores", keepdims=0
            )
            _, places = self.graph.largest(best, "suppress.candidates", n_candidates)  # [B, K]
            boxes, scores = (
                self.picked(boxes, places, "boxes"),
                self.picked(scores, places, "scores"),
            )
        by_class = self.node("Transpose", [scores], "by_class", perm=[0, 2, 1])  # [B, C, K]
        kept = self.kept(boxes, by_class, n_candidates)  # [B, C * K]
        n_most = min(self.suppression.max_detections, self.n_classes * n_candidates)
        best, places = self.graph.largest(kept, "suppress.most", n_most)  # [B, most]
        width = self.ints("n_candidates", n_candidates)
        class_ids = self.node("Div", [places, width], "class_ids")
        starts = self.node("Mul", [class_ids, width], "class_starts")
        columns = [
            self.picked(boxes, self.node("Sub", [places, starts], "most.candidates"), "most.boxes"),
            self.unsqueezed(best, "most.scores"),
            self.unsqueezed(self.floated(class_ids), "most.class_ids"),
        ]
        rows = self.node("Concat", columns, "rows", axis=2)  # [B, most, 6]
        found = self.found(best, n_most)  # [M, 2]: image, row
        images = self.graph.sliced(found, "suppress.images", [0], [1], [1])
        found_rows = self.node("GatherND", [rows, found], "found_rows")  # [M, 6]
        return self.graph.node("Concat", [self.floated(images), found_rows], "detections", axis=1)

    def kept(self, boxes: str, by_class: str, n_candidates: int) -> str:
        """The scores of the pairs of class and box that are left, 0 of the others: [B, C * K].

        So the limit of detections can be one of an image; that of ONNX is one of a class.
        """
        selected = self.selected(boxes, by_class, n_candidates, "selected")  # image, class, box
        zeros = self.node(
            "ConstantOfShape", [self.node("Shape", [by_class], "shape")], "zeros",
            value=numpy_helper.from_array(np.zeros(1, np.float32)),
        )  # fmt: skip
        values = self.node("GatherND", [by_class, selected], "selected_scores")
        kept = self.node("ScatterND", [zeros, selected, values], "kept")
        return self.graph.reshaped(kept, "suppress.flat", [0, self.n_classes * n_candidates])

    def found(self, best: str, n_most: int) -> str:
        """Image and place of the scores above conf in best [B, most]: [M, 2].

        NonZero would say it, but TensorRT's parser may ask for a plugin then. Suppression, which
        must be there anyway, leaves all boxes that lie apart, as these made-up ones do.
        """
        lefts = 2.0 * np.arange(n_most)[:, None]
        apart = self.graph.floats("suppress.apart", (lefts * [1, 0, 1, 0] + [0, 0, 1, 1])[None])
        scores = self.unsqueezed(best, "best.column")
        nothing = self.node("Mul", [scores, self.graph.floats("suppress.zero", 0.0)], "nothing")
        boxes = self.node("Add", [nothing, apart], "apart_in_each_image")
        by_class = self.node("Unsqueeze", [best, self.ints("axis_1", [1])], "best.by_class")
        selected = self.selected(boxes, by_class, n_most, "above_conf")
        return self.node("Gather", [selected, self.ints("image_and_place", [0, 2])], "at", axis=1)

    def selected(self, boxes: str, by_class: str, n_boxes: int, name: str) -> str:
        rules = self.suppression
        most = self.ints(f"{name}.most", [min(rules.max_detections, n_boxes)])
        nms_iou = self.graph.floats("suppress.nms_iou", [rules.nms_iou])
        conf = self.graph.floats("suppress.conf", [rules.conf])
        return self.node("NonMaxSuppression", [boxes, by_class, most, nms_iou, conf], name)

    def picked(self, values: str, places: str, name: str) -> str:
        """Rows `places` [B, n] of values [B, N, size] -> [B, n, size]."""
        at = self.unsqueezed(places, f"{name}.at")
        return self.node("GatherND", [values, at], name, batch_dims=1)

    def unsqueezed(self, values: str, name: str) -> str:
        return self.node("Unsqueeze", [values, self.ints("axis_2", [2])], name)

    def floated(self, values: str) -> str:
        return self.graph.node("Cast", [values], f"{values}.float", to=TensorProto.FLOAT)

    def node(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        return self.graph.node(op, inputs, f"suppress.{name}", **attributes)

    def ints(self, name: str, values: object) -> str:
        return self.graph.ints(f"suppress.{name}", values)

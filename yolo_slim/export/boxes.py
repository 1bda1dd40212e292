"""Heads as ONNX nodes: from their raw maps to boxes and scores, as nn.decode reads them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from yolo_slim.cfg import Cfg, Detection, GaussianYolo, Head, Region, Shape, Yolo
from yolo_slim.errors import InputError
from yolo_slim.export.graph import Graph
from yolo_slim.nn.decode import MAX_LOG_FACTOR


def require_boxes(cfg: Cfg) -> None:
    """Raises InputError for a network that boxes cannot be read off."""
    if not cfg.heads:
        raise InputError(
            f"{cfg.source} has no detection head: it finds no boxes; leave out --output boxes and "
            "--nms"
        )
    for index in cfg.head_indices:
        head = cfg[index]
        if isinstance(head, Region) and head.tree:
            raise InputError(
                f"{cfg.where(index)} tree={head.tree}: boxes of a class hierarchy are not read; "
                "leave out --output boxes and --nms"
            )


def n_anchors(head: Head) -> int:
    """Boxes at each place of a head's map."""
    match head:
        case Yolo():
            return len(head.mask)
        case Region():
            return len(head.anchors_wh)
        case Detection():
            return head.num
    raise TypeError(f"no boxes of a [{head.kind}]")


def places_hw(head: Head, shape: Shape) -> tuple[int, int]:
    """Rows and columns of places that a head has boxes at; `shape` is that of the map it reads."""
    return (head.side, head.side) if isinstance(head, Detection) else (shape.height, shape.width)


def add_boxes(
    graph: Graph, cfg: Cfg, maps: Sequence[str], shapes: Sequence[Shape]
) -> tuple[str, str, int]:
    """Tensors `boxes` [B, N, 4] and `scores` [B, N, C], and N.

    maps, shapes: the raw map of each head, and its shape. Boxes are xyxy in pixels of the network's
    input and may reach over its border. N runs over heads, their anchors, rows, columns. The nodes
    before these two have names that begin with `decode.`.
    """
    boxes, scores, n_boxes = [], [], 0
    for number, (head, raw, shape) in enumerate(zip(cfg.heads, maps, shapes, strict=True)):
        writer = _HeadWriter(graph, f"decode.{number}", cfg.input_hw, head, shape)
        read_boxes, read_scores = writer.add(raw)
        n_here = n_anchors(head) * writer.places
        n_boxes += n_here
        boxes.append(graph.reshaped(read_boxes, f"{writer.name}.boxes.flat", [0, n_here, 4]))
        scores.append(
            graph.reshaped(read_scores, f"{writer.name}.scores.flat", [0, n_here, head.classes])
        )
    return (
        graph.node("Concat", boxes, "boxes", axis=1),
        graph.node("Concat", scores, "scores", axis=1),
        n_boxes,
    )


class _HeadWriter:
    """Adds the nodes of one head, on tensors [B, A, H * W, values]."""

    def __init__(
        self, graph: Graph, name: str, input_hw: tuple[int, int], head: Head, shape: Shape
    ) -> None:
        self.graph, self.name, self.head = graph, name, head
        self.height, self.width = places_hw(head, shape)
        self.places = self.height * self.width
        self.stride_wh = np.array([input_hw[1] / self.width, input_hw[0] / self.height])
        self.whole_wh = np.array([input_hw[1], input_hw[0]], np.float64)

    def add(self, raw: str) -> tuple[str, str]:
        """Boxes [B, A, H * W, 4] and scores [B, A, H * W, C] of the raw map."""
        match self.head:
            case GaussianYolo() as head:
                return self.gaussian(head, self.rows(raw, head.values_per_box + head.classes))
            case Yolo() as head:
                return self.yolo(head, self.rows(raw, head.values_per_box + head.classes))
            case Region() as head:
                return self.region(head, self.rows(raw, 5 + head.classes))
            case Detection() as head:
                return self.detection(head, raw)
        raise TypeError(f"no boxes of a [{self.head.kind}]")

    def yolo(self, head: Yolo, rows: str) -> tuple[str, str]:
        boxes = self.yolo_boxes(head, self.part(rows, "xy", 0, 2), self.part(rows, "wh", 2, 4))
        sure = self.part(rows, "objectness", 4, 5)
        classes = self.part(rows, "classes", 5, 5 + head.classes)
        sure, classes = (
            self.clip(part) if head.new_coords else self.node("Sigmoid", part)
            for part in (sure, classes)
        )
        return boxes, self.product(sure, classes, "scores")

    def gaussian(self, head: GaussianYolo, rows: str) -> tuple[str, str]:
        """Rows: x, its uncertainty, y, its... w, its... h, its..., objectness, classes."""
        xy, wh = self.part(rows, "xy", 0, 4, 2), self.part(rows, "wh", 4, 8, 2)
        boxes = self.yolo_boxes(head, xy, wh)
        spreads = self.node("Sigmoid", self.part(rows, "spreads", 1, 8, 2))
        axis = self.graph.ints("axis_3", [3])
        spread = self.graph.node("ReduceMean", [spreads, axis], f"{self.name}.spread", keepdims=1)
        one = self.graph.floats("decode.one", 1.0)
        certainty = self.graph.node("Sub", [one, spread], f"{self.name}.certainty")
        sure = self.node("Sigmoid", self.part(rows, "objectness", 8, 9))
        classes = self.node("Sigmoid", self.part(rows, "classes", 9, 9 + head.classes))
        sure = self.product(sure, certainty, "objectness.certain")
        return boxes, self.product(sure, classes, "scores")

    def yolo_boxes(self, head: Yolo, xy: str, wh: str) -> str:
        anchors = np.array(head.masked_anchors_wh)
        if head.new_coords:  # (2 w)^2 * anchor = w * w * (4 * anchor)
            return self.boxes(xy, self.product(wh, wh, "wh.square"), 4 * anchors, head.scale_x_y)
        return self.boxes(self.node("Sigmoid", xy), self.exp(wh), anchors, head.scale_x_y)

    def region(self, head: Region, rows: str) -> tuple[str, str]:
        """Anchors are in cells; one class of several (YOLOv2)."""
        xy = self.node("Sigmoid", self.part(rows, "xy", 0, 2))
        wh = self.exp(self.part(rows, "wh", 2, 4))
        boxes = self.boxes(xy, wh, np.array(head.anchors_wh) * self.stride_wh)
        sure = self.node("Sigmoid", self.part(rows, "objectness", 4, 5))
        classes = self.part(rows, "classes", 5, 5 + head.classes)
        classes = self.softmax(classes) if head.softmax else self.node("Sigmoid", classes)
        return boxes, self.product(sure, classes, "scores")

    def detection(self, head: Detection, raw: str) -> tuple[str, str]:
        """[B, places * (C + num * 5)]: classes, objectness, boxes, each by place (YOLOv1)."""
        graph, places, num = self.graph, self.places, head.num
        flat = graph.reshaped(raw, f"{self.name}.flat", [0, head.head_filters])
        edges = np.cumsum([0, places * head.classes, places * num, places * num * 4]).tolist()
        classes, sure, boxes = (
            graph.sliced(flat, f"{self.name}.{part}.values", [start], [stop], [1])
            for part, (start, stop) in zip(
                ("classes", "objectness", "boxes"), pairwise(edges), strict=True
            )
        )
        classes = graph.reshaped(classes, f"{self.name}.classes", [0, 1, places, head.classes])
        if head.softmax:
            classes = self.softmax(classes)
        sure, boxes = (
            self.by_anchor(values, part, size)
            for values, part, size in ((sure, "objectness", 1), (boxes, "rows", 4))
        )
        wh = self.part(boxes, "wh", 2, 4)
        if head.sqrt:
            wh = self.product(wh, wh, "wh.square")
        else:
            wh = graph.node("Max", [wh, graph.floats("decode.zero", 0.0)], f"{wh}.bounded")
        whole = np.tile(self.whole_wh, (num, 1))
        xyxy = self.boxes(self.part(boxes, "xy", 0, 2), wh, whole)
        return xyxy, self.clip(self.product(sure, classes, "scores"))

    def rows(self, raw: str, values: int) -> str:
        """[B, A * values, H, W] -> [B, A, H * W, values]."""
        x = self.graph.reshaped(
            raw, f"{self.name}.maps", [0, n_anchors(self.head), values, self.places]
        )
        return self.graph.node("Transpose", [x], f"{self.name}.rows", perm=[0, 1, 3, 2])

    def by_anchor(self, values: str, part: str, size: int) -> str:
        """[B, H * W * A * size] -> [B, A, H * W, size]."""
        shape = [0, self.places, n_anchors(self.head), size]
        x = self.graph.reshaped(values, f"{self.name}.{part}.by_place", shape)
        return self.graph.node("Transpose", [x], f"{self.name}.{part}", perm=[0, 2, 1, 3])

    def boxes(self, offsets: str, factors: str, anchors_px: np.ndarray, scale: float = 1.0) -> str:
        """Centre = (scale * offset - (scale - 1) / 2 + cell) * stride, size = factor * anchor."""
        graph, name = self.graph, self.name
        rows, columns = np.divmod(np.arange(self.places), self.width)
        cells = np.stack([columns, rows], axis=1)  # [H * W, 2]
        origins = (cells - (scale - 1) / 2) * self.stride_wh
        step = graph.floats(f"{name}.step", scale * self.stride_wh)
        moved = self.product(offsets, step, "xy.scaled")
        centres = graph.node(
            "Add", [moved, graph.floats(f"{name}.origins", origins)], f"{name}.centres"
        )
        half_anchors = graph.floats(f"{name}.half_anchors", anchors_px[:, None] / 2)  # [A, 1, 2]
        halves = self.product(factors, half_anchors, "halves")
        sides = [graph.node(op, [centres, halves], f"{name}.{part}")
                 for op, part in (("Sub", "top_left"), ("Add", "bottom_right"))]  # fmt: skip
        return graph.node("Concat", sides, f"{name}.boxes", axis=3)

    def part(self, rows: str, part: str, start: int, stop: int, step: int = 1) -> str:
        """Values start..stop of each row."""
        steps = [step] if step > 1 else None
        return self.graph.sliced(rows, f"{self.name}.{part}", [start], [stop], [3], steps)

    def clip(self, x: str) -> str:
        """To probabilities."""
        zero, one = self.graph.floats("decode.zero", 0.0), self.graph.floats("decode.one", 1.0)
        return self.graph.node("Clip", [x, zero, one], f"{x}.clipped")

    def exp(self, x: str) -> str:
        bounded = self.graph.node(
            "Min", [x, self.graph.floats("decode.max_log_factor", MAX_LOG_FACTOR)], f"{x}.bounded"
        )
        return self.node("Exp", bounded)

    def softmax(self, x: str) -> str:
        return self.graph.node("Softmax", [x], f"{x}.softmax", axis=3)

    def node(self, op: str, x: str) -> str:
        return self.graph.node(op, [x], f"{x}.{op.lower()}")

    def product(self, a: str, b: str, part: str) -> str:
        return self.graph.node("Mul", [a, b], f"{self.name}.{part}")

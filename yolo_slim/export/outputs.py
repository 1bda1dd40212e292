"""What a graph gives: the maps of its heads, their boxes and scores, or detections."""

from __future__ import annotations

from collections.abc import Sequence

from yolo_slim.cfg import Cfg, Shape
from yolo_slim.export.boxes import add_boxes
from yolo_slim.export.graph import Graph
from yolo_slim.export.suppression import add_suppression
from yolo_slim.metadata import Answer, output_names
from yolo_slim.nn.suppress import Suppression

Outputs = list[tuple[str, list[int | str]]]
"""Name and shape of each output; a side of no fixed length has a name."""


def add_outputs(
    graph: Graph,
    cfg: Cfg,
    maps: Sequence[str],
    shapes: Sequence[Shape],
    batch: int | str,
    answer: Answer = "raw",
    suppression: Suppression | None = None,
) -> Outputs:
    """Adds the nodes that follow the maps.

    maps, shapes: of the sections that the network gives, in order. suppression: of 'detections'.
    """
    if answer == "raw":
        return [
            (graph.node("Identity", [raw], name), [batch, *shape])
            for name, raw, shape in zip(output_names(cfg, "raw"), maps, shapes, strict=True)
        ]
    boxes, scores, n_boxes = add_boxes(graph, cfg, maps, shapes)
    if answer == "boxes":
        return [(boxes, [batch, n_boxes, 4]), (scores, [batch, n_boxes, cfg.n_classes])]
    assert suppression is not None
    return [
        (
            add_suppression(graph, boxes, scores, n_boxes, cfg.n_classes, suppression),
            ["detections", 7],
        )
    ]

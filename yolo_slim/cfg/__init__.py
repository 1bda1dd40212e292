"""The document floor: read, check, measure, couple and edit a cfg. Imports no torch."""

from yolo_slim.cfg.coupling import Coupling, couple
from yolo_slim.cfg.edit import (
    narrow,
    resize,
    with_anchors,
    with_classes,
    with_iou_thresh,
    without_batchnorm,
)
from yolo_slim.cfg.measure import SectionCost, Totals, measure, totals
from yolo_slim.cfg.sections import (
    ACTIVATIONS,
    IMAGE,
    Avgpool,
    Cfg,
    Conv,
    Dropout,
    Maxpool,
    Net,
    Route,
    ScaleChannels,
    Section,
    Shortcut,
    Upsample,
    Yolo,
)
from yolo_slim.cfg.shapes import Shape, infer_shapes, input_shape
from yolo_slim.cfg.text import parse, read_cfg, render
from yolo_slim.cfg.verify import verify

__all__ = [
    "ACTIVATIONS",
    "IMAGE",
    "Avgpool",
    "Cfg",
    "Conv",
    "Coupling",
    "Dropout",
    "Maxpool",
    "Net",
    "Route",
    "ScaleChannels",
    "Section",
    "SectionCost",
    "Shape",
    "Shortcut",
    "Totals",
    "Upsample",
    "Yolo",
    "couple",
    "infer_shapes",
    "input_shape",
    "measure",
    "narrow",
    "parse",
    "read_cfg",
    "render",
    "resize",
    "totals",
    "verify",
    "with_anchors",
    "with_classes",
    "with_iou_thresh",
    "without_batchnorm",
]

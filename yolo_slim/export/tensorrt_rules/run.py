"""All rules over a model. A new one is a function and its line in CHECKS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
import onnx.inliner

from yolo_slim.export.tensorrt_rules import (
    map_rules,
    network_rules,
    number_rules,
    pair_rules,
    scale_rules,
    type_rules,
    weight_rules,
)
from yolo_slim.export.tensorrt_rules.finding import Finding
from yolo_slim.export.tensorrt_rules.rules import RULES
from yolo_slim.export.tensorrt_rules.slim import without_weights
from yolo_slim.export.tensorrt_rules.view import GraphView
from yolo_slim.findings import by_kind

Check = Callable[[GraphView], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    network_rules.valid,
    network_rules.opset,
    network_rules.operators,
    network_rules.inputs,
    network_rules.precision,
    number_rules.number_rules,
    type_rules.type_rules,
    pair_rules.dead_ends,
    pair_rules.between,
    pair_rules.half_quantized,
    pair_rules.before_activation,
    weight_rules.weight_axis,
    weight_rules.channel_multiple,
    weight_rules.quantized_bias,
    weight_rules.clip_on_weights,
    scale_rules.unequal_scales,
    map_rules.quantized_heads,
    map_rules.rounded_outputs,
    map_rules.residual_adds,
    map_rules.boxes,
)


def check(model: onnx.ModelProto) -> list[Finding]:
    """Everything that stands between the model and an INT8 engine of TensorRT, faults first.

    The model is not changed. No fault means that TensorRT is expected to build it.
    """
    return findings(view_of(model))


def findings(view: GraphView) -> list[Finding]:
    """The same, of a model that was looked at already."""
    found = [finding for rule in CHECKS for finding in rule(view)]
    return [finding for group in by_kind(found, RULES).values() for finding in group]


def view_of(model: onnx.ModelProto) -> GraphView:
    """The model with its functions put in place of their calls, and all shapes that follow."""
    slim, weights = without_weights(_attempted(_inlined, model))
    return GraphView(_attempted(onnx.shape_inference.infer_shapes, slim), weights)


def _attempted(
    change: Callable[[onnx.ModelProto], onnx.ModelProto], model: onnx.ModelProto
) -> onnx.ModelProto:
    try:
        return change(model)
    except Exception:  # what is broken enough for that is found by a rule
        return model


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.inliner.inline_local_functions(model) if model.functions else model

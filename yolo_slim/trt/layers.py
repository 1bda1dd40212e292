"""What TensorRT's inspector tells about the layers of an engine: which run in INT8, really."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_TYPES = ("INT8", "FP8", "FP4", "BF16", "FP16", "FP32", "INT64", "INT32", "BOOL")
_OTHER_NAMES = {"HALF": "FP16", "FLOAT": "FP32"}
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
UNKNOWN = "?"


@dataclass(frozen=True)
class Layer:
    """name, kind: TensorRT's. reads, weights: number types, '?' where they are not told. nodes: the
    ONNX nodes that the layer computes."""

    name: str
    kind: str
    reads: str
    weights: str
    nodes: tuple[str, ...]

    @property
    def is_convolution(self) -> bool:
        return "conv" in self.kind.lower() or any(node.endswith(".conv") for node in self.nodes)


def read_layers(text: str) -> list[Layer]:
    """The layers of `EngineInspector.get_engine_information`, in JSON; none where it is no such."""
    try:
        entries = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        return []
    return [_layer(entry) for entry in entries if isinstance(entry, dict | str)]


def convolution_types(layers: Iterable[Layer]) -> dict[str, int]:
    """Convolutions by the number type that they read, as {'INT8': 12, 'FP16': 3}."""
    return dict(Counter(layer.reads for layer in layers if layer.is_convolution).most_common())


def not_in_int8(layers: Iterable[Layer], nodes: Iterable[str]) -> tuple[str, ...]:
    """Those ONNX nodes that should be INT8, and are in a layer that is known not to be."""
    elsewhere = {
        node for layer in layers if layer.reads not in ("INT8", UNKNOWN) for node in layer.nodes
    }
    return tuple(node for node in nodes if node in elsewhere)


def _layer(entry: dict[str, Any] | str) -> Layer:
    if isinstance(entry, str):  # an engine that was built without detailed verbosity
        return Layer(entry, UNKNOWN, UNKNOWN, UNKNOWN, ())
    inputs = entry.get("Inputs") or [{}]
    weights = entry.get("Weights")
    return Layer(
        name=str(entry.get("Name", UNKNOWN)),
        kind=str(entry.get("ParameterType") or entry.get("LayerType") or UNKNOWN),
        reads=_type(inputs[0].get("Format/Datatype", "")),
        weights=_type(weights.get("Type", "")) if isinstance(weights, dict) else UNKNOWN,
        nodes=tuple(_NODE.findall(str(entry.get("Metadata", "")))),
    )


def _type(text: str) -> str:
    """
    >>> _type("Thirty-two wide channel vectorized row major Int8 format"), _type("Half")
    ('INT8', 'FP16')
    """
    upper = text.upper()
    for name in (*_TYPES, *_OTHER_NAMES):
        if name in upper:
            return _OTHER_NAMES.get(name, name)
    return UNKNOWN

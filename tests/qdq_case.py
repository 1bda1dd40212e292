"""A Q/DQ graph, what our rules say of it, and what NVIDIA's parser and builder do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from qdq_graphs import CHANNELS, Drawn

Verdict = Literal["builds", "refused", "crashes"]
SHAPE = (CHANNELS, CHANNELS, 3, 3)


@dataclass(frozen=True)
class Case:
    """found: (rule, node) of each fault and warning. nvidia: what TensorRT for RTX does.

    laxer: where it builds what we call a fault, why that is one all the same.
    """

    draw: Callable[[], onnx.ModelProto]
    found: frozenset[tuple[str, str]]
    nvidia: Verdict
    laxer: str


CASES: dict[str, Case] = {}


def case(*found: tuple[str, str], nvidia: Verdict = "builds", laxer: str = "") -> Callable:
    def keep(draw: Callable[[], onnx.ModelProto]) -> Callable[[], onnx.ModelProto]:
        name = draw.__name__.removeprefix("_").replace("_", " ")
        CASES[name] = Case(draw, frozenset(found), nvidia, laxer)
        return draw

    return keep


def one_conv(draw: Drawn, data: str, weight: str | None = None, **more: Any) -> onnx.ModelProto:
    """The data, an INT8 convolution, LeakyRelu, a head in float."""
    x = draw.node("LeakyRelu", [draw.conv(data, weight=weight)], "leaky", alpha=0.1)
    return draw.model(draw.float_conv(x), **more)


def rounded_input(real: Any = np.float32, **grid: Any) -> tuple[Drawn, str]:
    draw = Drawn(real)
    return draw, draw.qdq("x", "in", **grid)

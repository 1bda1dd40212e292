"""What TensorRT says is wrong, in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_NO_DRIVER = "cudaError 35"
"""Told of every call that looks for a GPU, also where a build ahead of time needs none."""

_PREFIX = re.compile(r"^(?:\S+::\S+: )?Error Code \d+: [\w ]+\(|^Assertion failed: (?:\S+: )?")
_NO_KERNEL = re.compile(r"(\S+?)(?:_\d+)? has no runners that implement it")
_PLACE = re.compile(r" ?In \S+ at \S+:\d+\)?$")
_Q_DQ = ("QuantizeLinear", "DequantizeLinear")
_Q_DQ_ADVICE = "; TensorRT wants what export_onnx --int8 tensorrt writes: INT8, zero points of 0"


def plain(text: str) -> str:
    """A message without the names of functions and source files around it.

    >>> plain("Invalid Node - 3.dq\\nITensor::getType: Error Code 4: API Usage Error (3.dq: input "
    ...       "has type Int32 but must have type Int8. In checkType at /src/nodeBase.cpp:456)")
    '3.dq: input has type Int32 but must have type Int8'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if _NO_DRIVER not in line] or lines
    told = [line for line in lines if not line.startswith("Invalid Node - ")] or lines
    if told and (missing := _NO_KERNEL.search(told[0])):
        return f"no kernel for node {missing.group(1)}"
    return _PLACE.sub("", _PREFIX.sub("", told[0])).strip(" .")[:300] if told else "no reason given"


def refusal(parser: Any, source: str) -> str:
    """Why a graph was not parsed: file, node, reason, and what to do about Q/DQ."""
    if not parser.num_errors:
        return f"{source}: TensorRT's parser refuses it and gives no reason"
    error = parser.get_error(0)
    operator = error.node_operator()
    node = f" node {error.node_name()} ({operator})" if operator else " it"
    advice = _Q_DQ_ADVICE if operator in _Q_DQ else ""
    return f"{source}: TensorRT's parser refuses{node}: {plain(error.desc())}{advice}"


def failure(errors: Sequence[str]) -> str:
    """Why a build failed: the first error that is more than the lack of a GPU."""
    real = [error for error in errors if _NO_DRIVER not in error] or list(errors)
    return plain(real[0]) if real else "no reason given"

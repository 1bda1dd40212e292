"""An ONNX file from outside, or the reason why it is none. Only the files beside it are opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper

from yolo_slim.errors import InputError
from yolo_slim.export.tensorrt_rules.node import OWN_DOMAINS, graphs_of, text

MAX_BYTES = (1 << 31) - 1
"""Protobuf's own limit; nothing larger can be asked for shapes."""

MAX_DIGITS = 20
"""Of a place in a file: more than any file has bytes, and fewer than Python refuses to read."""


def read_model(path: Path) -> onnx.ModelProto:
    """The model, with the numbers that it keeps in other files.

    Raises InputError for a file that is no whole ONNX model or over 2 GB, and where a file of
    numbers is absent, cut short or outside of the model's folder; OSError where it cannot be read.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected an .onnx file")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file; expected an .onnx file")
    _require_size(path, path.stat().st_size)
    raw = path.read_bytes()
    if not raw:
        raise InputError(f"{path} is empty; expected an .onnx file")
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(raw)
    except DecodeError:
        raise InputError(f"{path}: no ONNX model, or cut short; export it again") from None
    if not model.graph.node:
        raise InputError(f"{path}: no graph in it; expected an ONNX model")
    if not any(opset.domain in OWN_DOMAINS for opset in model.opset_import):
        raise InputError(f"{path}: states no opset, so it is cut short; export it again")
    _load_external(path, model, len(raw))
    return model


def _require_size(path: Path, n_bytes: int, what: str = "") -> None:
    if n_bytes > MAX_BYTES:
        raise InputError(
            f"{path}: {n_bytes / 1e9:.1f} GB{what}; files over 2 GB are not read. "
            "A detector is a hundredth of that: is it the right file?"
        )


def _load_external(path: Path, model: onnx.ModelProto, n_bytes: int) -> None:
    """Puts the numbers of other files into the model."""
    outside = [t for t in _tensors(model) if t.data_location == TensorProto.EXTERNAL]
    folder = path.parent.resolve()
    for tensor in outside:
        where = {text(entry.key): text(entry.value) for entry in tensor.external_data}
        told = f"{path}: the numbers of {text(tensor.name)} lie in {where.get('location', '')!r}"
        place = _place(folder, where.get("location", ""))
        if place is None:
            raise InputError(f"{told}, which is not in its folder; expected a file beside it")
        if not place.is_file():
            raise InputError(f"{told}, which is absent; put that file beside the model")
        start, length = (_whole(where.get(key, "0")) for key in ("offset", "length"))
        size = place.stat().st_size
        if start is None or length is None or start + length > size:
            raise InputError(f"{told}, which is cut short at {size} bytes; copy it again")
        n_bytes += length or size - start
        _require_size(path, n_bytes, " with its external data")
    for tensor in outside:
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:  # ValidationError, ValueError, OSError
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise InputError(f"{path}: {text(tensor.name)} cannot be read ({reason})") from None
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _place(folder: Path, location: str) -> Path | None:
    """The file that a location names, links followed; None outside of the folder."""
    try:
        place = (folder / location).resolve()
    except ValueError:  # a null byte
        return None
    return place if folder in place.parents else None


def _whole(text: str) -> int | None:
    is_whole = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    return int(text) if is_whole else None


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every stored tensor, those in attributes of nodes among them."""
    nodes = [node for function in model.functions for node in function.node]
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        nodes += graph.node
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors

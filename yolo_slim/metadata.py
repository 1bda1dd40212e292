"""What travels inside an ONNX file so that it can be run without the bundle it came from."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, parse, render
from yolo_slim.errors import InputError

IMAGE_NAME = "images"
_CFG, _NAMES = "yolo_slim.cfg", "yolo_slim.names"


def to_metadata(bundle: Bundle) -> dict[str, str]:
    """The cfg as text and the class names, one a line."""
    return {_CFG: render(bundle.cfg), _NAMES: "\n".join(bundle.class_names)}


def from_metadata(metadata: Mapping[str, str], source: str) -> tuple[Cfg, tuple[str, ...]]:
    """The cfg and the class names. Raises InputError for a file that was not written by export."""
    if _CFG not in metadata:
        raise InputError(
            f"{source}: carries no cfg in its metadata; expected a file that export_onnx wrote"
        )
    names = tuple(filter(None, metadata.get(_NAMES, "").split("\n")))
    return parse(metadata[_CFG], source=source), names

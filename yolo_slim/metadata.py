"""What travels inside an ONNX file so that it can be run without the bundle it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, get_args

from yolo_slim import __version__
from yolo_slim.bundle import Bundle
from yolo_slim.cfg import (
    Cfg,
    Detection,
    GaussianYolo,
    Head,
    Region,
    Shape,
    Yolo,
    infer_shapes,
    parse,
    render,
)
from yolo_slim.commit import commit
from yolo_slim.errors import InputError
from yolo_slim.geometry import BORDER_GREY
from yolo_slim.nn.suppress import Suppression

Answer = Literal["raw", "boxes", "detections"]
"""What a network gives: the raw map of each head; boxes [B, N, 4] and scores [B, N, C] of all
places; or rows [M, 7] of what is left of them after suppression."""

IMAGE_NAME = "images"
_CFG, _NAMES = "yolo_slim.cfg", "yolo_slim.names"
_ANSWER, _SUPPRESSION = "yolo_slim.answer", "yolo_slim.suppression"
_INT8 = "yolo_slim.int8"


def output_names(cfg: Cfg, answer: Answer) -> tuple[str, ...]:
    """Of the tensors that an exported graph gives."""
    if answer == "raw":
        return tuple(f"head_{number}" for number in range(len(cfg.output_indices)))
    return ("boxes", "scores") if answer == "boxes" else ("detections",)


def to_metadata(
    bundle: Bundle,
    answer: Answer = "raw",
    suppression: Suppression | None = None,
    int8: str | None = None,
) -> dict[str, str]:
    """Everything that a program needs to run the file: docs/export.md has the keys.

    int8: the engine that integer kernels are meant for, as --int8 names it.

    The cfg as text, the class names one a line, the rest as JSON.
    """
    cfg = bundle.cfg
    documents: dict[str, Any] = {
        "yolo_slim.input": _input(cfg),
        "yolo_slim.heads": _heads(cfg),
        "yolo_slim.history": [asdict(event) for event in bundle.history],
    }
    if suppression is not None:
        documents[_SUPPRESSION] = asdict(suppression)
    known = commit()
    return {
        _CFG: render(cfg),
        _NAMES: "\n".join(bundle.class_names),
        "yolo_slim.version": __version__,
        **({} if known is None else {"yolo_slim.commit": known}),
        _ANSWER: answer,
        _INT8: int8 or "none",
        **{key: json.dumps(document) for key, document in documents.items()},
    }


def from_metadata(metadata: Mapping[str, str], source: str) -> tuple[Cfg, tuple[str, ...]]:
    """The cfg and the class names. Raises InputError for a file that was not written by export."""
    if _CFG not in metadata:
        raise InputError(
            f"{source}: carries no cfg in its metadata; expected a file that export_onnx wrote"
        )
    names = metadata.get(_NAMES, "")
    return parse(metadata[_CFG], source=source), tuple(names.split("\n")) if names else ()


def answer_of(metadata: Mapping[str, str], source: str) -> tuple[Answer, Suppression | None]:
    """What the file gives, and the numbers of its suppression where it has one.

    Files of before there was a choice give raw maps. Raises InputError for what export never wrote.
    """
    found = metadata.get(_ANSWER, "raw")
    for answer in get_args(Answer):
        if found == answer:
            return answer, _suppression(metadata, source) if answer == "detections" else None
    raise InputError(
        f"{source}: {_ANSWER} is {found!r} in its metadata, expected one of "
        f"{', '.join(get_args(Answer))}: export it with this version"
    )


def int8_of(metadata: Mapping[str, str]) -> str:
    """The engine that integer kernels are meant for; 'none' without any, or in an older file."""
    return metadata.get(_INT8, "none")


def _suppression(metadata: Mapping[str, str], source: str) -> Suppression:
    try:
        return Suppression(**json.loads(metadata[_SUPPRESSION]))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{source}: no {_SUPPRESSION} that can be read in its metadata ({error}): export it "
            "again"
        ) from None


def _input(cfg: Cfg) -> dict[str, Any]:
    """How a picture becomes the tensor IMAGE_NAME [B, channels, height, width]."""
    net = cfg.net
    return {
        "name": IMAGE_NAME,
        "width": net.width,
        "height": net.height,
        "colour": "RGB" if net.channels == 3 else "grey" if net.channels == 1 else "unknown",
        "low": 0.0,
        "high": 1.0,
        "resize": cfg.resize_mode,
        "border": BORDER_GREY,
        # Told for completeness: the graph itself subtracts and divides.
        "mean_in_graph": list(net.mean),
        "std_in_graph": list(net.std),
    }


def _heads(cfg: Cfg) -> list[dict[str, Any]]:
    shapes = infer_shapes(cfg)
    names = output_names(cfg, "raw")
    return [
        {"map": name, "kind": head.kind, "shape": list(shapes[index]), "classes": head.classes,
         **_reading(head, shapes[index], cfg.input_hw)}
        for name, index, head in zip(names, cfg.head_indices, cfg.heads, strict=False)
    ]  # fmt: skip


def _reading(head: Head, shape: Shape, input_hw: tuple[int, int]) -> dict[str, Any]:
    """What is known of a head beyond its map: anchors in pixels of the input, and switches."""
    match head:
        case Yolo():
            return {
                "anchors_wh_px": [list(wh) for wh in head.masked_anchors_wh],
                "scale_x_y": head.scale_x_y,
                "new_coords": head.new_coords,
                "uncertainty": isinstance(head, GaussianYolo),
            }
        case Region():
            stride_wh = (input_hw[1] / shape.width, input_hw[0] / shape.height)
            return {
                "anchors_wh_px": [[w * stride_wh[0], h * stride_wh[1]] for w, h in head.anchors_wh],
                "softmax": head.softmax,
            }
        case Detection():
            return {
                "side": head.side, "num": head.num, "sqrt": head.sqrt, "softmax": head.softmax,
            }  # fmt: skip
    return {}

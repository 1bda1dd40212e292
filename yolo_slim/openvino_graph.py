"""A graph as OpenVINO reads it: an .xml with its .bin, or an .onnx; and what it says of itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from yolo_slim.cfg import Cfg, infer_shapes
from yolo_slim.errors import InputError
from yolo_slim.metadata import answer_of, from_metadata
from yolo_slim.optional import require

_FRONTENDS = {".xml": "ir", ".onnx": "onnx"}
_METADATA = "framework"
"""Where OpenVINO keeps the metadata of an ONNX file: in memory, and in the .xml that it writes."""


def openvino_module(name: str = "openvino") -> ModuleType:
    """openvino, nncf, or a module of theirs. Raises InputError where it is not installed.

    Both report their use to their makers through a package that they can do without. Not from here.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return require(name, "openvino")


@cache
def openvino_core() -> Any:
    """The one openvino.Core of this process. Raises InputError where OpenVINO is not installed.

    Each further one gives its thread a stack for signals and takes it back in the end. Where the
    first ends before the second, the stack of the first, freed, is what signals get, and the next
    Ctrl-C ends the process. So one is made before any other, NNCF's too, and it stays.
    """
    return openvino_module().Core()


def read_graph(path: Path) -> Any:
    """The openvino.Model of an .xml or .onnx file that this package wrote, for one image at a time.

    Raises InputError for any other file, and where OpenVINO is not installed.
    """
    frontend = openvino_module("openvino.frontend")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with loading(path):
        # Not Core.read_model, which asks every frontend that there is, and each has its complaint.
        reader = frontend.FrontEndManager().load_by_framework(_FRONTENDS[path.suffix])
        model = reader.convert(reader.load(str(path)))
    cfg, _ = told_by(model, path.name)
    answer, _ = answer_of(_metadata_of(model), path.name)
    if answer != "raw":
        raise InputError(
            f"{path} gives {answer}: such a file runs in onnxruntime; for OpenVINO export it with "
            "--output raw"
        )
    outputs = [list(map(str, output.get_partial_shape()))[1:] for output in model.outputs]
    shapes = infer_shapes(cfg)
    if outputs != [list(map(str, shapes[index])) for index in cfg.output_indices]:
        raise InputError(f"{path}: its outputs are not the heads of the cfg in its metadata")
    with loading(path):
        model.reshape([1, cfg.net.channels, *cfg.input_hw])
    return model


def told_by(model: Any, source: str) -> tuple[Cfg, tuple[str, ...]]:
    """The cfg and the class names. Raises InputError where the model carries none."""
    return from_metadata(_metadata_of(model), source)


def _metadata_of(model: Any) -> dict[str, str]:
    told = model.get_rt_info()
    metadata = told[_METADATA] if _METADATA in told else {}
    if not isinstance(metadata, dict):  # one value, of another maker
        return {}
    # An element within an element is a dict: ours are not nested.
    texts = {key: value for key, value in metadata.items() if not isinstance(value, dict)}
    return {key: value.astype(str) for key, value in texts.items()}


@contextmanager
def loading(path: Path) -> Iterator[None]:
    """OpenVINO's errors, which have types of their own and many lines, as an InputError in one."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise InputError(f"{path}: OpenVINO cannot load it ({reason})") from None

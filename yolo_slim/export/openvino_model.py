"""Writes a bundle as OpenVINO's .xml and .bin: float, our own INT8, or INT8 found by NNCF."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.export.nncf import Calibration, quantized
from yolo_slim.export.onnx_model import cpu_profile, export_onnx
from yolo_slim.files import whole_file
from yolo_slim.openvino_graph import openvino_module, read_graph


def export_openvino(bundle: Bundle, path: Path, calibration: Calibration | None = None) -> Any:
    """Writes `path`, the .bin beside it, and returns the openvino.Model. The cfg and the class
    names travel inside.

    Inputs and outputs are those of export_onnx. A bundle with an INT8 plan becomes the graph of
    the 'cpu' profile.

    calibration: what NNCF finds INT8 ranges on; None leaves the bundle as it is.

    Raises InputError for a calibration of what is INT8 already, and where OpenVINO or NNCF is not
    installed.
    """
    if calibration is not None and bundle.precision is not None:
        raise InputError(
            f"{bundle.cfg.source} is quantized already: leave out --int8, or take the float bundle"
        )
    passes = openvino_module("openvino.passes")
    with tempfile.TemporaryDirectory() as folder:
        onnx_path = Path(folder) / "model.onnx"
        profile = cpu_profile(bundle)
        export_onnx(bundle, onnx_path, int8=profile)
        model = read_graph(onnx_path)
        # Biases come with nodes that compute their shape; behind these NNCF corrects none of them.
        if profile is None:  # folding would make floats of INT8 kernels
            manager = passes.Manager()
            manager.register_pass(passes.ConstantFolding())
            manager.run_passes(model)
        if calibration is not None:
            model = quantized(model, calibration)
        _write(model, path)
    return model


def _write(model: Any, path: Path) -> None:
    with whole_file(path.with_suffix(".bin")) as weights, whole_file(path) as graph:
        openvino_module().serialize(model, str(graph), str(weights))

"""Writes a bundle as ncnn's .param and .bin, with pnnx."""

from __future__ import annotations

import subprocess
from pathlib import Path

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.optional import require


def export_ncnn(bundle: Bundle, folder: Path) -> tuple[Path, Path]:
    """Writes the two files into `folder`, beside what else pnnx makes, and returns their paths.

    Input `in0`, outputs `out0`, `out1`...: the raw maps that the heads read.

    Raises InputError for an INT8 plan, for what pnnx cannot convert, and where it is not installed.
    """
    name = bundle.cfg.source
    if bundle.precision is not None:
        raise InputError(f"{name}: ncnn is given float bundles alone: take the one before quantize")
    pnnx = require("pnnx", "ncnn")
    export_onnx(bundle, folder / "model.onnx")
    shape = ",".join(map(str, (1, bundle.cfg.net.channels, *bundle.cfg.input_hw)))
    done = subprocess.run(
        [pnnx.EXEC_PATH, "model.onnx", f"inputshape=[{shape}]", "fp16=0"],
        cwd=folder, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    param, weights = folder / "model.ncnn.param", folder / "model.ncnn.bin"
    if done.returncode or not (param.is_file() and weights.is_file()):
        reason = ([*(done.stderr or done.stdout).strip().splitlines(), ""])[-2:][0][:200]
        raise InputError(f"{name}: pnnx cannot convert it for ncnn ({reason})")
    return param, weights

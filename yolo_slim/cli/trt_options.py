"""The options of export_trt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

EngineModel = Annotated[
    str,
    typer.Argument(help="Bundle folder, run folder, .cfg (with --weights), or an .onnx of ours."),
]
EngineFile = Annotated[
    Path | None,
    typer.Option("--out", help="The .engine file to write; a .json goes beside it."),
]
Precision = Annotated[
    Literal["fp32", "fp16", "int8"] | None,
    typer.Option("--precision", help="Else INT8 of a quantized model, FP32 of another."),
]
Rest = Annotated[
    Literal["fp32", "fp16"] | None,
    typer.Option("--float-rest", help="Of what is not INT8 in an INT8 engine; else fp32."),
]
FlavorName = Annotated[
    Literal["tensorrt", "rtx"],
    typer.Option("--flavor", help="TensorRT on this GPU, or TensorRT for RTX, without one."),
]
Capability = Annotated[
    str | None,
    typer.Option("--compute-capability", help="Of the GPU to build for, as 8.6; rtx alone."),
]
Batch = Annotated[
    str | None, typer.Option("--batch", help="Images at a time: N, or MIN,OPT,MAX; else 1.")
]
Workspace = Annotated[
    int | None,
    typer.Option("--workspace", min=1, max=1 << 20, help="MiB for a layer's work; else no limit."),
]
TimingCache = Annotated[
    Path | None,
    typer.Option("--timing-cache", help="Read and written: the next build measures less."),
]
VersionCompatible = Annotated[
    bool, typer.Option("--version-compatible", help="For later versions of TensorRT, too.")
]
HardwareCompatible = Annotated[
    bool, typer.Option("--hardware-compatible", help="For every GPU of Ampere and newer; slower.")
]
SparseWeights = Annotated[
    bool, typer.Option("--sparse-weights", help="Skip the zeros of `prune --granularity 2:4`.")
]
Layers = Annotated[
    Path | None,
    typer.Option("--layers", help="Write as JSON which layers run in which number type."),
]
Route = Annotated[
    Literal["onnx", "torch-tensorrt"],
    typer.Option("--route", help="Through ONNX, or by Torch-TensorRT: float, one image."),
]
Selftest = Annotated[
    bool,
    typer.Option("--selftest", help="Write nothing: check every number type of MODEL here."),
]

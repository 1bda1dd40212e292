"""The verbs, collected."""

from __future__ import annotations

from typing import Annotated

import typer

import yolo_slim
from yolo_slim.cli import (
    check_onnx,
    compare,
    compress,
    convert,
    data,
    detect,
    distill,
    evaluate,
    export_onnx,
    export_openvino,
    export_trt,
    factorize,
    profile,
    prune,
    quantize,
    report,
    scale,
    train,
    zoo,
)

app = typer.Typer(
    help="Make a Darknet-cfg YOLO detector small and fast without losing what it detects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compress")(compress.compress)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("train")(train.train)
app.command("distill")(distill.distill)
app.command("prune")(prune.prune)
app.command("factorize")(factorize.factorize)
app.command("quantize")(quantize.quantize)
app.command("scale")(scale.scale)
app.command("export_onnx")(export_onnx.export_onnx)
app.command("export_openvino")(export_openvino.export_openvino)
app.command("export_trt")(export_trt.export_trt)
app.command("check_onnx")(check_onnx.check_onnx)
app.command("evaluate")(evaluate.evaluate)
app.command("profile")(profile.profile)
app.command("detect")(detect.detect)
app.command("convert")(convert.convert)
app.command("zoo")(zoo.zoo)
app.add_typer(data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        print(yolo_slim.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    pass

"""The verbs, collected: one that was asked for without the imports of the others."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

import yolo_slim

VERBS = (
    "compress", "compare", "report", "train", "distill", "prune", "factorize", "quantize", "scale",
    "export_onnx", "export_openvino", "export_trt", "check_onnx", "evaluate", "profile", "detect",
    "convert", "zoo", "data",
)  # fmt: skip
"""In the order of the help. Each is a module here, with a function of its name, or an app."""


def app_of(argv: Sequence[str] = ()) -> typer.Typer:
    """What runs `argv`: its verb alone, or all of them where it begins with none of them."""
    app = typer.Typer(
        help="Make a Darknet-cfg YOLO detector small and fast without losing what it detects.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for verb in set(VERBS) & set(argv[:1]) or VERBS:
        module = import_module(f"yolo_slim.cli.{verb}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=verb)
        else:
            app.command(verb)(getattr(module, verb))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(yolo_slim.__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    pass

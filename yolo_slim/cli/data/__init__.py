"""yolo-slim data: make data sets, and look at them; one module a command."""

from __future__ import annotations

import typer

from yolo_slim.cli.data.anchors import anchors
from yolo_slim.cli.data.check import check
from yolo_slim.cli.data.convert import convert
from yolo_slim.cli.data.digits import digits
from yolo_slim.cli.data.download import download

app = typer.Typer(help="Make and look at data sets.", no_args_is_help=True)
app.command("digits")(digits)
app.command("anchors")(anchors)
app.command("check")(check)
app.command("download")(download)
app.command("convert")(convert)

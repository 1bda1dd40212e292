"""yolo-slim zoo"""

from __future__ import annotations

from rich.table import Table

from yolo_slim.cfg import totals
from yolo_slim.cli.options import JsonFile, Size, console, write_json
from yolo_slim.report.table import human
from yolo_slim.zoo import build, names


def zoo(size: Size = 416, json: JsonFile = None) -> None:
    """List the networks that are known by name, with parameters and MACs."""
    rows = {name: totals(build(name, size_px=size)) for name in names()}
    table = Table("name", "parameters", f"MACs at {size} px", title="80 classes")
    for name, total in rows.items():
        table.add_row(name, human(total.parameters), human(total.macs))
    console.print(table)
    write_json(json, {n: {"parameters": t.parameters, "macs": t.macs} for n, t in rows.items()})

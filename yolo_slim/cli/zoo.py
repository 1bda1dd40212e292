"""yolo-slim zoo"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from yolo_slim.cfg import Cfg, totals
from yolo_slim.cli.options import JsonFile, Size, console, write_json
from yolo_slim.cli.targets import check_file
from yolo_slim.console import note
from yolo_slim.errors import CfgError, InputError
from yolo_slim.report.table import human
from yolo_slim.zoo import build, classifiers, detectors


def zoo(
    size: Size = None,
    match: Annotated[str, typer.Option(help="Only names that contain this.")] = "",
    json: JsonFile = None,
) -> None:
    """List the networks that are known by name, with parameters and MACs at their native size."""
    check_file(json, [], only_json=True)
    found = {}
    misfits = []
    for kind, names in (("detectors, 80 classes", detectors()), ("classifiers", classifiers())):
        table = Table("name", title=kind)
        for title in ("px", "parameters", "MACs"):
            table.add_column(title, justify="right")
        for name in names:
            if match.lower() not in name:
                continue
            cfg = _built(name, size)
            if cfg is None:
                misfits.append(name)
            else:
                total = totals(cfg)
                row = (str(cfg.net.width), human(total.parameters), human(total.macs))
                table.add_row(name, *row)
                found[name] = {"parameters": total.parameters, "macs": total.macs}
        if table.row_count:
            console.print(table)
    if misfits:
        some = ", ".join(misfits[:3]) + (", ..." if len(misfits) > 3 else "")
        note(console, f"left out, since they cannot be built at {size} px: {some}")
    elif not found:
        raise InputError(f"no network of the zoo has {match!r} in its name")
    write_json(json, found)


def _built(name: str, size: int | None) -> Cfg | None:
    """None for a network that cannot be built at that size."""
    try:
        return build(name, size_px=size)
    except CfgError:
        return None

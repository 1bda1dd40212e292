"""yolo-slim check_onnx"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from yolo_slim.cli.findings import EXAMPLES, FindingsRow, findings_table
from yolo_slim.cli.options import JsonFile, console, write_json
from yolo_slim.cli.targets import check_file
from yolo_slim.console import percent
from yolo_slim.export.tensorrt_rules.finding import Finding
from yolo_slim.export.tensorrt_rules.read import read_model
from yolo_slim.export.tensorrt_rules.rules import RULES
from yolo_slim.export.tensorrt_rules.run import findings, view_of
from yolo_slim.export.tensorrt_rules.summary import Int8Share, int8_share
from yolo_slim.findings import by_kind, severities


def check_onnx(
    file: Annotated[Path, typer.Argument(help="The .onnx file.")],
    every: Annotated[
        bool, typer.Option("--all", help="Name every node, not the first three of each rule.")
    ] = False,
    json: JsonFile = None,
) -> None:
    """Say whether TensorRT can make an INT8 engine of a Q/DQ graph; no GPU, no TensorRT needed.

    Exit status: 0 without a fault (warnings and notes are none), 1 with faults, 2 for a file that
    cannot be read as ONNX.
    """
    check_file(json, [file], only_json=True)
    view = view_of(read_model(file))
    found, share = findings(view), int8_share(view)
    if found:
        console.print(findings_table(_rows(found, every), "rule"))
    counts = severities(found)
    console.print(f"{file}: {_verdict(counts)}. {_told(share)}")
    write_json(json, _document(file, found, share))
    if counts["fault"]:
        raise typer.Exit(1)


def _rows(found: Sequence[Finding], every: bool) -> list[FindingsRow]:
    return [
        FindingsRow(
            RULES[rule].severity,
            rule,
            len(group),
            [
                f"{f.node or 'the model'}: {f.message}"
                for f in (group if every else group[:EXAMPLES])
            ],
            RULES[rule].advice,
        )
        for rule, group in by_kind(found, RULES).items()
    ]


def _verdict(counts: dict[Any, int]) -> str:
    told = [f"{n} {name}{'s' * (n != 1)}" for name, n in counts.items() if n and name != "note"]
    if counts["fault"]:
        return f"not TensorRT-ready: {', '.join(told)}"
    return ", ".join(["TensorRT-ready", *told])


def _told(share: Int8Share) -> str:
    told = f"{share.n_int8} of {share.n_convs} convolutions in INT8"
    if share.macs_share is None:
        return f"{told}."
    return f"{told}, {percent(share.macs_share)} of their MACs."


def _document(file: Path, found: Sequence[Finding], share: Int8Share) -> dict[str, Any]:
    counts = severities(found)
    return {
        "file": str(file),
        "tensorrt_ready": counts["fault"] == 0,
        **{f"{severity}s": n for severity, n in counts.items()},
        "rules": {rule: len(group) for rule, group in by_kind(found, RULES).items()},
        "convolutions": share.n_convs,
        "int8_convolutions": share.n_int8,
        "int8_macs_share": share.macs_share,
        "findings": [finding.document() for finding in found],
    }

"""yolo-slim scale"""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Candidate, Cfg, render, reward, search, totals
from yolo_slim.cfg import scale as scaled_cfg
from yolo_slim.cli.options import JsonFile, Threads, console, progress, write_json
from yolo_slim.cli.step_words import as_option, typed_of
from yolo_slim.cli.targets import check_cfg, check_file
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.files import whole_file
from yolo_slim.pipeline.models import load_cfg
from yolo_slim.report.table import human
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.session import OnnxSession, default_threads
from yolo_slim.weights import random_weights

Row = dict[str, Any]


IDLE_WITHOUT = {
    "--phi": ("alpha", "beta", "gamma", "out"),
    "--search": ("phi_product", "tolerance", "step", "latency", "threads"),
    "--rank": ("target_macs", "w"),
}
"""What is done -> the options that are for it alone."""


def scale(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="Bundle folder, run folder, .cfg or zoo name.")
    ] = None,
    phi: Annotated[
        float | None, typer.Option("--phi", min=-20, max=20, help="How far; shrinks below 0.")
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", min=1, max=4, help="Base of the depth.")] = 1.2,
    beta: Annotated[float, typer.Option("--beta", min=1, max=4, help="Base of the width.")] = 1.1,
    gamma: Annotated[
        float, typer.Option("--gamma", min=1, max=4, help="Base of the input's sides.")
    ] = 1.15,
    out: Annotated[Path | None, typer.Option("--out", help="The .cfg to write.")] = None,
    search_grid: Annotated[
        bool, typer.Option("--search", help="List alpha, beta, gamma with the product wanted.")
    ] = False,
    phi_product: Annotated[
        float, typer.Option("--phi-product", min=1, max=16, help="alpha * beta^2 * gamma^2.")
    ] = 2.0,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, max=1, help="Of that product.")
    ] = 0.1,
    step: Annotated[float, typer.Option("--step", min=0.01, max=1, help="Of the grid.")] = 0.05,
    latency: Annotated[
        bool, typer.Option("--latency", help="Time each candidate in ONNX Runtime.")
    ] = False,
    threads: Threads = None,
    rank: Annotated[
        Path | None, typer.Option("--rank", help="CSV of trained candidates: name, AP, macs.")
    ] = None,
    target_macs: Annotated[
        float | None, typer.Option("--target-macs", min=1, help="MACs wanted, for --rank.")
    ] = None,
    w: Annotated[
        float, typer.Option("--w", min=-10, max=0, help="Exponent of the MACs, for --rank.")
    ] = -0.07,
    json: JsonFile = None,
) -> None:
    """Compound scaling: a deeper, wider, larger network, or a smaller one; random weights."""
    asked = {"--phi": phi is not None, "--search": search_grid, "--rank": rank is not None}
    if sum(asked.values()) != 1:
        raise InputError("name exactly one of --phi P, --search and --rank FILE.csv")
    typed = typed_of(context)
    for verb, options in IDLE_WITHOUT.items():
        for option in options:
            if option in typed and not asked[verb]:
                raise InputError(f"{as_option(option)} goes with {verb} alone")
    if threads is not None and not latency:
        raise InputError("--threads goes with --latency alone")
    if out is not None and out.suffix != ".cfg":
        raise InputError(f"{out}: expected a name that ends in .cfg")
    check_cfg(out, [Path(model)] if model else [])
    check_file(json, [rank, Path(model) if model else None], only_json=True)
    if rank is not None:
        if model is not None:
            raise InputError(f"--rank reads its file alone: leave out {model}")
        if target_macs is None:
            raise InputError("--rank needs --target-macs N")
        write_json(json, _rank(rank, target_macs, w))
        return
    if model is None:
        raise InputError("no model: name a bundle folder, a .cfg or a network of the zoo")
    cfg = load_cfg(model)
    if phi is not None:
        write_json(json, _scale(cfg, phi, (alpha, beta, gamma), out))
        return
    ends = phi_product + tolerance
    depths, sides = _axis(step, ends), _axis(step, math.sqrt(ends))
    found = search(cfg, depths, sides, sides, phi_product, tolerance)
    if not found:
        raise InputError(
            f"no alpha * beta^2 * gamma^2 within {tolerance:g} of {phi_product:g} on a grid of "
            f"{step:g}: take a smaller --step or a larger --tolerance"
        )
    write_json(json, _search(cfg, found, latency, threads))


def _scale(cfg: Cfg, phi: float, bases: tuple[float, float, float], out: Path | None) -> Row:
    scaled = scaled_cfg(cfg, phi, *bases)
    factors = dict(zip(("depth", "width", "size"), (base**phi for base in bases), strict=True))
    before, after = _row(cfg), _row(scaled)
    table = Table("", "input", "sections", "parameters", "MACs")
    for name, c, row in (("before", cfg, before), ("after", scaled, after)):
        table.add_row(name, row["input"], str(len(c)), human(row["parameters"]), human(row["macs"]))
    console.print(table)
    console.print(
        ", ".join(f"{name} ×{factor:.3f}" for name, factor in factors.items())
        + f"; MACs ×{after['macs'] / before['macs']:.2f}",
        highlight=False,
    )
    if out is not None:
        with whole_file(out) as temporary:
            temporary.write_text(render(scaled), encoding="utf-8")
        console.print(f"{out}: written; its weights start at random")
    return {"phi": phi, "factors": factors, "before": before, "after": after}


def _search(
    cfg: Cfg, found: Sequence[Candidate], latency: bool, threads: int | None
) -> dict[str, Any]:
    rows = [{"alpha": c.alpha, "beta": c.beta, "gamma": c.gamma, **_row(c.cfg)} for c in found]
    if latency:
        openers = {str(i): _opener(c.cfg, threads or default_threads())
                   for i, c in enumerate(found)}  # fmt: skip
        with progress("latency in onnxruntime") as advance:
            timed = measure_latency(openers, rounds=3, progress=advance)
        for place, row in enumerate(rows):
            row["latency_ms"] = timed[str(place)].median_ms
    table = Table("alpha", "beta", "gamma", "input", "parameters", "MACs", title=cfg.source)
    if latency:
        table.add_column("latency (median)")
    for row in rows:
        bases = (f"{row[base]:g}" for base in ("alpha", "beta", "gamma"))
        timing = [f"{row['latency_ms']:.2f} ms"] if latency else []
        table.add_row(
            *bases, row["input"], f"{row['parameters']:,}", f"{row['macs']:,}", *timing
        )  # fmt: skip
    console.print(table)
    return {"before": _row(cfg), "candidates": rows}


def _rank(path: Path, target_macs: float, w: float) -> list[Row]:
    rows: list[Row] = _read_candidates(path)
    for row in rows:
        row["reward"] = reward(row["AP"], row["macs"], target_macs, w)
    rows.sort(key=lambda row: row["reward"], reverse=True)
    shown = ("name", "AP", "macs", "reward")  # other columns go to the JSON
    table = Table(*shown)
    for row in rows:
        values = (row[column] for column in shown)
        table.add_row(*(f"{v:.6g}" if isinstance(v, float) else str(v) for v in values))
    console.print(table)
    return rows


def _read_candidates(path: Path) -> list[Row]:
    """The rows of the CSV, AP and macs as numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            rows: list[tuple[int, Row]] = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: no CSV file ({error})") from None
    missing = [c for c in ("name", "AP", "macs") if c not in columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; expected name, AP, macs")
    if not rows:
        raise InputError(f"{path}: no candidates, only a line of columns")
    for line, row in rows:
        if None in row or None in row.values():
            raise InputError(f"{path}:{line}: expected {len(columns)} values")
        for column, least in (("AP", 0), ("macs", 1)):
            try:
                number = float(row[column])
            except ValueError:
                number = math.nan
            if not math.isfinite(number) or number < least:
                raise InputError(
                    f"{path}:{line}: {column}={row[column]}: expected a number, {least} or more"
                )
            row[column] = int(number) if column == "macs" and number.is_integer() else number
    return [row for _, row in rows]


def _row(cfg: Cfg) -> Row:
    total = totals(cfg)
    return {
        "input": f"{cfg.net.width}x{cfg.net.height}",
        "parameters": total.parameters,
        "macs": total.macs,
    }


def _axis(step: float, end: float) -> list[float]:
    """1, 1 + step... up to `end`."""
    return [round(1 + place * step, 6) for place in range(int((end - 1) / step + 1e-6) + 1)]


def _opener(cfg: Cfg, threads: int) -> Callable[[], OnnxSession]:
    """Exports anew each time that it opens: the grid's files together would fill a disk."""

    def opened() -> OnnxSession:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export_onnx(Bundle(cfg, random_weights(cfg)), path)
            return OnnxSession(path, threads)

    return opened

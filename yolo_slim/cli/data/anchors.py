"""yolo-slim data anchors"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from yolo_slim.cfg import Cfg, render, with_anchors
from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    JsonFile,
    Seed,
    Size,
    console,
    dataset,
    progress,
    tell_notes,
    write_json,
)
from yolo_slim.cli.targets import check_cfg, check_file
from yolo_slim.data.anchors import GENERATIONS, Fit, fit_anchors, fit_of
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.geometry import ResizeMode
from yolo_slim.pipeline.anchors import box_sizes, chosen, fitted_anchors, sizes_at
from yolo_slim.pipeline.models import ModelSource, load_cfg

DEFAULT_K = 9
DEFAULT_SIZE_PX = 416
DEFAULT_MODE: ResizeMode = "stretch"


def anchors(
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    model: Annotated[
        str | None,
        typer.Option(help="Bundle folder, .cfg or zoo name: its input, its number of anchors."),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(min=1, max=100, help=f"How many; else the model's, or {DEFAULT_K}."),
    ] = None,
    size: Size = None,
    generations: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Changes to try after k-means.")
    ] = GENERATIONS,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the cfg of --model with the anchors.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Anchors for the training boxes in px of the network's input: k-means, then refinement.

    Best possible recall is the share of boxes that an anchor fits: by an IoU of 0.5, and by sides
    less than 4 times longer or shorter. Anchors that no head of the model uses do not count.
    """
    if model is None and out is not None:
        raise InputError("--out writes the cfg of a model: name it by --model")
    if model is not None and k is not None:
        raise InputError("--k is the number of anchors of --model: leave one of them out")
    if out is not None and out.suffix != ".cfg":
        raise InputError(f"{out}: expected a name that ends in .cfg")
    sources = [data, annotations, *(ModelSource(model).files if model else [])]
    check_cfg(out, sources)
    check_file(json, sources, only_json=True)
    train_data = dataset(data, images, annotations, "train")
    fits: dict[str, Fit] = {}
    if model is None:
        height, width, mode = size or DEFAULT_SIZE_PX, size or DEFAULT_SIZE_PX, DEFAULT_MODE
        sizes = sizes_at(train_data, (height, width), mode)
        with progress("anchors") as advance:
            found = fit_anchors(sizes, k or DEFAULT_K, seed, generations, advance)
        anchors_wh = _rounded(found.tolist())
        fits["fitted"] = fit_of(sizes, np.array(anchors_wh))
    else:
        cfg = load_cfg(model, size, len(train_data.class_names))
        tell_notes(cfg)
        (height, width), mode = cfg.input_hw, cfg.resize_mode
        anchors_wh = _fit_to_model(cfg, train_data, seed, generations)
        sizes = box_sizes(train_data, cfg)
        fits["of the model"] = fit_of(sizes, chosen(cfg, cfg.yolos[0].anchors_wh))
        fits["fitted"] = fit_of(sizes, chosen(cfg, anchors_wh))
    _show(fits, f"{len(sizes)} boxes at {width}x{height} px ({mode})")
    print("anchors=" + ", ".join(f"{w:g},{h:g}" for w, h in anchors_wh))
    if out is not None:
        with whole_file(out) as temporary:
            temporary.write_text(render(with_anchors(cfg, anchors_wh)), encoding="utf-8")
    write_json(json, {"anchors": anchors_wh, "boxes": len(sizes), "fit": _plain(fits)})


def _fit_to_model(
    cfg: Cfg, train_data: Dataset, seed: int, generations: int
) -> list[tuple[float, float]]:
    cfg.require_yolos()
    with progress("anchors") as advance:
        return _rounded(fitted_anchors(cfg, train_data, seed, generations, advance))


def _rounded(anchors_wh: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """As they are written; an anchor of no size would find nothing."""
    return [(max(round(w, 1), 0.1), max(round(h, 1), 0.1)) for w, h in anchors_wh]


def _show(fits: dict[str, Fit], title: str) -> None:
    table = Table(title=title)
    for column in ("anchors", "mean best IoU", "recall, IoU 0.5", "recall, sides < x4"):
        table.add_column(column, justify="left" if column == "anchors" else "right")
    for name, fit in fits.items():
        table.add_row(name, f"{fit.mean_best_iou:.4f}", f"{fit.recall_iou50:.1%}",
                      f"{fit.recall_ratio4:.1%}")  # fmt: skip
    console.print(table)


def _plain(fits: dict[str, Fit]) -> dict[str, dict[str, float]]:
    return {name: vars(fit) for name, fit in fits.items()}

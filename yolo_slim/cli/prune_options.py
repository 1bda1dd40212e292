"""The options of `prune` for layers and zeros, and what is printed of them."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any

import typer
from rich.table import Table

from yolo_slim.cfg import Conv
from yolo_slim.cli.options import console
from yolo_slim.errors import InputError
from yolo_slim.pipeline.prune_options import Dense as DenseSections
from yolo_slim.pipeline.prune_options import Granularity as GranularityName
from yolo_slim.pipeline.prune_options import LayerRank as LayerRankName
from yolo_slim.pipeline.prune_options import Norm as NormName
from yolo_slim.pipeline.prune_options import Order as OrderName
from yolo_slim.pipeline.prune_options import Within as WithinName
from yolo_slim.pipeline.prune_step import Pruned
from yolo_slim.prune.masks import GAINS

LAYERS, ZEROS = "Layers", "Zeros"

Layers = Annotated[
    int | None, typer.Option(min=1, help="Residual blocks that go.", rich_help_panel=LAYERS)
]
LayerRank = Annotated[
    LayerRankName,
    typer.Option(
        rich_help_panel=LAYERS,
        help="The lowest go: by the last BatchNorm; by what they change on images; by AP lost.",
    ),
]
LayerImages = Annotated[
    int, typer.Option(min=1, help="For similarity, drop-one.", rich_help_panel=LAYERS)
]
Order = Annotated[
    OrderName, typer.Option(help="Beside a target for channels.", rich_help_panel=LAYERS)
]
Granularity = Annotated[
    GranularityName,
    typer.Option(
        rich_help_panel=ZEROS,
        help="channel cuts; weight, kernel set the share --ratio to 0, 2:4 half of every four.",
    ),
]
Within = Annotated[
    WithinName,
    typer.Option(
        rich_help_panel=ZEROS,
        help="network: one threshold for all layers; layer: each loses the share.",
    ),
]
KernelNorm = Annotated[
    NormName, typer.Option(help="What makes a kernel small.", rich_help_panel=ZEROS)
]
Dense = Annotated[
    str,
    typer.Option(
        rich_help_panel=ZEROS,
        help="Convolutions left alone: heads, first, section numbers, with commas; or none.",
    ),
]


def read_dense(text: str) -> DenseSections:
    """'heads,first,12' -> ('heads', 'first', 12); 'none' -> ()."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    found: list[Any] = []
    for word in words if words != ["none"] else []:
        if word in ("heads", "first"):
            found.append(word)
        elif word.isascii() and word.isdigit():
            found.append(int(word))
        else:
            raise InputError(
                f"--dense {text}: {word!r} is neither heads, nor first, nor the number of a section"
            )
    return tuple(found)


def print_layers(pruned: Pruned) -> None:
    """Which blocks went, beside those that stay."""
    plan = pruned.layers
    if plan is None:
        return
    table = Table("block", "score", "", title=f"{len(plan.dropped)} of {len(plan.blocks)} blocks")
    for block, score in zip(plan.blocks, plan.scores, strict=True):
        place = f"{block.branch[0]} to {block.shortcut}"
        table.add_row(place, f"{score:.4g}", "goes" if block in plan.dropped else "")
    console.print(table)


def print_zeros(pruned: Pruned, granularity: str) -> None:
    """How many zeros each convolution has, which are left alone and why, and who gains."""
    if not pruned.zeros:
        return
    n_zeros = sum(found.n_zeros for found in pruned.zeros)
    n_weights = sum(found.n_weights for found in pruned.zeros)
    title = f"{n_zeros:,} of {n_weights:,} weights are 0 ({n_zeros / n_weights:.1%})"
    table = Table("section", "weights", "zeros", "", title=title)
    for found in pruned.zeros:
        section = pruned.bundle.cfg[found.index]
        assert isinstance(section, Conv)
        table.add_row(
            f"{found.index} {section.size}x{section.size}", f"{found.n_weights:,}",
            f"{found.share:.1%}", f"dense: {found.left_alone}" if found.left_alone else "",
        )  # fmt: skip
    console.print(table)
    console.print(f"who gains: {GAINS[granularity]}")
    console.print("train keeps these zeros (--no-keep-zeros lets them go)")


def layer_numbers(pruned: Pruned) -> list[dict[str, Any]]:
    """The blocks for a JSON file, whose numbers know no infinity."""
    plan = pruned.layers
    if plan is None:
        return []
    return [
        {
            "first": block.branch[0],
            "shortcut": block.shortcut,
            "score": float(score) if isfinite(score) else None,
            "dropped": block in plan.dropped,
        }
        for block, score in zip(plan.blocks, plan.scores, strict=True)
    ]


def zero_numbers(pruned: Pruned) -> list[dict[str, Any]]:
    return [
        {
            "section": found.index,
            "weights": found.n_weights,
            "zeros": found.n_zeros,
            "left_alone": found.left_alone,
        }
        for found in pruned.zeros
    ]

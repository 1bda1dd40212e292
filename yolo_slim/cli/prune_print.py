"""What `prune` prints of a step, and what it writes of it as JSON."""

from __future__ import annotations

from rich.table import Table

from yolo_slim.cfg import Conv
from yolo_slim.cli.options import console
from yolo_slim.console import percent
from yolo_slim.pipeline.prune_step import Pruned
from yolo_slim.prune.masks import GAINS


def print_channels(pruned: Pruned) -> None:
    """What becomes of each convolution, what its channels scored, and why some are held."""
    plan = pruned.channels
    if plan is None:
        return
    table = Table(
        "section",
        "channels",
        "kept",
        "score: least / median / most",
        "",
        title=f"{percent(plan.ratio)} of the channels go",
    )
    for row in plan.rows():
        scores = (row.score_min, row.score_median, row.score_max)
        table.add_row(
            f"{row.section} {row.kind}",
            str(row.before),
            str(row.after),
            " / ".join(f"{score:.3g}" for score in scores if score is not None),
            "held: " + row.held[0] if row.held else "",
        )
    console.print(table)


def print_entrances(pruned: Pruned) -> None:
    """How much of the stream beside it each block of a pre-activation network still reads."""
    if not pruned.entrances:
        return
    table = Table("entrance", "channels", "read", title="what the blocks read")
    for norm, kept in pruned.entrances.items():
        table.add_row(str(norm), str(len(kept)), str(int(kept.sum())))
    console.print(table)


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
    title = f"{n_zeros:,} of {n_weights:,} weights are 0 ({percent(n_zeros / n_weights)})"
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

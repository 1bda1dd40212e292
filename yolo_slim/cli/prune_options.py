"""The options of `prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from yolo_slim.errors import InputError
from yolo_slim.pipeline import prune_options as options
from yolo_slim.pipeline.timing import Engine

AMOUNT, CHANNELS, IMAGES = "How much", "Channels", "Images"
LAYERS, ZEROS, SWEEP = "Layers", "Zeros", "Sweep"

Ratio = Annotated[
    float | None,
    typer.Option(
        help="Share of the channels that go; without a target, 0.5.", rich_help_panel=AMOUNT
    ),
]
Energy = Annotated[
    float | None,
    typer.Option(
        help="Share of each layer's sum of squared importances that may go.",
        rich_help_panel=AMOUNT,
    ),
]
TargetMacs = Annotated[
    float | None, typer.Option(help="Share of the MACs to reach.", rich_help_panel=AMOUNT)
]
TargetParams = Annotated[
    float | None, typer.Option(help="Share of the parameters to reach.", rich_help_panel=AMOUNT)
]
TargetLatency = Annotated[
    float | None,
    typer.Option(
        "--target-latency-ms",
        help="Milliseconds an image to reach, in --runtime on this machine.",
        rich_help_panel=AMOUNT,
    ),
]
Runtime = Annotated[
    Engine, typer.Option("--runtime", help="In which latency is measured.", rich_help_panel=AMOUNT)
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="To a latency layer by layer, each time where the least AP is lost: needs data, takes "
        "minutes.",
        rich_help_panel=AMOUNT,
    ),
]
LayerKeep = Annotated[
    float, typer.Option(help="Least share a convolution keeps.", rich_help_panel=AMOUNT)
]
Multiple = Annotated[
    int, typer.Option(help="Round kept channels to a multiple.", rich_help_panel=AMOUNT)
]
Rounding = Annotated[
    options.Rounding,
    typer.Option(help="Which multiple; none under --layer-keep.", rich_help_panel=AMOUNT),
]
Importance = Annotated[
    options.Importance,
    typer.Option(
        show_choices=False,
        rich_help_panel=CHANNELS,
        help="What a channel is judged by. gamma: |gamma|; gamma-kernel: that times the kernels "
        "that read it; l1, l2: its own kernel's norm; fpgm: its distance to the others; taylor: "
        "what the loss says (needs data); random: a control.",
    ),
]
Reduce = Annotated[
    options.Reduce,
    typer.Option(
        "--reduce",
        "--score",
        show_choices=False,
        rich_help_panel=CHANNELS,
        help="How the channels that a shortcut ties are one: max, mean, sum or first.",
    ),
]
Normalize = Annotated[
    options.Normalize,
    typer.Option(help="Compare within a layer, or as they are.", rich_help_panel=CHANNELS),
]
Which = Annotated[
    options.Which,
    typer.Option(
        show_choices=False,
        rich_help_panel=CHANNELS,
        help="shortcut: all channels may go; regular: only those that nothing is tied to.",
    ),
]
Select = Annotated[
    float | None,
    typer.Option(
        help="Of pre-activation networks: share of what their blocks read that goes; by |gamma|.",
        rich_help_panel=CHANNELS,
    ),
]
Absorb = Annotated[
    bool,
    typer.Option(
        help="Move the constant output of pruned channels into the next layer.",
        rich_help_panel=CHANNELS,
    ),
]
Recalibrate = Annotated[
    Path | None,
    typer.Option(
        help="A folder of pictures, or a description as for --data, whose training images give new "
        "running statistics.",
        rich_help_panel=IMAGES,
    ),
]
NImages = Annotated[
    int,
    typer.Option(
        min=1,
        help="Images that similarity, drop-one, taylor, --adapt and --recalibrate ask.",
        rich_help_panel=IMAGES,
    ),
]
Sweep = Annotated[
    bool,
    typer.Option(
        "--sweep",
        help="Remove nothing: AP against ratio on --data, and the knee.",
        rich_help_panel=SWEEP,
    ),
]
Sensitivity = Annotated[
    bool,
    typer.Option(
        "--sensitivity",
        help="With --sweep: AP with each layer cut alone, as a heat map.",
        rich_help_panel=SWEEP,
    ),
]
Layers = Annotated[
    int | None, typer.Option(min=1, help="Residual blocks that go.", rich_help_panel=LAYERS)
]
LayerRank = Annotated[
    options.LayerRank,
    typer.Option(
        rich_help_panel=LAYERS,
        show_choices=False,
        help="The lowest go: by the last BatchNorm (gamma); by what they change on images "
        "(similarity); by the AP lost (drop-one).",
    ),
]
Order = Annotated[
    options.Order,
    typer.Option(
        show_choices=False,
        rich_help_panel=LAYERS,
        help="Beside a target for channels: layers-first or channels-first.",
    ),
]
Granularity = Annotated[
    options.Granularity,
    typer.Option(
        rich_help_panel=ZEROS,
        show_choices=False,
        help="channel cuts; layer: whole blocks, --layers or to --target-latency-ms; weight and "
        "kernel set the share --ratio to 0, 2:4 half of every four.",
    ),
]
Within = Annotated[
    options.Within,
    typer.Option(
        rich_help_panel=ZEROS,
        help="network: one threshold for all layers; layer: each loses the share.",
    ),
]
KernelNorm = Annotated[
    options.Norm, typer.Option(help="What makes a kernel small.", rich_help_panel=ZEROS)
]
Dense = Annotated[
    str,
    typer.Option(
        rich_help_panel=ZEROS,
        help="Convolutions left alone: heads, first, section numbers, with commas; or none.",
    ),
]


def read_dense(text: str) -> options.Dense:
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

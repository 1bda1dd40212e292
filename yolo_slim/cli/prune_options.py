"""The options of `prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from yolo_slim.errors import InputError
from yolo_slim.pipeline import prune_options as options

LAYERS, ZEROS = "Layers", "Zeros"

Ratio = Annotated[
    float | None, typer.Option(help="Share of the channels that go; without a target, 0.5.")
]
Energy = Annotated[
    float | None,
    typer.Option(help="Share of each layer's sum of squared importances that may go."),
]
TargetMacs = Annotated[float | None, typer.Option(help="Share of the MACs to reach.")]
TargetParams = Annotated[float | None, typer.Option(help="Share of the parameters to reach.")]
TargetLatency = Annotated[
    float | None, typer.Option(help="Milliseconds an image to reach, in ONNX Runtime on this CPU.")
]
Adapt = Annotated[
    bool,
    typer.Option(
        help="To a latency layer by layer, each time where the least AP is lost: needs data, takes "
        "minutes."
    ),
]
LayerKeep = Annotated[float, typer.Option(help="Least share a convolution keeps.")]
Multiple = Annotated[int, typer.Option(help="Round kept channels to a multiple.")]
Rounding = Annotated[
    options.Rounding, typer.Option(help="Which multiple; none under --layer-keep.")
]
Importance = Annotated[
    options.Importance,
    typer.Option(
        help="What a channel is judged by: |gamma|; that times the kernels that read it; its own "
        "kernel's norm (l1, l2) or distance to the others (fpgm); what the loss says (taylor, "
        "needs data); random, as a control."
    ),
]
Reduce = Annotated[
    options.Reduce,
    typer.Option("--reduce", "--score", help="How the channels that a shortcut ties are one."),
]
Normalize = Annotated[
    options.Normalize, typer.Option(help="Compare within a layer, or as they are.")
]
Which = Annotated[
    options.Which,
    typer.Option(help="Let all channels go, or only those that nothing is tied to."),
]
Select = Annotated[
    float | None,
    typer.Option(
        help="Of pre-activation networks: share of what their blocks read that goes; by |gamma|."
    ),
]
Absorb = Annotated[
    bool, typer.Option(help="Move the constant output of pruned channels into the next layer.")
]
Recalibrate = Annotated[
    Path | None,
    typer.Option(help="Data, as for --data, whose training images give new running statistics."),
]
NImages = Annotated[
    int,
    typer.Option(
        min=1, help="Images that similarity, drop-one, taylor, --adapt and --recalibrate ask."
    ),
]
Sweep = Annotated[
    bool, typer.Option(help="Remove nothing: AP against ratio on --data, and the knee.")
]
Sensitivity = Annotated[
    bool, typer.Option(help="With --sweep: AP with each layer cut alone, as a heat map.")
]
Layers = Annotated[
    int | None, typer.Option(min=1, help="Residual blocks that go.", rich_help_panel=LAYERS)
]
LayerRank = Annotated[
    options.LayerRank,
    typer.Option(
        rich_help_panel=LAYERS,
        help="The lowest go: by the last BatchNorm; by what they change on images; by AP lost.",
    ),
]
Order = Annotated[
    options.Order, typer.Option(help="Beside a target for channels.", rich_help_panel=LAYERS)
]
Granularity = Annotated[
    options.Granularity,
    typer.Option(
        rich_help_panel=ZEROS,
        help="channel cuts; weight, kernel set the share --ratio to 0, 2:4 half of every four.",
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

"""The options of `train`, each with its help; where the cfg has a say, nothing is the default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from yolo_slim.cfg import BoxLoss
from yolo_slim.data.cache import CacheMode
from yolo_slim.train.sparsity_settings import (
    SparsityPenalty,
    SparsitySchedule,
    SparsityStep,
    SparsityWeight,
)

PICTURES, LOSS, SPEED, MACHINES = "Pictures", "Loss", "Speed", "Machines"
SPARSITY, ZEROS = "Sparsity", "Zeros"

RunFolder = Annotated[Path, typer.Option("--out", help="Run folder: bundle, checkpoints, logs.")]
Epochs = Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images.")]
SparsityStrength = Annotated[
    float,
    typer.Option(
        min=0,
        help="S: gammas shrink by their lr x S a step; stay below 1.",
        rich_help_panel=SPARSITY,
    ),
]
SparsityScheduleName = Annotated[
    SparsitySchedule,
    typer.Option(
        help="From the middle on S/100 for none; for all (global); for the largest (local).",
        rich_help_panel=SPARSITY,
    ),
]
SparsityFraction = Annotated[
    float,
    typer.Option(help="Of the gammas, that local goes on with.", rich_help_panel=SPARSITY),
]
SparsityWeightName = Annotated[
    SparsityWeight,
    typer.Option(help="macs: a channel is pulled by what it costs.", rich_help_panel=SPARSITY),
]
SparsityPenaltyName = Annotated[
    SparsityPenalty,
    typer.Option(help="group: coupled channels are pulled as one.", rich_help_panel=SPARSITY),
]
SparsityStepName = Annotated[
    SparsityStep,
    typer.Option(help="proximal ends in zeros; sign is as published.", rich_help_panel=SPARSITY),
]
SparsityPatience = Annotated[
    int,
    typer.Option(
        min=0,
        help="Stop where N epochs have freed no more channels; 0: never.",
        rich_help_panel=SPARSITY,
    ),
]
KeepZeros = Annotated[
    bool | None,
    typer.Option(
        "--keep-zeros/--no-keep-zeros",
        help="Zeros of kernels stay; default: those that prune --granularity put there.",
        rich_help_panel=ZEROS,
    ),
]
Teacher = Annotated[
    str | None, typer.Option(help="A trained model of the same classes to learn from.")
]
Distill = Annotated[float, typer.Option(min=0, help="Weight of the teacher's opinion.")]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Images at a time, each process; default: 16; the cfg's for sgd"),
]
Accumulate = Annotated[
    int | None,
    typer.Option(min=1, help="Batches per optimizer step; default: 1; the cfg's for sgd"),
]
OptimizerName = Annotated[
    Literal["adamw", "sgd"], typer.Option(help="sgd: Darknet's way, as the cfg says.")
]
Lr = Annotated[
    float | None, typer.Option(help="Peak learning rate; default: the cfg's, else 0.001")
]
Schedule = Annotated[
    Literal["cosine", "cfg"] | None,
    typer.Option(help="cfg: its policy; default: cosine; cfg for sgd"),
]
WeightDecay = Annotated[
    float | None, typer.Option(min=0, help="Of kernels; default: 0.02; the cfg's for sgd")
]
Anchors = Annotated[
    Literal["keep", "fit"], typer.Option(help="fit: to the training boxes, as `data anchors`.")
]
Mosaic = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Probability of four in one; default: the cfg's, else 0.5",
        rich_help_panel=PICTURES,
    ),
]
Mixup = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Probability of two in one; default: the cfg's, else 0",
        rich_help_panel=PICTURES,
    ),
]
CopyPaste = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="Probability of pasted objects; default: 0", rich_help_panel=PICTURES
    ),
]
Flip = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Probability, 0 for text; default: the cfg's, else 0.5",
        rich_help_panel=PICTURES,
    ),
]
Affine = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        rich_help_panel=PICTURES,
        help="Probability of being zoomed and moved; default: 0.8",
    ),
]
Zoom = Annotated[
    float | None,
    typer.Option(
        min=1, max=4, rich_help_panel=PICTURES, help="Largest factor, in and out; default: 1.5"
    ),
]
Shift = Annotated[
    float | None,
    typer.Option(
        min=0, max=0.9, rich_help_panel=PICTURES, help="Largest share of a side; default: 0.15"
    ),
]
Colour = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, rich_help_panel=PICTURES, help="Probability of other colours; default: 0.8"
    ),
]
CloseMosaic = Annotated[
    int | None,
    typer.Option(
        help="Last epochs without mosaic, mixup, pasting; default: 15 %",
        rich_help_panel=PICTURES,
    ),
]
MultiScale = Annotated[
    float | None,
    typer.Option(
        help="The size varies by up to this factor; default: 1; 1.4 for random=1",
        rich_help_panel=PICTURES,
    ),
]
ShowBatch = Annotated[
    Path | None,
    typer.Option(help="Write a picture of the first batch here.", rich_help_panel=PICTURES),
]
BoxMeasure = Annotated[
    BoxLoss | None,
    typer.Option(help="Default: the cfg's iou_loss, else ciou", rich_help_panel=LOSS),
]
BoxWeight = Annotated[
    float | None,
    typer.Option(help="Beside the other terms; default: 1 for mse, else 5", rich_help_panel=LOSS),
]
Objectness = Annotated[
    Literal["one", "iou"] | None,
    typer.Option(
        help="What it is to tell; default: one; iou for objectness_smooth=1",
        rich_help_panel=LOSS,
    ),
]
IouThresh = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        rich_help_panel=LOSS,
        help="Anchors this similar in shape look for an object, too; default: the cfg's",
    ),
]
Cells = Annotated[
    Literal["own", "neighbours"],
    typer.Option(
        rich_help_panel=LOSS,
        help="Which look for an object; neighbours as far as scale_x_y lets them reach.",
    ),
]
LabelSmoothing = Annotated[
    float | None, typer.Option(help="0 to below 1; default: the cfg's", rich_help_panel=LOSS)
]
FocalGamma = Annotated[
    float | None,
    typer.Option(help="0: none; default: 2 for focal_loss=1", rich_help_panel=LOSS),
]
Precision = Annotated[
    Literal["auto", "bf16", "float32"],
    typer.Option(help="auto: bf16 where it is fast.", rich_help_panel=SPEED),
]
Cache = Annotated[
    CacheMode,
    typer.Option(help="Where pictures are kept; auto: ram if small.", rich_help_panel=SPEED),
]
Workers = Annotated[
    int | None, typer.Option(min=0, max=64, help="Loader processes.", rich_help_panel=SPEED)
]
Compiled = Annotated[bool, typer.Option("--compile", help="torch.compile.", rich_help_panel=SPEED)]
ProfileSteps = Annotated[
    int,
    typer.Option(min=0, help="Tell where N steps spend their time.", rich_help_panel=SPEED),
]
Devices = Annotated[
    int,
    typer.Option(min=0, help="Processes here; 0: each GPU.", rich_help_panel=MACHINES),
]
NumNodes = Annotated[
    int, typer.Option(min=1, help="Machines, under torchrun.", rich_help_panel=MACHINES)
]
Strategy = Annotated[
    Literal["auto", "ddp"],
    typer.Option(help="How processes work together.", rich_help_panel=MACHINES),
]
SyncBatchnorm = Annotated[
    bool,
    typer.Option(
        "--sync-bn/--no-sync-bn", rich_help_panel=MACHINES, help="BatchNorm over all processes."
    ),
]
CheckpointMinutes = Annotated[float, typer.Option(help="Between two kept states within an epoch.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last state.")]

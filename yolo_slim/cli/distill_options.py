"""The options of `distill` beyond those of `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.distill.settings import LOSSES, Statistics
from yolo_slim.pipeline.teaching import Method

TEACHING = "Teaching"

Student = Annotated[str, typer.Argument(help="What learns: as MODEL of train.")]
Teacher = Annotated[str, typer.Option(help="A trained model of the same classes and input size.")]
MethodName = Annotated[
    Method,
    typer.Option(
        help="separate: features first, without labels, then the rest.", rich_help_panel=TEACHING
    ),
]
LossNames = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        rich_help_panel=TEACHING,
        help=f"{', '.join(LOSSES)}, with commas, each with =WEIGHT; that of overhaul is the share "
        "of the labels' loss that it begins with.",
    ),
]
FeatureEpochs = Annotated[
    int | None,
    typer.Option(
        min=1, rich_help_panel=TEACHING, help="Of separate, before --epochs; default: half of them."
    ),
]
KeepFeatures = Annotated[
    float,
    typer.Option(
        min=0, rich_help_panel=TEACHING, help="Of separate: weight of features beside the labels."
    ),
]
Unlabelled = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=TEACHING, help="Of separate: folder of more pictures for the features."
    ),
]
Taps = Annotated[
    str,
    typer.Option(
        metavar="S:T,...",
        rich_help_panel=TEACHING,
        help="Sections whose maps are compared; default: found by stride.",
    ),
]
TeacherStatistics = Annotated[
    Statistics,
    typer.Option(
        rich_help_panel=TEACHING,
        help="Of the teacher's BatchNorm; auto: of the batch from 32 images on.",
    ),
]
CacheTeacher = Annotated[
    bool,
    typer.Option(
        "--cache-teacher",
        rich_help_panel=TEACHING,
        help="Keep its answers on disk; for pictures that are not changed.",
    ),
]
Temperature = Annotated[
    float, typer.Option(rich_help_panel=TEACHING, help="Softens a classifier's answers.")
]
